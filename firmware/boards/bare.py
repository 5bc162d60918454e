"""What the boards without an operating system share; `machine` does the work.

Not run by the tests: no such board was at hand. Therefore short, and only documented calls of
MicroPython 1.25. A board module gives the data and what differs.
"""

import asyncio
import gc
import os
import time

import machine
import network

from boards.chain import Chain
from boards.panel import Panel
from boards.switches import POLL_MS, Switch
from node.errors import LinkLost, PortBusy, PortMissing, SettingsError

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Budget, Call, Callable, Report, Stream, Utc, Wifi

WATCHDOG_MS = 8_000  # rp2 allows at most 8388 ms; erasing a flash block takes below 400 ms
HUNG_MS = 6_000  # unfed for so long: two seconds are left to say what hangs
WIFI_MS_MAX = 20_000  # association and DHCP; then the link task waits and tries again
RECEIVE_BUFFER_BYTES = 2_560  # a frame of 1024 pixels; the loop may be busy with flash meanwhile


class Port:
    """An open UART.

    Attributes:
        name, baud: as opened.
        stream: asyncio stream on it.
    """

    def __init__(self, board: "Board", name: str, baud: int, uart: machine.UART) -> None:
        self.name = name
        self.baud = baud
        self._board = board
        self._uart = uart
        self.stream: Stream = asyncio.StreamReader(uart)  # type: ignore[assignment]  # it writes, too

    def close(self) -> None:
        """Switch the UART off."""
        self._uart.deinit()
        self._board.open_ports.remove(self.name)


