"""Goal: every fault is told at once, a lasting one once a minute, and none fills memory or log.

Method: pure; Hypothesis draws faults and times.
"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.throttle import AGAIN_S, SUBJECTS_MAX, Throttle


def test_the_first_is_told_and_the_rest_are_counted():
    throttle = Throttle()
    assert throttle.tell("frame_refused", "lane-1", 0.0) == 0
    assert throttle.tell("frame_refused", "lane-1", 1.0) is None
    assert throttle.tell("frame_refused", "lane-2", 1.0) == 0
    assert throttle.tell("kind_refused", "lane-1", 1.0) == 0
    assert throttle.tell("frame_refused", "lane-1", AGAIN_S - 0.1) is None
    assert throttle.tell("frame_refused", "lane-1", AGAIN_S) == 2
    assert throttle.tell("frame_refused", "lane-1", AGAIN_S + 1) is None


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
