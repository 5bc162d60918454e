"""How long one identification takes, absolutely and against a plain least-squares fit beside it.

With `--rates` it measures instead how often listed and harmless goods get which verdict, in the
forward model of the tests; `docs/detection.md` quotes that table.

The peer is one `scipy.optimize.nnls` of the same spectrum against the whole library rendered on the
same grid: the least that any method fitting a mixture from a library has to do.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from gateway.screening.rules import screen
from gateway.screening.watchlists import load_watchlists
from gateway.spectra.library import Library, load_library
from gateway.spectra.match import identify
from gateway.spectra.mixture import band_shape
from gateway.spectra.prepare import prepare
from gateway.spectra.spectrum import Spectrum
from simulators.forward import CONTAINERS
from simulators.forward import measure as measure_in_tests

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
RATE_SNRS = (12.0, 30.0, 100.0, 300.0)
RATE_KINDS: dict[str, float | None] = {
    "listed": None,
    "listed 1:1 with harmless": 1.0,
    "listed 1:2 with harmless": 0.5,
    "listed 1:5 with harmless": 0.2,
    "harmless": None,
    "harmless with harmless": 0.5,
}


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


def rates(draws: int = 4) -> dict[str, dict[str, int]]:
    """Count verdicts on goods whose bands deviate from the tables as real ones do.

    Args:
        draws: measurements of each substance at each signal-to-noise ratio.

    Returns:
        Kind of goods and ratio -> verdict -> count. "alarm, other" names the wrong substance.
    """
    library, lists = load_library(), load_watchlists()
    listed = [name for name in library.active_ids if name in lists.substance_ids]
    harmless = [
        name
        for name in library.active_ids
        if name not in lists.substance_ids
        and library[name].category not in ("drug", "related", "packaging")
    ]
    table: dict[str, dict[str, int]] = {}
    rng = np.random.default_rng(SEED)
    for snr in RATE_SNRS:
        for kind, part in RATE_KINDS.items():
            counts: Counter[str] = Counter()
            for name in harmless if kind.startswith("harmless") else listed:
                for draw in range(draws):
                    other = harmless[int(rng.integers(len(harmless)))]
                    mixture = {name: 1.0} if part is None else {name: part, other: 1.0}
                    spectrum = measure_in_tests(
                        library, mixture, snr, rng, container=CONTAINERS[draw % len(CONTAINERS)]
                    )
                    verdict = screen(identify(spectrum, library), lists, library)
                    named = verdict.parameters.get("substance_ids", ())
                    wrong = verdict.verdict == "alarm" and name not in str(named)
                    counts["alarm, other" if wrong else verdict.verdict] += 1
            table[f"{kind}, signal to noise {snr:g}"] = dict(sorted(counts.items()))
    return table


if __name__ == "__main__":
    print(json.dumps(rates() if "--rates" in sys.argv else measure(), indent=2))
