"""Serial ports of a host: device files, raw and locked, through libc."""

import asyncio
import os
import sys
import termios
from asyncio import core  # type: ignore[attr-defined]  # MicroPython's

import ffi

from node.errors import PortBusy, PortMissing, PortRefused

if False:  # for the type checker: nothing of it is compiled
    from node.typed import File, Stream

_ENOENT, _EACCES, _EBUSY, _ENODEV, _ENXIO = 2, 13, 16, 19, 6
_EAGAIN = 11 if sys.platform == "linux" else 35
_ON_LINUX = sys.platform == "linux"
_O_RDWR = 0x2
_O_NOCTTY = 0x100 if _ON_LINUX else 0x20000
_O_NONBLOCK = 0x800 if _ON_LINUX else 0x4
_LOCK_EX_NB = 2 | 4
# Rates that MicroPython's termios has no name for: asm-generic/termbits.h; elsewhere a rate is its
# own number.
_LINUX_SPEEDS = {
    300: 7,
    600: 8,
    1_200: 9,
    2_400: 11,
    4_800: 12,
    9_600: 13,
    19_200: 14,
    38_400: 15,
    57_600: 0x1001,
    115_200: 0x1002,
    230_400: 0x1003,
    460_800: 0x1004,
    921_600: 0x1007,
}

_POLLIN = 1
_WAITING_MAX = 12  # four instruments, buttons, signals, the connection; some to spare

_libc = ffi.open(None)
_open = _libc.func("i", "open", "sii")
_close = _libc.func("i", "close", "i")
_flock = _libc.func("i", "flock", "ii")


def make_room() -> None:
    """Have asyncio's poll take _WAITING_MAX descriptors before any of them waits.

    MicroPython 1.25 moves what waits when it makes room for a fifth descriptor, and an entry that
    has none of its own, a connection with TLS, then points nowhere: the program crashes. The room
    stays when they are gone.
    """
    poller, files = core._io_queue.poller, []  # noqa: SLF001 - nothing else gives it
    for _ in range(_WAITING_MAX):
        file = open("/dev/null", "rb")  # noqa: SIM115 - all of them at once
        poller.register(file, _POLLIN)
        files.append(file)
    for file in files:
        poller.unregister(file)
        file.close()


class Port:
    """An open serial port.

    Attributes:
        name, baud: as opened.
        stream: asyncio stream on it.
    """

    def __init__(self, name: str, baud: int, file: "File") -> None:
        self.name = name
        self.baud = baud
        self._file = file
        self.stream: Stream = asyncio.StreamReader(file)  # type: ignore[assignment]  # it writes, too

    def close(self) -> None:
        """Close it; the lock goes with the descriptor."""
        self._file.close()


def open_port(name: str, baud: int) -> Port:
    """Open and lock a serial port, raw, 8N1, non-blocking.

    Raises:
        PortMissing, PortBusy, PortRefused: with the port and the remedy.
    """
    speed = _LINUX_SPEEDS.get(baud) if _ON_LINUX else baud
    if speed is None:
        raise PortRefused(
            "baud rate %d of port %s is not supported; use one of %s"
            % (baud, name, ", ".join([str(rate) for rate in sorted(_LINUX_SPEEDS)]))
        )
    descriptor = _open(name, _O_RDWR | _O_NOCTTY | _O_NONBLOCK, 0)
    if descriptor < 0:
        raise _cannot_open(name, os.errno())  # type: ignore[attr-defined]  # unix port
    if _flock(descriptor, _LOCK_EX_NB) < 0:
        error = os.errno()  # type: ignore[attr-defined]  # unix port
        _close(descriptor)
        raise _cannot_open(name, _EBUSY if error == _EAGAIN else error)
    file = open(descriptor, "r+b")  # noqa: SIM115 - the Port closes it
    try:
        termios.setraw(descriptor)
        attributes = termios.tcgetattr(descriptor)
        attributes[4] = attributes[5] = speed
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
    except OSError:
        file.close()
        raise PortRefused("%s is not a serial port; set its port in node.json" % name)
    return Port(name, baud, file)


def _cannot_open(name: str, error: int) -> Exception:
    if error in (_ENOENT, _ENODEV, _ENXIO):
        return PortMissing(
            "serial port %s does not exist; plug the instrument in or set its port in "
            "node.json" % name
        )
    if error == _EBUSY:
        return PortBusy("serial port %s is in use; close the other program" % name)
    if error == _EACCES:
        return PortRefused("no permission for serial port %s; join its group (dialout)" % name)
    return PortRefused("serial port %s cannot be opened: error %d" % (name, error))
