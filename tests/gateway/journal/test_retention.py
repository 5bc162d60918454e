"""Goal: what is worth least goes first, what must stay stays, and nobody takes evicted for new.

Method: real journals that grow beyond their bytes, days and rows in small; hypothesis draws what is
in them. What must stay is worked out from the story, not by the code under test.
"""

import asyncio
import random

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from gateway import wire
from gateway.errors import DiskError
from gateway.journal import batches, outbox, records, retention, worth
from gateway.journal.calibrations import Kept, insert_calibration, read_around
from gateway.journal.darks import read_dark, save_dark
from gateway.journal.dating import read_moment, read_stamp
from gateway.journal.differences import read_differences
from gateway.journal.postures import read_postures
from gateway.journal.rejudgements import read_stored
from gateway.journal.retention import DAY_MS, Limits, evict, used_bytes
from gateway.journal.store import connect
from gateway.journal.tallies import read_tallies
from gateway.journal.upkeep import POSTURE, Upkeep
from protocol import messages
from tests.gateway.journal.test_disk import opened
from tests.gateway.journal.test_records import JOURNAL, judge, reading

NOTHING = Limits(1, 365)  # may be kept of what may go
ALL = Limits(1 << 60, 365)
ROLES = {"dark": messages.ROLE_DARK, "standard": messages.ROLE_STANDARD}


@pytest.fixture(autouse=True)
def no_record_is_fresh(monkeypatch):
    monkeypatch.setattr(retention, "FRESH_RECORDS", 0)


@pytest.fixture
def connection(tmp_path):
    connection = connect(tmp_path / "journal.sqlite")
    yield connection
    connection.close()


def put(connection, seq, kind, *, dark_seq=None, node="lane-1", received_ms=None):
    """Commit a record and settle it: dark, clear, inconclusive, alarm, standard, pending, event."""
    if kind == "event":
        record = wire.Event(
            *(JOURNAL, seq, b"boot-one", 5, None, 0, b"inspect1", 1, "", b"a text", None, None)
        )
    else:
        role = ROLES.get(kind, messages.ROLE_SAMPLE)
        record = reading(seq, role=role, dark_seq=dark_seq)
        pixels = random.Random(seq).randbytes(2_900)
        record = msgspec.structs.replace(record, pixels_u16le=pixels)
    with connection:
        settle(connection, record, kind, node, seq if received_ms is None else received_ms)
    return record


def settle(connection, record, kind, node, when):
    frame, seq = wire.encode(record), record.seq
    assert records.insert_record(connection, node, record, frame, when)
    ((record_id,),) = connection.execute("SELECT max(id) FROM records").fetchall()
    if kind == "dark":
        save_dark(connection, node, record, when)
    elif kind == "standard":
        kept = Kept(record_id, when, "diamond", "", "", b"{}")
        insert_calibration(connection, node, b"axis-one", kept, 0)
    elif kind == "alarm":
        judge(connection, record_id, kind, "listed_found", f"{node}-{seq}")
    elif kind in {"clear", "inconclusive"}:
        judge(connection, record_id, kind)


def run(connection, limits, now_ms=0):
    """Evict until there is nothing to do; return what went, step by step."""
    steps = []
    while not steps or steps[-1].counts or steps[-1].deleted:
        with connection:
            steps.append(evict(connection, now_ms, limits))
        assert len(steps) < 1_000
    return steps


def kept(connection, node="lane-1"):
    """The records whose frames are there."""
    rows = connection.execute(
        "SELECT seq FROM records WHERE node = ? AND length(frame) > 0 ORDER BY seq", (node,)
    )
    return [seq for (seq,) in rows]


def test_within_its_limits_nothing_goes_and_nothing_is_written(connection):
    for seq in range(1, 20):
        put(connection, seq, "clear")
    before = connection.total_changes()
    (step,) = run(connection, ALL)
    assert (step.counts, step.is_over, step.is_stuck) == ({}, False, False)
    assert connection.total_changes() == before


