"""Goal: what SPEC.md demands of a node and of a gateway beyond the codec, held against both.

Method: the gateway is the real `harmattan run` on a real mosquitto; the tests play the node and say
what a node would, while gateway and broker are killed. The node's promises are put to the parts of
the firmware that keep them; the whole node in a real MicroPython is tested under tests/firmware.
"""

import asyncio
import contextlib
import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import aiomqtt
import pytest

from protocol import messages, topics
from tests.protocol.model import identity

# On a board the firmware's folders lie at the root of the flash; here they are found like that too.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "firmware"))

from node import limits as node_limits
from node import mqtt
from node.clock import Clock
from node.commands import Commands
from node.config import Settings
from node.errors import JournalOutdated, SettingsError
from node.journal import Journal

DEADLINE_S = 30
POST = "post1"
NODES = ("birth", "repeat", "floor", "format", "rubbish", "will", "broker", "gateway")
BOOT = identity(1)
JOURNAL = identity(2)


# ------------------------------------------------------------------------- the gateway's promises


class Post:
    """A broker, and a gateway that uses it; both can be killed and started again."""

    def __init__(self, folder: Path, port: int, mosquitto: Path):
        self.port = port
        self._state = folder / "state"
        lines = [f'post = "{POST}"', 'directory = "state"']
        lines += ["[broker]", "external = true", f"port = {port}"]
        for node in NODES:
            lines += ["[[nodes]]", f'id = "{node}"']
        settings = folder / "post.toml"
        settings.write_text("\n".join(lines) + "\n")
        listener = folder / "mosquitto.conf"
        listener.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        self._commands = {
            "broker": [str(mosquitto), "-c", str(listener)],
            "gateway": [sys.executable, "-m", "gateway", "run", "--settings", str(settings)],
        }
        self._processes: dict[str, subprocess.Popen] = {}
        self._log = (folder / "log").open("w")

    def start(self, name: str) -> None:
        """Start the broker or the gateway."""
        self._processes[name] = subprocess.Popen(
            self._commands[name], stdout=self._log, stderr=subprocess.STDOUT
        )

    def kill(self, name: str) -> None:
        """End one of them as a power cut would."""
        self._processes[name].kill()
        self._processes[name].wait(DEADLINE_S)

    def end(self) -> None:
        """End both."""
        for name in self._processes:
            self.kill(name)
        self._log.close()

    def ask(self, query: str, *values: object) -> list[tuple]:
        """Look into the gateway's journal."""
        uri = f"file:{self._state / 'journal.sqlite'}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
            return connection.execute(query, values).fetchall()

    def committed(self, node: str) -> list[tuple]:
        """Return (journal_id, seq) of what is committed of a node."""
        return self.ask("SELECT journal_id, seq FROM records WHERE node = ? ORDER BY 1, 2", node)


