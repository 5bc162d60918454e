"""`harmattan identify`: read spectra from files, print a verdict for each.

Files are taken as calibrated to within the stated axis uncertainty. A file that cannot be read is
reported and the others go on; the exit status then is 2. The verdict does not change the status:
a script reads it from the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.errors import GatewayError
from gateway.library.opening import open_library
from gateway.screening.account import account
from gateway.screening.doubt import doubted, refusal
from gateway.screening.explain import explain, name_of
from gateway.screening.judge import unjudged
from gateway.screening.picture import draw
from gateway.screening.rules import screen
from gateway.screening.standing import assume, hold_back, rely
from gateway.screening.verdict import HitRecord, Verdict
from gateway.screening.watchlists import Watchlists
from gateway.spectra.calibrate import Calibration
from gateway.spectra.columns import parse_columns
from gateway.spectra.detector import clipped
from gateway.spectra.errors import FormatError, SpectraError
from gateway.spectra.identification import Trace
from gateway.spectra.jcamp import looks_like_jcamp, parse_jcamp
from gateway.spectra.library import Library
from gateway.spectra.match import identify
from gateway.spectra.quality import Condition, findings, measure_condition
from gateway.spectra.spc import looks_like_spc, parse_spc
from gateway.spectra.spectrum import FloatArray, Spectrum, without_padding

FILE_BYTES_MAX = 16 * 1024 * 1024
"""A hundred times the largest laboratory file seen; bounds memory before anything is parsed."""

STATUS_READ = 0
STATUS_UNREADABLE = 2

COLOURS = {"alarm": "bold white on red", "inconclusive": "bold black on yellow", "clear": "green"}


class Judged(NamedTuple):
    """A verdict, the curves of its picture, and the state of the measurement in numbers."""

    verdict: Verdict
    trace: Trace
    condition: Condition


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: a verdict with what it rests on, or an error."""

    file: str
    judged: Judged | None
    error: str

    @property
    def verdict(self) -> Verdict | None:
        """The verdict, None when the file could not be judged."""
        return None if self.judged is None else self.judged.verdict


def run(  # noqa: PLR0913 - the options of the command
    files: list[Path],
    *,
    as_json: bool,
    language: str,
    axis_uncertainty_cm1: float = 2.0,
    calibration: Calibration | None = None,
    at_length: bool = False,
    plot: Path | None = None,
    console: Console,
    library_directory: Path | None = None,
    lists_directory: Path | None = None,
) -> int:
    """Identify each file and print one line of JSON or a table for it.

    Args:
        files: two-column CSV or JCAMP-DX files.
        as_json: one JSON object per line instead of tables.
        language: of the sentences: en, fr, ar or es.
        axis_uncertainty_cm1: half-width of the axis error that may remain.
        calibration: of the instrument that measured the files; None = taken as calibrated.
        at_length: explain each verdict at length.
        plot: SVG file to draw the verdict on the only file into.
        console: where to print.
        library_directory: of specimens and packages; None = the shipped tables.
        lists_directory: of national watchlists; None = the shipped lists.

    Returns:
        0 when every file was read, 2 when one was not.

    Raises:
        GatewayError: a picture of several files is asked for, or it cannot be written; the library
            or a list cannot be used.
    """
    if plot is not None and len(files) != 1:
        raise GatewayError(f"--plot draws one file, {len(files)} are given; draw one at a time")
    library, watchlists = open_library(library_directory, lists_directory)
    status = STATUS_READ
    for file in files:
        outcome = identify_file(file, library, watchlists, axis_uncertainty_cm1, calibration)
        if outcome.verdict is None:
            status = STATUS_UNREADABLE
        if as_json:
            line = msgspec.json.encode(as_record(outcome, language)).decode()
            console.out(line, highlight=False)
        else:
            _show(outcome, language, library, console)
            if at_length and outcome.verdict is not None:
                _show_account(outcome.verdict, language, library, console)
        if plot is not None:
            _draw(outcome, language, library, plot)
    return status


def identify_file(
    file: Path,
    library: Library,
    watchlists: Watchlists,
    axis_uncertainty_cm1: float,
    calibration: Calibration | None = None,
) -> Outcome:
    """Read and judge one file; whatever is wrong with it becomes the outcome's error."""
    try:
        spectrum = read_spectrum(file, axis_uncertainty_cm1)
        if calibration is not None:
            spectrum = calibration.correct(spectrum)
        judged = judge_spectrum(spectrum, library, watchlists)
    except (SpectraError, OSError) as error:
        reason = str(error)
        if isinstance(error, OSError):
            reason = f"{error.strerror or error}; check the file and its permissions"
        return Outcome(_text(file), None, f"{_text(file)}: {reason}")
    standing = rely(calibration) if calibration else assume(axis_uncertainty_cm1)
    held = hold_back(judged.verdict, standing, watchlists)
    return Outcome(_text(file), judged._replace(verdict=held), "")


def judge_spectrum(spectrum: Spectrum, library: Library, watchlists: Watchlists) -> Judged:
    """Judge one spectrum of a file with what its quality allows.

    Raises:
        SpectrumError: too little of the fingerprint range is measured.
    """
    spectrum = without_padding(spectrum)
    axis, counts = spectrum.axis_cm1, spectrum.intensity_counts
    condition = measure_condition(
        axis, counts, saturated=spectrum.saturated, resolution_cm1=spectrum.resolution_cm1
    )
    found = findings(condition)
    refused = refusal(found)
    if refused is not None:
        verdict = unjudged(refused.reason_id, library, watchlists, **refused.parameters)
        floor = np.full_like(counts, counts.min())
        return Judged(verdict, Trace(axis, counts, floor, np.zeros_like(counts), {}), condition)
    identification = identify(spectrum, library)
    verdict = doubted(screen(identification, watchlists, library), found)
    return Judged(verdict, identification.trace, condition)


