"""Goal: what a technician says of nodes is in force within a second, and never by half a file.

Method: `nodes.toml` and a certificate revocation list in a temporary folder, and a `Revocation`
that looks at them when the test says so.
"""

import datetime as dt
import errno
import os
import threading
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SettingsError
from gateway.files import write_whole
from gateway.fleet import nodes_file, revocation
from gateway.fleet.nodes_file import Entry, NodesFile
from gateway.fleet.revocation import Revocation
from gateway.observe.counters import Counters
from gateway.settings import BrokerSettings, NodeListenerSettings
from tests.gateway.running import recording
from tests.gateway.seen import Log

SINCE = dt.datetime(2026, 11, 22, 6, 30, tzinfo=dt.UTC)

entries = st.builds(
    Entry,
    label=st.text(st.characters(codec="utf-8"), max_size=nodes_file.LABEL_CHARS_MAX),
    revoked=st.none() | st.just(SINCE),
    serials=st.lists(st.from_regex("[0-9a-f]{1,40}", fullmatch=True), max_size=3).map(tuple),
)


@given(st.dictionaries(st.from_regex("[a-z0-9][a-z0-9-]{0,31}", fullmatch=True), entries))
def test_what_is_written_is_read_again(found):
    text = nodes_file._text(found)
    assert nodes_file.msgspec.convert(tomllib.loads(text), NodesFile) == NodesFile(found)


def revoke(folder, node, **fields):
    with nodes_file.changing(folder) as found:
        found[node] = Entry(revoked=SINCE, **fields)


def test_a_folder_without_the_file_revokes_nobody(tmp_path):
    assert revocation.current(tmp_path) == frozenset()
    revoke(tmp_path, "lane-1", label="North")
    assert revocation.current(tmp_path) == {"lane-1"}
    assert nodes_file.read(tmp_path).label("lane-1") == "North"
    assert nodes_file.read(tmp_path).label("lane-2") == ""
    assert {path.name for path in tmp_path.iterdir()} == {
        "nodes.lock",
        "nodes.toml",
        "nodes.toml.last",
    }


def test_whoever_reads_during_the_first_change_finds_nothing_lost(tmp_path, monkeypatch):
    found = []

    def write(path, content):
        write_whole(path, content)
        found.append(nodes_file.read(tmp_path).revoked)

    monkeypatch.setattr(nodes_file, "write_whole", write)
    with nodes_file.changing(tmp_path) as entries:
        entries["lane-1"] = Entry(revoked=SINCE)
    assert found == [set(), set(), {"lane-1"}]


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_disk_that_fails_during_the_first_change_changes_nothing(tmp_path, monkeypatch, written):
    def write(path, content):
        nonlocal written
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written -= 1
        write_whole(path, content)

    monkeypatch.setattr(nodes_file, "write_whole", write)
    with (
        pytest.raises(SettingsError, match="nothing is changed"),
        nodes_file.changing(tmp_path) as entries,
    ):
        entries["lane-1"] = Entry(revoked=SINCE)
    assert nodes_file.read(tmp_path).revoked == set()


def test_an_error_while_it_is_changed_changes_nothing(tmp_path):
    revoke(tmp_path, "lane-1")
    before = (tmp_path / "nodes.toml").read_bytes()

    def fail():
        with nodes_file.changing(tmp_path) as found:
            found.clear()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (tmp_path / "nodes.toml").read_bytes() == before


@pytest.mark.parametrize(
    "text",
    [
        b"[nodes.x",
        b"\xff",
        b"[nodes.x]\ncolour = 1",
        b"[nodes.x]\nserials = ['zz']",
        b"a = " + b"[" * 9999,
    ],
)
def test_a_file_that_is_none_of_ours_is_named(tmp_path, text):
    (tmp_path / "nodes.toml").write_bytes(text)
    path, copy = tmp_path / nodes_file.NAME, tmp_path / nodes_file.COPY_NAME
    with pytest.raises(SettingsError, match=r"nodes\.toml: .*; mend that place, or remove it") as f:
        nodes_file.read(tmp_path)
    assert nodes_file.COPY_NAME not in str(f.value)  # there is none to put back
    copy.write_text("[nodes.x]\n")
    with pytest.raises(SettingsError, match=rf"mend that place, or put .*: `cp {copy} {path}`"):
        nodes_file.read(tmp_path)


def watch(folder):
    log, counters = Log(), Counters()
    return Revocation(folder, counters=counters, log=recording(log)), log, counters


