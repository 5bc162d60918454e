"""Goal: counts obey physics: shot noise, saturation, widths, positions, linearity; and their seed.

Method: statistics over many draws with fixed seeds, and exact relations (areas, inverses, bounds).
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.photons import (
    TABLE_RESOLUTION_CM1,
    Band,
    Detector,
    Exposure,
    apply_nonlinearity,
    correct_nonlinearity,
    expose,
    fluorescence_curve,
    gaussian_hump,
    optics_background,
    perturb_bands,
    render_bands,
)
from simulators.spectrometer.models import MODELS, build_unit

AXIS_CM1 = np.arange(200.0, 2000.0, 0.5)
# Nothing but shot noise: no dark current, read noise, offset, curvature or particles.
IDEAL = Detector(
    full_scale_counts=65_535,
    electrons_per_count=2.0,
    offset_counts=0.0,
    read_noise_e=0.0,
    dark_rate_e_s=0.0,
    dark_doubling_k=7.0,
    cosmic_rate_hz=0.0,
    nonlinearity=(1.0,),
)


def shoot(detector, signal_e, *, scans=1, seed=0, integration_s=0.4, temperature_c=20.0):
    signal = np.full(2000, float(signal_e))
    exposure = Exposure(integration_s, scans, temperature_c)
    return expose(signal, np.ones(2000), detector, exposure, np.random.default_rng(seed))


def resolution(value):
    return np.full_like(AXIS_CM1, value)


def fwhm(curve):
    above = AXIS_CM1[curve >= curve.max() / 2]
    return above[-1] - above[0]


# ---------------------------------------------------------------------------------------- detector


@pytest.mark.parametrize("signal_e", [50, 2_000, 60_000])
def test_shot_noise_has_the_variance_of_the_electrons(signal_e):
    electrons = shoot(IDEAL, signal_e) * IDEAL.electrons_per_count
    assert electrons.mean() == pytest.approx(signal_e, rel=5 / np.sqrt(signal_e * 2000) + 0.005)
    # Variance of a variance estimate from 2000 pixels: 3 %; plus rounding to 2 e-, variance 1/3.
    assert electrons.var() == pytest.approx(signal_e + 1 / 3, rel=0.12)


def test_averaging_scans_divides_the_variance():
    single, averaged = shoot(IDEAL, 10_000), shoot(IDEAL, 10_000, scans=100)
    assert averaged.var() == pytest.approx(single.var() / 100, rel=0.15)
    assert averaged.mean() == pytest.approx(single.mean(), rel=0.002)


def test_read_noise_and_offset_show_in_the_dark():
    detector = replace(IDEAL, read_noise_e=40.0, offset_counts=1500.0)
    counts = shoot(detector, 0.0)
    assert counts.mean() == pytest.approx(1500.0, abs=2.0)
    assert counts.std() == pytest.approx(20.0, rel=0.1)


def test_dark_current_grows_with_time_and_warmth():
    detector = replace(IDEAL, dark_rate_e_s=1000.0)
    short = shoot(detector, 0.0, integration_s=1.0).mean()
    assert shoot(detector, 0.0, integration_s=4.0).mean() == pytest.approx(4 * short, rel=0.02)
    warm = shoot(detector, 0.0, integration_s=1.0, temperature_c=27.0).mean()
    assert warm == pytest.approx(2 * short, rel=0.02)


@pytest.mark.parametrize("times", [1.2, 100, 1e7])
@pytest.mark.parametrize("model", sorted(MODELS))
def test_saturates_at_full_scale_and_not_beyond(model, times):
    detector = MODELS[model].detector
    signal_e = times * detector.full_scale_counts * detector.electrons_per_count
    assert (shoot(detector, signal_e) == detector.full_scale_counts).all()


def test_saturation_acts_on_every_scan_before_the_average():
    # Half of the scans of a pixel exactly at full scale lose their upper half.
    just = IDEAL.full_scale_counts * IDEAL.electrons_per_count
    mean = shoot(IDEAL, just, scans=64).mean()
    lost = np.sqrt(just / (2 * np.pi)) / IDEAL.electrons_per_count
    assert mean == pytest.approx(IDEAL.full_scale_counts - lost, abs=lost / 5)


def test_single_scans_are_whole_numbers():
    counts = shoot(replace(IDEAL, read_noise_e=7.3), 1234.5)
    assert (counts == np.rint(counts)).all()


def test_cosmic_particles_come_at_their_rate_and_hit_few_pixels():
    detector = replace(IDEAL, cosmic_rate_hz=5.0)
    counts = shoot(detector, 0.0, integration_s=1.0, scans=200) * 200
    # 1000 particles expected, each leaves 500 counts or more in one to three of 2000 pixels.
    total_e = counts.sum() * IDEAL.electrons_per_count
    mean_energy_e = (1e5 - 1e3) / (2 * np.log(10))
    assert total_e / mean_energy_e == pytest.approx(1000, rel=0.15)
    assert shoot(IDEAL, 0.0, scans=200).sum() == 0


def test_nonlinearity_and_its_correction_cancel():
    for model in MODELS.values():
        true = np.linspace(0.0, model.detector.full_scale_counts, 200)
        measured = apply_nonlinearity(true, model.detector.nonlinearity)
        assert (np.diff(measured) > 0).all()
        assert 0.01 < 1 - measured[-1] / true[-1] < 0.04
        back = correct_nonlinearity(measured, model.detector.nonlinearity)
        assert np.abs(back - true).max() < 0.1


def test_the_same_seed_gives_the_same_counts_and_another_others():
    detector = MODELS["ventana_785"].detector
    assert (shoot(detector, 5000, seed=3) == shoot(detector, 5000, seed=3)).all()
    assert (shoot(detector, 5000, seed=3) != shoot(detector, 5000, seed=4)).any()


# ------------------------------------------------------------------------------------------- bands


@pytest.mark.parametrize("band_fwhm, slit", [(3.0, 8.0), (6.0, 8.0), (25.0, 8.0), (12.0, 12.0)])
def test_a_band_is_as_wide_as_band_and_slit_together(band_fwhm, slit):
    curve = render_bands([Band(1000.0, 1.0, band_fwhm)], AXIS_CM1, resolution(slit))
    assert fwhm(curve) == pytest.approx(np.hypot(band_fwhm, slit), abs=1.0)
    assert AXIS_CM1[curve.argmax()] == 1000.0


def test_at_the_table_resolution_heights_are_those_of_the_table():
    curve = render_bands([Band(1000.0, 0.7, 6.0)], AXIS_CM1, resolution(TABLE_RESOLUTION_CM1))
    assert curve.max() == pytest.approx(0.7)


def test_another_slit_keeps_the_area():
    areas = [
        np.trapezoid(render_bands([Band(1000.0, 1.0, 0.5)], AXIS_CM1, resolution(slit)), AXIS_CM1)
        for slit in (4.0, 8.0, 16.0)
    ]
    assert areas == pytest.approx([areas[0]] * 3, rel=0.05)


def test_bands_add_up_and_far_ones_are_left_out():
    one, two = Band(600.0, 1.0, 6.0), Band(605.0, 0.5, 10.0)
    both = render_bands([one, two], AXIS_CM1, resolution(8.0))
    alone = [render_bands([band], AXIS_CM1, resolution(8.0)) for band in (one, two)]
    assert np.allclose(both, alone[0] + alone[1])
    assert not render_bands([Band(2900.0, 1.0, 10.0)], AXIS_CM1, resolution(8.0)).any()


@given(st.integers(0, 2**32 - 1))
def test_perturbed_bands_stay_inside_their_windows(seed):
    table = [Band(400.0 + 50 * i, 0.1 + 0.03 * i, 5.0 + i, 0.5 * (1 + i % 5)) for i in range(30)]
    sample = perturb_bands(table, np.random.default_rng(seed))
    assert len(sample) == len(table)
    for real, stated in zip(sample, table, strict=True):
        assert abs(real.shift_cm1 - stated.shift_cm1) <= stated.uncertainty_cm1 + 1e-9
        assert 0.85 <= real.fwhm_cm1 / stated.fwhm_cm1 <= 1.15
        assert real.rel_intensity > 0


def test_perturbations_spread_as_stated():
    table = [Band(1000.0, 1.0, 10.0, 4.0)] * 4000
    sample = perturb_bands(table, np.random.default_rng(1))
    logs = np.log([band.rel_intensity for band in sample])
    shifts = np.array([band.shift_cm1 for band in sample]) - 1000.0
    assert (logs.mean(), logs.std()) == (pytest.approx(0, abs=0.02), pytest.approx(0.25, rel=0.1))
    assert (shifts.mean(), shifts.std()) == (pytest.approx(0, abs=0.2), pytest.approx(1.9, abs=0.2))


# -------------------------------------------------------------------------------------- background


@given(st.integers(0, 2**32 - 1))
def test_fluorescence_is_smooth_and_at_most_one(seed):
    curve = fluorescence_curve(AXIS_CM1, np.random.default_rng(seed))
    assert curve.max() == pytest.approx(1.0)
    assert curve.min() > 0
    # No feature narrow enough to be taken for a band: the slope changes slowly.
    assert np.abs(np.diff(curve, 2)).max() < 2e-6 * 4


def test_backgrounds_are_humps_not_bands():
    assert fwhm(gaussian_hump(AXIS_CM1, 1390.0, 420.0)) == pytest.approx(420.0, abs=1.0)
    assert 0.5 < optics_background(AXIS_CM1).max() < 1.5


# ------------------------------------------------------------------------------------------ optics


@pytest.mark.parametrize("model", sorted(MODELS))
@pytest.mark.parametrize("seed", range(20))
def test_every_unit_covers_the_range_and_knows_its_axis(model, seed):
    unit = build_unit(MODELS[model], seed)
    optics = unit.optics
    axis_cm1 = optics.axis_cm1
    assert axis_cm1.shape == (MODELS[model].pixel_count,)
    assert (np.diff(axis_cm1) > 0).all()
    assert axis_cm1[0] < 255.0
    assert axis_cm1[-1] > 1990.0
    pixels = np.arange(axis_cm1.size)
    stored_nm = np.polynomial.polynomial.polyval(pixels, unit.coefficients_nm)
    stored_cm1 = 1e7 / 785.0 - 1e7 / stored_nm
    # The stored axis and the nominal laser are good, not perfect.
    assert 0.0 < np.abs(stored_cm1 - axis_cm1).max() < 3.0
    assert all(np.float32(value) == value for value in unit.coefficients_nm)
    assert len(unit.serial_number) <= 16


def test_units_differ_and_repeat():
    model = MODELS["ventana_785"]
    units = [build_unit(model, seed) for seed in (1, 1, 2)]
    assert units[0].serial_number == units[1].serial_number != units[2].serial_number
    assert units[0].coefficients_nm == units[1].coefficients_nm != units[2].coefficients_nm


def test_the_slit_is_finer_in_wavenumbers_at_large_shifts():
    resolution_cm1 = build_unit(MODELS["ventana_785"], 0).optics.resolution_cm1
    assert 8.5 < resolution_cm1[0] < 10.5
    assert 6.0 < resolution_cm1[-1] < 7.5
    assert resolution_cm1[512] == pytest.approx(8.0, abs=0.3)


def test_response_falls_in_the_infrared_and_behind_the_filter_edge():
    unit = build_unit(MODELS["ventana_785"], 0)
    wide = replace(
        unit.optics, wavelength_nm=np.linspace(790.0, 1000.0, 1024), pixel_gain=np.ones(1024)
    )
    per_wavenumber = wide.throughput / np.gradient(wide.axis_cm1)
    level = {nm: np.interp(nm, wide.wavelength_nm, per_wavenumber) for nm in (791, 850, 950, 990)}
    assert level[791] < 0.1 * level[850]
    assert level[990] < 0.6 * level[950] < 0.6 * level[850]
