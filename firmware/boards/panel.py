"""What an officer sees and hears on a board: lamps, a buzzer, a small text display; all optional.

Rules of the file
- A board says as data which pins it has; what is shown on them stands in PATTERNS and BEEPS.
- `show` is called at each signal, `beat` once a second: blinking and beeping go by beats.
- An alarm keeps lamps and display for ALARM_BEATS, whatever comes meanwhile but another verdict;
  the newest of that is shown afterwards.
- A display that does not answer costs nothing but itself, and is tried again later.
"""

import framebuf
import machine

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Log

ALARM_BEATS = 10  # s; a node that measures by itself would take it away at once
RETRY_BEATS = 60  # s; a bus without a display takes up to 50 ms to say so
# What is shown: lamps that are lit, lamps that blink. Lamps that a board lacks are left out.
PATTERNS = {
    "ready": (("ready",), ()),
    "measuring": (("measuring",), ()),
    "published": (("ready",), ("measuring",)),  # sent, and under way
    "sent": (("ready", "measuring"), ()),  # stored at the post
    "clear": ((), ("ready",)),
    "inconclusive": ((), ("measuring",)),
    "alarm": ((), ("measuring", "fault")),
    "fault": (("fault",), ()),
    "reread": ((), ("ready", "measuring")),
}
BEEPS = {
    "clear": 1,
    "inconclusive": 2,
    "alarm": 5,
    "fault": 1,
    "reread": 3,
}  # one second each, and one between
VERDICTS = ("clear", "inconclusive", "alarm")

LETTER_PIXELS = 8  # of framebuf's own letters, both ways
_SETUP = (  # SSD1306 and what understands the same, 128 x 64, from its data sheet
    b"\xae\x20\x00\x40\xa1\xa8\x3f\xc8\xd3\x00\xda\x12\xd5\x80\xd9\xf1\xdb\x30\x81\xcf\xa4\xa6"
    b"\x8d\x14\xaf"
)
_WHOLE = b"\x21\x00\x7f\x22\x00\x07"  # what follows fills all columns and pages from the first on


class Display:
    """A text display on I2C.

    Args:
        wiring: number of the bus, clock pin, data pin, address.
        log: function of one line.
    """

    WIDTH, HEIGHT = 128, 64

    def __init__(self, wiring: "tuple[int, int, int, int]", log: "Log") -> None:
        number, clock, signal, self._address = wiring
        self._log = log
        self._i2c = machine.I2C(
            number, scl=machine.Pin(clock), sda=machine.Pin(signal), freq=400_000
        )
        self._buffer = bytearray(1 + self.WIDTH * self.HEIGHT // 8)
        self._buffer[0] = 0x40  # what follows are pixels
        self._frame = framebuf.FrameBuffer(
            memoryview(self._buffer)[1:], self.WIDTH, self.HEIGHT, framebuf.MONO_VLSB
        )
        self._is_ready = False
        self._was_ready = True  # so that its absence is told once
        self._wait_beats = 0
        self._text = ""

    def show(self, text: str) -> None:
        """Show lines of ASCII, broken where they are too long; what does not fit is left out."""
        self._text = text
        if self._wait_beats:
            return
        self._frame.fill(0)
        rows = broken(text, self.WIDTH // LETTER_PIXELS, self.HEIGHT // LETTER_PIXELS)
        for row, line in enumerate(rows):
            self._frame.text(line, 0, row * LETTER_PIXELS, 1)
        try:
            if not self._is_ready:
                self._i2c.writeto(self._address, b"\x00" + _SETUP)
            self._i2c.writeto(self._address, b"\x00" + _WHOLE)
            self._i2c.writeto(self._address, self._buffer)
            self._is_ready = self._was_ready = True
        except OSError as error:
            self._is_ready, self._wait_beats = False, RETRY_BEATS
            if self._was_ready:
                self._log("display does not answer (%s); if there is one, look at it" % error)
            self._was_ready = False

    def beat(self) -> None:
        """Try a display again that did not answer."""
        if self._wait_beats:
            self._wait_beats -= 1
            if not self._wait_beats:
                self.show(self._text)


class Panel:
    """What one board has of all this.

    Args:
        lamps: name (ready, measuring, fault) to pin; lit at 1.
        buzzer: pin of one that sounds at 1, None: there is none.
        display: wiring of one, None: there is none.
        log: function of one line.
    """

    def __init__(
        self,
        lamps: "dict[str, int]",
        buzzer: "int | None",
        display: "tuple[int, int, int, int] | None",
        log: "Log",
    ) -> None:
        self._lamps = {}
        for name, pin in lamps.items():
            self._lamps[name] = machine.Pin(pin, machine.Pin.OUT, value=0)
        self._buzzer = None
        if buzzer is not None:
            self._buzzer = machine.Pin(buzzer, machine.Pin.OUT, value=0)
        self._display = None if display is None else Display(display, log)
        self._lamp = ""
        self._behind: tuple[str, str] | None = None  # what waits until an alarm was seen
        self._held_beats = 0
        self._sounding = 0  # beats: odd ones are silent
        self._is_lit = True  # of what blinks

    def show(self, lamp: str, text: str) -> None:
        """Show what holds now: one of PATTERNS or "", and the text for the display."""
        if self._held_beats and lamp not in VERDICTS:
            self._behind = (lamp, text)
            return
        self._behind = None
        is_new, self._lamp = lamp != self._lamp or lamp in VERDICTS, lamp
        self._held_beats = ALARM_BEATS if lamp == "alarm" else 0
        if is_new and lamp in BEEPS:
            self._sounding = 2 * BEEPS[lamp]
        self._is_lit = True
        self._light()
        if self._display is not None:
            self._display.show(text)

    def beat(self) -> None:
        """Blink, beep, and show what waited behind an alarm; call it once a second."""
        if self._held_beats:
            self._held_beats -= 1
            if not self._held_beats and self._behind is not None:
                self.show(*self._behind)
                return
        self._is_lit = not self._is_lit
        self._sounding = max(self._sounding - 1, 0)
        self._light()
        if self._display is not None:
            self._display.beat()

    def blink(self, on: bool) -> None:
        """Switch every lamp on or off, so that somebody finds this board among others."""
        for lamp in self._lamps.values():
            lamp.value(on)

    def _light(self) -> None:
        steady, blinking = PATTERNS.get(self._lamp, ((), ()))
        for name, lamp in self._lamps.items():
            lamp.value(name in steady or (name in blinking and self._is_lit))
        if self._buzzer is not None:
            self._buzzer.value(self._sounding > 0 and self._sounding % 2 == 0)


def broken(text: str, width: int, count_max: int) -> "list[str]":
    """Return `text` in lines of at most `width` letters, broken between words, at most so many."""
    rows = []
    for line in text.split("\n"):
        row = ""
        for word in line.split(" "):
            if row and len(row) + 1 + len(word) > width:
                rows.append(row)
                row = ""
            row = row + " " + word if row else word
            while len(row) > width:
                rows.append(row[:width])
                row = row[width:]
        rows.append(row)
    return rows[:count_max]
