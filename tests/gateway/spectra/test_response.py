"""Goal: intensities become those of the certificate, within its range, by its own numbers only.

Method: an instrument with a known response measures the glass and a sample; the correction must
undo the response. Certificates and glasses that cannot be right are refused in a sentence.
"""

import numpy as np
import pytest

from gateway.spectra.errors import ResponseError
from gateway.spectra.response import FACTOR_MAX, ResponseCurve, measure_response, read_certificate
from gateway.spectra.spectrum import Spectrum

AXIS = np.linspace(150.0, 2300.0, 1000)
TEXT = """
srm = "2241"
batch = "unit test"
excitation_nm = 785.0
low_cm1 = 200.0
high_cm1 = 2000.0
kind = "{kind}"
unit = "cm-1"
centre = 1100.0
scale = 1000.0
coefficients = {coefficients}
"""


def certificate(kind="power", coefficients="[0.8, 0.3, -0.4]"):
    return read_certificate(TEXT.format(kind=kind, coefficients=coefficients))


def answer(axis):
    """What the instrument makes of light: falls to a third at the red end."""
    return 1.0 / (1.0 + np.exp((axis - 1700.0) / 300.0)) + 0.05


@pytest.mark.parametrize("kind", ["power", "exp_power"])
def test_the_response_is_undone_within_the_certified_range(kind):
    found = certificate(kind)
    glass = 5e4 * found.evaluate(AXIS) * answer(AXIS)
    noisy = np.random.default_rng(1).poisson(np.maximum(glass, 0.0)).astype(float)
    curve = measure_response(found, Spectrum(AXIS, np.maximum(noisy, 1.0)))
    assert curve.response_id == "SRM 2241 unit test"
    assert (curve.low_cm1, curve.high_cm1) == (200.0, 2000.0)
    sample = 1.0 + np.exp(-0.5 * ((AXIS - 1800.0) / 20.0) ** 2)
    corrected = curve.correct(AXIS, sample * answer(AXIS))
    inside = (AXIS > 260.0) & (AXIS < 1940.0)
    ratio = corrected[inside] / sample[inside]
    assert np.ptp(ratio) / ratio.mean() < 0.06
    assert np.ptp((sample * answer(AXIS))[inside] / sample[inside]) > 0.5  # it was far off before


def test_outside_the_certified_range_the_last_factor_holds_on():
    found = certificate()
    curve = measure_response(found, Spectrum(AXIS, 1e4 * found.evaluate(AXIS) * answer(AXIS) + 500))
    flat = curve.correct(AXIS, np.ones(AXIS.size))
    assert np.allclose(flat[AXIS > 2000.0], curve.factors[-1])
    assert np.allclose(flat[AXIS < 200.0], curve.factors[0])


@pytest.mark.parametrize(
    "change,words",
    [
        (('kind = "power"', 'kind = "chebyshev"'), "kind"),
        (("coefficients = [0.8, 0.3, -0.4]", "coefficients = []"), "coefficients"),
        (("coefficients = [0.8, 0.3, -0.4]", "coefficients = [nan]"), "finite"),
        (("high_cm1 = 2000.0", "high_cm1 = 400.0"), "shorter"),
        (('unit = "cm-1"', 'unit = "nm"'), "unit"),
        (("scale = 1000.0", "scale = 0.0"), "scale"),
        (('batch = "unit test"', ""), "batch"),
        (("centre = 1100.0", "middle = 1100.0"), "middle"),
        (("excitation_nm = 785.0", "excitation_nm ="), "TOML"),
    ],
)
def test_a_certificate_that_cannot_be_right_is_refused(change, words):
    text = TEXT.format(kind="power", coefficients="[0.8, 0.3, -0.4]")
    assert change[0] in text
    with pytest.raises(ResponseError, match=words):
        read_certificate(text.replace(*change))


def test_a_certificate_of_any_size_is_bounded():
    with pytest.raises(ResponseError, match="at most"):
        read_certificate("#" * 20_000)


def test_a_glass_that_cannot_be_right_is_refused():
    found = certificate()
    good = 1e4 * found.evaluate(AXIS) * answer(AXIS)
    with pytest.raises(ResponseError, match="in common"):
        measure_response(found, Spectrum(AXIS + 1800.0, good))
    with pytest.raises(ResponseError, match="above zero"):
        measure_response(found, Spectrum(AXIS, good - 3000.0))
    with pytest.raises(ResponseError, match="full"):
        measure_response(found, Spectrum(AXIS, good, saturated=good > 9e3 * 0.5))
    steep = good * np.exp(-(AXIS - 150.0) / 300.0) + 1e-9
    with pytest.raises(ResponseError, match=f"{FACTOR_MAX:g}"):
        measure_response(found, Spectrum(AXIS, steep))


@pytest.mark.parametrize("laser_nm", [532.0, 780.0, 830.0, 1064.0])
def test_a_glass_of_another_laser_is_refused(laser_nm):
    glass = Spectrum(AXIS, 1e4 * certificate().evaluate(AXIS) * answer(AXIS) + 500.0)
    with pytest.raises(ResponseError, match=rf"is for 785 nm, .* with {laser_nm:g} nm; use"):
        measure_response(certificate(), glass, laser_nm)
    for same in (None, 784.9, 785.5):
        assert measure_response(certificate(), glass, same).excitation_nm == 785.0


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"factors": (1.0,) * 2_001}, "2001 factors"),
        ({"factors": (1.0,)}, "1 factors"),
        ({"factors": (1.0, float("nan"))}, "first wrong"),
        ({"low_cm1": -1.0}, "low_cm1 -1"),
        ({"excitation_nm": 0.0}, "excitation_nm 0"),
        ({"excitation_nm": float("nan")}, "excitation_nm nan"),
    ],
)
def test_a_curve_of_a_file_that_cannot_be_is_refused(changes, words):
    values = {"response_id": "x", "excitation_nm": 785.0, "low_cm1": 200.0, "factors": (1.0, 2.0)}
    ResponseCurve(**values).check()
    with pytest.raises(ResponseError, match=words):
        ResponseCurve(**(values | changes)).check()
