"""`harmattan identify`: read spectra from files, print a verdict for each.

Files are taken as calibrated to within the stated axis uncertainty, unless a calibration is named:
then it must be young enough, and of the files' instrument as far as both say which. A file that
cannot be read is reported and the others go on; the exit status then is 2. The verdict does not
change the status: a script reads it from the output.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.catalogue import translate
from gateway.errors import GatewayError
from gateway.library.opening import open_library
from gateway.sample import (
    FILE_BYTES_MAX,
    Axis,
    Basis,
    Sample,
    read_average,
    read_sample,
    read_spectrum,
    reason_of,
)
from gateway.screening.account import NOTES, account
from gateway.screening.doubt import doubted, refusal
from gateway.screening.explain import comma, explain, isolated, name_of
from gateway.screening.judge import unjudged
from gateway.screening.picture import LABELS, draw
from gateway.screening.rules import screen
from gateway.screening.standing import UNCALIBRATED_CM1, assume, hold_back
from gateway.screening.together import together
from gateway.screening.verdict import HitRecord, Verdict
from gateway.screening.watchlists import Watchlists
from gateway.spectra.errors import SpectraError
from gateway.spectra.identification import Trace
from gateway.spectra.kind import axis_fault, light_fault
from gateway.spectra.library import Library
from gateway.spectra.match import identify
from gateway.spectra.quality import Condition, findings, measure_condition
from gateway.spectra.spectrum import Spectrum, without_padding

__all__ = [
    "FILE_BYTES_MAX",
    "Basis",
    "Judged",
    "Outcome",
    "identify_file",
    "judge_spectrum",
    "read_spectrum",
    "run",
]

WORDS = {
    "substance": "substance found",
    "score": "score of the hit",
    "found": "found at cm-1",
    "missing": "missing at cm-1",
    "lists": "on the lists",
    "quality": (
        "signal to noise {snr}, {low_cm1} to {high_cm1} cm-1, {unexplained} of {band_count} bands "
        "unexplained; library {version}, lists {lists}"
    ),
    "averaged": "{count} exposures averaged, {rays} cosmic rays left out",
}
"""Words of the table -> msgid."""

STATUS_READ = 0
STATUS_UNREADABLE = 2

COLOURS = {"alarm": "bold white on red", "inconclusive": "bold black on yellow", "clear": "green"}


class Judged(NamedTuple):
    """A verdict, the curves of its picture, and the state of the measurement in numbers."""

    verdict: Verdict
    trace: Trace
    condition: Condition


PICTURE_HEAD_BYTES = 512
"""Enough of a file to see whether it is a picture of ours."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file, or of several exposures: a verdict, or an error.

    Attributes:
        file: its name, or the names of the exposures.
        judged: None when it could not be.
        error: why; empty otherwise.
        exposure_count: files averaged; 1 = the file alone.
        ray_count: cosmic rays that the average showed.
    """

    file: str
    judged: Judged | None
    error: str
    exposure_count: int = 1
    ray_count: int = 0

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
    basis: Basis | None = None,
    axis: Axis | None = None,
    average: bool = False,
    at_length: bool = False,
    plot: Path | None = None,
    console: Console,
    library_directory: Path | None = None,
    lists_directory: Path | None = None,
) -> int:
    """Identify each file and print one line of JSON or a table for it.

    Args:
        files: two-column CSV, JCAMP-DX or Galactic SPC files.
        as_json: one JSON object per line instead of tables.
        language: of the sentences: en, fr, ar or es.
        axis_uncertainty_cm1: half-width of the axis error that may remain.
        basis: calibration of the instrument that measured the files; None = taken as calibrated.
        axis: what the person says of the first column; None = nothing.
        average: the files are exposures of one sample and get one verdict.
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
    if plot is not None and len(files) != 1 and not average:
        raise GatewayError(f"--plot draws one file, {len(files)} are given; draw one at a time")
    if plot is not None:
        _check_target(plot, files)
    library, watchlists = open_library(library_directory, lists_directory)
    status = STATUS_READ
    for group in [files] if average else [[file] for file in files]:
        outcome = _identify(
            group, library, watchlists, axis_uncertainty_cm1, basis, axis=axis, average=average
        )
        if outcome.verdict is None:
            status = STATUS_UNREADABLE
        if as_json:
            line = msgspec.json.encode(as_record(outcome, language, library)).decode()
            console.out(line, highlight=False)
        else:
            _show(outcome, language, library, console, at_length=at_length)
        if plot is not None:
            _draw(outcome, group, language, library, plot)
    return status


