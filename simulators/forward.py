"""A small forward model of a Raman measurement: tables in, noisy spectrum out.

It is written apart from the library's own rendering and makes the errors the tables admit: band
heights off by a factor of two, positions anywhere in their window, widths off by 30 %, an axis
error, a container, fluorescence and shot noise. Everything is drawn from the generator handed in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.spectra.library import Library
from gateway.spectra.spectrum import FloatArray, Spectrum

CONTAINERS = ("none", "ldpe", "pp", "pet", "glass_borosilicate")


@dataclass(frozen=True)
class World:
    """How wrong the world is compared with the tables.

    Attributes:
        height_spread: standard deviation of ln(height factor), cut at a factor of two.
        width_spread: half-width of the uniform width error, as a share.
        position_share: positions are uniform within this share of their uncertainty.
        axis_error_cm1: half-width of the uniform constant axis error.
        resolution_cm1: instrument line width (FWHM).
        fluorescence: background height over the strongest band.
    """

    height_spread: float = 0.4
    width_spread: float = 0.3
    position_share: float = 1.0
    axis_error_cm1: float = 2.0
    resolution_cm1: float = 8.0
    fluorescence: float = 1.0


def pure(
    library: Library,
    substance_id: str,
    axis_cm1: FloatArray,
    world: World,
    rng: np.random.Generator,
) -> FloatArray:
    """Light of one specimen of a substance, shape (n,), strongest band near 1."""
    light = np.zeros_like(axis_cm1)
    for band in library[substance_id].bands:
        factor = np.exp(np.clip(rng.normal(0.0, world.height_spread), -np.log(2), np.log(2)))
        place = band.shift_cm1 + world.position_share * band.uncertainty_cm1 * rng.uniform(-1, 1)
        width = band.fwhm_cm1 * (1.0 + world.width_spread * rng.uniform(-1, 1))
        light += band.rel_intensity * factor * _voigt(axis_cm1, place, width, world.resolution_cm1)
    return light


def _voigt(axis_cm1: FloatArray, place: float, lorentz: float, gauss: float) -> FloatArray:
    """Band of height 1: Lorentzian of width `lorentz` seen by a Gaussian line of width `gauss`."""
    width = np.hypot(lorentz, gauss)
    part = lorentz**2 / (lorentz**2 + gauss**2)
    x = 2.0 * (axis_cm1 - place) / width
    shape: FloatArray = part / (1.0 + x * x) + (1.0 - part) * np.exp(-np.log(2.0) * x * x)
    return shape


def measure(
    library: Library,
    mixture: dict[str, float],
    snr: float,
    rng: np.random.Generator,
    world: World | None = None,
    container: str = "none",
) -> Spectrum:
    """Measure a mixture with a 785 nm instrument of 1024 pixels, 250 to 2000 cm^-1.

    Args:
        library: the band tables.
        mixture: substance_id -> height of its strongest band relative to the others.
        snr: height of the strongest band of the mixture over the shot noise beneath it.
        rng: source of all chance.
        world: errors of the world.
        container: one of CONTAINERS; adds 0.15 to 0.5 of the strongest band.
    """
    world = world or World()
    true_axis = 1e7 / 785.0 - 1e7 / np.linspace(800.71, 931.2, 1024)
    light = np.zeros_like(true_axis)
    for substance_id, height in mixture.items():
        light += height * pure(library, substance_id, true_axis, world, rng)
    if container != "none":
        light += rng.uniform(0.15, 0.5) * pure(library, container, true_axis, world, rng)
    x = (true_axis - true_axis[0]) / np.ptp(true_axis)
    hump = np.exp(-0.5 * ((x - rng.uniform(-0.2, 0.8)) / rng.uniform(0.4, 0.8)) ** 2)
    smooth = 0.1 + hump + rng.uniform(0, 0.3) * x + rng.uniform(0, 0.3) * x**2
    background = world.fluorescence * rng.uniform(0.3, 1.0) * smooth
    top = max(light.max(), 1e-9)
    # Counts such that top / sqrt(top + background beneath) equals the wanted ratio.
    scale = snr**2 * (1.0 + float(background.mean()) / top) / top if light.any() else snr**2
    counts = rng.poisson((light + background) * scale) + rng.normal(0.0, 3.0, true_axis.size)
    shown = true_axis + world.axis_error_cm1 * rng.uniform(-1, 1)
    return Spectrum(
        axis_cm1=shown,
        intensity_counts=counts,
        resolution_cm1=world.resolution_cm1,
        axis_uncertainty_cm1=2.0,
        shot_noise_known=True,
    )
