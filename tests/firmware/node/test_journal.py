"""Goal: what is called stored survives, only receipts free it, and no number comes twice.

Method: a story that runs on both interpreters cuts the power at every byte of the newest segment
(tests/firmware/crash: at every write of a littlefs); a state machine plays appends, receipts,
restarts, torn tails and damage against a model; single cases cover eviction and unusable folders.
"""

import itertools
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from node import distil, record, segment
from node.errors import FlashRefused, JournalOutdated
from node.journal import Journal
from protocol.errors import PackingError
from protocol.messages import EVENT_CODE, Event, Reading

BUDGET = {"journal_bytes_max": 100_000, "segment_bytes": 400, "record_bytes_max": 300}


def make(folder, **budget):
    identity = itertools.count(1)
    journal = Journal(
        str(folder), BUDGET | budget, lambda count: bytes([next(identity)] * count), lambda _: None
    )
    journal.open()
    return journal


def event(journal, size=10, seq=None):
    seq = journal.next_seq if seq is None else seq
    return Event(
        *(journal.journal_id, seq, b"bootboot", seq * 10, None, 0, b"inspect!"),
        *(EVENT_CODE, "]C1", bytes([seq & 0xFF]) * size, None, None),
    )


def read_all(journal, wanted=Event.KIND):
    buffer, found, seq = bytearray(400), {}, 0
    while (record := journal.read_next(seq, buffer)) is not None:
        seq, kind, length = record
        assert wanted in (None, kind)
        found[seq] = bytes(buffer[:length])
    return found


def newest_file(folder):
    return max(Path(folder).iterdir())


def test_power_cuts_at_every_byte(run_story):
    """The story insists by itself; both interpreters must also tell it alike."""
    told = run_story("journal_story.py", interpreter="cpython")
    assert told[0].startswith("files 3 ")
    assert told == run_story("journal_story.py", interpreter="micropython")


def test_a_record_is_synced_before_it_is_called_stored(tmp_path, monkeypatch):
    """On CPython by fsync; MicroPython's flush() is one (see docs/node.md)."""
    sizes = []
    monkeypatch.setattr(
        segment.os, "fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size)
    )
    journal = make(tmp_path)
    journal.append(event(journal, 50))
    assert sizes == [segment.HEAD_BYTES, newest_file(tmp_path).stat().st_size]


@pytest.mark.parametrize("interpreter", ["cpython", "micropython"])
def test_the_last_thing_before_a_file_is_closed_is_its_flush(run_story, interpreter):
    """On MicroPython that flush is the sync: on the unix board fsync, on littlefs lfs_file_sync."""
    *_, last = [line.split() for line in run_story("sync_story.py", interpreter=interpreter)]
    assert last.count("write") == 1
    assert last[-2:] == ["flush", "close"]


def test_a_new_journal_has_its_own_identity_and_begins_at_one(tmp_path):
    journal = make(tmp_path / "journal")
    assert (journal.next_seq, journal.oldest_seq, len(journal.journal_id)) == (1, 1, 8)
    assert make(tmp_path / "journal").journal_id == journal.journal_id


def test_numbers_go_on_when_everything_was_freed(tmp_path):
    journal = make(tmp_path)
    for _ in range(12):
        journal.append(event(journal, 60))
    journal.free(12)
    assert len(list(tmp_path.iterdir())) == 1
    assert (journal.oldest_seq, journal.next_seq) == (13, 13)
    again = make(tmp_path)
    assert again.next_seq == 13
    again.append(event(again))
    assert list(read_all(again)) == list(range(again.oldest_seq, 14))


def test_only_receipts_free_and_only_whole_segments_go(tmp_path):
    journal = make(tmp_path)
    for _ in range(8):
        journal.append(event(journal, 60))
    files = len(list(tmp_path.iterdir()))
    journal.free(1, (3, 4, 8, 8))
    assert len(list(tmp_path.iterdir())) == files
    assert list(read_all(journal)) == [2, 5, 6, 7]
    assert journal.oldest_seq == 2
    journal.free(0)  # an old receipt, overtaken on its way (SPEC 6.11)
    assert list(read_all(journal)) == [2, 5, 6, 7]
    assert journal.read(3, bytearray(400)) is None
    journal.free(7)  # and 8 is receipted for ever
    assert journal.oldest_seq == 9
    assert len(list(tmp_path.iterdir())) < files


