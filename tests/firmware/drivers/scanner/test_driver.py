"""Goal: what a scanner sends becomes one item each, or one error that says what to do.

Method: the driver in a real MicroPython on pseudo-terminals whose other end the test writes, many
of them side by side in one process. Pauses are waited for by what comes of them.
"""

import asyncio
import json
import os
import tty
from pathlib import Path

import pytest

DEADLINE_S = 30.0
STORY = Path(__file__).parents[2] / "stories/readers_story.py"
REPOSITORY = Path(__file__).resolve().parents[4]
SETTINGS = {
    "baud": 9_600,
    "prefix": "",
    "suffix": "",
    "aim": True,
    "content_max": 64,
    "repeat_ms": 1_000,
}
EAN, CASE = b"]E04006381333931", b"]C10112345678901231"
LICENCE = b"]L0@\n\x1e\rANSI 6360\rDAQD1234562\nDCSDOE\r"
CARD = b"]Q1BEGIN:VCARD\r\nN:Doe\r\nEND:VCARD"


class Scanner:
    """One end of a line; `told` waits for what the driver makes of what was sent.

    Args:
        changes: to the settings.
    """

    def __init__(self, **changes):
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self.settings = SETTINGS | changes | {"port": self.path}
        self.lines = asyncio.Queue()

    def send(self, *pieces):
        for piece in pieces:
            os.write(self._master, piece)

    async def told(self):
        async with asyncio.timeout(DEADLINE_S):
            return (await self.lines.get()).replace(self.path, "PORT")

    async def item(self):
        word, event_type, symbology, content = (await self.told()).split()
        assert (word, event_type) == ("item", "1")
        return symbology.replace("-", "").encode() + bytes.fromhex(content)

    async def refusal(self):
        told = await self.told()
        name, _, rest = told.removeprefix("error ").partition(" a code on PORT ")
        noise = ("broke off", "ran into", "is not")
        assert name == ("Misread" if rest.startswith(noise) else "ItemRefused")
        assert told.endswith(
            "scan it again, then check baud rate, cable and the scanner's settings"
        )
        return rest.split(";")[0]

    def unplug(self):
        for descriptor in (self._master, self._slave):
            os.close(descriptor)


async def two_in_one_burst(scanner):
    scanner.send(EAN + b"\r\n" + CASE + b"\r\n")
    assert [await scanner.item(), await scanner.item()] == [EAN, CASE]


async def in_pieces(scanner):
    for byte in EAN + b"\r\n":
        scanner.send(bytes([byte]))
        await asyncio.sleep(0)
    assert await scanner.item() == EAN


async def broken_then_whole(scanner):
    scanner.send(EAN + b"\r\n")
    assert await scanner.item() == EAN
    scanner.send(b"]C10112")
    assert await scanner.refusal() == "broke off after 7 bytes"
    scanner.send(CASE + b"\r\n")
    assert await scanner.item() == CASE


async def no_suffix(scanner):
    for line in (EAN, CASE, EAN):  # the first is waited for longer
        scanner.send(line)
        assert await scanner.item() == line


async def the_same_again(scanner):
    """One that is held before the glass is read over and over; another ends that."""
    scanner.send(*[EAN + b"\r\n"] * 5, CASE + b"\r\n", EAN + b"\r\n")
    assert [await scanner.item() for _ in range(3)] == [EAN, CASE, EAN]


async def each_counts(scanner):
    scanner.send(*[EAN + b"\r\n"] * 3)
    assert [await scanner.item() for _ in range(3)] == [EAN] * 3


async def the_same_later(scanner):
    """After `repeat_ms` the same label is another thing."""
    scanner.send(EAN + b"\r\n")
    assert await scanner.item() == EAN
    while scanner.lines.empty():
        scanner.send(EAN + b"\r\n")
        await asyncio.sleep(0.02)
    scanner.send(CASE + b"\r\n")
    while (item := await scanner.item()) != CASE:
        assert item == EAN


async def too_long(scanner):
    scanner.send(b"]Q1" + b"7" * 1_000 + b"\r\n" + EAN + b"\r\n")
    assert await scanner.refusal() == (
        "has 1003 bytes and this node takes fewer: raise content_max"
    )
    assert await scanner.item() == EAN