def test_the_least_valuable_goes_first_and_of_these_the_oldest(connection):
    kinds = ["inconclusive", "dark", "clear", "clear", "dark", "event", "clear", "dark"]
    for seq in range(1, 241):
        put(connection, seq, kinds[seq % 8])
    gone = []
    while True:
        before = set(kept(connection))
        with connection:
            step = evict(connection, 0, NOTHING)
        if not step.counts:
            break
        gone.append((step.counts, sorted(before - set(kept(connection)))))
    assert step.is_over
    assert step.is_stuck
    ranks = {"dark": 0, "clear": 1, "inconclusive": 2, "event": 2}
    order = [ranks[kinds[seq % 8]] for _, seqs in gone for seq in seqs]
    by_step = [max(ranks[kinds[seq % 8]] for seq in seqs) for _, seqs in gone]
    assert by_step == sorted(by_step)
    assert sum(counts.total() for counts, _ in gone) == len(order) == 239
    assert kept(connection) == [239]  # the newest dark
    row = connection.execute("SELECT evicted, bytes > 500000, deleted FROM retention").fetchone()
    assert row == (239, True, 0)


def test_what_came_while_the_clock_was_ahead_hides_no_old_record(connection, monkeypatch):
    """Step by step the whole rank is looked through; what is not old by its label stays."""
    monkeypatch.setattr(retention, "LOOKED_AT_MAX", 5)
    monkeypatch.setattr(retention, "STEP_RECORDS", 3)
    now_ms = 1_000 * DAY_MS
    old = {*range(20, 40), 61}
    for seq in range(1, 70):
        days = 5_000 if seq < 20 else 100 if seq in old else 999
        put(connection, seq, "clear", received_ms=days * DAY_MS)
    swept = {}
    for _ in range(60):
        with connection:
            swept |= evict(connection, now_ms, ALL, swept=swept).swept
    gone = connection.execute("SELECT seq FROM records WHERE frame = x''").fetchall()
    assert {seq for (seq,) in gone} == old


