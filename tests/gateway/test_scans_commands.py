"""Goal: a technician sees what was scanned just now, all of it, and no person's data unasked.

Method: the real command beside a real gateway that takes events in; then on terminals of 80 and 60
columns.
"""

import asyncio
import base64
import fcntl
import io
import json
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
from rich.console import Console

from gateway import settings
from gateway.errors import JournalError
from gateway.scans_commands import read, run_scans
from protocol.messages import Event
from tests.gateway.running import NODE, running, write_settings
from tests.gateway.scripted import connected
from tests.gateway.test_journal_commands import call

PASS = b"M1ERIKSSON/ANNA       EABC123 ARNFRASK 0123 326Y025C0027 100"
CODES = (
    ("]C1", b"0198412345678907"),
    ("]d2", b"019841234567890810LOT-A1\x1d21SN0001"),
    ("]A0", b"CSQU3054383"),
    ("]Q1", b"\x1b[31mred [b]x\xe2\x80\xae\xc2\x9b" + b"0123456789" * 700),
    ("]d2", b"019841234567890810" + b"L" * 20 + b"\x1d21" + b"S" * 20 + b"\x1d4301ERIKSSON"),
    ("]L0", PASS),
)


def event(node, seq, event_type, symbology, content):
    dark = node.dark(seq)
    head = (dark.journal_id, seq, dark.boot_id, dark.uptime_ms, None, 0, bytes(8))
    return Event(*head, event_type, symbology, content, None, None)


def shown(path):
    console = Console(file=io.StringIO(), width=200)
    run_scans(settings.load(path), 20, documents=False, as_json=False, console=console)
    return console.file.getvalue()


def typed(columns, *arguments):
    """Return the lines that the command writes to a terminal so wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    program = (sys.executable, "-m", "gateway", "scans", *map(str, arguments))
    surroundings = {name: os.environ[name] for name in os.environ if name != "COLUMNS"}
    process = subprocess.Popen(program, stdout=theirs, stdin=theirs, env=surroundings)
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 4_096):
            said += piece
    except OSError:  # its end
        pass
    os.close(ours)
    assert process.wait(60) == 0
    return said.decode().replace("\r\n", "\n").splitlines()


def test_the_newest_scans_are_shown_and_no_persons_data(tmp_path, free_port):
    path = write_settings(tmp_path, free_port)

    async def story():
        async with running(path), connected(free_port) as node:
            out = shown(path)
            assert out == "No code was scanned among the newest 20,000 records.\n"
            for seq, (symbology, content) in enumerate(CODES, 1):
                await node.say(event(node, seq, 1, symbology, content))
            await node.say(event(node, 7, 2, "TD3", b"P<UTOERIKSSON"))
            await node.receipt(7)
            status, out, err = await call("scans", "-s", path, "--json", "--count", "4")
            assert (status, err) == (0, "")
            told = [json.loads(line) for line in out.splitlines()]
            assert [(seen["node"], seen["seq"]) for seen in told] == [
                (NODE, 6),
                (NODE, 5),
                (NODE, 4),
                (NODE, 3),
            ]
            assert told[3]["scan"]["values"] == {"container": "CSQU3054383"}
            assert base64.b64decode(told[3]["content"]) == CODES[2][1]
            assert [one["content"] for one in told[:3]] == [None] * 3
            assert not [one for one in ("ERIKSSON", "01234", "EABC123") if one in out]
            await whole(path)
            return shown(path)

    out = asyncio.run(story())
    words = " ".join(out.split())
    assert "ERIKSSON" not in words.upper()
    assert "PDF417, 60 bytes, text withheld: content (--documents shows it)" in words
    assert "withheld: AI 4301 (--documents shows it)" in words
    assert "(01)98412345678908(10)LOT-A1(21)SN0001" in words
    assert "GS1-128" in words
    assert "bad check digit in AI 01" in words
    assert "container" in words
    assert "\x1b" not in out


async def whole(path):
    """Ask for everything: not a character of it is missing, and none of them moves the cursor."""
    status, out, err = await call("scans", "-s", path, "--json", "--documents")
    assert (status, err) == (0, "")
    told = [json.loads(line) for line in out.splitlines()][::-1]
    assert [base64.b64decode(one["content"]) for one in told] == [code for _, code in CODES]
    assert told[3]["scan"]["text"].endswith("0123456789" * 700)
    assert out.replace("\n", "").isprintable()
    for columns in (80, 60):
        lines = await asyncio.to_thread(typed, columns, "-s", path, "--documents")
        assert max(map(len, lines)) <= columns
        assert all(line.isprintable() for line in lines)
        joined = "".join(line.removeprefix("    ") for line in lines)
        assert "0123456789" * 700 in joined
        assert f"(10){'L' * 20}(21){'S' * 20}(4301)ERIKSSON" in joined
        assert PASS.decode() in joined
        assert r"\x1b[31mred [b]x\u202e\x9b" in joined
        lines = await asyncio.to_thread(typed, columns, "-s", path)
        assert max(map(len, lines)) <= columns
        joined = "".join(line.removeprefix("    ") for line in lines)
        assert f"(10){'L' * 20}(21){'S' * 20}" in joined
        assert "ERIKSSON" not in joined


def test_a_journal_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(JournalError, match=r"none\.sqlite"):
        read(tmp_path / "none.sqlite", 20)
