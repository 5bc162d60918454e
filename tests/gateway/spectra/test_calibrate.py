"""Goal: a standard sets the axis to within what is stated; whatever is no standard never does.

Method: spectra drawn from the standards' own positions with an axis that is off, stretched, noisy,
on a background and cut short, by Hypothesis; every measured spectrum against every standard; and
standards of one measured instrument checked by another standard of the same instrument.
"""

import dataclasses
import itertools
from functools import cache

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from gateway.identify import read_spectrum
from gateway.spectra.calibrate import (
    FAULTS,
    OFFSET_CM1_MAX,
    RESIDUAL_CM1_MAX,
    Calibration,
    calibrate,
)
from gateway.spectra.errors import CalibrationError, FormatError
from gateway.spectra.spectrum import Spectrum
from gateway.spectra.standards import find_standard, load_standards

AXIS = 1e7 / 785.0 - 1e7 / np.linspace(800.3, 931.2, 1024)  # 245 to 2000 cm^-1
INSTRUMENTS = {
    "WP-01990": (
        "polystyrene__wasatch-enlighten__1 cyclohexane__wasatch-enlighten__1 "
        "toluene__wasatch-enlighten__1 paracetamol__wasatch-enlighten__1 "
        "calcium-carbonate__wasatch-enlighten__1"
    ),
    "FMNT BW532": "polystyrene__charisma__1 calcite__charisma__2",
    "FMNT Ho785": "polystyrene__charisma__3 calcite__charisma__4",
    "ICV BW532": "polystyrene__charisma__4 calcite__charisma__5",
    "ICV BW785": "polystyrene__charisma__5 calcite__charisma__6 silicon__charisma__1",
    "TOP Ho633": "polystyrene__charisma__6 calcite__charisma__9 silicon__charisma__2",
    "S3": "polystyrene__vamas__1 calcite__vamas__1",
}


def drawn(standard_id, rng, *, offset=0.0, stretch=0.0, snr=100.0, glow=0.0, axis=AXIS, width=7.0):
    """The spectrum of a standard as an instrument shows it whose axis is off; shape of `axis`."""
    light = np.zeros_like(axis)
    for band in load_standards()[standard_id].bands:
        place = band.shift_cm1 + offset + stretch * (band.shift_cm1 - 1000.0)
        fwhm = np.hypot(width, band.fwhm_cm1)
        height = band.rel_height * np.exp(rng.normal(0.0, 0.25))
        light += height * np.exp(-4.0 * np.log(2.0) * ((axis - place) / fwhm) ** 2)
    background = glow * np.exp(-0.5 * ((axis - 1300.0) / 600.0) ** 2)
    scale = snr**2 * (1.0 + glow)
    return rng.poisson((light + background + 0.01) * scale).astype(float)


def fault_of(spectrum, standard_id="polystyrene"):
    with pytest.raises(CalibrationError) as caught:
        calibrate(spectrum, find_standard(standard_id))
    assert caught.value.fault in FAULTS
    return caught.value.fault


@pytest.mark.parametrize("standard_id", ["polystyrene", "cyclohexane", "paracetamol", "toluene"])
@pytest.mark.parametrize("glow", [0.0, 5.0])
def test_a_dim_standard_is_no_wrong_material(standard_id, glow):
    """Noise that hides weak bands is a fault of the measurement, not of the instrument."""
    counts = drawn(standard_id, np.random.default_rng(8), snr=400.0)
    light = np.ptp(counts) * glow * np.exp(-0.5 * ((AXIS - 1300.0) / 600.0) ** 2)
    seen = set()
    for number, snr in enumerate((30, 20, 15, 12)):
        noise = np.random.default_rng([9, number]).normal(0.0, np.ptp(counts) / snr, AXIS.size)
        try:
            calibrate(Spectrum(AXIS, counts + light + noise), find_standard(standard_id))
        except CalibrationError as error:
            seen.add(error.fault)
    assert seen
    assert seen <= {"no_signal", "too_few_bands"}


