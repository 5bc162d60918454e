"""The broker's program on this computer: where it is, whether it may have its port, what runs."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from gateway.errors import BrokerError
from gateway.settings import BrokerSettings

_PROGRAM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")  # often not on PATH
_PROCESSES = Path("/proc")  # Linux; elsewhere `ps` is asked


def find_program(name: str) -> str:
    """Return the path of mosquitto.

    Raises:
        BrokerError: there is none.
    """
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_PROGRAM_FOLDERS))
    if found is None:
        raise BrokerError(
            f"broker program {name!r} is not on PATH; run `make tools`, install mosquitto,"
            " or set broker.program in the settings"
        )
    return found


def check_port(host: str, port: int, setting: str = "broker.port") -> None:
    """Make sure that the broker can listen.

    Args:
        host: address to listen on.
        port: to listen on.
        setting: that says so.

    Raises:
        BrokerError: another program has the port, or this user may not have it.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        raise BrokerError(
            f"{setting} {port} on {host} cannot be used: {error.strerror}; stop the program that"
            f" has it, or set {setting} to another in the settings and in the nodes"
        ) from error


def find_leftovers(configured: Path) -> list[int]:
    """Return the ids of the processes that run with this configuration file."""
    found = []
    if _PROCESSES.joinpath("self", "cmdline").exists():
        for folder in _PROCESSES.iterdir():
            if folder.name.isdigit():
                try:
                    arguments = folder.joinpath("cmdline").read_bytes().split(b"\0")[:-1]
                except OSError:
                    continue  # it has ended, or is none of ours
                if arguments[-2:] == [b"-c", os.fsencode(configured)]:
                    found.append(int(folder.name))
        return found
    listing = subprocess.run(
        ["ps", "-axwwo", "pid=,command="], capture_output=True, text=True, timeout=5, check=True
    )
    for line in listing.stdout.splitlines():
        number, _, command = line.strip().partition(" ")
        if command.endswith(f" -c {configured}"):
            found.append(int(number))
    return found


def hint_of_root(settings: BrokerSettings) -> str:
    """Return what may be wrong when root starts a broker that nodes connect to."""
    if os.geteuid() != 0 or not settings.nodes.host:
        return ""
    return (
        "; started by root it became `nobody`, who may not read the post's keys: run the gateway as"
        " a user of its own"
    )
