"""Goal: what arrives is committed once and receipted after that; nothing malformed stops anything.

Method: the whole gateway in this process, with a real mosquitto and a real journal, and a scripted
node that says each thing once. Every step waits for the gateway's answer or for a line of its log.
"""

import asyncio
import struct

import apsw
import pytest

from gateway.ingest import intake
from gateway.ingest.arrivals import PER_NODE_MAX
from gateway.ingest.broker import Broker
from gateway.ingest.quarantine import SCORE_MAX
from gateway.journal.opening import BUSY_MS, FILE_NAME
from gateway.observe.counters import Counters
from gateway.settings import BrokerSettings
from protocol import limits, topics
from protocol.messages import Command, Config, Receipt, Result, Time
from tests.gateway.running import NODE, POST, recording, rows, running, write_settings
from tests.gateway.scripted import FLAT, connected
from tests.gateway.seen import DEADLINE_S, Log

RECORDS = "SELECT seq FROM records WHERE node = ? ORDER BY seq"


def committed(folder, node=NODE):
    return [seq for (seq,) in rows(folder, RECORDS, node)]


def test_a_node_is_told_time_config_and_receipt(tmp_path, free_port):
    async def story():
        async with running(write_settings(tmp_path, free_port)), connected(free_port) as node:
            await node.be_born(uptime_ms=4_711)
            time = await node.heard.wait(lambda message: isinstance(message, Time))
            assert (time.boot_id, time.echo_uptime_ms) == (node.boot_id, 4_711)
            config = await node.heard.wait(lambda message: isinstance(message, Config))
            assert (config.integration_us, config.window) == (400_000, 8)
            await node.receipt(0)
            await node.say_health()
            echoed = await node.heard.wait(lambda message: isinstance(message, Time), 2)
            assert echoed.echo_uptime_ms == 2_000

    asyncio.run(story())


def test_a_receipt_follows_the_commit_and_names_gaps(tmp_path, free_port):
    async def story():
        async with running(write_settings(tmp_path, free_port)), connected(free_port) as node:
            await node.be_born(next_seq=6)
            for seq, said in ((1, (1, ())), (3, (1, (3, 3))), (5, (1, (3, 3, 5, 5)))):
                await node.say(node.dark(seq))
                await node.receipt(*said)
                assert seq in committed(tmp_path)  # what is receipted is in the file
            await node.say(node.event(4))
            await node.receipt(1, (3, 5))
            await node.say(node.dark(2))
            await node.receipt(5)
            assert committed(tmp_path) == [1, 2, 3, 4, 5]

    asyncio.run(story())


def test_a_duplicate_is_receipted_again_and_committed_once(tmp_path, free_port):
    async def story():
        async with running(write_settings(tmp_path, free_port)) as log:
            async with connected(free_port) as node:
                await node.be_born(next_seq=2)
                await node.say(node.dark(1))
                await node.receipt(1)
                await node.say(node.dark(1))
                await node.receipt(1, count=2)
            assert len(log.events("record_committed")) == 1
        assert committed(tmp_path) == [1]
        assert rows(tmp_path, "SELECT count FROM counters WHERE name = 'record_repeated'") == [(1,)]

    asyncio.run(story())


def test_a_record_that_comes_again_with_other_bytes_is_told_and_the_first_stands(
    tmp_path, free_port
):
    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born(next_seq=2)
            await node.say(node.event(1, b"first"))
            await node.receipt(1)
            await node.say(node.event(1, b"other"))
            line = await log.event("record_changed", node=NODE, seq=1)
            assert "restored copy" in line["text"]
            await node.say(node.event(1, b"first"))
            await node.receipt(1, count=3)
            assert len(log.events("record_changed")) == 1
        ((frame,),) = rows(tmp_path, "SELECT frame FROM records")
        assert b"first" in frame

    asyncio.run(story())


