"""The bands of a measured specimen, as they enter a library. Pure.

Finding them takes as long as judging a reading, so whoever loads many specimens may remember what
was found; what is remembered is the very numbers, and the library made of them the very library.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gateway.spectra.bands import measure_bands
from gateway.spectra.errors import LibraryError
from gateway.spectra.prepare import prepare
from gateway.spectra.specimen import Specimen

STRONGEST_CM1_MAX = 2_000.0
"""Heights are relative to the strongest band up to here, as in the tables."""

SNR_MIN = 10.0
REL_MIN = 0.02
BANDS_MAX = 24
"""Of a specimen's bands only those are taken that another instrument would show too."""

REL_RANGE = (0.001, 1.0)
FWHM_CM1_RANGE = (1.0, 300.0)
"""As in the tables."""


class Fit(NamedTuple):
    """One band of a specimen, without the instrument's own width.

    Attributes:
        shift_cm1: position.
        rel_intensity: height over the strongest band between 200 and 2000 cm^-1, 0.001 to 1.
        fwhm_cm1: 1 to 300.
    """

    shift_cm1: float
    rel_intensity: float
    fwhm_cm1: float


def fit_bands(specimen: Specimen) -> tuple[Fit, ...]:
    """The clear bands of a specimen, by rising shift, 1 to BANDS_MAX of them.

    Raises:
        SpectrumError: its range or sampling cannot be used.
        LibraryError: it shows no clear band.
    """
    prepared = prepare(specimen.spectrum())
    found = measure_bands(prepared)
    top = float(found.height[found.shift_cm1 <= STRONGEST_CM1_MAX].max(initial=0.0))
    clear = (found.snr >= SNR_MIN) & (found.height >= REL_MIN * top) & (found.height > 0.0)
    kept = np.flatnonzero(clear)[np.argsort(-found.height[clear])][:BANDS_MAX]
    if not kept.size or top <= 0.0:
        raise LibraryError(
            f"specimen {specimen.specimen_id} shows no clear band up to {STRONGEST_CM1_MAX:g}"
            " cm^-1; measure again, longer and with that range"
        )
    width = np.sqrt(np.maximum(found.fwhm_cm1**2 - prepared.resolution_cm1**2, 4.0))
    fits = [
        Fit(
            shift_cm1=float(found.shift_cm1[i]),
            rel_intensity=float(np.clip(found.height[i] / top, *REL_RANGE)),
            fwhm_cm1=float(np.clip(width[i], *FWHM_CM1_RANGE)),
        )
        for i in kept
    ]
    return tuple(sorted(fits))
