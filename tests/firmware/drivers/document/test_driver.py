"""Goal: right documents are given once, wrong ones only when they insist, and no error tells them.

Method: the driver in a real MicroPython on the simulator's pseudo-terminal; each call of `next` is
answered by the next act of the case.
"""

import asyncio
import contextlib
import os
import subprocess
import tty

import numpy as np
import pytest

from simulators.document.device import DocumentReader
from simulators.document.specimen import Document, draw, forge
from simulators.faults import LINE_KINDS, FaultPlan, parse_fault
from simulators.line import Line, Reply
from tests.firmware.conftest import DEADLINE_S, REPOSITORY, STORIES

BAUD = 460_800
WAIT_MS = 5_000
RNG = np.random.default_rng(8)
ONE, OTHER = draw("TD3", RNG), draw("TD1", RNG)
FALSE, OTHER_FALSE = forge(ONE, RNG), forge(OTHER, RNG)
MISREAD = "Misread document reader on PORT: misread (%s); read the document again"


def item(document, mark=""):
    content = "\n".join(document.lines).encode()
    return str((2, document.kind + mark, content, None, None))


class Humming(DocumentReader):
    """A reader on a line that is at fault."""

    def hum(self):
        self._replies.append(Reply(b"\x80" * 40))


@pytest.fixture
def listen(micropython_path, tmp_path):
    """Answer each call of `next` by an act; return what the driver said."""

    def listen(*acts, wait_ms=WAIT_MS, faults=(), around=("", ""), **settings):
        async def story():
            device = Humming(baud=BAUD, **settings)
            plan = FaultPlan([parse_fault(text, LINE_KINDS) for text in faults])
            lines = []
            async with Line(device, link=tmp_path / "port", faults=plan) as line:
                process = await asyncio.create_subprocess_exec(
                    *(micropython_path, "-X", "heapsize=1m", STORIES / "document_story.py"),
                    *(REPOSITORY, tmp_path, tmp_path / "port", str(len(acts)), str(wait_ms)),
                    *around,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                )
                left = list(acts)
                try:
                    async with asyncio.timeout(DEADLINE_S):
                        async for raw in process.stdout:
                            text = raw.decode().rstrip()
                            if text != "next":
                                lines.append(text)
                                continue
                            act = left.pop(0)
                            if isinstance(act, Document):
                                device.present(act)
                                line.speak()
                            elif act is not None:
                                await act(line)
                        told = (await process.stderr.read()).decode()
                        assert await process.wait() == 0, told
                finally:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
            return lines

        return asyncio.run(story())

    return listen


async def hum(line):
    """Have bytes come that no reader sends, as at a wrong baud rate."""
    line.device.hum()
    line.speak()


def test_documents_are_given_as_read_and_each_once(listen):
    lines = listen(ONE, OTHER, ONE)
    assert lines == [
        "document reader at 460800 baud",
        *(item(one) for one in (ONE, OTHER, ONE)),
        "misread 0 repeated 0",
    ]
    device_lies_there = [ONE, ONE]
    lines = listen(*device_lies_there, wait_ms=1_000)
    assert lines[1:] == [item(ONE), "None", "misread 0 repeated 1"]


def test_a_pause_ends_what_nothing_else_does(listen):
    lines = listen(ONE, OTHER, wait_ms=1_000, framing="bare")
    assert lines[1:3] == [item(ONE), item(OTHER)]


def test_a_wrong_digit_is_a_misread_at_once_and_nothing_is_corrected(listen):
    """SPEC 3.7: it is read again, and given right."""
    letters = Document("TD3", (ONE.lines[0], ONE.lines[1].replace("0", "O")))
    lines = listen(letters, ONE)
    assert lines[1].startswith("Misread document reader on PORT: misread (wrong ")
    assert lines[2:] == [item(ONE), "misread 1 repeated 0"]


def test_what_stays_wrong_is_given_marked(listen):
    """SPEC 3.7: at least three times in a row; another zone between begins anew."""
    told = MISREAD % "wrong birth, composite"
    lines = listen(FALSE, FALSE, OTHER_FALSE, FALSE, FALSE, FALSE)
    assert lines[1:] == [told] * 5 + [item(FALSE, "?"), "misread 5 repeated 0"]


