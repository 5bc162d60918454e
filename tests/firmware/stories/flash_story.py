"""A board's partitions on littlefs in memory: sound, damaged, older than they were, worn.

Prints one word for each case that held.
"""
# ruff: noqa: T201, PT017, UP031, PTH107, PTH208 - it runs on MicroPython

import os
import sys

REPOSITORY, FOLDER = sys.argv[1:3]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from journal_parts import read_all, store  # noqa: E402

from node.errors import FlashRefused  # noqa: E402
from node.flash import Flash  # noqa: E402
from node.identity import Identity  # noqa: E402
from node.journal import Journal  # noqa: E402

BLOCK_BYTES, BLOCKS = 512, 64
BUDGET = {"journal_bytes_max": 100_000, "segment_bytes": 300, "record_bytes_max": 200}


class Ram:
    """A block device in memory; reads from block `first_bad` on fail with error `number`."""

    def __init__(self, content=None):
        self.content = bytearray(content or BLOCK_BYTES * BLOCKS)
        self.number = 0
        self.first_bad = 0
        self.erased = 0
        if content is None:
            os.VfsLfs2.mkfs(self)
            self.erased = 0

    def readblocks(self, block, buffer, offset=0):
        if self.number and block >= self.first_bad:
            raise OSError(self.number)
        at = block * BLOCK_BYTES + offset
        buffer[:] = self.content[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        at = block * BLOCK_BYTES + offset
        self.content[at : at + len(buffer)] = buffer

    def ioctl(self, operation, argument):
        if operation == 6:
            self.erased += 1
            at = argument * BLOCK_BYTES
            self.content[at : at + BLOCK_BYTES] = b"\xff" * BLOCK_BYTES
        return {4: BLOCKS, 5: BLOCK_BYTES}.get(operation, 0)


class Started:
    """A node's flash and journal after a start, as node.py wires them."""

    def __init__(self, devices):
        self.flash = Flash(devices, FOLDER)
        self.journal = Journal(self.flash.path + "/journal", BUDGET, os.urandom, lambda _: None)
        self.flash.open(self.journal)
        identity = Identity(FOLDER + "/identity")
        identity.load()
        self.missing = identity.compare(self.journal)
        self.lost_count = identity.lost_count
        self.journal.rolled = lambda: (identity.note(self.journal), self.flash.save_wear())

    def store(self, count):
        return [store(self.journal, 40)[0] for _ in range(count)]


def forget():
    for name in os.listdir(FOLDER):
        os.remove(FOLDER + "/" + name)


def wear_is_counted():
    main = Ram()
    node = Started([("journal", main)])
    assert node.flash.bytes_max == BLOCK_BYTES * BLOCKS * 7 // 8
    node.store(60)
    assert node.flash.erase_count == main.erased > 20
    node.flash.close()
    again = Started([("journal", main)])
    # What was erased since the last segment was begun is not known any more.
    assert main.erased - 8 <= again.flash.erase_count <= main.erased
    assert not again.missing
    assert not again.flash.notice
    again.flash.close()


def damage_is_quarantined():
    # The superblocks; the medium and littlefs at the mount; the same when the journal is opened.
    for number, first_bad in ((0, 0), (5, 0), (84, 0), (5, 2), (84, 2)):
        forget()
        main, spare = Ram(), Ram()
        devices = [("journal", main), ("spare", spare)]
        node = Started(devices)
        node.store(10)
        before = node.journal.journal_id
        node.flash.close()
        if number:
            main.number, main.first_bad = number, first_bad
        else:
            main.content[: 2 * BLOCK_BYTES] = b"\x5a" * (2 * BLOCK_BYTES)
        left = bytes(main.content)
        node = Started(devices)
        assert node.flash.name == "spare"
        assert "partition journal is damaged and kept" in node.flash.notice, node.flash.notice
        assert before.hex() in node.missing
        fresh = node.journal.journal_id
        assert fresh != before
        assert node.store(3) == [1, 2, 3]
        node.flash.close()
        main.number = 0
        node = Started(devices)  # the mark counts, not what a mount would say today
        assert (node.flash.name, node.journal.journal_id) == ("spare", fresh)
        assert "partition journal" in node.flash.notice
        assert sorted(read_all(node.journal)) == [1, 2, 3]
        assert not node.missing
        assert node.lost_count == 1
        assert bytes(main.content) == left
        node.flash.close()
        os.remove(FOLDER + "/quarantine.journal")  # examined, formatted, released
        os.VfsLfs2.mkfs(main)
        node = Started(devices)
        assert node.flash.name == "journal"
        assert not node.flash.notice
        node.flash.close()


def damage_while_running_is_noted():
    """The node goes on until it is started again: numbers and receipts belong to one journal."""
    forget()
    devices = [("journal", Ram()), ("spare", Ram())]
    node = Started(devices)
    node.store(3)
    assert not node.flash.condemn(FlashRefused("full", 28))
    devices[0][1].number, devices[0][1].first_bad = 5, 2
    try:
        node.store(1)
    except FlashRefused as error:
        assert error.number == 5, error.number
        assert node.flash.condemn(error)
    else:
        raise AssertionError("a failing medium took a record")
    node.flash.close()
    node = Started(devices)
    assert node.flash.name == "spare"
    node.flash.close()


def nothing_sound_is_said():
    forget()
    broken = Ram(bytes(BLOCK_BYTES * BLOCKS))
    for _ in range(2):
        try:
            Started([("journal", broken)])
        except FlashRefused as error:
            text = str(error)
        assert text.startswith("no partition of the flash is sound: partition journal"), text
        assert "mounted: 84" in text, text
        assert "provision the board again" in text, text
    assert broken.content == bytes(BLOCK_BYTES * BLOCKS)


def silent_loss_is_noticed():
    forget()
    main = Ram()
    empty = bytes(main.content)
    node = Started([("journal", main)])
    node.store(8)
    older = bytes(main.content)
    node.store(30)
    journal_id, given, floor = (
        node.journal.journal_id,
        node.journal.next_seq - 1,
        node.journal.segments[-1].first_seq,
    )
    node.flash.close()
    node = Started([("journal", Ram(older))])
    told = "came back older than it was: record 8 instead of %d" % (floor - 1)
    assert told in node.missing, node.missing
    assert node.journal.journal_id == journal_id
    assert node.store(1)[0] > given
    assert sorted(read_all(node.journal))[:8] == [1, 2, 3, 4, 5, 6, 7, 8]
    node.flash.close()
    node = Started([("journal", Ram(empty))])
    assert node.missing.startswith("journal %s is gone" % journal_id.hex()), node.missing
    assert "2 times so far" in node.missing
    assert node.journal.next_seq == 1
    node.flash.close()


def a_spoilt_superblock_is_noticed():
    """The case from life: littlefs takes the older of the two without a word."""
    noticed = 0
    for block in (0, 1):
        forget()
        main = Ram()
        node = Started([("journal", main)])
        node.store(10)
        node.flash.close()
        at = block * BLOCK_BYTES
        main.content[at : at + BLOCK_BYTES] = b"\x5a" * BLOCK_BYTES
        node = Started([("journal", main)])
        sound = sorted(read_all(node.journal)) == list(range(1, 11))
        assert sound or node.missing, block
        noticed += bool(node.missing)
        node.flash.close()
    assert noticed == 1


for case in (
    wear_is_counted,
    damage_is_quarantined,
    damage_while_running_is_noted,
    nothing_sound_is_said,
    silent_loss_is_noticed,
    a_spoilt_superblock_is_noticed,
):
    case()
    print(case.__name__)