@pytest.mark.parametrize("snr", [300.0, 20.0])
def test_bands_that_noise_does_not_hide_must_be_there(snr):
    """A bright wrong material is called so; so is a noisy one with strong bands of its own."""
    rng = np.random.default_rng(10)
    counts = drawn("paracetamol", rng, snr=400.0)
    counts = counts + rng.normal(0.0, np.ptp(counts) / snr, AXIS.size)
    assert fault_of(Spectrum(AXIS, counts), "polystyrene") == "wrong_material"


def error_cm1(found, offset, stretch, axis=AXIS):
    """Largest error that the calibration leaves in the fingerprint range."""
    true = np.linspace(max(200.0, axis[0] + 12), min(2000.0, axis[-1] - 12), 200)
    shown = true + offset + stretch * (true - 1000.0)
    return float(np.abs(found.apply(shown) - true).max())


@settings(max_examples=60)
@given(
    standard_id=st.sampled_from(
        ["polystyrene", "cyclohexane", "paracetamol", "toluene", "naphthalene", "benzonitrile"]
    ),
    offset=st.floats(-10.0, 10.0),
    stretch=st.floats(-0.003, 0.003),
    snr=st.sampled_from([60.0, 100.0, 300.0]),
    glow=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 9999),
)
def test_the_axis_is_right_to_within_what_is_stated(standard_id, offset, stretch, snr, glow, seed):
    rng = np.random.default_rng(seed)
    counts = drawn(standard_id, rng, offset=offset, stretch=stretch, snr=snr, glow=glow)
    found = calibrate(Spectrum(AXIS, counts), find_standard(standard_id))
    assert error_cm1(found, offset, stretch) <= 1.5 * found.uncertainty_cm1
    assert abs(found.offset_cm1 - offset) < 5.0
    assert found.residual_cm1_rms <= RESIDUAL_CM1_MAX
    assert found.uncertainty_cm1 < 4.0
    assert 4.0 < found.resolution_cm1 < 10.0


def test_what_is_stated_holds_for_nineteen_of_twenty():
    rng, inside, count = np.random.default_rng(7), 0, 60
    for _ in range(count):
        offset, stretch = rng.uniform(-8, 8), rng.uniform(-0.002, 0.002)
        counts = drawn("polystyrene", rng, offset=offset, stretch=stretch)
        found = calibrate(Spectrum(AXIS, counts), find_standard("polystyrene"))
        inside += error_cm1(found, offset, stretch) <= found.uncertainty_cm1
    assert inside >= 0.95 * count


@pytest.mark.parametrize("offset,fault", [(14.0, "offset_large"), (-15.0, "offset_large")])
def test_an_axis_that_is_too_far_off_is_not_corrected(offset, fault):
    rng = np.random.default_rng(1)
    spectrum = Spectrum(AXIS, drawn("cyclohexane", rng, offset=offset))
    assert abs(offset) > OFFSET_CM1_MAX
    assert fault_of(spectrum, "cyclohexane") == fault


# Below 2000 cm^-1 the mixture of toluene and acetonitrile is toluene with one more band.
CONFUSABLE = {"toluene", "toluene_acetonitrile"}


@pytest.mark.parametrize(
    "other,standard_id",
    [p for p in itertools.permutations(sorted(load_standards()), 2) if set(p) != CONFUSABLE],
)
def test_no_standard_is_taken_for_another(other, standard_id):
    rng = np.random.default_rng(3)
    for offset in (-7.0, 0.0, 7.0):
        spectrum = Spectrum(AXIS, drawn(other, rng, offset=offset))
        assert fault_of(spectrum, standard_id) in ("wrong_material", "too_few_bands")


