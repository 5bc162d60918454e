"""The heartbeat: feeds the watchdog while every task reports, and looks after what goes by uptime.

Rules of the file
- The watchdog is fed from here and, during long steps, by `feed` called from within them; both feed
  only when no task is silent.
- A task that hangs is named in the file `crash` before the watchdog bites; one that comes back in
  time costs nothing but that.
"""

import asyncio

from node import limits, safe
from node.calendar import Calendar
from protocol.messages import TIME_GATEWAY

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Entry, Node


class Pulse:
    """The heartbeat of a node.

    Args:
        node: what the parts share.
    Attributes:
        entry: of `run` at the supervisor.
    """

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._calendar = Calendar(node.board.folder + "/time", node.board.set_wall_time)
        self._silent: list[str] = []
        self._is_proven = False
        self.entry: Entry | None = None

    def feed(self) -> None:
        """Feed the watchdog, unless a task hangs."""
        node = self._node
        silent = node.supervisor.silent()
        if not silent:
            node.board.feed_watchdog()
        elif silent != self._silent:
            names = ", ".join(silent)
            node.board.log("the watchdog is not fed: no report of %s" % names)
            node.boot.hung(names, "hangs: reported nothing for too long")
        self._silent = silent

    def tell_start(self) -> None:
        """Tell what the start before this one came to."""
        node, boot = self._node, self._node.boot
        if node.has_instrument:
            node.acquire.bar.tell()
        if boot.left:
            node.board.log("the start before this one left: %s" % boot.left)
        if node.is_safe:
            text = "nothing is measured in safe mode, nor is the laser known to be off: look at it"
            node.signals.fault("instrument", text)
            node.signals.fault("node", safe.text(boot))
            node.signals.show("safe", ("crashes", boot.crash_count))
        elif boot.is_crash:
            node.signals.fault("node", safe.crash_text(boot))

    async def run(self) -> None:
        """Beat."""
        self._calendar.restore()
        while True:
            if self.entry is not None:
                self.entry.report()
            self.feed()
            self._node.board.beat()
            self._follow_time()
            self._node.tuning.follow()
            self._node.storage.follow()
            self._node.hearing.follow()
            self._follow_start()
            await asyncio.sleep_ms(limits.HEARTBEAT_MS)

    def _follow_time(self) -> None:
        clock = self._node.clock
        try:
            is_sure = clock.quality >= TIME_GATEWAY
            self._calendar.follow(clock.uptime_ms(), clock.time_ms() if is_sure else None)
        except OSError as error:
            self._node.board.log("the time cannot be saved: %s; check the flash" % error)

    def _follow_start(self) -> None:
        """End a row of crashes when this start lasts, and safe mode when it has lasted."""
        node = self._node
        uptime_ms = node.clock.uptime_ms()
        if node.is_safe:
            if uptime_ms >= limits.SAFE_MS:
                node.restart(is_trial=True)
        elif uptime_ms >= limits.PROVEN_MS and not self._is_proven:
            self._is_proven = True
            node.boot.proven()
            node.signals.clear("node")
