"""Goal: `harmattan status` tells what is wrong with the gateway's own disk, parts and certificates.

Method: the status of a post whose running gateway has left its word, with a journal that can be
read and one that cannot; the real file that gateways write, in both places.
"""

import datetime as dt
import os
import time
import types

import msgspec
import pytest
import trustme
from rich.console import Console

from gateway import settings
from gateway.errors import JournalError
from gateway.journal.condition import Condition, DiskState
from gateway.journal.postures import save_posture
from gateway.journal.store import FILE_NAME, connect
from gateway.observe import state as state_module
from gateway.observe import status as observing
from gateway.observe.certificates import days_left
from gateway.observe.screen import NODES_SHOWN_MAX, show
from gateway.observe.state import STATE_BYTES_MAX, STILL_S_MAX, State, StateFile, read_state
from gateway.observe.status import NodeState
from tests.gateway.running import write_settings

NOW_MS = time.time_ns() // 1_000_000
HOUR_MS = 3_600_000


@pytest.fixture
def post(tmp_path):
    """Return the settings of a post with an empty journal."""
    path = write_settings(tmp_path, 1_883)
    folder = tmp_path / "state"
    folder.mkdir()
    connect(folder / FILE_NAME).close()
    return settings.load(path)


def folder_of(post):
    return settings.Path(post.directory)


def say(post, **told):
    """Leave the word of a running gateway."""
    assert StateFile(folder_of(post), {}).write(State(post.directory, 7, NOW_MS - HOUR_MS, **told))


def read(post, *, running=True):
    return observing.read(post, folder_of(post) / FILE_NAME, running=running, now_ms=NOW_MS)


def screen(found):
    console = Console(record=True, width=160)
    show(found, console, NOW_MS)
    return console.export_text()


def well(found):
    """Return the status as if its nodes were well."""
    return msgspec.structs.replace(found, nodes=(), alert_fault="", clock_fault="").is_well


def test_a_gateway_that_is_well_needs_one_line(post):
    say(post)
    found = read(post)
    assert well(found)
    told = screen(found)
    assert "64.0 MB kept for alerts" in told
    assert "of 8.0 GB" in told
    assert "never checked whole" in told
    for word in ("evicted for", "certificate", "damaged", "quarantine", "hangs"):
        assert word not in told


@pytest.mark.parametrize("disk", [state for state in DiskState if state is not DiskState.well])
def test_a_disk_that_takes_nothing_is_told(post, disk):
    say(post, disk=Condition(disk, NOW_MS - 3 * HOUR_MS, "free some space [red]now[/red]"))
    found = read(post)
    assert not well(found)
    assert f"disk {disk.value} since 3 h: free some space [red]now[/red]" in screen(found)
    assert read(post, running=False).own.is_well  # nobody knows how it is now


def test_a_journal_that_cannot_be_read_does_not_silence_its_gateway(post):
    """On a read-only disk SQLite cannot even look; the gateway's own word is elsewhere."""
    (folder_of(post) / FILE_NAME).write_bytes(b"no database" * 1_000)
    with pytest.raises(JournalError):
        read(post)
    say(post, disk=Condition(DiskState.readonly, NOW_MS, "the disk is read-only"))
    found = read(post)
    assert (found.running, found.nodes, well(found)) == (True, (), False)
    told = screen(found)
    assert "disk readonly since 0 s: the disk is read-only" in told
    assert "journal: journal" in told
    with pytest.raises(JournalError):
        read(post, running=False)


def test_what_hangs_and_who_is_barred_is_told(post):
    say(post, hangs="judging", barred={"lane-1": "overflow"}, barred_count=40)
    found = read(post)
    assert not well(found)
    told = screen(found)
    assert "hangs: judging of the gateway does not turn" in told
    assert "quarantine of lane-1: overflow" in told
    assert "40 nodes in all" in told