def _text(file: Path) -> str:
    """Path as text that can be written anywhere, also when its bytes are not UTF-8."""
    return str(file).encode("utf-8", errors="replace").decode("utf-8")


def read_spectrum(file: Path, axis_uncertainty_cm1: float = 2.0) -> Spectrum:
    """Read a spectrum from a two-column text, a JCAMP-DX or a Galactic SPC file.

    Raises:
        OSError: the file cannot be opened.
        FormatError: it is no readable spectrum; names line, value and remedy.
        SpectrumError: its numbers cannot be used.
    """
    if not file.is_file():
        kind = "is not a file" if file.exists() else "does not exist"
        raise FormatError(f"{kind}; give the path of a spectrum file")
    with file.open("rb") as source:
        content = source.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise FormatError(
            f"larger than {FILE_BYTES_MAX} bytes; export a single spectrum as two columns"
        )
    if not content.strip():
        raise FormatError("is empty; export the spectrum again")
    axis, counts = _columns(content)
    return Spectrum(
        axis,
        counts,
        saturated=clipped(axis, counts),
        axis_uncertainty_cm1=axis_uncertainty_cm1,
    )


def _columns(content: bytes) -> tuple[FloatArray, FloatArray]:
    """Raman shift and intensity, shape (n,), from any of the forms.

    Raises:
        FormatError: it is none of them, or holds several spectra.
    """
    if looks_like_spc(content):
        traces = parse_spc(content)
        if len(traces) > 1:
            raise FormatError(f"holds {len(traces)} spectra; export the one to be identified")
        return traces[0].axis_cm1, traces[0].intensity
    if b"\0" in content:
        raise FormatError("is binary, not text; export as two-column CSV, JCAMP-DX or SPC")
    # Numbers are ASCII; comments of old instruments may be in any 8-bit code.
    text = content.decode("utf-8", errors="replace")
    return parse_jcamp(text) if looks_like_jcamp(text) else parse_columns(text)


def as_record(outcome: Outcome, language: str) -> dict[str, Any]:
    """One file's line of JSON."""
    if outcome.judged is None:
        return {"file": outcome.file, "error": outcome.error}
    verdict = outcome.judged.verdict
    return {
        "file": outcome.file,
        "verdict": verdict.verdict,
        "hits": verdict.hits,
        "reason": explain(verdict, language),
        "reason_id": verdict.reason_id,
        "parameters": verdict.parameters,
        "unexplained_cm1": verdict.unexplained_cm1,
        "quality": verdict.quality,
        "condition": outcome.judged.condition,
        "findings": findings(outcome.judged.condition),
        "library_version": verdict.library_version,
        "lists": verdict.lists,
        "calibration": verdict.calibration,
    }


def _show(outcome: Outcome, language: str, library: Library, console: Console) -> None:
    """Print one file for people."""
    console.print()
    if outcome.verdict is None:
        console.print(Text(outcome.error, style="red"))
        return
    verdict = outcome.verdict
    head = Text(outcome.file, style="bold")
    console.print(head.append("  ").append(f" {verdict.verdict} ", style=COLOURS[verdict.verdict]))
    console.print(Text(explain(verdict, language)))
    if verdict.hits:
        table = Table(box=None, pad_edge=False)
        for title in ("substance", "CAS", "score", "found cm-1", "missing cm-1", "lists"):
            table.add_column(title)
        for hit in verdict.hits:
            table.add_row(
                Text(name_of(hit.substance_id, language, library)),
                hit.cas,
                f"{hit.score:.2f}",
                _positions(hit, "found"),
                _positions(hit, "missing"),
                " ".join(hit.lists),
            )
        console.print(table)
    quality = verdict.quality
    if quality is not None:
        console.print(
            Text(
                f"signal to noise {quality.snr:g}, {quality.low_cm1:g} to {quality.high_cm1:g} "
                f"cm-1, {len(verdict.unexplained_cm1)} of {quality.band_count} bands unexplained; "
                f"library {verdict.library_version}, lists "
                + " ".join(f"{entry.list_id} {entry.date}" for entry in verdict.lists),
                style="dim",
            )
        )


def _show_account(verdict: Verdict, language: str, library: Library, console: Console) -> None:
    """Print the long explanation; its first line, the sentence, stands there already."""
    for line in account(verdict, language, library)[1:]:
        console.print(Text(f"  {line}"))


def _draw(outcome: Outcome, language: str, library: Library, path: Path) -> None:
    """Write the picture of one verdict; of a file that could not be read there is none."""
    if outcome.judged is None:
        return
    title = Path(outcome.file).name
    text = draw(outcome.judged.verdict, outcome.judged.trace, library, language, title)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise GatewayError(
            f"cannot write {_text(path)}: {error.strerror or error}; name another file for --plot"
        ) from None


def _positions(hit: HitRecord, state: str) -> str:
    """Bands of a hit in one state: where they were found, else where they should be."""
    return " ".join(
        f"{band.shift_cm1 if band.measured_cm1 is None else band.measured_cm1:.0f}"
        for band in hit.bands
        if band.state == state
    )