def test_every_fault_has_its_name():
    rng = np.random.default_rng(5)
    clean = drawn("polystyrene", rng)
    assert fault_of(Spectrum(AXIS, rng.poisson(1000.0, AXIS.size).astype(float))) == "no_signal"
    assert fault_of(Spectrum(AXIS, np.full(AXIS.size, 7.0))) == "no_signal"
    assert fault_of(Spectrum(AXIS, np.minimum(clean, 0.4 * clean.max()))) == "saturated"
    full = clean >= 0.9 * clean.max()
    assert fault_of(Spectrum(AXIS, clean, saturated=full)) == "saturated"
    short = AXIS < 900.0
    assert fault_of(Spectrum(AXIS[short], clean[short])) == "too_few_bands"
    bent = AXIS + 14.0 * np.sin((AXIS - 1000.0) / 130.0)
    order = np.argsort(bent)
    assert fault_of(Spectrum(bent[order], clean[order])) in ("residual_large", "wrong_material")
    stretched = 1000.0 + (AXIS - 1000.0) * 1.0065
    assert fault_of(Spectrum(stretched, clean)) in ("stretch_large", "wrong_material")


def test_one_line_alone_gives_an_offset_and_says_how_little_that_is():
    rng = np.random.default_rng(2)
    found = calibrate(Spectrum(AXIS, drawn("silicon", rng, offset=3.0)), find_standard("silicon"))
    assert found.offset_cm1 == pytest.approx(3.0, abs=0.3)
    assert (found.stretch, len(found.bands)) == (0.0, 1)
    many = calibrate(
        Spectrum(AXIS, drawn("paracetamol", rng, offset=3.0)), find_standard("paracetamol")
    )
    assert many.uncertainty_cm1 < 0.7 * found.uncertainty_cm1


def test_a_cosmic_ray_on_the_strongest_band_changes_nothing():
    rng = np.random.default_rng(4)
    counts = drawn("polystyrene", rng, offset=2.0)
    struck = counts.copy()
    struck[int(np.argmin(np.abs(AXIS - 1008.0)))] += 3.0 * counts.max()
    struck[100] += 5.0 * counts.max()
    before, after = (
        calibrate(Spectrum(AXIS, part, resolution_cm1=8.0), find_standard("polystyrene"))
        for part in (counts, struck)
    )
    assert after.offset_cm1 == pytest.approx(before.offset_cm1, abs=0.4)


@given(
    shift=st.floats(200.0, 2400.0),
    offset=st.floats(-12.0, 12.0),
    stretch=st.floats(-0.005, 0.005),
)
def test_applying_undoes_exactly_what_was_found(shift, offset, stretch):
    made = calibration(offset_cm1=offset, stretch=stretch)
    shown = shift + offset + stretch * (shift - made.pivot_cm1)
    assert made.apply(np.array([shown]))[0] == pytest.approx(shift, abs=1e-6)


def calibration(**changes):
    values = {
        "standard_id": "polystyrene",
        "offset_cm1": 0.0,
        "stretch": 0.0,
        "pivot_cm1": 1100.0,
        "uncertainty_cm1": 1.4,
        "resolution_cm1": 7.0,
        "residual_cm1_rms": 0.3,
        "bands": ((1001.4, 1001.0),),
    }
    return Calibration(**(values | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"offset_cm1": 12.1},
        {"stretch": float("nan")},
        {"uncertainty_cm1": -1.0},
        {"residual_cm1_rms": 3.1},
        {"resolution_cm1": 99.0},
    ],
)
def test_a_calibration_beyond_its_limits_is_refused(changes):
    calibration().check()
    with pytest.raises(FormatError, match=next(iter(changes))):
        calibration(**changes).check()


def test_a_corrected_spectrum_carries_what_is_known():
    spectrum = Spectrum(AXIS, np.ones(AXIS.size), shot_noise_known=True)
    corrected = calibration(offset_cm1=5.0).correct(spectrum)
    assert corrected.axis_cm1[0] == pytest.approx(AXIS[0] - 5.0)
    assert (corrected.axis_uncertainty_cm1, corrected.resolution_cm1) == (1.4, 7.0)
    assert corrected.shot_noise_known


# ------------------------------------------------------------------------------ measured spectra


@cache
def measured(folder, name):
    return read_spectrum(folder / f"{name}.csv")


def standard_of(name):
    material = name.split("__")[0].replace("-", "_")
    return {"calcium_carbonate": "calcite"}.get(material, material)


