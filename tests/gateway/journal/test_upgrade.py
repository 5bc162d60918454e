"""Goal: an old journal is brought up to date once, and what it cannot know is noted, not guessed.

Method: the tables that gateways of those versions made (`released/`), with rows of every kind in
them; for version 5 also a journal of today without what came since, which must end as it was.
"""

import msgspec
import pytest

from gateway import wire
from gateway.journal import records
from gateway.journal.calibrations import Kept, insert_calibration
from gateway.journal.darks import save_dark
from gateway.journal.outbox import save_receipt
from gateway.journal.records import Judgement
from gateway.journal.store import SCHEMA_VERSION, connect
from gateway.journal.tallies import read_tallies
from protocol.messages import ROLE_DARK, ROLE_SAMPLE, ROLE_STANDARD, Health, Reading
from tests.gateway.journal.older import to_version_5
from tests.gateway.journal.released.files import empty

NODE = "lane-1"


def frame_of(seq, role=ROLE_SAMPLE, boot_id=b"boot-one", time=(None, 0), dark_seq=None):
    return Reading(
        *(b"journal1", seq, boot_id, 5_000, *time, b"inspect1", role, b"axis-one"),
        *(400_000, 1, 100, None, 65_535, 0, dark_seq, bytes(64)),
    ).pack()


def insert(
    connection, seq, role=ROLE_SAMPLE, boot_id=b"boot-one", time=(None, 0), dark_seq=None, node=NODE
):
    frame = frame_of(seq, role, boot_id, time, dark_seq)
    records.insert_record(connection, node, wire.decode(frame), frame, received_ms=seq)
    ((record_id,),) = connection.execute("SELECT max(id) FROM records").fetchall()
    return record_id


def judge(connection, record_id, reason="harmless_found", verdict="clear", **told):
    body = msgspec.json.encode({"verdict": verdict, "reason_id": reason, **told})
    alert = (f"alert-{record_id}", b"body") if verdict == "alarm" else ()
    records.insert_judgement(connection, Judgement(record_id, verdict, reason, body, 1_000, *alert))


def insert_old(connection, seq, role=ROLE_SAMPLE, **told):
    """Put a record into a journal of any version, and what was said of it."""
    frame = frame_of(seq, role, **told)
    connection.execute(
        "INSERT INTO records (node, journal_id, seq, kind, received_ms, frame)"
        " VALUES (?, ?, ?, 3, ?, ?)",
        (NODE, b"journal1", seq, seq, frame),
    )
    return connection.last_insert_rowid()


def judge_old(connection, record_id, reason="harmless_found", body=None, **told):
    body = msgspec.json.encode({"reason_id": reason, **told}) if body is None else body
    connection.execute(
        "INSERT INTO verdicts VALUES (?, 'clear', ?, ?, 1000)", (record_id, reason, body)
    )


def ids(connection, table):
    return [row[0] for row in connection.execute(f"SELECT record_id FROM {table} ORDER BY 1")]


@pytest.mark.parametrize("name", ["v1", "v2", "v2_both"])
def test_verdicts_of_the_time_without_calibrations_are_noted(tmp_path, name):
    path = tmp_path / "journal.sqlite"
    connection = empty(name, path)
    without, unread, failed, with_one = (insert_old(connection, seq) for seq in (1, 2, 3, 4))
    judge_old(connection, without)
    judge_old(connection, failed, reason="judgement_failed")
    judge_old(connection, with_one, calibration={"state": "valid"})
    judge_old(connection, unread, body=b"no JSON")
    connection.close()
    connection = connect(path)
    assert connection.pragma("user_version") == SCHEMA_VERSION
    assert ids(connection, "unrecorded") == [without]
    connection.close()
    connection = connect(path)  # once
    assert ids(connection, "unrecorded") == [without]
    connection.close()


