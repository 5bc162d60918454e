"""What the gateway knows of its nodes, and what it tells them: receipts, time, config, commands."""

import contextlib
import secrets
from collections.abc import Callable, Iterable
from functools import partial

import apsw

from gateway import wire
from gateway.errors import DiskError, JournalError
from gateway.fleet.confirmation import Confirmations
from gateway.fleet.outgoing import Outgoing
from gateway.fleet.timekeeping import time_quality
from gateway.journal import records
from gateway.journal.condition import DiskState
from gateway.journal.store import Journal
from gateway.settings import NodeSettings, Settings
from protocol import limits, messages
from protocol.delivery import Ledger

COMMAND_LIFE_MS = 60_000  # a node that was away longer announces itself anyway
# Ledgers kept in memory per node. A node has one journal; others are what is left of earlier ones,
# or of a node that invents them. The ledger of a forgotten one is rebuilt when it is needed.
LEDGERS_PER_NODE_MAX = 4

JournalKey = tuple[str, bytes]  # node, journal_id
EXPOSURES = {"manual": messages.EXPOSURE_MANUAL, "automatic": messages.EXPOSURE_AUTOMATIC}
_ANSWER = b"answer"  # subject of a time that answers a birth or a health


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
        exposure_mode=EXPOSURES[node.exposure],
    )


