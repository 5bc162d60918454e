"""Goal: a scanner's line is read as it was sent or refused with the reason, whatever comes before.

Method: streams with what is expected of each, on both interpreters, whole and in pieces; 10,000
random ones on MicroPython with the buffer's size watched, and each followed by a good code.
"""

import json

import pytest

from drivers.scanner import codes, frames

EAN, EAN_8 = b"]E04006381333931", b"]E473513537"
BAD_EAN = b"]E04006381333932"
CASE = b"]C10112345678901231"
DEFAULT = ("", "", True)
PLAIN = ("", "", False)
LICENCE = b"]L0@\n\x1e\rANSI 6360\rDAQD1234562\nDCSDOE\r"
CARD = b"]Q1BEGIN:VCARD\r\nN:Doe\r\nEND:VCARD"
STRICT = ("", "\r\n", True)
FRAMED = ("\x02", "\x03", True)
BEGUN = ("\x02", "\r\n", False)
STREAMS_MAX = 10_000


def code(line):
    """Return how the story tells a code that was read."""
    symbology = line[:3] if line[:1] == b"]" else b""  # not of PLAIN
    return f"{symbology.decode()}:{line[len(symbology) :].hex()}"


def refused(reason, number):
    return f"refused:{reason}:{number}"


CASES = [
    # Suffix conventions: each of the usual ones, changing too, and none at all.
    (DEFAULT, EAN + b"\r\n" + CASE + b"\r" + EAN_8 + b"\n" + EAN + b"\t", "E C e E", True),
    (PLAIN, b"plain\r\n", ["|", code(b"plain")], True),
    (DEFAULT, EAN, ["|", code(EAN)], False),
    (DEFAULT, b"\r\n\r\n\t\n", [], None),
    (FRAMED, b"\x02" + CASE + b"\x03\x02" + EAN + b"\x03", "C E", True),
    (("id=", "##", False), b"id=4#5##..id=a#b##", [code(b"4#5"), "|", code(b"a#b")], True),
    (FRAMED, b"\x02]Q1two\r\nlines\tof it\x03", ["|", code(b"]Q1two\r\nlines\tof it")], True),
    # What is content, and what is not.
    (DEFAULT, b"]d210LOT\x1d21S\r\n", ["|", code(b"]d210LOT\x1d21S")], True),
    (DEFAULT, b"]d2[)>\x1e06\x1dP1\x1e\x04\r", ["|", code(b"]d2[)>\x1e06\x1dP1\x1e\x04")], True),
    (DEFAULT, b"]Q1\xff\xfe\x80 \xc3\r", ["|", code(b"]Q1\xff\xfe\x80 \xc3")], True),
    (STRICT, b"]C1a\x00b\r\n" + EAN + b"\r\n", [refused(codes.CONTROL, 0), code(EAN)], True),
    (STRICT, b"]C1\x7f\r\n", [refused(codes.CONTROL, 0x7F)], True),
    (STRICT, b"]C1\r\n", [refused(codes.BROKEN, 3)], True),
    (STRICT, BAD_EAN + b"\r\n" + EAN + b"\r\n", [refused(codes.DIGITS, 13), code(EAN)], True),
    (STRICT, b"]E0400638133393x\r\n", [refused(codes.DIGITS, 13)], True),
    # A label may begin like an identifier: where the scanner sends none, that is content.
    (PLAIN, CASE + b"\r\n", ["|", ":" + CASE.hex()], True),
    (PLAIN, BAD_EAN + b"\r\n", ["|", ":" + BAD_EAN.hex()], True),
    (("\x02", "\x03", False), b"\x02" + CASE + b"\x03", ["|", ":" + CASE.hex()], True),
    # Length: as long as may be, and one more, with and without what comes around it.
    (PLAIN, b"x" * 40 + b"\r\n", ["|", code(b"x" * 40)], True),
    (DEFAULT, b"x" * 44 + b"\r\n" + EAN + b"\r", [refused(codes.TOO_LONG, 44), code(EAN)], True),
    (PLAIN, b"x" * 41 + b"\r\n", [refused(codes.TOO_LONG, 41)], None),
    (STRICT, b"]Q1" + b"x" * 40 + b"\r\n", ["|", code(b"]Q1" + b"x" * 40)], True),
    (STRICT, b"]Q1" + b"x" * 41 + b"\r\n", [refused(codes.TOO_LONG, 44)], True),
    (
        *(STRICT, b"]Q1" + b"x" * 997 + b"\r\n" + EAN + b"\r\n"),
        *([refused(codes.TOO_LONG, 1_000), code(EAN)], True),
    ),
    (DEFAULT, b"x" * 500, ["|", refused(codes.TOO_LONG, 500)], False),
    # A line that broke off, then a whole one.
    (FRAMED, b"\x02]C1012" + b"\x02" + EAN + b"\x03", [code(EAN)], True),
    (STRICT, b"]C1012" + EAN + b"\r\n", [refused(codes.CUT, 3), code(EAN)], True),
    (DEFAULT, EAN + b"\r\n]C1012", [code(EAN), "|", refused(codes.BROKEN, 6)], True),
    (STRICT, b"]C1012", ["|", refused(codes.BROKEN, 6)], True),
    (STRICT, b"]C1012\r", ["|", refused(codes.ENDING, 7)], True),
    (FRAMED, b"\x02" + CASE + b"\r\n", ["|", refused(codes.ENDING, 22)], True),
    (STRICT, b"]Q1a\r\n]C1012", ["|", code(b"]Q1a"), refused(codes.BROKEN, 6)], True),
    # Behind the suffix CR, LF and Tab are of no code; without a sign of one they may be.
    (FRAMED, (b"\x02" + CASE + b"\x03\r\n") * 2, [code(CASE), "|", code(CASE)], True),
    (FRAMED, b"\x02" + EAN + b"\x03\r\n\t", [code(EAN)], True),
    (("", "\r", True), CASE + b"\r\n" + EAN + b"\r\n", "C E", True),
    (("", "\r", True), CARD + b"\r\n", [refused(codes.LINES, 11)], True),
    (("", "\r", False), b"a\r\nb\r\n", [refused(codes.LINES, 1)], True),
    # A prefix that holds what the suffix does.
    (("#", "#", True), b"#" + CASE + b"#\r\n#" + EAN + b"#\r\n", "C E", True),
    (("[C]", "]", False), b"[C]a][C]b]", [code(b"a"), "|", code(b"b")], True),
    (
        *(("##", "#", True), b"x##" + EAN + b"###" + EAN_8 + b"#"),
        *([refused(codes.NO_PREFIX, 1), refused(codes.NO_PREFIX, 17), code(EAN_8)], True),
    ),
    (("#ID#", "#", False), b"#ID#a##ID#b#", [code(b"a"), "|", code(b"b")], True),
    (("\x02\x02", "\x03", True), b"\x02\x02" + EAN + b"\x03", [code(EAN)], True),
    (("\r", "\r", True), b"\r" + EAN + b"\r\r" + EAN_8 + b"\r", "E e", True),
    # Two codes in one burst, or in one line: a code whose check digit agrees is whole.
    (STRICT, EAN + CASE + b"\r\n", [code(EAN), "|", code(CASE)], True),
    (STRICT, BAD_EAN + EAN_8 + b"\r\n", [refused(codes.CUT, 13), code(EAN_8)], True),
    (STRICT, CASE + b"]d2" + b"10A\r\n", [refused(codes.CUT, 16), "|", code(b"]d210A")], True),
    (DEFAULT, CASE + EAN + b"]C110B", ["|", code(CASE), code(EAN), code(b"]C110B")], False),
    (DEFAULT, BAD_EAN + CASE, ["|", refused(codes.CUT, 13), code(CASE)], False),
    (DEFAULT, b"]Q1a[1]b2c]d3\r", ["|", code(b"]Q1a[1]b2c]d3")], True),
    (FRAMED, b"\x02" + CASE + EAN + b"\x03", [refused(codes.CUT, 16)], True),
    (STRICT, b"]Q1a\r\n" + BAD_EAN + b"\r\n", [code(b"]Q1a"), refused(codes.DIGITS, 13)], True),
    # A code with lines: none of them is a code by itself, however they end.
    (DEFAULT, LICENCE + b"\r\n" + EAN + b"\r\n", [refused(codes.LINES, 1), code(EAN)], True),
    (STRICT, CARD + b"\r\n" + EAN + b"\r\n", [refused(codes.LINES, 11), code(EAN)], True),
    (STRICT, CARD + b"\r\n" + b"]Q1a\r\n", [refused(codes.LINES, 11), "|", code(b"]Q1a")], True),
    (DEFAULT, LICENCE, [refused(codes.LINES, 1)], None),
    (STRICT, LICENCE + b"\r\n", ["|", code(LICENCE)], True),
    (DEFAULT, b"]L0@\nANSI", ["|", refused(codes.LINES, 1)], None),
    (BEGUN, b"\x02a\r\nb\r\n", [refused(codes.LINES, 1)], True),
    (BEGUN, b"\x02a\r\nb\x02c\r\n", [refused(codes.LINES, 1), "|", code(b"c")], True),
    (
        *(BEGUN, b"\x02a\r\nb\x02c"),
        *(["|", refused(codes.LINES, 1), refused(codes.BROKEN, 2)], True),
    ),
    (FRAMED, b"\x02" + CARD + b"\x03", ["|", code(CARD)], True),
    (FRAMED, b"\x02]Q1a\x03b\x03", [refused(codes.LINES, 1)], True),
    (STRICT, b"]Q1a\r\nb\x00\r\n" + b"c" * 99 + b"\r\n", [refused(codes.LINES, 1)], True),
    (PLAIN, b"a\r\nb\r\nc\r\n", [refused(codes.LINES, 1)], None),
    (PLAIN, b"a\r\na\r\na\r\n", [code(b"a"), code(b"a"), "|", code(b"a")], True),
    (PLAIN, b"a\r\nb", ["|", refused(codes.LINES, 1)], None),
    (PLAIN, b"a\x00\r\nb\r\n", [refused(codes.CONTROL, 0)], None),
    # Noise: what a scanner sends with every code is missed when it is not there.
    (STRICT, b"\xa7\x93" + EAN + b"\r\n", [refused(codes.NO_AIM, 18)], True),
    (STRICT, b"]\xc30x\r\n", [refused(codes.NO_AIM, 4)], True),
    (DEFAULT, EAN + b"\r006381333931\r", [code(EAN), refused(codes.NO_AIM, 12)], True),
    (FRAMED, EAN + b"\x03", [refused(codes.NO_PREFIX, 16)], True),
    (FRAMED, b"\x00\xff\x07\x02" + EAN + b"\x03", [code(EAN)], True),
    (("id=", "\r", False), b"noise id=5\r", ["|", code(b"5")], True),
]
SHORT = {"E": EAN, "C": CASE, "e": EAN_8}