def test_a_floor_settles_a_gap_and_counts_what_is_lost(tmp_path, free_port):
    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born(next_seq=10)
            await node.say(node.dark(1))
            await node.say(node.dark(4))
            await node.receipt(1, (4, 4))
            await node.say_health(oldest_seq=7, next_seq=10)  # 2, 3, 5 and 6 never came
            await node.receipt(6)
            lost = await log.event("record_lost", node=NODE)
            assert lost["count"] == 4
            await node.say(node.dark(3))  # it comes all the same: SPEC 6.13
            await log.event("record_committed", seq=3)
            await node.be_born(oldest_seq=7, next_seq=10)  # said again, lost only once
            await node.receipt(6, count=2)
        assert committed(tmp_path) == [1, 3, 4]
        assert rows(tmp_path, "SELECT count FROM counters WHERE name = 'record_lost'") == [(4,)]

    asyncio.run(story())


def test_a_journal_seen_for_the_first_time_has_lost_nothing(tmp_path, free_port):
    async def story():
        async with running(write_settings(tmp_path, free_port)) as log:
            async with connected(free_port) as node:
                await node.say(node.dark(40))
                await node.receipt(0, (40, 40))
                await node.be_born(oldest_seq=40, next_seq=41)
                await node.receipt(40)
            assert not log.events("record_lost")

    asyncio.run(story())


def test_journals_of_one_node_are_kept_apart(tmp_path, free_port):
    async def story():
        async with running(write_settings(tmp_path, free_port)):
            async with connected(free_port, journal_id=b"before--") as node:
                await node.be_born(next_seq=3)
                await node.say(node.dark(1))
                await node.receipt(1)
                late = node.dark(2)
                node.journal_id = b"after---"
                await node.be_born(next_seq=2)
                await node.say(late)  # of the journal before: it was on its way
                await node.say(node.dark(1))
                await node.receipt(1)
            async with connected(free_port, journal_id=b"after---") as node:
                retained = await node.heard.wait(lambda message: isinstance(message, Receipt))
                assert retained == Receipt(b"after---", 1, ())
        found = rows(tmp_path, "SELECT journal_id, seq FROM records ORDER BY id")
        assert found == [(b"before--", 1), (b"before--", 2), (b"after---", 1)]

    asyncio.run(story())


def refusals(node):
    """Channel, bytes, and the name under which they are counted."""
    good = node.dark(1).pack()
    pixels = good.rindex(b"\xc5\x08\x00")  # 2048 bytes follow
    odd = good[:pixels] + b"\xc5\x07\xff" + good[pixels + 3 : -1]
    yield "reading", b"", None  # says nothing: passed over
    yield "reading", b"\xc1", "frame_refused"
    yield "reading", good[:-1], "frame_refused"
    yield "reading", good + b"\xc0", "frame_refused"
    yield "reading", odd, "frame_refused"
    yield "reading", b"\x9f" + good[3:], "frame_refused"
    yield "reading", bytes.fromhex("cb7ff8000000000000"), "frame_refused"  # a NaN
    yield "health", good, "kind_refused"
    yield "birth", node.event(1).pack(), "kind_refused"
    yield "result", Time(1, 0, b"12345678", None).pack(), "kind_refused"
    yield "event", bytes([0x92, 0x63, 0x01]), "kind_refused"
    yield "reading", good + bytes(limits.MESSAGE_BYTES_MAX), "frame_overlong"
    yield "event", bytes(98_000), "frame_overlong"


def test_refused_frames_are_counted_named_and_stop_nothing(tmp_path, free_port):
    async def story():
        expected: dict[str, int] = {}
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born(next_seq=2)
            for channel, frame, name in refusals(node):
                await node.publish(channel, frame)
                if name:
                    expected[name] = expected.get(name, 0) + 1
                    line = await log.event(name, node=NODE)
                    assert NODE in line["text"]
            await node.say(node.dark(1))
            await node.receipt(1)
            # Told once, however often it happens, and counted each time.
            assert len(log.events("frame_refused")) == 1
        found = dict(rows(tmp_path, "SELECT name, count FROM counters WHERE subject = ?", NODE))
        assert {name: found.get(name) for name in expected} == expected

    asyncio.run(story())


