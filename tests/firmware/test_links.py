"""Goal: whatever a link does, every reading arrives exactly once when it is over, in bounded time.

Method: a journal filled by the node's own code with readings of 2048 pixels; then the node, in a
real MicroPython whose time runs SPEED times faster, delivers them to a real mosquitto through the
fault proxy, once for each profile. The gateway is played with the real ledger. Bounds are in the
node's time.
"""

import asyncio
import datetime as dt
import shutil
import socket
from functools import partial

import pytest

from hardware import keys
from protocol import messages
from protocol.delivery import Ledger
from simulators.wire_faults import PROFILES, FaultProxy, Profile

NOW = dt.datetime.now(dt.UTC)
HOST = "gateway.post1"
SPEED = 20
GRACE_S = 15 * 60  # of the node's time, beyond backlog over bandwidth
COUNT = 12  # readings


class Post:
    """The gateway's side of delivery: commits once, answers with receipts and time.

    Args:
        gateway: of the bench, which connects and listens.
    """

    def __init__(self, gateway):
        self._gateway = gateway
        self._ledger = Ledger()
        self.committed = {}
        self.arrivals = 0
        self.task = asyncio.create_task(self._run())

    async def _run(self):
        at = 0
        while True:
            await self._gateway.heard.wait(lambda _: True, after=at)
            channel, message, retained = self._gateway.heard.items[at]
            at += 1
            if channel == "reading":
                self._take(message)
                await self._gateway.say(
                    messages.Receipt(message.journal_id, self._ledger.seq, self._ledger.beyond())
                )
            elif channel in ("birth", "health"):
                echo_ms = None if retained else message.uptime_ms
                told = messages.Time(
                    1_795_000_000_000, messages.TIME_GATEWAY, message.boot_id, echo_ms
                )
                await self._gateway.say(told)

    def _take(self, reading):
        self.arrivals += 1
        frame = reading.pack()
        if self._ledger.commit(reading.seq):
            assert reading.seq not in self.committed, "committed twice"
            self.committed[reading.seq] = frame
        else:
            assert self.committed[reading.seq] == frame, "other bytes under the same number"


@pytest.fixture
def numbers(run_story, bench):
    """Fill the node's journal; return the numbers of its records."""
    run_story("fill_story.py", str(bench.folder / "journal"), str(COUNT), "2048")
    return set(range(1, COUNT + 1))


@pytest.fixture
def large(run_story, bench):
    """Fill the node's journal with the largest readings there are; return their numbers."""
    run_story("fill_story.py", str(bench.folder / "journal"), "6", "4096")
    return set(range(1, 7))


async def deliver(bench, proxy, numbers, until=None, **broker):
    """Run the fast node until all is receipted; return the post and the node's seconds.

    They count from where the coroutine function `until` returns: when the faults are over.
    """
    loop = asyncio.get_running_loop()
    post = Post(await bench.start_gateway())
    try:
        begun_s = loop.time()
        node = await bench.start_node(
            options={"speed": SPEED},
            resend_ms=5_000,
            broker={"host": "127.0.0.1", "port": proxy.port, **broker},
            instrument=bench.settings()["instrument"]
            | {"port": str(bench.folder / "no-port"), "pixels_max": 4_096},
        )
        if until is not None:
            await until(node, post)
            begun_s = loop.time()
        for seq in sorted(numbers):
            await node.wait("sent", seq=seq)
        took_s = (loop.time() - begun_s) * SPEED
        assert set(post.committed) == numbers
        return post, took_s
    finally:
        post.task.cancel()


async def seen(is_it):
    """Return when `is_it` holds, which nothing else tells."""
    async with asyncio.timeout(60):
        while not is_it():  # noqa: ASYNC110 - what other programs do
            await asyncio.sleep(0.01)


def bound_s(bench, profile):
    """Return backlog over bandwidth plus the grace, seconds of the node's time."""
    backlog_bytes = sum(path.stat().st_size for path in (bench.folder / "journal").iterdir())
    narrow_s = backlog_bytes * 8 / profile.rate_bps if profile.rate_bps else 0
    return narrow_s + GRACE_S


