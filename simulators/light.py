"""Light of a sample at the pixels of one instrument.

It comes from the project's own band tables, with the deviations from them that a real sample has;
detection is never tested against its own table.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simulators import photons
from simulators.measured import Measured
from simulators.photons import FloatArray, Optics
from simulators.world import CONTAINERS, Sample, Substance

MEASURED_PEAK_RATE = 2500.0  # e-/s/mW at a replayed spectrum's top: 33 000 counts in 400 ms, 100 mW
OPTICS_RATE = 8.0  # e-/s/mW, trace of the probe's own glass
AMBIENT_RATE = 1500.0  # e-/s, stray light of a roofed inspection lane; chosen
GLASS_HUMP_CM1 = 1390.0
GLASS_HUMP_FWHM_CM1 = 420.0


@dataclass(frozen=True, slots=True)
class Scene:
    """Light at the pixels: shape (n_pixel,) each; e-/s/mW of laser, and e-/s without it."""

    laser_rate: FloatArray
    ambient_rate: FloatArray
    notes: tuple[str, ...] = ()


def compose_scene(sample: Sample, optics: Optics, substances: Mapping[str, Substance]) -> Scene:
    """Light of one sample at the pixels of one instrument.

    The same sample (with its seed) deviates from the tables in the same way on every instrument.

    Args:
        sample: checked by `check_sample`.
        optics: the instrument's true optics.
        substances: by id, see `load_substances`.
    """
    axis_cm1 = optics.axis_cm1
    throughput = optics.throughput
    wall = CONTAINERS[sample.container]
    notes: list[str] = []
    curve = np.zeros_like(axis_cm1)
    for component in sample.components:
        substance = substances[component.substance_id]
        bands = photons.perturb_bands(substance.bands, _rng(sample, component.substance_id))
        drawn = photons.render_bands(bands, axis_cm1, optics.resolution_cm1)
        curve += component.fraction * substance.strength * drawn
    rng = _rng(sample, sample.label)
    coupling = float(np.exp(rng.normal(0.0, photons.COUPLING_SIGMA)))
    curve += sample.fluorescence * photons.fluorescence_curve(axis_cm1, rng)
    rate = photons.UNIT_BAND_RATE * coupling * curve
    if sample.measured is not None:
        # A measured spectrum already went through a detector: its rates are taken as they are.
        rate = rate + _replay(sample.measured, axis_cm1, notes) / throughput * optics.pixel_gain
    rate = rate * wall.transmission
    if wall.substance_id:
        bands = photons.perturb_bands(
            substances[wall.substance_id].bands, _rng(sample, f"wall {wall.substance_id}")
        )
        drawn = photons.render_bands(bands, axis_cm1, optics.resolution_cm1)
        rate = rate + photons.UNIT_BAND_RATE * wall.strength * drawn
    hump = photons.gaussian_hump(axis_cm1, GLASS_HUMP_CM1, GLASS_HUMP_FWHM_CM1)
    rate = rate + photons.UNIT_BAND_RATE * wall.hump * hump
    ambient = AMBIENT_RATE * (1.0 - sample.shade)
    rate = rate + OPTICS_RATE * photons.optics_background(axis_cm1)
    return Scene(rate * throughput, ambient * throughput, tuple(notes))


def _rng(sample: Sample, purpose: str) -> np.random.Generator:
    """Randomness that belongs to one sample and one purpose, the same in every run."""
    return np.random.default_rng([sample.seed, zlib.crc32(purpose.encode())])


def _replay(measured: Measured, axis_cm1: FloatArray, notes: list[str]) -> FloatArray:
    """A measured spectrum at the pixels, e-/s/mW; outside its range its edge values go on."""
    low, high = measured.shift_cm1[0], measured.shift_cm1[-1]
    if low > axis_cm1[0] or high < axis_cm1[-1]:
        notes.append(
            f"{measured.name} covers {low:.0f}..{high:.0f} cm-1 of the instrument's "
            f"{axis_cm1[0]:.0f}..{axis_cm1[-1]:.0f}; its edges are continued flat"
        )
    curve = np.interp(axis_cm1, measured.shift_cm1, measured.intensity)
    result: FloatArray = MEASURED_PEAK_RATE * curve
    return result
