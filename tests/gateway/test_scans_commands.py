"""Goal: a technician sees what was scanned just now, and no person's data.

Method: the real command beside a real gateway that takes events in.
"""

import asyncio
import io
import json

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
    ("]Q1", b"\x1b[31mred [b]x"),
    ("]L0", PASS),
)


def event(node, seq, event_type, symbology, content):
    dark = node.dark(seq)
    head = (dark.journal_id, seq, dark.boot_id, dark.uptime_ms, None, 0, bytes(8))
    return Event(*head, event_type, symbology, content, None, None)


def shown(path):
    console = Console(file=io.StringIO(), width=200)
    run_scans(settings.load(path), 20, as_json=False, console=console)
    return console.file.getvalue()


def test_the_newest_scans_are_shown_and_no_persons_data(tmp_path, free_port):
    path = write_settings(tmp_path, free_port)

    async def story():
        async with running(path), connected(free_port) as node:
            out = shown(path)
            assert out == "No code was scanned among the newest 20,000 records.\n"
            for seq, (symbology, content) in enumerate(CODES, 1):
                await node.say(event(node, seq, 1, symbology, content))
            await node.say(event(node, 6, 2, "TD3", b"P<UTOERIKSSON"))
            await node.receipt(6)
            status, out, err = await call("scans", "-s", path, "--json", "--count", "4")
            assert (status, err) == (0, "")
            told = [json.loads(line) for line in out.splitlines()]
            assert [(seen["node"], seen["seq"]) for seen in told] == [
                (NODE, 5),
                (NODE, 4),
                (NODE, 3),
                (NODE, 2),
            ]
            assert told[3]["scan"]["values"] == {
                "01": "98412345678908",
                "10": "LOT-A1",
                "21": "SN0001",
            }
            return shown(path)

    out = asyncio.run(story())
    words = " ".join(out.split())
    assert "ERIKSSON" not in words.upper()
    assert "GS1-128" in words
    assert "bad check digit in AI 01" in words
    assert "container" in words
    assert "\x1b" not in out


def test_a_journal_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(JournalError, match=r"none\.sqlite"):
        read(tmp_path / "none.sqlite", 20)
