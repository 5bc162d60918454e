"""Goal: the simulated reader sends what readers send, errs as they err, and can be used alone.

Method: the device without a line; its documents are held against published specimens; the program
as a process of its own, its port opened here.
"""

import json
import os
import select
import signal
import subprocess
import sys
import tty

import numpy as np
import pytest

from simulators.document.__main__ import main
from simulators.document.device import CONFUSIONS, REPLIES_MAX, DocumentReader
from simulators.document.specimen import WIDTHS, Document, digit, draw, forge, parse
from simulators.errors import WorldError

DEADLINE_S = 60.0
COMMAND = [sys.executable, "-m", "simulators.document"]


def sent(reader, now_s=0.0):
    return [reply.data.decode() for reply in reader.collect(now_s)]


def test_check_digits_are_those_of_the_specimens():
    for text, expected in (("L898902C3", "6"), ("D23145890734", "9"), ("120415", "9")):
        assert digit(text) == expected


@pytest.mark.parametrize("kind", WIDTHS)
def test_documents_have_the_right_shape_and_a_seed_gives_the_same(kind):
    count, width = WIDTHS[kind]
    rng = np.random.default_rng(1)
    drawn = [draw(kind, rng) for _ in range(50)]
    assert all([len(line) for line in one.lines] == [width] * count for one in drawn)
    assert len(set(drawn)) == 50
    assert draw(kind, np.random.default_rng(1)) == drawn[0]
    assert all("UTO" in one.lines[0] for one in drawn)
    for one in drawn:
        other = forge(one, rng)
        differing = [a != b for a, b in zip("".join(one.lines), "".join(other.lines), strict=True)]
        assert sum(differing) == 1


def test_framings_and_what_stands_around_the_lines():
    document = Document("TD3", ("AB", "CD"))
    expected = {
        "cr": "AB\rCD\r",
        "crlf": "AB\r\nCD\r\n",
        "lf": "AB\nCD\n",
        "stx": "\x02AB\rCD\r\x03",
        "one": "ABCD\r",
        "bare": "ABCD",
    }
    for framing, text in expected.items():
        reader = DocumentReader(framing=framing)
        reader.present(document)
        (reply,) = reader.collect(0.0)
        assert reply.data.decode() == text
        assert chr(reply.data[reply.check_at]) == "D"
        assert reader.collect(0.0) == []
    reader = DocumentReader(framing="stx", prefix="<<", suffix="#")
    reader.present(document)
    assert sent(reader) == ["\x02<<AB\rCD#\r\x03"]


def test_prefix_and_suffix_may_stand_around_each_line():
    reader = DocumentReader(prefix="<<", suffix="#", around_lines=True)
    reader.present(Document("TD1", ("AB", "CD", "EF")))
    (reply,) = reader.collect(0.0)
    assert reply.data == b"<<AB#\r<<CD#\r<<EF#\r"
    assert chr(reply.data[reply.check_at]) == "D"


def test_a_misread_is_one_confusion_and_what_is_printed_stays():
    reader = DocumentReader(misread=1.0, seed=3)
    document = draw("TD1", np.random.default_rng(3))
    for _ in range(20):
        reader.present(document)
        (text,) = sent(reader)
        read = text.replace("\r", "")
        pairs = [(a, b) for a, b in zip("".join(document.lines), read, strict=True) if a != b]
        assert len(pairs) == 1
        assert CONFUSIONS[pairs[0][0]] == pairs[0][1]
    assert reader.counts.misread == 20
    reader = DocumentReader()
    reader.misread_next = True
    reader.present(document)
    reader.repeat()
    first, second = sent(reader)
    assert first != second == "\r".join(document.lines) + "\r"
    plain = Document("TD1", ("<<<", "CCC"))
    reader.misread_next = True
    reader.present(plain)
    (text,) = sent(reader)
    assert len(text) == len("<<<\rCCC\r") - 1  # nothing to confuse: one is lost


def test_a_reset_loses_what_was_not_sent_and_takes_a_while():
    reader = DocumentReader()
    reader.present(Document("TD3", ("AB", "CD")))
    reader.reset_unexpectedly(5.0)
    assert sent(reader, 9.0) == []
    reader.reset_unexpectedly(10.0)
    reader.repeat()
    assert sent(reader, 10.1) == []
    assert reader.next_event_s() == 10.3
    assert sent(reader, 10.3) == ["AB\rCD\r"]
    assert reader.next_event_s() is None


def test_what_nobody_takes_is_bounded_and_bytes_that_come_do_nothing():
    reader = DocumentReader()
    for _ in range(REPLIES_MAX + 5):
        reader.present(Document("TD3", ("AB", "CD")))
    reader.receive(b"\x1b?" * 500, 1.0)
    assert len(sent(reader)) == REPLIES_MAX
    assert (reader.counts.replies_lost, reader.counts.bytes_ignored) == (5, 1_000)


@pytest.mark.parametrize(
    "make, told",
    [
        (lambda: parse("TD9", np.random.default_rng()), "document 'TD9': known are TD1, TD2"),
        (lambda: parse("TD3 twice", np.random.default_rng()), "only 'forged' may follow"),
        (lambda: parse("A|É", np.random.default_rng()), "give lines of ASCII"),
        (lambda: parse("A|" + "B" * 300, np.random.default_rng()), "200 characters"),
        (lambda: DocumentReader(framing="x"), "framing 'x': known are cr, crlf"),
        (lambda: DocumentReader(baud=300), "baud rate 300 is not one of 1200"),
        (lambda: DocumentReader(prefix="é"), "prefix or suffix 'é': give at most 8 ASCII"),
        (lambda: DocumentReader(misread=2.0), "misread 2: give a part between 0 and 1"),
        (lambda: DocumentReader().repeat(), "no document was presented; give `present TD3`"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(make, told):
    with pytest.raises(WorldError) as caught:
        make()
    assert told in str(caught.value)


def test_the_program_sends_what_it_is_told_and_says_nothing_of_documents(tmp_path):
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "simulators.document",
            "--link",
            tmp_path / "mrz",
            "--baud",
            "460800",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline().strip() == str(tmp_path / "mrz")
        port = os.open(tmp_path / "mrz", os.O_RDWR | os.O_NOCTTY)
        tty.setraw(port)
        process.stdin.write("nonsense\npresent TD9\npresent i<uto|abc\nstatus\n")
        process.stdin.flush()
        told = json.loads(process.stdout.readline())
        assert (told["document"], told["read"], told["misread"]) == ("as given", 1, 0)
        content = b""
        while not content.endswith(b"ABC\r"):
            assert select.select([port], [], [], DEADLINE_S)[0]
            content += os.read(port, 100)
        assert content == b"I<UTO\rABC\r"
        os.close(port)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert "unknown command 'nonsense'" in said
    assert "document 'TD9'" in said
    assert "ABC" not in said


def test_a_command_line_that_cannot_be_is_told(capsys):
    assert main(["--misread", "7"]) == 2
    assert main(["--fault", "flood"]) == 2
    told = capsys.readouterr().err
    assert "misread 7" in told
    assert "unknown fault 'flood'" in told
