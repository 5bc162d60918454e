"""What the gateway knows of its nodes, and what it tells them: receipts, time, config, commands."""

import secrets
from collections.abc import Callable
from functools import partial

from gateway import wire
from gateway.fleet.outgoing import Outgoing
from gateway.journal import records
from gateway.journal.store import Journal
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.settings import NodeSettings, Settings
from protocol import messages
from protocol.delivery import Ledger

COMMAND_LIFE_MS = 60_000  # a node that was away longer announces itself anyway


def wanted_config(node: NodeSettings) -> wire.Config:
    """Return the config that the settings ask for, with version 1 as a placeholder."""
    return wire.Config(
        version=1,
        integration_us=node.integration_ms * 1_000,
        scans=node.scans,
        period_s=node.period_s,
        health_s=node.health_s,
        window=node.window,
        resend_ms=node.resend_ms,
    )


class Roster:
    """The ledgers of all journals, and the words to the nodes.

    Args:
        now_ms: the gateway's wall clock, Unix milliseconds.
    """

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        outgoing: Outgoing,
        *,
        now_ms: Callable[[], int],
        counters: Counters,
        log: Log,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._outgoing = outgoing
        self._now_ms = now_ms
        self._counters = counters
        self._log = log.bind(part="fleet")
        self._ledgers: dict[tuple[str, bytes], Ledger] = {}
        self._current: dict[str, bytes] = {}  # the journal each node keeps now
        self._boots: dict[str, bytes] = {}
        self._configs: dict[str, wire.Config] = {}

    async def load(self) -> None:
        """Rebuild what is known from the journal, and settle each node's config."""
        self._ledgers = records.read_ledgers(self._journal)
        for node, frame in self._journal.read(
            "SELECT node, birth FROM nodes WHERE birth IS NOT NULL"
        ):
            birth = wire.decode(frame)
            if isinstance(birth, wire.Birth):
                self._current[node] = birth.journal_id
                self._boots[node] = birth.boot_id
        for settings in self._settings.nodes:
            wanted = wanted_config(settings)
            self._configs[settings.id] = await self._journal.write(
                partial(records.save_config, node=settings.id, wanted=wanted)
            )

    def announce(self) -> None:
        """Tell every node that the gateway is here: config, receipt, and time without an echo.

        A time without an echo makes a node send its window again (SPEC.md 7): what the broker
        took while no gateway listened is lost.
        """
        for node in self._settings.nodes:
            self._outgoing.put(node.id, "config", self._configs[node.id])
            if node.id in self._current:
                self.send_receipt(node.id, self._current[node.id])
            if node.id in self._boots:
                self.send_time(node.id, self._boots[node.id], None)

    def send_receipt(self, node: str, journal_id: bytes) -> None:
        """Tell a node what is committed of its journal."""
        ledger = self._ledgers.setdefault((node, journal_id), Ledger())
        self._outgoing.put(node, "receipt", wire.Receipt(journal_id, ledger.seq, ledger.beyond()))

    def send_time(self, node: str, boot_id: bytes, echo_uptime_ms: int | None) -> None:
        """Tell a node the time; the echo lets it measure the round trip."""
        self._outgoing.put(
            node,
            "time",
            wire.Time(self._now_ms(), messages.TIME_GATEWAY, boot_id, echo_uptime_ms),
        )

    def ask_birth(self, node: str) -> None:
        """Ask a node to announce itself again: one of its readings has an axis nobody knows."""
        self._outgoing.put(
            node,
            "command",
            wire.Command(
                secrets.token_bytes(8),
                messages.ACTION_BIRTH,
                self._now_ms() + COMMAND_LIFE_MS,
                b"",
            ),
        )

    def committed(self, node: str, journal_id: bytes, seq: int) -> None:
        """Note a committed record in its ledger."""
        self._ledgers.setdefault((node, journal_id), Ledger()).commit(seq)

    def seq(self, node: str, journal_id: bytes) -> int:
        """Return up to where a journal is complete."""
        ledger = self._ledgers.get((node, journal_id))
        return ledger.seq if ledger else 0

    def born(self, node: str, birth: wire.Birth, *, retained: bool) -> None:
        """Act on a node's birth: its journal's floor, its receipt, its time."""
        self._current[node] = birth.journal_id
        self._boots[node] = birth.boot_id
        self._raise_floor(node, birth.journal_id, birth.oldest_seq)
        self.send_receipt(node, birth.journal_id)
        self.send_time(node, birth.boot_id, None if retained else birth.uptime_ms)

    def heard(self, node: str, health: wire.Health, *, retained: bool) -> None:
        """Act on a node's health: its journal's floor, its time."""
        self._raise_floor(node, health.journal_id, health.oldest_seq)
        self.send_time(node, health.boot_id, None if retained else health.uptime_ms)

    def _raise_floor(self, node: str, journal_id: bytes, oldest_seq: int) -> None:
        known = (node, journal_id) in self._ledgers
        ledger = self._ledgers.setdefault((node, journal_id), Ledger())
        before = ledger.seq
        lost = ledger.raise_floor(oldest_seq)
        if known and lost:
            self._counters.count("record_lost", node, lost)
            self._log.error(
                "record_lost",
                node=node,
                count=lost,
                text=f"node {node!r} no longer has {lost} of the records {before + 1} to"
                f" {oldest_seq - 1}: its flash was full or damaged; look at its health",
            )