def test_of_one_rank_the_oldest_goes_first_and_no_more_than_has_to(connection):
    for seq in range(1, 401):
        put(connection, seq, "clear")
    limits = Limits(used_bytes(connection) // 2, 365)
    steps = run(connection, limits)
    assert not steps[-1].is_over
    assert not steps[-1].is_stuck
    left = kept(connection)
    assert left == list(range(left[0], 401))
    assert 100 <= len(left) <= 220
    assert used_bytes(connection) <= limits.bytes_max


@given(
    kinds=st.lists(
        st.sampled_from(["dark", "clear", "inconclusive", "alarm", "pending", "standard", "event"]),
        min_size=1,
        max_size=40,
    ),
    places=st.randoms(use_true_random=False),
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_must_stay_stays(tmp_path_factory, kinds, places):
    connection = connect(tmp_path_factory.mktemp("drawn") / "journal.sqlite")
    needs, darks = {}, []
    for seq, kind in enumerate(kinds, start=1):
        if kind == "dark":
            darks.append(seq)
        named = places.choice(darks) if darks and places.random() < 0.7 else None
        needs[seq] = named if kind not in {"dark", "event"} else None
        put(connection, seq, kind, dark_seq=needs[seq])
    by_kind = {kind: [n for n, k in enumerate(kinds, 1) if k == kind] for kind in set(kinds)}
    stay = set(by_kind.get("alarm", ())) | set(by_kind.get("pending", ()))
    stay |= set(by_kind.get("standard", ())[-retention.STANDARDS_KEPT :])
    stay |= {needs[seq] for seq in stay if needs[seq]} | set(darks[-1:])
    tallies = read_tallies(connection)
    ledger = records.read_ledger(connection, "lane-1", JOURNAL)
    run(connection, NOTHING)
    assert set(kept(connection)) == stay
    assert read_tallies(connection) == tallies
    assert records.read_ledger(connection, "lane-1", JOURNAL).seq == ledger.seq
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    ranked = connection.execute("SELECT record_id FROM evictable").fetchall()
    assert {record_id for (record_id,) in ranked} <= set(darks[-1:])
    connection.close()


def test_what_was_evicted_is_not_new_when_it_comes_again(connection):
    said = [put(connection, seq, "clear" if seq > 1 else "dark", dark_seq=1) for seq in range(1, 6)]
    put(connection, 6, "dark")
    run(connection, NOTHING)
    assert kept(connection) == [6]
    for record in said:
        frame = wire.encode(record)
        assert not records.insert_record(connection, "lane-1", record, frame, 9)
        assert records.read_is_same(connection, "lane-1", record, frame)
    other = wire.encode(msgspec.structs.replace(said[2], scans=7))
    assert not records.read_is_same(connection, "lane-1", said[2], other)
    assert read_stored(connection, 3) is None
    assert read_dark(connection, "lane-1", said[2]) is None
    assert read_differences(connection, 9) == []
    assert records.raise_floor(connection, "lane-1", JOURNAL, 3) == 0
    assert records.raise_floor(connection, "lane-1", JOURNAL, 10) == 3  # 7, 8, 9 never came


def test_a_dark_goes_with_the_last_reading_that_needs_it(connection):
    put(connection, 1, "dark")
    put(connection, 2, "clear", dark_seq=1)
    put(connection, 3, "pending", dark_seq=1)
    put(connection, 4, "dark")
    run(connection, NOTHING)
    assert kept(connection) == [1, 3, 4]
    judge(connection, 3, "inconclusive")
    steps = run(connection, NOTHING)
    assert kept(connection) == [4]
    assert sum((step.counts for step in steps), start=steps[0].counts) is not None


def test_a_standard_goes_when_newer_ones_are_there(connection):
    for seq in range(1, 4):
        put(connection, seq, "standard")
    run(connection, NOTHING)
    assert kept(connection) == [1, 2, 3]
    for seq in range(4, 7):
        put(connection, seq, "standard")
    run(connection, NOTHING)
    assert kept(connection) == [3, 4, 5, 6]


def test_days_go_by_age_alone(connection):
    for seq in range(1, 31):
        put(connection, seq, "clear" if seq % 3 else "inconclusive", received_ms=seq * DAY_MS)
    put(connection, 31, "alarm", received_ms=1)
    run(connection, Limits(1 << 60, 10), now_ms=31 * DAY_MS)
    assert kept(connection) == list(range(21, 32))


def test_the_newest_stay_whatever_they_are(connection, monkeypatch):
    monkeypatch.setattr(retention, "FRESH_RECORDS", 10)
    for seq in range(1, 31):
        put(connection, seq, "dark")
    run(connection, NOTHING)
    assert kept(connection) == list(range(21, 31))


def test_beyond_their_number_emptied_rows_go_too(connection, monkeypatch):
    monkeypatch.setattr(retention, "ROWS_MAX", 10)
    kinds = {3: "alarm", 8: "standard"}
    said = [put(connection, seq, kinds.get(seq, "clear")) for seq in range(1, 31)]
    put(connection, 31, "dark")
    records.save_floor(connection, "lane-1", JOURNAL, 25)
    run(connection, NOTHING)
    left = [seq for (seq,) in connection.execute("SELECT seq FROM records ORDER BY seq")]
    assert left == [3, 8, *range(24, 32)]
    row = connection.execute("SELECT seq, evicted_seq FROM journals").fetchone()
    assert row == (25, 23)
    assert records.read_ledger(connection, "lane-1", JOURNAL).seq == 31
    for record in said:
        frame = wire.encode(record)
        assert not records.insert_record(connection, "lane-1", record, frame, 9)
        assert records.read_is_same(connection, "lane-1", record, frame)
    assert read_tallies(connection)["record"] == {"lane-1": 31}
    assert connection.execute("SELECT deleted FROM retention").fetchone() == (21,)
    assert connection.execute("SELECT count(*) FROM verdicts").fetchone() == (8,)
    put(connection, 32, "clear")
    run(connection, NOTHING)
    assert connection.execute("SELECT min(seq), count(*) FROM records").fetchone() == (3, 10)


def test_a_row_above_the_floor_is_not_deleted(connection, monkeypatch):
    """The ledger is rebuilt from the rows above it."""
    monkeypatch.setattr(retention, "ROWS_MAX", 1)
    for seq in (1, 2, 4, 5):
        put(connection, seq, "clear")
    put(connection, 6, "dark")
    run(connection, NOTHING)
    ledger = records.read_ledger(connection, "lane-1", JOURNAL)
    assert (ledger.seq, ledger.beyond()) == (2, (4, 6))


def test_an_alert_that_was_lowered_keeps_its_reading(connection):
    put(connection, 1, "alarm")
    put(connection, 2, "clear")
    worth.rank(connection, 1, worth.CLEAR)  # as a run that judged it again left it
    outbox.save_receipt(connection, "lane-1-1", b"{}", 5)
    run(connection, NOTHING)
    assert kept(connection) == [1]


def test_no_step_reads_all_records(connection):
    for seq in range(1, 10):
        put(connection, seq, "clear", dark_seq=None)
    asked = []
    connection.execute("BEGIN")
    connection.exec_trace = lambda _, sql, values: asked.append((sql, values)) or True
    assert evict(connection, 0, NOTHING).counts
    connection.exec_trace = None
    connection.execute("COMMIT")
    plans = [
        row[3]
        for sql, values in asked
        if not sql.startswith("PRAGMA")
        for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
    ]
    allowed = ("SCAN CONSTANT", "SCAN retention", "SCAN (subquery")
    assert [one for one in plans if one.startswith("SCAN") and not one.startswith(allowed)] == []


def test_the_gateway_evicts_counts_and_holds_readings_when_nothing_may_go(tmp_path):
    async def story():
        counted = {}

        def count(name, subject, amount):
            counted[name, subject] = counted.get((name, subject), 0) + amount

        async with opened(tmp_path) as (journal, _):
            for seq in range(1, 150):
                await journal.write(
                    lambda c, seq=seq: put(c, seq, "alarm" if seq % 5 == 0 else "clear")
                )
            upkeep = Upkeep(journal, NOTHING, now_ms=lambda: 5, count=count)
            while await upkeep.evict():
                pass
            assert counted == {("record_evicted", "clear"): 120}
            with pytest.raises(DiskError, match=r"raise journal\.bytes_max"):
                await journal.write(lambda c: put(c, 200, "clear"), essential=False)
            await journal.write(lambda c: put(c, 201, "alarm"))
            assert POSTURE in await journal.read(read_postures)
            room = Upkeep(journal, ALL, now_ms=lambda: 5, count=count)
            room._is_noted = True
            assert not await room.evict()
            await journal.write(lambda c: put(c, 202, "clear"), essential=False)
            assert await journal.read(read_postures) == {}

    asyncio.run(story())


def test_on_a_disk_short_of_room_readings_go_into_pages_that_were_freed(tmp_path, monkeypatch):
    """A post whose disk is too small for its bytes_max goes on by itself."""
    monkeypatch.setattr(retention, "SPARE_BYTES", 200_000)
    monkeypatch.setattr(batches, "SPARE_BYTES", 200_000)

    async def story():
        async with opened(tmp_path) as (journal, told):
            for seq in range(1, 301):
                await journal.write(lambda c, seq=seq: put(c, seq, "clear"))
            journal.space.reserve_bytes = 1 << 60
            with pytest.raises(DiskError):
                await journal.write(lambda c: put(c, 900, "pending"), essential=False)
            size = await journal.read(lambda c: c.pragma("page_count"))
            upkeep = Upkeep(journal, ALL, now_ms=lambda: 5, count=lambda *_: None)
            while await upkeep.evict():
                pass
            left = await journal.read(kept)
            assert left == list(range(left[0], 301))
            assert 50 < len(left) < 250
            for seq in range(901, 941):
                await journal.write(lambda c, seq=seq: put(c, seq, "pending"), essential=False)
            assert await journal.read(lambda c: c.pragma("page_count")) <= size + 2
            more = (
                journal.write(lambda c, seq=seq: put(c, seq, "pending"), essential=False)
                for seq in range(941, 1_041)
            )
            outcomes = [
                outcome
                for one in more
                for outcome in await asyncio.gather(one, return_exceptions=True)
            ]
            assert isinstance(outcomes[-1], DiskError)
            assert [name for name, _ in told] == ["disk_unwell", "disk_well", "disk_unwell"]

    asyncio.run(story())


def test_an_evicted_neighbour_dates_nothing_and_spoils_nothing(connection):
    put(connection, 1, "standard")
    for seq in range(2, 8):
        put(connection, seq, "standard")
    before = read_around(connection, "lane-1", b"axis-one", 99)
    run(connection, NOTHING)
    assert kept(connection) == [4, 5, 6, 7]
    assert read_around(connection, "lane-1", b"axis-one", 99) == before
    assert read_stamp(None) is read_stamp(b"") is None
    undated = reading(3)
    assert read_moment(connection, "lane-1", undated, 9).source == "none"
