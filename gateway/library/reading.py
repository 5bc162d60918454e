"""Read measured spectra from files: two-column text, JCAMP-DX, Galactic SPC, our own specimens.

What a file says of itself (instrument, laser, date) is read too: it completes what the person at
the keyboard says, and never overrules it.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from pathlib import Path

from gateway.spectra.columns import parse_columns
from gateway.spectra.errors import FormatError
from gateway.spectra.jcamp import looks_like_jcamp, parse_jcamp
from gateway.spectra.spc import looks_like_spc, parse_spc
from gateway.spectra.specimen import (
    FIELD_CHARS_MAX,
    looks_like_specimen,
    read_provenance,
    read_specimen,
)
from gateway.spectra.spectrum import FloatArray

FILE_BYTES_MAX = 16 * 1024 * 1024
"""A hundred times the largest laboratory file seen; bounds memory before anything is parsed."""

HEAD_LINES = 64
"""Where a text file says what it is, if it does."""

NOT_RAMAN = re.compile(
    r"\b(absorbance|transmittance|reflectance|infrared|ftir|ft-ir|atr)\b|%\s*T\b",
    re.IGNORECASE,
)
"""Words of a heading that tell of another technique."""

JCAMP_FIELDS = {
    "spectrometerdatasystem": "instrument",
    "instrumentalparameters": "",
    "owner": "measured_by",
    "origin": "source",
    "longdate": "measured_on",
    "date": "measured_on",
    "resolution": "resolution_cm1",
    "laserwavelength": "excitation_nm",
    "excitationwavelength": "excitation_nm",
}
LOG_FIELDS = {
    "laser wavelength": "excitation_nm",
    "laser_wavelength": "excitation_nm",
    "excitation wavelength": "excitation_nm",
    "excitation": "excitation_nm",
    "laser": "excitation_nm",
    "instrument": "instrument",
    "model": "instrument",
    "operator": "measured_by",
    "user": "measured_by",
    "resolution": "resolution_cm1",
}
NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """One spectrum of a file.

    Attributes:
        label: file, and trace when it has several; for messages.
        axis_cm1: shape (n,), Raman shift in cm^-1, strictly increasing.
        intensity: shape (n,), any unit linear in light.
        known: fields of a specimen that the file itself states.
    """

    label: str
    axis_cm1: FloatArray
    intensity: FloatArray
    known: dict[str, str] = field(default_factory=dict)


def read_bytes(path: Path, bytes_max: int = FILE_BYTES_MAX) -> bytes:
    """Read a file of bounded length.

    Raises:
        FormatError: it cannot be read, is empty, or too large; names the remedy.
    """
    try:
        if not path.is_file():
            kind = "is not a file" if path.exists() else "does not exist"
            raise FormatError(f"{kind}; give the path of a file")
        with path.open("rb") as source:
            content = source.read(bytes_max + 1)
    except OSError as error:
        raise FormatError(f"{error.strerror or error}; check the file's permissions") from None
    if len(content) > bytes_max:
        raise FormatError(f"larger than {bytes_max} bytes; this is another file")
    if not content.strip():
        raise FormatError("is empty; export it again")
    return content


def read_measurements(path: Path) -> list[Measurement]:
    """Read every spectrum of a file.

    Raises:
        FormatError: it holds none that can be read as Raman; names line or field, and the remedy.
    """
    content = read_bytes(path)
    if looks_like_spc(content):
        traces = parse_spc(content)
        return [
            Measurement(
                f"{path} trace {trace.number}" if len(traces) > 1 else str(path),
                trace.axis_cm1,
                trace.intensity,
                _from_log(trace.log)
                | _stated(instrument=trace.source, measured_on=trace.measured_on),
            )
            for trace in traces
        ]
    if b"\0" in content:
        raise FormatError("is binary, and no SPC file; export as CSV, JCAMP-DX or SPC")
    text = content.decode("utf-8", errors="replace")
    if looks_like_specimen(text):
        own = read_specimen(path.name, text)
        known = {key: value for key, value in read_provenance(path.name, text).items() if value}
        return [Measurement(str(path), own.axis_cm1, own.intensity, known)]
    if looks_like_jcamp(text):
        axis, light = parse_jcamp(text)
        return [Measurement(str(path), axis, light, _from_jcamp(text))]
    _refuse_other_techniques(text)
    axis, light = parse_columns(text)
    return [Measurement(str(path), axis, light)]


def _refuse_other_techniques(text: str) -> None:
    """Raise FormatError when the heading of a text file names another technique."""
    for number, line in enumerate(text.splitlines()[:HEAD_LINES], start=1):
        found = NOT_RAMAN.search(line)
        if found and "raman" not in line.lower():
            raise FormatError(
                f"line {number} says {found[0]!r}: not a Raman spectrum; give Raman shift and"
                " intensity"
            )


def _from_jcamp(text: str) -> dict[str, str]:
    """What the labels of a JCAMP-DX text say, the first of each."""
    found: dict[str, str] = {}
    for line in text.splitlines()[: 8 * HEAD_LINES]:
        label, equals, value = line.strip().removeprefix("##").partition("=")
        key = JCAMP_FIELDS.get(re.sub(r"[\s\-_/.$]", "", label).lower())
        if line.startswith("##") and equals and key and key not in found:
            found |= _stated(**{key: value.split("$$", 1)[0]})
    return found


def _from_log(log: dict[str, str]) -> dict[str, str]:
    """What the log of an SPC file says."""
    found: dict[str, str] = {}
    for label, value in log.items():
        key = LOG_FIELDS.get(label)
        if key and key not in found:
            found |= _stated(**{key: value})
    return found


def _stated(**fields: str) -> dict[str, str]:
    """The fields that say something of the form they need; others are left to the person."""
    kept: dict[str, str] = {}
    for key, value in fields.items():
        text = " ".join(value.split())[:FIELD_CHARS_MAX]
        if key in ("excitation_nm", "resolution_cm1"):
            number = NUMBER.search(text)
            text = f"{float(number[0]):g}" if number and len(number[0]) < 12 else ""
        elif key == "measured_on":
            text = _iso_date(text)
        if text and text.isprintable():
            kept[key] = text
    return kept


def _iso_date(text: str) -> str:
    """An unambiguous date as ISO; empty for 05/06/07, which three countries read three ways."""
    for form in ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d"):
        try:
            return dt.datetime.strptime(text[:10], form).date().isoformat()  # noqa: DTZ007
        except ValueError:
            continue
    return ""
