"""Goal: the service supervisor hears what it is told, and nobody else is troubled.

Method: real datagram sockets, in a folder and (on Linux) in the abstract namespace.
"""

import contextlib
import os
import socket
import sys

import pytest

from gateway.observe.notify import STATUS_CHARS_MAX, Notify, status_line

ABSTRACT = [pytest.param("@harmattan-test-{pid}", id="abstract")] * (sys.platform == "linux")


@contextlib.contextmanager
def listening(address):
    """Listen as a supervisor does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + address[1:] if address.startswith("@") else address)
        listener.settimeout(0)
        yield listener


@pytest.mark.parametrize("place", [pytest.param("{folder}/n", id="path"), *ABSTRACT])
def test_what_is_told_arrives(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    address = place.format(folder=tmp_path, pid=os.getpid())
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000", "PATH": "/bin"}
    with listening(address) as listener:
        notify = Notify.from_environment(environment)
        assert notify.tell("READY=1", status_line("two\nlines"))
        assert listener.recv(4096) == b"READY=1\nSTATUS=two lines"
        notify.close()
        assert not notify.tell("READY=1")
    assert notify.watchdog_s == 30.0
    assert environment == {"PATH": "/bin"}  # what the gateway starts cannot speak for it


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": "vsock:2:1234", "WATCHDOG_USEC": "1000"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
    ],
)
def test_without_a_supervisor_nothing_happens(environment):
    notify = Notify.from_environment(environment)
    assert notify.watchdog_s is None
    assert not notify.tell("READY=1")
    notify.close()


def test_a_supervisor_that_takes_nothing_does_not_hang_the_gateway(tmp_path):
    address = str(tmp_path / "n")
    with listening(address):
        notify = Notify(address)
        for _ in range(10_000):
            if not notify.tell("WATCHDOG=1"):
                break
        else:
            pytest.fail("the socket never was full")
        notify.close()


def test_a_status_is_one_bounded_line():
    line = status_line("word\n" * 1_000)
    assert "\n" not in line
    assert len(line) == len("STATUS=") + STATUS_CHARS_MAX
