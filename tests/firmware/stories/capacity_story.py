"""What a board's budget holds on its 4 MiB: spectra kept, blocks left, wear, cost of opening.

The budget comes as four numbers; prints `name value` lines.
"""
# ruff: noqa: T201 - it runs on MicroPython

import gc
import os
import sys

REPOSITORY, _, JOURNAL_BYTES, SEGMENT_BYTES, RECORD_BYTES, BLOCKS, APPENDS = sys.argv[1:8]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from node.journal import Journal  # noqa: E402
from protocol.messages import EVENT_CODE, Event, Reading  # noqa: E402

BLOCK_BYTES = 4_096
BLOCKS = int(BLOCKS)
BUDGET = {
    "journal_bytes_max": int(JOURNAL_BYTES),
    "segment_bytes": int(SEGMENT_BYTES),
    "record_bytes_max": int(RECORD_BYTES),
}
PIXELS = bytes(2 * 2048)


class Ram:
    """A block device in memory that counts what is done to it."""

    def __init__(self):
        self.content = bytearray(BLOCK_BYTES * BLOCKS)
        self.read_bytes = 0
        self.erased = [0] * BLOCKS

    def readblocks(self, block, buffer, offset=0):
        at = block * BLOCK_BYTES + offset
        buffer[:] = memoryview(self.content)[at : at + len(buffer)]
        self.read_bytes += len(buffer)

    def writeblocks(self, block, buffer, offset=0):
        at = block * BLOCK_BYTES + offset
        self.content[at : at + len(buffer)] = buffer

    def ioctl(self, operation, argument):
        if operation == 6:
            self.erased[argument] += 1
        return {4: BLOCKS, 5: BLOCK_BYTES}.get(operation, 0)


def make():
    return Journal("/flash/journal", BUDGET, os.urandom, lambda _: None)


def fill(journal, count):
    """Store spectra, and a scan with every 30th."""
    for number in range(count):
        head = (journal.journal_id, journal.next_seq, b"b" * 8, 123_456, 1_795_000_000_000, 2)
        head += (b"i" * 8,)
        if number % 30 == 0:
            journal.append(Event(*head, EVENT_CODE, "]C1", bytes(60), None, None))
        else:
            dark = max(journal.next_seq - 1, 1)
            journal.append(
                Reading(*head, 0, b"a" * 8, 400_000, 1, 100, 25_000, 65_535, 0, dark, PIXELS)
            )
        if number % 100 == 99:
            gc.collect()


def count_kept(journal):
    buffer, seq, kinds = bytearray(BUDGET["record_bytes_max"]), 0, {3: 0, 4: 0}
    while True:
        record = journal.read_next(seq, buffer)
        if record is None:
            return kinds
        seq = record[0]
        kinds[record[1]] += 1


device = Ram()
os.VfsLfs2.mkfs(device)
os.mount(os.VfsLfs2(device), "/flash")
journal = make()
journal.open()
fill(journal, int(APPENDS))
kept = count_kept(journal)
print("spectra", kept[3])
print("scans", kept[4])
print("scans_evicted", journal.evicted_by_rank[2])
print("free_blocks", os.statvfs("/flash")[3])
print("erases_mean", sum(device.erased) // BLOCKS)
print("erases_max", max(device.erased))
del journal
gc.collect()
again = make()
gc.collect()
heap, read = gc.mem_alloc(), device.read_bytes
again.open()
print("open_read_bytes", device.read_bytes - read)
gc.collect()
print("open_heap_bytes", gc.mem_alloc() - heap)
print("segments", len(again.segments))
