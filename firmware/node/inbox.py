"""What comes from the gateway: checked, counted, and given to the part it concerns.

Nothing that arrives can end the link or the node: what cannot be used is counted and named in the
log.
"""

from node import limits
from node.errors import JournalOutdated, SettingsError
from protocol import topics
from protocol.errors import ProtocolError
from protocol.messages import Command, Config, Receipt, Time, unpack


class Inbox:
    """The node's side of `receipt`, `command`, `config` and `time`.

    Args:
        node: what the parts share.
        uplink: has the window, sends the birth.
        commands: takes Command messages.
    Attributes:
        has_receipt: a receipt of this journal came since the boot.
        foreign_count: receipts of another journal, not used.
        refused_count: messages that could not be used.
    """

    def __init__(self, node: object, uplink: object, commands: object) -> None:
        self._node = node
        self._uplink = uplink
        self._commands = commands
        self.has_receipt = False
        self.foreign_count = 0
        self.refused_count = 0

    def take(self, packet: object) -> None:
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

    def _unpack(self, packet: object) -> object:
        if packet.truncated:
            raise ProtocolError("it is longer than %d bytes" % limits.INBOUND_BYTES_MAX)
        post, name, channel = topics.parse(packet.topic)
        if post != self._node.post or name != self._node.name:
            raise ProtocolError("it is for another node")
        return unpack(packet.payload, channel)

    def _act(self, message: object) -> None:
        if isinstance(message, Receipt):
            self._free(message)
        elif isinstance(message, Time):
            self._learn(message)
        elif isinstance(message, Command):
            self._commands.take(message)
        elif isinstance(message, Config) and self._node.configure(message):
            self._uplink.want("birth")

    def _learn(self, message: Time) -> None:
        self._node.clock.learn(message)
        self._node.heard(message)
        if message.boot_id == self._node.boot_id and message.echo_uptime_ms is None:
            self._uplink.repeat()  # SPEC 7.5: what went before may have met nobody

    def _free(self, receipt: Receipt) -> None:
        journal, signals = self._node.journal, self._node.signals
        if receipt.journal_id != journal.journal_id:
            self.foreign_count += 1
            self._node.board.log("receipt of another journal is not used")
            return
        self.has_receipt = True
        try:
            journal.free(receipt.seq, receipt.beyond)
        except JournalOutdated as error:
            signals.fault("journal", str(error))
            self._uplink.want("birth")
            return
        except OSError as error:
            signals.fault("journal", "segments cannot be changed: %s; check the flash" % error)
        for seq in self._uplink.receipted(receipt):
            signals.show("sent", ("seq", seq))
        if journal.oldest_seq == journal.next_seq:
            signals.clear("journal")