def test_each_change_is_told_once(tmp_path):
    revoke(tmp_path, "lane-1")
    found, log, _ = watch(tmp_path)
    assert found.current() == {"lane-1"}
    found.check()
    revoke(tmp_path, "lane-2")
    found.check()
    found.check()
    assert found.current() == {"lane-1", "lane-2"}
    with nodes_file.changing(tmp_path) as content:
        del content["lane-1"]
    found.check()
    assert found.current() == {"lane-2"}
    assert [(line["event"], line["node"]) for line in log.items] == [
        ("node_revoked", "lane-2"),
        ("node_restored", "lane-1"),
    ]


def test_a_faulty_file_admits_nobody_again(tmp_path):
    revoke(tmp_path, "lane-1")
    found, log, counters = watch(tmp_path)
    (tmp_path / "nodes.toml").write_text("[nodes.")
    found.check()
    found.check()
    assert found.current() == {"lane-1"}
    assert log.items[-1]["event"] == "nodes_file_fault"
    assert counters.take() == {("nodes_file_fault", ""): 1}


def test_what_root_changes_stays_the_gateways(tmp_path, monkeypatch):
    """Or the gateway's user could neither read nor change it from then on."""
    given = {}
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(
        "os.fchown",
        lambda fd, *owner: given.update({Path(f"/proc/self/fd/{fd}").readlink(): owner}),
    )
    about = tmp_path.stat()
    revoke(tmp_path, "lane-1")
    made = {name.name: owner for name, owner in given.items()}
    names = ("nodes.lock", ".nodes.toml.part", ".nodes.toml.last.part")
    assert made == dict.fromkeys(names, (about.st_uid, about.st_gid))


def test_a_lock_that_is_another_users_is_named(tmp_path, monkeypatch):
    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(nodes_file.os, "open", refuse)
    with pytest.raises(SettingsError, match=r"nodes\.lock: Permission denied; .*chown --ref"):
        revoke(tmp_path, "lane-1")


@pytest.mark.parametrize("damage", [b"", b"[nodes.", b"\0" * 4096, None])
def test_nobody_is_admitted_again_by_a_start_on_a_damaged_file(tmp_path, damage):
    revoke(tmp_path, "lane-1")
    if damage is None:
        (tmp_path / "nodes.toml").unlink()
    else:
        (tmp_path / "nodes.toml").write_bytes(damage)
    found, log, counters = watch(tmp_path)
    assert found.current() == {"lane-1"}
    assert "stays so: lane-1" in log.items[-1]["text"]
    assert "nodes.toml.last" in log.items[-1]["text"]
    assert counters.take() == {("nodes_file_fault", ""): 1}


def test_what_a_person_wrote_is_kept_too_and_what_can_be_read_of_it_holds(tmp_path):
    entry = '[nodes.lane-1]\nrevoked = 2026-11-22T06:30:00Z\n[nodes.lane-2]\nlabel = "South"\n'
    (tmp_path / "nodes.toml").write_text(entry)
    watch(tmp_path)
    (tmp_path / "nodes.toml").write_text("[nodes")
    assert watch(tmp_path)[0].current() == {"lane-1"}
    (tmp_path / "nodes.toml.last").unlink()
    (tmp_path / "nodes.toml").write_text(entry + "colour = [")
    assert watch(tmp_path)[0].current() == {"lane-1"}


def test_the_broker_is_given_a_list_that_is_there_or_that_is_named(tmp_path):
    beside = NodeListenerSettings("127.0.0.1", ca_file=f"{tmp_path}/ca.pem")
    assert revocation.broker_lines(BrokerSettings()) == ()
    assert revocation.broker_lines(BrokerSettings(nodes=beside)) == ()
    (tmp_path / "crl.pem").touch()
    assert revocation.broker_lines(BrokerSettings(nodes=beside)) == (f"crlfile {tmp_path}/crl.pem",)
    named = NodeListenerSettings("127.0.0.1", ca_file="/k/ca.pem", crl_file="/k/list.pem")
    assert revocation.broker_lines(BrokerSettings(nodes=named)) == ("crlfile /k/list.pem",)


def test_commands_wait_for_each_other(tmp_path):
    """A second one that reads before the first has written would undo it."""
    revoke(tmp_path, "lane-1")
    other = threading.Thread(target=revoke, args=(tmp_path, "lane-3"))
    with nodes_file.changing(tmp_path) as found:
        found["lane-2"] = Entry(label="South")
        other.start()
    other.join(timeout=30)
    assert set(nodes_file.read(tmp_path).nodes) == {"lane-1", "lane-2", "lane-3"}
