"""Goal: one sample gives one reading, an empty holder none, whatever drifts and whoever presses.

Method: levels look by look; then levels of every substance of the library as the simulated
instruments see it, with an empty holder between.
"""

import random

import numpy as np
import pytest

from node.presence import PART, STEADY, Presence, cap, rise, total
from simulators.spectrometer.models import MODELS
from simulators.spectrometer.probe import Exposure, Probe
from simulators.world import Component, Sample, load_substances

RISE = 10 * PART
EMPTY, SAMPLE = 24, 40 * PART
LOOK_US = 22_000


def looks(levels, counts=None):
    """Return the looks at which a sample is seen to come."""
    presence = Presence()
    counts = counts or [0] * len(levels)
    seen = zip(levels, counts, strict=True)
    return [at for at, (level, count) in enumerate(seen) if presence.look(level, RISE, count)]


def test_a_sample_is_seen_once_when_it_was_seen_twice():
    assert looks([EMPTY] * 3 + [SAMPLE] * 50 + [EMPTY] * 3) == [3 + STEADY - 1]


def test_each_of_several_samples_is_seen_once():
    levels = [EMPTY] * 3 + ([SAMPLE] * 5 + [EMPTY] * 3) * 10
    assert len(looks(levels)) == 10


def test_a_level_that_swings_about_the_threshold_is_one_sample():
    rng = random.Random(1)
    around = [EMPTY + RISE + rng.randint(-RISE // 3, RISE // 3) for _ in range(500)]
    assert len(looks([EMPTY] * 3 + around)) == 1


def test_a_hand_that_passes_in_one_look_is_no_sample():
    assert looks(([EMPTY] * 3 + [SAMPLE]) * 20) == []


def test_what_stands_there_at_the_start_is_not_measured_until_another_comes():
    assert looks([SAMPLE] * 20) == []
    assert looks([SAMPLE] * 20 + [EMPTY] * 3 + [SAMPLE] * 3) == [23 + STEADY - 1]


def test_a_slow_drift_is_no_sample_and_hides_none():
    drift = [EMPTY + at // 2 for at in range(40 * PART)]
    assert looks(drift) == []
    assert len(looks([*drift, *[drift[-1] + SAMPLE] * 3])) == 1


def test_a_sample_that_was_measured_by_hand_is_not_measured_again():
    levels = [EMPTY] * 3 + [SAMPLE] * 5 + [EMPTY] * 3 + [SAMPLE] * 5
    # Pressed at once: before the first look at it, and between the first and the second.
    assert looks(levels, [0] * 3 + [1] * 13) == [11 + STEADY - 1]
    assert looks(levels, [0] * 4 + [1] * 12) == [11 + STEADY - 1]
    # Pressed before an empty holder: that was another thing.
    assert looks(levels, [0] + [1] * 15) == [3 + STEADY - 1, 11 + STEADY - 1]


def test_after_another_instrument_nothing_is_remembered():
    presence = Presence()
    presence.look(EMPTY, RISE, 0)
    presence.forget()
    assert not presence.look(SAMPLE, RISE, 0)
    assert not presence.look(SAMPLE, RISE, 0)


@pytest.mark.parametrize("name", MODELS)
def test_every_substance_is_seen_and_no_empty_holder(name):
    model, substances = MODELS[name], load_substances()
    probe, now_s = Probe(model, substances, 1, 0.0), 1.0
    full_scale_counts = model.detector.full_scale_counts
    presence, least = Presence(), rise(0, full_scale_counts)
    highest = full_scale_counts

    def frame(power_mw):
        nonlocal now_s
        probe.set_laser(power_mw, now_s)
        ends_s = now_s + LOOK_US / 1e6
        gathered_e = np.zeros(model.pixel_count)
        exposure = Exposure(
            LOOK_US, 1, 0, 0, is_corrected=False, ends_s=ends_s, gathered_e=gathered_e
        )
        probe.begin(exposure, now_s)
        now_s = ends_s
        pixels = probe.finish().astype("<u2").tobytes()
        probe.set_laser(0.0, now_s)
        now_s += 5.0
        return total(pixels, 0, len(pixels), highest) * PART // model.pixel_count

    def look():
        nonlocal highest
        dark = frame(0.0)
        highest = cap(dark // PART, full_scale_counts)
        return presence.look(frame(model.laser_mw_max) - dark, least, 0)

    missed = []
    for substance_id in sorted(substances)[::5]:
        probe.present(Sample(), now_s)
        seen = [look() for _ in range(3)]
        assert not any(seen)
        probe.present(Sample((Component(substance_id, 1.0),), fluorescence=0.03), now_s)
        seen = [look() for _ in range(4)]
        if sum(seen) != 1:
            missed.append(substance_id)
    assert not missed
