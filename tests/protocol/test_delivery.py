"""Goal: the window sends and frees as SPEC.md 6 says; the ledger's receipts are true and complete.

Method: the deadlines step by step; the ledger against a plain set of numbers, with Hypothesis.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.delivery import Ledger, Window
from protocol.messages import Receipt, unpack

# --------------------------------------------------------------------------------------- window


def flying(*numbers, size=limits.WINDOW_RECORDS, resend_ms=limits.RESEND_MS):
    """Return a window with these records in flight since 0 ms."""
    window = Window(size, resend_ms)
    for seq in numbers:
        window.admit(seq, 0)
    return window


def test_a_record_is_due_at_once_and_again_after_doubling_waits():
    """SPEC 6.6: 5, 10, 20, 40 s, then every minute."""
    window = flying(7)
    now_ms = 0
    waits = []
    for _ in range(14):
        assert window.due(now_ms) == 7
        assert window.due_in_ms(now_ms) == 0
        window.sent(7, now_ms)
        wait_ms = window.due_in_ms(now_ms)
        assert window.due(now_ms) is None
        assert window.due(now_ms + wait_ms - 1) is None
        assert window.due_in_ms(now_ms + wait_ms - 1) == 1
        waits.append(wait_ms)
        now_ms += wait_ms
    assert waits == [5_000, 10_000, 20_000, 40_000] + [limits.RESEND_MS_MAX] * 10


def test_a_wait_beyond_the_limit_stays_as_it_is():
    """SPEC 6.6: a config may ask for more than a minute."""
    window = flying(1, resend_ms=200_000)
    for now_ms in (0, 200_000, 400_000):
        window.sent(1, now_ms)
        assert window.due_in_ms(now_ms) == 200_000


def test_the_lowest_due_record_is_sent_first():
    """SPEC 6.6."""
    window = flying(3, 4, 9)
    order = []
    while (seq := window.due(100)) is not None:
        order.append(seq)
        window.sent(seq, 100)
    assert order == [3, 4, 9]


def test_the_earliest_deadline_counts():
    """SPEC 6.6."""
    window = flying(1, 2)
    window.sent(1, 0)
    window.sent(2, 300)
    assert window.due_in_ms(300) == 4_700
    window.receipt(1)
    assert window.due_in_ms(300) == 5_000
    window.receipt(2)
    assert window.due_in_ms(300) is None


def test_what_is_on_its_way_to_the_broker_is_not_due_until_the_broker_has_it():
    """SPEC 6.6."""
    window = flying(1, 2)
    window.hold(1)
    window.hold(2)
    window.hold(99)
    assert window.due(10**12) is None
    assert window.due_in_ms(10**12) is None
    window.sent(1, 50_000)
    assert window.due(50_000 + limits.RESEND_MS - 1) is None
    assert window.due_in_ms(50_000) == limits.RESEND_MS
    assert window.due(50_000 + limits.RESEND_MS) == 1
    window.reconnected(60_000)
    assert window.due(60_000) == 1
    assert window.receipt(1) == [1]
    assert window.due(60_000) == 2


def test_a_new_connection_makes_everything_due_and_the_waits_short():
    """SPEC 6.6, SPEC 7.5."""
    window = flying(1, 2)
    for now_ms in (0, 5_000, 15_000):
        window.sent(1, now_ms)
        window.sent(2, now_ms)
    window.reconnected(16_000)
    assert window.due(16_000) == 1
    window.sent(1, 16_000)
    assert window.due(16_000) == 2
    window.sent(2, 16_000)
    assert window.due_in_ms(16_000) == limits.RESEND_MS


def test_the_window_is_bounded_and_ascends():
    """SPEC 6.5."""
    window = flying(5, 6, size=3)
    with pytest.raises(ValueError, match="record 6 is not above 6"):
        window.admit(6, 0)
    assert window.has_room
    window.admit(8, 0)
    assert (window.has_room, len(window), window.newest_seq) == (False, 3, 8)
    with pytest.raises(ValueError, match="window of 3 is full"):
        window.admit(9, 0)
    assert window.in_flight() == [5, 6, 8]
    assert Window().size == limits.WINDOW_RECORDS
    assert Window().newest_seq == 0


@pytest.mark.parametrize("size", [-1, 0, limits.WINDOW_RECORDS_MAX + 1])
def test_a_window_of_impossible_size_is_refused(size):
    """SPEC 6.5."""
    with pytest.raises(ValueError, match=f"window of {size} records"):
        Window(size)


def test_a_wait_that_is_none_is_refused():
    """SPEC 6.6: it would send without end."""
    with pytest.raises(ValueError, match="resend_ms is 0"):
        Window(8, 0)


@given(
    st.sets(st.integers(1, 60), max_size=32),
    st.integers(0, 60),
    st.lists(st.tuples(st.integers(2, 6), st.integers(0, 6)), max_size=8),
)
def test_a_receipt_frees_what_it_covers_and_nothing_else(numbers, seq, gaps):
    """SPEC 6.7, SPEC 6.9."""
    beyond = []
    floor = seq
    for gap, length in gaps:
        beyond += [floor + gap, floor + gap + length]
        floor = beyond[-1]
    covered = set(range(seq + 1))
    for i in range(0, len(beyond), 2):
        covered |= set(range(beyond[i], beyond[i + 1] + 1))
    window = flying(*sorted(numbers), size=limits.WINDOW_RECORDS_MAX)
    assert window.receipt(seq, tuple(beyond)) == sorted(numbers & covered)
    assert window.in_flight() == sorted(numbers - covered)


def test_receipts_may_come_late_twice_and_out_of_order():
    """SPEC 6.11."""
    window = flying(1, 2, 3, 4)
    assert window.receipt(1, (3, 3)) == [1, 3]
    assert window.receipt(0) == []
    assert window.receipt(1, (3, 3)) == []
    assert window.receipt(4) == [2, 4]
    assert len(window) == 0


def test_sending_alone_frees_nothing():
    """SPEC 6.7: the window is not told of the broker's acknowledgement, and needs no telling."""
    window = flying(1, 2)
    for now_ms in range(0, 1_000_000, 5_000):
        while (seq := window.due(now_ms)) is not None:
            window.sent(seq, now_ms)
    assert window.in_flight() == [1, 2]


