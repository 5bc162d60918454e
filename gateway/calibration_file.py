"""The file that `harmattan calibrate --save` writes and `harmattan identify --calibration` reads.

It carries all that decides whether the calibration may be used: which standard, when, on which
instrument, with which laser. Technicians look into it and some will edit it, so every value is held
against its limits when it is read, and the fit is made again from the bands in it.
"""

from __future__ import annotations

import datetime as dt
import errno
import tomllib
from pathlib import Path

import msgspec

from gateway.spectra.calibrate import check_fit
from gateway.spectra.calibration import Calibration
from gateway.spectra.errors import FormatError, SpectraError
from gateway.spectra.response import ResponseCurve

BYTES_MAX = 65_536
"""With the longest intensity correction it has 20 kB."""

NUMBERS = (
    *("offset_cm1", "stretch", "pivot_cm1", "uncertainty_cm1", "resolution_cm1"),
    "residual_cm1_rms",
)

SOURCES = {"header": "the file's own words", "option": "--measured", "file": "the file's time"}
"""How the time of the measurement is known -> in words, for the comment."""


def save_calibration(found: Calibration, path: Path) -> None:
    """Write a calibration as TOML, through a temporary file.

    Raises:
        OSError: it cannot be written.
        SpectraError: it could not be read again.
    """
    _check(found)
    lines = [
        "# Calibration of an instrument, by `harmattan calibrate`; `harmattan docs calibration`.",
        f"standard_id = {_quoted(found.standard_id)}",
        f"instrument = {_quoted(found.instrument)}"
        + ("" if found.instrument else "  # not stated"),
        f"measured_ms = {found.measured_ms}  # {told_time(found)}",
        f"measured_from = {_quoted(found.measured_from)}",
    ]
    if found.excitation_nm is not None:
        lines.append(f"excitation_nm = {found.excitation_nm!r}")
    lines += [f"{key} = {getattr(found, key)!r}" for key in NUMBERS]
    lines += [
        f"bands = {[list(pair) for pair in found.bands]!r}",
        f"sigmas_cm1 = {list(found.sigmas_cm1)!r}",
        f"range_cm1 = {list(found.range_cm1)!r}",
    ]
    if found.response is not None and found.response_id is not None:
        curve = found.response
        lines.append(f"response_id = {_quoted(found.response_id)}")
        if found.response_ms is not None:
            lines.append(f"response_ms = {found.response_ms}")
        lines += [
            "[response]",
            f"response_id = {_quoted(curve.response_id)}",
            f"excitation_nm = {curve.excitation_nm!r}",
            f"low_cm1 = {curve.low_cm1!r}",
            f"factors = {list(curve.factors)!r}",
        ]
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(path))
    temporary = path.with_name(path.name + ".new")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.replace(path)


def load_calibration(path: Path) -> Calibration:
    """Read a saved calibration.

    Raises:
        OSError: the file cannot be opened.
        FormatError: it is none; names the file, the key and what is wrong with it.
    """
    with path.open("rb") as source:
        content = source.read(BYTES_MAX + 1)
    if len(content) > BYTES_MAX:
        raise FormatError(
            f"{path}: larger than {BYTES_MAX} bytes; give a file of `harmattan calibrate --save`"
        )
    try:
        table = tomllib.loads(content.decode())
        for known, part in ((Calibration, table), (ResponseCurve, table.get("response", {}))):
            keys = set(part) if isinstance(part, dict) else set()
            strange = sorted(keys - set(known.__struct_fields__))
            if strange:
                raise FormatError(
                    f"{strange[0][:40]!r} is no key of a calibration; save the calibration again"
                )
        found = msgspec.convert(table, Calibration)
        _check(found)
    except msgspec.ValidationError as error:
        raise FormatError(f"{path}: {error}; save the calibration again") from error
    except SpectraError as error:
        raise FormatError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not valid TOML: {error}; save the calibration again") from error
    return found


def _check(found: Calibration) -> None:
    """Insist on what a calibration must say to be used on files.

    Raises:
        SpectraError: names the key, its value and the remedy.
    """
    found.check()
    check_fit(found)
    if found.measured_ms is None or found.measured_from not in SOURCES:
        raise FormatError(
            f"calibration: measured_ms = {found.measured_ms}, measured_from = "
            f"{found.measured_from!r}: when the standard was measured is not known; calibrate "
            "again with --measured DATE"
        )


def told_time(found: Calibration) -> str:
    """When the standard was measured, and how that is known."""
    if found.measured_ms is None or found.measured_from not in SOURCES:
        return "at an unknown time"
    moment = dt.datetime.fromtimestamp(found.measured_ms / 1_000, dt.UTC)
    return f"{moment:%Y-%m-%d %H:%M} UTC, by {SOURCES[found.measured_from]}"


def _quoted(text: str) -> str:
    """Return text as a basic string of TOML."""
    return msgspec.json.encode(text).decode()
