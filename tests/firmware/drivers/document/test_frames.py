"""Goal: zones are found in whatever framing readers have, and nothing makes the parser grow.

Method: documents drawn by the simulator, in each of its framings, whole and in pieces, with
something wrong between, and every length of prefix and suffix around them; random streams on a real
MicroPython and on CPython.
"""

import numpy as np
import pytest

from drivers.document.frames import READING_BYTES_MAX, Parser, lines_of
from simulators.document.device import FRAMINGS, DocumentReader
from simulators.document.specimen import WIDTHS, Document, draw

STREAMS = 10_000
FILLERS = "what documents begin and end with"
AFFIXES = {
    "no characters of a zone": ("[MRZ:#1]", "{end}#!;"),
    "characters of a zone": ("AB12<CDE", "Z9<YX8W7"),
    FILLERS: ("P<UTOERI", "<<<<<<<<"),
    "digits": ("12345678", "87654321"),
    "the same sign": ("########", "########"),
    "signs of each other": ("[#MRZ:#]", "#]#:#]#:"),
    "blanks": ("MRZ:    ", "        "),
}
ONE = draw("TD3", np.random.default_rng(1))
OTHER = draw("TD1", np.random.default_rng(2))


def sent(document, framing="cr", **settings):
    reader = DocumentReader(framing=framing, **settings)
    reader.present(document)
    return reader.collect(0.0)[0].data


def read(stream, step=256, prefix=b"", suffix=b"", parser=None):
    """Return zones (b"": a misread) until a pause, and the parser."""
    parser = parser or Parser(prefix, suffix)
    found = []
    for at in range(0, len(stream), step):
        piece = stream[at : at + step]
        parser.feed(piece, len(piece))
        while (zone := parser.next()) is not None:
            found.append(zone)
    if (zone := parser.finish()) is not None:
        found.append(zone)
    return found, parser


def zone(document):
    return "".join(document.lines).encode()


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("kind", WIDTHS)
def test_every_framing_of_every_kind_whole_and_in_pieces(framing, kind):
    """SPEC 3.7: lines with one line feed between them."""
    document = draw(kind, np.random.default_rng(3))
    stream = sent(document, framing)
    for step in (1, 7, 256):
        found, parser = read(stream, step)
        assert found == [zone(document)]
        assert parser.dropped_bytes == 0
    assert lines_of(found[0]) == "\n".join(document.lines).encode()


def test_two_documents_in_one_piece_are_two():
    for framing in ("cr", "crlf", "stx", "one"):
        found, _ = read(sent(ONE, framing) + sent(OTHER, framing) + sent(ONE, framing))
        assert found == [zone(ONE), zone(OTHER), zone(ONE)]


@pytest.mark.parametrize("framing", ["cr", "stx", "one", "bare"])
def test_what_a_reader_sends_around_its_lines_is_left_out(framing):
    stream = sent(OTHER, framing, prefix="MRZ:", suffix="#!")
    found, _ = read(stream * 2, 5, b"MRZ:", b"#!")
    assert found == [zone(OTHER)] * 2


def affixed(characters):
    """Yield every length of prefix with every length of suffix."""
    prefix, suffix = AFFIXES[characters]
    for before in range(len(prefix) + 1):
        for behind in range(len(suffix) + 1):
            yield prefix[:before], suffix[:behind]


@pytest.mark.parametrize("characters", AFFIXES)
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("kind", WIDTHS)
def test_prefix_and_suffix_of_any_length_are_no_part_of_the_zone(kind, framing, characters):
    document = draw(kind, np.random.default_rng(3))
    for prefix, suffix in affixed(characters):
        stream = sent(document, framing, prefix=prefix, suffix=suffix)
        parser = Parser(prefix.encode(), suffix.encode())
        for step in (256, 50):  # a pause between them
            found, _ = read(stream, step, parser=parser)
            assert found == [zone(document)], (prefix, suffix)


@pytest.mark.parametrize("characters", AFFIXES)
@pytest.mark.parametrize("kind", WIDTHS)
def test_they_may_stand_around_each_line(kind, characters):
    document = draw(kind, np.random.default_rng(5))
    for prefix, suffix in affixed(characters):
        parser = Parser(prefix.encode(), suffix.encode())
        for end in ("\r", "\r\n", "\n"):
            stream = "".join(prefix + line + suffix + end for line in document.lines)
            assert read(stream.encode(), parser=parser)[0] == [zone(document)], (prefix, suffix)


@pytest.mark.parametrize("kind", WIDTHS)
def test_a_suffix_that_no_zone_can_hold_ends_lines_by_itself(kind):
    document = draw(kind, np.random.default_rng(6))
    for prefix, suffix in affixed("no characters of a zone"):
        if suffix:
            parser = Parser(prefix.encode(), suffix.encode())
            stream = "".join(prefix + line + suffix for line in document.lines).encode()
            assert read(stream * 2, 50, parser=parser)[0] == [zone(document)] * 2, (prefix, suffix)


