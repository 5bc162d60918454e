"""Goal: no receipt goes back, and no node is blamed for what it freed by our own receipts.

Method: journals with holes, closed, damaged and set aside, or copied and put back; what a receipt
would say is read before and after, and nodes' words of what they have freed are committed.
"""

import asyncio
import shutil

import apsw
import msgspec
import pytest

from gateway import wire
from gateway.ingest.committing import commit
from gateway.ingest.intake import Taken
from gateway.journal import backup, export, records, setting_aside
from gateway.journal.opening import transaction
from gateway.journal.store import FILE_NAME, Journal, connect
from gateway.journal.telling import Wanted
from tests.gateway.journal.test_records import JOURNAL, birth, judge, reading

NODE, HOLE, LAST = "lane-1", 10, 60
PAGE = 4_096


@pytest.fixture
def path(tmp_path):
    """A journal of judged readings with a hole, as a kill leaves it: the floor is an old one."""
    path = tmp_path / FILE_NAME
    connection = connect(path)
    with transaction(connection):
        word = birth()
        records.save_birth(connection, NODE, word, wire.encode(word), 5)
        records.save_floor(connection, NODE, JOURNAL, 3)
        for seq in range(1, LAST + 1):
            if seq != HOLE:
                record = reading(seq)
                records.insert_record(connection, NODE, record, wire.encode(record), seq)
        for (record_id,) in connection.execute("SELECT record_id FROM pending").fetchall():
            judge(connection, record_id)
    connection.close()
    return path


def ledger(connection):
    found = records.read_ledger(connection, NODE, JOURNAL)
    return found.seq, found.beyond()


def damage(path, name="counters"):
    """Make one page of a table unreadable."""
    connection = connect(path, read_only=True)
    query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
    ((page,),) = connection.execute(query, (name,)).fetchall()
    connection.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * PAGE : page * PAGE] = bytes(PAGE)
    path.write_bytes(content)


def freed(connection, oldest_seq):
    """What is lost by a node's word that it has nothing below a record any more."""
    word = msgspec.structs.replace(birth(), oldest_seq=oldest_seq, next_seq=oldest_seq + 1)
    taken = Taken(NODE, word, wire.encode(word), retained=False, received_ms=9)
    with transaction(connection):
        return commit(connection, [taken], [(NODE, JOURNAL)], {}).gaps


def test_receipts_of_a_renewed_journal_cover_what_they_did(path, tmp_path):
    connection = connect(path)
    before = ledger(connection)
    connection.close()
    assert before[0] == HOLE - 1
    damage(path)
    setting_aside.renew(path, apsw.CorruptError("damaged"))
    connection = connect(path)
    try:
        assert ledger(connection) == before
        again = reading(30)
        with transaction(connection):
            frame = wire.encode(again)
            assert not records.insert_record(connection, NODE, again, frame, 1)
            late = reading(HOLE)
            assert records.insert_record(connection, NODE, late, wire.encode(late), 1)
        assert ledger(connection) == (LAST, ())
    finally:
        connection.close()
    made = export.make(path, tmp_path / "x.zip", Wanted(), reserve_bytes=0, now_ms=1)
    assert made.records == 1  # rows that only say what was committed are no records


def test_what_awaits_its_verdict_and_cannot_be_read_is_not_receipted(path):
    """The node may have it yet: it is a new record when it comes again."""
    record = msgspec.structs.replace(reading(LAST + 1), pixels_u16le=b"\3\1" * 1_500)
    connection = connect(path)
    with transaction(connection):
        records.insert_record(connection, NODE, record, wire.encode(record), 1)
    pages = "SELECT pageno FROM dbstat WHERE name = 'records' AND pagetype = 'leaf' ORDER BY path"
    *_, (page,) = connection.execute(pages)
    connection.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * PAGE : page * PAGE] = bytes(PAGE)
    path.write_bytes(content)
    damage(path)
    setting_aside.renew(path, apsw.CorruptError("damaged"))
    connection = connect(path)
    try:
        seq, ranges = ledger(connection)
        assert (seq, ranges) == (HOLE - 1, (HOLE + 1, LAST))
    finally:
        connection.close()


def test_a_node_is_not_blamed_for_what_a_renewed_or_restored_journal_lacks(path, tmp_path):
    (tmp_path / "post").mkdir()
    copy = tmp_path / "post" / FILE_NAME
    backup.make(tmp_path, copy, reserve_bytes=0, now_ms=1)
    damage(path)
    setting_aside.renew(path, apsw.CorruptError("damaged"))
    for journal in (copy, path):
        connection = connect(journal)
        try:
            (gap,) = freed(connection, LAST + 20)
            assert (gap.count, gap.is_renewed) == (20, True)
            record = reading(LAST + 20)
            with transaction(connection):
                frame = wire.encode(record)
                assert records.insert_record(connection, NODE, record, frame, 1)
            (gap,) = freed(connection, LAST + 30)  # from here on it is the node's
            assert (gap.count, gap.is_renewed) == (9, False)
        finally:
            connection.close()


def test_a_journal_of_its_own_life_blames_the_node(path):
    connection = connect(path)
    try:
        (gap,) = freed(connection, LAST + 20)
        assert (gap.count, gap.is_renewed) == (20, False)
    finally:
        connection.close()


def test_a_close_keeps_how_far_journals_are(path):
    connection = connect(path)
    late = reading(HOLE)
    with transaction(connection):
        records.insert_record(connection, NODE, late, wire.encode(late), 1)
    connection.close()
    shutil.copy(path, path.with_name("before.sqlite"))

    async def story():
        journal = Journal(path)
        await journal.open()
        await journal.close()

    asyncio.run(story())
    for name, floor in ((FILE_NAME, LAST), ("before.sqlite", 3)):
        connection = connect(path.with_name(name), read_only=True)
        assert connection.execute("SELECT seq FROM journals").fetchall() == [(floor,)]
        connection.close()
