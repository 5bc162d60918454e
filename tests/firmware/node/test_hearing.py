"""Goal: a node tells when the broker takes everything and the gateway answers nothing.

Method: the firmware in a real MicroPython, its bound of five minutes made two seconds, a real
mosquitto, and a gateway that first says nothing of its own; then the counting itself, with a clock
that is moved by hand.
"""

import asyncio
import shutil
from types import SimpleNamespace

from node import limits
from node.hearing import Hearing
from protocol import messages
from tests.firmware.conftest import REPOSITORY

BOUND = "GATEWAY_SILENT_MS = 300_000"


def test_records_that_reach_nobody_are_a_fault_until_somebody_answers(bench):
    root = bench.folder / "root"
    shutil.copytree(REPOSITORY / "firmware", root / "firmware")
    (root / "protocol").symlink_to(REPOSITORY / "protocol")
    path = root / "firmware/node/limits.py"
    assert BOUND in path.read_text()
    path.write_text(path.read_text().replace(BOUND, "GATEWAY_SILENT_MS = 2_000"))

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()  # its receipt for the birth may be an old word
            await bench.plug()
            node = await bench.start_node(options={"root": root})
            await node.wait("ready")
            seq = await bench.take()
            await node.wait("published", seq=seq)
            fault = await node.wait("fault", what="gateway")
            assert (
                "have a node lane1, and is keys/node.der the certificate of lane1?" in fault["text"]
            )
            reading = await gateway.wait("reading", lambda m: m.seq == seq)
            await gateway.wait("health", lambda m: m.fault.startswith("gateway: no answer for"))
            after = len(gateway.heard.items)
            await gateway.say(messages.Receipt(reading.journal_id, seq, ()))
            await node.wait("sent", seq=seq)
            await gateway.wait("health", lambda m: not m.fault, after=after)

    asyncio.run(story())


class Node:
    """What the parts of a node share."""

    name = "lane7"

    def __init__(self):
        self.now_ms = 0
        self.faults = {}
        self.told = []
        self.uplink = SimpleNamespace(connect_count=0)
        self.clock = SimpleNamespace(uptime_ms=lambda: self.now_ms)
        self.journal = SimpleNamespace(is_due=lambda seq: seq != 13)
        self.signals = self
        self.hearing = Hearing(self)

    def show(self, name, field):
        self.told.append((name, field))

    def fault(self, what, text):
        self.faults[what] = text

    def clear(self, what):
        self.faults.pop(what, None)

    def standing(self, what):
        return self.faults.get(what, "")

    def wait(self, wait_ms):
        """Let time pass, a second at a time."""
        for _ in range(wait_ms // 1000):
            self.now_ms += 1000
            self.hearing.follow()


def test_an_answer_has_five_minutes_and_a_reading_begins_them():
    node = Node()
    node.wait(limits.GATEWAY_SILENT_MS * 2)  # never connected: nothing was asked
    node.uplink.connect_count = 1
    node.wait(60_000)
    node.hearing.heard()  # the birth is answered
    node.wait(limits.GATEWAY_SILENT_MS * 3)
    assert node.faults == {}
    for seq in (12, 13, 12):
        node.hearing.published(seq)
    assert node.told == [("published", ("seq", 12))] * 2  # 13 was receipted meanwhile
    node.wait(limits.GATEWAY_SILENT_MS)
    assert node.faults == {}
    node.wait(1_000)
    assert node.faults["gateway"] == (
        "no answer for 5 min, and the broker has 1 records: is the gateway running, does it have a "
        "node lane7, and is keys/node.der the certificate of lane7?"
    )
    node.hearing.published(14)
    node.wait(limits.GATEWAY_SILENT_MS)
    assert "has 1 records" in node.faults["gateway"]  # told once, not with each record
    node.hearing.heard()
    node.wait(limits.GATEWAY_SILENT_MS * 2)
    assert node.faults == {}


def test_without_a_link_nothing_is_asked():
    node = Node()
    node.uplink.connect_count = 1
    node.hearing.published(1)
    node.wait(limits.GATEWAY_SILENT_MS // 2)
    node.faults["broker"] = "gone"
    node.wait(limits.GATEWAY_SILENT_MS * 2)
    del node.faults["broker"]
    node.uplink.connect_count = 2
    node.wait(limits.GATEWAY_SILENT_MS)
    assert node.faults == {}
    node.wait(1_000)
    assert "has 0 records" in node.faults["gateway"]  # the birth alone is to be answered


def test_what_is_remembered_is_bounded():
    node = Node()
    for seq in range(100, 1_100):
        node.hearing.published(seq)
    assert len(node.hearing._seqs) <= limits.UNACKED_MAX