async def as_long_as_may_be(scanner):
    digits = b"]Q1" + b"1234567" * 1_012 + b"12345"
    assert len(digits) == 3 + 7_089
    scanner.send(digits, b"\r\n")
    assert await scanner.item() == digits


async def with_reasons(scanner):
    for line, reason in (
        (b"]C1a\x07b", "has the control byte 0x07: have none sent but GS, RS and EOT"),
        (
            b"12345",
            "of 5 bytes has no AIM identifier: have it sent with every code, or set aim false",
        ),
        (b"]E04006381333932", "is not 13 digits with a good check digit: have UPC sent as EAN"),
        (b"]C1012]d201", "ran into the next one after 3 bytes: have it send a suffix"),
    ):
        scanner.send(line + b"\r\n")
        assert await scanner.refusal() == reason
    assert await scanner.item() == b"]d201"


async def without_prefix(scanner):
    scanner.send(EAN + b"\x03\x02]Q1\xff\xfe\x1d\r\n\x03")
    assert await scanner.refusal() == "of 16 bytes has not the prefix of node.json"
    assert await scanner.item() == b"]Q1\xff\xfe\x1d\r\n"


async def after_a_pause(scanner, line, pause_s=0.3):
    """Scan until it is taken: what comes at once is taken for the rest of a code with lines."""
    while scanner.lines.empty():
        await asyncio.sleep(pause_s)
        scanner.send(line)
    return (await scanner.told()).split()


async def with_lines(scanner):
    """A licence or a contact card is several lines: none of them is a code."""
    for line, count in ((LICENCE, 1), (CARD, 11)):
        scanner.send(line + b"\r\n")
        assert await scanner.refusal() == (
            f"has lines behind its first {count} bytes: set prefix and suffix, of the scanner and"
            " in node.json, alike"
        )
    scanner.send(b"]Q1one\r\n" + CARD + b"\r\n" + EAN + b"\r\n")
    assert await scanner.item() == b"]Q1one"
    assert (await scanner.refusal()).startswith("has lines behind its first 11 bytes")
    assert await scanner.item() == EAN


async def with_lines_in_pieces(scanner):
    scanner.send(*[bytes([byte]) for byte in CARD + b"\r\n" + EAN + b"\r\n"])
    assert (await scanner.refusal()).startswith("has lines behind its first 11 bytes")
    while (told := await scanner.told()).startswith("error ItemRefused"):
        pass  # what comes after a pause, on a busy machine, is told anew
    assert told.split()[2:] == ["]E0", EAN[3:].hex()]


async def with_lines_and_no_suffix(scanner):
    """What such a code seemed to tell of suffixes is forgotten."""
    scanner.send(CARD)
    assert (await scanner.refusal()).startswith("has lines behind its first 11 bytes")
    assert await after_a_pause(scanner, EAN, 3.0) == ["item", "1", "]E0", EAN[3:].hex()]


async def whole_with_lines(scanner):
    scanner.send(b"\x02" + CARD + b"\x03\x02" + LICENCE + b"\x03")
    assert [await scanner.item(), await scanner.item()] == [CARD, LICENCE]


async def with_more_behind_the_suffix(scanner):
    """A scanner adds CR LF behind ETX: it is of no code."""
    for line in (CASE, EAN, CARD):
        scanner.send(b"\x02" + line + b"\x03\r\n")
        assert await scanner.item() == line


async def with_lf_behind_cr(scanner):
    for line in (CASE, EAN):
        scanner.send(line + b"\r\n")
        assert await scanner.item() == line


async def with_another_end(scanner):
    for line in (CASE, EAN):
        scanner.send(line + b"\r")
        assert await scanner.refusal() == (
            "ends otherwise than with the suffix of node.json, or broke off after"
            f" {len(line) + 1} bytes: set both alike"
        )
    scanner.send(b"]C1012")
    assert await scanner.refusal() == "broke off after 6 bytes"


async def with_one_sign_around(scanner):
    """Prefix and suffix may be the same."""
    for line in (CASE, EAN):
        scanner.send(b"#" + line + b"#\r\n")
        assert await scanner.item() == line