def test_the_oldest_is_evicted_counted_and_told(tmp_path):
    told = []
    journal = make(tmp_path, journal_bytes_max=1200)
    journal.lost = lambda: told.append(journal.evicted_count)
    for _ in range(20):
        journal.append(event(journal, 60))
        assert journal.bytes <= 1200
        assert journal.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    kept = read_all(journal)
    assert sorted(kept) == list(range(journal.oldest_seq, 21))
    assert journal.evicted_count == 20 - len(kept) == told[-1]
    journal.free(20)
    for _ in range(20):
        journal.append(event(journal, 60))
        journal.free(journal.next_seq - 1)
    assert journal.evicted_count == told[-1]  # what is receipted is no loss


def spectrum(journal, inspection_id=b"inspect!"):
    return Reading(
        *(journal.journal_id, journal.next_seq, b"bootboot", 7, None, 0, inspection_id, 0),
        *(b"axisaxis", 400_000, 1, 100, None, 65_535, 0, None, bytes(40)),
    )


def test_what_goes_first_is_chosen_by_rank_and_counted_by_it(tmp_path):
    """SPEC 6.14."""
    journal = make(tmp_path, journal_bytes_max=2_000)
    scans, alarms, told = [], [], []
    journal.lost = lambda: told.append(list(journal.evicted_by_rank))
    journal.append(event(journal))
    alarms.append(journal.append(spectrum(journal, b"alarm..1")))  # known only afterwards
    journal.protect(b"alarm..1")
    for turn in range(60):
        if turn % 15 == 14:
            scans.append(journal.append(event(journal, 30)))
        if turn == 30:
            alarms.append(journal.append(spectrum(journal, b"alarm..1")))
        journal.append(spectrum(journal))
        assert journal.bytes <= 2_000
        assert journal.bytes == sum(
            path.stat().st_size for path in tmp_path.iterdir() if path.suffix == ".seg"
        )
    kept = read_all(journal, None)
    assert {1, *scans, *alarms} <= kept.keys()
    assert journal.evicted_by_rank == [0, 67 - len(kept), 0, 0] == told[-1]
    assert read_all(make(tmp_path, journal_bytes_max=2_000), None) == kept
    small = [path.stat().st_size for path in sorted(tmp_path.glob("*.seg"))[:-1]]
    assert all(one + other > 400 for one, other in itertools.pairwise(small))

    while not journal.evicted_by_rank[2]:  # no spectrum is left: now scans make room for scans
        scans.append(journal.append(event(journal, 60)))
    kept = read_all(journal, None)
    assert set(alarms) <= kept.keys()
    with pytest.raises(FlashRefused, match="matter more"):  # noqa: PT012 - the second or the third
        for _ in range(8):
            journal.append(spectrum(journal))
    assert not [seq for seq in scans if seq in kept and seq not in read_all(journal, None)]
    assert "2 of alarms" not in journal.report()
    assert len(journal.report()) <= 400
    evicted = journal.evicted_count
    journal.free(journal.next_seq - 1)
    for _ in range(40):
        journal.append(spectrum(journal))
        journal.free(journal.next_seq - 1)
    assert journal.evicted_count == evicted  # what is receipted is no loss


def test_gaps_that_evictions_left_do_not_hold_up_receipts(tmp_path):
    """More gaps than a receipt can state (SPEC 6.9): each receipt tells of the last 16 ranges."""
    journal = make(tmp_path, journal_bytes_max=8_000)
    for turn in range(400):
        journal.append(event(journal) if turn % 5 == 0 else spectrum(journal))
    kept = sorted(read_all(journal, None))
    assert sum(later > one + 1 for one, later in itertools.pairwise(kept)) > 20
    committed = []
    for seq in kept:
        committed.append(seq)
        ranges = [number for one in committed[-16:] for number in (one, one)]
        journal.free(kept[0], tuple(ranges) if seq > kept[0] else ())
        assert journal.oldest_seq > seq
    assert journal.oldest_seq == journal.next_seq
    assert len(list(tmp_path.glob("*.seg"))) == 1


