"""Goal: what was answered for is on the disk after a power cut at any moment.

Method: the journal's own statements through an SQLite VFS that notes every write and sync. For each
moment a disk is made as a power cut may leave it: what was synced is there, of the rest each sector
is or is not, drawn by seed. It must open, be whole, and hold every record of every commit that had
returned. Killing a process cannot show this: the system still writes what it had not synced. With
synchronous=NORMAL the same check must find losses, or it would prove nothing.

What is simplified: a created file has its directory entry, and sectors of 512 bytes are written
whole.
"""

import random
from functools import partial

import apsw
import pytest

from gateway import wire
from gateway.journal import opening, records, store

SECTOR_BYTES = 512
COMMITS = 24
RECORDS_PER_COMMIT = 3
CHECKPOINT_PAGES = 24  # several checkpoints within the story
NODE, JOURNAL = "lane-1", b"journal1"


class Notes(apsw.VFS):
    """Passes everything on to the system's VFS and notes what changes files."""

    def __init__(self):
        super().__init__("notes", "")
        self.log: list[tuple] = []

    def xOpen(self, name, flags):  # noqa: N802 - SQLite's name
        return NotedFile(self.log, name, flags)

    def xDelete(self, name, syncdir):  # noqa: N802
        self.log.append(("delete", name))
        super().xDelete(name, syncdir)


class NotedFile(apsw.VFSFile):
    """One open file of `Notes`."""

    def __init__(self, log, name, flags):
        super().__init__("", name, flags)
        self._log = log
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else name

    def xWrite(self, data, offset):  # noqa: N802
        self._log.append(("write", self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size):  # noqa: N802
        self._log.append(("truncate", self._name, size))
        super().xTruncate(size)

    def xSync(self, flags):  # noqa: N802
        self._log.append(("sync", self._name))
        super().xSync(flags)


def tell_story(path, synchronous):
    """Commit records in batches as the gateway does; return the log, with each answer in it."""
    notes = Notes()
    connection = apsw.Connection(str(path), vfs="notes")
    connection.pragma("locking_mode", "exclusive")  # the shim has no shared memory
    opening._prepare(connection, path, read_only=False)
    connection.pragma("synchronous", synchronous)
    connection.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
    notes.log.append(("answered", 0))
    for number in range(COMMITS):
        first = number * RECORDS_PER_COMMIT + 1
        operations = [partial(insert, seq=seq) for seq in range(first, first + RECORDS_PER_COMMIT)]
        operations.append(partial(floor, seq=first - 1))
        store._commit(connection, operations)
        notes.log.append(("answered", first + RECORDS_PER_COMMIT - 1))
    log = list(notes.log)
    connection.close()
    notes.unregister()
    return log


def insert(connection, seq):
    record = wire.Reading(
        *(JOURNAL, seq, b"boot-one", 5, None, 0, b"inspect1", 0, b"axis-one", 400_000, 1),
        *(100, None, 65_535, 0, None, random.Random(seq).randbytes(2_900)),
    )
    records.insert_record(connection, NODE, record, wire.encode(record), 1)


def floor(connection, seq):
    if seq:
        records.save_floor(connection, NODE, JOURNAL, seq)


def images(log, seed):
    """Yield for each moment what had been answered, and the files as a power cut may leave them."""
    rng = random.Random(seed)
    synced: dict[str, bytearray] = {}
    loose: dict[str, list[tuple]] = {}
    answered = None
    for entry in log:
        match entry:
            case ("answered", seq):
                answered = seq
            case ("sync", name):
                for late in loose.pop(name, []):
                    apply(synced.setdefault(name, bytearray()), late)
            case ("delete", name):
                synced.pop(name, None)
                loose.pop(name, None)
            case (_, name, *_):
                loose.setdefault(name, []).append(entry)
        if answered is not None:
            yield answered, cut(synced, loose, rng)


def cut(synced, loose, rng):
    """Return the files after a power cut: what was synced, and by chance some of the rest."""
    files = {name: bytearray(content) for name, content in synced.items()}
    for name, entries in loose.items():
        for piece in [piece for entry in entries for piece in pieces(entry)]:
            if rng.random() < 0.5:
                apply(files.setdefault(name, bytearray()), piece)
    return files


def pieces(entry):
    """Split a write into sectors, which reach the disk each on its own."""
    if entry[0] != "write":
        return [entry]
    _, name, offset, content = entry
    cuts = range(0, len(content), SECTOR_BYTES)
    return [("write", name, offset + at, content[at : at + SECTOR_BYTES]) for at in cuts]


def apply(content, entry):
    if entry[0] == "truncate":
        del content[entry[2] :]
        return
    _, _, offset, piece = entry
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(piece)] = piece


def check(folder, original, answered, files):
    """Return how many answered records an image lacks; it must open and be whole."""
    for name, content in files.items():
        (folder / name.replace(str(original), "image")).write_bytes(content)
    connection = store.connect(folder / "image")
    try:
        assert connection.pragma("integrity_check") == "ok"
        found = {seq for (seq,) in connection.execute("SELECT seq FROM records")}
        ledger = records.read_ledger(connection, NODE, JOURNAL)
        assert set(range(1, ledger.seq + 1)) <= found  # no receipt of the next start is a lie
        pending = connection.execute("SELECT count(*) FROM pending").fetchall()
        assert pending == [(len(found),)]  # a record and its place before the judges are one
        return len(set(range(1, answered + 1)) - found)
    finally:
        connection.close()
        for path in folder.iterdir():
            path.unlink()


@pytest.mark.parametrize("synchronous, loses", [("full", False), ("normal", True)])
def test_a_power_cut_at_any_moment_loses_nothing_answered(tmp_path, synchronous, loses):
    original = tmp_path / "journal.sqlite"
    log = tell_story(original, synchronous)
    folder = tmp_path / "images"
    folder.mkdir()
    lacking = count = 0
    for seed in (1, 2):
        for answered, files in images(log, seed):
            lacking += check(folder, original, answered, files) > 0
            count += 1
    assert count > 300
    assert (lacking > 0) == loses
