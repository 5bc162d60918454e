"""An instrument that speaks when something happens: scanner, document reader, scale.

One task for each. It opens the port, asks what hangs on it and puts each item into the journal as
an `event` record. An InstrumentError ends the task: the supervisor says what it was and starts it
again. After a Misread the officer is asked to read again, and the port stays open; an ItemRefused,
for which a setting is at fault, is a fault besides. Both go with the next item, or when nothing
came for POLL_MS. Nothing of an item is logged or shown: a document is somebody's, and a log is read
by many.

Rules of the file
- What a person at the lane can mend while the reader works (a scale with too much on it) is the
  driver's `trouble`: a fault that stands as long as the driver says so, and the task goes on.
- A reader with `obey` takes orders, one at a time, and answers each once, however the task ends.
"""

from node import limits
from node.errors import ItemRefused, Misread, NodeError
from protocol.messages import OUTCOME_DONE, OUTCOME_FAILED, Event

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Item, Node, Reader, Report, Scale


class Attend:
    """One reader of a node.

    Args:
        node: what the parts share.
        name: of the reader; its faults and its task are called so.
        driver: of the reader.
    Attributes:
        takes_orders: it is a scale.
    """

    def __init__(self, node: "Node", name: str, driver: "Reader") -> None:
        self._node = node
        self._driver = driver
        self.name = name
        self._refused_ms: int | None = None  # uptime when an item was refused; None: all is well
        self.takes_orders = hasattr(driver, "obey")
        # An order must not wait until something is put on the scale.
        self._wait_ms = limits.ORDER_LOOK_MS if self.takes_orders else limits.POLL_MS
        self._order: tuple[bytes, int] | None = None  # who asked, and for which action
        self._trouble = ""
        self._is_ready = False

    def order(self, command_id: bytes, action: int) -> str:
        """Have the reader do something; `Commands.finish` is called when it has.

        Returns:
            Why it is refused, empty: it will be done.
        """
        if not self._is_ready:
            return self._node.signals.standing(self.name) or "%s is not ready yet" % self.name
        if self._order is not None:
            return "%s is at another order; wait for its answer" % self.name
        self._order = (command_id, action)
        return ""

    async def run(self, report: "Report") -> None:
        """Take what comes for as long as the reader works.

        Raises:
            InstrumentError: it does not.
            FlashRefused: an item could not be stored.
        """
        driver, signals = self._driver, self._node.signals
        try:
            await driver.open()
            found = await driver.identify()
            self._trouble = ""
            signals.clear(self.name)
            self._node.board.log("%s: %s" % (self.name, found or "listens"))
            self._is_ready = True
            while True:
                report()
                if self._order is not None:
                    await self._obey(driver)  # type: ignore[arg-type]  # only a scale has orders
                try:
                    item = await driver.next(self._wait_ms)
                except Misread as error:
                    self._refuse(error)
                    continue
                self._settle(item is None)
                if item is not None:
                    self._store(item)
                self._tell(getattr(driver, "trouble", ""))
        except NodeError as error:
            self._finish(OUTCOME_FAILED, str(error))
            raise
        finally:
            self._is_ready = False
            self._finish(OUTCOME_FAILED, "%s was stopped before it had answered" % self.name)
            await driver.close()

    def _refuse(self, error: Misread) -> None:
        """Ask for it to be read again."""
        self._refused_ms = self._node.clock.uptime_ms()
        if isinstance(error, ItemRefused):
            self._node.signals.fault(self.name, str(error))
        self._node.signals.show("reread", ("what", self.name), ("text", str(error)))

    def _settle(self, is_quiet: bool) -> None:
        """Take that back when nothing came for long, or an item that is not of the same burst."""
        signals, before_ms = self._node.signals, self._refused_ms
        if before_ms is None:
            return
        if is_quiet or self._node.clock.uptime_ms() - before_ms >= limits.ITEM_MS_MIN:
            self._refused_ms = None
            signals.forget("reread")
            signals.clear(self.name)

    async def _obey(self, driver: "Scale") -> None:
        done, detail, item = await driver.obey(self._order[1])  # type: ignore[index]  # looked at
        if item is not None:
            detail += "; record %d" % self._store(item)
        self._finish(OUTCOME_DONE if done else OUTCOME_FAILED, detail)

    def _finish(self, outcome: int, detail: str) -> None:
        """Answer the order under way, if there is one."""
        order, self._order = self._order, None
        if order is not None:
            self._node.commands.finish(order[0], outcome, detail)

    def _tell(self, trouble: str) -> None:
        """Have what the driver says of itself shown while it holds."""
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                self._node.signals.fault(self.name, trouble)
            else:
                self._node.signals.clear(self.name)

    def _store(self, item: "Item") -> int:
        node, clock, journal = self._node, self._node.clock, self._node.journal
        event_type, symbology, content, mass_mg, stable = item
        uptime_ms = clock.uptime_ms()
        return node.store(
            Event(
                journal.journal_id,
                journal.next_seq,
                node.boot_id,
                uptime_ms,
                clock.time_ms(),
                clock.quality,
                node.inspection.of_item(uptime_ms, event_type),
                event_type,
                symbology,
                content,
                mass_mg,
                stable,
            )
        )
