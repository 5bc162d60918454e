"""The journal on MicroPython's own littlefs, with the power cut at every write the flash makes.

The flash is a block device in memory that stops working after a given number of writes and
erasures; then it is mounted again as it was left. What `append` returned must be there, and no
number twice.
"""
# ruff: noqa: T201, SIM105, PLC0206 - it runs on MicroPython

import os
import sys

REPOSITORY = sys.argv[1]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from journal_parts import make, read_all, store  # noqa: E402

from node.errors import FlashRefused  # noqa: E402

BLOCK_BYTES = 512
BLOCKS = 48
ERASED = b"\xff" * BLOCK_BYTES
MOUNT = "/flash"


POWER_GONE = OSError(5)  # made beforehand: it is also raised while MicroPython collects garbage


class Flash:
    """NOR flash in memory that loses power when `operations_left` writes and erasures are done."""

    def __init__(self, content, operations_left=1 << 30):
        self.content = bytearray(content)
        self.operations_left = operations_left
        self.operations = 0

    def _work(self):
        if self.operations == self.operations_left:
            raise POWER_GONE
        self.operations += 1

    def readblocks(self, block, buffer, offset=0):
        if self.operations == self.operations_left:
            raise POWER_GONE
        at = block * BLOCK_BYTES + offset
        buffer[:] = self.content[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        self._work()
        at = block * BLOCK_BYTES + offset
        self.content[at : at + len(buffer)] = buffer

    def ioctl(self, operation, argument):
        if operation == 4:
            return BLOCKS
        if operation == 5:
            return BLOCK_BYTES
        if operation == 6:
            self._work()
            at = argument * BLOCK_BYTES
            self.content[at : at + BLOCK_BYTES] = ERASED
        return 0


def play(stored):
    """Store events, free some, until the power goes; `stored` gets what was promised."""
    journal = make(MOUNT + "/journal")
    for turn in range(24):
        seq, frame = store(journal, 20 + 11 * (turn % 5))
        stored[seq] = frame
        if turn % 4 == 3:
            for freed in list(stored):
                if freed <= seq - 2:
                    del stored[freed]  # first: the power may go while the journal frees it
            journal.free(seq - 2)


def main():
    flash = Flash(bytes(BLOCK_BYTES * BLOCKS))
    os.VfsLfs2.mkfs(flash)
    formatted = bytes(flash.content)
    flash = Flash(formatted)
    os.mount(os.VfsLfs2(flash), MOUNT)
    play({})
    os.umount(MOUNT)
    total = flash.operations
    promises = 0
    for cut in range(total):
        flash = Flash(formatted, cut)
        stored = {}
        try:
            os.mount(os.VfsLfs2(flash), MOUNT)
            play(stored)
        except (OSError, FlashRefused):
            pass
        try:
            os.umount(MOUNT)
        except OSError:
            pass  # the cut came before it was mounted
        flash = Flash(flash.content)  # what was in memory is gone, what was written is there
        os.mount(os.VfsLfs2(flash), MOUNT)
        journal = make(MOUNT + "/journal")
        assert not journal.notice, journal.notice
        found = read_all(journal)
        for seq in stored:
            assert found.get(seq) == stored[seq], (cut, seq)
            promises += 1
        assert not stored or journal.next_seq > max(stored), cut
        seq, frame = store(journal, 9)
        assert seq not in stored
        os.umount(MOUNT)
        os.mount(os.VfsLfs2(flash), MOUNT)
        assert read_all(make(MOUNT + "/journal"))[seq] == frame, cut
        os.umount(MOUNT)
    print("cuts", total, "promises", promises)


main()
