"""What the node shows: one line per signal, one word for the display, and the faults that stand.

A signal is `signal NAME key=value ...`. A fault is shown when it appears or changes, not at every
attempt, and stands until it is cleared; the newest standing one goes into the health message.
"""

from node import limits
from node.words import NAMES, word
from protocol.limits import FAULT_CHARS_MAX

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Board, Call

STATES = ("ready", "measuring", "fault")  # what a lamp stands for; the others are moments


class Signals:
    """Signals of one node.

    Args:
        board: shows lines and words.
        language: of the words.
    Attributes:
        changed: called without arguments when a fault appears, changes or is cleared.
    """

    def __init__(self, board: "Board", language: str) -> None:
        self._board = board
        self._language = language
        self._lamp = ""  # the one of STATES that is lit
        self._told: tuple[str, str] | None = None  # line and word of the newest state
        self._faults: list[tuple[str, str]] = []  # oldest first; one per part of the node
        self.changed: Call | None = None

    def show(self, name: str, *fields: "tuple[str, object]", words: "tuple[str, ...]" = ()) -> None:
        """Show signal `name` with its fields, in the order given.

        Args:
            name: one of NAMES.
            fields: key and value.
            words: names of what a display shows instead of `name`.
        """
        if name not in NAMES:
            raise ValueError("signal %r does not exist" % name)
        parts = ["signal", name]
        for key, value in fields:
            parts.append("%s=%s" % (key, _quoted(value)))
        told = ": ".join([word(each, self._language) for each in words or (name,)])
        if name in STATES:
            self._lamp = name
        elif name == "stored":  # the exposure is over
            self._lamp = "fault" if self._faults else "ready"
        elif name in ("starting", "stopped"):
            self._lamp = ""
        self._told = (" ".join(parts), told) if name in STATES else self._told
        self._board.signal(self._lamp, " ".join(parts), told)

    def again(self) -> None:
        """Show the newest state again: something else was on the lamps meanwhile."""
        if self._told is not None:
            self._board.signal(self._lamp, *self._told)

    def fault(self, what: str, text: str, repeat: bool = False) -> None:
        """Note that part `what` is at fault.

        Args:
            what: part of the node: instrument, broker, journal, flash, config, or a task's name.
            text: what is wrong and the remedy.
            repeat: show it even if it stands already: somebody just pressed the button.
        """
        known = (what, text) in self._faults
        if not known:
            self._faults = [fault for fault in self._faults if fault[0] != what]
            self._faults.append((what, text))
        if repeat or not known:
            self.show("fault", ("what", what), ("text", text[: limits.FAULT_TEXT_CHARS_MAX]))
        if not known and self.changed is not None:
            self.changed()

    def clear(self, what: str) -> None:
        """Note that part `what` works."""
        count = len(self._faults)
        self._faults = [fault for fault in self._faults if fault[0] != what]
        if len(self._faults) != count and self.changed is not None:
            self.changed()

    def standing(self, what: str) -> str:
        """Return the text of the fault of part `what`, empty when it works."""
        for part, text in self._faults:
            if part == what:
                return text
        return ""

    def newest(self) -> str:
        """Return the newest standing fault in short, printable ASCII, for the health message."""
        if not self._faults:
            return ""
        return ascii_text("%s: %s" % self._faults[-1], FAULT_CHARS_MAX)


def ascii_text(text: str, count_max: int) -> str:
    """Return `text` as the wire takes it: printable ASCII, at most `count_max` characters."""
    kept = [c if 0x20 <= ord(c) <= 0x7E else "?" for c in text[:count_max]]
    return "".join(kept)


def _quoted(value: object) -> str:
    """Return the value as one word, in double quotes when it is text."""
    if isinstance(value, bytes):
        return value.hex()
    text = str(value)
    for c in text:
        if not (c.isalpha() or c.isdigit() or c in "-_.:/"):
            return '"%s"' % text.replace('"', "'").replace("\n", " ").replace("\r", " ")
    return text or '""'
