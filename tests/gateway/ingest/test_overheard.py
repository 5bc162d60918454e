"""Goal: what the broker's log says is counted in full and told briefly, whoever invents names.

Method: the real reader of a stream that the test fills, with lines as mosquitto 2.0 writes them.
"""

import asyncio

from gateway.ingest.overheard import STRANGERS_TOLD_MAX, Overheard
from gateway.observe.counters import Counters
from tests.gateway.running import recording
from tests.gateway.seen import Log

LINE = "Denied PUBLISH from {} (d0, q0, r0, m0, 'harmattan/v1/p/{}/reading', ... (6 bytes))\n"
REVOKED = "lane-3"


class Heard:
    """What became of some lines."""

    def __init__(self, lines):
        self.log, self.counters, self.dropped, self.misbehaved = Log(), Counters(), {}, []
        asyncio.run(self.read(lines))

    async def read(self, lines):
        stream = asyncio.StreamReader()
        stream.feed_data(lines.encode())
        stream.feed_eof()
        overheard = Overheard(
            "p",
            frozenset({"lane-1", REVOKED}),
            8_883,
            revoked=lambda: {REVOKED},
            dropped=lambda client, count: self.dropped.update({client: count}),
            why_ended=lambda _: "",
            misbehaved=lambda *what: self.misbehaved.append(what),
            clock_fault=str,
            counters=self.counters,
            log=recording(self.log),
        )
        await overheard.fold(stream)


def test_what_is_denied_is_counted_by_what_its_sender_is():
    """In quarantine, revoked, unknown; and whoever publishes on another's topics."""
    heard = Heard(
        3 * LINE.format("lane-1", "lane-1")
        + 4 * LINE.format(REVOKED, REVOKED)
        + 5 * LINE.format("lane-9", "lane-9")
        + 6 * LINE.format("x", "lane-1")
        + 7 * LINE.format(REVOKED, "lane-1")
    )
    assert heard.counters.take() == {
        ("message_barred", "lane-1"): 3,
        ("node_revoked", REVOKED): 4,
        ("node_unknown", ""): 5,
        ("topic_foreign", ""): 6,  # whoever has the authority's key may invent names
        ("topic_foreign", REVOKED): 7,
    }
    assert heard.misbehaved == [("x", 6), (REVOKED, 7)]
    assert set(heard.dropped) == {"lane-1", REVOKED, "lane-9", "x"}
    told = [(line["event"], line["unmentioned"]) for line in heard.log.items]
    names = ("node_revoked", "node_unknown", "topic_foreign", "topic_foreign")
    assert told == [(name, 0) for name in names]


def test_names_that_somebody_invents_fill_no_log():
    names = [f"lane-{number}" for number in range(1_000, 2_000)]
    heard = Heard("".join(LINE.format(name, name) for name in names))
    assert heard.counters.take() == {("node_unknown", ""): 1_000}
    assert len(heard.log.items) == STRANGERS_TOLD_MAX + 1