@pytest.mark.parametrize("is_alarm", [False, True])
def test_without_room_for_a_copy_a_segment_goes_as_a_whole_but_never_an_alarm(tmp_path, is_alarm):
    """/dev/full in the place of the copy: the kernel says "no space" for real."""
    journal = make(tmp_path, journal_bytes_max=1_500)
    if is_alarm:
        journal.protect(b"inspect!")
    oldest = newest_file(tmp_path)
    scan = journal.append(event(journal))
    while not journal.evicted_count:
        copy = Path(f"{oldest}.new")
        if not copy.is_symlink():
            copy.symlink_to("/dev/full")
        journal.append(spectrum(journal, b"inspect2"))
    assert oldest.exists() == (scan in read_all(journal, None)) == is_alarm
    assert journal.evicted_by_rank[2] == (not is_alarm)
    assert journal.evicted_by_rank[3] == 0
    assert journal.evicted_by_rank[1] > 0
    assert read_all(make(tmp_path), None) == read_all(journal, None)


def test_the_inspection_of_a_record_is_found_in_its_first_bytes(tmp_path):
    """SPEC 3.6, SPEC 3.7."""
    journal = make(tmp_path)
    largest = (1 << 53) - 1
    for make_message in (event, spectrum):
        message = make_message(journal)
        for seq, time_ms in ((1, None), (largest, largest)):
            message.seq, message.uptime_ms, message.time_ms = seq, largest, time_ms
            assert distil.read_inspection_id(message.pack()[:80]) == b"inspect!"
    assert distil.read_inspection_id(b"\x93\x03") is None
    assert distil.read_inspection_id(bytes(80)) is None


def test_alarms_last_go_when_there_is_nothing_else(tmp_path):
    journal = make(tmp_path, journal_bytes_max=1_000)
    for number in range(10):
        journal.protect(b"alarm..%d" % number)
    assert make(tmp_path).alarms.ids == [b"alarm..%d" % number for number in range(2, 10)]
    for _ in range(20):
        journal.append(spectrum(journal, b"alarm..9"))
    assert journal.evicted_by_rank[3] == journal.evicted_count == 20 - len(read_all(journal, None))
    assert journal.oldest_seq == min(read_all(journal, None))


def test_a_damaged_record_is_left_out_of_a_copy_and_counted(tmp_path):
    journal = make(tmp_path, journal_bytes_max=1_400)
    first = journal.append(event(journal, 30))
    path = newest_file(tmp_path)
    while journal.next_seq < 4:
        journal.append(event(journal, 30))
    content = bytearray(path.read_bytes())
    content[segment.HEAD_BYTES + record.RECORD_BYTES + 5] ^= 1
    path.write_bytes(content)
    while not journal.evicted_count:
        journal.append(spectrum(journal))
    assert journal.damaged_count == 1
    assert first not in read_all(journal, None)
    assert {2, 3} <= read_all(journal, None).keys()


def test_a_record_that_does_not_fit_is_refused_and_costs_nothing(tmp_path):
    journal = make(tmp_path)
    with pytest.raises(PackingError):
        journal.append(event(journal, 400))
    assert journal.next_seq == 1
    with pytest.raises(ValueError, match="record 5"):
        journal.append(event(journal, seq=5))
    journal.append(event(journal))
    assert list(read_all(journal)) == [1]