def test_a_message_that_the_broker_refuses_costs_its_sender_the_connection(tmp_path, free_port):
    async def story():
        async with running(write_settings(tmp_path, free_port)) as log:
            async with connected(free_port, "lane-2") as other:
                async with connected(free_port) as node:
                    topic = f"{topics.PREFIX}{POST}/{NODE}/event"
                    sending = asyncio.create_task(
                        node.client.publish(topic, bytes(200_000), qos=1, timeout=60)
                    )
                    line = await log.event("packet_oversize")
                    assert f"{POST}.{NODE}" in line["text"]
                    await asyncio.wait_for(node.lost(), DEADLINE_S)
                    sending.cancel()
                await other.be_born(next_seq=2)
                await other.say(other.dark(1))
                await other.receipt(1)
            assert not log.events("task_fault")

    asyncio.run(story())


def test_foreign_nodes_and_topics_are_named(tmp_path, free_port):
    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port, "stranger") as node,
        ):
            await node.be_born()
            line = await log.event("node_unknown")
            assert "'stranger'" in line["text"]
            assert "[[nodes]]" in line["text"]
            for name in ("UPPER", "x" * 33, "lane_1", "-lane"):
                await node.client.publish(f"{topics.PREFIX}{POST}/{name}/health", b"\xc0", 1)
            await log.event("topic_refused", 4)
        assert rows(tmp_path, "SELECT count(*) FROM nodes WHERE birth IS NOT NULL") == [(0,)]

    asyncio.run(story())


def test_a_flood_while_the_disk_is_slow_leaves_room_for_the_others(tmp_path, free_port):
    """Another program holds the journal; one node sends far more than its window meanwhile."""

    async def story():
        count = PER_NODE_MAX + SCORE_MAX - 10  # too much, and not yet for quarantine
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
            connected(free_port, "lane-2") as other,
        ):
            await node.be_born(next_seq=2)
            await other.be_born(next_seq=2)
            await node.receipt(0)
            await other.receipt(0)
            holder = apsw.Connection(str(tmp_path / "state" / FILE_NAME))
            holder.set_busy_timeout(BUSY_MS)  # the gateway may just be writing
            holder.execute("BEGIN IMMEDIATE")
            await asyncio.gather(*(node.say(node.event(seq)) for seq in range(1, count + 1)))
            line = await log.event("message_dropped", node=NODE)
            assert "it sends them again" in line["text"]
            await other.say(other.dark(1))
            await other.publish("health", b"\xc1")
            await log.event("frame_refused", node="lane-2")  # all before it is taken in
            holder.execute("ROLLBACK")
            holder.close()
            await other.receipt(1)
            await node.say(node.event(count))  # what was turned away comes again
            await log.event("record_committed", node=NODE, seq=count)
            assert not log.events("message_dropped", node="lane-2")
        kept = committed(tmp_path)
        ((dropped,),) = rows(tmp_path, "SELECT count FROM counters WHERE name = 'message_dropped'")
        assert len(kept) + dropped == count + 1  # the last one was turned away, then committed
        assert count in kept

    asyncio.run(story())


def test_a_node_that_misbehaves_is_in_quarantine_for_a_while(tmp_path, free_port, monkeypatch):
    """The others notice nothing, and it is heard again by itself."""
    monkeypatch.setattr("gateway.ingest.quarantine.BAR_S_MIN", 0.5)

    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
            connected(free_port, "lane-2") as other,
        ):
            await node.be_born(next_seq=2)
            await node.receipt(0)
            await asyncio.gather(*(node.publish("event", b"\xc1") for _ in range(SCORE_MAX + 9)))
            told = await log.event("node_quarantined", node=NODE, cause="frame_refused")
            assert "update its firmware" in told["text"]
            await other.be_born(next_seq=2)
            await other.say(other.event(1))
            await other.receipt(1)
            await log.event("node_released", node=NODE)
            await node.heard.wait(lambda said: isinstance(said, Time) and not said.echo_uptime_ms)
            await node.deliver(node.event(1))
        counted = dict(rows(tmp_path, "SELECT name, count FROM counters WHERE subject = ?", NODE))
        assert counted["quarantined"] == 1
        assert counted["frame_refused"] == SCORE_MAX + 1
        assert counted.get("message_barred", 0) <= 8  # or the broker has dropped them already

    asyncio.run(story())


