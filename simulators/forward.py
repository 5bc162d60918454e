"""A small forward model of a Raman measurement: tables in, noisy spectrum out.

It is written apart from the library's own rendering and makes the errors the tables admit: band
heights off by a factor of two, positions anywhere in their window, widths off by 30 %, an axis
error, a container, fluorescence and shot noise. Everything is drawn from the generator handed in,
and what a world does not have is not drawn, so that a new fault leaves old seeds as they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gateway.spectra.library import Library
from gateway.spectra.spectrum import FloatArray, Spectrum

CONTAINERS = ("none", "ldpe", "pp", "pet", "glass_borosilicate")

AXIS_CM1: FloatArray = 1e7 / 785.0 - 1e7 / np.linspace(800.71, 931.2, 1024)
"""Axis of a 785 nm instrument of 1024 pixels, 250 to 2000 cm^-1."""

AXIS_CM1.setflags(write=False)

READ_NOISE_COUNTS = 3.0
"""Read noise of a cooled detector, in counts of about one photo-electron."""

RAY_HEIGHT = (0.3, 3.0)
"""Cosmic rays over the strongest band; weaker ones drown, stronger ones are as easily seen."""


@dataclass(frozen=True)
class World:
    """How wrong the world is compared with the tables.

    Attributes:
        height_spread: standard deviation of ln(height factor), cut at a factor of two.
        width_spread: half-width of the uniform width error, as a share.
        position_share: positions are uniform within this share of their uncertainty.
        axis_error_cm1: half-width of the uniform constant axis error.
        axis_uncertainty_cm1: half-width of the axis error as stated to the identification.
        stretch: half-width of the uniform relative stretch of the axis about its middle.
        resolution_cm1: instrument line width (FWHM).
        fluorescence: background height over the strongest band; it brings its own shot noise.
        fluorescence_low: the share of it drawn at least, 0 to 1.
        cosmic_rays: mean number of pixels struck.
        share: what the numbers of a mixture mean, "height" of the strongest band or "area".
        resolution_known: the instrument states its line width.
    """

    height_spread: float = 0.4
    width_spread: float = 0.3
    position_share: float = 1.0
    axis_error_cm1: float = 2.0
    axis_uncertainty_cm1: float = 2.0
    stretch: float = 0.0
    resolution_cm1: float = 8.0
    fluorescence: float = 1.0
    fluorescence_low: float = 0.3
    cosmic_rays: float = 0.0
    share: Literal["height", "area"] = "height"
    resolution_known: bool = True


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
        light += band.rel_intensity * factor * voigt(axis_cm1, place, width, world.resolution_cm1)
    return light


def voigt(axis_cm1: FloatArray, place: float, lorentz: float, gauss: float) -> FloatArray:
    """Band of height 1: Lorentzian of width `lorentz` seen by a Gaussian line of width `gauss`."""
    width = np.hypot(lorentz, gauss)
    part = lorentz**2 / (lorentz**2 + gauss**2)
    x = 2.0 * (axis_cm1 - place) / width
    shape: FloatArray = part / (1.0 + x * x) + (1.0 - part) * np.exp(-np.log(2.0) * x * x)
    return shape


def mix(
    library: Library,
    mixture: dict[str, float],
    axis_cm1: FloatArray,
    world: World,
    rng: np.random.Generator,
) -> FloatArray:
    """Light of a mixture, shape (n,).

    With `world.share` "area" each part has the stated share of the area under all bands in the
    range of the axis, else the stated height of its strongest band. The empty id stands for a
    substance that is in no library; it lies on AXIS_CM1.
    """
    light = np.zeros_like(axis_cm1)
    for substance_id, amount in mixture.items():
        known = bool(substance_id)
        part = pure(library, substance_id, axis_cm1, world, rng) if known else unknown(rng, world)
        if world.share == "area":
            part = part / max(float(np.trapezoid(part, axis_cm1)), 1e-300)
        light += amount * part
    return light


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
        mixture: substance_id -> height of its strongest band relative to the others, or its share
            of the area, as `world.share` says; an empty id is a substance in no library.
        snr: height of the strongest band of the mixture over the shot noise beneath it.
        rng: source of all chance.
        world: errors of the world.
        container: one of CONTAINERS; adds 0.15 to 0.5 of the strongest band.
    """
    world = world or World()
    light = mix(library, mixture, AXIS_CM1, world, rng)
    if container != "none":
        wall = rng.uniform(0.15, 0.5) * pure(library, container, AXIS_CM1, world, rng)
        strongest = float(light.max(initial=0.0))
        light += wall * strongest if world.share == "area" and strongest > 0.0 else wall
    return expose(light, snr, rng, world)


def expose(light: FloatArray, snr: float, rng: np.random.Generator, world: World) -> Spectrum:
    """Measure light on AXIS_CM1: fluorescence, shot noise, read noise, cosmic rays, axis error.

    Args:
        light: shape of AXIS_CM1, any unit; may be zero everywhere.
        snr: strongest band over the shot noise beneath it.
        rng: source of all chance.
        world: errors of the world.
    """
    x = (AXIS_CM1 - AXIS_CM1[0]) / np.ptp(AXIS_CM1)
    hump = np.exp(-0.5 * ((x - rng.uniform(-0.2, 0.8)) / rng.uniform(0.4, 0.8)) ** 2)
    smooth = 0.1 + hump + rng.uniform(0, 0.3) * x + rng.uniform(0, 0.3) * x**2
    top = max(float(light.max()), 1e-9)
    unit = top if world.share == "area" and light.any() else 1.0
    background = unit * world.fluorescence * rng.uniform(world.fluorescence_low, 1.0) * smooth
    # Counts such that top / sqrt(top + background beneath) equals the wanted ratio.
    scale = snr**2 * (1.0 + float(background.mean()) / top) / top if light.any() else snr**2
    counts = rng.poisson((light + background) * scale).astype(np.float64)
    counts += rng.normal(0.0, READ_NOISE_COUNTS, AXIS_CM1.size)
    shown = AXIS_CM1 + world.axis_error_cm1 * rng.uniform(-1, 1)
    if world.stretch > 0.0:
        middle = float(AXIS_CM1.mean())
        shown = shown + world.stretch * rng.uniform(-1, 1) * (AXIS_CM1 - middle)
    if world.cosmic_rays > 0.0:
        struck = rng.integers(AXIS_CM1.size, size=int(rng.poisson(world.cosmic_rays)))
        counts[struck] += scale * top * rng.uniform(*RAY_HEIGHT, struck.size)
    return Spectrum(
        axis_cm1=shown,
        intensity_counts=counts,
        resolution_cm1=world.resolution_cm1 if world.resolution_known else None,
        axis_uncertainty_cm1=world.axis_uncertainty_cm1,
        shot_noise_known=True,
    )


def unknown(rng: np.random.Generator, world: World) -> FloatArray:
    """Light of no substance at all, shape of AXIS_CM1: 3 to 25 bands anywhere, tallest 1."""
    light = np.zeros_like(AXIS_CM1)
    for _ in range(int(rng.integers(3, 26))):
        place, height = rng.uniform(280.0, 1900.0), np.exp(rng.normal(-1.5, 0.8))
        light += height * voigt(AXIS_CM1, place, rng.uniform(4.0, 20.0), world.resolution_cm1)
    return light / float(light.max())
