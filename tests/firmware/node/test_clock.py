"""Goal: uptime never goes back or wraps; wall time follows the gateway and states its quality.

Method: ticks of a board, which wrap at 2**30, driven by hypothesis; time messages with round trips,
steps, foreign boots and impossible echoes. A story on both interpreters stores, sends and commands
while the gateway's clock jumps and the ticks wrap, and no board's clock may be asked.
"""

import ast
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from node import limits
from node.clock import Clock
from protocol.messages import TIME_GATEWAY, TIME_GNSS, TIME_NONE, Time

BOOT_ID = b"bootboot"
PERIOD = 1 << 30  # ticks of a 32-bit MicroPython
WALL_MS = 1_795_000_000_000


class Ticks:
    """A board's tick counter."""

    def __init__(self, start=0):
        self.true_ms = start

    def now(self):
        return self.true_ms % PERIOD

    @staticmethod
    def diff(later, earlier):
        return (later - earlier + PERIOD // 2) % PERIOD - PERIOD // 2


def make(start=0):
    ticks = Ticks(start)
    return ticks, Clock(ticks.now, ticks.diff, BOOT_ID)


def tell(clock, time_ms, echo_ms, quality=TIME_GATEWAY, boot_id=BOOT_ID):
    return clock.learn(Time(time_ms, quality, boot_id, echo_ms))


@given(st.integers(0, PERIOD), st.lists(st.integers(0, PERIOD // 2 - 1), max_size=30))
def test_uptime_counts_on_when_the_ticks_wrap(start, steps):
    ticks, clock = make(start)
    for step in steps:
        ticks.true_ms += step
        assert clock.uptime_ms() == ticks.true_ms - start


def test_there_is_no_wall_time_before_the_gateway_tells_it():
    _, clock = make()
    assert clock.time_ms() is None
    assert clock.quality == TIME_NONE
    assert not tell(clock, WALL_MS, 0, TIME_NONE)
    assert clock.time_ms() is None


@given(st.integers(0, limits.ROUND_TRIP_MS_MAX), st.data())
def test_the_truth_lies_within_the_stated_uncertainty(round_trip_ms, data):
    ticks, clock = make()
    ticks.true_ms += 5_000
    asked_ms = clock.uptime_ms()
    outward_ms = data.draw(st.integers(0, round_trip_ms))
    told_ms = WALL_MS + asked_ms + outward_ms  # what the gateway's clock shows as it answers
    ticks.true_ms += round_trip_ms
    assert tell(clock, told_ms, asked_ms)
    truth_ms = WALL_MS + ticks.true_ms
    assert abs(clock.time_ms() - truth_ms) <= clock.uncertainty_ms() <= (round_trip_ms + 1) // 2


def test_a_better_measurement_is_kept_until_drift_makes_it_worse():
    ticks, clock = make()
    ticks.true_ms = 1_000
    assert tell(clock, WALL_MS + 990, 980)  # round trip 20 ms
    ticks.true_ms = 10_000
    assert not tell(clock, WALL_MS + 9_500, 9_000)  # round trip 1 s, agrees
    assert clock.refused_count == 1
    ticks.true_ms += 6_000_000  # 100 ppm of 6000 s are 600 ms
    asked_ms = clock.uptime_ms() - 1_000
    assert tell(clock, WALL_MS + asked_ms + 500, asked_ms)


def test_a_corrected_gateway_clock_is_followed_and_uptime_does_not_jump():
    ticks, clock = make()
    ticks.true_ms = 1_000
    tell(clock, WALL_MS, 990)
    for jump_ms in (3_600_000, -86_400_000 * 365 * 10):
        before_ms = clock.uptime_ms()
        asked_ms = clock.uptime_ms() - 2_000
        assert tell(clock, WALL_MS + jump_ms, max(asked_ms, 0))
        assert abs(clock.time_ms() - (WALL_MS + jump_ms)) <= 2_000
        assert clock.uptime_ms() == before_ms
        ticks.true_ms += 10


def test_messages_that_are_not_ours_or_impossible_are_refused():
    ticks, clock = make()
    ticks.true_ms = 50_000
    assert not tell(clock, WALL_MS, 49_000, boot_id=b"otherone")
    assert not tell(clock, WALL_MS, 50_001)  # an echo of the future (SPEC 7.4)
    assert not tell(clock, WALL_MS, 50_000 - limits.ROUND_TRIP_MS_MAX - 1)
    assert clock.refused_count == 3
    assert clock.time_ms() is None
    assert tell(clock, WALL_MS, None, TIME_GNSS)  # without echo: better than nothing
    assert clock.quality == TIME_GNSS
    assert tell(clock, WALL_MS, 49_990)
    assert clock.uncertainty_ms() == 5
    assert clock.round_trip_ms == 10


FIRMWARE = Path(__file__).resolve().parents[3] / "firmware"


def test_jumps_of_any_size_and_wrapped_ticks_change_labels_and_nothing_else(run_story, interpreter):
    """SPEC 7.1: by a second to ten years, to 1970 and 2000; ticks wrap, at half the period too."""
    lines = run_story("clock_story.py", interpreter=interpreter)
    facts, labels = zip(*[line.split("|") for line in lines], strict=True)
    assert len(lines) == 3 * 13
    assert set(facts) == {facts[0]}
    told, due, identity, outcomes, meanwhile = ast.literal_eval(facts[0].strip())
    assert [seq for seq, _, _ in identity] == [1, 2, 3, 4]
    assert due == 1
    assert told[0] == (1, 0, 5_000)
    assert outcomes == [0, 3, 0, 3]  # done in time, expired afterwards; before and after the jump
    assert meanwhile == ([0, 0, 0], True)  # before it is told: dark, born, and the time asked for
    assert len(set(labels)) == 13
    assert all(ast.literal_eval(label.strip())[0] is None for label in labels)
    after = {ast.literal_eval(label.strip())[3] for label in labels}
    assert after == {12_300}  # told anew, the node follows the jump exactly


def test_no_part_of_the_firmware_asks_a_boards_clock():
    """It begins in 1970 or in 2000, and jumps when somebody sets it."""
    asks = re.compile(r"\btime\.(time|time_ns|localtime|gmtime|mktime)\b")
    found = [path.name for path in FIRMWARE.rglob("*.py") if asks.search(path.read_text())]
    assert found == []
