"""Cuts the power at every operation of one story and starts the node again.

    micropython replay.py REPOSITORY STORY SEED FIRST COUNT [BREAK]

The story is played once and its operations are noted. The flash as a cut left it is those done
before, and a part of the one under way. After each cut the node starts on it, and again after it
stored one record more; every sixteenth time the power goes during that first start, too. FIRST and
COUNT choose among the cuts; a failure names STORY, SEED and the number of the cut, which repeat it.
BREAK `sync` calls records stored before they are synced, `order` removes before it has copied,
`rename` removes the proven config before the new one has its name: to see that the checks find it.
"""
# ruff: noqa: T201, FBT003, PTH107, PTH116, PTH123, SIM115, PLC1802 - it runs on MicroPython

import gc
import io
import os
import sys
import time

REPOSITORY, STORY, SEED, FIRST, COUNT = sys.argv[1:6]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

import stories  # noqa: E402
from device import BLOCK_BYTES, BLOCKS, VARIANTS, Chance, Device, do, tear  # noqa: E402

from node import distil, segment, trial  # noqa: E402
from node.errors import FlashRefused, JournalOutdated  # noqa: E402
from node.shelf import exists  # noqa: E402

NESTED_EVERY = 16
TWICE_EVERY = 4  # started a second time; more would only take time


class Promised:
    """What must hold at one moment of the story."""

    def __init__(self, marks):
        self._marks = marks
        self._next = 0
        self.stored = {}
        self.given = 0
        self.receipt = (0, ())
        self.configs = ([], [])  # at the next start, and at the one after it
        self.alarms = []

    def go(self, operations):
        """Take every mark that was made when so many operations were done."""
        while self._next < len(self._marks) and self._marks[self._next][0] <= operations:
            mark = self._marks[self._next]
            self._next += 1
            getattr(self, "_" + mark[1])(*mark[2:])

    def _stored(self, seq, frame):
        self.stored[seq] = frame
        self.given = seq

    def _going(self, numbers):
        for seq in numbers:
            self.stored.pop(seq, None)

    def _receipt(self, seq, beyond):
        self.receipt = (seq, beyond)
        for number in list(self.stored):
            if self.covers(number):
                del self.stored[number]

    def _protected(self, inspection_id):
        self.alarms.append(inspection_id)

    def _configs(self, next_start, later):
        self.configs = (next_start, later)

    def covers(self, number):
        seq, beyond = self.receipt
        return number <= seq or bool(beyond and beyond[0] <= number <= beyond[1])


def insist(holds, what, *values):
    if not holds:
        raise AssertionError(what + " " + " ".join([str(value)[:200] for value in values]))


def check(world, promised, extra, configs):
    """Hold a started node against what was promised."""
    journal = world.journal
    insist(not journal.notice, "notice", journal.notice)
    insist(not world.missing, "missing", world.missing)
    insist(not journal.damaged_count, "damaged", journal.damaged_count)
    insist(world.config() in configs, "config", world.config())
    for inspection_id in promised.alarms:
        insist(inspection_id in journal.alarms.ids, "alarm forgotten", inspection_id)
    found = world.read_all()
    for seq in promised.stored:
        insist(found.get(seq) == promised.stored[seq], "lost", seq)
    for seq in extra:
        insist(found.get(seq) == extra[seq], "lost after the start", seq)
    insist(journal.next_seq > promised.given, "number given twice", journal.next_seq)
    insist(journal.oldest_seq == min(found, default=journal.next_seq), "oldest", journal.oldest_seq)
    highest = max(promised.receipt[1], default=promised.receipt[0])
    behind = journal.next_seq <= highest
    try:
        journal.free(promised.receipt[0], promised.receipt[1])
        insist(not behind, "a receipt from the future frees")
        if not highest:
            return
        for seq in world.read_all():
            insist(not promised.covers(seq), "receipted, and wanted again", seq)
    except JournalOutdated:
        insist(behind, "restored copy", highest)
        insist(journal.next_seq > highest, "number given twice", journal.next_seq)


