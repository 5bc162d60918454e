"""Judge a node's reading: raw counts in, a verdict out, whatever the counts are.

Nothing a node can send raises here. What cannot be evaluated is "inconclusive" with a named reason,
because a reading that vanished in an exception would be a missed alarm.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.screening.doubt import doubted
from gateway.screening.rules import screen
from gateway.screening.verdict import ListRecord, Parameter, Verdict
from gateway.screening.watchlists import Watchlists
from gateway.spectra.axis import AxisRecord, raman_axis_cm1
from gateway.spectra.errors import AxisError, SpectraError
from gateway.spectra.library import Library
from gateway.spectra.match import identify
from gateway.spectra.quality import findings, measure_condition
from gateway.spectra.spectrum import (
    RESOLUTION_CM1_MAX,
    RESOLUTION_CM1_MIN,
    BoolArray,
    FloatArray,
    Spectrum,
)

FLAG_SATURATED = 1
FLAG_INTERRUPTED = 2
FLAG_UNVERIFIED = 4
"""Bits of a reading's flags, protocol/SPEC.md."""

Counts = NDArray[np.integer[Any]]

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
    axis_uncertainty_cm1: float = 2.0,
) -> Verdict:
    """Judge one reading.

    Args:
        pixels_counts: shape (n_pixel,), raw detector counts.
        axis: what the node said about its instrument; None = it has not said anything yet.
        dark_counts: shape (n_pixel,), the same exposure without laser; None = none taken.
        full_scale_counts: count at which a pixel is full; 0 = as the axis record says.
        flags: 1 saturated, 2 interrupted, 4 unverified checksum.
        library: band tables.
        watchlists: lists in force.
        axis_uncertainty_cm1: half-width of the axis error that may remain.

    Returns:
        The verdict; inconclusive with a named reason when the reading cannot be evaluated.
    """
    if axis is None:
        return unjudged("no_axis", library, watchlists)
    pixels = np.atleast_1d(np.asarray(pixels_counts))
    for frame in (pixels, dark_counts):
        if frame is not None and np.shape(frame) != (axis.pixel_count,):
            return unjudged(
                "wrong_pixel_count",
                library,
                watchlists,
                pixel_count=int(np.size(frame)),
                expected_count=axis.pixel_count,
            )
    try:
        shift = raman_axis_cm1(axis.coefficients_nm, axis.pixel_count, axis.excitation_nm)
    except AxisError:
        return unjudged("bad_axis", library, watchlists)
    full_scale = full_scale_counts or axis.full_scale_counts
    saturated = _saturated(pixels, dark_counts, full_scale)
    counts: FloatArray = pixels.astype(np.float64)
    if dark_counts is not None:
        counts = counts - np.asarray(dark_counts, dtype=np.float64)
    known = RESOLUTION_CM1_MIN <= axis.resolution_cm1 <= RESOLUTION_CM1_MAX
    try:
        spectrum = Spectrum(
            axis_cm1=shift,
            intensity_counts=counts,
            saturated=saturated,
            resolution_cm1=axis.resolution_cm1 if known else None,
            axis_uncertainty_cm1=axis_uncertainty_cm1,
            shot_noise_known=True,
        )
        condition = measure_condition(
            shift,
            pixels.astype(np.float64),
            dark_counts=dark_counts,
            saturated=saturated,
            full_scale_counts=full_scale,
            resolution_cm1=spectrum.resolution_cm1,
            raw=True,
        )
        identification = identify(spectrum, library)
    except SpectraError:
        return unjudged("bad_reading", library, watchlists)
    unsure = bool(flags & (FLAG_INTERRUPTED | FLAG_UNVERIFIED))
    verdict = screen(identification, watchlists, library, interrupted=unsure)
    verdict = doubted(verdict, findings(condition))
    if verdict.verdict == "clear" and flags & FLAG_SATURATED and not saturated.any():
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


def _saturated(pixels: Counts, dark: Counts | None, full_scale_counts: int) -> BoolArray:
    """Pixels that were full in the reading or in its dark frame, shape (n_pixel,)."""
    if full_scale_counts <= 0:
        return np.zeros(pixels.shape, dtype=np.bool_)
    full: BoolArray = pixels >= full_scale_counts
    if dark is not None:
        full = full | (np.asarray(dark) >= full_scale_counts)
    return full
