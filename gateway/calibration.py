"""`harmattan calibrate FILE`: set an axis by a standard in a file, and keep or use the result.

What file and person say of the measurement (instrument, time, laser) is kept with it: it decides
later whether the calibration may be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from gateway.calibration_file import load_calibration, save_calibration, told_time
from gateway.errors import GatewayError
from gateway.sample import Axis, Basis, Sample, is_future, read_sample, reason_of
from gateway.spectra.calibrate import calibrate
from gateway.spectra.calibration import Calibration
from gateway.spectra.errors import CalibrationError, FormatError, LibraryError, SpectraError
from gateway.spectra.kind import axis_fault
from gateway.spectra.origin import (
    TEXT_CHARS_MAX,
    Origin,
    is_same_instrument,
    is_same_laser,
    parse_time,
)
from gateway.spectra.response import (
    CERTIFICATE_BYTES_MAX,
    measure_response,
    read_certificate,
)
from gateway.spectra.standards import find_standard

STATUS_VALID = 0
STATUS_FAILED = 1  # the standard was measured, and does not set the axis
STATUS_UNREADABLE = 2  # nothing could be measured or read


@dataclass(frozen=True, slots=True)
class Said:
    """What the person says of the measurement; each part empty when nothing.

    Attributes:
        instrument: model and serial number.
        measured: date, with or without time.
        axis: unit and laser.
    """

    instrument: str = ""
    measured: str = ""
    axis: Axis | None = None


def run_files(
    file: Path,
    standard: str,
    *,
    said: Said,
    as_json: bool,
    save: Path | None,
    response: tuple[Path, Path] | None,
    console: Console,
) -> int:
    """Calibrate by a standard in a file and say what came of it.

    Args:
        file: spectrum of the standard.
        standard: its name.
        said: what the person says of it.
        as_json: one JSON object instead of text.
        save: where to keep the calibration; None = nowhere.
        response: certificate and spectrum of its glass, for the intensity correction; None = none.
        console: where to print.

    Returns:
        0 valid, 1 the calibration failed, 2 a file cannot be read or the standard is unknown.
    """
    name = file  # of the file at work, for what is said when it fails
    try:
        found = calibrate_file(file, standard, said)
        if response is not None:
            name = response[1]
            found = add_response(found, *response, said.axis)
        if save is not None:
            name = save
            save_calibration(found, save)
    except CalibrationError as error:
        show_fault(standard, error.fault, f"{file}: {error}", console, as_json=as_json)
        return STATUS_FAILED
    except LibraryError as error:
        show_fault(standard, "unknown_standard", f"--standard: {error}", console, as_json=as_json)
        return STATUS_UNREADABLE
    except (SpectraError, OSError) as error:
        show_fault(standard, "unreadable", _told(name, error), console, as_json=as_json)
        return STATUS_UNREADABLE
    show(found, console, as_json=as_json)
    return STATUS_VALID


def calibrate_file(file: Path, standard: str, said: Said | None = None) -> Calibration:
    """Return the calibration by a standard's spectrum in a file.

    Raises:
        OSError: the file cannot be opened.
        CalibrationError: it does not set the axis.
        SpectraError: it is no spectrum, or there is no such standard.
    """
    known = said or Said()
    sample = read_sample(file, axis=known.axis)
    chosen = find_standard(standard)
    _check_axis(sample)
    return calibrate(sample.spectrum, chosen, origin=_origin(sample.origin, known))


def add_response(
    found: Calibration, certificate: Path, glass: Path, axis: Axis | None = None
) -> Calibration:
    """Return the calibration with the intensity correction by a certified glass.

    Raises:
        OSError: a file cannot be opened.
        SpectraError: one of them cannot be used, or they are of other instruments or lasers.
    """
    try:
        stated = read_certificate(read_certificate_text(certificate))
    except SpectraError as error:
        raise FormatError(f"{error} (file {certificate})") from error
    sample = read_sample(glass, axis=axis)
    _check_axis(sample)
    origin = sample.origin
    if (
        found.instrument
        and origin.instrument
        and not is_same_instrument(found.instrument, origin.instrument)
    ):
        raise FormatError(
            f"is of instrument {origin.instrument!r}, the standard of {found.instrument!r}; "
            "measure both with one instrument"
        )
    ours, theirs = found.excitation_nm, origin.excitation_nm
    if ours and theirs and not is_same_laser(ours, theirs):
        raise FormatError(
            f"was measured with {theirs:g} nm, the standard with {ours:g} nm; measure both with "
            "one laser"
        )
    laser_nm = theirs or ours
    curve = measure_response(stated, found.correct(sample.spectrum), laser_nm)
    return msgspec.structs.replace(
        found,
        excitation_nm=ours or theirs,
        response=curve,
        response_id=curve.response_id,
        response_ms=origin.measured_ms,
    )


def read_certificate_text(path: Path) -> str:
    """Return the text of a certificate's file, bounded.

    Raises:
        OSError: it cannot be opened.
    """
    with path.open("rb") as source:
        return source.read(CERTIFICATE_BYTES_MAX + 1).decode("utf-8", errors="replace")


def for_files(calibrate_with: str, calibration: Path | None, days_max: int) -> Basis | None:
    """Return the calibration that files are to be identified with; None when none is asked for.

    Args:
        calibrate_with: `STANDARD=FILE`, or empty.
        calibration: a saved calibration, or None.
        days_max: an older one counts no more.

    Raises:
        GatewayError: both are given, or a file cannot be read.
    """
    if calibrate_with and calibration is not None:
        raise GatewayError("--calibrate-with and --calibration are two; give one of them")
    if calibration is not None:
        try:
            return Basis(load_calibration(calibration), days_max=days_max)
        except (SpectraError, OSError) as error:
            raise GatewayError(f"--calibration {_told(calibration, error)}") from error
    if not calibrate_with:
        return None
    standard, mark, name = calibrate_with.partition("=")
    if not mark or not name or not standard:
        raise GatewayError(
            f"--calibrate-with {calibrate_with[:80]!r}: write STANDARD=FILE, for example "
            "cyclohexane=standard.csv"
        )
    try:
        return Basis(calibrate_file(Path(name), standard), days_max=days_max)
    except CalibrationError as error:
        text = f"--calibrate-with {standard}={name}: {error}; until then nothing is certain"
        return Basis(None, error.fault, find_standard(standard).standard_id, text, days_max)
    except (SpectraError, OSError) as error:
        raise GatewayError(f"--calibrate-with {standard}={_told(Path(name), error)}") from error


def _told(file: Path, error: Exception) -> str:
    """What went wrong with a file, beginning with its name."""
    if isinstance(error, OSError):
        return f"{error.filename or file}: {reason_of(error)}"
    text = str(error)
    return text if text.startswith(str(file)) else f"{file}: {text}"


def _check_axis(sample: Sample) -> None:
    """Raise FormatError when the axis need not be a Raman shift and nobody says that it is."""
    if sample.axis_stated:
        return
    axis = sample.spectrum.axis_cm1
    why = axis_fault(axis)
    if why == "wavelength":
        raise FormatError(
            f"the axis, {axis[0]:g} to {axis[-1]:g}, can be wavelengths in nm beside a laser "
            "or shifts in cm-1; say which with --axis-unit nm --laser-nm WAVELENGTH, or "
            "--axis-unit cm-1"
        )
    if why:
        raise FormatError(
            f"the axis, {axis[0]:g} to {axis[-1]:g}, counts a {why.rstrip('s')} and no Raman "
            "shift; export with Raman shift in cm-1, or say --axis-unit cm-1 if it is one"
        )


def _origin(origin: Origin, said: Said) -> Origin:
    """What is known of a measurement, completed by what the person says.

    Raises:
        FormatError: the person's words cannot be used, or contradict the file's.
    """
    known = origin
    if said.instrument:
        name = " ".join(said.instrument.split())
        if not name.isprintable() or len(name) > TEXT_CHARS_MAX:
            raise FormatError(
                f"--instrument {name[:40]!r}: use at most {TEXT_CHARS_MAX} printable characters"
            )
        if origin.instrument and not is_same_instrument(origin.instrument, name):
            raise FormatError(
                f"the file says that it is of instrument {origin.instrument!r}, --instrument says "
                f"{name!r}; leave the option out, or give the file of this instrument"
            )
        known = msgspec.structs.replace(known, instrument=name)
    if said.measured:
        measured_ms = parse_time(said.measured)
        if measured_ms is None:
            raise FormatError(
                f"--measured {said.measured[:40]!r}: write a date from 1990 on, year first, such "
                "as 2026-11-20 or 2026-11-20T08:30"
            )
        if is_future(measured_ms):
            raise FormatError(
                f"--measured {said.measured[:40]!r} lies in the future; give the day on which the "
                "standard was measured"
            )
        known = msgspec.structs.replace(
            known, measured_ms=measured_ms, measured_from="option", unread_date=""
        )
    return known


def show(found: Calibration, console: Console, *, as_json: bool) -> None:
    """Say what a calibration found."""
    if as_json:
        line = msgspec.json.encode({"state": "valid", **as_record(found)}).decode()
        console.out(line, highlight=False)
        return
    console.print(Text(f"{found.standard_id}: valid", style="bold green"))
    stretch = f", stretch {100 * found.stretch:+.3f} %" if found.stretch else ""
    way = "high" if found.offset_cm1 >= 0.0 else "low"
    console.print(
        Text(
            f"the axis reads {abs(found.offset_cm1):.2f} cm-1 too {way} at {found.pivot_cm1:.0f}"
            f" cm-1{stretch}; corrected, it is right to within {found.uncertainty_cm1:.1f} cm-1"
        )
    )
    console.print(
        Text(
            f"{len(found.bands)} bands, {found.residual_cm1_rms:.2f} cm-1 r.m.s. from their places;"
            f" resolution {found.resolution_cm1:.1f} cm-1"
            + (f"; intensity by {found.response_id}" if found.response_id else "")
        )
    )
    when = "by the post's clock" if found.measured_from == "post" else told_time(found)
    laser = f"laser {found.excitation_nm:g} nm" if found.excitation_nm else "laser not stated"
    console.print(Text(f"measured {when}; instrument {found.instrument or 'not stated'}; {laser}"))


def show_fault(standard: str, fault: str, text: str, console: Console, *, as_json: bool) -> None:
    """Say why there is no calibration."""
    if as_json:
        record = {"state": "failed", "standard_id": standard, "fault": fault, "error": text}
        console.out(msgspec.json.encode(record).decode(), highlight=False)
        return
    console.print(Text(f"{standard}: {fault}", style="bold red"))
    console.print(Text(text))


def as_record(found: Calibration) -> dict[str, Any]:
    """Return a calibration for JSON, the curve of the response left out."""
    record: dict[str, Any] = msgspec.to_builtins(found)
    record.pop("response")
    return record
