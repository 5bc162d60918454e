"""Goal: at most four shots to a good signal, whatever lies before the probe.

Method: plans on a detector of whole numbers, the same lines on both interpreters; then on the
simulated instrument with all its noise, in samples drawn from the whole library.
"""

import random

import numpy as np
import pytest

from node import exposure
from node.exposure import SCANS_MAX, SHOTS_MAX, Plan
from node.spectrum import Darks, Look
from simulators.spectrometer.models import MODELS
from simulators.spectrometer.probe import Exposure, Probe
from simulators.world import load_substances, parse_sample

AXIS = b"axis"
MEASURE_MS = 10_000
SUBSTANCES = load_substances()


def test_plans_looks_and_darks_are_the_same_on_both_interpreters(run_story):
    lines = run_story("exposure_story.py")
    assert run_story("exposure_story.py", interpreter="cpython") == lines
    assert lines[0] == "[10, 10, 14, 14, 20480, 81920, 327680, 83886080]"
    looks, darks = lines.index("looks"), lines.index("darks")
    assert lines[looks + 1 : darks] == [f"{step} 20000 7000 2901 True" for step in (1, 7, 61)]
    assert [line.rsplit(" ", 1)[1] for line in lines[darks + 2 : -1]] == [
        *("None", "2", "2", "None", "None", "None", "None", "2", "None")
    ]
    assert lines[-1] == "None"


def test_a_plan_reaches_the_aim_in_four_shots_or_the_end_of_what_is_allowed(run_story):
    aimed = 0
    for line in run_story("exposure_story.py", interpreter="cpython")[1:]:
        if line == "looks":
            break
        _, dark_rate, low_us, measure_ms, is_full, is_empty, percent, *shots = line.split(" ")
        times = [(int(time_us), int(scans)) for time_us, scans in (s.split("*") for s in shots)]
        last_us, scans = times[-1]
        assert len(times) <= SHOTS_MAX
        assert all(time_us >= int(low_us) for time_us, _ in times)
        assert last_us * scans <= max(int(measure_ms) * 1_000, last_us)
        longest_us = exposure.rung(min(int(measure_ms) * 500, 85_000_000))
        if is_full == "True":
            assert last_us == int(low_us), line  # nothing shorter is there
        elif int(percent) < 50:
            full_us = 10_000_000_000 // int(dark_rate)  # a sixth of what the dark alone takes
            longest_us = min(longest_us, full_us)
            assert last_us >= min(longest_us, exposure.rung(10_000_000)), line
        else:
            assert int(percent) <= 85 or last_us == int(low_us), line
            aimed += 1
        if is_empty == "True":
            assert int(percent) < 12
            assert last_us == max(time_us for time_us, _ in times)
    assert aimed > 100


class Instrument:
    """A simulated spectrometer and its sample, without line and clock."""

    def __init__(self, model, text, seed, scans_max=SCANS_MAX):
        self._scans_max = scans_max
        self.model = MODELS[model]
        self.full = self.model.detector.full_scale_counts
        self._probe = Probe(self.model, SUBSTANCES, seed, 0.0)
        self._probe.present(parse_sample(text, SUBSTANCES), 0.0)
        self._now_s = 3_000.0  # warm

    def look(self, integration_us, scans, laser_mw):
        self._probe.set_laser(laser_mw, self._now_s)
        ends_s = self._now_s + integration_us * scans / 1e6
        nothing = np.zeros(self.model.pixel_count)
        taken = Exposure(
            integration_us=integration_us,
            scans=scans,
            boxcar=0,
            binning=0,
            is_corrected=False,
            ends_s=ends_s,
            gathered_e=nothing,
        )
        self._probe.begin(taken, self._now_s)
        pixels = self._probe.finish().astype("<u2").tobytes()
        self._now_s = ends_s + 0.2
        look = Look(self.full)
        look.take(memoryview(pixels), 0, self.model.pixel_count)
        return look

    def measure(self):
        """Return the plan, the last look and its level above dark in per cent."""
        span_us = (self.model.integration_us_min, self.model.integration_us_max)
        plan, darks = Plan(span_us, self.full, MEASURE_MS, self._scans_max), Darks()
        while True:
            taken = (plan.integration_us, plan.scans)
            if plan.is_meant() and darks.find(taken, AXIS, None, 0) is None:
                darks.keep(1, taken, AXIS, None, 0, self.look(*taken, 0.0))
                if plan.shorten(darks.level(taken[0])[0]):
                    continue
            look = self.look(*taken, 100.0)
            dark_counts, rough = darks.level(taken[0])
            if plan.judge(look.high_counts, look.band_counts, dark_counts, rough):
                percent = 100 * (look.high_counts - dark_counts) // (self.full - dark_counts)
                return plan, look, percent


@pytest.mark.parametrize("model", ["ventana_785", "sts_785"])
def test_simulated_samples_are_exposed_well(model):
    drawn = random.Random(6)
    conditions = ("", " in ldpe", " fluorescence=0.5", " fluorescence=10")
    for case in range(100):
        text = drawn.choice(list(SUBSTANCES)) + drawn.choice(conditions)
        plan, look, percent = Instrument(model, text, case).measure()
        assert plan.shots <= SHOTS_MAX, text
        assert not look.is_saturated, text
        assert not plan.is_empty, text
        longest = plan.integration_us == exposure.rung(MEASURE_MS * 500)
        assert 50 <= percent <= 85 or (longest and percent < 50) or plan.shots == SHOTS_MAX, text
        assert plan.integration_us * plan.scans <= MEASURE_MS * 1_000


def test_an_instrument_that_averages_nothing_is_asked_for_one_scan():
    many, _, _ = Instrument("sts_785", "sucrose in pet", 1).measure()
    one, look, _ = Instrument("sts_785", "sucrose in pet", 1, scans_max=1).measure()
    assert many.scans > 1 == one.scans
    assert not look.is_saturated


@pytest.mark.parametrize("model", ["ventana_785", "sts_785"])
@pytest.mark.parametrize("seed", range(5))
def test_an_empty_holder_is_called_empty(model, seed):
    plan, look, _ = Instrument(model, "empty", seed).measure()
    assert plan.is_empty
    assert not look.is_saturated
    assert plan.shots <= 3
