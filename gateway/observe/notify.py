"""What is said to the service supervisor: ready, alive, stopping, and one line of status.

The protocol is systemd's sd_notify(3): datagrams of assignments to the socket that the environment
names. Without one nothing is said, and a gateway at a terminal behaves the same.
"""

import os
import socket
from collections.abc import MutableMapping
from typing import Self

STATUS_CHARS_MAX = 300  # one line of `systemctl status`
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notify:
    """The way to the service supervisor.

    Args:
        address: of its socket, `@` for the abstract namespace; empty: there is no supervisor.
        watchdog_s: within which it wants to hear from us; None: it does not watch.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(0)  # a supervisor that hangs must not hang the gateway

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Self:
        """Return the way that the environment names, and take it out: children have no say."""
        address, period, pid = (environment.pop(name, "") for name in _VARIABLES)
        if not address.startswith(("/", "@")):
            return cls()
        is_watched = period.isdigit() and int(period) > 0 and pid in {"", str(os.getpid())}
        return cls(address, int(period) / 1e6 if is_watched else None)

    @property
    def is_there(self) -> bool:
        """Whether there is a supervisor to be told."""
        return self._socket is not None

    def tell(self, *assignments: str) -> bool:
        """Say something, such as `READY=1`; False: it was not taken, which is no reason to end."""
        if self._socket is None:
            return False
        try:
            self._socket.sendto("\n".join(assignments).encode(), self._address)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let the socket go."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def status_line(text: str) -> str:
    """Return the assignment that shows `text` in `systemctl status`: one bounded line."""
    return "STATUS=" + " ".join(text.split())[:STATUS_CHARS_MAX]