def test_a_gateway_that_stands_still_is_not_said_to_run(post):
    say(post, turned_s=time.monotonic() - STILL_S_MAX + 30)
    assert well(read(post))
    assert "gateway runs" in screen(read(post))
    say(post, turned_s=time.monotonic() - STILL_S_MAX - 1)
    found = read(post)
    assert not well(found)
    assert "gateway stands still" in screen(found)
    assert "hangs: the gateway as a whole does not turn" in screen(found)
    assert read(post, running=False).own.is_well


@pytest.mark.parametrize("room", [{"f_flag": os.ST_RDONLY}, {"f_bavail": 3}])
def test_a_word_that_could_not_be_renewed_proves_nothing(post, monkeypatch, room):
    found = os.statvfs(folder_of(post))
    said = {name: getattr(found, name) for name in ("f_flag", "f_bavail", "f_frsize")} | room
    monkeypatch.setattr(state_module.os, "statvfs", lambda _: types.SimpleNamespace(**said))
    say(post, turned_s=time.monotonic() - STILL_S_MAX - 1)
    assert read_state(folder_of(post), {}).hangs == ""


def test_a_gateway_without_its_broker_is_not_well_and_blames_no_node(post):
    """Another program may have the port: the broker does not come back by itself then."""
    since_ms = NOW_MS - 2 * HOUR_MS
    connection = connect(folder_of(post) / FILE_NAME)
    with connection:
        connection.execute(
            "INSERT INTO nodes (node, online, seen_ms) VALUES ('lane-1', 1, ?)", (since_ms,)
        )
    connection.close()
    say(post, linked_ms=since_ms)
    assert well(read(post))
    assert [node.state for node in read(post).nodes] == ["silent", "never"]
    say(post, unlinked_ms=since_ms)
    found = read(post)
    assert not well(found)
    assert [node.state for node in found.nodes] == ["unknown", "never"]
    told = screen(found)
    moment = dt.datetime.fromtimestamp(since_ms // 1_000, dt.UTC)
    assert f"not connected to its broker since {moment:%Y-%m-%d %H:%M:%S} UTC (2 h)" in told
    assert "last heard  7200 s ago" in told
    assert "online" not in told
    assert "broker" in State("", 1, 1, unlinked_ms=1).line
    assert "broker" not in State("", 1, 1, linked_ms=1).line


def test_a_gateway_that_does_not_run_has_nobody_online(post):
    connection = connect(folder_of(post) / FILE_NAME)
    with connection:
        connection.execute("INSERT INTO nodes (node, online, seen_ms) VALUES ('lane-1', 1, 1)")
    connection.close()
    assert read(post, running=False).nodes[0].state == "unknown"


def test_eviction_checks_damage_and_lasting_states_are_told(post):
    connection = connect(folder_of(post) / FILE_NAME)
    with connection:
        connection.execute(
            "INSERT INTO retention (id, evicted, bytes, deleted, evicted_ms)"
            " VALUES (1, 12, 36000, 3, ?) ON CONFLICT DO UPDATE SET evicted = 12, bytes = 36000,"
            " deleted = 3, evicted_ms = excluded.evicted_ms",
            (NOW_MS - 2 * HOUR_MS,),
        )
        connection.execute(
            "INSERT INTO integrity (id, checked_ms, fault) VALUES (1, ?, '')"
            " ON CONFLICT DO UPDATE SET checked_ms = excluded.checked_ms",
            (NOW_MS - 48 * HOUR_MS,),
        )
    say(post)
    (folder_of(post) / "damaged-20260101T000000Z").mkdir()
    found = read(post)
    assert well(found)  # what is long over does not make a post unwell for ever
    told = screen(found)
    assert "evicted for room or age: 12 readings (36.0 kB), last 2 h ago" in told
    assert "checked 2 d ago" in told
    assert "damaged journals set aside: damaged-20260101T000000Z" in told
    with connection:
        save_posture(connection, "journal_damaged", "put a new card in", NOW_MS - HOUR_MS)
        connection.execute("UPDATE integrity SET fault = 'row 3 is missing'")
    connection.close()
    found = read(post)
    assert not well(found)
    assert "journal_damaged since 60 min: put a new card in" in screen(found)
    assert "check of the journal: row 3 is missing" in screen(found)


def test_certificates_that_end_are_told_in_time(tmp_path, post):
    authority = trustme.CA()
    files = {}
    for name, days in (("soon", 12.4), ("long", 400), ("over", -3)):
        leaf = authority.issue_cert(
            "gateway", not_after=dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
        )
        files[name] = tmp_path / f"{name}.pem"
        leaf.cert_chain_pems[0].write_to_path(files[name])
    nodes = msgspec.structs.replace(
        post.broker.nodes, ca_file=str(files["long"]), certificate_file=str(files["soon"])
    )
    post = msgspec.structs.replace(
        post,
        broker=msgspec.structs.replace(
            post.broker, nodes=nodes, ca_file=str(files["over"]), certificate_file="/nowhere"
        ),
    )
    left = days_left(post, NOW_MS)
    assert left["broker.nodes.certificate_file"] == pytest.approx(12.4, abs=0.1)
    assert left["broker.certificate_file"] is None
    say(post)
    found = read(post)
    assert not well(found)
    told = screen(found)
    assert "certificate broker.nodes.certificate_file: ends in 12 days" in told
    assert "certificate broker.ca_file: ended 3 days ago" in told
    assert "certificate broker.certificate_file: cannot be read" in told
    assert "broker.nodes.ca_file" not in told


def test_a_large_post_fits_on_a_screen(post):
    say(post)
    node = NodeState(
        node="lane",
        state="online",
        seen_ms=NOW_MS,
        instrument="x",
        config_in_force=True,
        fault="",
        evicted_count=0,
        records=0,
        calibration="valid",
    )
    nodes = tuple(msgspec.structs.replace(node, node=f"lane-{number}") for number in range(1_000))
    bad = msgspec.structs.replace(node, node="lane-bad", state="offline", fault="laser is off")
    told = screen(msgspec.structs.replace(read(post), nodes=(*nodes, bad)))
    assert "nodes 1001, well 1000" in told
    assert "fault of lane-bad: laser is off" in told
    assert len([line for line in told.splitlines() if line.startswith("lane-")]) == NODES_SHOWN_MAX
    assert len(told.splitlines()) < 40


# ------------------------------------------------------------------------------ the gateway's word


def test_the_word_is_one_page_however_much_there_is_to_say(tmp_path):
    file = StateFile(tmp_path, {})
    barred = {f"{'n' * 28}-{number:03}": "x" * 500 for number in range(1_000)}
    long = State(
        str(tmp_path),
        1,
        2,
        disk=Condition(DiskState.full, 3, "é" * 5_000),
        hangs="h" * 1_000,
        barred=barred,
        barred_count=len(barred),
    )
    assert file.write(long)
    (path,) = tmp_path.iterdir()
    assert path.stat().st_size == STATE_BYTES_MAX
    assert path.stat().st_mode & 0o777 == 0o644
    assert read_state(tmp_path, {}).barred_count == 1_000
    short = State(str(tmp_path), 1, 2)
    inode = path.stat().st_ino
    assert file.write(short)
    assert read_state(tmp_path, {}) == short
    assert path.stat().st_ino == inode  # in place: a full disk has no room for another
    file.remove()
    assert read_state(tmp_path, {}) is None


def test_the_word_is_in_memory_where_there_is_a_folder_for_it(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    environment = {"RUNTIME_DIRECTORY": f"{run}:/run/other"}
    state = State(str(tmp_path), 1, 2)
    assert StateFile(tmp_path, environment).write(state)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert read_state(tmp_path, environment) == state
    assert read_state(tmp_path / "another", environment) is None  # of another post


def test_a_word_that_cannot_be_written_or_read_is_no_fault(tmp_path):
    assert not StateFile(tmp_path / "missing", {}).write(State("x", 1, 2))
    path = tmp_path / "gateway-state.json"
    path.write_text("{")
    assert read_state(tmp_path, {}) is None
    os.truncate(path, 0)
    assert read_state(tmp_path, {}) is None
