"""Goal: who looks at a post sees how its nodes are, and what a node does not know is no number.

Method: healths at their extremes; a scripted node at a running post, and the status that is shown.
"""

import asyncio
import io
import time

from rich.console import Console

from gateway import settings, wire
from gateway.journal.store import FILE_NAME
from gateway.observe import status
from gateway.observe.condition import COLUMNS, cells, condition
from gateway.observe.screen import show
from protocol.limits import INTEGER_MAX, U16_MAX, U32_MAX
from protocol.messages import Health
from tests.gateway.ingest.test_judging import DARK
from tests.gateway.running import running, write_settings
from tests.gateway.scripted import connected


def health(*last, **changes):
    """Return a health; `last` are the appended fields."""
    values = {
        "supply_mv": 4_987,
        "temperature_mc": -7_250,
        "heap_free_bytes": 181_344,
        "journal_id": b"journal1",
        "oldest_seq": 24,
        "next_seq": 30,
        "journal_bytes": 18_432,
        "evicted_count": 3,
        "damaged_count": 1,
        "reconnect_count": 2,
        "failure_count": 0,
        "laser_on_s": 9_000,
        "reset_cause": 3,
        "fault": "",
    } | changes
    return Health(b"boot-one", 2_000, None, 0, *values.values(), *last)


def row_of(message, dark_counts=None):
    found = cells("lane-1", condition(wire.decode(message.pack()), dark_counts))
    return dict(zip(COLUMNS, found, strict=True))


def test_every_number_is_shown_with_its_unit():
    """SPEC 3.8."""
    assert row_of(health(1_012, 23, 640)) == {
        "node": "lane-1",
        "supply": "5.0 V",
        "board": "-7.2 °C",
        "heap free": "181 kB",
        "journal": "6 in 18 kB",
        "evicted": "3, 1 bad",
        "laser": "2.5 h",
        "dark": "1012",
        "standard": "23 h ago",
        "link": "640 ms, 2 anew",
        "started by": "watchdog",
    }


def test_what_a_node_does_not_know_is_a_dash():
    """SPEC 4.2: as with a node of the first edition."""
    found = row_of(health(supply_mv=None, temperature_mc=None, damaged_count=0, reset_cause=77))
    assert [found[name] for name in ("supply", "board", "dark", "standard", "link")] == [
        *("-", "-", "-", "-"),
        "-, 2 anew",
    ]
    assert (found["evicted"], found["started by"]) == ("3", "unknown")
    assert row_of(health(), dark_counts=1_500)["dark"] == "1500"


def test_the_extremes_of_a_health_can_be_shown():
    most = health(U16_MAX, U16_MAX, U16_MAX, supply_mv=U32_MAX, next_seq=INTEGER_MAX)
    assert all(row_of(most).values())


def test_the_status_shows_the_newest_health_and_the_newest_dark_frame(tmp_path, free_port):
    path = write_settings(tmp_path, free_port)

    def look():
        loaded = settings.load(path)
        now_ms = time.time_ns() // 1_000_000
        journal = tmp_path / "state" / FILE_NAME
        found = status.read(loaded, journal, running=True, now_ms=now_ms)
        output = io.StringIO()
        show(found, Console(file=output, width=220, color_system=None), now_ms)
        (node,) = [each for each in found.nodes if each.node == "lane-1"]
        return node.condition, output.getvalue()

    async def story():
        async with running(path) as log, connected(free_port) as node:
            await node.be_born()
            await node.receipt(0)
            assert look()[0] is None
            await node.say(node.dark(1, pixels=b"\x10\x01" * (len(DARK) // 2)))
            await node.receipt(1)
            await node.say(health(None, 2, 33))
            await node.say(node.dark(2))
            await log.event("record_committed", seq=2)
            await node.receipt(23)
            found, shown = look()
            assert (found.standard_age_h, found.round_trip_ms) == (2, 33)
            assert found.dark_counts is not None
            assert "standard 2 h ago, link 33 ms, 2 anew, started by watchdog" in shown

    asyncio.run(story())
