"""How an instrument with one-letter commands behaves: bytes in, replies out, no I/O and no clock.

Rules of this file
* `receive` takes bytes, `collect` gives what is due by a time, `next_event_s` says when to come
  back. The caller owns the clock; times are seconds of any monotonic clock.
* A conversation is one generator that eats a byte at a time; half a command is given up after a
  while by starting it anew.
* Numbers are words, most significant byte first; in ASCII data mode decimals that a CR or LF ends,
  and everything is echoed.
* While a spectrum is exposed, what would change it is refused; the lamp goes off at once, and
  questions are answered.

What the manuals leave open is decided here and listed in docs/simulators.md.
"""

from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace

import numpy as np

from simulators.line import Reply
from simulators.spectrometer.ascii_models import AsciiModel, store_constants
from simulators.spectrometer.ascii_spectrum import PROMPT, Settings, encode, has_pixels
from simulators.spectrometer.device import BOOT_S, REPLIES_MAX, Counts
from simulators.spectrometer.probe import Exposure, Probe
from simulators.world import Sample, Substance

ACK, NAK, ETX = b"\x06", b"\x15", b"\x03"
BAUD_DEFAULT = 9_600
BAUD_CODES = {0: 2_400, 1: 4_800, 2: 9_600, 3: 19_200, 4: 38_400, 6: 115_200}
DEAF_S = 0.05  # s after a changed baud rate; the manual asks a client to wait longer
TRIAL_S = 1.0  # s in which the new baud rate must be confirmed; chosen
GIVE_UP_S = 1.0  # s after its last byte half a command is given up; chosen
TEXT_BYTES_MAX = 15  # of a constant
RANDOM_PIXELS_MAX = 10
PIXEL_ARGUMENTS = {1: 1, 3: 3, 4: 1}  # by pixel mode; of mode 4 it says how many more
ENDS = b"\r\n"
IGNORED = b"\0\r\n"  # between commands
NUMBERED = "ABGIiJKLMTWk"  # letters with a number behind them
# Letter: what it sets, least and most.
RANGES = {
    "A": ("scans", 1, 5_000),
    "B": ("boxcar", 0, 15),
    "G": ("is_compressed", 0, 0xFFFF),
    "L": ("", 0, 1),
    "M": ("is_stored", 0, 1),
    "T": ("trigger", 0, 4),
    "W": ("", 0, 0xFFFF),
    "k": ("has_checksum", 0, 0xFFFF),
}

Conversation = Generator[None, int, None]
Number = Generator[None, int, int]