class Roster:
    """The nodes' ledgers as far as they are in use, and the words to the nodes.

    A ledger is only moved on by what is committed; whoever calls answers for that.

    Args:
        settings: of the post.
        journal: open.
        outgoing: takes the words.
        now_ms: the gateway's wall clock, Unix milliseconds.
        quality: returns what such a time is worth.
    """

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        outgoing: Outgoing,
        *,
        now_ms: Callable[[], int],
        quality: Callable[[int], int] = time_quality,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._outgoing = outgoing
        self._now_ms = now_ms
        self._quality = quality
        # Per node, the least recently used first.
        self._ledgers: dict[str, dict[bytes, Ledger]] = {}
        self._current: dict[str, bytes] = {}  # the journal each node keeps now
        self._boots: dict[str, bytes] = {}
        self._births: dict[str, wire.Birth] = {}  # as the journal had them at the start
        self._configs: dict[str, wire.Config] = {}
        self._is_settled = False  # the journal holds the configs
        self._confirmations = Confirmations()
        self._asked: set[str] = set()  # nodes whose birth is asked for

    async def load(self) -> None:
        """Read what is known of the nodes, and settle each node's config.

        On a disk that takes nothing each node keeps the config that it was sent last.

        Raises:
            JournalError: the journal cannot be read, and its disk is not the reason.
        """
        try:
            await self._load()
        except JournalError:
            if self._journal.condition.state is DiskState.well:
                raise  # else: nothing is known until nodes speak; the configs follow with `resume`

    async def _load(self) -> None:
        births = await self._journal.read(records.read_births)
        self._births = {
            node.id: births[node.id] for node in self._settings.nodes if node.id in births
        }
        for node, birth in self._births.items():
            self._boots[node] = birth.boot_id
            self._current[node] = birth.journal_id
        ledgers = await self._journal.read(partial(_read_ledgers, keys=list(self._current.items())))
        for key, ledger in ledgers.items():
            self.adopt(key, ledger)
        try:
            await self._settle_configs()
        except DiskError:
            self._configs = await self._journal.read(_read_configs)

    async def _settle_configs(self) -> None:
        """Give every node its config by the settings, in one commit."""
        confirmed = {node: birth.config_version for node, birth in self._births.items()}
        settle = partial(
            _save_configs,
            nodes=self._settings.nodes,
            confirmed=confirmed,
            now_s=self._now_ms() // 1_000,
        )
        self._configs = await self._journal.write(settle)
        self._is_settled = True

    async def announce(self) -> None:
        """Tell every node that the gateway is here: config, receipt, and time without an echo.

        A time without an echo makes a node send its window again (SPEC.md 7.5): what the broker
        took while no gateway listened is lost.
        """
        with contextlib.suppress(JournalError):  # a full disk must not keep us from the nodes
            await self._journal.write(records.forget_presence)
        self._asked.clear()
        for settings in self._settings.nodes:
            node = settings.id
            if node in self._configs:
                self._outgoing.put(node, "config", self._configs[node])
            if node in self._current:
                self.send_receipts(self.at_hand([(node, self._current[node])]))
            if node in self._boots:
                self._send_time(node, self._boots[node], None)

    def resume_node(self, node: str) -> None:
        """Have one node send its window again at once, because it is heard again."""
        if node in self._boots:
            self._send_time(node, self._boots[node], None)

    async def resume(self) -> None:
        """Have every node send its window again at once, because the disk takes readings again.

        Raises:
            JournalError: the configs could not be settled.
        """
        for node, boot_id in self._boots.items():
            self._send_time(node, boot_id, None)
        if not self._is_settled:
            before = self._configs
            await self._settle_configs()
            for node, config in self._configs.items():
                if before.get(node) != config:
                    self._outgoing.put(node, "config", config)

    async def correct_time(self, step_ms: int) -> None:
        """Tell every node the time, because the gateway's clock was set.

        A birth that is asked for says, by its arrival, since when the boot runs.

        Args:
            step_ms: by how much it was set.

        Raises:
            JournalError: what the journal knows by the old clock cannot be corrected.
        """
        move = partial(records.move_presence, step_ms=step_ms, now_ms=self._now_ms())
        try:
            await self._journal.write(move)
        finally:  # a full disk must not keep the time from the nodes
            for node, boot_id in self._boots.items():
                self._send_time(node, boot_id, None)
                self._asked.discard(node)
                self.ask_birth(node)

    # ------------------------------------------------------------------------------------- ledgers

    def known(self, keys: Iterable[JournalKey]) -> dict[JournalKey, int]:
        """Return, of those journals whose ledger is at hand, up to where each is complete."""
        return {
            (node, journal_id): self._ledgers[node][journal_id].seq
            for node, journal_id in keys
            if journal_id in self._ledgers.get(node, {})
        }

    def at_hand(self, keys: Iterable[JournalKey]) -> list[JournalKey]:
        """Return those journals whose ledger is at hand."""
        return [key for key in keys if key[1] in self._ledgers.get(key[0], {})]

    def holes(self) -> dict[str, int]:
        """Return how many records are missing in the journal that each node keeps now."""
        return {
            node: self._ledgers[node][journal_id].missing()
            for node, journal_id in self._current.items()
            if journal_id in self._ledgers.get(node, {})
        }

    def missing(self, key: JournalKey) -> tuple[int, int]:
        """Return up to where a journal is complete, and how many are missing above that."""
        node, journal_id = key
        ledger = self._ledgers[node][journal_id]
        return ledger.seq, ledger.missing()

    def adopt(self, key: JournalKey, ledger: Ledger) -> None:
        """Take a ledger that was rebuilt from the journal."""
        node, journal_id = key
        self._ledgers.setdefault(node, {})[journal_id] = ledger

    def committed(self, node: str, journal_id: bytes, seq: int) -> None:
        """Note a committed record in its ledger, which is at hand."""
        self._ledgers[node][journal_id].commit(seq)

    def send_receipts(self, keys: Iterable[JournalKey]) -> None:
        """Tell nodes what is committed of these journals, whose ledgers are at hand.

        A topic holds one receipt: that of the journal which the node keeps now comes last.
        """
        wanted = sorted(keys, key=lambda key: self._current.get(key[0]) == key[1])
        for node, journal_id in wanted:
            ledgers = self._ledgers[node]
            ledger = ledgers[journal_id] = ledgers.pop(journal_id)  # now the most recently used
            self._outgoing.put(
                node, "receipt", wire.Receipt(journal_id, ledger.seq, ledger.beyond())
            )
        for node in {node for node, _ in wanted}:
            ledgers = self._ledgers[node]
            while len(ledgers) > LEDGERS_PER_NODE_MAX:
                del ledgers[next(iter(ledgers))]

    # --------------------------------------------------------------------------------------- nodes

    def born(self, node: str, birth: wire.Birth, *, retained: bool) -> None:
        """Act on a committed birth: floor, time; the receipt is the caller's to send."""
        self.greet(node, birth, retained=retained)
        self._ledgers[node][birth.journal_id].raise_floor(birth.oldest_seq)

    def heard(self, node: str, health: wire.Health, *, retained: bool) -> None:
        """Act on a committed health: floor, time; the receipt is the caller's to send."""
        self.greet(node, health, retained=retained)
        self._ledgers[node][health.journal_id].raise_floor(health.oldest_seq)

    def greet(self, node: str, word: wire.Birth | wire.Health, *, retained: bool) -> None:
        """Answer a birth or health as far as nothing has to be committed for it: by the time."""
        if isinstance(word, wire.Birth):
            self._current[node] = word.journal_id
            self._boots[node] = word.boot_id
            self._asked.discard(node)
            if not retained and node in self._configs:
                sent = self._configs[node].version
                self._confirmations.born(node, sent, word.config_version, self._now_ms())
        else:
            self._current.setdefault(node, word.journal_id)
            self._boots.setdefault(node, word.boot_id)
        self._send_time(node, word.boot_id, None if retained else word.uptime_ms)

    def refused_config(self, node: str) -> tuple[int, int] | None:
        """Return the config version sent to a node and the one it keeps instead, each time once."""
        if node not in self._configs:
            return None
        sent = self._configs[node].version
        kept = self._confirmations.refused(node, sent, self._now_ms())
        return None if kept is None else (sent, kept)

    def _send_time(self, node: str, boot_id: bytes, echo_uptime_ms: int | None) -> None:
        """Tell a node the time.

        With an echo it is an answer, by which the round trip is measured; without, it asks for what
        the node keeps (SPEC.md 7.5). Neither takes the place of the other.
        """
        now_ms = self._now_ms()
        quality = self._quality(now_ms)
        subject = b"" if echo_uptime_ms is None else _ANSWER
        self._outgoing.put(
            node, "time", wire.Time(now_ms, quality, boot_id, echo_uptime_ms), subject
        )

    def tell_verdict(self, node: str, inspection_id: bytes, outcome: int, detail: str) -> None:
        """Tell a node what was judged; one that is off is not told (SPEC.md 3.14)."""
        finding = detail.encode("ascii", "replace").decode()[: limits.FINDING_CHARS_MAX]
        message = wire.Verdict(inspection_id, outcome, drill=False, detail=finding)
        self._outgoing.put(node, "verdict", message, inspection_id)

    def ask_birth(self, node: str) -> None:
        """Ask a node once to announce itself: one of its readings has an axis nobody knows."""
        if node in self._asked:
            return
        self._asked.add(node)
        expires_ms = self._now_ms() + COMMAND_LIFE_MS
        self._outgoing.put(
            node,
            "command",
            wire.Command(secrets.token_bytes(8), messages.ACTION_BIRTH, expires_ms, b""),
        )


def _read_ledgers(connection: apsw.Connection, keys: list[JournalKey]) -> dict[JournalKey, Ledger]:
    """Rebuild the ledgers of some journals."""
    return {key: records.read_ledger(connection, *key) for key in keys}


def _read_configs(connection: apsw.Connection) -> dict[str, wire.Config]:
    """Return the configs that the nodes were sent last."""
    rows: records.Rows = connection.execute("SELECT node, frame FROM configs")
    kept = {node: records.read_frame(frame) for node, frame in rows}
    return {node: config for node, config in kept.items() if isinstance(config, wire.Config)}


def _save_configs(
    connection: apsw.Connection,
    nodes: tuple[NodeSettings, ...],
    confirmed: dict[str, int],
    now_s: int,
) -> dict[str, wire.Config]:
    """Keep the config of every node by the settings."""
    return {
        node.id: records.save_config(
            connection,
            node=node.id,
            wanted=wanted_config(node),
            now_s=now_s,
            confirmed=confirmed.get(node.id),
        )
        for node in nodes
    }
