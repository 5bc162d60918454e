"""Power cut at every byte of the newest segment; prints what the journal says of itself afterwards.

What a record's `append` promised before the cut must be there after it, byte for byte; a number
that was given to a stored record is never given again.
"""
# ruff: noqa: T201, PTH102, PTH106, PTH107, PTH116, PTH123, PTH208, PLC0206

import os
import sys

REPOSITORY, FOLDER = sys.argv[1:3]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from journal_parts import make, read_all, store  # noqa: E402

from node import record, segment  # noqa: E402

ROOT = FOLDER + "/journal"


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def write_file(path, content):
    with open(path, "wb") as file:
        file.write(content)


def remove_folder(folder):
    for name in os.listdir(folder):
        os.remove(folder + "/" + name)
    os.rmdir(folder)


def main():
    journal = make(ROOT)
    stored = {}
    begins, ends = [], []  # (newest segment, where the record begins or ends in it, its number)
    for size in (1, 40, 90, 7, 30, 3, 60, 20):
        seq, frame = store(journal, size)
        stored[seq] = frame
        newest = max(os.listdir(ROOT))
        end = os.stat(ROOT + "/" + newest)[6]
        ends.append((newest, end, seq))
        begins.append((newest, end - record.RECORD_BYTES - len(frame), seq))
    print("files", len(os.listdir(ROOT)), "bytes", journal.bytes)
    assert read_all(journal) == stored
    files = {name: read_file(ROOT + "/" + name) for name in os.listdir(ROOT)}
    content = files[newest]
    first = max([seq for name, _, seq in ends if name != newest]) + 1
    for cut in range(len(content) + 1):
        folder = FOLDER + "/cut"
        os.mkdir(folder)
        for name in files:
            write_file(folder + "/" + name, content[:cut] if name == newest else files[name])
        kept = [seq for name, size, seq in ends if name != newest or size <= cut]
        again = make(folder)
        assert again.journal_id == journal.journal_id, cut
        assert not again.notice, again.notice
        assert read_all(again) == {seq: stored[seq] for seq in stored if seq in kept or seq < first}
        begun = kept + [seq for name, begin, seq in begins if name == newest and begin < cut]
        assert again.next_seq > max(begun), cut
        seq, frame = store(again, 5)
        twice = make(folder)
        assert read_all(twice)[seq] == frame, cut
        assert twice.next_seq == seq + 1
        if cut % 20 == 0:
            print(cut, again.damaged_count, seq, sorted(read_all(twice)))
        remove_folder(folder)
    print("heads", segment.HEAD_BYTES, record.RECORD_BYTES)


main()