@pytest.mark.parametrize("name", ["v1", "v2", "v2_both"])
def test_standards_that_were_only_kept_are_evaluated(tmp_path, name):
    path = tmp_path / "journal.sqlite"
    connection = empty(name, path)
    insert_old(connection, 1)
    standard = insert_old(connection, 2, ROLE_STANDARD)
    insert_old(connection, 3, ROLE_DARK)
    connection.execute(
        "INSERT INTO records (node, journal_id, seq, kind, received_ms, frame)"
        " VALUES ('lane-1', x'00', 9, 3, 1, x'c1')"  # not readable any more
    )
    connection.close()
    connection = connect(path)
    assert ids(connection, "pending") == [standard]
    connection.close()


@pytest.mark.parametrize("name", ["v3", "v3_responses"])
def test_what_a_node_last_said_of_its_boot_dates_its_records(tmp_path, name):
    """SPEC 7.6: an arrival is not kept, so only the node's own time counts."""
    path = tmp_path / "journal.sqlite"
    connection = empty(name, path)
    for node, quality in (("lane-1", 2), ("lane-2", 0)):
        stamp = (b"boot-one", 5_000, 1_795_000_005_000 if quality else None, quality)
        health = Health(
            *(*stamp, None, None, 0, b"journal1", 1, 1, 0, 0, 0, 0, 0, 0, 0, ""),
        )
        connection.execute("INSERT INTO nodes (node, health) VALUES (?, ?)", (node, health.pack()))
    connection.close()
    connection = connect(path)
    assert connection.pragma("user_version") == SCHEMA_VERSION
    found = connection.execute("SELECT node, boot_id, word_ms, quality FROM boots").fetchall()
    assert found == [("lane-1", b"boot-one", 1_795_000_000_000, 2)]
    connection.close()


@pytest.mark.parametrize("name", ["v1", "v3", "v4"])
def test_stored_records_date_their_boots(tmp_path, name):
    """SPEC 7.6: the newest record of a boot that knew the time speaks for those that did not."""
    path = tmp_path / "journal.sqlite"
    connection = empty(name, path)
    now_ms = 1_795_000_000_000
    for seq, (boot_id, time) in enumerate(
        (
            (b"boot-one", (None, 0)),
            (b"boot-one", (now_ms - 90_000_000, 2)),
            (b"boot-one", (now_ms, 2)),
            (b"boot-two", (now_ms, 1)),  # its own clock's: no word of a gateway
            (b"boot-xyz", (now_ms, 2)),
            (b"boot-old", (86_400_000, 2)),  # 1970
        ),
        start=1,
    ):
        insert_old(connection, seq, boot_id=boot_id, time=time)
    connection.close()
    connection = connect(path)
    found = connection.execute("SELECT boot_id, word_ms, quality FROM boots ORDER BY id").fetchall()
    assert found == [(b"boot-one", now_ms - 5_000, 2), (b"boot-xyz", now_ms - 5_000, 2)]
    connection.close()


def test_orders_and_boots_of_version_4_keep_their_order(tmp_path):
    path = tmp_path / "journal.sqlite"
    connection = empty("v4", path)
    connection.execute(
        "INSERT INTO boots (node, boot_id, offset_ms, quality, learned_ms)"
        " VALUES ('lane-1', x'62', 7, 2, 2), ('lane-1', x'61', 8, 0, 1)"
    )
    connection.execute(
        "INSERT INTO orders (node, command_id, standard, received_ms)"
        " VALUES ('lane-1', x'64', 'diamond', 2), ('lane-1', x'63', 'silicon', 1)"
    )
    connection.close()
    connection = connect(path)
    boots = connection.execute("SELECT boot_id, word_ms, arrival_ms FROM boots ORDER BY id")
    assert boots.fetchall() == [(b"a", None, 8), (b"b", 7, None)]
    orders = connection.execute("SELECT command_id, standard FROM orders ORDER BY id")
    assert orders.fetchall() == [(b"c", "silicon"), (b"d", "diamond")]
    left = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'old%'")
    assert left.fetchall() == [(0,)]
    connection.close()


