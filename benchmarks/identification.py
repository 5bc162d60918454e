"""How long one identification takes, absolutely and against a plain least-squares fit beside it.

The peer is one `scipy.optimize.nnls` of the same spectrum against the whole library rendered on the
same grid: the least that any method fitting a mixture from a library has to do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from gateway.spectra.library import Library, load_library
from gateway.spectra.match import identify
from gateway.spectra.mixture import band_shape
from gateway.spectra.prepare import prepare
from gateway.spectra.spectrum import Spectrum

MIXTURES: tuple[dict[str, float], ...] = (
    {"sucrose": 1.0},
    {"sodium_carbonate_monohydrate": 1.0},
    {"ammonium_nitrate": 1.0, "ldpe": 0.3},
    {"potassium_chlorate": 1.0, "sucrose": 1.0},
    {"acetone": 1.0, "pet": 0.3},
    {"citric_acid": 1.0, "lactose_h2o": 0.5, "pp": 0.3},
    {},
)
PIXELS = 1024
RESOLUTION_CM1 = 8.0
COUNTS_TOP = 30_000.0
COUNTS_BACKGROUND = 4_000.0
ROUNDS = 10
SEED = 20


def measure() -> dict[str, Any]:
    """Time identification of several spectra.

    Returns:
        Milliseconds per spectrum (median and 95th percentile), the peer's median, their ratio, and
        the time of the first spectrum of a new instrument, which renders the library.
    """
    library = load_library()
    spectra = _spectra(library)
    first = _milliseconds(partial(identify, spectra[0], library))
    designs = [_design(library, spectrum) for spectrum in spectra]
    times, peer = [], []
    for _ in range(ROUNDS):
        for spectrum, (design, target) in zip(spectra, designs, strict=True):
            times.append(_milliseconds(partial(identify, spectrum, library)))
            peer.append(_milliseconds(partial(nnls, design, target)))
    return {
        "identify_ms_median": round(float(np.median(times)), 2),
        "identify_ms_p95": round(float(np.percentile(times, 95)), 2),
        "first_of_instrument_ms": round(first, 2),
        "peer": "scipy.optimize.nnls of the whole library on the same grid",
        "peer_ms_median": round(float(np.median(peer)), 2),
        "ratio_to_peer": round(float(np.median(times) / np.median(peer)), 2),
        "spectra": len(times),
        "substances": len(library.active_ids),
    }


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def _spectra(library: Library) -> list[Spectrum]:
    """Noisy spectra of a 1024-pixel instrument, 250 to 2000 cm^-1, one per mixture."""
    rng = np.random.default_rng(SEED)
    axis = 1e7 / 785.0 - 1e7 / np.linspace(800.71, 931.2, PIXELS)
    spectra = []
    for mixture in MIXTURES:
        light = _light(library, axis, mixture)
        counts = COUNTS_TOP * light + COUNTS_BACKGROUND * np.exp(-axis / 900.0)
        spectra.append(
            Spectrum(
                axis_cm1=axis,
                intensity_counts=rng.poisson(counts).astype(np.float64),
                resolution_cm1=RESOLUTION_CM1,
                shot_noise_known=True,
            )
        )
    return spectra


def _light(
    library: Library, axis_cm1: NDArray[np.float64], mixture: dict[str, float]
) -> NDArray[np.float64]:
    light = np.zeros_like(axis_cm1)
    for substance_id, height in mixture.items():
        for band in library[substance_id].bands:
            width = float(np.hypot(band.fwhm_cm1, RESOLUTION_CM1))
            light += height * band.rel_intensity * band_shape(axis_cm1, band.shift_cm1, width)
    return light


def _design(
    library: Library, spectrum: Spectrum
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Design matrix, shape (n, s), of the peer and its target, shape (n,)."""
    prepared = prepare(spectrum)
    columns = [_light(library, prepared.grid_cm1, {key: 1.0}) for key in library.active_ids]
    return np.array(columns).T, prepared.signal


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