def test_a_full_medium_evicts_and_then_says_so(tmp_path):
    """/dev/full in the place of the next segment: the kernel says "no space" for real."""
    journal = make(tmp_path)
    while journal.bytes < 1000 or newest_file(tmp_path).stat().st_size < 400:
        journal.append(event(journal, 60))
    full = tmp_path / f"{journal.next_seq:014x}.seg"
    full.symlink_to("/dev/full")
    with pytest.raises(FlashRefused, match="check the flash"):
        journal.append(event(journal, 60))
    lost = journal.evicted_count
    assert lost > 0
    full.unlink()
    kept = read_all(journal)
    seq = journal.append(event(journal, 60))
    assert sorted(read_all(journal)) == [*sorted(kept), seq]
    assert journal.evicted_count == lost


def test_a_receipt_from_the_future_means_a_restored_copy(tmp_path):
    folder = tmp_path / "journal"
    journal = make(folder)
    journal.append(event(journal))
    shutil.copytree(folder, tmp_path / "copy")
    for _ in range(3):
        journal.append(event(journal))
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "copy", folder)
    restored = make(folder)
    with pytest.raises(JournalOutdated, match="gateway has record 4, this journal only 1"):
        restored.free(4)
    assert list(read_all(restored)) == [1]  # nothing was freed
    assert restored.append(event(restored)) == 5  # and 2 to 4 are not given again
    assert make(folder).next_seq == 6
    with pytest.raises(JournalOutdated):
        restored.free((1 << 53) - 1)  # nonsense moves nothing
    assert restored.next_seq == 6


def test_a_segment_whose_head_was_cut_short_still_reserves_its_number(tmp_path):
    journal = make(tmp_path)
    journal.append(event(journal))
    with pytest.raises(JournalOutdated):
        journal.free(49)
    path = newest_file(tmp_path)
    path.write_bytes(path.read_bytes()[:10])
    again = make(tmp_path)
    assert again.next_seq == 50
    assert again.journal_id == journal.journal_id
    assert len(path.read_bytes()) == segment.HEAD_BYTES
    assert make(tmp_path).next_seq == 50


@pytest.mark.parametrize("kind", ["file", "foreign", "version", "mixed", "folder", "broken link"])
def test_what_is_no_journal_is_set_aside(tmp_path, kind):
    folder = tmp_path / "journal"
    first = folder / "00000000000001.seg"
    if kind == "file":
        folder.write_text("x")
    elif kind == "broken link":
        folder.symlink_to(tmp_path / "nowhere")
    else:
        make(folder)
    if kind == "foreign":
        first.write_bytes(b"\0" * 100)
    elif kind == "version":
        head = bytearray(first.read_bytes())
        head[4] = 2
        head[24:28] = segment.crc32(head[:24]).to_bytes(4, "little")
        first.write_bytes(head)
    elif kind == "mixed":
        segment.create(str(folder / "00000000000009.seg"), b"anotherj", 9)
    elif kind == "folder":
        (folder / "00000000000009.seg").mkdir()
    journal = make(folder)
    assert "set aside" in journal.notice
    assert str(folder) in journal.notice
    assert (tmp_path / "journal.unusable0").is_symlink() or (
        tmp_path / "journal.unusable0"
    ).exists()
    assert journal.append(event(journal)) == 1
    again = make(folder)
    assert again.notice == ""
    assert list(read_all(again)) == [1]


def test_at_most_two_are_kept_aside(tmp_path):
    folder = tmp_path / "journal"
    for number in range(4):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "00000000000001.seg").write_bytes(bytes([number]) * 100)
        make(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "journal",
        "journal.unusable0",
        "journal.unusable1",
    ]
    assert (tmp_path / "journal.unusable1/00000000000001.seg").read_bytes()[0] == 2


def test_one_wrong_byte_anywhere_loses_one_record_at_most(tmp_path):
    folder = tmp_path / "journal"
    journal = make(folder)
    for _ in range(4):
        journal.append(event(journal, 20))
    frames = read_all(journal)
    path = newest_file(folder)
    content = path.read_bytes()
    for at in range(segment.HEAD_BYTES, len(content)):
        spoilt = bytearray(content)
        spoilt[at] ^= 0x10
        path.write_bytes(spoilt)
        again = make(folder)
        found = read_all(again)
        missing = frames.keys() - found.keys()
        assert len(missing) == 1
        assert all(found[seq] == frames[seq] for seq in found)
        assert again.damaged_count == 1
        assert again.next_seq > max(frames)
        assert again.oldest_seq == min(found)
        for extra in folder.iterdir():
            if extra != path:
                extra.unlink()


