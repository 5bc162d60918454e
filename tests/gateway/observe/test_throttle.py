"""Goal: every fault is told at once, a lasting one once a minute, and none fills memory or log.

The last state that was told is how it is, at the latest a minute after it came to be so.

Method: pure, on a clock that is turned by hand; Hypothesis draws faults, states and times.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.throttle import (
    AGAIN_S,
    STATES_MAX,
    STATES_S,
    SUBJECTS_MAX,
    Flapping,
    Throttle,
)


def test_the_first_is_told_and_the_rest_are_counted():
    throttle = Throttle()
    assert throttle.tell("frame_refused", "lane-1", 0.0) == 0
    assert throttle.tell("frame_refused", "lane-1", 1.0) is None
    assert throttle.tell("frame_refused", "lane-2", 1.0) == 0
    assert throttle.tell("kind_refused", "lane-1", 1.0) == 0
    assert throttle.tell("frame_refused", "lane-1", AGAIN_S - 0.1) is None
    assert throttle.tell("frame_refused", "lane-1", AGAIN_S) == 2
    assert throttle.tell("frame_refused", "lane-1", AGAIN_S + 1) is None


def test_what_comes_many_at_a_time_is_counted_as_many():
    throttle = Throttle()
    assert throttle.tell("topic_foreign", "lane-1", 0.0, 300) == 0
    assert throttle.tell("topic_foreign", "lane-1", 1.0, 40) is None
    assert throttle.tell("topic_foreign", "lane-1", AGAIN_S, 5) == 339
    assert throttle.tell("topic_foreign", "lane-1", 2 * AGAIN_S) == 4


@given(
    faults=st.lists(
        st.tuples(st.sampled_from("ab"), st.floats(0, 40, allow_nan=False)), max_size=200
    )
)
def test_told_and_quiet_together_are_all(faults):
    throttle = Throttle()
    now_s, told, mentioned, kept = 0.0, {}, dict.fromkeys("ab", 0), dict.fromkeys("ab", 0)
    for subject, pause_s in faults:
        now_s += pause_s
        quiet = throttle.tell("x", subject, now_s)
        if quiet is None:
            kept[subject] += 1
            assert now_s - told[subject] < AGAIN_S
        else:
            assert quiet == kept[subject] - mentioned[subject]
            mentioned[subject] = kept[subject]
            assert subject not in told or now_s - told[subject] >= AGAIN_S
            told[subject] = now_s


def test_invented_names_take_no_more_than_their_room():
    throttle = Throttle()
    for number in range(10 * SUBJECTS_MAX):
        assert throttle.tell("node_unknown", f"node-{number}", 0.0) == 0
    assert len(throttle._told) == SUBJECTS_MAX


class Clock:
    """A clock and its timers, turned by hand."""

    def __init__(self):
        self.now_s = 1_000.0
        self.timers = []

    def read_s(self):
        return self.now_s

    def later(self, wait_s, call):
        timer = _Timer(self, self.now_s + wait_s, call)
        self.timers.append(timer)
        return timer

    def turn(self, seconds):
        until_s = self.now_s + seconds
        while due := [timer for timer in self.timers if timer.due_s <= until_s]:
            first = min(due, key=lambda timer: timer.due_s)
            self.now_s = first.due_s
            self.timers.remove(first)
            first.call()
        self.now_s = until_s


class _Timer:
    def __init__(self, clock, due_s, call):
        self.clock, self.due_s, self.call = clock, due_s, call

    def cancel(self):
        if self in self.clock.timers:
            self.clock.timers.remove(self)


@pytest.fixture
def clock():
    return Clock()


def told_by(clock):
    """Return the list of what a new one tells, and that one."""
    told = []
    states = Flapping(lambda *found: told.append((clock.now_s, *found)), clock.read_s, clock.later)
    return told, states


def test_states_are_told_at_once_and_what_follows_too_many_when_there_is_room(clock):
    told, states = told_by(clock)
    for number in range(STATES_MAX):
        states.tell("well" if number % 2 else "unwell", str(number))
        assert told[-1][2:] == (str(number), 0)
        clock.turn(1)
    for number in range(STATES_MAX, STATES_MAX + 5):
        states.tell("well" if number % 2 else "unwell", str(number))
        clock.turn(1)
    assert len(told) == STATES_MAX
    clock.turn(STATES_S - STATES_MAX - 5 - 0.5)
    assert len(told) == STATES_MAX
    clock.turn(0.5)
    assert told[STATES_MAX:] == [(1_000.0 + STATES_S, "unwell", str(STATES_MAX + 4), 4)]
    assert clock.timers == []
    states.tell("well", "the second of them is a minute old as well, a second later")
    assert len(told) == STATES_MAX + 1
    clock.turn(1)
    assert told[-1][0::3] == (1_001.0 + STATES_S, 0)
    clock.turn(STATES_S)
    states.tell("unwell", "after a quiet minute")
    assert told[-1][0] == clock.now_s


def test_what_waits_is_told_at_the_end_and_its_timer_is_not_left_behind(clock):
    told, states = told_by(clock)
    for number in range(STATES_MAX + 2):
        states.tell("unwell", str(number))
    assert len(told) == STATES_MAX
    assert len(clock.timers) == 1
    states.flush()
    assert told[-1][1:] == ("unwell", str(STATES_MAX + 1), 1)
    assert clock.timers == []
    states.flush()
    assert len(told) == STATES_MAX + 1


@given(pauses_s=st.lists(st.floats(0, 40, allow_nan=False) | st.just(0.0), max_size=200))
def test_the_last_state_told_is_how_it_is(pauses_s):
    clock = Clock()
    told, states = told_by(clock)
    since_s = clock.now_s
    for number, pause_s in enumerate(pauses_s):
        clock.turn(pause_s)
        since_s = clock.now_s
        states.tell("well" if number % 2 else "unwell", str(number))
        if told[-1][2] != str(number):  # it waits, and for a reason
            recent = [each for each in told if clock.now_s - each[0] < STATES_S]
            assert len(recent) == STATES_MAX
    clock.turn(STATES_S)
    assert clock.timers == []
    if pauses_s:
        assert told[-1][2] == str(len(pauses_s) - 1)
        assert told[-1][0] <= since_s + STATES_S
    assert len(told) + sum(quiet for *_, quiet in told) == len(pauses_s)
    for at, (told_s, *_) in enumerate(told[STATES_MAX:]):
        assert told_s - told[at][0] >= STATES_S - 1e-6  # sums of fractions
