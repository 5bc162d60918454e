"""What a node does at command (SPEC 8.5 to 8.9).

What takes its time, blinking and restarting, is done by a task of its own; everything else at once.
"""

import asyncio

from node import limits
from node.commands import capture_role
from node.waiting import within_ms
from protocol.messages import (
    ACTION_BIRTH,
    ACTION_CAPTURE,
    ACTION_IDENTIFY,
    ACTION_JOURNAL_REPORT,
    ACTION_LASER_OFF,
    ACTION_LOG_TAIL,
    ACTION_REBOOT,
    ACTION_TARE,
    ACTION_WEIGH,
    ACTION_ZERO,
    OUTCOME_DONE,
    OUTCOME_FAILED,
    OUTCOME_REFUSED,
)

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Action, Answer, Command, LogRing, Node, Report

_DONE = (OUTCOME_DONE, "")
_LACKS = (OUTCOME_REFUSED, "this node has no spectrometer; ask another one")
_REPORT_MS = 5_000
_LOOK_MS = 50  # between looks at whether the answer to `reboot` has gone


class Actions:
    """The actions of one node.

    Args:
        node: what the parts share: board, signals, storage, uplink, acquire.
        log: the LogRing.
    """

    def __init__(self, node: "Node", log: "LogRing") -> None:
        self._node = node
        self._log = log
        self._wake = asyncio.Event()
        self._blinks = 0
        self._is_rebooting = False

    def known(self, has_instrument: bool = True) -> "dict[int, Action]":
        """Return the functions by their numbers.

        Args:
            has_instrument: a spectrometer is meant to hang on the node, whether it answers or not.
        """
        actions: dict[int, Action] = {
            ACTION_BIRTH: self._birth,
            ACTION_IDENTIFY: self._identify,
            ACTION_REBOOT: self._reboot,
            ACTION_JOURNAL_REPORT: self._report_journal,
            ACTION_LOG_TAIL: self._tail_log,
            ACTION_TARE: self._order_scale,
            ACTION_ZERO: self._order_scale,
            ACTION_WEIGH: self._order_scale,
            ACTION_CAPTURE: self._capture,
            ACTION_LASER_OFF: self._laser_off,
        }
        if not has_instrument:  # a bar could not be lifted: such a node has no button
            actions[ACTION_CAPTURE] = actions[ACTION_LASER_OFF] = lambda _command: _LACKS
        return actions

    def _birth(self, _command: "Command") -> "Answer":
        self._node.uplink.want("birth")
        return _DONE

    def _capture(self, command: "Command") -> "Answer | None":
        role = capture_role(command.argument)
        if role is None:
            shown = command.argument[:8].hex()
            return OUTCOME_REFUSED, "argument %s of capture is not known here" % shown
        reason = self._node.acquire.trigger(command.command_id, role)
        return (OUTCOME_REFUSED, reason) if reason else None

    def _laser_off(self, command: "Command") -> "Answer | None":
        reason = self._node.acquire.darken(command.command_id)
        return (OUTCOME_FAILED, reason) if reason else None

    def _order_scale(self, command: "Command") -> "Answer | None":
        for reader in self._node.readers.values():
            if reader.takes_orders:
                reason = reader.order(command.command_id, command.action)
                return (OUTCOME_REFUSED, reason) if reason else None
        return OUTCOME_REFUSED, "no scale hangs on this node; readers of node.json name none"

    def _identify(self, _command: "Command") -> "Answer":
        self._blinks = limits.IDENTIFY_BLINKS
        self._node.signals.show("identify", ("seconds", limits.IDENTIFY_MS // 1000))
        self._wake.set()
        return _DONE

    def _reboot(self, _command: "Command") -> "Answer":
        self._is_rebooting = True
        self._wake.set()
        return OUTCOME_DONE, "restarting"

    def _report_journal(self, _command: "Command") -> "Answer":
        storage = self._node.storage
        text = "%s; flash %s, %d erasures" % (
            storage.journal.report(),
            storage.flash.name or "folder",
            storage.flash.erase_count,
        )
        return OUTCOME_DONE, "", text.encode()

    def _tail_log(self, _command: "Command") -> "Answer":
        self._node.signals.remind(self._log.tail())
        return OUTCOME_DONE, "", self._log.tail()

    async def run(self, report: "Report") -> None:
        """Blink and restart when it is ordered; `report` says that the task lives."""
        while not self._is_rebooting:
            report()
            if self._blinks:
                await self._blink()
            else:
                await self._wait()
        await self._leave()

    async def _wait(self) -> None:
        """Wait for something to do, but not so long that the task seems to hang."""
        self._wake.clear()
        try:
            await within_ms(self._wake.wait(), _REPORT_MS)
        except asyncio.TimeoutError:
            return

    async def _blink(self) -> None:
        """Blink once; what comes meanwhile is looked at before the next."""
        blink, half_ms = self._node.board.blink, limits.IDENTIFY_MS // limits.IDENTIFY_BLINKS // 2
        self._blinks -= 1
        try:
            blink(True)
            await asyncio.sleep_ms(half_ms)
        finally:
            blink(False)
        await asyncio.sleep_ms(half_ms)
        if not self._blinks:
            self._node.signals.again()

    async def _leave(self) -> None:
        """Have the node stop once the answer is sent; after REBOOT_MS_MAX it goes all the same."""
        for _ in range(limits.REBOOT_MS_MAX // _LOOK_MS):
            if not self._node.uplink.replies:
                break
            await asyncio.sleep_ms(_LOOK_MS)
        self._node.restart(self._node.is_safe)