@pytest.fixture(scope="module")
def post(tmp_path_factory, mosquitto_path):
    """One gateway for all tests; each of them is another node."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    post = Post(tmp_path_factory.mktemp("post"), port, mosquitto_path)
    try:
        post.start("broker")
        post.start("gateway")
        yield post
    finally:
        post.end()


class Player:
    """Plays one node: says what it is told to, hears what the gateway says to it."""

    def __init__(self, post: Post, node: str):
        self.post = post
        self.node = node
        self._heard = []  # what nobody has asked for yet

    async def __aenter__(self):
        async with asyncio.timeout(DEADLINE_S):
            while True:
                client = aiomqtt.Client("127.0.0.1", self.post.port)
                try:
                    await client.__aenter__()
                    break
                except aiomqtt.MqttError:
                    await asyncio.sleep(0.05)
        self._client = client
        await client.subscribe([(topics.build(POST, self.node, c), 1) for c in topics.DOWN])
        return self

    async def __aexit__(self, *exception):
        with contextlib.suppress(aiomqtt.MqttError):
            await self._client.__aexit__(*exception)

    async def say(self, message, channel=None):
        """Publish a message, or bytes."""
        channel = channel or message.CHANNEL
        payload = message if isinstance(message, bytes) else message.pack()
        retain = channel in topics.RETAINED
        await self._client.publish(topics.build(POST, self.node, channel), payload, 1, retain)

    async def hear(self, kind, is_it=lambda _: True):
        """Return the first message of a kind for which `is_it` holds, and whether it was retained.

        Each message is given out once; what was not asked for yet is kept.
        """
        async with asyncio.timeout(DEADLINE_S):
            while True:
                for index, (message, retained) in enumerate(self._heard):
                    if isinstance(message, kind) and is_it(message):
                        del self._heard[index]
                        return message, retained
                message = await anext(self._client.messages)
                channel = topics.parse(message.topic.value)[2]
                read = messages.unpack(bytes(message.payload), channel)
                self._heard.append((read, message.retain))

    def forget(self):
        """Let go of everything heard so far."""
        self._heard = []

    def birth(self, oldest_seq=1, journal_id=JOURNAL, boot_id=BOOT, uptime_ms=1_204):
        names = ("harmattan", "unix", 0, "", "")
        return messages.Birth(
            *(boot_id, uptime_ms, None, 0, journal_id, oldest_seq, max(oldest_seq, 100), *names),
            *(None, 0, 785_000, 8_000, b"", 0),
        )

    def health(self, oldest_seq=1, journal_id=JOURNAL, uptime_ms=5_000):
        return messages.Health(
            *(BOOT, uptime_ms, None, 0, None, None, 0, journal_id, oldest_seq),
            *(max(oldest_seq, 100), 0, 0, 0, 0, 0, 0, 0, ""),
        )

    def record(self, seq, journal_id=JOURNAL):
        return messages.Event(
            *(journal_id, seq, BOOT, 100 * seq, None, 0, identity(3)),
            *(messages.EVENT_CODE, "]C1", b"%d" % seq, None, None),
        )

    async def receipt(self, seq, journal_id=JOURNAL, beyond=()):
        """Wait for this very receipt."""
        wanted = messages.Receipt(journal_id, seq, beyond)
        await self.hear(messages.Receipt, lambda receipt: receipt == wanted)


def playing(post, node, story):
    """Run a story with a player for `node`."""

    async def run():
        async with Player(post, node) as player:
            await story(player)

    asyncio.run(run())


def test_a_birth_is_answered_with_receipt_time_and_a_config_is_waiting(post):
    """SPEC 5.7, SPEC 7.3, SPEC 9.2: and a health with a time, each with its own echo."""

    async def story(node):
        config, retained = await node.hear(messages.Config)
        assert config.version >= 1
        await node.say(node.birth(oldest_seq=5))
        await node.receipt(4)
        time, _ = await node.hear(messages.Time, lambda time: time.echo_uptime_ms is not None)
        assert (time.boot_id, time.echo_uptime_ms) == (BOOT, 1_204)
        assert time.time_quality != messages.TIME_NONE
        await node.say(node.health(oldest_seq=5))
        time, retained = await node.hear(messages.Time, lambda time: time.echo_uptime_ms != 1_204)
        assert (time.boot_id, time.echo_uptime_ms) == (BOOT, 5_000)
        assert not retained

    playing(post, "birth", story)


def test_a_record_is_committed_once_and_receipted_each_time(post):
    """SPEC 6.8, SPEC 6.10, SPEC 6.1: and the receipt is retained for a node that comes later."""

    async def story(node):
        await node.say(node.birth())
        await node.receipt(0)
        for seq, beyond in ((1, ()), (3, (3, 3)), (1, (3, 3)), (1, (3, 3))):
            node.forget()
            await node.say(node.record(seq))
            await node.receipt(1, beyond=beyond)
        await node.say(node.record(2))
        await node.receipt(3)
        assert post.committed("repeat") == [(JOURNAL, 1), (JOURNAL, 2), (JOURNAL, 3)]
        frames = post.ask("SELECT frame FROM records WHERE node = 'repeat' ORDER BY seq")
        assert [frame for (frame,) in frames] == [node.record(seq).pack() for seq in (1, 2, 3)]
        async with Player(post, "repeat") as again:
            receipt, retained = await again.hear(messages.Receipt)
            assert (receipt.seq, receipt.beyond, retained) == (3, (), True)

    playing(post, "repeat", story)


def test_the_floor_settles_what_will_never_come(post):
    """SPEC 6.13: it is counted as lost, and committed all the same should it come."""

    async def story(node):
        await node.say(node.birth())
        await node.receipt(0)
        await node.say(node.record(4))
        await node.receipt(0, beyond=(4, 4))
        await node.say(node.health(oldest_seq=4))
        await node.receipt(4)
        node.forget()
        await node.say(node.record(2))
        await node.receipt(4)
        assert post.committed("floor") == [(JOURNAL, 2), (JOURNAL, 4)]

    playing(post, "floor", story)


def test_another_journal_has_its_own_ledger(post):
    """SPEC 6.12, SPEC 6.2: a formatted node begins at 1, and the old records stay."""
    other = identity(4)

    async def story(node):
        await node.say(node.birth())
        await node.receipt(0)
        for seq in (1, 2):
            await node.say(node.record(seq))
        await node.receipt(2)
        await node.say(node.birth(journal_id=other))
        await node.receipt(0, journal_id=other)
        await node.say(node.record(1, journal_id=other))
        await node.receipt(1, journal_id=other)
        await node.say(node.record(3))
        await node.receipt(3)
        assert post.committed("format") == [(JOURNAL, 1), (JOURNAL, 2), (JOURNAL, 3), (other, 1)]

    playing(post, "format", story)


def test_rubbish_is_passed_over_and_the_next_record_is_taken(post):
    """SPEC 1.4, SPEC 5.4, SPEC 5.5: no answer, no lost connection."""

    async def story(node):
        await node.say(node.birth())
        await node.receipt(0)
        for rubbish in (b"", b"\xc1", bytes(20_000), b"\x91\x0b", node.record(1).pack()[:-1]):
            await node.say(rubbish, "event")
        await node.say(node.record(1).pack(), "reading")
        await node.say(b"", "birth")
        await node.say(b"", "status")
        await node.say(node.record(7))
        await node.receipt(0, beyond=(7, 7))
        assert post.committed("rubbish") == [(JOURNAL, 7)]

    playing(post, "rubbish", story)


def test_the_late_will_of_an_earlier_boot_is_ignored(post):
    """SPEC 5.6."""

    async def story(node):
        await node.say(node.birth())
        await node.receipt(0)
        for seq, (boot_id, online, believed) in enumerate(
            ((BOOT, True, 1), (identity(9), False, 1), (BOOT, False, 0), (BOOT, True, 1)), start=1
        ):
            await node.say(messages.Status(boot_id, online, 1_000))
            await node.say(node.record(seq))
            await node.receipt(seq)  # what came before it has been acted on
            assert post.ask("SELECT online FROM nodes WHERE node = 'will'") == [(believed,)]

    playing(post, "will", story)


def test_a_broker_that_forgot_is_told_everything_anew(post):
    """SPEC 5.7: receipt and config are retained again."""

    async def before(node):
        await node.say(node.birth())
        await node.say(node.record(1))
        await node.receipt(1)

    async def after(node):
        await node.receipt(1)
        await node.hear(messages.Config)

    playing(post, "broker", before)
    post.kill("broker")
    post.start("broker")
    playing(post, "broker", after)


def test_a_gateway_that_was_away_says_so(post):
    """SPEC 7.5, SPEC 7.3, SPEC 6.8, SPEC 6.15: time without echo, and nothing receipted is lost."""

    async def story(node):
        await node.say(node.birth())
        for seq in (1, 3):
            await node.say(node.record(seq))
        await node.receipt(1, beyond=(3, 3))
        post.kill("gateway")
        await node.say(node.record(2))  # the broker takes it, and nobody is there
        node.forget()
        post.start("gateway")
        time, _ = await node.hear(messages.Time)
        assert (time.boot_id, time.echo_uptime_ms) == (BOOT, None)
        await node.receipt(1, beyond=(3, 3))
        assert post.committed("gateway") == [(JOURNAL, 1), (JOURNAL, 3)]
        await node.say(node.record(2))
        await node.receipt(3)

    playing(post, "gateway", story)


# ---------------------------------------------------------------------------- the node's promises


def flash(folder: Path, journal_id: bytes = JOURNAL, bytes_max: int = 4_000) -> Journal:
    """Return an opened journal; a new one gets `journal_id`."""
    budget = {"journal_bytes_max": bytes_max, "segment_bytes": 500, "record_bytes_max": 300}
    journal = Journal(str(folder), budget, lambda _: journal_id, lambda _: None)
    journal.open()
    return journal


def keep(journal: Journal) -> tuple[int, bytes]:
    """Store an event; return its number and frame."""
    message = messages.Event(
        *(journal.journal_id, journal.next_seq, BOOT, 7, None, 0, identity(3)),
        *(messages.EVENT_CODE, "", bytes(100), None, None),
    )
    return journal.append(message), message.pack()


def kept(journal: Journal) -> dict[int, bytes]:
    """Return what a journal still has to send."""
    buffer = bytearray(400)
    found = {}
    at = 0
    while (record := journal.read_next(at, buffer)) is not None:
        at = record[0]
        found[at] = bytes(buffer[: record[2]])
    return found


def test_a_journal_is_named_when_it_is_formatted_and_at_no_other_time(tmp_path):
    """SPEC 6.2."""
    assert flash(tmp_path / "flash", identity(5)).journal_id == identity(5)
    assert flash(tmp_path / "flash", identity(6)).journal_id == identity(5)
    shutil.rmtree(tmp_path / "flash")
    again = flash(tmp_path / "flash", identity(6))
    assert (again.journal_id, again.next_seq) == (identity(6), 1)


def test_a_number_is_given_once(tmp_path):
    """SPEC 6.3, SPEC 6.14: not again after receipts, evictions and restarts."""
    given = []
    for _ in range(12):
        journal = flash(tmp_path)
        given += [keep(journal)[0] for _ in range(7)]
        journal.free(given[-1] - 3)
    assert given == list(range(1, 85))
    given += [keep(journal)[0] for _ in range(100)]
    assert journal.evicted_count > 0
    assert flash(tmp_path).next_seq == given[-1] + 1 == len(given) + 1


def test_what_is_stored_is_on_the_flash_and_stays_the_same(tmp_path):
    """SPEC 6.4, SPEC 6.1: a copy of the flash made at once has it, byte for byte."""
    journal = flash(tmp_path / "flash")
    stored = {}
    for count in range(20):
        seq, frame = keep(journal)
        stored[seq] = frame
        copy = tmp_path / f"copy{count}"
        shutil.copytree(tmp_path / "flash", copy)
        assert kept(flash(copy)) == stored
    assert kept(journal) == stored
    journal.free(3, (5, 6))
    assert sorted(kept(journal)) == [4, *range(7, 21)]


def test_a_restored_flash_continues_above_what_the_gateway_has(tmp_path):
    """SPEC 6.16."""
    journal = flash(tmp_path)
    for _ in range(5):
        keep(journal)
    with pytest.raises(JournalOutdated):
        journal.free(2, (8, 9))
    assert sorted(kept(journal)) == [1, 2, 3, 4, 5]
    assert keep(journal)[0] == 10
    assert flash(tmp_path).next_seq == 11


def test_the_will_is_the_offline_status_of_this_boot():
    """SPEC 5.6: in CONNECT, retained, with QoS 1."""
    will = messages.Status(BOOT, False, 1_204).pack()  # noqa: FBT003 - a field by position
    topic = topics.build(POST, "will", "status")
    packet = mqtt.connect("post1.will", 30, topic, will)
    flags = packet[packet.index(b"MQTT") + 5]
    assert flags & 0x04, "a will"
    assert flags >> 3 & 3 == topics.QOS
    assert flags & 0x20, "retained"
    assert packet.endswith(bytes([0, len(topic)]) + topic.encode() + bytes([0, len(will)]) + will)


class Ticks:
    """A board's tick counter, set by hand."""

    def __init__(self):
        self.now_ms = 0

    def clock(self):
        return Clock(lambda: self.now_ms, lambda later, earlier: later - earlier, BOOT)


