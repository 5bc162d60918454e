"""What the node shows: one line per signal, one word for the display, and the faults that stand.

A signal is `signal NAME key=value ...`. A fault is shown when it appears or changes, not at every
attempt, and stands until it is cleared; the one that is shown goes into the health message.

Rules of the file
- What is lit is the first of these that holds: an alarm, an exposure, something to be read again, a
  standing fault, what became of the newest reading, whether the instrument is ready.
- An alarm stays until the next exposure begins; that something is to be read again, until `forget`.
- Of the faults the newest is shown, but none before that of a laser that may be on.
- When the last fault goes, what else holds is shown again.
- A fault that is shown is in the log, too: health has room for its beginning only.
"""

from node import limits
from node.errors import LASER_ON
from node.words import NAMES, plain, word
from protocol.limits import FAULT_CHARS_MAX

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Board, Call

LAMPS = tuple("ready measuring published sent clear inconclusive alarm fault reread".split())
_MILD = ("", "published", "sent", "clear", "inconclusive")  # moments that give way to newer ones
_LOGGED = "fault of %s: %s"
# Parts whose fault ends an exposure, and readiness.
_ON_INSTRUMENT = ("instrument", "acquire", LASER_ON)


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
        self._state = ""  # of the instrument: ready, measuring, or neither
        self._moment = ""  # what became of the newest reading
        self._told: dict[str, tuple[str, str, str]] = {}  # of ready and measuring: what was shown
        self._text = ""  # of the moment, for the display
        self._faults: list[tuple[str, str]] = []  # oldest first; one per part of the node
        self.changed: Call | None = None

    def show(self, name: str, *fields: "tuple[str, object]", words: "tuple[str, ...]" = ()) -> None:
        """Show signal `name` with its fields, in the order given.

        Args:
            name: one of NAMES.
            fields: key and value.
            words: names of what a display shows instead of `name`; of a verdict, its outcome last.
        """
        if name not in NAMES:
            raise ValueError("signal %r does not exist" % name)
        parts = ["signal", name]
        for key, value in fields:
            parts.append("%s=%s" % (key, _quoted(value)))
        words, language = words or (name,), self._language
        told = (
            " ".join(parts),
            ": ".join([word(each, language) for each in words]),
            ": ".join([plain(each, language) for each in words]),
        )
        if name == "reread" == self._moment:
            self._board.signal("", "", "", "")  # so that it is seen and heard anew
        self._follow(name, words[-1], told[2])
        if name in ("ready", "measuring"):
            self._told[name] = told
        self._light(*told, as_told=name == "identify")

    def _follow(self, name: str, outcome: str, text: str) -> None:
        """Take note of what signal `name` says of the instrument and the newest reading."""
        if name in ("ready", "measuring"):
            self._state = name
        elif name == "stored":  # the exposure is over
            self._state = "ready"
        elif name in ("starting", "stopped"):
            self._state = ""
        if name in ("starting", "stopped") or (name == "measuring" and self._moment != "reread"):
            self._moment = ""
        elif name == "verdict":
            self._moment, self._text = outcome, text
        elif name in ("published", "sent", "reread"):
            if self._moment in _MILD or self._moment == name:
                self._moment, self._text = name, text
        elif self._moment not in ("alarm", "reread") and name in ("ready", "stored"):
            self._moment = ""
        if name == "stopped":
            self._faults = []  # nobody is left to mend them for

    def _lamp(self) -> str:
        """Return which of LAMPS is lit, empty: none."""
        if self._moment == "alarm" or self._state == "measuring":
            return self._moment if self._moment == "alarm" else self._state
        if self._faults and self._moment != "reread":
            return "fault"
        return self._moment or self._state

    def _light(self, line: str, shown: str, text: str, as_told: bool = False) -> None:
        """Have the board show it; lamp and display agree, unless the display shows it `as_told`."""
        lamp = self._lamp()
        if lamp == "fault" and not as_told:
            what, fault = self._shown()
            text = "%s\n%s: %s" % (plain("fault", self._language), what, fault)
        elif lamp and lamp == self._moment and not as_told:
            text = self._text
        self._board.signal(lamp, line, shown, text)

    def again(self) -> None:
        """Show what holds again: something else was on the lamps meanwhile, or a fault went.

        A fault that stands is lit again, but its line is not said again.
        """
        line, shown, text = self._told.get(self._state, ("", "", ""))
        self._light("" if self._faults else line, shown, text)

    def forget(self, moment: str) -> None:
        """Show what else holds, if `moment` is what is shown of the newest reading."""
        if self._moment == moment:
            self._moment = ""
            self.again()

    def fault(self, what: str, text: str, repeat: bool = False, is_logged: bool = False) -> None:
        """Note that part `what` is at fault.

        Args:
            what: part of the node: instrument, laser_on, broker, journal, flash, config, or a
                task's name.
            text: what is wrong and the remedy.
            repeat: show it even if it stands already: somebody just pressed the button.
            is_logged: the log has it already.
        """
        known = (what, text) in self._faults
        if not known:
            self._faults = [fault for fault in self._faults if fault[0] != what]
            self._faults.append((what, text))
            if not is_logged:
                self._board.log(_LOGGED % (what, text))
        if what in _ON_INSTRUMENT:
            self._state = ""
        if repeat or not known:
            self.show("fault", ("what", what), ("text", text[: limits.FAULT_TEXT_CHARS_MAX]))
        if not known and self.changed is not None:
            self.changed()

    def clear(self, what: str) -> None:
        """Note that part `what` works."""
        count = len(self._faults)
        self._faults = [fault for fault in self._faults if fault[0] != what]
        if len(self._faults) != count:
            self.again()
            if self.changed is not None:
                self.changed()

    def remind(self, said: bytes) -> None:
        """Log again what stands and is not in `said`, the end of the log: it was long ago."""
        for what, text in self._faults:
            if said.find(text.encode()) < 0:
                self._board.log(_LOGGED % (what, text))

    def standing(self, what: str) -> str:
        """Return the text of the fault of part `what`, empty when it works."""
        for part, text in self._faults:
            if part == what:
                return text
        return ""

    def newest(self) -> str:
        """Return the standing fault that is shown in short, printable ASCII, for health."""
        if not self._faults:
            return ""
        return ascii_text("%s: %s" % self._shown(), FAULT_CHARS_MAX)

    def _shown(self) -> "tuple[str, str]":
        """Return part and text of the fault that matters most; there is one."""
        for fault in self._faults:
            if fault[0] == LASER_ON:
                return fault
        return self._faults[-1]


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
