"""How a scale behaves: MT-SICS commands in, answers out; no I/O and no clock.

Rules of this file
* Commands are obeyed one after the other; what waits for a weight to settle holds up those behind
  it, but for `@`, which cancels everything at once.
* What waits longer than STABILITY_S is answered with I: not executable.
* SIR and SR send until the next command, whatever it is.
* Zero outlives a loss of power, tare does not. When it is back the scale says `I4 A "serial"`.

What manuals leave open is decided here and listed in docs/simulators.md.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from simulators.errors import WorldError
from simulators.line import Reply
from simulators.scale.pan import PIECES, UNITS, Build, Pan, Weight

BAUDS = (1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200)
BAUD_DEFAULT = 9600
BOOT_S = 0.3  # s of deafness after a reset; chosen
STABILITY_S = 10.0  # s it waits for a weight to settle; models have 5 to 40
STREAM_S = 0.1  # s between two weights of SIR
COMMAND_BYTES_MAX = 64
WAITING_MAX = 16  # commands held behind one that waits; more are lost, as in a full buffer
REPLIES_MAX = 64
SETTLING_LOOK_S = 0.05  # s between looks at whether the weight has settled
CHANGE_COUNTS_MIN = 30  # SR: a smaller change is none
CHANGE_PART = 0.125  # SR: nor one below this part of the last stable weight
VALUE_WIDTH = 10


@dataclass(slots=True)
class Counts:
    """What happened, for tests and for the person at the terminal."""

    commands: int = 0
    errors: int = 0
    weights: int = 0
    resets: int = 0
    replies_lost: int = 0


Act = Callable[[float], str | None]


class Scale:
    """One scale.

    Args:
        build: what it is.
        seed: which individual of its model it is, and all its noise.
        now_s: the caller's clock at power-on.
        baud: the rate set on it.
        level: of MT-SICS, 0 or 1.
    """

    def __init__(
        self,
        build: Build | None = None,
        *,
        seed: int = 0,
        now_s: float = 0.0,
        baud: int = BAUD_DEFAULT,
        level: int = 1,
    ) -> None:
        self.baud = baud
        self.level = level
        self.pan = Pan(build or Build(), seed, now_s)
        self.counts = Counts()
        number = int(np.random.default_rng([seed, 0x5E41]).integers(10**8, 10**9))
        self.serial_number = f"B{number}"
        self._held = b""
        self._waiting: deque[str] = deque()
        self._settles_until_s: float | None = None  # the first waiting command wants it stable
        self._stream = ""  # SIR or SR while it sends
        self._stream_s = 0.0  # when it next looks
        self._sent: Weight | None = None  # by SR
        self._replies: deque[Reply] = deque()
        self._now_s = self._deaf_until_s = now_s
        self._is_booting = False
        self._at_once: Mapping[str, Act] = self._list_acts()

    def _list_acts(self) -> Mapping[str, Act]:
        """Return what is done without waiting, by command."""
        acts: dict[str, Act] = {
            "I0": self._list_commands,
            "I1": lambda _: f'I1 A "{"0" if not self.level else "01"}" "2.30" "2.20" "" ""',
            "I2": lambda _: f'I2 A "{self.pan.build.model} {self._capacity()}"',
            "I3": lambda _: 'I3 A "1.20 11.28.0.493"',
            "I4": lambda _: f'I4 A "{self.serial_number}"',
            "I5": lambda _: 'I5 A "11676053C"',
            "SI": lambda now_s: self._weight("S", now_s),
            "SIR": lambda now_s: self._begin_stream("SIR", now_s),
            "ZI": self._zero_at_once,
        }
        if self.level:
            acts |= {
                "SR": lambda now_s: self._begin_stream("SR", now_s),
                "TI": self._tare_at_once,
                "TA": lambda _: self._line("TA A", self.pan.show(self.pan.tare_counts)),
                "TAC": self._clear_tare,
                "D": lambda _: "D A",
                "DW": lambda _: "DW A",
                "K": lambda _: "K A",
            }
        return acts

    # ------------------------------------------------------------------------------ who stands by

    def place(self, mass_g: Decimal, now_s: float | None = None) -> None:
        """Put something on top of what lies there; negative: take so much off.

        Raises:
            WorldError: more than that does not lie there.
        """
        self.pan.put(mass_g, self._now_s if now_s is None else now_s)

    def remove(self, now_s: float | None = None) -> None:
        """Take everything off."""
        self.place(-self.pan.load_g, now_s)

    def press(self, key: str, now_s: float) -> None:
        """Press a key: `tare`, `zero`, `print`, or `unit UNIT`.

        Raises:
            WorldError: there is no such key or unit.
        """
        name, _, value = key.partition(" ")
        if key == "tare":
            self.pan.tare(now_s)
        elif key == "zero":
            if not self.pan.can_zero(now_s):
                self.pan.zero(now_s)
        elif key == "print":
            self._say(self._weight("S", now_s))
        elif name == "unit" and value in (*UNITS, PIECES):
            self.pan.unit = value
        else:
            raise WorldError(
                f"key '{key[:40]}': known are tare, zero, print and unit {', '.join(UNITS)}, "
                f"{PIECES}"
            )

    def reset_unexpectedly(self, now_s: float) -> None:
        """Lose power for a moment."""
        self.counts.resets += 1
        self._cancel()
        self._held = b""
        self._replies.clear()
        self.pan.forget_tare()
        self._deaf_until_s = now_s + BOOT_S
        self._is_booting = True

    # ----------------------------------------------------------------------------- the line's side

    def receive(self, data: bytes, now_s: float) -> None:
        """Take bytes from the line. Whatever they are, nothing is raised."""
        self._now_s = now_s
        if now_s < self._deaf_until_s:
            return
        *lines, self._held = (self._held + data).replace(b"\r", b"\n").split(b"\n")
        self._held = self._held[: COMMAND_BYTES_MAX + 1]
        for line in lines:
            if line:
                self._take(line, now_s)

    def collect(self, now_s: float) -> list[Reply]:
        """Return what is to be sent by now, in order; each is given once."""
        self._now_s = now_s
        if now_s < self._deaf_until_s:
            return []
        if self._is_booting:
            self._is_booting = False
            self._say(self._at_once["I4"](now_s))
        self._go_on(now_s)
        if self._stream and now_s >= self._stream_s:
            self._send_stream(now_s)
        due = list(self._replies)
        self._replies.clear()
        return due

    def next_event_s(self) -> float | None:
        """Return when `collect` has something without new bytes; None: nothing is under way."""
        if self._is_booting:
            return self._deaf_until_s
        if self._settles_until_s is not None:
            return self._now_s + SETTLING_LOOK_S
        return self._stream_s if self._stream else None

    # ------------------------------------------------------------------------------- conversation

    def _take(self, line: bytes, now_s: float) -> None:
        """Queue one command, and do what can be done of the queue."""
        self.counts.commands += 1
        self._stream = ""
        if not line.isascii() or not line.decode("ascii").isprintable():
            self._refuse("ET")
            return
        command = line.decode("ascii").strip()
        if command == "@":
            self._cancel()
            self.pan.forget_tare()
            self._say(self._at_once["I4"](now_s))
        elif len(line) > COMMAND_BYTES_MAX:
            self._refuse("ES")
        elif len(self._waiting) < WAITING_MAX:
            self._waiting.append(command)
            self._go_on(now_s)
        else:
            self.counts.replies_lost += 1

    def _go_on(self, now_s: float) -> None:
        """Do the waiting commands, up to one that must wait on."""
        while self._waiting:
            command = self._waiting[0]
            name = command.split(" ")[0]
            if command in ("S", "Z") or (command == "T" and self.level):
                answer = self._settled(command, now_s)
                if answer is None:
                    return
            elif command in self._at_once or (name in ("D", "K") and name in self._at_once):
                answer = self._at_once[name](now_s) or ""
            elif name == "TA" and name in self._at_once:
                answer = "EL"  # a tare by number is not simulated
            else:
                answer = "ES"
            self._waiting.popleft()
            self._settles_until_s = None
            if answer in ("ES", "EL"):
                self._refuse(answer)
            elif answer:
                self._say(answer)

    def _settled(self, command: str, now_s: float) -> str | None:
        """Return the answer to S, T or Z, None while the weight moves."""
        if self._settles_until_s is None:
            self._settles_until_s = now_s + STABILITY_S
        weight = self.pan.weigh(now_s)
        if weight.status in ("+", "-"):
            return f"{command} {weight.status}"
        if not self.pan.is_stable(now_s):
            return f"{command} I" if now_s >= self._settles_until_s else None
        if command == "S":
            return self._line("S S", weight.text)
        if command == "T":
            self.pan.tare(now_s)
            return self._line("T S", self.pan.show(self.pan.tare_counts))
        refused = self.pan.can_zero(now_s)
        if not refused:
            self.pan.zero(now_s)
        return f"Z {refused or 'A'}"

    def _weight(self, command: str, now_s: float) -> str:
        """Return the answer with the weight of this moment."""
        weight = self.pan.weigh(now_s)
        self.counts.weights += 1
        return self._line(f"{command} {weight.status}", weight.text)

    def _zero_at_once(self, now_s: float) -> str:
        refused = self.pan.can_zero(now_s)
        if refused:
            return f"ZI {refused}"
        status = "S" if self.pan.is_stable(now_s) else "D"
        self.pan.zero(now_s)
        return f"ZI {status}"

    def _tare_at_once(self, now_s: float) -> str:
        weight = self.pan.weigh(now_s)
        if weight.status in ("+", "-"):
            return f"TI {weight.status}"
        self.pan.tare(now_s)
        return self._line(f"TI {weight.status}", self.pan.show(self.pan.tare_counts))

    def _clear_tare(self, _now_s: float) -> str:
        self.pan.forget_tare()
        return "TAC A"

    def _list_commands(self, _now_s: float) -> str:
        known = ["@", "S", "Z", *self._at_once, *(["T"] if self.level else [])]
        level_1 = {"SR", "T", "TI", "TA", "TAC", "D", "DW", "K"}
        lines = [f'I0 B {int(name in level_1)} "{name}"' for name in sorted(known)]
        lines[-1] = lines[-1].replace("I0 B", "I0 A", 1)
        return "\r\n".join(lines)

    def _capacity(self) -> str:
        return self.pan.show(int(self.pan.build.capacity_g / self.pan.build.readability_g))

    # ------------------------------------------------------------------------------------ streams

    def _begin_stream(self, name: str, now_s: float) -> None:
        self._stream, self._stream_s, self._sent = name, now_s, None

    def _send_stream(self, now_s: float) -> None:
        """Send the next weight of SIR, or what has changed for SR."""
        self._stream_s = now_s + STREAM_S
        if self._stream == "SIR":
            self._say(self._weight("S", now_s))
            return
        weight, sent = self.pan.weigh(now_s), self._sent
        change = abs(weight.counts - sent.counts) if sent is not None else 0
        least = max(CHANGE_COUNTS_MIN, CHANGE_PART * abs(sent.counts)) if sent is not None else 0.0
        is_due = (
            weight.status != "D"
            if sent is None or sent.status == "D"
            else change > least or (weight.status in ("+", "-")) != (sent.status in ("+", "-"))
        )
        if is_due:
            self._sent = weight
            self._say(self._line(f"S {weight.status}", weight.text))

    # -------------------------------------------------------------------------------------- words

    @staticmethod
    def _line(head: str, weight: str) -> str:
        """Return an answer with a weight, its number right aligned."""
        if not weight:
            return head
        value, unit = weight.split(" ")
        return f"{head} {value:>{VALUE_WIDTH}} {unit}"

    def _refuse(self, error: str) -> None:
        self.counts.errors += 1
        self._say(error)

    def _say(self, text: str | None) -> None:
        for line in (text or "").split("\r\n"):
            if line and len(self._replies) >= REPLIES_MAX:
                self.counts.replies_lost += 1
            elif line:
                self._replies.append(Reply(line.encode("ascii") + b"\r\n"))

    def _cancel(self) -> None:
        self._waiting.clear()
        self._settles_until_s = None
        self._stream = ""
