"""Goal: every line of a scale is read exactly, or passed over; a weight is never nearly right.

Method: the published vectors, fractions of whole numbers beside the driver's own arithmetic,
hypothesis for cuts and noise. The vectors and 10,000 random streams go through MicroPython too.
"""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.mt_sics import frames
from simulators.scale.pan import UNITS

CHUNK_BYTES = 256
VECTORS_PATH = Path(__file__).parents[3] / "protocol/scanner_vectors.json"
VECTORS = json.loads(VECTORS_PATH.read_text())["mt_sics"]
STATUSES = {"S": "stable", "D": "dynamic", "I": "not_executable", "+": "overload", "-": "underload"}
ERRORS = {"ES": "syntax_error", "ET": "transmission_error", "EL": "logical_error"}


def parse(stream, step=None):
    """Return the lines of a stream that comes in pieces, and the parser."""
    parser, lines = frames.Parser(CHUNK_BYTES), []
    step = step or CHUNK_BYTES
    for at in range(0, len(stream), step):
        piece = stream[at : at + step]
        parser.feed(piece, len(piece))
        while (line := parser.next()) is not None:
            lines.append(line)
    return lines, parser


def name_of(answer):
    """Return what the vectors call such an answer."""
    if answer.command in ERRORS:
        return ERRORS[answer.command]
    if answer.command == "I4":
        return "serial"
    if answer.command in ("Z", "T"):
        return {"Z": "zeroed", "T": "tared"}[answer.command]
    return STATUSES[answer.status]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["raw"].strip())
def test_vectors(vector):
    (line,), _ = parse(vector["raw"].encode())
    answer = frames.read(line)
    assert name_of(answer) == vector["status"]
    assert answer.text == vector.get("serial", "")
    if "value" in vector:
        grams = Fraction(str(vector["value"]))
        assert (answer.mass_mg, vector["unit"]) == (grams * 1000, "g")
    else:
        assert answer.mass_mg is None


@given(
    st.integers(-(10**6), 10**6),
    st.integers(0, 6),
    st.sampled_from(sorted(UNITS)),
    st.integers(0, 12),
)
def test_a_weight_is_exact_to_the_milligram(number, decimals, unit, blanks):
    digits = f"{abs(number):0{decimals + 1}d}"
    value = ("-" if number < 0 else "") + digits[: len(digits) - decimals]
    value += "." + digits[len(digits) - decimals :] if decimals else ""
    answer = frames.read(f"S S{' ' * (blanks + 1)}{value} {unit}")
    truth = Fraction(number, 10**decimals) * Fraction(UNITS[unit]) * 1000
    assert abs(answer.mass_mg - truth) <= Fraction(1, 2)
    step = 5 * Fraction(1, 10**decimals) * Fraction(UNITS[unit]) * 1000
    assert step <= answer.step_mg < step + 1


@pytest.mark.parametrize(
    "line, mass_mg",
    [
        ("S S 0.5 mg", 1),  # half a milligram away from zero
        ("S S -0.5 mg", -1),
        ("S S 0.4999 mg", 0),
        ("S D -  1.25 g", -1_250),
        ("S S + 1.25 g", 1_250),
        ("S S 1.000 lb", 453_592),
        ("S S 999999.999 t", 999_999_999_000_000),
    ],
)
def test_signs_and_halves(line, mass_mg):
    assert frames.read(line).mass_mg == mass_mg


@pytest.mark.parametrize("unit", ["pcs", "%", "KG", "lb oz", "kgf", "", "1", "g\n"])
def test_a_unit_that_is_not_known_is_no_weight_and_is_told(unit):
    answer = frames.read(f"S S 12.5 {unit}".strip())
    if unit.strip() == "g":
        assert answer.mass_mg == 12_500
        return
    assert (answer.mass_mg, answer.status, answer.text) == (None, frames.UNIT_UNKNOWN, unit)


@pytest.mark.parametrize(
    "line",
    [
        "SI",  # our own words, echoed
        "S",
        "S S 1.2.3 kg",
        "S S .. kg",
        "S S -kg",
        "S S 1e3 kg",
        "S S 0x1 kg",
        "S S 9999999999999 g",  # more digits than any scale has
        "S S 999999999999 t",
        "hello world",
    ],
)
def test_what_is_no_answer_is_none(line):
    assert frames.read(line) is None


def test_lines_that_are_no_text_or_too_long_are_passed_over_and_the_next_is_found():
    good = b"S S 12.5 kg\r\n"
    for bad in (b"S S\x0012.5 kg\r\n", b"\xffS S 99 kg\n", b"x" * 500 + b" S S 99 kg\r\n"):
        lines, parser = parse(bad + good)
        assert lines == ["S S 12.5 kg"]
        assert parser.dropped_bytes >= len(bad) - 2


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from([b"S S 12.500 kg\r\n", b"ES\n", b"\r", b'I4 A "B1"\r\n', b"x" * 90]),
        ),
        max_size=10,
    ),
    st.integers(1, CHUNK_BYTES),
)
def test_any_bytes_give_the_same_lines_however_they_are_cut(pieces, step):
    stream = b"".join(pieces)
    whole, _ = parse(stream)
    cut, parser = parse(stream, step)
    assert cut == whole
    assert parser.pending_bytes <= frames.LINE_BYTES_MAX
    for line in cut:
        frames.read(line)


def test_what_does_not_fit_is_a_fault_of_the_caller():
    parser = frames.Parser(16)
    for _ in range(6):
        parser.feed(b"x" * 16, 16)
    with pytest.raises(ValueError, match="16 bytes do not fit"):
        parser.feed(b"x" * 16, 16)


def test_vectors_and_10000_random_streams_on_both_interpreters(run_story):
    lines = run_story("mt_sics_story.py", str(VECTORS_PATH))
    assert lines == run_story("mt_sics_story.py", str(VECTORS_PATH), interpreter="cpython")
    assert len(lines) == len(VECTORS) + 1
    assert lines[-1].startswith("10000 streams: [")
    assert min(map(int, lines[-1].split("[")[1].split("]")[0].split(","))) > 100