# A visa that ends with as many fillers as the suffix has is a visa with or without them.
@pytest.mark.parametrize("characters", sorted(set(AFFIXES) - {FILLERS}))
@pytest.mark.parametrize("kind", WIDTHS)
def test_they_may_stand_on_lines_of_their_own(kind, characters):
    document = draw(kind, np.random.default_rng(4))
    for prefix, suffix in affixed(characters):
        lines = [line for line in (prefix, *document.lines, suffix) if line]
        for end in ("\r", "\r\n", "\n"):
            found, _ = read(end.join(lines).encode(), 256, prefix.encode(), suffix.encode())
            assert found == [zone(document)], (prefix, suffix)


@pytest.mark.parametrize(
    "prefix, suffix",
    [("\x02MRZ:", "#\x03"), ("MRZ:\r", "\r\n#"), ("\tMRZ:", "#\t"), ("é", "\r\n"), ("\x02", "\t")],
)
def test_what_is_no_text_in_them_does_not_matter(prefix, suffix):
    stream = (prefix + "\r".join(OTHER.lines) + suffix).encode()
    found, _ = read(stream, 256, prefix.encode(), suffix.encode())
    assert found == [zone(OTHER)]


def test_prefixes_and_suffixes_come_to_the_same_on_micropython(run_story):
    assert run_story("document_story.py", "affixes", "8") == ["11664 zones, 0 wrong"]


def test_a_prefix_that_a_document_begins_with_is_not_taken_from_it():
    found, _ = read(sent(ONE), 256, b"P<")
    assert found == [zone(ONE)]


def test_a_frame_with_more_around_it():
    """3M RTE6701: SOH, length, "OU", STX, ..., ETX, block check; missing lines are empty."""
    lines = "\r".join(["", *ONE.lines]).encode() + b"\r"
    stream = b"\x01\x00\x5fOU\x02" + lines + b"\x03k"
    assert read(stream * 2)[0] == [zone(ONE)] * 2


@pytest.mark.parametrize(
    "stream",
    [
        sent(ONE)[:-8],
        sent(ONE)[8:],
        sent(ONE)[:45],
        b"x" + sent(ONE),
        sent(Document("as given", (*ONE.lines[:1], ONE.lines[1] + "9"))),
        b"NO READ\r",
        b"<" * 5_000,
    ],
    ids=["end lost", "beginning lost", "half", "one more", "too long", "no read", "flood"],
)
def test_what_is_no_zone_is_a_misread_and_the_next_is_found(stream):
    found, parser = read(stream)
    assert set(found) == {b""}
    assert parser.character_count > 0
    parser.feed(sent(OTHER), len(sent(OTHER)))
    assert parser.next() == zone(OTHER)


@pytest.mark.parametrize("kind", WIDTHS)
@pytest.mark.parametrize("lost", [1, 2])
def test_the_end_of_one_zone_and_the_beginning_of_the_next_are_none(kind, lost):
    """Otherwise each reading that follows without a pause is a misread, too, for ever."""
    document = draw(kind, np.random.default_rng(4))
    rest = "".join(line + "\r" for line in document.lines[lost:]).encode()
    found, _ = read(rest + 3 * sent(document))
    assert found == [zone(document)] * 3


def test_noise_is_passed_over_and_much_of_it_is_told():
    found, parser = read(b"\xff\x00" + sent(ONE) + b"\x80" * 3)
    assert (found, parser.dropped_bytes) == ([zone(ONE)], 5)
    found, parser = read(bytes(range(128, 160)))
    assert (found, parser.is_noise) == ([b""], True)


def test_nothing_of_a_document_stays_in_the_buffers():
    _, parser = read(sent(ONE) + b"SECRET")
    held = [value for value in vars(parser).values() if isinstance(value, bytearray)]
    assert len(held) == 2
    assert not any(any(buffer) for buffer in held)


def test_random_streams_come_to_the_same_on_both_interpreters(run_story):
    (told,) = run_story("document_story.py", "streams", str(STREAMS))
    zones, misreads, lost, dropped = map(int, told.split())
    assert lost == 0  # what comes after a pause is found whatever came before
    assert zones > 1_000
    assert misreads > 1_000
    assert dropped > STREAMS
    few = str(STREAMS // 20)
    on_both = [
        run_story("document_story.py", "streams", few, interpreter=name)
        for name in ("cpython", "micropython")
    ]
    assert on_both[0] == on_both[1]


def test_a_reading_that_noise_begins_anew_is_a_misread_all_the_same():
    """Whoever laid a document down would wait for a word that never comes."""
    parser = Parser(b"", b"")
    stream = bytes(range(0x80, 0xA0)) + b"P<UTOERIKSSON" + b"\x02" + b"<<A"
    parser.feed(stream, len(stream))
    assert parser.next() is None
    assert parser.is_pending
    assert parser.finish() == b""


def test_text_without_an_end_is_noise():
    parser = Parser(b"", b"")
    text = b"x" * READING_BYTES_MAX
    parser.feed(text, len(text))
    assert (parser.next(), parser.is_noise) == (b"", True)