def test_uptime_orders_whatever_the_wall_clock_does():
    """SPEC 7.1: a gateway whose clock is corrected by hours moves the label only."""
    ticks = Ticks()
    clock = ticks.clock()
    seen = []
    for wall_ms in (1_800_000_000_000, 1_700_000_000_000, 1_900_000_000_000):
        ticks.now_ms += 60_000
        clock.learn(messages.Time(wall_ms, messages.TIME_GATEWAY, BOOT, clock.uptime_ms()))
        assert abs(clock.time_ms() - wall_ms) <= 1
        seen.append(clock.uptime_ms())
    assert seen == [60_000, 120_000, 180_000]


def test_a_time_of_no_quality_says_nothing():
    """SPEC 7.2, SPEC 7.4: nor does one that is meant for another boot."""
    clock = Ticks().clock()
    for quality, boot_id in ((messages.TIME_NONE, BOOT), (messages.TIME_GNSS, identity(8))):
        assert not clock.learn(messages.Time(1_800_000_000_000, quality, boot_id, 0))
        assert (clock.time_ms(), clock.quality) == (None, messages.TIME_NONE)


class Desk:
    """What commands act on: each list is what was asked for."""

    def __init__(self, folder, refusal=""):
        self.captures = []
        self.births = []
        self.results = []
        self.now_ms = None
        self.refusal = refusal
        self.commands = Commands(self, self.results.append, str(folder / "commands"), print)
        self.commands.actions = {
            messages.ACTION_BIRTH: self.birth,
            messages.ACTION_CAPTURE: self.capture,
        }

    def time_ms(self):
        return self.now_ms

    def birth(self, _):
        self.births.append(1)
        return messages.OUTCOME_DONE, ""

    def capture(self, command):
        self.captures.append(command.command_id)
        return (messages.OUTCOME_REFUSED, self.refusal) if self.refusal else None

    def take(self, number, action, expires_ms=None):
        self.commands.take(messages.Command(identity(number), action, expires_ms, b""))


