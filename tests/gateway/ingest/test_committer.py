"""Goal: a receipt says nothing that is not on the disk, whatever the disk does meanwhile.

Method: the real committer, roster and journal without a broker: messages are offered by hand, and
the letters to the nodes are read where the link would take them.
"""

import asyncio
import contextlib

import apsw

from gateway import wire
from gateway.fleet.outgoing import Outgoing
from gateway.fleet.roster import LEDGERS_PER_NODE_MAX, Roster
from gateway.ingest.arrivals import Arrivals, Offer
from gateway.ingest.committer import REST_S_MAX, Committer
from gateway.ingest.holes import LASTING_S
from gateway.ingest.intake import Taken
from gateway.journal import records
from gateway.journal.condition import DiskState
from gateway.journal.postures import read_postures
from gateway.journal.store import Journal
from gateway.observe.counters import Counters
from gateway.settings import NodeSettings, Settings
from tests.gateway.running import recording
from tests.gateway.seen import DEADLINE_S, Log

JOURNAL = b"journal1"


class Desk:
    """A committer with all it needs."""

    def __init__(self, journal):
        self.journal = journal
        self.log = Log()
        self.arrivals = Arrivals()
        self.judge_wanted = asyncio.Event()
        self.counters = Counters()
        self.outgoing = Outgoing("post-1", lambda: 9_000)
        self.now_ms = 9_000
        self.now_s = 1_000.0
        self.is_judging = False
        settings = Settings("post-1", nodes=(NodeSettings("lane-1"),))
        self.roster = Roster(settings, journal, self.outgoing, now_ms=lambda: self.now_ms)
        self.committer = Committer(
            journal,
            self.roster,
            self.arrivals,
            self.judge_wanted,
            counters=self.counters,
            log=recording(self.log),
            now_s=lambda: self.now_s,
            is_judging=lambda: self.is_judging,
        )

    async def said(self, channel):
        """Return when there is a letter on this channel."""
        async with asyncio.timeout(DEADLINE_S):
            while channel not in self.letters():  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def posture(self, name, text):
        """Return when other processes can read this state, or that it holds no more."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                found = await self.journal.read(read_postures)
                if text == (found[name].text if name in found else None):
                    return

    def offer(self, message, *, retained=False, node="lane-1"):
        taken = Taken(node, message, wire.encode(message), retained, received_ms=1_000)
        assert self.arrivals.offer(taken) is Offer.taken

    def letters(self):
        """Return what would be sent now, by channel."""
        waiting = self.outgoing._letters
        return {letter.topic.rsplit("/", 1)[1]: letter.message for letter in waiting.values()}


@contextlib.asynccontextmanager
async def desk_in(folder):
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    desk = Desk(journal)
    await desk.roster.load()
    try:
        yield desk
    finally:
        await journal.close()


@contextlib.asynccontextmanager
async def at_work(desk):
    task = asyncio.create_task(desk.committer.run())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait([task])


def reading(seq, journal_id=JOURNAL, size=2_000):
    return wire.Reading(
        *(journal_id, seq, b"boot-one", 5, None, 0, b"inspect1", 1, b"axis-one", 400_000, 1),
        *(100, None, 65_535, 0, None, b"\1\2" * (size // 2)),
    )


def birth(journal_id=JOURNAL, oldest_seq=1):
    return wire.Birth(
        *(b"boot-one", 5, None, 0, journal_id, oldest_seq, 99, "firmware", "unix", 0, "", ""),
        *(None, 0, 785_000, 8_000, b"", 65_535),
    )


def health():
    return wire.Health(
        *(b"boot-one", 5, None, 0, None, None, 0, JOURNAL, 1, 99, 0, 0, 0, 0, 0, 0, 0, "")
    )


def test_no_word_before_the_commit(tmp_path):
    async def story():
        async with desk_in(tmp_path) as desk:
            held, release = asyncio.Event(), asyncio.Event()
            loop = asyncio.get_running_loop()

            def hold(_):
                loop.call_soon_threadsafe(held.set)
                asyncio.run_coroutine_threadsafe(release.wait(), loop).result(DEADLINE_S)

            holding = asyncio.create_task(desk.journal.write(hold))
            await held.wait()
            async with at_work(desk):
                desk.offer(birth())
                desk.offer(reading(1))
                await asyncio.sleep(0)  # the committer takes them
                await asyncio.sleep(0)
                assert len(desk.arrivals) == 0
                assert desk.letters() == {}
                assert desk.roster.known([("lane-1", JOURNAL)]) == {}
                release.set()
                await holding
                await desk.log.event("record_committed", seq=1)
                assert desk.letters()["receipt"] == wire.Receipt(JOURNAL, 1, ())
                assert desk.letters()["time"].echo_uptime_ms == 5

    asyncio.run(story())


def test_while_readings_are_judged_it_rests_but_for_a_node_that_speaks_rarely(
    tmp_path, monkeypatch
):
    insert = records.insert_record

    async def story():
        async with desk_in(tmp_path) as desk:

            def take_long(connection, node, *rest):
                desk.now_s += 10.0 if node == "lane-1" else 0.0
                return insert(connection, node, *rest)

            monkeypatch.setattr(records, "insert_record", take_long)
            async with at_work(desk):
                desk.offer(reading(1))
                await desk.log.event("record_committed", node="lane-1", seq=1)
                desk.is_judging = True
                desk.offer(reading(2))  # no rest: nothing was judged
                await desk.log.event("record_committed", node="lane-1", seq=2)
                desk.offer(reading(3))
                desk.offer(reading(1), node="lane-2")
                await desk.log.event("record_committed", node="lane-2", seq=1)
                assert len(desk.arrivals) == 1
                desk.now_s += REST_S_MAX
                await desk.log.event("record_committed", node="lane-1", seq=3)

    asyncio.run(story())


def count_pages(connection):
    return connection.pragma("page_count")


async def fill(desk, spare=3):
    """Leave room for `spare` pages, as a disk that runs full does."""
    pages = await desk.journal.write(count_pages)
    await desk.journal.write(lambda c: c.pragma("max_page_count", pages + spare))


async def free(desk):
    await desk.journal.write(lambda c: c.pragma("max_page_count", 1 << 20))


def test_a_full_disk_promises_nothing_answers_all_the_same_and_resumes(tmp_path):
    """The node hears time and what is receipted; its birth and readings are kept afterwards."""

    async def story():
        async with desk_in(tmp_path) as desk, at_work(desk):
            desk.offer(birth())
            desk.offer(reading(1))
            await desk.log.event("record_committed", seq=1)
            desk.outgoing._letters.clear()
            await fill(desk)
            for seq in range(2, 32):
                desk.offer(reading(seq))
            told = await desk.log.event("readings_refused")
            assert "free space" in told["text"]
            assert desk.letters() == {}
            assert desk.journal.condition.state is DiskState.full
            # The node starts anew meanwhile: it must not think that nobody is here.
            desk.offer(birth())
            desk.offer(health())
            await desk.said("time")
            assert desk.letters()["receipt"] == wire.Receipt(JOURNAL, 1, ())
            assert desk.letters()["time"].echo_uptime_ms == 5
            await free(desk)
            desk.outgoing._letters.clear()
            desk.now_s += 60.0
            desk.offer(reading(2))
            await desk.log.event("record_committed", seq=2)
            await desk.log.event("readings_resumed")
            assert desk.letters()["receipt"] == wire.Receipt(JOURNAL, 2, ())
            assert desk.letters()["time"].echo_uptime_ms is None  # send your window again
            counted = desk.counters.take()
            assert counted["record_deferred", "lane-1"] == 30
            (row,) = await desk.journal.read(
                lambda c: c.execute("SELECT birth, health FROM nodes").fetchall()
            )
            assert row == (wire.encode(birth()), wire.encode(health()))

    asyncio.run(story())


def test_a_node_that_was_never_heard_is_answered_on_a_full_disk_too(tmp_path):
    async def story():
        async with desk_in(tmp_path) as desk:
            await fill(desk, spare=0)
            async with at_work(desk):
                for seq in range(1, 31):
                    desk.offer(reading(seq))
                await desk.log.event("readings_refused")
                desk.offer(birth())
                await desk.said("time")
                assert set(desk.letters()) == {"time"}  # nothing is known to be receipted
            await desk.roster.announce()
            assert desk.letters()["config"].version == 9
            await free(desk)

    asyncio.run(story())


def test_nothing_waits_for_a_message_when_the_disk_is_well_again(tmp_path):
    """Other parts write too; nodes with long waits before they send again are asked at once."""

    async def story():
        async with desk_in(tmp_path) as desk, at_work(desk):
            desk.offer(birth())
            await desk.log.event("node_born")
            await fill(desk)
            for seq in range(1, 31):
                desk.offer(reading(seq))
            await desk.log.event("readings_refused")
            desk.outgoing._letters.clear()
            await free(desk)
            await desk.journal.look()
            desk.now_s += 60.0
            await desk.log.event("readings_resumed")
            assert desk.letters()["time"].echo_uptime_ms is None

    asyncio.run(story())


def test_one_message_that_cannot_be_committed_is_refused_alone(tmp_path, monkeypatch):
    """No memory for it, or bytes that the journal will not have: the others are kept."""
    insert, faults = records.insert_record, {2: MemoryError(), 4: apsw.ConstraintError("bad")}

    def stumble(connection, node, record, *rest):
        if record.seq in faults:
            raise faults[record.seq]
        return insert(connection, node, record, *rest)

    monkeypatch.setattr(records, "insert_record", stumble)

    async def story():
        async with desk_in(tmp_path) as desk:
            for seq in range(1, 6):
                desk.offer(reading(seq))
            async with at_work(desk):
                line = await desk.log.event("record_committed", seq=5)
                assert line["count"] == 3
                assert desk.letters()["receipt"] == wire.Receipt(JOURNAL, 1, (3, 3, 5, 5))
                unaffordable = await desk.log.event("message_unaffordable", seq=2)
                assert "end other programs" in unaffordable["text"].lower()
                await desk.log.event("message_failed", seq=4)
                faults.clear()
                for seq in (2, 4):
                    desk.offer(reading(seq))
                await desk.log.event("record_committed", seq=4)
                assert desk.letters()["receipt"] == wire.Receipt(JOURNAL, 5, ())

    asyncio.run(story())


def test_the_newest_dark_of_each_node_is_kept_once_a_batch(tmp_path):
    async def story():
        async with desk_in(tmp_path) as desk:
            for seq in (1, 2, 3):
                desk.offer(reading(seq))
            async with at_work(desk):
                line = await desk.log.event("record_committed", seq=3)
                assert (line["first_seq"], line["count"]) == (1, 3)
                assert len(desk.log.events("record_committed")) == 1
            rows = await desk.journal.read(
                lambda c: c.execute(
                    "SELECT d.node, r.seq FROM darks d JOIN records r ON r.id = d.record_id"
                ).fetchall()
            )
            assert rows == [("lane-1", 3)]

    asyncio.run(story())


def test_a_record_that_stays_missing_is_told_of(tmp_path):
    async def story():
        async with desk_in(tmp_path) as desk, at_work(desk):
            desk.offer(reading(1))
            desk.offer(reading(3))
            await desk.log.event("record_committed", seq=3)
            desk.now_s += LASTING_S
            desk.offer(reading(4))
            told = await desk.log.event("record_missing", node="lane-1", seq=2, count=1)
            assert "harmattan command NODE journal" in told["text"]
            assert desk.counters.take()["record_missing", "lane-1"] == 1
            await desk.posture("record_missing", told["text"])
            desk.offer(reading(2))
            await desk.log.event("record_committed", seq=2)
            await desk.posture("record_missing", None)

    asyncio.run(story())


def test_ledgers_that_are_forgotten_are_rebuilt(tmp_path):
    """A node that invents journals, or an old one: memory is bounded, receipts stay true."""

    async def story():
        journals = [b"jrnl-%03d" % number for number in range(3 * LEDGERS_PER_NODE_MAX)]
        async with desk_in(tmp_path) as desk, at_work(desk):
            for seq in (1, 3, 4, 2):
                for journal_id in journals:
                    desk.offer(reading(seq, journal_id, size=64))
                    await desk.log.event("record_committed", seq=seq, journal=journal_id.hex())
                    told = desk.letters()["receipt"]
                    said = {1: (1, ()), 3: (1, (3, 3)), 4: (1, (3, 4)), 2: (4, ())}[seq]
                    assert told == wire.Receipt(journal_id, *said)
            assert len(desk.roster._ledgers["lane-1"]) == LEDGERS_PER_NODE_MAX
            for journal_id in journals:  # all in one batch: more than are kept
                desk.offer(reading(5, journal_id, size=64))
            await desk.log.event("record_committed", seq=5, journal=journals[-1].hex())
            assert len(desk.roster._ledgers["lane-1"]) == LEDGERS_PER_NODE_MAX

    asyncio.run(story())


def test_the_receipt_of_the_present_journal_has_the_last_word(tmp_path):
    async def story():
        async with desk_in(tmp_path) as desk:
            now, before = b"a-------", b"z-------"
            desk.offer(birth(now))
            desk.offer(reading(1, now))
            desk.offer(reading(1, before))  # it was on its way
            async with at_work(desk):
                await desk.log.event("record_committed", journal=before.hex())
                assert desk.letters()["receipt"] == wire.Receipt(now, 1, ())
                desk.offer(reading(2, before))
                await desk.log.event("record_committed", journal=before.hex(), seq=2)
                assert desk.letters()["receipt"] == wire.Receipt(before, 2, ())

    asyncio.run(story())


def test_a_floor_is_kept_with_the_birth_that_says_it(tmp_path):
    async def story():
        async with desk_in(tmp_path) as desk, at_work(desk):
            desk.offer(birth(oldest_seq=5))
            await desk.log.event("node_born")
        async with desk_in(tmp_path) as desk:  # killed right after
            await desk.roster.announce()
            assert desk.letters()["receipt"] == wire.Receipt(JOURNAL, 4, ())
            assert desk.letters()["time"].echo_uptime_ms is None
            assert desk.letters()["config"].version == 10  # 9, the clock's second, is unconfirmed

    asyncio.run(story())


def test_a_node_that_keeps_another_config_is_told_of_and_sent_a_new_version(tmp_path):
    """SPEC 9.5: it passes over the version it took back."""

    async def story():
        async with desk_in(tmp_path) as desk, at_work(desk):
            desk.offer(birth())
            await desk.log.event("node_born")
            desk.now_ms += 60_000
            desk.offer(health())
            told = await desk.log.event("config_refused", sent=9, kept=0)
            assert "start the gateway again" in told["text"]
        async with desk_in(tmp_path) as desk:
            await desk.roster.announce()
            assert desk.letters()["config"].version == 10

    asyncio.run(story())


def test_a_retained_birth_is_answered_without_an_echo(tmp_path):
    async def story():
        async with desk_in(tmp_path) as desk, at_work(desk):
            for retained, echo in ((True, None), (False, 5)):
                desk.offer(birth(), retained=retained)
                await desk.log.event("node_born", retained=retained)
                assert desk.letters()["time"] == wire.Time(9_000, 1, b"boot-one", echo)  # 1970

    asyncio.run(story())


def test_only_a_sample_or_a_new_axis_wakes_the_judges(tmp_path):
    async def story():
        async with desk_in(tmp_path) as desk, at_work(desk):
            desk.offer(reading(1))
            desk.offer(birth())
            await desk.log.event("node_born")
            assert not desk.judge_wanted.is_set()
            sample = wire.decode(wire.encode(reading(2)))
            desk.offer(type(sample)(*[*_values(sample)[:7], 0, *_values(sample)[8:]]))
            await desk.log.event("record_committed", seq=2)
            assert desk.judge_wanted.is_set()

    asyncio.run(story())


def _values(record):
    return [getattr(record, name) for name in record.__struct_fields__]
