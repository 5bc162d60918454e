"""Goal: slow links deliver: a window is not poured into a socket whose other end is minutes away.

Method: the real window, ledger and pace over a model of a link: first in, first out, a rate, a
latency each way, a socket that takes everything at once. The model decides as the uplink does; the
fault proxy of `tests/stories/test_links.py` then shows the same with the node itself.
"""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node import limits
from node.pace import Pace
from protocol.delivery import Ledger, Window
from protocol.limits import RESEND_MS, WINDOW_RECORDS

STEP_MS = 250
GIVE_UP_MS = 4 * 3600 * 1000


def minus(later, earlier):
    return later - earlier


class Model:
    """A node, a link and a gateway; `run` returns the milliseconds until all is committed.

    Args:
        size: bytes of each record.
        rate: bytes in a second.
        latency_ms: each way.
    """

    def __init__(self, size, rate, latency_ms, count=20):
        self.size, self.rate, self.latency_ms, self.count = size, rate, latency_ms, count
        self.window, self.ledger = Window(WINDOW_RECORDS, RESEND_MS), Ledger()
        self.sent = self.reconnects = self.admitted = self.now_ms = 0
        self.under_way_max = 0
        self.repeated = []
        self.connect()

    def connect(self):
        self.pace = Pace(minus, self.now_ms)
        self.heard_ms = self.free_ms = self.now_ms
        self.up, self.down, self.handed = [], [], {}
        self.window.reconnected(self.now_ms)

    def run(self):
        while self.ledger.seq < self.count and self.now_ms < GIVE_UP_MS:
            self.deliver()
            silent_ms = self.now_ms - self.heard_ms
            if silent_ms >= self.pace.silence_ms_max() or self.pace.is_stuck(self.now_ms):
                self.reconnects += 1
                self.connect()
            while self.pace.has_room(self.now_ms) and self.send():
                self.under_way_max = max(self.under_way_max, self.pace.unacked_count)
            self.now_ms += STEP_MS
        return self.now_ms

    def send(self):
        seq = self.window.due(self.now_ms)
        if seq is None:
            if not self.window.has_room or self.admitted == self.count:
                return False
            seq = self.admitted = self.admitted + 1
            self.window.admit(seq, self.now_ms)
        self.window.hold(seq)
        self.sent += 1
        self.handed[self.sent] = seq
        self.pace.sent(self.sent, self.size, self.now_ms)
        self.free_ms = max(self.free_ms, self.now_ms) + self.size * 1000 // self.rate
        self.up.append((self.free_ms + self.latency_ms, self.sent, seq))
        return True

    def deliver(self):
        while self.up and self.up[0][0] <= self.now_ms:
            at_ms, packet_id, seq = self.up.pop(0)
            if not self.ledger.commit(seq):
                self.repeated.append(seq)
            self.down.append((at_ms + self.latency_ms, packet_id, self.ledger.seq))
        while self.down and self.down[0][0] <= self.now_ms:
            _, packet_id, floor = self.down.pop(0)
            self.heard_ms = self.now_ms
            self.pace.acknowledged(packet_id, self.now_ms)
            self.window.sent(self.handed.pop(packet_id), self.now_ms)
            self.window.receipt(floor)


@pytest.mark.parametrize("size", [2_200, 4_220, 8_440])
@pytest.mark.parametrize("latency_ms", [0, 600, 3_000])
@pytest.mark.parametrize("bits", [2_400, 9_600, 64_000])
def test_a_slow_link_carries_each_record_once_and_is_kept_busy(size, latency_ms, bits):
    model = Model(size, bits // 8, latency_ms)
    ideal_ms = model.count * size * 8_000 // bits
    assert model.run() <= 1.25 * ideal_ms + 8 * latency_ms + 20 * STEP_MS
    assert (model.sent, model.reconnects, model.repeated) == (model.count, 0, [])


@settings(max_examples=40, deadline=None)
@given(
    st.integers(100, 12_288), st.integers(300, 100_000), st.integers(0, 3_000), st.integers(1, 40)
)
def test_no_link_within_the_bounds_is_given_up(size, rate, latency_ms, count):
    model = Model(size, rate, latency_ms, count)
    model.run()
    assert (model.sent, model.reconnects) == (count, 0)


def test_a_fast_link_fills_the_window_and_a_slow_one_takes_two():
    fast, slow = Model(4_220, 1_000_000, 300), Model(4_220, 300, 600)
    fast.run()
    slow.run()
    assert fast.under_way_max == WINDOW_RECORDS
    assert slow.under_way_max == 2


def test_a_silent_link_is_given_up_after_the_time_what_is_under_way_may_take():
    pace = Pace(minus, 0)
    assert pace.silence_ms_max() == limits.SILENCE_MS_MAX
    pace.sent(1, 4_220, 1_000)
    allowed_ms = limits.SILENCE_MS_MAX + 4_220 * 5
    assert pace.silence_ms_max() == allowed_ms
    assert not pace.is_stuck(1_000 + allowed_ms - 1)
    assert pace.is_stuck(1_000 + allowed_ms)
    assert pace.acknowledged(1, 30_000)
    assert not pace.is_stuck(10**9)
    assert pace.unacked_bytes == 0


def test_an_acknowledgement_of_nothing_is_none():
    pace = Pace(minus, 0)
    pace.sent(7, 100, 0)
    assert not pace.acknowledged(8, 0)
    assert (pace.unacked_count, pace.unacked_bytes) == (1, 100)


def test_what_was_acknowledged_long_ago_opens_nothing():
    pace = Pace(minus, 0)
    pace.sent(1, 5_000, 0)
    pace.acknowledged(1, 1_000)
    pace.sent(2, 4_000, 1_000)
    assert pace.has_room(1_000 + limits.PACE_RECENT_MS - 1)
    assert not pace.has_room(1_000 + limits.PACE_RECENT_MS)


def test_what_is_remembered_has_its_room_from_the_start():
    pace = Pace(minus, 0)
    ring = (pace._acked_ms, pace._acked_bytes)
    before = [sys.getsizeof(each) for each in ring]
    for now_ms in range(10 * limits.UNACKED_MAX):
        pace.sent(now_ms + 1, 1, now_ms)
        assert pace.acknowledged(now_ms + 1, now_ms)
    assert ring == (pace._acked_ms, pace._acked_bytes)
    assert [sys.getsizeof(each) for each in ring] == before
    assert [len(each) for each in ring] == [limits.UNACKED_MAX] * 2
    pace.sent(1, limits.UNACKED_MAX, now_ms)  # as much as the newest ones together
    assert pace.has_room(now_ms)
    pace.sent(2, 1, now_ms)
    assert not pace.has_room(now_ms)
