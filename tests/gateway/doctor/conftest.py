"""A post that is well, copied for each test from one that is built once."""

import shutil
import socket
from functools import partial

import pytest

from gateway.doctor.machine import Machine
from gateway.journal.starts import save_start
from tests.gateway.doctor.building import Built


def free_ports(count):
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports


def make_machine(folder):
    """Write what a healthy small computer says of itself; return where it is asked."""
    system, processes = folder / "sys", folder / "proc"
    zone, sensor = system / "class/thermal/thermal_zone0", system / "class/hwmon/hwmon0"
    for place in (zone, sensor, system / "class/rtc/rtc0", processes):
        place.mkdir(parents=True)
    (processes / "meminfo").write_text("MemTotal: 4000000 kB\nMemAvailable: 2000000 kB\n")
    for name, text in {"type": "cpu", "temp": "48000", "trip_point_0_type": "critical"}.items():
        (zone / name).write_text(f"{text}\n")
    (zone / "trip_point_0_temp").write_text("95000\n")
    (sensor / "name").write_text("rpi_volt\n")
    (sensor / "in0_lcrit_alarm").write_text("0\n")
    (sensor / "temp1_input").write_text("51000\n")
    (sensor / "temp1_crit").write_text("100000\n")
    return Machine(system, processes, synchronised=lambda: True, load=lambda: (0.1, 0.1, 0.1))


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("well")
    post = Built(folder, tuple(free_ports(3)))
    return post.make_keys().write_settings().make_journal()


@pytest.fixture
def well(built, tmp_path):
    """A post in which everything is well and nothing runs."""
    folder = tmp_path / "post"
    shutil.copytree(built.folder, folder)
    post = Built(folder, tuple(free_ports(3)), at_ms=built.at_ms)
    post.machine = make_machine(tmp_path)
    post.change(
        partial(
            save_start, now_ms=post.at_ms - 60_000, settings_digest=post.write_settings().digest()
        )
    )
    post.write_state()
    return post
