"""Goal: who is barred or revoked is known to whoever asks, and told; it heals by itself.

Method: the real gate, on a clock of the test's own; what it saves is a list.
"""

import asyncio

from gateway.errors import JournalError
from gateway.ingest.gate import Gate
from gateway.ingest.quarantine import CAUSES, SCORE_MAX
from gateway.observe.counters import Counters
from tests.gateway.running import recording
from tests.gateway.seen import Log


def test_a_node_is_barred_told_saved_and_heard_again():
    async def story():
        log, counters, saved, now = Log(), Counters(), [], [0.0]
        is_full, heard = [True], []

        async def save(text):
            if is_full[0]:
                raise JournalError("full")
            saved.append(text)

        gate = Gate(
            frozenset({"a"}),
            counters=counters,
            log=recording(log),
            save=save,
            released=heard.append,
            now_s=lambda: now[0],
        )
        for _ in range(SCORE_MAX + 1):
            gate.note("a", "frame_refused")
            gate.note("stranger", "frame_refused")
        assert gate.bars("a")
        assert not gate.bars("stranger")
        assert list(gate.states()) == ["a"]
        assert gate.barred() == {"a"}
        assert gate.changed.is_set()
        gate.changed.clear()
        assert counters.take() == {("quarantined", "a"): 1}
        await gate.look()
        assert saved == []
        assert not gate.changed.is_set()
        is_full[0] = False
        await gate.look()
        await gate.look()
        assert len(saved) == 1
        assert "node 'a' is not listened to for 60 s" in saved[0]
        now[0] = 60.0
        await gate.look()
        assert not gate.bars("a")
        assert saved[1:] == [None]
        assert gate.changed.is_set()
        assert not gate.barred()
        assert heard == ["a"]
        events = [(line["event"], line["cause"]) for line in log.items]
        assert events == [("node_quarantined", "frame_refused"), ("node_released", "frame_refused")]

    asyncio.run(story())


def test_the_last_lifes_quarantine_is_not_shown_as_todays():
    async def story():
        saved = []

        async def save(text):
            saved.append(text)

        gate = Gate(frozenset(), counters=Counters(), log=recording(Log()), save=save)
        await gate.look()
        await gate.look()
        assert saved == [None]

    asyncio.run(story())


def test_a_revocation_counts_from_the_next_look():
    async def story():
        revoked = frozenset()
        gate = Gate(
            frozenset({"a"}),
            counters=Counters(),
            log=recording(Log()),
            revoked=lambda: revoked,
        )
        assert "a" not in gate.revoked
        revoked = frozenset({"a"})
        await gate.look()
        assert "a" in gate.revoked
        gate.note("a", "topic_foreign", 1_000)
        assert not gate.barred()  # it is shut out as it is
        revoked = frozenset()
        await gate.look()
        gate.note("a", "topic_foreign", SCORE_MAX // CAUSES["topic_foreign"])
        assert not gate.barred()
        gate.note("a", "topic_foreign", 1)
        assert gate.barred() == {"a"}

    asyncio.run(story())
