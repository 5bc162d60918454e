"""Goal: every reading a node can send gets a verdict, the right one when it can be evaluated.

Method: readings of the simulated instruments (their own forward model, unknown to the judge), as
raw counts with offset, dark current, pixel gain, cosmic rays and quantisation; then broken readings
one by one; then any counts, axes and flags by Hypothesis.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.screening.judge import judge, unjudged
from gateway.screening.standing import assume, rely
from gateway.screening.watchlists import load_watchlists
from gateway.spectra.axis import AxisRecord
from gateway.spectra.calibrate import Calibration
from gateway.spectra.library import load_library
from simulators.spectrometer.models import MODELS
from simulators.spectrometer.probe import Exposure, Probe
from simulators.world import load_substances, parse_sample

LIBRARY = load_library()
LISTS = load_watchlists()
SUBSTANCES = load_substances()
MODEL = MODELS["ventana_785"]
EXPOSURE_US = 300_000


def readings(text, seed):
    """Dark frame, reading and axis record of one sample on one individual instrument."""
    probe = Probe(MODEL, SUBSTANCES, seed, 0.0)
    sample = dataclasses.replace(parse_sample(text, SUBSTANCES), seed=seed)
    frames, now = [], 10.0
    probe.present(sample, now)
    for power_mw in (0.0, 100.0):
        probe.set_laser(power_mw, now)
        light = np.zeros(MODEL.pixel_count)
        ends = now + EXPOSURE_US / 1e6
        probe.begin(Exposure(EXPOSURE_US, 1, 0, 0, True, ends, light), now)  # noqa: FBT003
        frames.append(probe.finish())
        now = ends
    axis = AxisRecord(
        coefficients_nm=tuple(np.float32(probe.unit.coefficients_nm).tolist()),
        pixel_count=MODEL.pixel_count,
        excitation_nm=785.0,
        resolution_cm1=8.0,
        full_scale_counts=MODEL.detector.full_scale_counts,
        instrument="simulated",
    )
    return frames[0], frames[1], axis


def judged(pixels, axis, dark=None, flags=0, full_scale=65535, standing=None):
    return judge(
        pixels,
        axis=axis,
        dark_counts=dark,
        full_scale_counts=full_scale,
        flags=flags,
        library=LIBRARY,
        watchlists=LISTS,
        standing=standing or assume(2.0),
    )


@pytest.mark.parametrize(
    "text,verdict,name",
    [
        ("sucrose", "clear", None),
        ("sodium_carbonate_monohydrate=0.7 + sodium_carbonate=0.3", "clear", None),
        ("sodium_bicarbonate", "clear", None),
        ("ammonium_nitrate in ldpe", "alarm", "ammonium_nitrate"),
        ("acetone in pet", "alarm", "acetone"),
        ("urea in pp", "alarm", "urea"),
        ("potassium_chlorate=0.5 + sucrose=0.5", "alarm", "potassium_chlorate"),
        ("hydrogen_peroxide=0.4 + water=0.6 in pp", "alarm", "hydrogen_peroxide"),
        ("potassium_nitrate in amber_glass", "alarm", "potassium_nitrate"),
        ("empty", "inconclusive", None),
        ("empty in glass", "inconclusive", None),
        ("aluminium_powder in ldpe", "inconclusive", None),
        ("sodium_chloride", "inconclusive", None),
    ],
)
@pytest.mark.parametrize("with_dark", [True, False], ids=["dark", "no dark"])
def test_simulated_instruments_give_the_verdict_the_truth_demands(text, verdict, name, with_dark):
    for seed in (41, 42, 43):
        dark, pixels, axis = readings(text, seed)
        found = judged(pixels, axis, dark if with_dark else None)
        if verdict == "clear" and not with_dark:
            # Weak bands cannot be told from the detector's own pattern.
            assert (found.verdict, found.reason_id) == ("inconclusive", "dark_missing")
            continue
        assert found.verdict == verdict, (seed, found.reason_id, found.parameters)
        if name:
            assert name in found.parameters["substance_ids"]
        assert found.library_version == LIBRARY.version
        assert {entry.list_id for entry in found.lists} == {"pgs", "eu-2019-1148", "explosives"}


def test_flags_take_a_clear_away_and_never_an_alarm():
    dark, sugar, axis = readings("sucrose", 41)
    assert judged(sugar, axis, dark, flags=2).reason_id == "interrupted"
    assert judged(sugar, axis, dark, flags=4).reason_id == "interrupted"
    assert judged(sugar, axis, dark, flags=1).reason_id == "saturated_scans"
    for flags in (8, 9, 10):
        assert judged(sugar, axis, dark, flags=flags).reason_id == "empty"
    dark, urea, axis = readings("urea", 41)
    for flags in range(16):
        assert judged(urea, axis, dark, flags=flags).verdict == "alarm"


def test_full_pixels_are_known_by_their_counts():
    dark, sugar, axis = readings("sucrose", 41)
    low = int(np.sort(sugar)[-30])
    clipped = np.minimum(sugar, low)
    found = judged(clipped, axis, dark, full_scale=low)
    assert (found.verdict, found.reason_id) == ("inconclusive", "saturated")
    assert judged(sugar, axis, dark, full_scale=0).verdict == "clear"


@pytest.mark.parametrize("pixels,dark", [(1023, 1024), (1024, 512), (2, 1024), (8192, None)])
def test_a_wrong_pixel_count_is_named(pixels, dark):
    _, _, axis = readings("empty", 1)
    frame = np.zeros(pixels, dtype=np.uint16)
    found = judged(frame, axis, None if dark is None else np.zeros(dark, dtype=np.uint16))
    assert found.reason_id == "wrong_pixel_count"
    assert found.parameters["expected_count"] == 1024


def test_without_a_usable_axis_nothing_is_decided():
    dark, urea, axis = readings("urea", 41)
    assert judged(urea, None, dark).reason_id == "no_axis"
    for broken in ((800.0, float("nan")), (0.0, 0.0), (932.0, -0.13), ()):
        record = dataclasses.replace(axis, coefficients_nm=broken)
        assert judged(urea, record, dark).reason_id == "bad_axis"
    outside = dataclasses.replace(axis, coefficients_nm=(1300.0, 0.14))
    assert judged(urea, outside, dark).reason_id == "bad_reading"
    unknown = dataclasses.replace(axis, resolution_cm1=0.0)
    assert judged(urea, unknown, dark).verdict == "alarm"


def test_a_reading_is_judged_on_the_axis_that_its_calibration_gives():
    """The laser is 3.75 nm from where the axis was made: every shift reads 60 cm^-1 too low."""
    dark, urea, axis = readings("urea", 41)
    wrong = dataclasses.replace(axis, excitation_nm=788.75)
    off_cm1 = 1e7 / 788.75 - 1e7 / 785.0
    found = Calibration(
        standard_id="polystyrene",
        offset_cm1=off_cm1,
        stretch=0.0,
        pivot_cm1=1000.0,
        uncertainty_cm1=1.5,
        resolution_cm1=8.0,
        residual_cm1_rms=0.2,
        bands=(),
    )
    assert "urea" not in judged(urea, wrong, dark).parameters.get("substance_ids", ())
    verdict = judged(urea, wrong, dark, standing=rely(found))
    assert verdict.verdict == "alarm"
    assert "urea" in verdict.parameters["substance_ids"]
    assert verdict.calibration.offset_cm1 == off_cm1


def test_unsigned_counts_below_their_dark_frame_do_not_wrap():
    _, _, axis = readings("empty", 1)
    dark = np.full(1024, 1600, dtype=np.uint16)
    found = judged(np.full(1024, 1500, dtype=np.uint16), axis, dark)
    assert found.reason_id == "constant"
    rng = np.random.default_rng(3)
    pixels = (1500 + rng.integers(0, 9, 1024)).astype(np.uint16)
    assert judged(pixels, axis, dark).reason_id == "negative"


def test_what_the_quality_forbids_to_clear_is_named():
    dark, sugar, axis = readings("sucrose", 41)
    assert judged(sugar, axis, dark).verdict == "clear"
    warm = np.minimum(dark.astype(np.int64) + 30_000, 65_535).astype(np.uint16)
    lifted = np.minimum(sugar.astype(np.int64) + 30_000, 65_534).astype(np.uint16)
    assert judged(lifted, axis, warm).reason_id == "dark_high"
    blurred = dataclasses.replace(axis, resolution_cm1=25.0)
    assert judged(sugar, blurred, dark).reason_id in ("resolution_poor", "not_separable")
    # The pattern of a precursor is no less one for a bad dark frame.
    _, urea, axis = readings("urea", 41)
    assert judged(urea, axis, None).verdict == "alarm"


NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32)


@settings(max_examples=150)
@given(
    data=st.data(),
    count=st.sampled_from([2, 31, 32, 100, 1024]),
    coefficients=st.one_of(
        st.just((800.3, 1.1)),
        st.just((800.3, 0.142, -1.2e-5, -1e-9)),
        st.lists(NUMBERS, max_size=8),
    ),
    flags=st.integers(0, 65535),
    full_scale=st.integers(0, 2**32 - 1),
    resolution=st.one_of(st.just(8.0), st.floats(0.0, 4e6)),
)
def test_any_reading_gets_a_verdict(data, count, coefficients, flags, full_scale, resolution):
    words = st.binary(min_size=2 * count, max_size=2 * count)
    kind = data.draw(st.sampled_from(["any", "flat", "spike", "full"]))
    pixels = {
        "any": lambda: np.frombuffer(data.draw(words), dtype="<u2"),
        "flat": lambda: np.full(count, data.draw(st.integers(0, 65535)), dtype=np.uint16),
        "spike": lambda: np.eye(1, count, count // 2, dtype=np.uint16)[0] * 65535,
        "full": lambda: np.full(count, 65535, dtype=np.uint16),
    }[kind]()
    dark = data.draw(st.sampled_from([None, np.zeros(count, dtype=np.uint16), pixels]))
    axis = AxisRecord(tuple(coefficients), count, 785.0, resolution, 65535, "any")
    found = judged(pixels, axis, dark, flags=flags, full_scale=full_scale)
    assert found.verdict in ("alarm", "inconclusive", "clear")
    if kind in ("flat", "spike", "full"):
        assert found.verdict == "inconclusive"


def test_unjudged_carries_the_library_and_the_lists():
    verdict = unjudged("judgement_failed", LIBRARY)
    assert (verdict.verdict, verdict.hits, verdict.quality) == ("inconclusive", (), None)
    assert verdict.library_version == LIBRARY.version