def identify_file(
    file: Path,
    library: Library,
    watchlists: Watchlists,
    axis_uncertainty_cm1: float,
    basis: Basis | None = None,
) -> Outcome:
    """Read and judge one file; whatever is wrong with it becomes the outcome's error."""
    return _identify([file], library, watchlists, axis_uncertainty_cm1, basis)


def _identify(
    files: list[Path],
    library: Library,
    watchlists: Watchlists,
    axis_uncertainty_cm1: float,
    basis: Basis | None,
    *,
    axis: Axis | None = None,
    average: bool = False,
) -> Outcome:
    """Read and judge one file, or several exposures of one sample."""
    name = ", ".join(map(_text, files))
    try:
        if average:
            sample = read_average(files, axis_uncertainty_cm1, axis)
        else:
            sample = read_sample(files[0], axis_uncertainty_cm1, axis)
        judged = _judge_sample(sample, library, watchlists, axis_uncertainty_cm1, basis)
    except (SpectraError, OSError) as error:
        return Outcome(name, None, f"{name}: {reason_of(error)}")
    return Outcome(name, judged, "", len(files), sample.ray_count)


def _judge_sample(
    sample: Sample,
    library: Library,
    watchlists: Watchlists,
    axis_uncertainty_cm1: float,
    basis: Basis | None,
) -> Judged:
    """Judge a sample on the axis that its calibration gives, as far as that allows.

    Exposures of an average are judged alone too: it must not hide what one of them shows.

    Raises:
        SpectrumError: too little of the fingerprint range is measured.
    """
    # On the axis as written: a corrected count of pixels is none any more.
    why = "" if sample.axis_stated else axis_fault(sample.spectrum.axis_cm1)
    standing = basis.standing(sample.origin) if basis else assume(axis_uncertainty_cm1)

    def judge(measured: Spectrum) -> Judged:
        if standing.calibration is not None:
            measured = standing.calibration.correct(measured)
        elif basis is not None:
            reach_cm1 = max(axis_uncertainty_cm1, UNCALIBRATED_CM1)
            measured = dataclasses.replace(measured, axis_uncertainty_cm1=reach_cm1)
        return judge_spectrum(measured, library, watchlists, why_axis=why, is_raman=sample.is_raman)

    judged = judge(sample.spectrum)
    verdict = together(
        judged.verdict,
        [judge(exposure).verdict for exposure in sample.exposures],
        alike=sample.exposures_alike,
        watchlists=watchlists,
    )
    return judged._replace(verdict=hold_back(verdict, standing, watchlists))


def judge_spectrum(
    spectrum: Spectrum,
    library: Library,
    watchlists: Watchlists,
    *,
    why_axis: str | None = None,
    is_raman: bool = False,
) -> Judged:
    """Judge one spectrum of a file with what its quality allows.

    Args:
        spectrum: of the file.
        library: of substances.
        watchlists: in force.
        why_axis: what its axis is instead of a Raman shift; None = ask its numbers.
        is_raman: file or person say that it is a Raman spectrum; asked with a `why_axis` only.

    Raises:
        SpectrumError: too little of the fingerprint range is measured.
    """
    spectrum = without_padding(spectrum)
    axis, counts = spectrum.axis_cm1, spectrum.intensity_counts
    condition = measure_condition(
        axis, counts, saturated=spectrum.saturated, resolution_cm1=spectrum.resolution_cm1
    )
    if why_axis is not None:
        why = why_axis or light_fault(axis, counts, is_raman=is_raman)
        condition = dataclasses.replace(condition, why_not_raman=why)
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


