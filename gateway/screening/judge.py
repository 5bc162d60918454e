"""Judge a node's reading: raw counts in, a verdict out, whatever the counts are.

Nothing a node can send raises here. What cannot be evaluated is "inconclusive" with a named reason,
because a reading that vanished in an exception would be a missed alarm.
"""

from __future__ import annotations

import numpy as np

from gateway.screening.doubt import doubted
from gateway.screening.frame import Counts, Frame, FrameError
from gateway.screening.rules import screen
from gateway.screening.standing import Standing, hold_back
from gateway.screening.verdict import ListRecord, Parameter, Verdict
from gateway.screening.watchlists import Watchlists
from gateway.spectra.axis import AxisRecord
from gateway.spectra.errors import SpectraError
from gateway.spectra.library import Library
from gateway.spectra.match import identify
from gateway.spectra.quality import findings, measure_condition

FLAG_SATURATED = 1
FLAG_INTERRUPTED = 2
FLAG_UNVERIFIED = 4
FLAG_EMPTY = 8
"""Bits of a reading's flags, protocol/SPEC.md."""

SIGNS = ("not_separable", "listed_possible", "drug_found", "related_found")
"""Reasons that name a substance: an instrument that saw nothing does not take them away."""

__all__ = ["Verdict", "judge", "unjudged"]


def judge(
    pixels_counts: Counts,
    *,
    axis: AxisRecord | None,
    dark_counts: Counts | None,
    full_scale_counts: int,
    flags: int,
    library: Library,
    watchlists: Watchlists,
    standing: Standing,
) -> Verdict:
    """Judge one reading.

    Args:
        pixels_counts: shape (n_pixel,), raw detector counts.
        axis: what the node said about its instrument; None = it has not said anything yet.
        dark_counts: shape (n_pixel,), the same exposure without laser; None = none taken.
        full_scale_counts: count at which a pixel is full; 0 = as the axis record says.
        flags: 1 saturated, 2 interrupted, 4 unverified checksum, 8 empty.
        library: band tables.
        watchlists: lists in force.
        standing: the calibration it stands on, or why there is none.

    Returns:
        The verdict; inconclusive with a named reason when the reading cannot be evaluated, or when
        no calibration is in force.
    """
    frame = Frame(pixels_counts, axis, dark_counts, full_scale_counts)
    verdict = _judge(frame, flags, library, watchlists, standing)
    return hold_back(verdict, standing, watchlists)


def _judge(
    frame: Frame, flags: int, library: Library, watchlists: Watchlists, standing: Standing
) -> Verdict:
    """Judge as if the axis were right to within the standing's uncertainty."""
    try:
        spectrum = frame.as_spectrum(standing.record.uncertainty_cm1)
        if standing.calibration is not None:
            spectrum = standing.calibration.correct(spectrum)
        condition = measure_condition(
            spectrum.axis_cm1,
            np.asarray(frame.pixels_counts, dtype=np.float64),
            dark_counts=frame.dark_counts,
            saturated=spectrum.saturated,
            full_scale_counts=frame.full_scale_counts_in_use,
            resolution_cm1=spectrum.resolution_cm1,
            raw=True,
        )
        identification = identify(spectrum, library)
    except FrameError as error:
        return unjudged(error.reason_id, library, watchlists, **error.parameters)
    except SpectraError:
        return unjudged("bad_reading", library, watchlists)
    unsure = bool(flags & (FLAG_INTERRUPTED | FLAG_UNVERIFIED))
    verdict = screen(identification, watchlists, library, interrupted=unsure)
    verdict = doubted(verdict, findings(condition))
    if flags & FLAG_EMPTY and verdict.verdict != "alarm" and verdict.reason_id not in SIGNS:
        return unjudged("empty", library, watchlists)
    full = spectrum.saturated is not None and spectrum.saturated.any()
    if verdict.verdict == "clear" and flags & FLAG_SATURATED and not full:
        # The instrument knows of saturation that the counts no longer show (averaged scans).
        return unjudged("saturated_scans", library, watchlists)
    return verdict


def unjudged(
    reason_id: str,
    library: Library,
    watchlists: Watchlists | None = None,
    **parameters: Parameter,
) -> Verdict:
    """The verdict on a reading that could not be evaluated: inconclusive, with the reason."""
    return Verdict(
        verdict="inconclusive",
        reason_id=reason_id,
        parameters=parameters,
        hits=(),
        unexplained_cm1=(),
        quality=None,
        library_version=library.version,
        lists=tuple(
            ListRecord(entry.list_id, entry.date.isoformat())
            for entry in (watchlists.lists if watchlists else ())
        ),
    )
