"""Board `unix`: a MicroPython of the unix port, for desks, tests and the simulated post.

Flash is a folder, the push button a line on standard input, signals are lines on standard output,
the serial port is a device file. Needs libc through `ffi`. Tried on Linux; on macOS there is no
signalfd, so SIGTERM ends the node at once and the broker publishes its will.
"""

import asyncio
import gc
import os
import struct
import sys

import ffi

from boards.tty import Port, make_room, open_port
from node import limits
from node.shelf import exists
from node.waiting import within_ms

if False:  # for the type checker: nothing of it is compiled
    from node.typed import BlockDevice, Budget, Call, Feeds, File, Report, TextIO, Utc, Wifi

BUDGET: "Budget" = {
    "journal_bytes_max": 4_194_304,  # about 1500 spectra of 1024 pixels
    "segment_bytes": 65_536,  # one eviction costs at most 32 such spectra
    "record_bytes_max": 8_448,  # 4096 pixels and 256 bytes of head
    "pixels_bytes_max": 8_192,
}
SIZES = {
    "architecture": "x64",
    "module_bytes_max": 6_144,  # of .mpy; loaded in one piece where the board has no ROMFS
    "total_bytes_max": 172_032,  # an eighth of a ROMFS partition of 192 KiB is left
    "partition_bytes": {"journal": 4_194_304, "spare": 524_288},
}

RESET_STATUS = 3  # exit status of a program that wants to be started again

_ON_LINUX = sys.platform == "linux"
_O_NONBLOCK = 0x800
_ENOENT = 2
_FOLDER = 0x4000  # of `ilistdir`
_SIG_BLOCK, _SIG_UNBLOCK = 0, 1
_SIGINT, _SIGTERM = 2, 15
_SIGSET_BYTES = 128

_libc = ffi.open(None)
_open = _libc.func("i", "open", "sii")
_close = _libc.func("i", "close", "i")
_fsync = _libc.func("i", "fsync", "i")
_umask = _libc.func("i", "umask", "i")
_chmod = _libc.func("i", "chmod", "si")
_sigprocmask = _libc.func("i", "sigprocmask", "ipp")


