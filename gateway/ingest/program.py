"""The broker's program on this computer: where it is, whether it may have its port, what runs."""

import errno
import os
import shutil
import socket
import subprocess
from pathlib import Path

from gateway.errors import BrokerError
from gateway.ingest import spare
from gateway.settings import BrokerSettings

_PROGRAM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")  # often not on PATH
_TREE = Path(__file__).resolve().parents[2]  # of the sources, where `make tools` puts one
_NO_ADDRESS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENODEV, errno.EINVAL})
_PROCESSES = Path("/proc")  # Linux; elsewhere `ps` is asked


def locate(name: str) -> str | None:
    """Return the path of a program: on PATH, else what `make tools` has fetched; None: neither."""
    return shutil.which(name) or shutil.which(name, path=str(_TREE / ".tools/bin"))


def find_program(name: str) -> str:
    """Return the path of mosquitto.

    Raises:
        BrokerError: there is none.
    """
    found = locate(name) or shutil.which(name, path=os.pathsep.join(_PROGRAM_FOLDERS))
    if found is not None:
        return found
    make = "run `make tools`, " if (_TREE / "Makefile").exists() else ""
    raise BrokerError(
        f"broker program {name!r} is not on PATH; {make}install mosquitto, or set broker.program in"
        " the settings"
    )


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
        if isinstance(error, socket.gaierror) or error.errno in _NO_ADDRESS:
            raise BrokerError(
                f"{setting.removesuffix('.port')}.host = {host!r} is no address of this computer"
                f" now: {error.strerror}; look at its network (`ip address`), or set it to one that"
                " the computer has"
            ) from error
        another = f"set {setting} to another in the settings and in the nodes"
        remedy = f"stop the program that has it, or {another}"
        if error.errno in {errno.EACCES, errno.EPERM}:
            remedy = f"this user may not have it: {another}, from 1024 on"
        raise BrokerError(
            f"{setting} {port} on {host} cannot be used: {error.strerror}; {remedy}"
        ) from error


def find_leftovers(configured: Path) -> list[int]:
    """Return the ids of the processes that run with this configuration, or its spare one."""
    found = []
    named = {os.fsencode(configured), os.fsencode(spare.beside(configured))}
    if _PROCESSES.joinpath("self", "cmdline").exists():
        for folder in _PROCESSES.iterdir():
            if folder.name.isdigit():
                try:
                    arguments = folder.joinpath("cmdline").read_bytes().split(b"\0")[:-1]
                except OSError:
                    continue  # it has ended, or is none of ours
                if arguments[-2:-1] == [b"-c"] and arguments[-1] in named:
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
