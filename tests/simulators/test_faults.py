"""Goal: faults strike exactly when they are told to, the same way with the same seed.

Method: the text form, good and bad; the calendar of occasions; each kind on a real reply.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import FaultError
from simulators.faults import (
    AUTHORITY_KINDS,
    LINE_KINDS,
    Fault,
    FaultPlan,
    check_fault,
    disturb,
    parse_fault,
)
from simulators.spectrometer.frames import Error, Frame, FrameReader, Rejection, encode

SHORT = encode(Frame(0x100, b"VEN12345", 1, checksum_type=1))
SPECTRUM = encode(Frame(0x101100, bytes(2048), 1, checksum_type=1))


def test_reads_the_text_form():
    assert parse_fault("mute", LINE_KINDS) == Fault("mute")
    assert parse_fault(" stall,at=3,seconds=2.5,on=spectrum", LINE_KINDS) == Fault(
        "stall", at=3, seconds=2.5, on="spectrum"
    )
    assert parse_fault("unavailable,times=4,every=9", AUTHORITY_KINDS).times == 4


@pytest.mark.parametrize(
    "text, words",
    [
        ("fire", "unknown fault 'fire': known are garbage"),
        ("unavailable", "unknown fault 'unavailable'"),
        ("mute,when=3", "unknown key 'when'"),
        ("mute,kind=3", "unknown key 'kind'"),
        ("mute,at=soon", "must be numbers"),
        ("mute,at=0", "at=0 is outside 1"),
        ("mute,every=-1", "every=-1"),
        ("garbage,bytes=100000", "bytes=100000 is outside 1..65536"),
        ("stall,seconds=nan", "seconds=nan"),
        ("stall,on=laser", "on=laser: known are any, spectrum"),
    ],
)
def test_bad_text_is_named(text, words):
    with pytest.raises(FaultError, match=words):
        parse_fault(text, LINE_KINDS)


def test_a_plan_is_bounded():
    with pytest.raises(FaultError, match="17 faults"):
        FaultPlan([Fault("mute")] * 17)


@pytest.mark.parametrize(
    "fault, days",
    [
        (Fault("mute"), [1]),
        (Fault("mute", at=3), [3]),
        (Fault("mute", at=2, times=3), [2, 3, 4]),
        (Fault("mute", at=2, every=4), [2, 6, 10]),
        (Fault("mute", at=3, every=3, times=2), [3, 4, 6, 7, 9, 10, 12]),
        (Fault("mute", every=5, times=2), [1, 2, 6, 7, 11, 12]),
    ],
)
def test_the_calendar(fault, days):
    plan = FaultPlan([fault])
    assert [day for day in range(1, 13) if plan.next()] == days
    assert plan.struck == {"mute": len(days)}


def test_spectra_are_counted_by_themselves():
    plan = FaultPlan([Fault("mute", at=2, on="spectrum")])
    replies = [SHORT, SPECTRUM, SHORT, SHORT, SPECTRUM, SHORT, SPECTRUM]
    muted = [not disturb(reply, plan).pieces for reply in replies]
    assert muted == [False, False, False, False, True, False, False]


def only(fault, reply=SPECTRUM, check_at=None, seed=1):
    return disturb(reply, FaultPlan([check_fault(fault)], seed), check_at)


def joined(disturbed):
    return b"".join(piece for _, piece in disturbed.pieces)


def test_without_faults_a_reply_is_whole():
    disturbed = disturb(SPECTRUM, FaultPlan())
    assert disturbed.pieces == ((0.0, SPECTRUM),)
    assert (disturbed.is_reset, disturbed.unplug_s) == (False, None)


def test_garbage_stands_before_the_reply():
    assert joined(only(Fault("garbage", bytes=40)))[40:] == SPECTRUM
    assert len(joined(only(Fault("garbage", bytes=40)))) == 40 + len(SPECTRUM)


def test_dropped_bytes_are_missing_in_one_place():
    rest = joined(only(Fault("drop", bytes=10)))
    assert len(rest) == len(SPECTRUM) - 10
    assert any(
        rest == SPECTRUM[:start] + SPECTRUM[start + 10 :] for start in range(len(SPECTRUM) - 9)
    )
    assert only(Fault("drop", bytes=5000)).pieces == ()


def test_one_bit_is_flipped():
    changed = int.from_bytes(joined(only(Fault("flip")))) ^ int.from_bytes(SPECTRUM)
    assert changed.bit_count() == 1


@pytest.mark.parametrize("reply", [SHORT, SPECTRUM])
def test_a_wrong_checksum_is_nothing_but_that(reply):
    wire = joined(only(Fault("checksum"), reply, len(reply) - 20))
    (item, *_) = FrameReader(request_payload_max=4096).feed(wire, 0.0)
    assert isinstance(item, Rejection)
    assert item.error is Error.BAD_CHECKSUM
    assert wire[:-20] == reply[:-20]
    assert wire[-4:] == reply[-4:]


def test_a_stall_cuts_and_pauses():
    (first_s, first), (pause_s, second) = only(Fault("stall", seconds=2.5)).pieces
    assert (first_s, pause_s) == (0.0, 2.5)
    assert first + second == SPECTRUM


def test_mute_reset_and_unplug_send_nothing():
    assert only(Fault("mute")).pieces == ()
    assert only(Fault("reset")).is_reset
    assert only(Fault("reset")).pieces == ()
    assert only(Fault("unplug", seconds=3.0)).unplug_s == 3.0
    assert only(Fault("unplug")).pieces == ()


def test_an_authoritys_fault_is_no_fault_of_a_line():
    with pytest.raises(FaultError, match="unavailable is not one of a line"):
        only(Fault("unavailable"))


@given(
    st.lists(
        st.builds(
            Fault,
            kind=st.sampled_from(sorted(LINE_KINDS)),
            at=st.integers(1, 3),
            every=st.integers(0, 3),
            bytes=st.integers(1, 200),
        ),
        max_size=5,
    ),
    st.integers(0, 2**32 - 1),
    st.lists(st.sampled_from([SHORT, SPECTRUM]), max_size=6),
)
def test_any_plan_can_be_repeated_exactly(faults, seed, replies):
    plans = [FaultPlan(faults, seed) for _ in range(2)]
    first, second = ([disturb(reply, plan) for reply in replies] for plan in plans)
    assert first == second
    assert plans[0].struck == plans[1].struck
