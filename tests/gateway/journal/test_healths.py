"""Goal: the healths of the last days can be read back, and never grow beyond their bounds.

Method: a real journal; the bounds made small where filling them would take long.
"""

import pytest

from gateway import wire
from gateway.journal import healths, records
from gateway.journal.postures import Posture, read_postures, save_posture
from gateway.journal.store import connect
from protocol.messages import Health


@pytest.fixture
def connection(tmp_path):
    connection = connect(tmp_path / "journal.sqlite")
    yield connection
    connection.close()


def health(uptime_ms):
    return Health(
        *(b"boot-one", uptime_ms, None, 0, 4_900, None, 0, b"journal1", 1, 1, 0, 0, 0, 0, 0, 0, 0),
        "",
    ).pack()


def test_every_health_that_came_is_kept_newest_first(connection):
    for number in range(1, 4):
        records.save_health(connection, "lane-1", health(number), 100 * number)
    records.save_health(connection, "lane-1", health(9), None)  # retained: it came before
    records.save_health(connection, "lane-2", health(7), 150)
    found = healths.read_healths(connection, "lane-1", 2)
    assert [(when, told.uptime_ms) for when, told in found] == [(300, 3), (200, 2)]
    assert isinstance(found[0][1], wire.Health)
    assert len(healths.read_healths(connection, "lane-1", 99)) == 3
    connection.execute("UPDATE healths SET frame = x'c1' WHERE received_ms = 200")
    assert [when for when, _ in healths.read_healths(connection, "lane-1", 99)] == [300, 100]


def test_a_node_has_a_bound_and_all_together_have_one(connection, monkeypatch):
    monkeypatch.setattr(healths, "HEALTHS_PER_NODE_MAX", 4)
    monkeypatch.setattr(healths, "HEALTHS_MAX", 10)
    for number in range(1, 8):
        for node in ("lane-1", "lane-2", "lane-3"):
            records.save_health(connection, node, health(number), number)
    found = connection.execute("SELECT node, count(*), max(received_ms) FROM healths GROUP BY node")
    assert sum(count for _, count, _ in found) <= 10
    for node in ("lane-1", "lane-2", "lane-3"):
        kept = [when for when, _ in healths.read_healths(connection, node, 99)]
        assert kept == list(range(7, 7 - len(kept), -1))
        assert 3 <= len(kept) <= 4


def test_a_state_keeps_its_beginning_until_it_ends(connection):
    save_posture(connection, "disk", "it is full", 5)
    save_posture(connection, "disk", "it is full", 6)
    save_posture(connection, "clock", "it is behind", 7)
    save_posture(connection, "disk", "it is still full" + "x" * 2_000, 8)
    found = read_postures(connection)
    assert list(found) == ["clock", "disk"]
    assert found["clock"] == Posture(7, "it is behind")
    assert found["disk"].since_ms == 5
    assert len(found["disk"].text) == 1_000
    save_posture(connection, "disk", None, 9)
    save_posture(connection, "disk", None, 9)
    assert list(read_postures(connection)) == ["clock"]