class Board:
    """This machine as a board.

    Args:
        folder: of the node: node.json, config.bin, journal/.
    """

    NAME = "unix"
    CRASH_CAUSES = (2, 3)  # as on the ESP32; whoever starts the program says what it was
    BUDGET = BUDGET

    def __init__(self, folder: str) -> None:
        # Documents lie in the journal: nobody else reads what the node writes, or has written.
        _umask(0o077)
        entries = os.ilistdir(folder) if exists(folder) else ()
        for name, kind in [entry[:2] for entry in entries]:
            if name.startswith("journal") or name.endswith(".img"):
                _chmod("%s/%s" % (folder, name), 0o700 if kind == _FOLDER else 0o600)
        self.folder = folder
        self._signals: File | None = None
        self._watchdog: Feeds | None = None
        self._laser_path = folder + "/laser.on"
        self.laser_line(0)  # a program that was killed may have left it
        make_room()

    def flash_devices(self) -> "list[tuple[str, BlockDevice]]":
        """Return the partitions that are there: journal.img, spare.img; none: a plain folder."""
        found: list[tuple[str, BlockDevice]] = []
        for name in ("journal", "spare"):
            path = "%s/%s.img" % (self.folder, name)
            if exists(path):
                # Not at the top: most nodes on a host have none, and memory is short.
                from boards.image import ImageBlocks  # noqa: PLC0415

                found.append((name, ImageBlocks(path)))
        return found

    def sync_folder(self, path: str) -> None:
        """Make names created in `path` durable."""
        descriptor = _open(path, 0, 0)
        if descriptor >= 0:
            _fsync(descriptor)
            _close(descriptor)

    def random_bytes(self, count: int) -> bytes:
        """Return `count` unpredictable bytes."""
        return os.urandom(count)

    def unique_id(self) -> str:
        """Return a name for this machine; empty: node.json names the node."""
        return ""

    def reset_cause(self) -> int:
        """Return what whoever started the program says; 0: nothing."""
        return int(os.getenv("HARMATTAN_RESET_CAUSE") or "0")

    def heap_free(self) -> int:
        """Return free bytes of the garbage-collected heap."""
        return gc.mem_free()

    def temperature_mc(self) -> "int | None":
        """Return the board's temperature in 1e-3 degree Celsius; this one has no sensor."""
        return None

    def supply_mv(self) -> "int | None":
        """Return the supply voltage in millivolt; this one has no meter."""
        return None

    def set_wall_time(self, _utc: "Utc") -> None:
        """Leave the host's clock alone: it is set by others."""

    def start_watchdog(self, watchdog_s: int, hung: "Call") -> None:
        """Have the program ended when nobody feeds the watchdog for `watchdog_s`; 0: none."""
        if watchdog_s:
            from boards.alarm import AlarmClock  # noqa: PLC0415 - not at a desk: memory is short

            self._watchdog = AlarmClock(watchdog_s, hung)

    def feed_watchdog(self) -> None:
        """Tell the watchdog that the node lives."""
        if self._watchdog is not None:
            self._watchdog.feed()

    def reset(self) -> None:
        """End the program with RESET_STATUS; whoever runs it starts it again, as a board would."""
        sys.exit(RESET_STATUS)

    def blink(self, on: bool) -> None:
        """Blink so that somebody finds this node: a line in the log."""
        _tell("lamps %s" % ("on" if on else "off"), sys.stderr)

    async def connect_network(self, _wifi: "Wifi") -> None:
        """Return when there is a network; the host has one."""

    def open_serial(self, name: str, baud: int) -> Port:
        """Open and lock a serial port, raw, 8N1, non-blocking.

        Raises:
            PortMissing, PortBusy, PortRefused: with the port and the remedy.
        """
        return open_port(name, baud)

    def signal(self, _lamp: str, line: str, word: str, _text: str) -> None:
        """Give a signal to whoever watches: a line on standard output, its last field the word."""
        if line:
            _tell('%s word="%s"' % (line, word), sys.stdout)

    def beat(self) -> None:
        """Do nothing: nothing blinks here."""

    def log(self, line: str) -> None:
        """Write a line to the log: standard error."""
        _tell(line, sys.stderr)

    async def pressed(self, report: "Report") -> str:
        """Return what was pressed: a line on standard input.

        Args:
            report: called while nobody presses.
        Returns:
            `hold` or `foot` for these lines, `button` for any other.
        """
        reader = asyncio.StreamReader(sys.stdin.buffer)
        line = b""
        while True:
            report()
            try:  # one at a time: readline() would block the loop
                character = await within_ms(reader.read(1), limits.POLL_MS)
            except asyncio.TimeoutError:
                continue
            if not character:  # standard input is closed: nobody presses any more
                await asyncio.sleep_ms(limits.POLL_MS)
                continue
            if character == b"\n" or len(line) >= limits.LINE_CHARS_MAX:
                return line.decode() if line in (b"hold", b"foot") else "button"
            line += character

    def laser_permit(self) -> str:
        """Return why the laser may not be on: what the file `interlock` says is open; "": it may.

        Without that file the interlock is closed and the key on.
        """
        try:
            with open(self.folder + "/interlock", "rb") as file:
                what = file.read(limits.LINE_CHARS_MAX).decode().strip()
        except OSError as error:
            if error.errno == _ENOENT:
                return ""
            return "interlock cannot be read: %s; check the file" % error
        except ValueError:
            what = ""
        return "interlock is open: %s; close it" % (what or "no word what")

    def laser_line(self, on_ms: int) -> None:
        """Close or open the line that feeds the laser: the file `laser.on` is there or not.

        Args:
            on_ms: longest time it may be closed; 0: open it.
        """
        try:
            if on_ms:
                open(self._laser_path, "wb").close()
            elif exists(self._laser_path):
                os.remove(self._laser_path)
        except OSError as error:
            self.log("file laser.on: %s" % error)

    def hold_signals(self) -> None:
        """Turn SIGTERM and SIGINT into something `stop_requested` can wait for."""
        if not _ON_LINUX:
            return
        mask = bytearray(_SIGSET_BYTES)
        struct.pack_into("<Q", mask, 0, 1 << (_SIGINT - 1) | 1 << (_SIGTERM - 1))
        _sigprocmask(_SIG_BLOCK, mask, None)
        descriptor = _libc.func("i", "signalfd", "ipi")(-1, mask, _O_NONBLOCK)
        self._signals = open(descriptor, "rb")  # noqa: SIM115 - open as long as the node

    async def stop_requested(self) -> None:
        """Return at SIGTERM or SIGINT; the next SIGINT ends the program at once."""
        if self._signals is None:
            await asyncio.Event().wait()
        await asyncio.StreamReader(self._signals).read(128)
        mask = bytearray(_SIGSET_BYTES)
        struct.pack_into("<Q", mask, 0, 1 << (_SIGINT - 1))
        _sigprocmask(_SIG_UNBLOCK, mask, None)


def _tell(line: str, file: "TextIO") -> None:
    try:
        print(line, file=file)
    except OSError:
        return  # nobody listens any more: the node works on