class Board:
    """A microcontroller as a board; see boards/README.md for the interface."""

    NAME = ""
    CRASH_CAUSES: "tuple[int, ...]"  # of `reset_cause`, where nobody asked for the reset
    BUDGET: "Budget"
    UARTS: "dict[str, tuple[int, int, int]]" = {}  # name: (number, tx pin, rx pin)
    BUTTON_PIN = 0  # to ground when pressed
    FOOT_PIN: "int | None" = None  # the same, of a foot switch; left open where there is none
    TIMER = 0  # number of a free timer
    INTERLOCK_PIN: "int | None" = None  # to ground while the chain is closed; None: not wired
    KEY_PIN: "int | None" = None  # to ground while the key is on
    LASER_PIN: "int | None" = None  # high closes the relay that feeds the laser; pulled down
    LASER_TIMER = 1  # number of another free timer
    LAMP_PINS: "dict[str, int]" = {}  # ready, measuring, fault: pin; see boards/panel.py
    BUZZER_PIN: "int | None" = None
    DISPLAY: "tuple[int, int, int, int] | None" = None  # I2C number, clock, data pin, address

    def __init__(self, folder: str) -> None:
        self._check_pins()
        self.folder = folder
        self.open_ports: list[str] = []
        self._watchdog: machine.WDT | None = None
        self._timer: machine.Timer  # since `start_watchdog`, as `_hung`
        self._hung: Callable[[object], None]
        self._switches = [_switch(self.BUTTON_PIN, ("button", "hold"))]
        if self.FOOT_PIN is not None:
            self._switches.append(_switch(self.FOOT_PIN, ("foot", None)))
        pins = (self.LASER_PIN, self.INTERLOCK_PIN, self.KEY_PIN)
        self._chain = Chain(pins, self.LASER_TIMER, self.log)
        self._panel = Panel(self.LAMP_PINS, self.BUZZER_PIN, self.DISPLAY, self.log)

    def _check_pins(self) -> None:
        """Refuse a pin that has two uses: what one does the other would take for a person's doing.

        Raises:
            SettingsError: names the pin.
        """
        pins = [self.BUTTON_PIN, self.FOOT_PIN, self.BUZZER_PIN]
        pins += [self.LASER_PIN, self.INTERLOCK_PIN, self.KEY_PIN]
        pins += self.LAMP_PINS.values()
        pins += (self.DISPLAY or ())[1:3]
        for _, tx, rx in self.UARTS.values():
            pins += (tx, rx)
        for pin in pins:
            if pin is not None and pins.count(pin) > 1:
                raise SettingsError("boards/%s.py: pin %d has two uses" % (self.NAME, pin))

    def sync_folder(self, _path: str) -> None:
        """Do nothing: littlefs makes new names durable by itself."""

    def random_bytes(self, count: int) -> bytes:
        """Return `count` bytes of the hardware's noise source."""
        return os.urandom(count)

    def unique_id(self) -> str:
        """Return the chip's identity, hexadecimal."""
        return machine.unique_id().hex()

    def reset_cause(self) -> int:
        """Return why the board started, in MicroPython's numbers."""
        return machine.reset_cause()

    def heap_free(self) -> int:
        """Return free bytes of the garbage-collected heap."""
        return gc.mem_free()

    def supply_mv(self) -> "int | None":
        """Return None: not every board has a divider to the supply; one that has says so itself."""
        return None

    def set_wall_time(self, utc: "Utc") -> None:
        """Set the chip's clock, by which TLS judges certificates: year ... weekday ... second."""
        machine.RTC().datetime(utc + (0,))

    def start_watchdog(self, _watchdog_s: int, hung: "Call") -> None:
        """Have the board reset when nobody feeds the watchdog for WATCHDOG_MS.

        Shortly before, `hung` is called within whatever runs, if that is Python code at all.
        """
        self._hung = lambda _: hung()
        self._timer = machine.Timer(self.TIMER)
        self._watchdog = machine.WDT(timeout=WATCHDOG_MS)

    def feed_watchdog(self) -> None:
        """Tell the watchdog that the node lives."""
        if self._watchdog is not None:
            self._watchdog.feed()
            self._timer.init(mode=machine.Timer.ONE_SHOT, period=HUNG_MS, callback=self._hung)

    def reset(self) -> None:
        """Start the board anew; it does not return."""
        machine.reset()

    def blink(self, on: bool) -> None:
        """Switch every lamp on or off, so that somebody finds this node among others."""
        self._panel.blink(on)

    async def connect_network(self, wifi: "Wifi") -> None:
        """Return when the board is in its Wi-Fi network.

        Raises:
            LinkLost: not within WIFI_MS_MAX.
        """
        station = network.WLAN(network.STA_IF)
        station.active(True)
        if station.isconnected():
            return
        station.connect(wifi["ssid"], wifi["password"])
        deadline_ms = time.ticks_add(time.ticks_ms(), WIFI_MS_MAX)
        while not station.isconnected():
            if time.ticks_diff(deadline_ms, time.ticks_ms()) <= 0:
                station.active(False)
                raise LinkLost("Wi-Fi %s is not reached; check wifi in node.json" % wifi["ssid"])
            await asyncio.sleep_ms(100)

    def open_serial(self, name: str, baud: int) -> Port:
        """Open a UART of this board.

        Raises:
            PortMissing, PortBusy: with the port and the remedy.
        """
        if name not in self.UARTS:
            raise PortMissing(
                "serial port %s does not exist on %s; use one of %s"
                % (name, self.NAME, ", ".join(sorted(self.UARTS)))
            )
        if name in self.open_ports:
            raise PortBusy("serial port %s is in use by another instrument" % name)
        number, tx, rx = self.UARTS[name]
        uart = machine.UART(
            number,
            baudrate=baud,
            tx=machine.Pin(tx),
            rx=machine.Pin(rx),
            rxbuf=RECEIVE_BUFFER_BYTES,
        )
        self.open_ports.append(name)
        return Port(self, name, baud, uart)

    def signal(self, lamp: str, line: str, _word: str, text: str) -> None:
        """Show it on lamps, buzzer and display, and print the signal's line on the console."""
        self._panel.show(lamp, text)
        if line:
            print(line)

    def beat(self) -> None:
        """Have what blinks blink; called once a second."""
        self._panel.beat()

    def log(self, line: str) -> None:
        """Write a line to the console."""
        print(line)

    async def pressed(self, report: "Report") -> str:
        """Return what was pressed: `button`, `hold` (the button, for three seconds) or `foot`.

        Args:
            report: called while nobody presses.
        """
        while True:
            report()
            for switch in self._switches:
                press = switch.look()
                if press:
                    return press
            await asyncio.sleep_ms(POLL_MS)

    def laser_permit(self) -> str:
        """Return why the laser may not be on, in plain words; empty: it may."""
        return self._chain.permit()

    def laser_line(self, on_ms: int) -> None:
        """Close the relay that feeds the laser for at most `on_ms`; 0: open it."""
        self._chain.line(on_ms)

    def hold_signals(self) -> None:
        """Do nothing: nobody sends signals to a board."""

    async def stop_requested(self) -> None:
        """Never return: a board runs until its power goes."""
        await asyncio.Event().wait()


def _switch(number: int, names: "tuple[str, str | None]") -> Switch:
    return Switch(machine.Pin(number, machine.Pin.IN, machine.Pin.PULL_UP).value, names)