async def without_identifiers(scanner):
    """A label may begin like an identifier; lines of one burst may be one label's."""
    scanner.send(CASE + b"\r\n")
    assert (await scanner.told()).split() == ["item", "1", "-", CASE.hex()]
    scanner.send(b"one\r\ntwo\r\n")
    assert (await scanner.refusal()).startswith("has lines behind its first 3 bytes")
    assert await after_a_pause(scanner, EAN + b"\r\n") == ["item", "1", "-", EAN.hex()]


async def in_noise(scanner):
    scanner.send(*[b"x\r" * 1_000] * 2, EAN + b"\r\n")  # it is read while the others go on
    count = 0
    while (told := await scanner.told()).startswith("error ItemRefused"):
        count += 1
    assert 1 <= count <= 4_000 // 2
    assert told.split()[2:] == ["]E0", EAN[3:].hex()]


async def a_long_burst(scanner):
    """More than NOISE_BYTES without a pause, but all of it codes."""
    for begin in range(0, 1_000, 100):
        codes = [b"]C1%015d" % number for number in range(begin, begin + 100)]
        scanner.send(*[code + b"\r\n" for code in codes])
        assert [await scanner.item() for _ in codes] == codes


CASES = {
    two_in_one_burst: {},
    in_pieces: {},
    broken_then_whole: {},
    no_suffix: {},
    the_same_again: {"repeat_ms": 60_000},
    each_counts: {"repeat_ms": 0},
    the_same_later: {"repeat_ms": 1},
    too_long: {},
    as_long_as_may_be: {"content_max": 7_168, "baud": 115_200},
    with_reasons: {"aim": True},
    with_lines: {},
    with_lines_in_pieces: {"suffix": "\r\n"},
    with_lines_and_no_suffix: {"repeat_ms": 60_000},
    whole_with_lines: {"prefix": "\x02", "suffix": "\x03"},
    with_more_behind_the_suffix: {"prefix": "\x02", "suffix": "\x03"},
    with_lf_behind_cr: {"suffix": "\r"},
    with_another_end: {"suffix": "\r\n"},
    with_one_sign_around: {"prefix": "#", "suffix": "#"},
    without_identifiers: {"aim": False, "repeat_ms": 60_000},
    without_prefix: {"prefix": "\x02", "suffix": "\x03"},
    in_noise: {"aim": True},
    a_long_burst: {"aim": True},
}


async def play(micropython, folder):
    """Play every case; return {name: what went wrong}."""
    scanners = [Scanner(**changes) for changes in CASES.values()]
    settings = folder / "settings.json"
    settings.write_text(json.dumps([scanner.settings for scanner in scanners]))
    process = await asyncio.create_subprocess_exec(
        *(micropython, "-X", "heapsize=1m", STORY, REPOSITORY, folder, "scanner"),
        settings,
        stdout=asyncio.subprocess.PIPE,
    )

    async def listen():
        async for line in process.stdout:
            number, _, rest = line.decode().strip().partition(" ")
            await scanners[int(number)].lines.put(rest)

    async def one(case, scanner):
        assert await scanner.told() == "open"
        try:
            await case(scanner)
        finally:
            left = scanner.lines.qsize()
            scanner.unplug()
        assert left == 0, f"{left} more than expected"
        assert await scanner.told() == (
            "error PortLost serial port PORT went away (hung up); plug the scanner in again"
        )

    listening = asyncio.create_task(listen())
    try:
        found = await asyncio.gather(
            *[one(case, each) for case, each in zip(CASES, scanners, strict=True)],
            return_exceptions=True,
        )
    finally:
        listening.cancel()
        if process.returncode is None:
            process.kill()
        await process.wait()
    return {case.__name__: repr(each) for case, each in zip(CASES, found, strict=True) if each}


def test_each_line_becomes_an_item_or_an_error(micropython_path, tmp_path):
    assert asyncio.run(play(micropython_path, tmp_path)) == {}


@pytest.mark.parametrize(
    "name, error",
    [("none", "PortMissing serial port PORT does not exist"), ("plain", "PortRefused PORT is not")],
)
def test_a_port_that_cannot_be_used_is_named(run_story, tmp_path, name, error):
    (tmp_path / "plain").touch()
    path = str(tmp_path / name)
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps([SETTINGS | {"port": path}]))
    (line,) = run_story("readers_story.py", "scanner", str(settings))
    assert line.replace(path, "PORT").startswith(f"0 error {error}")
