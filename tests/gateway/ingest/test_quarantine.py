"""Goal: a node that misbehaves is barred and heard again by itself; an honest one never is.

Method: pure, on a clock of the test's own. An honest node is the real `protocol.delivery.Window`
before the real `Arrivals`, after an outage with a full flash.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import wire
from gateway.ingest.arrivals import Arrivals, Offer
from gateway.ingest.intake import Taken
from gateway.ingest.quarantine import (
    BAR_S_MAX,
    BAR_S_MIN,
    CALM_S,
    CAUSES,
    EXCESS_MAX,
    EXCESS_PER_S,
    EXCESSES,
    SCORE_MAX,
    TEXTS,
    Quarantine,
)
from gateway.settings import IngestSettings
from protocol import limits
from protocol.delivery import Window


def offend(quarantine, cause, now_s, node="a"):
    """Have a node do wrong until it is barred."""
    for _ in range(1 + (EXCESS_MAX if cause in EXCESSES else SCORE_MAX)):
        barred = quarantine.note(node, cause, now_s)
        if barred is not None:
            return barred
    raise AssertionError("never barred")


@pytest.mark.parametrize("cause", [*CAUSES, *sorted(EXCESSES)])
def test_a_node_that_misbehaves_is_barred_named_and_heard_again(cause):
    quarantine = Quarantine()
    barred = offend(quarantine, cause, 1_000.0)
    assert (barred.cause, barred.times) == (cause, 1)
    assert "node 'a' is not listened to for 60 s" in barred.text
    assert TEXTS[cause] in barred.text
    assert quarantine.bars("a")
    assert not quarantine.bars("b")
    assert quarantine.states() == {"a": barred}
    assert quarantine.note("a", cause, 1_001.0) is None  # what it does meanwhile does not count
    assert quarantine.release(1_000.0 + BAR_S_MIN - 0.1) == []
    assert quarantine.release(1_000.0 + BAR_S_MIN) == [barred]
    assert not quarantine.bars("a")
    assert quarantine.note("a", cause, 1_060.0) is None


def test_each_time_is_twice_as_long_until_it_was_calm():
    quarantine, now_s, lengths = Quarantine(), 0.0, []
    for _ in range(9):
        barred = offend(quarantine, "overflow", now_s)
        lengths.append(barred.until_s - barred.since_s)
        now_s = barred.until_s
        quarantine.release(now_s)
    assert lengths == [60, 120, 240, 480, 960, 1_920, *[BAR_S_MAX] * 3]
    barred = offend(quarantine, "overflow", now_s + CALM_S + 1.0)
    assert (barred.until_s - barred.since_s, barred.times) == (BAR_S_MIN, 1)


@given(gaps_s=st.lists(st.floats(1.0, 5.0), max_size=300))
def test_one_fault_a_second_bars_nobody(gaps_s):
    quarantine, now_s = Quarantine(), 0.0
    for gap_s in gaps_s:
        now_s += gap_s
        assert quarantine.note("a", "frame_refused", now_s) is None


def test_excess_is_no_fault_and_no_fault_is_excess():
    """Neither fills the other's measure, whatever a node has done before."""
    quarantine = Quarantine()
    for _ in range(EXCESS_MAX):
        assert quarantine.note("a", "record_repeated", 0.0) is None
    for _ in range(SCORE_MAX):
        assert quarantine.note("a", "frame_refused", 0.0) is None
    assert quarantine.note("a", "message_empty", 0.0).cause == "record_repeated"


def test_a_flood_is_barred_within_a_second_and_a_repetition_for_ever_is_not():
    quarantine, dull = Quarantine(), Quarantine()
    for count in range(4_000):
        if quarantine.note("a", "record_repeated", count / 4_000) is not None:
            break
    assert quarantine.bars("a")
    for count in range(60 * EXCESS_PER_S):
        assert dull.note("a", "health_replaced", count / EXCESS_PER_S) is None