def test_each_command_gets_one_of_four_answers(tmp_path):
    """SPEC 8.2, SPEC 8.1: done, failed, refused with the reason, expired; and again on demand."""
    desk = Desk(tmp_path)
    desk.take(1, messages.ACTION_BIRTH)
    desk.take(2, messages.ACTION_CAPTURE)
    desk.commands.finish(identity(2), messages.OUTCOME_FAILED, "the instrument went away")
    desk.refusal = "a measurement is under way"
    desk.take(3, messages.ACTION_CAPTURE)
    desk.now_ms = 1_800_000_000_000
    desk.take(4, messages.ACTION_CAPTURE, expires_ms=1_799_999_999_999)
    assert [result.outcome for result in desk.results] == [
        messages.OUTCOME_DONE,
        messages.OUTCOME_FAILED,
        messages.OUTCOME_REFUSED,
        messages.OUTCOME_EXPIRED,
    ]
    assert desk.results[2].detail == "a measurement is under way"
    for number in (1, 2, 3, 4):
        desk.take(number, messages.ACTION_BIRTH)
    assert desk.results[4:] == desk.results[:4]
    assert (len(desk.captures), len(desk.births)) == (2, 2)  # SPEC 8.3: the time is asked for


def test_an_unknown_action_is_refused_by_name(tmp_path):
    """SPEC 8.4, SPEC 4.6."""
    desk = Desk(tmp_path)
    desk.take(1, 200)
    (result,) = desk.results
    assert result.outcome == messages.OUTCOME_REFUSED
    assert "200" in result.detail