def test_what_was_freed_or_dropped_is_not_due():
    """SPEC 6.14: an evicted record leaves the window, a late `sent` does not bring it back."""
    window = flying(1, 2, 3)
    window.drop(2)
    window.drop(99)
    assert window.in_flight() == [1, 3]
    assert window.receipt(1) == [1]
    window.sent(1, 0)
    window.sent(2, 0)
    assert window.in_flight() == [3]
    assert window.due(0) == 3


# --------------------------------------------------------------------------------------- ledger


def spans(numbers, floor):
    """Return the ranges of a set of numbers above `floor`, by the plainest means."""
    flat = []
    for seq in sorted(numbers):
        if seq <= floor:
            continue
        if flat and seq == flat[-1] + 1:
            flat[-1] = seq
        else:
            flat += [seq, seq]
    return flat


def settled(numbers, floor):
    """Return up to where everything is in `numbers` or below `floor`."""
    seq = floor
    while seq + 1 in numbers:
        seq += 1
    return seq


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.integers(1, 25)),
        st.tuples(st.just("commit"), st.integers(1, 120)),
        st.tuples(st.just("floor"), st.integers(1, 60)),
    ),
    max_size=120,
)


@given(STEPS)
def test_the_ledger_agrees_with_a_plain_set(steps):
    """SPEC 6.8, SPEC 6.9, SPEC 6.10, SPEC 6.13: in any order, with doubles and floors between."""
    ledger = Ledger()
    numbers = set()
    floor = 0
    for what, seq in steps:
        before = settled(numbers, floor)
        if what == "commit":
            assert ledger.commit(seq) == (seq > before and seq not in numbers)
            numbers.add(seq)
        else:
            lost = [n for n in range(before + 1, seq) if n not in numbers]
            assert ledger.raise_floor(seq) == len(lost)
            floor = max(floor, seq - 1, before)
        assert ledger.seq == settled(numbers, floor)
        flat = spans(numbers, ledger.seq)
        assert [edge for span in ledger._ranges for edge in span] == flat
        highest = flat[-1] if flat else ledger.seq
        open_numbers = [n for n in range(ledger.seq + 1, highest) if n not in numbers]
        assert ledger.missing() == len(open_numbers)
        receipt = Receipt(bytes(8), ledger.seq, ledger.beyond())
        assert unpack(receipt.pack()) == receipt
        if len(flat) <= 2 * limits.RECEIPT_RANGES_MAX:
            assert list(receipt.beyond) == flat


