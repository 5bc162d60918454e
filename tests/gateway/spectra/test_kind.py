"""Goal: what is no Raman spectrum is named by its numbers alone, and no Raman spectrum is refused.

Method: infrared spectra, spectra upside down and wrong axes as real programs write them, made by
the test; then every substance of the library, the measured collection and spectra at all sizes,
ranges and normalisations, of which none may be refused.
"""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identify import read_spectrum
from gateway.screening.explain import WORDS
from gateway.spectra.kind import (
    AXIS_WHYS,
    WHYS,
    axis_fault,
    light_fault,
    not_raman,
)
from gateway.spectra.library import load_library
from simulators.forward import World, measure

LIBRARY = load_library()
FOURIER_STEP_CM1 = 15798.0 / 2**15  # the He-Ne laser's wavenumber over a power of two
BENDS = ((720.0, 12.0, 0.3), (1050.0, 20.0, 0.8), (1380.0, 9.0, 0.4), (1710.0, 11.0, 1.0),
         (2920.0, 25.0, 0.5))  # fmt: skip


def absorbance(axis, *, hydroxyl=0.6, noise=0.001, seed=1):
    """An infrared spectrum in decades."""
    rng = np.random.default_rng([51, seed])
    bands = sum(h / (1.0 + ((axis - place) / width) ** 2) for place, width, h in BENDS)
    broad = hydroxyl * np.exp(-0.5 * ((axis - 3350.0) / 130.0) ** 2)
    return 0.05 + bands + broad + rng.normal(0.0, noise, axis.size)


def fourier_axis(first=650.0, last=4000.0, double=2):
    step = FOURIER_STEP_CM1 * 2**double
    return np.arange(np.ceil(first / step), np.floor(last / step)) * step


@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("hydroxyl", [0.0, 0.6])
def test_transmittance_is_named(scale, hydroxyl):
    axis = fourier_axis(400.0)
    counts = scale * 10.0 ** -absorbance(axis, hydroxyl=hydroxyl)
    assert not_raman(axis, counts) == "transmittance"


@pytest.mark.parametrize("double", [0, 1, 2, 3])
def test_absorbance_on_a_fourier_axis_is_named(double):
    axis = fourier_axis(double=double)
    assert not_raman(axis, absorbance(axis, hydroxyl=0.0)) == "absorbance"


@pytest.mark.parametrize("scale", [100.0, 1e4])
def test_absorbance_scaled_by_somebody_is_named_by_its_whole_range(scale):
    axis = np.arange(650.0, 4000.0, 2.0)
    counts = scale * absorbance(axis)
    assert light_fault(axis, counts) == "absorbance"
    assert light_fault(axis, counts, is_raman=True) == ""
    assert light_fault(axis, -counts, is_raman=True)  # dips are dips, whatever is said


def test_absorbance_on_any_axis_is_named_by_its_hydroxyl():
    axis = np.linspace(500.0, 3990.0, 1733)
    assert not_raman(axis, absorbance(axis)) == "absorbance"
    even = np.arange(400.0, 4001.0, 2.0)
    assert not_raman(even, absorbance(even)) == "absorbance"


def test_a_spectrum_upside_down_is_named():
    made = measure(LIBRARY, {"sucrose": 1.0}, 200.0, np.random.default_rng(2))
    assert not_raman(made.axis_cm1, -made.intensity_counts) == "inverted"
    assert not_raman(made.axis_cm1, 60_000.0 - made.intensity_counts) == "inverted"


def test_a_single_dip_is_enough_where_nothing_points_up():
    made = measure(LIBRARY, {"ammonium_nitrate": 1.0}, 200.0, np.random.default_rng(1))
    share = 1.0 - (made.intensity_counts - made.intensity_counts.min()) / np.ptp(
        made.intensity_counts
    )
    assert not_raman(made.axis_cm1, share) == "transmittance"


@pytest.mark.parametrize("laser_nm", [532.0, 633.0, 785.0, 830.0, 1064.0])
@pytest.mark.parametrize("nearest_nm", [-5.0, 2.0, 15.0])
def test_an_axis_in_nanometres_is_named(laser_nm, nearest_nm):
    last = 1e7 / (1e7 / laser_nm - 2400.0)
    axis = np.linspace(laser_nm + nearest_nm, last, 1024)
    assert axis_fault(axis) == "wavelength"


