"""Goal: no alert waits for ever or for another's fault, and a dead authority is left in peace.

Method: the schedule is pure, so Hypothesis draws failures and times, and a small model of the
forwarder asks it what it may send.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.alerts.retry import Schedule

MIN_S, MAX_S = 1.0, 300.0
jitters = st.floats(0, 1)


@pytest.fixture
def schedule():
    return Schedule(MIN_S, MAX_S)


def test_nothing_waits_at_first(schedule):
    assert not schedule.link_waits(0.0)
    assert schedule.held(0.0) == []
    assert schedule.next_s(0.0) is None


def test_the_link_waits_longer_each_time_and_works_at_once_after_a_success(schedule):
    waits = [schedule.link_failed(0.0, 1.0) for _ in range(12)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert schedule.link_waits(299.9)
    assert schedule.next_s(10.0) == 300.0
    assert not schedule.link_waits(300.0)
    schedule.delivered("a")
    assert not schedule.link_waits(0.0)
    assert schedule.link_failed(0.0, 1.0) == 1


def test_an_answer_shows_that_the_link_works(schedule):
    schedule.link_failed(0.0, 1.0)
    schedule.alert_failed("a", 0.0, 1.0, refused=False)
    assert not schedule.link_waits(0.0)
    assert schedule.held(0.5) == ["a"]
    assert schedule.next_s(0.5) == 1.0


def test_a_refused_alert_waits_as_long_as_may_be_and_alone(schedule):
    assert schedule.alert_failed("a", 0.0, 1.0, refused=True) == MAX_S
    assert schedule.alert_failed("b", 0.0, 1.0, refused=False) == MIN_S
    assert schedule.held(2.0) == ["a"]
    assert schedule.held(MAX_S) == []
    schedule.delivered("a")
    assert schedule.held(2.0) == []


@given(failures=st.lists(st.tuples(st.booleans(), jitters), min_size=1, max_size=3_000))
def test_waits_stay_within_their_bounds_for_ever(failures):
    schedule = Schedule(MIN_S, MAX_S)
    for refused, jitter in failures:
        for wait_s in (
            schedule.link_failed(0.0, jitter),
            schedule.alert_failed("a", 0.0, jitter, refused=refused),
        ):
            assert 0.75 * MIN_S <= wait_s <= MAX_S


@given(kinds=st.lists(st.sampled_from(["link", "receipt", "refused"]), max_size=40))
def test_whatever_has_failed_all_is_delivered_soon_after_it_heals(kinds):
    """The model sends what it may at each moment that the schedule names."""
    schedule = Schedule(MIN_S, MAX_S)
    attempts = dict.fromkeys("abc", 0)
    now_s = healed_s = 0.0
    while attempts:
        held, only_new = schedule.held(now_s), schedule.link_waits(now_s)
        free = [name for name in attempts if name not in held and not (only_new and attempts[name])]
        if not free:
            due_s = schedule.next_s(now_s)
            assert due_s is not None  # something waits, so there is a moment to wait for
            assert due_s > now_s
            now_s = due_s
            continue
        name = min(free, key=lambda name: (attempts[name], name))
        attempts[name] += 1
        if not kinds:
            schedule.delivered(name)
            del attempts[name]
            continue
        kind = kinds.pop()
        healed_s = now_s
        if kind == "link":
            schedule.link_failed(now_s, 1.0)
        else:
            schedule.alert_failed(name, now_s, 1.0, refused=kind == "refused")
    assert now_s - healed_s <= MAX_S