class AsciiSpectrometer:
    """One instrument.

    Args:
        model: what it is, from `ascii_models.ASCII_MODELS`.
        substances: the library samples are made of, from `world.load_substances`.
        seed: which individual of its model it is, and all its noise.
        now_s: the caller's clock at power-on.
        baud: the rate it has after power-on.
        laser_drift_nm: by which the laser has moved since the maker's calibration.

    Attributes:
        settings: what clients have changed.
        constants: what the maker stored, by index; what "x" writes stays.
        is_broken: its detector has failed: every spectrum is refused.

    Raises:
        ValueError: a baud rate the instrument does not have.
    """

    def __init__(
        self,
        model: AsciiModel,
        substances: Mapping[str, Substance],
        *,
        seed: int = 0,
        now_s: float = 0.0,
        baud: int = BAUD_DEFAULT,
        laser_drift_nm: float = 0.0,
    ) -> None:
        self.kind = model
        self.model = model.model
        self.probe = Probe(self.model, substances, seed, now_s, laser_drift_nm)
        self.counts = Counts()
        self.is_broken = False
        if baud not in BAUD_CODES.values():
            known = ", ".join(map(str, BAUD_CODES.values()))
            raise ValueError(f"baud rate {baud} is not one of {known}")
        self.baud = self._saved_baud = baud
        self.settings = Settings(self.model.integration_us_default)
        self.constants = store_constants(self.model, self.probe.unit)
        self._replies: deque[Reply] = deque()
        self._now_s = self._deaf_until_s = self._heard_s = now_s
        self._trial: tuple[int, int, float] | None = None  # code, rate before, until
        self._exposed: Settings | None = None
        self._begin()

    @property
    def serial_number(self) -> str:
        """As stored."""
        return self.constants[0].decode()

    def present(self, sample: Sample, now_s: float | None = None) -> None:
        """Hold another sample to the probe; in an exposure it counts from then on.

        Raises:
            WorldError: the sample names something unknown.
        """
        self.probe.present(sample, self._now_s if now_s is None else now_s)

    def reset_unexpectedly(self, now_s: float) -> None:
        """Lose power for a moment: deaf for a while, settings forgotten, light off."""
        self.counts.resets += 1
        self.probe.abort()
        self.probe.set_laser(0.0, now_s)
        self._exposed = self._trial = None
        self._replies.clear()
        self.settings = Settings(self.model.integration_us_default)
        self.baud = self._saved_baud
        self._deaf_until_s = now_s + BOOT_S
        self._begin()

    # --------------------------------------------------------------------------- the line's side

    def receive(self, data: bytes, now_s: float) -> None:
        """Take bytes from the line. Whatever they are, nothing is raised."""
        self._advance(now_s)
        if now_s < self._deaf_until_s:
            return
        self._heard_s = now_s
        for byte in data:
            self._conversation.send(byte)

    def collect(self, now_s: float) -> list[Reply]:
        """Replies that are due, in order; each is given once."""
        self._advance(now_s)
        due = list(self._replies)
        self._replies.clear()
        return due

    def next_event_s(self) -> float | None:
        """When `collect` has something to do without new bytes; None = nothing is under way."""
        times = [] if self.probe.exposure is None else [self.probe.exposure.ends_s]
        if self._trial is not None:
            times.append(self._trial[2])
        return min(times, default=None)

    def _advance(self, now_s: float) -> None:
        """Let time pass: exposures end, unconfirmed rates and half commands are given up."""
        self._now_s = now_s
        if self._trial is not None and now_s >= self._trial[2]:
            self._fall_back()
        if now_s - self._heard_s > GIVE_UP_S:
            self._begin()
        exposure, settings = self.probe.exposure, self._exposed
        if exposure is None or settings is None or now_s < exposure.ends_s:
            return
        self._exposed = None
        self.counts.spectra += 1
        sent = encode(self.probe.finish(), settings)
        if settings.is_stored:
            self._say(sent.data[:1])
        else:
            self._queue(Reply(sent.data, check_at=sent.check_at))

    def _say(self, data: bytes) -> None:
        self._queue(Reply(data))

    def _queue(self, reply: Reply) -> None:
        if len(self._replies) >= REPLIES_MAX:
            self.counts.replies_lost += 1
        else:
            self._replies.append(reply)

    # ------------------------------------------------------------------------------ conversation

    def _begin(self) -> None:
        self._heard_s = self._now_s
        self._conversation = self._converse()
        next(self._conversation)

    def _converse(self) -> Conversation:
        """Eat commands, one after the other, for ever."""
        acts: dict[str, Callable[[], Conversation]] = {
            "?": self._query,
            "P": self._choose_pixels,
            "S": self._expose,
            "a": lambda: self._change_mode(is_ascii=True),
            "b": lambda: self._change_mode(is_ascii=False),
            "v": self._tell_version,
            "x": self._write_constant,
        }
        while True:
            byte = yield
            if self._trial is not None and byte != ord("K"):
                self._fall_back()
            if byte in IGNORED:
                continue
            self._echo(bytes([byte]))
            self.counts.requests += 1
            letter = chr(byte)
            if letter in acts:
                yield from acts[letter]()
            elif letter in NUMBERED:
                yield from self._take_number(letter)
            else:
                self._answer(is_good=False)

    def _echo(self, data: bytes) -> None:
        if self.settings.is_ascii:
            self._say(b"\n\r" if data in (b"\r", b"\n") else data)

    def _answer(self, data: bytes = b"", *, is_good: bool = True) -> None:
        self.counts.refusals += not is_good
        tail = PROMPT if self.settings.is_ascii else b""
        self._say((ACK + data if is_good else NAK) + tail)

    def _number(self, value: int, size: int = 2) -> bytes:
        """A number as the data mode has it."""
        return b"%d " % value if self.settings.is_ascii else value.to_bytes(size, "big")

    def _read_number(self, size: int = 2) -> Number:
        """Eat a number; one that is none is larger than any range."""
        if not self.settings.is_ascii:
            value = 0
            for _ in range(size):
                value = value << 8 | (yield)
            return value
        text = yield from self._read_text(10)
        return int(text) if text.isdigit() else 1 << 32

    def _read_text(self, bytes_max: int) -> Generator[None, int, bytes]:
        """Eat up to CR or LF; what is too long is cut."""
        text = b""
        while (byte := (yield)) not in ENDS:
            self._echo(bytes([byte]))
            text = (text + bytes([byte]))[: bytes_max + 1]
        self._echo(b"\n")
        return text

    def _change_mode(self, *, is_ascii: bool) -> Conversation:
        """`aA` and `bB`: as USB2000 firmware 2.30 answers, with a prompt in any case."""
        byte = yield
        is_good = byte == ord("A" if is_ascii else "B")
        self.counts.refusals += not is_good
        if is_good:
            self.settings.is_ascii = is_ascii
        self._say(bytes([byte]) + (ACK if is_good else NAK) + PROMPT)

    def _tell_version(self) -> Conversation:
        self._answer(self._number(self.kind.version))
        yield from ()

    # ---------------------------------------------------------------------------------- settings

    def _take_number(self, letter: str) -> Conversation:
        """Eat the number of a command and obey it, if it is within its range."""
        size = 4 if letter == "i" else 2
        value = yield from self._read_number(size)
        if letter == "W":  # a register of the FPGA and its value: taken and forgotten
            value = yield from self._read_number(size)
        is_good = letter in "JK" or self.probe.exposure is None
        if is_good and letter == "K":
            self._change_baud(value)
            return
        if letter in RANGES:
            name, least, most = RANGES[letter]
            is_good = is_good and least <= value <= most
            if is_good and name:
                setattr(self.settings, name, value)
        elif letter == "J":
            is_good = self._switch_lamp(value)
        elif is_good:
            is_good = self._set_integration(value, step_us=1 if letter == "i" else 1_000)
        self._answer(is_good=is_good)

    def _set_integration(self, value: int, step_us: int) -> bool:
        integration_us = value * step_us
        least_us, most_us = self.model.integration_us_min, self.model.integration_us_max
        is_good = least_us <= integration_us <= most_us
        if is_good:
            self.settings.integration_us = integration_us
        return is_good

    def _switch_lamp(self, value: int) -> bool:
        """Never refuse off, refuse on during an exposure."""
        is_good = value == 0 or (value == 1 and self.probe.exposure is None)
        if is_good:
            self.settings.lamp_on = value
            self.probe.set_laser(self.model.laser_mw_max * value, self._now_s)
        return is_good

    def _change_baud(self, code: int) -> None:
        """First at the old rate: change on trial; then at the new one: keep it."""
        if code not in BAUD_CODES or self.probe.exposure is not None:
            self._fall_back()
            self._answer(is_good=False)
            return
        if self._trial is not None:
            is_same = self._trial[0] == code
            if not is_same:
                self._fall_back()
            self._trial = None
            self._answer(is_good=is_same)
            return
        self._answer()
        self._queue(Reply(b"", baud_after=BAUD_CODES[code]))
        self._trial = (code, self.baud, self._now_s + TRIAL_S)
        self._deaf_until_s = self._now_s + DEAF_S

    def _fall_back(self) -> None:
        if self._trial is not None:
            self.baud = self._trial[1]
        self._trial = None

    def _query(self) -> Conversation:
        """`?` and the letter of what is asked for; `?x` and the number of a constant."""
        byte = yield
        self._echo(bytes([byte]))
        settings = self.settings
        code = next(code for code, baud in BAUD_CODES.items() if baud == self.baud)
        values = {
            "A": settings.scans,
            "B": settings.boxcar,
            "I": min(settings.integration_us // 1_000, 0xFFFF),
            "J": settings.lamp_on,
            "K": code,
            "T": settings.trigger,
        }
        letter = chr(byte)
        if letter == "x":
            index = yield from self._read_number()
            text = self.constants.get(index)
            self._answer(b"" if text is None else text + b"\r", is_good=text is not None)
        elif letter == "i":
            self._answer(self._number(settings.integration_us, 4))
        elif letter in values:
            self._answer(self._number(values[letter]))
        else:
            self._answer(is_good=False)

    def _choose_pixels(self) -> Conversation:
        mode = yield from self._read_number()
        arguments: list[int] = []
        count = PIXEL_ARGUMENTS.get(mode, 0)
        while len(arguments) < count:
            value = yield from self._read_number()
            arguments.append(value)
            if mode == 4 and len(arguments) == 1 and 1 <= value <= RANDOM_PIXELS_MAX:
                count += value
        is_good = self.probe.exposure is None and has_pixels(
            mode, arguments, self.model.pixel_count
        )
        if is_good:
            self.settings.pixel_mode, self.settings.pixel_arguments = mode, arguments
        self._answer(is_good=is_good)

    def _write_constant(self) -> Conversation:
        index = yield from self._read_number()
        text = yield from self._read_text(TEXT_BYTES_MAX)
        is_good = index in self.constants and len(text) <= TEXT_BYTES_MAX
        is_good = is_good and self.probe.exposure is None
        if is_good:
            self.constants[index] = text
        self._answer(is_good=is_good)

    # ---------------------------------------------------------------------------------- exposure

    def _expose(self) -> Conversation:
        """Start a spectrum, unless one is under way or nothing can trigger it."""
        yield from ()
        settings = self.settings
        if self.is_broken or self.probe.exposure is not None:
            self.counts.refusals += 1
            self._say(ETX)
            return
        if settings.trigger:
            return  # it waits for a trigger that never comes
        self._exposed = replace(settings)
        duration_s = settings.integration_us * settings.scans / 1e6
        self.probe.begin(
            Exposure(
                integration_us=settings.integration_us,
                scans=settings.scans,
                boxcar=0,
                binning=0,
                is_corrected=False,
                ends_s=self._now_s + duration_s,
                gathered_e=np.zeros(self.model.pixel_count),
            ),
            self._now_s,
        )
