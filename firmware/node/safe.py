"""Safe mode: a node that cannot stay up talks to the gateway and does nothing else.

Rules of the file
- No driver is loaded and nothing is written to the journal. What it holds is still sent, and what
  a receipt covers is not sent again; it is removed by the next full start.
- A journal that cannot be read, or that is what crashed, is left alone. Then the node names the
  journal it had and gives no number up, so that the gateway settles nothing.
"""

from node import boots, limits, shelf
from node.errors import FLASH_DAMAGED, FlashRefused, JournalOutdated, JournalUnusable
from node.kept import Kept
from protocol.limits import ID_BYTES
from protocol.messages import (
    ACTION_BIRTH,
    ACTION_IDENTIFY,
    ACTION_JOURNAL_REPORT,
    ACTION_LOG_TAIL,
    ACTION_REBOOT,
    OUTCOME_REFUSED,
    Result,
)

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Acts, Boot, Budget, Call, Command, Identity, Log, Record, Reply

# They touch neither instrument nor records.
ACTIONS = (ACTION_BIRTH, ACTION_IDENTIFY, ACTION_REBOOT, ACTION_JOURNAL_REPORT, ACTION_LOG_TAIL)


class Backlog(Kept):
    """The journal, read only.

    Args:
        folder: path of the journal.
        budget: of the board.
        tick: called between long steps; it feeds the watchdog.
        log: function of one line.
    Attributes:
        journal_id: of the journal, eight zeros when nothing is known of one.
        notice: as a Journal has it.
    """

    def __init__(self, folder: str, budget: "Budget", tick: "Call", log: "Log") -> None:
        super().__init__(folder)
        self._bytes_max = budget["record_bytes_max"]
        self._tick = tick
        self._log = log
        self.journal_id = bytes(ID_BYTES)
        self.notice = ""

    def limit(self, bytes_max: int) -> None:
        """Nothing is written, so nothing is bounded."""

    def remember(self, identity: "Identity") -> None:
        """Take the name of the journal that this node had; for one that is not opened."""
        self.journal_id = identity.journal_id or self.journal_id
        self.next_seq = max(self.next_seq, identity.floor_seq)

    def open(self) -> None:
        """Read what is there.

        Raises:
            FlashRefused: the file system is damaged.
        """
        try:
            if shelf.exists(self._folder):
                contents = shelf.load(self._folder, bytearray(self._bytes_max), self._tick, False)
                self.segments, self.next_seq = contents.segments, contents.next_seq
                self.journal_id = contents.journal_id or self.journal_id
                self.damaged_count += contents.damaged
                self._damaged_seqs = contents.damaged_seqs
                self.oldest_seq = self._find_oldest()
        except (JournalUnusable, OSError) as error:
            number = getattr(error, "errno", 0)
            if number in FLASH_DAMAGED:
                raise FlashRefused("journal %s: %s" % (self._folder, error), number)
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.notice = "journal cannot be read (%s); check the flash" % error
        self._log(self.notice)
        self.segments = []
        self.oldest_seq = 1  # nothing is given up

    def read_next(self, after_seq: int, buffer: bytearray) -> "tuple[int, int, int] | None":
        """Read as a Journal does; None as well when the medium fails."""
        try:
            return super().read_next(after_seq, buffer)
        except OSError as error:
            self._give_up(error)
            return None

    def read(self, seq: int, buffer: bytearray) -> "tuple[int, int] | None":
        """Read as a Journal does; None as well when the medium fails."""
        try:
            return super().read(seq, buffer)
        except OSError as error:
            self._give_up(error)
            return None

    def free(self, seq: int, beyond: "tuple[int, ...]" = ()) -> None:
        """Note a receipt; nothing is removed.

        Raises:
            JournalOutdated: it covers numbers this journal has not given.
        """
        highest = beyond[-1] if beyond else seq
        if highest >= self.next_seq:
            newest, self.next_seq = self.next_seq - 1, highest + 1
            if self.segments:
                raise JournalOutdated(
                    "gateway has record %d, this journal only %d" % (highest, newest)
                )
        if self._coverage.take(seq, beyond) and self.segments:
            self.oldest_seq = self._find_oldest()

    def append(self, _message: "Record") -> int:
        """Refuse: nothing is measured."""
        raise FlashRefused("nothing is stored in safe mode")

    def protect(self, _inspection_id: bytes) -> None:
        """Do nothing: nothing goes."""

    def report(self) -> str:
        """Return how the journal is, one line of at most 400 ASCII characters."""
        return self.notice or "journal %s, read only: records %d to %d, %d bytes in %d segments" % (
            self.journal_id.hex(),
            self.oldest_seq,
            self.next_seq - 1,
            self.bytes,
            len(self.segments),
        )


class Gate:
    """Commands of a node in safe mode: those of ACTIONS are done, the others refused."""

    def __init__(self, commands: "Acts", reply: "Reply") -> None:
        self._commands = commands
        self._reply = reply

    def take(self, command: "Command") -> None:
        """Do what the command says, or answer why not."""
        if command.action in ACTIONS:
            self._commands.take(command)
        else:
            text = "safe mode: action %d is not done; mend the cause, then reboot" % command.action
            self._reply(Result(command.command_id, OUTCOME_REFUSED, text))


def text(boot: "Boot") -> str:
    """Return what a node in safe mode says of itself."""
    return (
        "safe mode after %d crashes: %s; nothing is measured: mend the cause and reboot the node, "
        "or it tries again %d min after this start"
        % (boot.crash_count, boot.words, limits.SAFE_MS // 60_000)
    )


def crash_text(boot: "Boot") -> str:
    """Return what a node says that starts after a crash."""
    return (
        "started again after crash %d, safe mode follows %d in a row: %s; if it comes again, have "
        "instrument, cable and firmware looked at"
        % (boot.crash_count, boots.SAFE_BOOTS, boot.words)
    )