@given(
    resend_ms=st.integers(limits.RESEND_MS_MIN, limits.RESEND_MS),
    anew_s=st.integers(1, 60),
    words=st.integers(0, 2),
)
def test_an_honest_node_that_is_held_up_for_a_minute_is_not_barred(resend_ms, anew_s, words):
    """All it repeated comes at once: by deadlines, new connections, the gateway's word."""
    quarantine, window = Quarantine(), Window(limits.WINDOW_RECORDS_MAX, resend_ms)
    for seq in range(1, limits.WINDOW_RECORDS_MAX + 1):
        window.admit(seq, 0)
    sent = 0
    for now_ms in range(0, 60_000, 100):
        if now_ms and now_ms % (1_000 * anew_s) == 0:
            anew_s *= 2  # a node waits longer each time
            for _ in range(1 + words):
                window.reconnected(now_ms)
                sent += repeat(window, now_ms)
        sent += repeat(window, now_ms)
    for _ in range(sent):
        assert quarantine.note("a", "record_repeated", 60.0) is None


def repeat(window, now_ms):
    """Send what is due; return how many that were."""
    count = 0
    while (due := window.due(now_ms)) is not None:
        window.sent(due, now_ms)
        count += 1
    return count


def test_the_cause_is_what_it_did_most():
    quarantine = Quarantine()
    for _ in range(10):
        quarantine.note("a", "kind_refused", 0.0)
    assert offend(quarantine, "topic_foreign", 0.0).cause == "topic_foreign"


def test_a_node_whose_window_this_gateway_cannot_read_is_counted_and_not_barred():
    """Newer firmware: its records are refused, its health must still get in."""
    quarantine, window = Quarantine(), Window(limits.WINDOW_RECORDS_MAX)
    for seq in range(1, limits.WINDOW_RECORDS_MAX + 1):
        window.admit(seq, 0)
    refused = 0
    for now_ms in range(0, 3_600_000, 250):
        while (seq := window.due(now_ms)) is not None:
            window.sent(seq, now_ms)
            refused += 1
            assert quarantine.note("a", "kind_refused", now_ms / 1_000) is None
    assert refused > 60 * limits.WINDOW_RECORDS_MAX


@given(
    resend_ms=st.integers(limits.RESEND_MS_MIN, limits.RESEND_MS),
    stuck_s=st.integers(0, 120),
    health_s=st.integers(5, 60),
)
def test_an_honest_node_after_an_outage_is_never_turned_away(resend_ms, stuck_s, health_s):
    """Thousands of records on its flash, the widest window, and a disk that is stuck meanwhile.

    What it repeats while it waits bars it never.
    """
    now_ms, seq, done = 0, 0, 0
    arrivals = Arrivals(IngestSettings(), now_s=lambda: now_ms / 1_000)
    quarantine, window = Quarantine(), Window(limits.WINDOW_RECORDS_MAX, resend_ms)
    total = 2_000
    while done < total and now_ms < 600_000:
        while window.has_room and seq < total:
            seq += 1
            window.admit(seq, now_ms)
        while (due := window.due(now_ms)) is not None:
            became = arrivals.offer(taken(due))
            assert became in {Offer.taken, Offer.repeated}
            if became is Offer.repeated:
                assert quarantine.note("a", "record_repeated", now_ms / 1_000) is None
            window.sent(due, now_ms)
        if now_ms % (health_s * 1_000) == 0:
            assert arrivals.offer(health(now_ms)) in {Offer.taken, Offer.replaced}
        if now_ms >= stuck_s * 1_000:
            for found in arrivals.take(256):
                if isinstance(found.message, wire.Event):
                    done += len(window.receipt(0, (found.message.seq, found.message.seq)))
        now_ms += 100
    assert done == total


def taken(seq):
    said = wire.Event(
        *(b"journal1", seq, b"boot-one", 5, None, 0, b"inspect1", 1, "]C1", b"x", None, None)
    )
    return Taken("a", said, b"%06d" % seq + b"x" * 3_000, False, 0)  # noqa: FBT003


def health(uptime_ms):
    said = wire.Health(
        *(b"boot-one", uptime_ms, None, 0, None, None, 0, b"journal1", 1, 9, 0, 0, 0, 0, 0, 0, 0),
        "",
    )
    return Taken("a", said, b"health", False, 0)  # noqa: FBT003