def test_damage_found_while_reading_is_counted_once(tmp_path):
    told = []
    journal = make(tmp_path)
    journal.lost = lambda: told.append(journal.oldest_seq)
    for _ in range(3):
        journal.append(event(journal, 20))
    path = newest_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[segment.HEAD_BYTES + record.RECORD_BYTES + 5] ^= 1
    path.write_bytes(content)
    for _ in range(2):
        assert list(read_all(journal)) == [2, 3]
        assert journal.read(1, bytearray(400)) is None
    assert journal.damaged_count == 1
    assert told == [2]  # the gateway may take number 1 as settled (SPEC 6.13)


class Story(RuleBasedStateMachine):
    """A journal against a model: what is stored, what is receipted, what was ever given."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.journal = make(self.folder)
        self.stored = {}
        self.given = set()

    def teardown(self):
        shutil.rmtree(self.folder)

    @rule(size=st.integers(0, 200))
    def append(self, size):
        message = event(self.journal, size)
        seq = self.journal.append(message)
        assert seq not in self.given
        self.given.add(seq)
        self.stored[seq] = message.pack()

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def receipt(self, data):
        newest = max(self.given)
        seq = data.draw(st.integers(0, newest))
        first = data.draw(st.integers(seq + 2, newest + 2))
        beyond = (first, data.draw(st.integers(first, newest))) if first <= newest else ()
        self.journal.free(seq, beyond)
        covered = range(beyond[0], beyond[1] + 1) if beyond else ()
        self.stored = {s: frame for s, frame in self.stored.items() if s > seq and s not in covered}
        assert not [s for s in read_all(self.journal) if s <= seq or s in covered]

    @rule(torn=st.integers(0, 60), data=st.data())
    def power_cut(self, torn, data):
        """Restart, perhaps with the beginning of a record that was not stored behind the rest."""
        if torn:
            message = event(self.journal, 60)
            buffer = bytearray(400)
            begin, end = record.pack_frame(message, buffer)
            record.pack_record(buffer, begin, end, message.KIND, message.seq)
            with newest_file(self.folder).open("ab") as file:
                file.write(buffer[: min(torn, end - 1)])
        self.journal = make(self.folder)  # it forgets receipts; what they freed may be there again

    @invariant()
    def everything_unreceipted_is_there(self):
        found = read_all(self.journal)
        for seq, frame in self.stored.items():
            assert found[seq] == frame
        assert found.keys() <= self.given
        assert self.journal.next_seq > max(self.given, default=0)
        assert self.journal.oldest_seq == min(found, default=self.journal.next_seq)
        assert not self.journal.damaged_count
        assert not self.journal.evicted_count


Story.TestCase.settings = settings(max_examples=40, stateful_step_count=20)
TestStory = Story.TestCase


def test_a_long_eviction_feeds_the_watchdog_between_records(tmp_path):
    """On flash each record copied is up to three erasures of 400 ms; a watchdog waits for 8 s."""
    journal = make(tmp_path, journal_bytes_max=9_000, segment_bytes=4_000, record_bytes_max=300)
    ticks = []
    journal.tick = lambda: ticks.append(journal.next_seq)
    while not journal.evicted_count:
        seq = journal.next_seq
        is_scan = seq % 5
        journal.append(event(journal, 60) if is_scan else spectrum(journal))
    assert len([tick for tick in ticks if tick == seq + 1]) >= 2 * (4_000 // 150)


def test_a_folder_named_like_a_segment_is_named(tmp_path):
    (tmp_path / "journal/00000000000001.seg").mkdir(parents=True)
    (tmp_path / "journal/00000000000001.seg.new").mkdir()
    journal = make(tmp_path / "journal")
    assert "00000000000001.seg is a folder, no segment; set aside as" in journal.notice
    assert journal.append(event(journal)) == 1
