"""Goal: what a journal lost is told over its whole life, and a file in the way is named.

Method: journals on a real folder, thinned out, damaged and opened again with the file `identity`.
"""

import pytest

from node import record, segment
from node.errors import FlashRefused
from node.identity import Identity
from tests.firmware.node.test_journal import event, make, newest_file, read_all


def start(folder, **budget):
    """Return a journal and its identity, wired as a node does."""
    journal = make(folder / "journal", **budget)
    identity = Identity(str(folder / "identity"))
    identity.load()
    identity.compare(journal)
    journal.rolled = journal.lost = lambda: identity.note(journal)
    return journal, identity


def test_what_was_evicted_stays_counted(tmp_path):
    """SPEC 6.14: over the life of the journal."""
    journal, _ = start(tmp_path, journal_bytes_max=1_400)
    while journal.evicted_count < 8:
        journal.append(event(journal, 60))
    told = list(journal.evicted_by_rank)
    for _ in range(2):
        journal, identity = start(tmp_path, journal_bytes_max=1_400)
        assert journal.evicted_by_rank == told
    while journal.evicted_count == sum(told):
        journal.append(event(journal, 60))
    assert start(tmp_path)[0].evicted_count == journal.evicted_count > sum(told)
    known = (tmp_path / "identity").read_text()
    (tmp_path / "identity").write_text("02" * 8 + known[16:])
    journal, identity = start(tmp_path)
    assert identity.lost_count == 1
    assert journal.evicted_count == 0  # another journal, another life


def test_what_was_damaged_is_counted_once(tmp_path):
    journal, _ = start(tmp_path)
    journal.append(event(journal, 60))
    path = newest_file(tmp_path / "journal")
    while len(journal.segments) < 3:
        journal.append(event(journal, 60))
    content = bytearray(path.read_bytes())
    content[segment.HEAD_BYTES + record.RECORD_BYTES + 5] ^= 1
    path.write_bytes(content)
    for _ in range(3):  # found again each time, for it is still there
        journal, _ = start(tmp_path)
        assert 1 not in read_all(journal)
        assert journal.damaged_count == 1
    journal.free(journal.next_seq - 1)
    assert not path.exists()
    for _ in range(2):
        assert start(tmp_path)[0].damaged_count == 1


def test_a_file_of_older_firmware_is_read(tmp_path):
    (tmp_path / "identity").write_text("0101010101010101 1 3")
    journal, identity = start(tmp_path)
    assert (identity.journal_id, identity.lost_count) == (journal.journal_id, 3)
    assert journal.evicted_by_rank == [0, 0, 0, 0]


def test_a_folder_in_its_place_is_named_with_the_remedy(tmp_path):
    (tmp_path / "identity").mkdir()
    with pytest.raises(FlashRefused, match=r"identity cannot be read .*; remove it and check"):
        start(tmp_path)