@pytest.mark.parametrize("name", PROFILES)
def test_every_reading_arrives_once_whatever_the_link_does(bench, numbers, name):
    profile = PROFILES[name]

    async def healed(_node, _post):
        async with asyncio.timeout(60):
            await proxy.healed.wait()

    async def story():
        nonlocal proxy
        async with bench:
            await bench.start_broker()
            async with FaultProxy(bench.port, profile, speed=SPEED) as proxy:
                has_faults = profile.resets or profile.half_open
                wait = healed if has_faults else None
                post, took_s = await deliver(bench, proxy, numbers, wait)
                assert took_s <= bound_s(bench, profile)
                faults = profile.resets + profile.half_open
                assert proxy.connections == faults + 1
                # A fault costs what was under way: what is sent twice is bounded, too.
                assert post.arrivals <= len(numbers) * (1 + faults)
                if not faults:
                    assert post.arrivals <= len(numbers) + 1

    proxy = None
    asyncio.run(story())


def test_every_reading_arrives_once_when_the_broker_is_restarted_again_and_again(bench, numbers):
    profile = Profile(latency_ms=300, rate_bps=9_600)

    async def restart(node, post):
        for count in (1, 3):
            await seen(partial(lambda post, count: len(post.committed) >= count, post, count))
            await bench.kill_broker()
            await node.wait("fault", what="broker")
            await bench.start_broker()
            post.task.cancel()
            restarted = Post(await bench.start_gateway())
            restarted.committed, restarted._ledger = post.committed, post._ledger
            posts.append(restarted)
            post = restarted

    posts = []

    async def story():
        async with bench:
            await bench.start_broker()
            async with FaultProxy(bench.port, profile, speed=SPEED) as proxy:
                _, took_s = await deliver(bench, proxy, numbers, restart)
                assert took_s <= bound_s(bench, profile)
                assert proxy.connections >= 3
            for post in posts:
                post.task.cancel()

    asyncio.run(story())


@pytest.fixture
def tls_port(free_port):
    """A second free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert port != free_port
    return port


def keyed_broker(bench, folder):
    """Make keys in `folder`; return what makes the bench's broker ask for certificates."""
    keys.make_post(folder, "post1", (HOST,), ["lane1"], NOW)
    files = {"cafile": "ca.pem", "certfile": "gateway.pem", "keyfile": "gateway-key.pem"}
    lines = [f"{key} {folder / name}" for key, name in files.items()]
    shutil.copytree(folder / "nodes" / "lane1", bench.folder / "keys")
    return "\n".join([*lines, "require_certificate true", "user root", ""])


def test_tls_and_readings_of_28_seconds_get_through_the_worst_link(bench, large, tls_port):
    """Longer than any silence an idle link is allowed."""
    profile = PROFILES["worst"]

    async def story():
        async with bench:
            lines = keyed_broker(bench, bench.folder / "post-keys")
            with_tls = f"listener {bench.tls_port} 127.0.0.1\n{lines}"
            await bench.start_broker(with_tls)
            async with FaultProxy(bench.tls_port, profile, speed=SPEED) as proxy:
                _, took_s = await deliver(bench, proxy, large, tls=True, name=HOST)
                assert took_s <= bound_s(bench, profile)
                assert proxy.connections == 1

    bench.tls_port = tls_port
    asyncio.run(story())


def test_bad_keys_are_tried_slowly_and_good_ones_count_without_a_restart(bench, numbers, tls_port):
    async def story():
        async with bench:
            lines = keyed_broker(bench, bench.folder / "post-keys")
            other = keys.make_authority("other", NOW)
            ca = bench.folder / "keys" / "ca.der"
            good = ca.read_bytes()
            ca.write_bytes(other.certificate_der())
            await bench.start_broker(f"listener {bench.tls_port} 127.0.0.1\n{lines}")

            async def mend(node, _post):
                begun_s = asyncio.get_running_loop().time()
                told = await node.wait("fault", what="broker")
                assert "is not signed by keys/ca.der" in told["text"]
                for _ in range(3):
                    await node.press()  # an officer cannot hurry it
                await seen(lambda: proxy.connections >= 4)
                passed_s = (asyncio.get_running_loop().time() - begun_s) * SPEED
                assert passed_s >= 0.75 * (15 + 30 + 60)  # node's time; doubling, less the jitter
                ca.write_bytes(good)

            async with FaultProxy(bench.tls_port, Profile(), speed=SPEED) as proxy:
                await deliver(bench, proxy, numbers, mend, tls=True, name=HOST)
                assert proxy.connections == 5

    bench.tls_port = tls_port
    asyncio.run(story())