def as_record(outcome: Outcome, language: str, library: Library) -> dict[str, Any]:
    """One file's line of JSON."""
    if outcome.judged is None:
        return {"file": outcome.file, "error": outcome.error}
    verdict = outcome.judged.verdict
    averaged = {"exposures": outcome.exposure_count, "cosmic_rays": outcome.ray_count}
    return {
        "file": outcome.file,
        **({"average": averaged} if outcome.exposure_count > 1 else {}),
        "verdict": verdict.verdict,
        "hits": verdict.hits,
        "reason": explain(verdict, language, library),
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


def _show(
    outcome: Outcome, language: str, library: Library, console: Console, *, at_length: bool
) -> None:
    """Print one file for people."""
    console.print()
    if outcome.verdict is None:
        console.print(Text(outcome.error, style="red"))
        return
    verdict = outcome.verdict
    head = Text(outcome.file, style="bold")
    word = translate(LABELS[verdict.verdict], language)
    console.print(head.append("  ").append(f" {word} ", style=COLOURS[verdict.verdict]))
    console.print(Text(explain(verdict, language, library)))
    if verdict.hits:
        table = Table(box=None, pad_edge=False)
        for title in ("substance", "CAS", "score", "found", "missing", "lists"):
            table.add_column(translate(WORDS[title], language) if title in WORDS else title)
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
    if outcome.exposure_count > 1:
        line = translate(WORDS["averaged"], language)
        facts = {"count": outcome.exposure_count, "rays": outcome.ray_count}
        console.print(Text(line.format(**facts), style="dim"))
    if verdict.quality is not None:
        console.print(Text(_quality(verdict, language), style="dim"))
    if at_length:
        _show_account(verdict, language, library, console)
    elif verdict.calibration is not None:
        for note in verdict.calibration.notes:
            console.print(Text(translate(NOTES[note], language), style="dim"))


def _quality(verdict: Verdict, language: str) -> str:
    """How good the measurement was and what was asked, in one line."""
    quality = verdict.quality
    if quality is None:
        return ""
    lists = [isolated(f"{entry.list_id} {entry.date}", language) for entry in verdict.lists]
    return translate(WORDS["quality"], language).format(
        snr=f"{quality.snr:g}",
        low_cm1=f"{quality.low_cm1:g}",
        high_cm1=f"{quality.high_cm1:g}",
        unexplained=len(verdict.unexplained_cm1),
        band_count=quality.band_count,
        version=isolated(verdict.library_version, language),
        lists=comma(language).join(lists),
    )


def _show_account(verdict: Verdict, language: str, library: Library, console: Console) -> None:
    """Print the long explanation; its first line, the sentence, stands there already."""
    for line in account(verdict, language, library)[1:]:
        console.print(Text(f"  {line}"))


def _draw(outcome: Outcome, files: list[Path], language: str, library: Library, path: Path) -> None:
    """Write the picture of one verdict; of a file that could not be read there is none."""
    if outcome.judged is None:
        return
    title = ", ".join(_text(Path(file.name)) for file in files)
    text = draw(outcome.judged.verdict, outcome.judged.trace, library, language, title)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise GatewayError(
            f"cannot write {_text(path)}: {error.strerror or error}; name another file for --plot"
        ) from None


def _check_target(path: Path, files: list[Path]) -> None:
    """Raise GatewayError when a picture would take the place of anything but a picture."""
    if not path.parent.is_dir():
        raise GatewayError(
            f"cannot write {_text(path)}: there is no folder {_text(path.parent)}; make it, or name"
            " another file for --plot"
        )
    if not path.exists():
        return
    try:
        with path.open("rb") as kept:
            head = kept.read(PICTURE_HEAD_BYTES)
    except OSError as error:
        raise GatewayError(
            f"cannot write {_text(path)}: {error.strerror or error}; name another file for --plot"
        ) from None
    is_measured = any(path.samefile(file) for file in files if file.exists())
    if is_measured or (head and b"<svg" not in head):
        raise GatewayError(
            f"{_text(path)} exists and is no picture; it is left as it is: name another file for"
            " --plot"
        )


def _positions(hit: HitRecord, state: str) -> str:
    """Bands of a hit in one state: where they were found, else where they should be."""
    return " ".join(
        f"{band.shift_cm1 if band.measured_cm1 is None else band.measured_cm1:.0f}"
        for band in hit.bands
        if band.state == state
    )
