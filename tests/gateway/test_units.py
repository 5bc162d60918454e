"""Goal: quantities are told so that a technician can read them.

Method: values on both sides of every change of unit.
"""

from gateway.units import age, named, size, span


def test_sizes_have_a_fitting_unit():
    sizes = (0, 999, 1_000, 64_000_000, 8 * 10**9, 5 * 10**15)
    told = ["0 bytes", "999 bytes", "1.0 kB", "64.0 MB", "8.0 GB", "5000.0 TB"]
    assert [size(each) for each in sizes] == told


def test_spans_have_a_fitting_unit():
    spans = (-3, 0, 119, 120, 7_199, 7_200, 172_799, 172_800)
    assert [span(each) for each in spans] == [
        *("-3 s", "0 s", "119 s", "2 min", "120 min", "2 h", "48 h", "2 d")
    ]


def test_what_lies_ahead_is_now():
    assert age(9_000, 1_000) == "0 s ago"
    assert age(1_000, 9_000) == "8 s ago"


def test_many_names_are_counted():
    assert named(["a", "b"]) == "a, b"
    assert named(list("abcdefg")) == "a, b, c, d, e and 2 more"