def test_the_reference_instrument_becomes_right(raman_path):
    """It shows polystyrene at 1006.8, 626.3 and 1607.8, and calcite at 1091.8."""
    found = calibrate(
        measured(raman_path, "polystyrene__charisma__3"), find_standard("polystyrene")
    )
    shown = np.array([626.3, 1006.8, 1607.8, 1091.8])
    true = np.array([620.9, 1001.4, 1602.3, 1085.9])
    assert np.abs(shown - true).min() > 5.0
    assert np.abs(found.apply(shown) - true).max() <= found.uncertainty_cm1
    other = calibrate(measured(raman_path, "calcite__charisma__4"), find_standard("calcite"))
    assert np.abs(other.apply(shown) - true).max() <= other.uncertainty_cm1


# One has the top of its strongest band cut off, one is a wafer with a second phase, and three bands
# of one lie so far from a straight line that nothing is known between and beyond them.
REFUSED = {
    "calcite__ramanlab__1": "too_few_bands",
    "acetonitrile__arcadia-ramanalysis__2": "saturated",
    "silicon__wasatch-enlighten__1": "wrong_material",
}


@pytest.mark.parametrize("moved_cm1", [-6.0, 0.0, 6.0])
def test_every_measured_standard_is_accepted_and_nothing_else_is(raman_path, moved_cm1):
    accepted, refused = [], {}
    for path in sorted(raman_path.glob("*__*.csv")):
        spectrum = measured(raman_path, path.stem)
        moved = dataclasses.replace(spectrum, axis_cm1=spectrum.axis_cm1 + moved_cm1)
        for standard_id, standard in load_standards().items():
            is_it = standard_id == standard_of(path.stem)
            found = outcome(moved, standard)
            if isinstance(found, Calibration):
                assert is_it, (path.stem, standard_id, found)
                accepted.append(path.stem)
                before = calibrate(spectrum, standard).offset_cm1
                assert abs(found.offset_cm1 - before - moved_cm1) <= found.uncertainty_cm1
            elif is_it:
                refused[path.stem] = found
    assert len(accepted) >= 29
    assert not set(accepted) & set(REFUSED)
    # An axis that was off already may now be beyond the limit; noise is near it for one more.
    others = {name: fault for name, fault in refused.items() if name not in REFUSED}
    assert set(others.values()) <= {"offset_large", "wrong_material"}
    assert len(others) <= (1 if moved_cm1 else 0)


def outcome(spectrum, standard):
    """Return the calibration, or the name of its fault."""
    try:
        return calibrate(spectrum, standard)
    except CalibrationError as error:
        return error.fault


def test_one_standard_of_an_instrument_is_confirmed_by_another(raman_path):
    errors, before = [], []
    for names in INSTRUMENTS.values():
        found = {
            name: calibrate(measured(raman_path, name), find_standard(standard_of(name)))
            for name in names.split()
        }
        for one, other in itertools.permutations(found, 2):
            marks = np.array([pair for pair in found[other].bands if pair[0] >= 200.0])
            left = found[one].apply(marks[:, 1]) - marks[:, 0]
            errors += list(left / found[one].uncertainty_cm1)
            before += list(np.abs(marks[:, 1] - marks[:, 0]))
    assert np.mean(np.abs(errors) <= 1.0) >= 0.9
    assert np.abs(errors).max() < 2.0
    assert max(before) > 5.0


@pytest.mark.parametrize("snr", [60.0, 20.0])
def test_noise_is_refused_or_does_not_mislead(raman_path, snr):
    rng = np.random.default_rng(11)
    for names in INSTRUMENTS.values():
        name = names.split()[0]
        spectrum = measured(raman_path, name)
        clean = calibrate(spectrum, find_standard("polystyrene"))
        light = np.maximum(spectrum.intensity_counts - spectrum.intensity_counts.min(), 0.0)
        noisy = rng.poisson(light / light.max() * snr**2).astype(float)
        try:
            found = calibrate(
                dataclasses.replace(spectrum, intensity_counts=noisy), find_standard("polystyrene")
            )
        except CalibrationError:
            continue
        both = float(np.hypot(found.uncertainty_cm1, clean.uncertainty_cm1))
        place = np.array([620.0, 1001.0, 1602.0])
        assert np.abs(found.apply(place) - clean.apply(place)).max() < both