def test_a_config_is_taken_whole_or_not_at_all(tmp_path):
    """SPEC 9.1, SPEC 9.3: and is there again after a restart."""
    path = str(tmp_path / "config")
    names = [field[0] for field in messages.Config.FIELDS]

    def in_force(settings):
        return [getattr(settings, name) for name in names]

    settings = Settings(path, 400_000, 1, 8, 5_000)
    good = messages.Config(7, 100_000, 2, 30, 60, 4, 1_000)
    assert settings.apply(good, 0)
    assert in_force(settings) == good.values()
    with pytest.raises(SettingsError):
        settings.apply(messages.Config(8, 2**32 - 1, 2**16 - 1, 1, 1, 1, 100), 0)
    assert in_force(settings) == good.values()
    again = Settings(path, 400_000, 1, 8, 5_000)
    again.load()
    assert in_force(again) == good.values()


def test_a_config_stays_only_when_the_gateway_answers_under_it(tmp_path):
    """SPEC 9.4, SPEC 9.5: to what was sent before, to nothing, and in time."""
    settings = Settings(str(tmp_path / "config.bin"), 400_000, 1, 8, 5_000)
    settings.load()
    bad = messages.Config(7, 100_000, 2, 30, 60, 4, 1_000)
    assert settings.apply(bad, 1_000)
    settings.heard(999, 2_000)  # sent before it was in force
    settings.heard(None, 2_000)  # answers nothing
    assert not settings.take_back(1_000 + node_limits.CONFIG_TRIAL_MS - 1)
    assert settings.take_back(1_000 + node_limits.CONFIG_TRIAL_MS)
    assert (settings.version, settings.integration_us) == (0, 400_000)
    assert "config 7 was taken back: the gateway was not heard for 300 s" in settings.notice
    assert not settings.apply(bad, 400_000)  # the broker's retained copy comes again and again
    good = messages.Config(8, 100_000, 2, 30, 60, 4, 1_000)
    assert settings.apply(good, 500_000)
    settings.heard(500_000, 500_001)
    assert not settings.take_back(10_000_000)
    assert settings.apply(bad, 10_000_000)  # another one came in between