@given(st.permutations(range(2, 60)), st.integers(0, 57))
def test_any_order_of_arrival_ends_the_same(numbers, left_out):
    """SPEC 6.15: rebuilt in ascending order from what is committed."""
    arrived = numbers[left_out:]
    ledger = Ledger()
    for seq in arrived:
        ledger.commit(seq)
    rebuilt = Ledger()
    for seq in sorted(arrived):
        rebuilt.commit(seq)
    assert (ledger.seq, ledger._ranges) == (rebuilt.seq, rebuilt._ranges)
    if len(rebuilt._ranges) <= limits.RECEIPT_RANGES_MAX:
        assert ledger.beyond() == rebuilt.beyond()


def test_what_came_last_is_in_the_receipt_however_many_ranges_there_are():
    """SPEC 6.9, SPEC 6.10: the lowest ranges may be old news, with gaps that never close."""
    ledger = Ledger()
    for seq in range(2, 402, 2):
        ledger.commit(seq)
        beyond = ledger.beyond()
        assert len(beyond) <= 2 * limits.RECEIPT_RANGES_MAX
        assert seq in beyond
    assert ledger.commit(4) is False
    assert 4 in ledger.beyond()
    assert ledger.beyond()[-1] == 400


def test_ranges_that_did_not_come_last_fill_the_receipt_from_below():
    """SPEC 6.9: all of them where there is room."""
    ledger = Ledger()
    for seq in range(2, 42, 2):
        ledger.commit(seq)
    for _ in range(limits.RECEIPT_RANGES_MAX):
        ledger.commit(40)
    lowest = [seq for seq in range(2, 2 * limits.RECEIPT_RANGES_MAX, 2) for _ in range(2)]
    assert list(ledger.beyond()) == [*lowest, 40, 40]


def test_more_ranges_than_the_ledger_holds_cost_the_highest():
    """SPEC 6.15: which is noted again when it is sent again."""
    ledger = Ledger()
    for seq in range(2, 2 * limits.LEDGER_RANGES_MAX + 2, 2):
        assert ledger.commit(seq) is True
    highest = 2 * limits.LEDGER_RANGES_MAX + 2
    assert ledger.commit(highest) is True
    assert len(ledger._ranges) == limits.LEDGER_RANGES_MAX
    assert highest not in ledger.beyond()
    assert ledger.commit(1) is True
    assert ledger.commit(highest) is True
    assert highest in ledger.beyond()


def test_a_new_ledger_is_empty():
    """SPEC 6.12: the next journal begins with nothing."""
    ledger = Ledger()
    assert (ledger.seq, ledger.beyond(), ledger.missing()) == (0, (), 0)
    assert Ledger(17).commit(17) is False
    assert Ledger(17).seq == 17


def test_a_floor_within_a_range_counts_what_is_below_it():
    """SPEC 6.13: 1, 2 and 6 never came; 3 to 5 and 7 to 9 did."""
    ledger = Ledger()
    for seq in (3, 4, 5, 7, 8, 9):
        ledger.commit(seq)
    assert ledger.raise_floor(5) == 2
    assert (ledger.seq, ledger.beyond()) == (5, (7, 9))
    assert ledger.raise_floor(9) == 1
    assert (ledger.seq, ledger.beyond()) == (9, ())


def test_the_floor_never_falls():
    """SPEC 6.13: a birth that the broker had retained may be old."""
    ledger = Ledger()
    assert ledger.raise_floor(9) == 8
    assert ledger.raise_floor(4) == 0
    assert ledger.seq == 8