def test_a_message_that_makes_the_gateway_fail_is_refused_and_the_link_stays(
    tmp_path, free_port, monkeypatch
):
    """No memory for one message, or a fault that nobody foresaw."""
    take, faults = intake.take, [MemoryError(), ZeroDivisionError("unforeseen")]

    def stumble(topic, payload, **keywords):
        if topic.endswith("/event") and faults:
            raise faults.pop(0)
        return take(topic, payload, **keywords)

    monkeypatch.setattr(intake, "take", stumble)

    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born(next_seq=2)
            await node.say(node.event(1))
            told = await log.event("message_unaffordable", node=NODE)
            assert "End other programs" in told["text"]
            await node.say(node.event(1))
            await log.event("task_failed", text="ZeroDivisionError: unforeseen")
            await log.event("message_failed", node=NODE)
            await node.say(node.event(1))
            await node.receipt(1)
            assert len(log.events("broker_connected")) == 1
            assert not log.events("task_fault")

    asyncio.run(story())


def test_a_disk_short_of_room_takes_no_readings_and_answers_nodes(tmp_path, free_port):
    """Room for readings is none, and the reserve is for alerts: the node hears all it must."""

    async def story():
        reserve = "[journal]\nreserve_bytes = 1000000000000\n"
        async with (
            running(write_settings(tmp_path, free_port, more=reserve)) as log,
            connected(free_port) as node,
        ):
            await node.be_born(next_seq=2, uptime_ms=4_711)
            time = await node.heard.wait(lambda said: isinstance(said, Time))
            assert (time.boot_id, time.echo_uptime_ms) == (node.boot_id, 4_711)
            assert await node.heard.wait(lambda said: isinstance(said, Config))
            await node.say(node.event(1))
            told = await log.event("readings_refused")
            assert "readings stay on their nodes, alerts still go out" in told["text"]
            await node.say_health()
            echoed = await node.heard.wait(lambda said: isinstance(said, Time), 2)
            assert echoed.echo_uptime_ms == 2_000
            assert not [said for said in node.heard.items if isinstance(said, Receipt)]
        assert committed(tmp_path) == []

    asyncio.run(story())


def test_presence_follows_status_birth_and_will(tmp_path, free_port):
    async def story():
        online = "SELECT boot_id, online FROM nodes WHERE node = 'lane-1'"
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born()
            await node.say_status(online=True)
            await log.event("node_status", online=True)
            assert rows(tmp_path, online) == [(b"boot-one", 1)]
            await node.say_status(online=False, boot_id=b"boot-old")  # a late will
            await node.say_health()
            await node.heard.wait(lambda message: isinstance(message, Time), 2)
            assert rows(tmp_path, online) == [(b"boot-one", 1)]
            assert not log.events("node_status", online=False)
            await node.say_status(online=False)
            await log.event("node_status", online=False)
            assert rows(tmp_path, online) == [(b"boot-one", 0)]
            await node.say(Result(b"command1", 0, "done"))
            await log.event("command_result", detail="done")

    asyncio.run(story())


def test_a_restarted_gateway_goes_on_where_it_was(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port)
        async with running(path), connected(free_port) as node:
            await node.be_born(next_seq=4)
            await node.say(node.dark(1))
            await node.say(node.dark(3))
            await node.receipt(1, (3, 3))
            first = await node.heard.wait(lambda message: isinstance(message, Config))
        async with running(path), connected(free_port) as node:
            await node.receipt(1, (3, 3))  # before the node says a word
            config = await node.heard.wait(lambda message: isinstance(message, Config))
            # The settings have not changed; the node never confirmed them, so it may have taken
            # them back, and only a new version is tried again (SPEC 9.5).
            assert config.values()[1:] == first.values()[1:]
            assert config.version > first.version
            # It was online when the gateway stopped; of the new broker it has said nothing yet.
            assert rows(tmp_path, "SELECT online FROM nodes") == [(0,)]
            await node.say(node.dark(2))
            await node.receipt(3)
        path.write_text(path.read_text().replace(f'"{NODE}"', f'"{NODE}"\nscans = 3'))
        async with running(path), connected(free_port) as node:
            config = await node.heard.wait(lambda message: isinstance(message, Config))
            assert config.scans == 3
            assert config.version > first.version

    asyncio.run(story())


