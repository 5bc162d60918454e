"""A post's life as its journal sees it, told step by step, and what it has promised by then.

Rules of the file
- The journal is the real one, opened and written as the gateway does; nodes and authority are what
  they have been told: a node keeps every record until a receipt covers it, the authority keeps all.
- Every step goes by what is in the journal and on the nodes, so it may be told again after a cut.
- `say` hears every promise at the moment the gateway makes it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from gateway import wire
from gateway.alerts import alert as alerting
from gateway.errors import JournalError
from gateway.journal import calibrations, outbox, postures, records, rejudgements, retention
from gateway.journal.calibrations import Kept
from gateway.journal.darks import save_dark
from gateway.journal.dating import learn_boot, stamp_of
from gateway.journal.records import Judgement
from gateway.journal.rejudgements import Changed, Step
from gateway.journal.store import FILE_NAME, LOOK_S, Journal
from protocol import messages
from protocol.delivery import Ledger
from tests.gateway.crash.players import (
    AXIS,
    BOOT,
    JOURNAL,
    NODES,
    NOW_MS,
    POST,
    RAISED_SEQ,
    STANDARD_SEQ,
    Authority,
    Delivery,
    body_of,
    frame_of,
    is_alarm,
    open_journal,
)
from tests.gateway.journal.pending import read_pending

RECORDS = 10  # of each node
AGAIN_MAX = 4  # how often the gateway tries what failed, within one step

Say = Callable[..., None]


class Post:
    """One gateway with its nodes.

    Args:
        folder: of the journal.
        seed: of the records' contents.
        say: hears promises.
        records: that each node has.
    """

    def __init__(self, folder: Path, seed: int, say: Say, records: int = RECORDS) -> None:
        self.records = records
        self.told: list[tuple[str, str]] = []  # by the journal, to the technician
        self.authority = Authority()
        self.freed: dict[str, set[int]] = {node: set() for node in NODES}  # by receipts
        self.lost = 0  # steps that were given up, because the disk took nothing
        self.bears = False  # steps may be given up
        self._path = folder / FILE_NAME
        self._seed = seed
        self._say = say
        self._ledgers: dict[str, Ledger] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._wanted = asyncio.Event()  # set when there is a new alert
        self.journal = self._new_journal()

    def _new_journal(self) -> Journal:
        return open_journal(self._path, lambda *words: self.told.append(words))

    # ------------------------------------------------------------------------ open, write, close

    async def open(self, *, delivers: bool = True) -> None:
        """Start the gateway on the folder, with a line to the authority or without."""
        await self.journal.open()
        self.authority.forget()
        self._tasks = [asyncio.create_task(self.journal.run())]
        if delivers:
            self.begin_delivery()

    def begin_delivery(self) -> None:
        """Deliver what waits, from now on."""
        delivery = Delivery(self.journal, self.authority, self._wanted)
        self._tasks.append(asyncio.create_task(delivery.run()))

    async def close(self) -> None:
        """Stop the gateway."""
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        faults = [end for end in ended if not isinstance(end, asyncio.CancelledError)]
        await self.journal.close()
        self._ledgers.clear()
        if faults:
            raise ExceptionGroup("parts that ended", faults)  # type: ignore[type-var]

    async def reopen(self) -> None:
        """Stop it and start it again."""
        await self.close()
        self.journal = self._new_journal()
        await self.open()

    async def write(self, operation: Callable[..., Any]) -> Any:
        """Write as the gateway's parts do: what fails is tried again.

        Raises:
            JournalError: it failed AGAIN_MAX times.
        """
        return await self._again(lambda: self.journal.write(operation))

    async def read(self, question: Callable[..., Any]) -> Any:
        """Read likewise."""
        return await self._again(lambda: self.journal.read(question))

    async def _again(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        for left in reversed(range(AGAIN_MAX)):
            try:
                return await work()
            except JournalError:
                if not left:
                    raise
                await asyncio.sleep(LOOK_S)  # the journal looks after its disk meanwhile
        raise AssertionError("not reached")

    # ------------------------------------------------------------------------ steps

    async def configure(self, integration_us: int = 400_000) -> None:
        """Have every node's config and birth kept."""
        for number, node in enumerate(NODES):
            wanted = wire.Config(1, integration_us, 1, 0, 30, 8, 1_000)
            config = await self.write(
                partial(records.save_config, node=node, wanted=wanted, now_s=NOW_MS // 1_000)
            )
            self._say("config", node, config.version)
            await self.write(partial(_be_born, node=node, number=number))

    async def take(self, node: str, up_to: int) -> None:
        """Take in what a node has and no receipt has covered; send the receipt."""
        waiting = [seq for seq in range(1, up_to + 1) if seq not in self.freed[node]]
        if not waiting:
            return
        frames = [frame_of(node, seq, self._seed) for seq in waiting]
        ledger = self._ledgers.get(node)
        floor = ledger.seq if ledger is not None else 0
        rebuilt = await self.write(partial(_keep, node=node, frames=frames, floor=floor))
        ledger = self._ledgers.setdefault(node, rebuilt)
        for seq in waiting:
            ledger.commit(seq)
        self._receipt(node, ledger)

    def _receipt(self, node: str, ledger: Ledger) -> None:
        self._say("receipt", node, ledger.seq, ledger.beyond())
        ranges = (1, ledger.seq, *ledger.beyond())
        for first, last in zip(ranges[::2], ranges[1::2], strict=True):
            self.freed[node].update(range(first, last + 1))

    async def judge(self) -> None:
        """Judge everything that waits for it."""
        for _ in range(10 * RECORDS):
            waiting = await self.read(partial(read_pending, count_max=4))
            if not waiting:
                return
            for pending in waiting:
                await self._judge_one(pending)

    async def _judge_one(self, pending: records.Pending) -> None:
        reading = pending.reading
        assert reading is not None
        if reading.role == messages.ROLE_STANDARD:
            kept = Kept(pending.record_id, NOW_MS, "silicon", "", "", b"{}")
            await self.write(
                partial(
                    calibrations.insert_calibration,
                    node=pending.node,
                    axis_id=AXIS,
                    kept=kept,
                    again_from_ms=0,
                )
            )
            return
        if pending.is_told:  # by an earlier gateway, to an officer: that word stays
            run = await self._run("1")
            again = partial(
                rejudgements.save_now,
                run_id=run.run_id,
                record_id=pending.record_id,
                is_calibrated=True,
                changed=None,
            )
            await self.write(again)
            return
        newest = await self.read(partial(calibrations.read_newest, node=pending.node, axis_id=AXIS))
        is_calibrated = newest is not None
        verdict = "inconclusive"
        if pending.node not in NODES:  # of the time before: its alerts are made
            verdict, is_calibrated = "clear", True
        elif is_calibrated:
            verdict = "alarm" if is_alarm(reading.seq) else "clear"
        judgement = self._judgement(
            pending.record_id,
            pending.node,
            reading,
            verdict,
            "listed" if is_calibrated else "not_calibrated",
        )
        is_new = await self.write(partial(records.insert_judgement, judgement=judgement))
        if is_new:
            self._say("alert", judgement.alert_id, judgement.alert_body)

    def _judgement(
        self, record_id: int, node: str, reading: wire.Reading, verdict: str, reason_id: str
    ) -> Judgement:
        told = {"verdict": verdict, "reason_id": reason_id, "library_version": "1", "hits": []}
        explanation = msgspec.json.encode(told | {"calibration": {"state": "valid"}})
        alert_id = alert_body = None
        if verdict == "alarm":
            alert_id = alerting.alert_id(POST, node, reading)
            alert_body = body_of(node, reading)
        return Judgement(record_id, verdict, reason_id, explanation, NOW_MS, alert_id, alert_body)

    async def deliver(self) -> None:
        """Have delivered what waits in the outbox."""
        waiting = partial(outbox.read_waiting, held=(), only_new=False)
        self._wanted.set()
        for _ in range(10 * RECORDS):
            if await self.read(waiting) is None:
                break
            await asyncio.sleep(LOOK_S)
        for (alert_id,) in await self.read(delivered):
            self._say("delivered", alert_id)

    async def be_well(self, number: int) -> None:
        """Keep a health of each node, and a state of the post that comes and goes."""
        for node in NODES:
            await self.write(partial(_be_well, node=node, number=number))
        text = "a broker of another" if number % 2 else None
        await self.write(partial(postures.save_posture, name="broker", text=text, now_ms=NOW_MS))

    async def count(self, amount: int) -> None:
        """Keep what was counted."""
        await self.write(
            partial(records.save_counters, counts={("record_repeated", NODES[0]): amount})
        )
        self._say("count", amount)

    async def _run(self, library_version: str) -> rejudgements.Run:
        begin = partial(
            rejudgements.begin_run,
            library_version=library_version,
            lists_version="a",
            since_ms=0,
            now_ms=NOW_MS,
            faults=(),
        )
        run: rejudgements.Run = await self.write(begin)
        return run

    async def rejudge(self) -> None:
        """Judge everything again with another library, which knows one more alarm."""
        run = await self._run("2")
        below_id = run.below_id
        if run.is_ended:
            return
        for _ in range(10 * RECORDS):
            found = await self.read(partial(rejudgements.read_next, below_id=below_id, count_max=1))
            if not found:
                break
            below_id = found[0][0]
            stored = await self.read(partial(rejudgements.read_stored, record_id=below_id))
            reading = records.read_frame(stored.frame) if stored is not None else None
            changed = None
            if isinstance(reading, wire.Reading) and reading.seq == RAISED_SEQ:
                after = self._judgement(below_id, stored.node, reading, "alarm", "listed")
                changed = Changed(stored.explanation, "clear", after)
            is_new = await self.write(
                partial(
                    rejudgements.save_step,
                    run_id=run.run_id,
                    step=Step(below_id, 1, 0),
                    changed=changed,
                )
            )
            if is_new and changed is not None:
                self._say("alert", changed.judgement.alert_id, changed.judgement.alert_body)
        await self.write(
            partial(
                rejudgements.end_run, run_id=run.run_id, step=Step(below_id, 0, 0), now_ms=NOW_MS
            )
        )

    async def evict(self) -> None:
        """Evict all that may go, in steps of a few records, and delete rows."""
        self._say("evicting")
        limits = retention.Limits(bytes_max=0, days_max=365)
        for _ in range(len(NODES) * RECORDS):
            with small_retention():
                step = await self.write(partial(retention.evict, now_ms=NOW_MS, limits=limits))
            if not step.counts and not step.deleted:
                return

    async def repeat(self) -> None:
        """Take in once more what was evicted, as from a node that heard its receipt late."""
        for node in NODES:
            frames = [frame_of(node, seq, self._seed) for seq in (2, 4)]
            before = await self.read(_count)
            await self.write(partial(_keep, node=node, frames=frames, floor=0))
            assert await self.read(_count) == before

    # ------------------------------------------------------------------------ whole stories

    async def live(self) -> None:
        """Tell the whole story."""
        first, second = NODES
        await self.open()
        await self._tell(
            self.configure,
            partial(self.take, first, 4),
            partial(self.take, second, 1),
            self.judge,
            partial(self.take, first, STANDARD_SEQ),
            self.judge,
            self.deliver,
            self.reopen,
            partial(self.count, 3),
            partial(self.be_well, 1),
            partial(self.take, second, 7),
            self.judge,
            self.deliver,
            partial(self.configure, 500_000),
            partial(self.be_well, 2),
            partial(self.take, first, self.records),
            self.judge,
            *self._end(),
            self.close,
        )

    async def pass_by(self) -> None:
        """Tell a short story with the same parts."""
        first, second = NODES
        await self.open()
        await self._tell(
            self.configure,
            partial(self.take, first, self.records),
            self.judge,
            self.deliver,
            self.reopen,
            partial(self.take, second, 2),
            self.close,
        )

    async def grow_old(self) -> None:
        """Fill the journal, then have evicted what may go, and repeated what went."""
        first, second = NODES
        await self.open()
        await self._tell(
            self.configure,
            partial(self.take, first, 5),
            partial(self.take, second, 5),
            partial(self.take, first, self.records),
            partial(self.take, second, self.records),
            partial(self.count, 1),
            self.judge,
            self.deliver,
            self.reopen,
            self.repeat,
            self.evict,
            self.repeat,
            self.close,
        )

    async def fill(self) -> None:
        """Leave a journal whose alerts nobody has delivered yet."""
        await self.open(delivers=False)
        takes = [partial(self.take, node, self.records) for node in NODES]
        await self._tell(self.configure, *takes, self.judge, self.close)

    async def renew(self) -> None:
        """Start on a damaged journal, which is set aside; deliver the alerts that were in it."""
        await self.open()
        await self._tell(self.deliver, self.close)

    async def upgrade(self) -> None:
        """Start on the journal of an older gateway, and go on with new records for a while."""
        await self.open()
        await self._tell(partial(self.take, NODES[0], 2), self.judge, self.deliver, self.close)

    async def finish(self) -> None:
        """Go on from wherever the journal is until nothing is left to do."""
        await self._tell(*self._end())

    def _end(self) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
        takes = [partial(self.take, node, self.records) for node in NODES]
        return (*takes, self.judge, self.rejudge, self.deliver)

    async def _tell(self, *steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do one step after the other; one that the disk does not take is given up, if borne."""
        for step in steps:
            try:
                await step()
            except JournalError:
                if not self.bears:
                    raise
                self.lost += 1


@contextlib.contextmanager
def small_retention() -> Iterator[None]:
    """Have retention take so few records for fresh, and so many rows for too many, as here are."""
    small = {"FRESH_RECORDS": 2, "ROWS_MAX": 8, "STEP_RECORDS": 3}
    kept = {name: getattr(retention, name) for name in small}
    for name, value in small.items():
        setattr(retention, name, value)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(retention, name, value)


def _count(connection: Any) -> int:
    ((count,),) = connection.execute("SELECT count(*) FROM records").fetchall()
    return int(count)


def delivered(connection: Any) -> list[tuple[str]]:
    """Return the alerts that the authority has receipted."""
    found: list[tuple[str]] = connection.execute(
        "SELECT alert_id FROM alerts WHERE receipt IS NOT NULL"
    ).fetchall()
    return found


def _be_born(connection: Any, node: str, number: int) -> None:
    birth = wire.Birth(
        *(BOOT, 1_000, NOW_MS, messages.TIME_GATEWAY, JOURNAL, 1, 1, "scripted 1", "unix", 0),
        *("instrument", str(number), AXIS, 64, 785_000, 8_000, bytes(8), 65_535),
    )
    records.save_birth(connection, node, birth, wire.encode(birth), NOW_MS)
    records.raise_floor(connection, node, JOURNAL, 1)
    learn_boot(connection, node, stamp_of(birth), NOW_MS)


def _be_well(connection: Any, node: str, number: int) -> None:
    health = wire.Health(
        *(BOOT, 60_000 * number, NOW_MS, messages.TIME_GATEWAY, 5_000, None, 100_000, JOURNAL),
        *(1, 1, 4_096, 0, 0, 0, 0, 0, 0, ""),
    )
    records.save_health(connection, node, wire.encode(health), NOW_MS)
    learn_boot(connection, node, stamp_of(health), NOW_MS)


def _keep(connection: Any, node: str, frames: list[bytes], floor: int) -> Ledger:
    """Write one batch as the committer does; return the ledger as of before it."""
    if floor:
        records.save_floor(connection, node, JOURNAL, floor)
    ledger = records.read_ledger(connection, node, JOURNAL)
    for frame in frames:
        record = wire.decode(frame)
        assert isinstance(record, wire.Reading | wire.Event)
        is_new = records.insert_record(connection, node, record, frame, NOW_MS)
        if not is_new:
            assert records.read_is_same(connection, node, record, frame)
            continue
        learn_boot(connection, node, stamp_of(record), None)
        if isinstance(record, wire.Reading) and record.role == messages.ROLE_DARK:
            save_dark(connection, node, record, NOW_MS)
    return ledger
