"""Goal: every common two-column export is read, everything else is refused by line and value.

Method: one text per dialect and one per fault; Hypothesis for arbitrary text.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.spectra.columns import parse_columns
from gateway.spectra.errors import FormatError

PAIRS = [(200.0 + 10.5 * i, 3.25 * i) for i in range(5)]


def lines(separator, *, comma=False, pairs=PAIRS):
    text = "\n".join(f"{x}{separator}{y}" for x, y in pairs)
    return text.replace(".", ",") if comma else text


@pytest.mark.parametrize(
    "text",
    [
        lines(","),
        lines(", "),
        lines(";"),
        lines("; ", comma=True),
        lines("\t"),
        lines("\t", comma=True),
        lines(" "),
        lines("    "),
        "raman_shift_cm1,intensity\n" + lines(","),
        "\ufefframan_shift_cm1,intensity\r\n" + lines(",").replace("\n", "\r\n"),
        "# exported 2026\nInstrument: A, B, C\nLaser;785\n\nshift counts\n" + lines(";"),
        lines(",") + "\n\n",
        lines(",", pairs=PAIRS[::-1]),
        lines(",").replace("\n", ",\n") + ",",
        lines(",").replace("200.0,0.0", "2.0e2,0E0"),
    ],
)
def test_reads_the_common_dialects(text):
    axis, counts = parse_columns(text)
    assert axis.tolist() == [x for x, _ in PAIRS]
    assert counts.tolist() == [y for _, y in PAIRS]


@pytest.mark.parametrize(
    "text,words",
    [
        ("", "no line holds two numbers"),
        ("a,b\nc,d\n", "no line holds two numbers"),
        ("1,2\n2,nan\n3,4", "line 2: intensity is nan"),
        ("1,2\n2,3\ninf,4", "line 3: Raman shift is inf"),
        ("1,2\n2,3\n3,1_000", "line 3: '3,1_000' is not a pair"),
        ("1,2\n2,3\nend of file", "line 3: 'end of file' is not a pair"),
        ("1,2\n2,3,4\n3,4", "line 2: '2,3,4' is not a pair"),
        ("1,2,3\n2,3,4", "line 1: 3 columns"),
        ("1,2\n2,3\n2,4\n3,5", "line 3: Raman shift 2 after 2 repeats"),
        ("1,2\n3,3\n2,4\n4,5", "line 3: Raman shift 2 after 3"),
        ("9,2\n8,3\n8.5,4\n7,5", "line 3: Raman shift 8.5 after 8"),
        ("wavelength (nm),counts\n800,1\n801,2", "line 1: the first column is 'wavelength"),
        ("pixel,counts\n0,1\n1,2", "convert the axis"),
        ("x\n" * 70 + "1,2", "no numbers after 64 lines"),
        ("1,2\n" + "\x1b[31m" + "y" * 500, "line 2: "),
    ],
)
def test_names_line_and_value(text, words):
    with pytest.raises(FormatError, match=words) as caught:
        parse_columns(text)
    assert len(str(caught.value)) < 250
    assert "\x1b" not in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_gives_columns_or_a_format_error(text):
    try:
        axis, counts = parse_columns(text)
    except FormatError:
        return
    assert axis.size == counts.size > 0
    assert np.isfinite(axis).all()
    assert np.isfinite(counts).all()
    assert (np.diff(axis) > 0).all()