def test_a_new_journal_has_nothing_to_note(tmp_path):
    connection = connect(tmp_path / "journal.sqlite")
    judge(connection, insert(connection, 1))
    connection.close()
    connection = connect(tmp_path / "journal.sqlite")
    assert ids(connection, "unrecorded") == []
    connection.close()


LISTING = (
    "SELECT type, name, tbl_name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY 1, 2"
)


def columns(connection):
    """Every table's columns with their place, type and default."""
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    return {
        table: connection.execute("SELECT * FROM pragma_table_info(?)", (table,)).fetchall()
        for (table,) in tables
    }


def counted(connection):
    """What there is any of: nothing is counted anew that is not there."""
    return {
        name: {subject: count for subject, count in subjects.items() if count}
        for name, subjects in read_tallies(connection).items()
    }


def story(connection):
    """Two nodes with darks, verdicts of every kind, a standard, alerts, and what is pending."""
    for node in ("lane-1", "lane-2"):
        dark = insert(connection, 1, ROLE_DARK, node=node)
        frame = connection.execute("SELECT frame FROM records WHERE id = ?", (dark,)).fetchone()[0]
        save_dark(connection, node, wire.decode(frame), 1)
    clear, unclear, alarm, delivered, standard = (
        insert(connection, seq, ROLE_STANDARD if seq == 6 else ROLE_SAMPLE, dark_seq=1)
        for seq in (2, 3, 4, 5, 6)
    )
    judge(connection, clear)
    judge(connection, unclear, "no_axis", "inconclusive")
    judge(connection, alarm, "listed_found", "alarm")
    judge(connection, delivered, "listed_found", "alarm")
    save_receipt(connection, f"alert-{delivered}", b"receipt", 5)
    insert_calibration(connection, NODE, b"axis-one", Kept(standard, 6, "x", "", "", b"{}"), 0)
    for seq in (3, 2):
        insert(connection, seq, node="lane-2")


def test_version_5_gets_its_tallies_worths_and_the_nodes_of_what_is_pending(tmp_path):
    """It ends as a journal of today that had the same story, to the last column and row."""
    found = []
    for name in ("today", "older"):
        connection = connect(tmp_path / name)
        story(connection)
        if name == "older":
            to_version_5(connection)
            connection.close()
            connection = connect(tmp_path / name)
        assert connection.pragma("user_version") == SCHEMA_VERSION
        assert connection.pragma("foreign_key_check") is None
        found.append(
            (
                connection.execute(LISTING).fetchall(),
                columns(connection),
                counted(connection),
                records.read_heads(connection),
                connection.execute("SELECT node, record_id FROM pending").fetchall(),
                connection.execute("SELECT id, seq FROM records ORDER BY id").fetchall(),
                connection.execute("SELECT * FROM evictable WHERE rank > 0 ORDER BY 2").fetchall(),
            )
        )
        if name == "older":
            judge(connection, max(ids(connection, "pending")))
            assert counted(connection)["pending"] == {"lane-2": 1}
            assert counted(connection)["verdict"]["clear"] == 2
        connection.close()
    today, older = found
    assert older[:-1] == today[:-1]
    # Which darks are needed is not known of the old one: they go as late as the inconclusive.
    darks = [(2, 1), (2, 2)]
    assert older[-1] == sorted([*today[-1], *darks], key=lambda row: row[1])
    assert today[2]["record"] == {"lane-1": 6, "lane-2": 3}
    assert today[2]["alert_made"] == {"": 2}
    assert today[2]["alert_delivered"] == {"": 1}


def test_what_alerts_and_standards_need_is_known_after_the_upgrade(tmp_path):
    connection = connect(tmp_path / "journal.sqlite")
    story(connection)
    to_version_5(connection)
    connection.close()
    connection = connect(tmp_path / "journal.sqlite")
    rows = connection.execute("SELECT seq, crc, dark_seq FROM records WHERE node = 'lane-1'")
    assert rows.fetchall() == [
        *((1, None, None), (2, None, None), (3, None, None), (4, None, 1), (5, None, 1)),
        (6, None, 1),
    ]
    connection.close()
