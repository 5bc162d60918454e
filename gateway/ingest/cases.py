"""A reading with all that a verdict or a calibration is made from, and the two evaluations of it.

They run in the judges' thread: no journal, no clock, only what was gathered before.
"""

import dataclasses
import struct
from pathlib import Path

import apsw
import msgspec
import numpy as np

from gateway import wire
from gateway.ingest.glass import GlassError, evaluate_glass
from gateway.ingest.knowledge import Known
from gateway.journal import calibrations, records, responses
from gateway.journal.darks import read_dark
from gateway.journal.dating import Moment, age_base_ms, came_ms, read_moment
from gateway.screening.frame import Frame, FrameError
from gateway.screening.judge import Verdict, judge
from gateway.screening.standing import Standing, Trial, choose, correct_intensity
from gateway.settings import Settings, SpectraSettings
from gateway.spectra.axis import AxisRecord
from gateway.spectra.calibrate import Calibration, calibrate
from gateway.spectra.errors import CalibrationError, LibraryError, SpectraError
from gateway.spectra.origin import Origin
from gateway.spectra.response import ResponseCurve
from gateway.spectra.standards import STANDARD_DEFAULT, find_standard


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """All that a verdict is made from.

    Attributes:
        order: place of the reading among all readings.
        moment: when it was measured.
        standard: what its command named, else what the node's settings say.
        kept: calibrations of its axis around it.
        response: intensity correction of its axis; None = never measured.
    """

    order: int
    received_ms: int
    moment: Moment
    reading: wire.Reading
    birth: wire.Birth | None
    dark: wire.Reading | None
    standard: str
    kept: tuple[calibrations.Kept, ...]
    response: calibrations.Kept | None = None

    @property
    def measured_ms(self) -> int:
        """When it was measured, Unix milliseconds; where nobody knows, when it came.

        Ages are counted from it: a backlog of days arrives within a minute.
        """
        return age_base_ms(self.moment, self.reading.time_quality, self.received_ms)

    @property
    def instrument(self) -> str:
        """Model and serial number, as far as the node has said."""
        return axis_record(self.birth).instrument.strip() if self.birth else ""


def axis_record(birth: wire.Birth) -> AxisRecord:
    """Return the axis that a birth describes."""
    count = len(birth.coefficients_f32le) // 4
    return AxisRecord(
        coefficients_nm=struct.unpack(f"<{count}f", birth.coefficients_f32le),
        pixel_count=birth.pixel_count,
        excitation_nm=birth.excitation_pm / 1_000,
        resolution_cm1=birth.resolution_mcm1 / 1_000,
        full_scale_counts=birth.full_scale_counts,
        instrument=f"{birth.instrument_model} {birth.instrument_serial}",
    )


def gather(
    connection: apsw.Connection,
    settings: Settings,
    pending: records.Pending,
    reading: wire.Reading,
) -> Case:
    """Return a reading with what the journal has about it."""
    node = pending.node
    usual = next((entry.standard for entry in settings.nodes if entry.id == node), STANDARD_DEFAULT)
    ordered = calibrations.read_order(connection, node, reading.inspection_id)
    return Case(
        order=pending.record_id,
        received_ms=came_ms(connection, pending.received_ms),
        moment=read_moment(connection, node, reading, pending.received_ms),
        reading=reading,
        birth=records.read_axis_birth(connection, node, reading.axis_id),
        dark=read_dark(connection, node, reading),
        standard=ordered or usual,
        kept=calibrations.read_around(connection, node, reading.axis_id, pending.record_id),
        response=responses.read_response(connection, node, reading.axis_id, pending.record_id),
    )


def evaluate(case: Case, known: Known, spectra: SpectraSettings) -> Verdict:
    """Judge a reading with what is known; numpy lets the loop go on meanwhile."""
    return judge(
        _counts(case.reading),
        axis=axis_record(case.birth) if case.birth else None,
        dark_counts=_counts(case.dark) if case.dark else None,
        full_scale_counts=case.reading.full_scale_counts,
        flags=case.reading.flags,
        library=known.library,
        watchlists=known.watchlists,
        standing=_standing(case, spectra),
    )


def evaluate_standard(case: Case) -> calibrations.Kept:
    """Calibrate by a node's measured standard; a fault is part of the answer."""
    frame = _frame(case)
    try:
        standard = find_standard(case.standard)
    except LibraryError as error:
        return failed(case, "unknown_standard", str(error))
    try:
        found = calibrate(
            frame.as_spectrum(0.0),
            standard,
            origin=Origin(
                instrument=case.instrument,
                measured_ms=case.measured_ms,
                measured_from="post",
                excitation_nm=frame.axis.excitation_nm if frame.axis else None,
            ),
        )
    except FrameError as error:
        text = f"the reading of {case.standard} cannot be used ({error}); measure it again"
        return failed(case, error.reason_id, text)
    except CalibrationError as error:
        return failed(case, error.fault, str(error))
    except SpectraError as error:
        return failed(case, "bad_reading", str(error))
    body = msgspec.json.encode(found)
    return calibrations.Kept(case.order, case.measured_ms, found.standard_id, "", "", body)


def evaluate_response(case: Case, settings: Settings) -> calibrations.Kept:
    """Make a node's intensity correction from its glass; a fault is part of the answer."""
    standing = _standing(case, settings.spectra)
    try:
        curve = evaluate_glass(case.standard, Path(settings.directory), _frame(case), standing)
    except GlassError as error:
        return failed(case, error.fault, str(error))
    body = msgspec.json.encode(curve)
    return calibrations.Kept(case.order, case.measured_ms, case.standard, "", "", body)


def failed(case: Case, fault: str, text: str) -> calibrations.Kept:
    """What is kept of a standard that could not be used."""
    return calibrations.Kept(case.order, case.measured_ms, case.standard, fault, text, b"")


def _standing(case: Case, limits: SpectraSettings) -> Standing:
    """Return the calibration and the intensity correction that a reading stands on."""
    found = choose(
        [_trial(kept) for kept in case.kept],
        order=case.order,
        measured_ms=case.measured_ms,
        days_max=limits.calibration_days_max,
        axis_uncertainty_cm1=limits.axis_uncertainty_cm1,
        instrument=case.instrument,
        standard=case.standard,
    )
    if case.response is None or case.birth is None:
        return found
    return correct_intensity(
        found,
        msgspec.json.decode(case.response.body, type=ResponseCurve),
        excitation_nm=axis_record(case.birth).excitation_nm,
        age_s=abs(case.measured_ms - case.response.measured_ms) / 1_000,
        days_max=limits.response_days_max,
    )


def _frame(case: Case) -> Frame:
    """Return what the node sent, as judging and calibrating read it."""
    return Frame(
        _counts(case.reading),
        axis_record(case.birth) if case.birth else None,
        _counts(case.dark) if case.dark else None,
        case.reading.full_scale_counts,
    )


def _trial(kept: calibrations.Kept) -> Trial:
    """Return a kept calibration as the rules look at it."""
    fault, found = kept.fault, None
    try:
        found = msgspec.json.decode(kept.body, type=Calibration) if kept.body else None
    except msgspec.DecodeError:
        fault = "unreadable"
    return Trial(kept.record_id, kept.measured_ms, kept.standard_id, fault, found)


def _counts(reading: wire.Reading) -> "np.ndarray[tuple[int], np.dtype[np.uint16]]":
    """Return the pixels, shape (n_pixel,), counts."""
    return np.frombuffer(reading.pixels_u16le, dtype="<u2")
