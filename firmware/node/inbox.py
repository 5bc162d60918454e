"""What comes from the gateway: checked, counted, and given to the part it concerns.

Nothing that arrives can end the link or the node: what cannot be used is counted and named in the
log.
"""

from node import limits
from node.errors import JournalOutdated, SettingsError
from protocol import topics
from protocol.errors import ProtocolError
from protocol.messages import (
    VERDICT_ALARM,
    Command,
    Config,
    Receipt,
    Time,
    Verdict,
    unpack,
)

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Acts, Message, Node, Packet, Uplink

OUTCOME_NAMES = ("clear", "inconclusive", "alarm")  # by protocol.messages.VERDICT_*


class Inbox:
    """The node's side of `receipt`, `command`, `config`, `time` and `verdict`.

    Args:
        node: what the parts share.
        uplink: has the window, sends the birth.
        commands: takes Command messages.
    Attributes:
        has_receipt: a receipt of this journal came since the boot.
        foreign_count: receipts of another journal, not used, since the last one of this.
        refused_count: messages that could not be used.
    """

    def __init__(self, node: "Node", uplink: "Uplink", commands: "Acts") -> None:
        self._node = node
        self._uplink = uplink
        self._commands = commands
        self.has_receipt = False
        self.foreign_count = 0
        self.refused_count = 0

    def take(self, packet: "Packet") -> None:
        """Take one PUBLISH packet."""
        if not packet.payload and not packet.truncated:
            return  # a retained message was cleared
        try:
            self._act(self._unpack(packet))
        except ProtocolError as error:
            self.refused_count += 1
            self._node.board.log("message on %s is not used: %s" % (packet.topic, error))
        except SettingsError as error:
            self.refused_count += 1
            self._node.signals.fault("config", str(error))

    def _unpack(self, packet: "Packet") -> "Message":
        if packet.truncated:
            raise ProtocolError("it is longer than %d bytes" % limits.INBOUND_BYTES_MAX)
        post, name, channel = topics.parse(packet.topic)
        if post != self._node.post or name != self._node.name:
            raise ProtocolError("it is for another node")
        return unpack(packet.payload, channel)

    def _act(self, message: "Message") -> None:
        if isinstance(message, Receipt):
            self._free(message)
        elif isinstance(message, Time):
            self._learn(message)
        elif isinstance(message, Command):
            self._commands.take(message)
        elif isinstance(message, Verdict):
            self._show(message)
        elif isinstance(message, Config) and self._node.configure(message):
            self._uplink.want("birth")

    def _learn(self, message: Time) -> None:
        self._node.clock.learn(message)
        self._node.heard(message)
        if message.boot_id == self._node.boot_id:
            self._node.hearing.heard()
        if message.boot_id == self._node.boot_id and message.echo_uptime_ms is None:
            self._uplink.repeat()  # SPEC 7.5: what went before may have met nobody

    def _show(self, verdict: Verdict) -> None:
        """Show what was judged, and have the records of an alarm go last (SPEC 3.14)."""
        outcome = OUTCOME_NAMES[verdict.outcome]
        self._node.signals.show(
            "verdict",
            ("outcome", outcome),
            ("inspection", verdict.inspection_id),
            ("drill", int(verdict.drill)),
            ("detail", verdict.detail),
            words=("drill", outcome) if verdict.drill else (outcome,),
        )
        if verdict.outcome == VERDICT_ALARM and not verdict.drill:
            try:
                self._node.journal.protect(verdict.inspection_id)
            except OSError as error:
                self._node.board.log("an alarm cannot be remembered: %s; check the flash" % error)

    def _tell_foreign(self, receipt: Receipt) -> None:
        """Say that receipts are for another journal; one may be an old word of the broker."""
        self.foreign_count += 1
        self._node.board.log("receipt of journal %s is not used" % receipt.journal_id.hex())
        if self.foreign_count >= limits.FOREIGN_RECEIPTS_MAX:
            self._node.signals.fault(
                "receipts",
                "they are for journal %s, not ours; is there a second node called %s, or the flash "
                "of another node in here? give each its own name"
                % (receipt.journal_id.hex(), self._node.name),
            )

    def _free(self, receipt: Receipt) -> None:
        journal, signals = self._node.journal, self._node.signals
        if receipt.journal_id != journal.journal_id:
            self._tell_foreign(receipt)
            return
        self.has_receipt = True
        self.foreign_count = 0
        signals.clear("receipts")
        try:
            journal.free(receipt.seq, receipt.beyond)
        except JournalOutdated as error:
            # A part of its own: the next receipt does not clear it, for the loss stays.
            signals.fault("restored", str(error))
            self._uplink.want("birth")
            return
        except OSError as error:
            signals.fault("journal", "segments cannot be changed: %s; check the flash" % error)
        receipted = self._uplink.receipted(receipt)
        if receipted:
            self._node.hearing.heard()
        for seq in receipted:
            signals.show("sent", ("seq", seq))
        if journal.oldest_seq == journal.next_seq:
            signals.clear("journal")