@pytest.mark.parametrize("laser_nm", [473.0, 532.0, 633.0, 785.0, 830.0, 1064.0])
@pytest.mark.parametrize("low_cm1", [-200.0, 100.0, 302.0, 600.0])
@pytest.mark.parametrize("high_cm1", [1800.0, 2303.0, 3400.0])
def test_an_axis_in_nanometres_is_named_wherever_the_instrument_begins(laser_nm, low_cm1, high_cm1):
    """Where an instrument of 1064 nm begins at 302 cm^-1 it is 35 nm away from its laser."""
    ends = [1e7 / (1e7 / laser_nm - shift) for shift in (low_cm1, high_cm1)]
    axis = np.linspace(*ends, 1024)
    assert axis_fault(axis) == "wavelength"


@pytest.mark.parametrize("laser_nm", [473.0, 532.0, 785.0, 1064.0])
def test_absolute_wavenumbers_are_named(laser_nm):
    axis = np.linspace(1e7 / laser_nm - 3300.0, 1e7 / laser_nm - 200.0, 900)
    assert axis_fault(axis) == "wavenumber"


@pytest.mark.parametrize("first,count", [(0, 1024), (1, 2048), (0, 512), (1, 3648), (0, 1044)])
def test_a_count_of_pixels_is_named(first, count):
    assert axis_fault(np.arange(first, first + count, dtype=float)) == "pixels"


@pytest.mark.parametrize(
    "axis",
    [
        np.arange(0.0, 3501.0),
        np.arange(200.0, 2201.0),
        np.linspace(0.5, 1023.5, 1024),
        np.linspace(-50.0, 4500.0, 2000),
        np.linspace(100.0, 6300.0, 1500),
        np.linspace(500.0, 1800.0, 1000),
        np.linspace(785.0, 1900.0, 1000),
        np.linspace(640.0, 1400.0, 500),
        np.arange(400.0, 4001.0, 4.0),
    ],
)
def test_raman_axes_are_not_refused(axis):
    assert axis_fault(axis) == ""


def test_no_substance_of_the_library_is_taken_for_something_else():
    for number, name in enumerate(LIBRARY.active_ids):
        rng = np.random.default_rng([52, number])
        for snr in (8.0, 200.0):
            world = World(fluorescence=float(rng.choice([0.0, 1.0, 20.0])))
            made = measure(LIBRARY, {name: 1.0}, snr, rng, world)
            counts = made.intensity_counts
            for variant in (counts, counts / counts.max(), (counts - counts.mean()) / counts.std()):
                assert not_raman(made.axis_cm1, variant) == "", (name, snr)


def test_no_measured_spectrum_is_taken_for_something_else(raman_path):
    with (raman_path / "INDEX.csv").open(encoding="utf-8", newline="") as source:
        for row in csv.DictReader(source):
            spectrum = read_spectrum(raman_path / row["file"])
            counts = spectrum.intensity_counts
            for variant in (counts, counts / np.abs(counts).max()):
                assert not_raman(spectrum.axis_cm1, variant) == "", row["file"]


def test_what_could_be_either_is_asked_for_as_measured():
    """400 to 4000 cm^-1, or 0 to 1 over nearly so much, may be infrared; other ranges are not."""
    rng = np.random.default_rng(4)
    axis = np.linspace(399.4, 3990.0, 1500)
    counts = sum(h / (1.0 + ((axis - place) / 6.0) ** 2) for place, _, h in BENDS)
    counts = counts + rng.normal(0.0, 0.003, axis.size)
    assert not_raman(axis, counts / counts.max()) == "absorbance"
    assert not_raman(axis, 5_000.0 * counts / counts.max()) == "absorbance"
    assert light_fault(axis, counts / counts.max(), is_raman=True) == ""
    part = axis < 3700.0
    assert not_raman(axis[part], counts[part] / counts.max()) == "absorbance"
    assert not_raman(axis[part], 5_000.0 * counts[part] / counts.max()) == ""
    assert not_raman(axis - 250.0, counts / counts.max()) == ""
    assert not_raman(axis[axis < 3300.0], counts[axis < 3300.0] / counts.max()) == ""


@given(st.integers(32, 400), st.integers(0, 99), st.floats(-3000.0, 9000.0), st.floats(1.0, 9000.0))
def test_anything_gives_a_known_word(count, seed, first, span):
    rng = np.random.default_rng(seed)
    why = not_raman(first + np.sort(rng.random(count)) * span, rng.normal(size=count))
    assert why in ("", *WHYS)


def test_axis_and_light_are_asked_apart():
    axis = np.linspace(1100.0, 1400.0, 500)
    light = np.exp(-(((axis - 1250.0) / 5.0) ** 2))
    assert (axis_fault(axis), light_fault(axis, light)) == ("wavelength", "")
    assert light_fault(axis, 100.0 - 90.0 * light) == "transmittance"
    assert set(AXIS_WHYS) < set(WHYS)


def test_every_word_is_explained_to_the_officer():
    assert set(WHYS) <= set(WORDS["why"])