def expected(words):
    return [code(SHORT[word]) for word in words.split()] if isinstance(words, str) else words


@pytest.fixture
def told(run_story, tmp_path):
    """Return what the story says of the cases and of some random streams."""

    def run(interpreter, count):
        path = tmp_path / "cases.json"
        path.write_text(json.dumps([[40, *made, stream.hex()] for made, stream, _, _ in CASES]))
        return run_story("scanner_story.py", str(path), str(count), interpreter=interpreter)

    return run


def test_each_line_is_read_as_it_is_or_refused_with_the_reason(told, interpreter):
    lines = told(interpreter, 0)
    assert len(lines) == len(CASES) + 1
    for (made, stream, words, ends), line in zip(CASES, lines[:-1], strict=True):
        found = line.split()
        assert (found[:-2], found[-1]) == (expected(words), str(ends)), (made, stream)


def test_noise_never_crashes_grows_or_hides_the_next_code(told):
    good, refusals, next_codes = json.loads(
        told("micropython", STREAMS_MAX)[-1].removeprefix("noise ")
    )
    assert next_codes == STREAMS_MAX
    assert good > 3_000
    assert refusals > 3_000


def test_what_does_not_fit_is_a_fault_of_the_caller():
    parser = frames.Parser(16, 16)
    parser.feed(bytes(16), 16)
    parser.feed(bytes(16), 16)
    with pytest.raises(ValueError, match="16 bytes do not fit"):
        parser.feed(bytes(16), 16)


@pytest.mark.parametrize(
    "content, count, is_good",
    [
        (b"4006381333931", 13, True),
        (b"73513537", 8, True),
        (b"73513538", 8, False),
        (b"7351353", 8, False),
        (b"7351353x", 8, False),
        (b"", 0, False),
    ],
)
def test_check_digits(content, count, is_good):
    assert codes.is_ean(content, count) is is_good
