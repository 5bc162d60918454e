"""Goal: what a file says of itself is read where it is plain, and left where it is not.

Method: heads as programs write them, dates in every order, and any text by Hypothesis.
"""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.spectra.origin import (
    MEASURED_MS_MAX,
    MEASURED_MS_MIN,
    TEXT_CHARS_MAX,
    Origin,
    is_same_instrument,
    is_same_laser,
    origin_of,
    parse_time,
    read_origin,
)


def ms(*moment):
    return int(dt.datetime(*moment, tzinfo=dt.UTC).timestamp() * 1_000)


HEADS = (
    ("Model,WP-785\nSerial Number,WP-01990\nLaser Wavelength,784.9\n"
    "Timestamp,2026-04-06 12:03:11\n"),
    "# instrument: WP-785 WP-01990\n# laser: 784.9 nm\n# date: 2026/04/06\n# time: 12:03:11\n",
    "Spectrometer=WP-785\nS/N=WP-01990\nExcitation (nm)=784.9\nMeasured=2026.04.06T12:03:11Z\n",
    ("##TITLE= x\n##LONGDATE= 2026/04/06 14:03:11 +0200 $$ local\n"
    "##SPECTROMETER/DATA SYSTEM= WP-785 WP-01990\n##LASER WAVELENGTH= 784.9\n##XYDATA= (X)\n"),
)  # fmt: skip


@pytest.mark.parametrize("text", HEADS)
def test_heads_as_programs_write_them(text):
    found = read_origin(text + "302,5\n303,6\n")
    assert found.instrument == "WP-785 WP-01990"
    assert found.excitation_nm == 784.9
    assert (found.measured_ms, found.measured_from) == (ms(2026, 4, 6, 12, 3, 11), "header")


@pytest.mark.parametrize(
    "text", ["", "shift,counts\n", "Laser: 100 mW\n", "Laser: red\n"]
)  # fmt: skip
def test_what_is_not_plain_stays_unknown(text):
    assert read_origin(text + "302,5\n") == Origin()


@pytest.mark.parametrize("date", ["05/06/07", "20260406", "1899-12-30", "2026-13-01", "x" * 99])
def test_a_date_that_cannot_be_read_is_kept_as_it_stands(date):
    assert read_origin(f"Date: {date}\n302,5\n") == Origin(unread_date=date[:40])


def test_numbers_below_the_head_of_jcamp_are_not_read():
    assert read_origin("##XYDATA= (XY..XY)\nDate: 2026-01-01\n") == Origin()


@pytest.mark.parametrize(
    "text,moment",
    [
        ("2026-11-20", (2026, 11, 20)),
        ("2026-1-2", (2026, 1, 2)),
        ("2026-11-20T08:30", (2026, 11, 20, 8, 30)),
        ("2026-11-20 08:30:15.250", (2026, 11, 20, 8, 30, 15)),
        ("2026-11-20T08:30:00-03:30", (2026, 11, 20, 12, 0)),
        ("2026/11/20 23:59:59Z", (2026, 11, 20, 23, 59, 59)),
    ],
)
def test_times(text, moment):
    assert parse_time(text) == ms(*moment)


@pytest.mark.parametrize(
    "text", ["", "now", "20.11.2026", "2026-11", "2026-11/20", "2026-02-30", "2026-11-200",
             "2026-11-20 yesterday", "2026-11-20 25:00", "1970-01-01", "2026-11-20 8:30+99:99"],
)  # fmt: skip
def test_no_times(text):
    assert parse_time(text) is None


@given(st.text(max_size=300))
def test_any_text_gives_an_origin_within_its_bounds(text):
    found = read_origin(text)
    assert len(found.instrument) <= TEXT_CHARS_MAX
    assert found.instrument.isprintable()
    assert found.excitation_nm is None or 200.0 <= found.excitation_nm <= 2000.0
    assert (found.measured_ms is None) == (found.measured_from == "")
    if found.measured_ms is not None:
        day_ms = 86_400_000
        assert MEASURED_MS_MIN - day_ms <= found.measured_ms <= MEASURED_MS_MAX + day_ms


def test_the_first_of_a_meaning_counts_and_a_serial_is_not_repeated():
    found = origin_of([("Model", "VEN 7"), ("model", "other"), ("Serial no.", "7")])
    assert found.instrument == "VEN 7"


def test_the_same_instrument_may_be_named_at_length():
    assert is_same_instrument("WP-785 SN WP-01990", "wp-785, wp-01990")
    assert is_same_instrument("WP-785", "WP-785 WP-01990")
    assert not is_same_instrument("WP-785 WP-01990", "WP-785 WP-01991")
    assert is_same_laser(785.0, 783.9)
    assert not is_same_laser(633.0, 638.0)
