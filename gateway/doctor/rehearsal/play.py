"""The rehearsal itself: what is practised, step by step, and what came of each."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import apsw
import msgspec

from gateway.doctor.finding import UntoldError
from gateway.doctor.look import Look
from gateway.doctor.rehearsal import spectra
from gateway.doctor.rehearsal.authority import StandIn
from gateway.doctor.rehearsal.ballast import Ballast, Plan, free_bytes, plan
from gateway.doctor.rehearsal.node import Node
from gateway.doctor.rehearsal.stage import (
    NODE,
    POST,
    Stage,
    folder_on,
    free_port,
    write_settings,
)
from gateway.ending import end
from gateway.errors import GatewayError
from gateway.journal.space import FREED_BYTES_MAX
from gateway.journal.store import FILE_NAME
from gateway.settings import Settings
from gateway.units import size
from protocol import messages

STEP_S_MAX: Final = 30.0  # a slow card and a busy core; the steps take a second or two
DARKS: Final = 8  # readings that need no verdict, a window full
RESERVE_BYTES: Final = (
    1_000_000  # the least that the settings allow, where no full disk is practised
)
POST_BYTES: Final = 16_000_000  # its journal with ballast, log and reserve, and some to spare
LOOK_AGAIN_S: Final = 0.05
ROOM_S_MAX: Final = 20.0  # some file systems give room back only with their next commit

START: Final = "the post starts"
WORK: Final = "readings are receipted, an alarm is delivered"
LOSE_LINK: Final = "the link is lost: an alert waits"
MEND_LINK: Final = "the link is back: it is delivered, once"
FILL: Final = "the disk is full: readings are refused"
ALERT_WHEN_FULL: Final = "the disk is full: the alert goes out"
FREE: Final = "there is room again: everything is receipted"
KILL_BROKER: Final = "the broker is killed: it comes back"
CUT_POWER: Final = "the power is cut: nothing receipted is lost"
STOP: Final = "the post stops in order"
STEPS: Final = (
    START,
    WORK,
    LOSE_LINK,
    MEND_LINK,
    FILL,
    ALERT_WHEN_FULL,
    FREE,
    KILL_BROKER,
    CUT_POWER,
    STOP,
)


class Outcome(StrEnum):
    """What came of a step."""

    ok = "ok"
    failed = "failed"
    left_out = "left out"


class Step(msgspec.Struct, frozen=True):
    """One step of the rehearsal.

    Attributes:
        name: what was practised.
        took_s: how long it took.
        text: what was seen, or why it failed.
    """

    name: str
    outcome: Outcome
    took_s: float
    text: str


class RehearsalError(Exception):
    """A step did not come out as it has to; the text says what was seen instead."""


@dataclass
class Play:
    """One rehearsal.

    Args:
        settings: of the real post: whose disk and broker program are used.
        tell: called with each step when it is over.
        reserve: how the disk is made to look full.
    """

    settings: Settings
    tell: Callable[[Step], None]
    steps: list[Step] = field(default_factory=list)
    reserve: Plan = field(default_factory=Plan)

    async def run(self) -> list[Step]:
        """Practise everything; return what came of it."""
        logging.getLogger("mqtt").setLevel(logging.CRITICAL)  # of lost connections; we lose some
        disk = Path(self.settings.directory)
        if free_bytes(disk) < POST_BYTES:
            self._note_full(disk)
            return self.steps
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(folder_on(disk))
            except OSError as error:
                self._note(START, Outcome.failed, 0.0, f"no folder on the post's disk: {error}")
                return self.steps
            self.reserve = plan(free_bytes(folder), self.settings.journal.reserve_bytes)
            async with StandIn() as authority:
                await self._on_stage(folder, authority)
        return self.steps

    def _note_full(self, disk: Path) -> None:
        text = (
            f"{size(free_bytes(disk))} free on the post's disk, and a post to practise with takes"
            f" {size(POST_BYTES)}; free space there"
        )
        self._note(START, Outcome.left_out, 0.0, text)

    async def _on_stage(self, folder: Path, authority: StandIn) -> None:
        try:
            port = free_port()
            path = write_settings(
                folder,
                port=port,
                program=self.settings.broker.program,
                url=authority.url,
                reserve_bytes=self.reserve.reserve_bytes or RESERVE_BYTES,
            )
        except OSError as error:
            self._note(START, Outcome.failed, 0.0, str(error))
            return
        scene = _Scene(folder, Stage(path), Node(POST, NODE, port), authority, self.reserve)
        try:
            if await self._step(START, scene.start):
                await self._step(WORK, scene.work)
                await self._step(LOSE_LINK, scene.lose_link)
                await self._step(MEND_LINK, scene.mend_link)
                if self.reserve.fault:
                    self._note(FILL, Outcome.left_out, 0.0, self.reserve.fault)
                elif await self._step(FILL, scene.fill):
                    await self._step(ALERT_WHEN_FULL, scene.alert_when_full)
                    await self._step(FREE, scene.free)
                await scene.recover()
                await self._step(KILL_BROKER, scene.kill_broker)
                await self._step(CUT_POWER, scene.cut_power)
        finally:
            scene.ballast.drop()
            await scene.leave()
            await self._step(STOP, scene.stop)

    async def _step(self, name: str, act: Callable[[], Awaitable[str]]) -> bool:
        """Do one step within its time; note what came of it and say whether it came out well."""
        began_s = time.monotonic()
        outcome = Outcome.failed
        try:
            async with asyncio.timeout(STEP_S_MAX):
                text = await act()
            outcome = Outcome.ok
        except TimeoutError:
            text = f"did not come about within {STEP_S_MAX:g} s"
        except (RehearsalError, UntoldError, GatewayError, EOFError, OSError, apsw.Error) as error:
            text = str(error) or type(error).__name__
        free = free_bytes(Path(self.settings.directory))
        if outcome is Outcome.failed and free < POST_BYTES:
            text += f"; only {size(free)} are free on the post's disk"
        self._note(name, outcome, time.monotonic() - began_s, text)
        return outcome is Outcome.ok

    def _note(self, name: str, outcome: Outcome, took_s: float, text: str) -> None:
        step = Step(name, outcome, round(took_s, 2), text)
        self.steps.append(step)
        self.tell(step)


class _Scene:
    """What the steps act upon."""

    def __init__(
        self, folder: Path, stage: Stage, node: Node, authority: StandIn, reserve: Plan
    ) -> None:
        self._state = folder / "state"
        self._stage = stage
        self._node = node
        self._authority = authority
        self.ballast = Ballast(folder, reserve.ballast_bytes)
        self._reserve = reserve
        self._alarms: list[str] = []  # identities of all alerts that there have to be
        self._waiting = ""  # the one that waits for the link
        self._talking: asyncio.Task[None] | None = None
        self._readings: list[int] = []  # those that the full disk refuses

    # ------------------------------------------------------------------------------------- steps

    async def start(self) -> str:
        await self._stage.start()
        await self._stage.heard("broker_connected")
        self._talking = asyncio.create_task(self._node.run(), name="rehearsal-node")
        seq = self._node.measure(spectra.standard(), messages.ROLE_STANDARD)
        await self._node.covered(seq)
        await self._stage.heard("calibration_made")
        return "gateway, broker and node speak; the node is calibrated"

    async def work(self) -> str:
        await self._measure_darks()
        alert_id = await self._measure_alarm()
        await self._authority.taken.wait(lambda each: each == alert_id)
        return f"{DARKS} readings, 1 alert"

    async def lose_link(self) -> str:
        await self._authority.cut()
        since = len(self._stage.log.items)
        self._waiting = await self._measure_alarm()
        await self._stage.heard("alert_delivery_failed", since)
        with self._journal() as journal:
            if journal.one("SELECT count(*) FROM alerts WHERE receipt IS NULL") != 1:
                raise RehearsalError("the alert does not wait in the outbox")
        return "1 alert waits, its attempts fail"

    async def mend_link(self) -> str:
        await self._authority.mend()
        await self._authority.taken.wait(lambda each: each == self._waiting)
        await self._none_waits()
        self._check_once()
        return "delivered by itself"

    async def fill(self) -> str:
        await self._authority.cut()
        self._waiting = await self._measure_alarm()
        self.ballast.take()
        free = free_bytes(self._state)
        if free >= self._reserve.reserve_bytes:
            raise RehearsalError("other programs gave more room back than was taken; try again")
        since = len(self._stage.log.items)
        self._readings = [self._node.measure(spectra.dark(), messages.ROLE_DARK) for _ in range(3)]
        await self._stage.heard("disk_unwell", since)
        return f"{size(free)} free, below a reserve of {size(self._reserve.reserve_bytes)}"

    async def alert_when_full(self) -> str:
        await self._authority.mend()
        await self._authority.taken.wait(lambda each: each == self._waiting)
        taken = [seq for seq in self._readings if seq in self._node.receipted.items]
        if taken:
            raise RehearsalError(f"{len(taken)} readings were receipted on a full disk")
        return f"1 alert delivered, {len(self._readings)} readings stay on the node"

    async def free(self) -> str:
        since = len(self._stage.log.items)
        self.ballast.drop()
        try:
            async with asyncio.timeout(ROOM_S_MAX):
                await self._stage.heard("disk_well", since)
        except TimeoutError:
            if free_bytes(self._state) < self._reserve.reserve_bytes + FREED_BYTES_MAX:
                raise RehearsalError("other programs took the room meanwhile; try again") from None
            await self._stage.heard("disk_well", since)
        for seq in self._readings:
            await self._node.covered(seq)
        await self._none_waits()
        self._check_once()
        return f"{len(self._readings)} readings, by themselves"

    async def recover(self) -> None:
        """Take back what a failed step has left, so that the next ones are practised fairly."""
        self.ballast.drop()
        if not self._authority.is_there:
            await self._authority.mend()

    async def kill_broker(self) -> str:
        pid = int((self._state / "mosquitto.pid").read_text())
        since = len(self._stage.log.items)
        os.kill(pid, signal.SIGKILL)
        await self._stage.heard("broker_connected", since)
        await self._measure_darks()
        return f"{DARKS} readings receipted behind it"

    async def cut_power(self) -> str:
        await self._stage.kill()
        since = len(self._stage.log.items)
        await self._stage.start()
        await self._stage.heard("broker_connected", since)
        await self._measure_darks()
        receipted = set(self._node.receipted.items)
        with self._journal() as journal:
            kept = {seq for (seq,) in journal.rows("SELECT seq FROM records")}
        if receipted - kept:
            raise RehearsalError(
                f"{len(receipted - kept)} receipted readings are not in the journal"
            )
        await self._none_waits()
        self._check_once()
        return f"{len(receipted)} receipted readings are in the journal"

    async def leave(self) -> None:
        """Take the node off."""
        if self._talking is not None:
            await end(self._talking)

    async def stop(self) -> str:
        status = await self._stage.stop()
        if status != 0:
            raise RehearsalError(f"the gateway ended with status {status}")
        return "nothing is left behind"

    # ------------------------------------------------------------------------------------- parts

    async def _measure_darks(self) -> None:
        seqs = [self._node.measure(spectra.dark(), messages.ROLE_DARK) for _ in range(DARKS)]
        for seq in seqs:
            await self._node.covered(seq)

    async def _measure_alarm(self) -> str:
        """Have something listed measured; return the identity of its alert, made and kept."""
        since = len(self._stage.log.items)
        seq = self._node.measure(spectra.listed())
        await self._node.covered(seq)
        line = await self._stage.heard("verdict", since, seq=seq)
        if line.get("verdict") != "alarm":
            found = f"{line.get('verdict')} ({line.get('reason')})"
            raise RehearsalError(f"{spectra.LISTED} was judged {found}, no alarm")
        alert_id = f"{POST}.{NODE}.{line.get('journal')}.{seq}"
        self._alarms.append(alert_id)
        return alert_id

    async def _none_waits(self) -> None:
        """Wait until the journal says that no alert waits."""
        while True:
            with self._journal() as journal:
                if not journal.one("SELECT count(*) FROM alerts WHERE receipt IS NULL"):
                    return
            await asyncio.sleep(LOOK_AGAIN_S)

    def _check_once(self) -> None:
        counts = self._authority.counts
        wrong = {each: counts[each] for each in self._alarms if counts[each] != 1}
        if wrong or set(counts) != set(self._alarms):
            raise RehearsalError(
                f"{len(self._alarms)} alerts were made, the authority took {dict(counts)}"
            )

    @contextlib.contextmanager
    def _journal(self) -> Iterator[Look]:
        journal = Look(self._state / FILE_NAME)
        try:
            yield journal
        finally:
            journal.close()