def test_strange_characters_and_lengths_never_are_given(listen):
    strange = Document("TD3", (ONE.lines[0].lower(), ONE.lines[1]))
    short = Document("TD3", (ONE.lines[0], ONE.lines[1][:-1]))
    lines = listen(*[strange] * 4, *[short] * 4, OTHER)
    length = "87 characters in 2 lines; 2 x 44, 2 x 36 or 3 x 30 are needed"
    assert lines[1:9] == [MISREAD % "wrong characters"] * 4 + [MISREAD % length] * 4
    assert lines[9] == item(OTHER)


@pytest.mark.parametrize("around", [("#", "#"), ("[MRZ]", "]"), ("$$", "$"), (" ", " ")])
def test_prefix_and_suffix_around_each_line_may_share_characters(listen, around):
    prefix, suffix = around
    settings = {"prefix": prefix, "suffix": suffix, "around_lines": True, "around": around}
    lines = listen(ONE, OTHER, **settings)
    assert lines[1:] == [item(ONE), item(OTHER), "misread 0 repeated 0"]


def test_of_a_wrong_length_prefix_and_suffix_are_named(listen):
    """They may be set otherwise in the reader."""
    lines = listen(ONE, prefix="MRZ:", suffix="#", around=("MRZ", ""))
    length = "93 characters in 2 lines; 2 x 44, 2 x 36 or 3 x 30 are needed"
    assert lines[1] == MISREAD % (length + ", and around them prefix 'MRZ' and suffix ''")


def test_no_error_holds_anything_of_a_document(listen):
    lines = listen(FALSE, OTHER_FALSE, Document("TD3", (ONE.lines[0],)))
    said = "\n".join(lines)
    for document in (FALSE, OTHER_FALSE):
        names = document.lines[0 if document.kind == "TD3" else 2]
        number = document.lines[1][:9] if document.kind == "TD3" else document.lines[0][5:14]
        for secret in (number, *names[5:].replace("<", " ").split()):
            assert secret not in said


def test_noise_is_a_misread_and_then_the_line_is_at_fault(listen):
    told = MISREAD % "0 characters in 0 lines; 2 x 44, 2 x 36 or 3 x 30 are needed"
    lines = listen(hum, hum, ONE, hum, hum, hum, ONE)
    assert lines[1:6] == [told, told, item(ONE), told, told]
    assert lines[6] == (
        "InstrumentGarbled document reader on PORT: what comes at 460800 baud is noise, or "
        "something else speaks; "
        "check baud rate, parity and cable"
    )


def test_a_reader_at_another_rate_gives_named_errors_and_documents_afterwards(listen):
    lines = listen(ONE, ONE, wait_ms=1_000, faults=["baud,seconds=0.2"])
    assert lines[1].split()[0] in ("Misread", "None")
    assert lines[2] == item(ONE)


def test_a_port_that_goes_is_named(listen):
    async def pull(line):
        await line.unplug(0.0)

    lines = listen(ONE, pull, ONE)
    assert lines[1] == item(ONE)
    assert lines[2].startswith("PortLost serial port PORT went away (")
    assert lines[2].endswith("); plug the document reader in again")


def test_nothing_is_none_within_the_time(listen):
    assert listen(None, None, wait_ms=50)[1:3] == ["None", "None"]


def test_a_loop_that_is_held_up_makes_no_pause(micropython_path, tmp_path):
    """What lies there when it goes on is read before a zone counts as broken off."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    first, second = (line.encode() + b"\r" for line in ONE.lines)
    program = [micropython_path, STORIES / "document_held_story.py", REPOSITORY, os.ttyname(theirs)]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as node:
        assert node.stdout.readline() == "open\n"
        os.write(ours, first)
        assert node.stdout.readline() == "heard\n"
        os.write(ours, second)
        told, _ = node.communicate("\n", timeout=DEADLINE_S)
    for descriptor in (ours, theirs):
        os.close(descriptor)
    assert told.strip() == item(ONE)
