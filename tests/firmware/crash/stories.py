"""The stories in which the power is cut, and what the node promised at each moment of them.

A story plays on a recorded flash. It notes marks (number of operations done, what, ...): `stored`
when `append` returned, `going` for records that may be gone from here on, `receipt` when the
gateway gave one, `protected` when an alarm was noted, `config` when one may be in force from here
on and `confirmed` when it must be.
"""
# ruff: noqa: FBT002, RUF005 - it runs on MicroPython

from device import Chance

from node.config import Settings
from node.errors import FlashRefused, JournalOutdated
from node.identity import Identity
from node.journal import Journal
from protocol.fields import name_of
from protocol.messages import EVENT_CODE, Config, Event, Reading

ROOT = "/flash"
BOOT = b"bootboot"
NAMES = ("append", "evict", "receipt", "config", "rollover")
BUDGETS = {
    "append": {"journal_bytes_max": 12_000, "segment_bytes": 1_500, "record_bytes_max": 700},
    "evict": {"journal_bytes_max": 4_000, "segment_bytes": 1_000, "record_bytes_max": 700},
    "receipt": {"journal_bytes_max": 9_000, "segment_bytes": 700, "record_bytes_max": 700},
    "config": {"journal_bytes_max": 9_000, "segment_bytes": 1_500, "record_bytes_max": 700},
    "rollover": {"journal_bytes_max": 9_000, "segment_bytes": 150, "record_bytes_max": 700},
}


class World:
    """A node's flash after a start: what the firmware opens there."""

    def __init__(self, name):
        self.settings = Settings(ROOT + "/config.bin", 400_000, 1, 8, 5_000)
        self.settings.load()
        self.journal = Journal(
            ROOT + "/journal", BUDGETS[name], lambda count: bytes(range(count)), lambda _: None
        )
        self.journal.open()
        self.identity = Identity(ROOT + "/identity")
        self.identity.load()
        self.missing = self.identity.compare(self.journal)
        self.journal.rolled = lambda: self.identity.note(self.journal)
        self.buffer = bytearray(BUDGETS[name]["record_bytes_max"])

    def message(self, size, is_event, inspection_id=b"inspect!"):
        """Return the next record, not yet stored."""
        journal = self.journal
        seq = journal.next_seq
        content = bytes([seq & 0xFF]) * (2 * size)
        head = (journal.journal_id, seq, BOOT, seq * 10, None, 0, inspection_id)
        if is_event:
            return Event(*head, EVENT_CODE, "]C1", content, None, None)
        return Reading(
            *head, 0, b"axisaxis", 400_000, 1, 100, None, 65_535, 0, None, content or b"\0\0"
        )

    def read_all(self):
        """Return {number: frame} of everything the journal gives out."""
        journal, buffer, found = self.journal, self.buffer, {}
        record = journal.read_next(0, buffer)
        while record is not None:
            found[record[0]] = bytes(memoryview(buffer)[: record[2]])
            record = journal.read_next(record[0], buffer)
        return found

    def config(self):
        """Return the settings in force."""
        return tuple([getattr(self.settings, name_of(field)) for field in Config.FIELDS])


class Told:
    """A story while it is played: the world and the marks."""

    def __init__(self, name, seed, log):
        self.name = name
        self.world = World(name)
        self.chance = Chance(seed)
        self.log = log
        self.marks = [(0, "confirmed", self.world.config())]
        self._kept = {}

    def mark(self, what, *arguments, at=None):
        self.marks.append((len(self.log) if at is None else at, what) + arguments)

    def store(self, size, is_event=True, inspection_id=b"inspect!"):
        """Store a record; what went to make room for it may be gone since this began."""
        begun = len(self.log)
        message = self.world.message(size, is_event, inspection_id)
        frame = message.pack()
        evicted = self.world.journal.evicted_count
        try:
            seq = self.world.journal.append(message)
            self._kept[seq] = frame
        except FlashRefused:  # full of what matters more; nothing was promised
            seq = None
        if self.world.journal.evicted_count != evicted:
            found = self.world.read_all()
            gone = [number for number in self._kept if number not in found]
            for number in gone:
                del self._kept[number]
            self.mark("going", gone, at=begun)
            assert len(gone) >= self.world.journal.evicted_count - evicted
        if seq is not None:
            self.mark("stored", seq, frame)
        return seq

    def receipt(self, seq, beyond=()):
        """Have the gateway's receipt come."""
        self.mark("receipt", seq, beyond)
        try:
            self.world.journal.free(seq, beyond)
        except JournalOutdated:
            return
        for number in list(self._kept):
            if number <= seq or (beyond and beyond[0] <= number <= beyond[1]):
                del self._kept[number]

    def protect(self, inspection_id):
        """Have the gateway say that an inspection is an alarm."""
        self.world.journal.protect(inspection_id)
        self.mark("protected", inspection_id)

    def configure(self, version):
        """Have the gateway's config come."""
        draw = self.chance
        config = Config(
            version,
            1_000 + draw(100_000),
            1 + draw(9),
            draw(1000),
            60 + draw(99),
            1 + draw(9),
            2_000 + draw(999),
        )
        whole = tuple([getattr(config, name_of(field)) for field in Config.FIELDS])
        self.mark("config", whole)
        self.world.settings.apply(config)
        self.mark("confirmed", whole)


def play_append(told):
    for _ in range(22):
        told.store(told.chance(150), told.chance(3) == 0)


def play_evict(told):
    """Spectra make room first, then scans; what belongs to an alarm stays."""
    journal = told.world.journal
    protected = []
    for turn in range(30):
        inspection_id = b"inspect%d" % (turn // 6)
        seq = told.store(20 + told.chance(100), told.chance(3) == 0, inspection_id)
        if turn // 6 == 1 and seq is not None:
            protected.append(seq)
        if turn in (9, 22):
            told.protect(b"inspect%d" % (turn // 6))
    found = told.world.read_all()
    assert journal.evicted_by_rank[1], "nothing was evicted"
    assert not journal.evicted_by_rank[3]
    assert not [seq for seq in protected if seq not in found]


def play_receipt(told):
    freed = 0
    for _ in range(24):
        seq = told.store(told.chance(120), told.chance(2) == 0)
        if told.chance(3) == 0:
            freed = max(freed, seq - told.chance(4))
            told.receipt(freed, (seq, seq) if seq > freed + 1 else ())


def play_config(told):
    for version in range(1, 13):
        told.configure(version)
        if told.chance(2):
            told.store(told.chance(60))


def play_rollover(told):
    seq = 0
    for turn in range(16):
        seq = told.store(told.chance(60))
        if turn % 5 == 4:  # a receipt from the future: the journal goes on above it
            seq += 1 + told.chance(40)
            told.receipt(seq)
    told.receipt(seq)


def play(name, seed, log):
    """Play a story on the flash mounted at ROOT; return its marks in order."""
    told = Told(name, seed, log)
    globals()["play_" + name](told)
    # MicroPython's sort is not stable.
    order = sorted([(mark[0], index) for index, mark in enumerate(told.marks)])
    return [told.marks[index] for _, index in order]
