"""Goal: the pseudo-terminal behaves like a serial port at its baud rate, whoever comes and goes.

Method: a client opens the real port by its path in a thread of its own and speaks frames. Lower
bounds of time are the line's promise (never faster than its rate) and hold on any machine; nothing
is asserted about being fast.
"""

import asyncio
import contextlib
import errno
import hashlib
import os
import struct
import termios
import time

import pytest

from simulators.faults import Fault, FaultPlan
from simulators.spectrometer.device import BOOT_S
from simulators.spectrometer.line import SpectrometerLine
from simulators.world import Component, Sample

DEADLINE_S = 30.0


def with_line(build_device, steps, *, baud=460_800, **options):
    """Run `steps(line, in_thread)` on a new line; `in_thread` runs a blocking client."""

    async def run():
        async with asyncio.timeout(DEADLINE_S):
            device = build_device(now_s=asyncio.get_running_loop().time())
            device.store_baud(baud)
            async with SpectrometerLine(device, **options) as line:
                await steps(line, asyncio.to_thread)
            return line

    return asyncio.run(run())


async def until(condition):
    """Wait for something on the loop that raises no event; the deadline is the whole test's."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


def test_serial_number_and_spectrum_over_the_port(build_device, open_port):
    async def steps(line, in_thread):
        line.present(Sample((Component("urea", 1.0),)))

        def talk():
            port = open_port(line.path)
            assert port.ask(0x100).data.decode() == line.device.serial_number
            assert port.ask(0x110010, struct.pack("<I", 22_000), ack=True).error == 0
            assert port.ask(0x810031, b"\0\0\1", ack=True).error == 0
            answer = port.ask(0x101100, md5=True, regarding=3)
            assert (answer.error, answer.regarding, len(answer.data)) == (0, 3, 2048)
            assert max(struct.unpack("<1024H", answer.data)) > 2000

        await in_thread(talk)

    line = with_line(build_device, steps)
    assert line.bytes_in == 4 * 64
    assert line.bytes_out == 3 * 64 + 44 + 2048 + 20
    assert line.bytes_lost == 0


@pytest.mark.parametrize("baud", [9600, 57_600])
def test_the_line_is_never_faster_than_its_rate(build_device, open_port, baud):
    async def steps(line, in_thread):
        def talk():
            port = open_port(line.path)
            start_s = time.monotonic()
            for _ in range(5):
                port.ask(0x100)
            return time.monotonic() - start_s

        took_s = await in_thread(talk)
        # 64 bytes each way, ten bit times a byte.
        assert took_s >= 5 * 128 * 10 / baud

    with_line(build_device, steps, baud=baud)


def test_a_baud_rate_is_changed_after_its_acknowledgement(build_device, open_port):
    async def steps(line, in_thread):
        def change():
            port = open_port(line.path)
            assert port.ask(0x810, struct.pack("<I", 115_200), ack=True).error == 0
            return port

        port = await in_thread(change)
        await until(lambda: line.device.baud == 115_200)
        answer = await in_thread(port.ask, 0x800)
        assert answer.data == struct.pack("<I", 115_200)

    with_line(build_device, steps, baud=19_200)


def test_clients_come_and_go(build_device, open_port):
    async def steps(line, in_thread):
        def visit():
            with open_port(line.path) as port:
                return port.ask(0x100).data

        serial_numbers = {await in_thread(visit) for _ in range(6)}
        assert serial_numbers == {line.device.serial_number.encode()}

    with_line(build_device, steps)


def test_the_port_is_raw_for_every_client(build_device):
    async def steps(line, in_thread):
        def look():
            fd = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
            try:
                return termios.tcgetattr(fd)
            finally:
                os.close(fd)

        for _ in range(2):
            iflag, oflag, _, lflag, *_ = await in_thread(look)
            assert not lflag & (termios.ECHO | termios.ICANON | termios.ISIG)
            assert not oflag & termios.OPOST
            assert not iflag & (termios.ICRNL | termios.IXON)

    with_line(build_device, steps)


def test_what_nobody_reads_is_lost(build_device, open_port, pack):
    async def steps(line, in_thread):
        def ask_and_leave():
            with open_port(line.path) as port:
                port.send(pack(0x101100, regarding=2))

        await in_thread(ask_and_leave)
        await until(lambda: line.bytes_lost > 0)
        answer = await in_thread(lambda: open_port(line.path).ask(0x100, regarding=3))
        assert answer.regarding == 3

    with_line(build_device, steps, baud=9600)


def test_a_request_of_a_client_already_gone_is_still_read(build_device, open_port, pack):
    async def steps(line, _):
        await until(lambda: line.is_closed)
        # Between two looks of the line: it never sees the port open.
        with open_port(line.path) as port:
            port.send(pack(0x110010, struct.pack("<I", 50_000)))
        await until(lambda: line.bytes_in == 64)
        assert line.device.capabilities.settings.integration_us == 50_000

    with_line(build_device, steps)


def test_the_next_client_does_not_read_what_the_last_one_left(build_device, open_port, pack):
    async def steps(line, in_thread):
        port = open_port(line.path)
        port.send(pack(0x100, regarding=1))
        await until(lambda: line.bytes_out == 64)
        port.close()
        await until(lambda: line.is_closed)
        answer = await in_thread(lambda: open_port(line.path).ask(0x100, regarding=2))
        assert answer.regarding == 2

    with_line(build_device, steps)


def test_half_a_request_does_not_spoil_the_next(build_device, open_port, pack):
    async def steps(line, in_thread):
        def talk():
            port = open_port(line.path)
            port.send(pack(0x100)[:30])
            port.send(b"\xc1\xc0\x00" * 50)
            return port.ask(0x100, regarding=8)

        assert (await in_thread(talk)).regarding == 8

    with_line(build_device, steps)


def test_unplugged_the_client_is_hung_up_and_the_link_leads_to_the_new_port(
    build_device, open_port, tmp_path
):
    link = tmp_path / "spectrometer"

    async def steps(line, in_thread):
        def talk():
            port = open_port(link)
            assert port.ask(0x100).error == 0
            return port

        port = await in_thread(talk)
        old_path = line.path
        assert str(link.readlink()) == old_path
        unplugging = asyncio.create_task(line.unplug(0.05))
        await until(lambda: line.path == "")
        assert not link.is_symlink()  # it would lead to whoever has that number next

        def read_hang_up():
            try:
                return os.read(port.fd, 10)
            except OSError as error:
                return error.errno

        assert await in_thread(read_hang_up) in (b"", errno.EIO)
        await unplugging
        assert line.path != ""
        assert str(link.readlink()) == line.path
        port.close()
        assert (await in_thread(lambda: open_port(link).ask(0x100))).error == 0

    with_line(build_device, steps, link=link)
    assert not link.is_symlink()


def test_unplugging_an_idle_port_does_not_stop_the_line(build_device, open_port):
    async def steps(line, in_thread):
        for _ in range(3):
            await line.unplug(0.0)
            assert (await in_thread(lambda: open_port(line.path).ask(0x100))).error == 0

    with_line(build_device, steps)


def test_faults_of_a_plan_reach_the_client(build_device, open_port, pack):
    plan = FaultPlan(
        [
            Fault("mute", at=1),
            Fault("garbage", at=2, bytes=5),
            Fault("checksum", at=3),
            Fault("reset", at=4),
        ]
    )

    async def steps(line, in_thread):
        def talk():
            port = open_port(line.path)
            port.send(pack(0x100, regarding=1))
            port.send(pack(0x100, regarding=2))
            with_garbage = port.read(5 + 64)
            assert with_garbage[5:7] == b"\xc1\xc0"
            assert with_garbage[17] == 2
            port.send(pack(0x100, md5=True))
            wrong = port.read(64)
            port.send(pack(0x100, md5=True))  # swallowed by the reset
            return port, wrong

        port, wrong = await in_thread(talk)
        await until(lambda: line.device.counts.resets == 1)
        ready_s = asyncio.get_running_loop().time() + BOOT_S
        await until(lambda: asyncio.get_running_loop().time() >= ready_s)

        def after():
            return port.ask(0x100, md5=True), port.ask(0x100, md5=True)

        first, second = await in_thread(after)
        assert (first.error, second.error) == (9, 0)
        digest = hashlib.md5(wrong[:-20]).digest()
        assert (wrong[-20] ^ 1, wrong[-19:-4]) == (digest[0], digest[1:])

    with_line(build_device, steps, faults=plan)
    assert plan.struck == {"mute": 1, "garbage": 1, "checksum": 1, "reset": 1}


def test_an_unplug_fault_brings_the_port_back(build_device, open_port, pack, tmp_path):
    link = tmp_path / "port"

    async def steps(line, in_thread):
        first = open_port(link)
        first.send(pack(0x100))
        await until(lambda: line.path == "")
        first.close()
        await until(lambda: line.path != "")
        assert (await in_thread(lambda: open_port(link).ask(0x100))).error == 0

    plan = FaultPlan([Fault("unplug", seconds=0.05)])
    with_line(build_device, steps, link=link, faults=plan)


def test_an_error_in_the_body_closes_the_port(build_device):
    class BodyError(Exception):
        pass

    paths = []

    async def steps(line, _):
        paths.append(line.path)
        raise BodyError

    with pytest.raises(BodyError):
        with_line(build_device, steps)
    with contextlib.suppress(FileNotFoundError):
        os.close(os.open(paths[0], os.O_RDWR | os.O_NOCTTY))
        pytest.fail("the port outlived its context")


def test_a_failure_of_the_device_ends_the_body(build_device, open_port, pack):
    class DeviceError(Exception):
        pass

    async def steps(line, _):
        def fail(*_):
            raise DeviceError

        line.device.receive = fail
        open_port(line.path).send(pack(0x100))
        await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        with_line(build_device, steps)
    assert caught.group_contains(DeviceError)


def test_a_client_that_never_reads_loses_bytes_and_nothing_stops(
    build_device, open_port, pack, monkeypatch
):
    monkeypatch.setattr("simulators.line.STUCK_S", 0.05)

    async def steps(line, in_thread):
        port, sent = open_port(line.path), 0
        while line.bytes_lost == 0:
            port.send(pack(0x82))
            sent += 64
            await until(lambda: line.bytes_in == sent)  # noqa: B023
        assert line.bytes_out < 100_000
        port.close()
        await until(lambda: line.is_closed)

        def come_back():
            port = open_port(line.path)
            answer = port.ask(0x100, regarding=9)
            while answer.regarding != 9:  # what was still on its way to the silent client
                answer = port.read_answer()
            return answer

        assert (await in_thread(come_back)).data.decode() == line.device.serial_number

    with_line(build_device, steps)