def start(device, promised, extra, configs):
    """Start the node on `device`, check it, store one more record."""
    os.mount(os.VfsLfs2(device), stories.ROOT)
    try:
        world = stories.World(STORY)
        check(world, promised, extra, configs)
        message = world.message(9, True)
        frame = message.pack()
        evicted = world.journal.evicted_count
        seq = world.journal.next_seq
        insist(seq not in promised.stored, "number given twice", seq)
        more = {}
        try:
            more = {world.journal.append(message): frame}
        except FlashRefused as error:
            insist(STORY == "evict" and "matter more" in str(error), str(error))
        begun = None if device.log is None else len(device.log)
        if world.journal.evicted_count == evicted:
            more.update(extra)
    finally:
        os.umount(stories.ROOT)
    return more, begun, world.journal.evicted_count != evicted


def cut_once(content, promised, cut, chance):
    """Check one flash as a cut left it."""
    is_nested = cut % NESTED_EVERY == 5
    device = Device(content, [] if is_nested else None)
    left = bytearray(content) if is_nested else None
    now, later = promised.configs
    more, begun, evicted = start(device, promised, {}, now)
    if not is_nested:
        if not evicted and (cut // VARIANTS + cut) % TWICE_EVERY == 0:
            start(Device(content), promised, more, later)
        return
    if evicted:
        return
    operations = device.log
    second = chance(len(operations) + 1)
    for operation in operations[:second]:
        do(left, operation)
    if second < len(operations):
        tear(left, operations[second], chance(VARIANTS), chance)
    start(Device(left), promised, more if second >= begun else {}, now + later)


def break_promise(how):
    """Spoil the firmware on purpose; return what makes it good again."""
    whole, rewrite, keep = segment.append, distil.rewrite, trial.Trial.end
    if how == "sync":
        late = []

        def append(path, content, mode="ab"):
            for file in late:
                file.close()
            late[:] = [open(path, mode)]
            late[0].write(content)

        segment.append = append
    elif how == "order":

        def remove_first(path, journal_id, first_seq, sift_into):
            copied = io.BytesIO()
            sift_into(copied)
            os.remove(path)
            segment.create(path, journal_id, first_seq)
            segment.append(path, copied.getvalue())
            return os.stat(path)[6]

        distil.rewrite = remove_first

    elif how == "rename":

        def end(self, is_proven):
            if is_proven and exists(self._proven):
                os.remove(self._proven)
            keep(self, is_proven)

        trial.Trial.end = end

    def mend():
        segment.append, distil.rewrite, trial.Trial.end = whole, rewrite, keep

    return mend


def main():
    mend = break_promise(sys.argv[6] if len(sys.argv) > 6 else "")
    content = bytearray(BLOCK_BYTES * BLOCKS)
    os.VfsLfs2.mkfs(Device(content))
    device = Device(bytearray(content), [])
    os.mount(os.VfsLfs2(device), stories.ROOT)
    marks = stories.play(STORY, int(SEED), device.log)
    os.umount(stories.ROOT)
    mend()
    operations = device.log
    promised = Promised(marks)
    total = len(operations) * VARIANTS
    cuts = range(int(FIRST), min(total, int(FIRST) + int(COUNT)))
    begun_ms = time.ticks_ms()
    work = bytearray(content)
    done = 0
    for cut in range(cuts.stop if len(cuts) else 0):
        at, variant = cut // VARIANTS, cut % VARIANTS
        if variant == 0:
            if at:
                do(content, operations[at - 1])
            promised.go(at)
        if cut < cuts.start:
            continue
        chance = Chance(int(SEED) * 1_000_003 + cut)
        work[:] = content
        tear(work, operations[at], variant, chance)
        try:
            cut_once(work, promised, cut, chance)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must name the cut
            print("failed", STORY, SEED, cut, repr(error))
            sys.print_exception(error)
            sys.exit(1)
        done += 1
        if done % 50 == 0:
            gc.collect()
    print("cuts", done, "of", total, "ms", time.ticks_diff(time.ticks_ms(), begun_ms))


main()
