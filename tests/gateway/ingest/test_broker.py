"""Goal: the post's broker runs whenever it can, and says in one sentence why when it cannot.

Method: the real mosquitto as the child of the real `Broker`, on ports that are free, taken or
unusable, beside programs that resemble it.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from gateway.errors import BrokerError
from gateway.ingest import answering
from gateway.ingest.answering import MUTE, is_alive
from gateway.ingest.broker import (
    Broker,
    check_port,
    configuration,
    find_leftovers,
    find_program,
)
from gateway.ingest.mosquitto import CONNECTIONS_OWN, CONNECTIONS_SPARE
from gateway.ingest.program import _TREE
from gateway.observe.counters import Counters
from gateway.settings import BrokerSettings, NodeListenerSettings
from tests.gateway.running import recording, rows, running, starting, write_settings
from tests.gateway.scripted import connected
from tests.gateway.seen import DEADLINE_S, Log


def spawn(command, **keywords):
    """Start a program; it is running when this returns."""
    return subprocess.Popen(command, **keywords)


@contextlib.contextmanager
def broker_of(folder, port, log, **changes):
    settings = BrokerSettings(port=port, **changes)
    yield Broker(settings, folder, counters=Counters(), log=recording(log))


async def fault_of(broker):
    """Run the broker until it gives up; return its sentence."""
    with pytest.raises(BrokerError) as caught:
        await asyncio.wait_for(broker.run(), DEADLINE_S)
    return str(caught.value)


def test_a_busy_port_is_named_with_the_remedy(tmp_path, free_port):
    async def story():
        with (
            socket.create_server(("127.0.0.1", free_port)),
            broker_of(tmp_path, free_port, Log()) as broker,
        ):
            text = await fault_of(broker)
        assert text == (
            f"broker.port {free_port} on 127.0.0.1 cannot be used: Address already in use; stop the"
            " program that has it, or set broker.port to another in the settings and in the nodes"
        )
        assert not broker.ready.is_set()
        assert not list(tmp_path.iterdir())

    asyncio.run(story())


def test_a_post_whose_port_is_taken_speaks_to_no_foreign_broker(tmp_path, free_port):
    """It waits, tells why, and goes on by itself when the port is free."""

    async def story():
        with socket.create_server(("127.0.0.1", free_port)) as foreign:
            foreign.settimeout(0)
            async with starting(write_settings(tmp_path, free_port)) as log:
                await log.event("task_fault", 2, task="broker")
                with pytest.raises(BlockingIOError):
                    foreign.accept()  # nobody has called
                assert not log.events("task_fault", task="link")
                foreign.close()
                await log.event("broker_connected")

    asyncio.run(story())


def test_a_port_that_needs_rights_or_a_host_that_is_not_ours_is_named(monkeypatch):
    for place in ("192.0.2.1", "2001:db8::1"):
        words = f"broker.nodes.host = '{place}' is no address of this computer now: "
        with pytest.raises(BrokerError) as caught:
            check_port(place, 18883, "broker.nodes.port")
        assert str(caught.value).startswith(words)
        assert "stop the program" not in str(caught.value)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(
        BrokerError, match=r"port 80 on 127\.0\.0\.1 cannot be used: Permission.*1024"
    ):
        check_port("127.0.0.1", 80)


def test_what_make_has_fetched_is_found_without_make(tmp_path, monkeypatch):
    """As the README has it: `harmattan` in a terminal, whose PATH knows nothing of .tools."""
    fetched = tmp_path / ".tools/bin/mosquitto"
    fetched.parent.mkdir(parents=True)
    fetched.write_text("#!/bin/sh\n")
    fetched.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("gateway.ingest.program._TREE", tmp_path)
    assert find_program("mosquitto") == str(fetched)
    (tmp_path / "mosquitto").symlink_to(fetched)
    assert find_program("mosquitto") == str(tmp_path / "mosquitto")


def test_the_tree_is_the_one_that_make_works_in(repository_path):
    assert repository_path == _TREE
    assert (_TREE / "Makefile").exists()


def test_a_broker_that_is_not_there_or_no_program_is_named(tmp_path, free_port, monkeypatch):
    with pytest.raises(BrokerError, match="'nosuchbroker' is not on PATH; run `make tools`"):
        find_program("nosuchbroker")
    monkeypatch.setattr("gateway.ingest.program._TREE", tmp_path)  # as a wheel's: no Makefile
    with pytest.raises(BrokerError, match="'nosuchbroker' is not on PATH; install mosquitto, or"):
        find_program("nosuchbroker")
    fake = tmp_path / "mosquitto"
    fake.write_bytes(b"\x7fnothing that runs")
    fake.chmod(0o755)

    async def story():
        with broker_of(tmp_path, free_port, Log(), program=str(fake)) as broker:
            text = await fault_of(broker)
            assert "cannot be started" in text
            assert "check broker.program" in text

    asyncio.run(story())


def test_a_program_that_does_not_listen_is_ended(tmp_path, free_port, monkeypatch):
    monkeypatch.setattr("gateway.ingest.broker.START_S_MAX", 0.3)
    idle = tmp_path / "idle"
    idle.write_text("#!/bin/sh\nexec sleep 600\n")
    idle.chmod(0o755)

    async def story():
        log = Log()
        with broker_of(tmp_path, free_port, log, program=str(idle)) as broker:
            assert "ended with status -9" in await fault_of(broker)
            await log.event("broker_log", text="does not listen after 0.3 s")

    asyncio.run(story())


def test_what_the_broker_complains_of_is_told(tmp_path, free_port):
    sour = tmp_path / "sour"
    sour.write_text("#!/bin/sh\necho 'Error: something is wrong' >&2\nexit 3\n")
    sour.chmod(0o755)

    async def story():
        with broker_of(tmp_path, free_port, Log(), program=str(sour)) as broker:
            text = await fault_of(broker)
            assert "ended with status 3: Error: something is wrong" in text

    asyncio.run(story())


def test_an_orphan_is_ended_by_its_configuration_and_nothing_else_is(tmp_path, free_port):
    """Even without a note of its process: a gateway may be killed before it can write one."""

    async def story():
        log = Log()
        ours, others = tmp_path / "ours", tmp_path / "others"
        for folder in (ours, others):
            folder.mkdir()
        program = find_program("mosquitto")
        (ours / "mosquitto.conf").write_text(configuration(BrokerSettings(port=free_port)))
        with socket.create_server(("127.0.0.1", 0)) as server:
            other = BrokerSettings(port=server.getsockname()[1])
        (others / "mosquitto.conf").write_text(configuration(other))
        orphan = spawn([program, "-c", ours / "mosquitto.conf"])
        foreign = spawn([program, "-c", others / "mosquitto.conf"])
        idle = "import time; time.sleep(600)"
        viewer = spawn([sys.executable, "-c", idle, ours / "mosquitto.conf"])
        try:
            async with asyncio.timeout(DEADLINE_S):
                # A process that has only just begun has no command line yet.
                while not find_leftovers(ours / "mosquitto.conf"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert find_leftovers(ours / "mosquitto.conf") == [orphan.pid]
            with broker_of(ours, free_port, log) as broker:
                task = asyncio.create_task(broker.run())
                await log.event("broker_leftover", pid=orphan.pid)
                await log.event("broker_started")
                assert orphan.wait(DEADLINE_S) is not None
                assert (foreign.poll(), viewer.poll()) == (None, None)
                task.cancel()
                await asyncio.wait([task])
                assert find_leftovers(ours / "mosquitto.conf") == []
        finally:
            for child in (orphan, foreign, viewer):
                child.kill()
                child.wait()

    asyncio.run(story())


def test_an_orphan_that_does_not_listen_to_reason_is_killed(tmp_path, free_port, monkeypatch):
    monkeypatch.setattr("gateway.ingest.broker.STOP_S_MAX", 0.3)

    async def story():
        log = Log()
        script = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True)\n"
        script += "time.sleep(600)"
        # `-c` and the configuration last, as on a broker's command line.
        command = [sys.executable, "-c", script, "-c", str(tmp_path / "mosquitto.conf")]
        deaf = spawn(command, stdout=subprocess.PIPE)
        deaf.stdout.readline()
        try:
            with broker_of(tmp_path, free_port, log) as broker:
                task = asyncio.create_task(broker.run())
                await log.event("broker_started")
                assert deaf.wait(DEADLINE_S) == -signal.SIGKILL
                task.cancel()
                await asyncio.wait([task])
        finally:
            deaf.kill()
            deaf.wait()
            deaf.stdout.close()

    asyncio.run(story())


def test_a_broker_that_dies_is_started_again_and_the_link_follows(tmp_path, free_port):
    async def story():
        async with running(write_settings(tmp_path, free_port)) as log:
            for number in (1, 2):
                started = await log.event("broker_started", number)
                await log.event("broker_connected", number)
                os.kill(started["pid"], signal.SIGKILL)
                line = await log.event("task_fault", number, task="broker")
                assert "ended with status -9" in line["text"]
            await log.event("broker_connected", 3)
            async with connected(free_port) as node:
                await node.be_born()
                await node.receipt(0)
        assert not (tmp_path / "state" / "mosquitto.pid").exists()

    asyncio.run(story())


def test_without_proc_the_system_is_asked_for_its_processes(tmp_path, monkeypatch):
    """As on macOS, whose `ps` prints lines like these."""
    configured = tmp_path / "mosquitto.conf"
    listing = tmp_path / "ps"
    listing.write_text(
        "#!/bin/sh\n"
        '[ "$*" = "-axwwo pid=,command=" ] || exit 1\n'
        f"echo '    1 /sbin/launchd'\n"
        f"echo '   77 /opt/homebrew/sbin/mosquitto -c {configured}'\n"
        f"echo '12345 vim {configured}'\n"
        f"echo '  901 /opt/homebrew/sbin/mosquitto -c {configured}.old'\n"
    )
    listing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("gateway.ingest.program._PROCESSES", tmp_path / "no-proc")
    assert find_leftovers(configured) == [77]


def test_without_an_address_for_nodes_there_is_one_listener():
    lines = configuration(BrokerSettings()).splitlines()
    assert [line for line in lines if line.startswith("listener")] == ["listener 18883 127.0.0.1"]


def test_a_port_for_nodes_that_is_taken_is_named(tmp_path, free_port):
    async def story():
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            broker_of(
                tmp_path,
                free_port,
                Log(),
                nodes=NodeListenerSettings("127.0.0.1", server.getsockname()[1], "a", "b", "c"),
            ) as broker,
        ):
            assert (await fault_of(broker)).startswith("broker.nodes.port ")

    asyncio.run(story())


def test_a_broker_that_hangs_is_killed_told_and_started_again(tmp_path, free_port, monkeypatch):
    """The kernel takes connections for it: only an answer shows that it turns."""
    monkeypatch.setattr("gateway.ingest.broker.ASK_S", 0.1)
    monkeypatch.setattr("gateway.ingest.broker.MUTE_TURNS_MAX", 2)

    async def story():
        async with running(write_settings(tmp_path, free_port)) as log:
            for number in (1, 2):
                pid = (await log.event("broker_started", number))["pid"]
                await log.event("broker_connected", number)
                os.kill(pid, signal.SIGSTOP)
                told = await log.event("broker_hung", number)
                assert told["pid"] == pid
                assert "no answer for 2 s (a signal has stopped its process)" in told["text"]
                fault = await log.event("task_fault", number, task="broker")
                assert "ended with status -9: it hung, with no answer for 2 s" in fault["text"]
            await log.event("broker_connected", 3)
            async with connected(free_port) as node:
                await node.be_born()
                await node.receipt(0)
        query = "SELECT subject, count FROM counters WHERE name = 'broker_hung'"
        assert rows(tmp_path, query) == [("", 2)]

    asyncio.run(story())


def test_a_broker_that_is_asked_is_let_alone(tmp_path, free_port, monkeypatch):
    """So is one that has no place for who asks, and one whom the gateway was too busy to hear."""
    monkeypatch.setattr("gateway.ingest.broker.ASK_S", 0.01)
    asked = []

    async def ask(*way, turns):
        asked.append(await is_alive(*way, turns=turns))
        return asked[-1]

    monkeypatch.setattr("gateway.ingest.broker.is_alive", ask)

    async def until_asked(count):
        async with asyncio.timeout(DEADLINE_S):
            while len(asked) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def story():
        log = Log()
        with broker_of(tmp_path, free_port, log) as broker:
            task = asyncio.create_task(broker.run())
            await log.event("broker_started")
            await until_asked(5)
            with contextlib.ExitStack() as full:
                for _ in range(CONNECTIONS_OWN + CONNECTIONS_SPARE):
                    full.enter_context(socket.create_connection(("127.0.0.1", free_port)))
                await until_asked(len(asked) + 5)
            assert all(asked)
            assert not log.events("broker_hung")
            assert not log.events("connection_flood")
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(story())


def test_a_loop_that_was_held_blames_no_broker(monkeypatch):
    """What it said meanwhile has come: by the clock its time is over, by turns it is not."""
    monkeypatch.setattr("gateway.ingest.answering.TURN_S", 0.2)

    async def story():
        async def answer(reader, writer):
            await reader.read(1)
            time.sleep(1.0)  # noqa: ASYNC251 - holds the loop of who asks, five turns long
            writer.write(b" ")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            assert await is_alive(None, "127.0.0.1", port, turns=2)

    asyncio.run(story())


def test_what_is_mute_or_gone_is_not_alive(free_port, monkeypatch):
    monkeypatch.setattr("gateway.ingest.answering.TURN_S", 0.05)

    async def story():
        with socket.create_server(("127.0.0.1", 0)) as mute:
            port = mute.getsockname()[1]
            assert not await is_alive(None, "127.0.0.1", port, turns=2)
            assert answering.fault_of("127.0.0.1", port, 0.1) == MUTE
        assert not await is_alive(None, "127.0.0.1", free_port, turns=2)

    asyncio.run(story())


def test_a_socket_file_that_is_full_is_mute_and_one_that_is_gone_is_not(
    tmp_path, free_port, monkeypatch
):
    """So many wait there that the kernel takes no more; where there is none it is asked beside."""
    monkeypatch.setattr("gateway.ingest.answering.TURN_S", 0.05)
    path = tmp_path / "own.sock"

    async def story():
        with contextlib.ExitStack() as waiting:
            mute = waiting.enter_context(socket.socket(socket.AF_UNIX))
            mute.bind(str(path))
            mute.listen(0)
            with contextlib.suppress(BlockingIOError):
                for _ in range(100):
                    other = waiting.enter_context(socket.socket(socket.AF_UNIX))
                    other.settimeout(0.0)
                    other.connect(str(path))
            assert not await is_alive(path, "127.0.0.1", free_port, turns=3)
            path.unlink()
            log = Log()
            (tmp_path / "state").mkdir()
            with broker_of(tmp_path / "state", free_port, log) as broker:
                task = asyncio.create_task(broker.run())
                await log.event("broker_started")
                assert await is_alive(path, "127.0.0.1", free_port, turns=200)
                task.cancel()
                await asyncio.wait([task])

    asyncio.run(story())