def test_with_an_external_broker_what_it_retained_is_taken_for_what_it_is(tmp_path, free_port):
    """The node stays connected to the broker while the gateway comes, goes and comes again."""

    async def story():
        path = write_settings(tmp_path, free_port)
        path.write_text(path.read_text().replace("[broker]", "[broker]\nexternal = true"))
        settings = BrokerSettings(port=free_port)
        broker = Broker(settings, tmp_path, counters=Counters(), log=recording(Log()))
        serving = asyncio.create_task(broker.run())
        try:
            await asyncio.wait_for(broker.ready.wait(), DEADLINE_S)
            async with connected(free_port) as node:
                await node.be_born(next_seq=2)
                await node.say_status(online=True)
                async with running(path) as log:
                    await log.event("node_born", retained=True)
                    await log.event("node_status", online=True, retained=True)
                    await node.receipt(0)
                    seen = rows(tmp_path, "SELECT online, seen_ms FROM nodes WHERE birth NOT NULL")
                    assert seen == [(1, None)]  # the broker's word; itself it was not heard
                    await node.say(node.dark(1))
                    await node.receipt(1)
                times = len(node.heard.all(lambda message: isinstance(message, Time)))
                async with running(path) as log:
                    # A time without echo: what is in flight shall be sent again (SPEC 7.5).
                    time = await node.heard.wait(lambda m: isinstance(m, Time), times + 1)
                    assert (time.boot_id, time.echo_uptime_ms) == (node.boot_id, None)
                    await node.say(node.dark(1))
                    await node.receipt(1, count=2)
                assert committed(tmp_path) == [1]
        finally:
            serving.cancel()
            await asyncio.wait([serving])

    asyncio.run(story())


@pytest.mark.parametrize("late", [False, True], ids=["axis first", "axis late"])
def test_a_reading_waits_for_its_axis(tmp_path, free_port, late):
    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            if not late:
                await node.be_born()
            await node.say(node.reading(1))
            if late:
                first = await log.event("verdict", seq=1)
                assert (first["verdict"], first["reason"]) == ("inconclusive", "no_axis")
                asked = await node.heard.wait(lambda message: isinstance(message, Command))
                assert asked.action == 2
                await node.be_born()
            verdict = await log.event("verdict", 1 + late, seq=1)
            assert verdict["reason"] != "no_axis"
        assert rows(tmp_path, "SELECT count(*) FROM verdicts") == [(1,)]
        assert rows(tmp_path, "SELECT count(*) FROM pending") == [(0,)]

    asyncio.run(story())


BAD_AXES = {
    "falling": struct.pack("<2f", 931.2, -0.1),
    "nan": struct.pack("<2f", 800.0, float("nan")),
    "far": struct.pack("<2f", 1e9, 1.0),
    "none": b"",
}


@pytest.mark.parametrize("name", BAD_AXES)
def test_an_unusable_axis_is_inconclusive_and_counted(tmp_path, free_port, name):
    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born(coefficients=BAD_AXES[name])
            await node.say(node.reading(1))
            assert (await log.event("verdict", seq=1))["verdict"] == "inconclusive"
            await log.event("axis_refused", node=NODE, seq=1)
            await node.receipt(1)

    asyncio.run(story())


def test_a_wrong_pixel_count_is_inconclusive_and_counted(tmp_path, free_port):
    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born()
            await node.say(node.reading(1, pixels=FLAT[:-2]))
            line = await log.event("pixels_refused", node=NODE, seq=1)
            assert "1023" in line["text"]
            await node.say(node.dark(2, FLAT[:100]))
            await node.say(node.reading(3, dark_seq=2))
            line = await log.event("pixels_refused", node=NODE, seq=3)
            assert "50" in line["text"]
            await node.receipt(3)

    asyncio.run(story())
