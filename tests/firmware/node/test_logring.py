"""Goal: the newest lines of the log are there when somebody asks, and memory does not grow.

Method: lines of many lengths, characters of many bytes; what is kept is held against all lines.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.logring import LogRing


def ring_of(lines, size=64):
    """Return a ring that has seen `lines`, one each 1.5 s, and what it showed."""
    shown, now_ms = [], [0]
    ring = LogRing(shown.append, lambda: now_ms[0], size)
    for line in lines:
        ring.write(line)
        now_ms[0] += 1_500
    return ring, shown


def test_lines_are_shown_and_carry_the_uptime():
    ring, shown = ring_of(["one", "two °C"])
    assert shown == ["one", "two °C"]
    assert ring.tail().decode() == "0.0 one\n1.5 two °C\n"


@given(st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=60)))
def test_what_is_kept_is_the_end_of_the_log(lines):
    ring, _ = ring_of(lines)
    whole = "".join(f"{i * 1.5:.1f} {line}\n" for i, line in enumerate(lines)).encode()
    tail = ring.tail()
    assert whole.endswith(tail)
    assert len(tail) <= 64
    tail.decode()  # no cut character
    if len(whole) <= 64:
        assert tail == whole


@pytest.mark.parametrize("count", [64, 65, 200])
def test_a_line_longer_than_the_ring_leaves_its_end(count):
    ring, _ = ring_of(["é" * count])
    assert 60 <= len(ring.tail()) <= 64
    assert ring.tail().decode().endswith("éé\n")
