"""A node, a gateway and a bad channel between them, joined by the real window, ledger and codec.

MicroPython and CPython run this file unchanged. The state machine of `test_delivery_model` draws
the steps with Hypothesis; `story` draws them from a seed and hashes all that was said, so that the
two interpreters can be compared.

Rules of the file
- What a restart forgets and what it keeps is visible: `flash` and `disk` stay, all else is rebuilt.
- Every promise is checked where it could be broken, by `insist`, not at the end.
"""

import hashlib

from protocol import messages
from protocol.delivery import Ledger, Window
from protocol.limits import RESEND_MS_MAX
from protocol.topics import build

GATEWAY_BATCH = 16  # records taken into one commit


class PromiseError(Exception):
    """A promise of the protocol that did not hold."""


def insist(holds, promise):
    """Raise `PromiseError` unless `holds`."""
    if not holds:
        raise PromiseError(promise)


def frame_of(message):
    """Pack a message, and insist that it is one: what is said can be read, and reads the same."""
    frame = message.pack()
    insist(messages.unpack(frame, message.CHANNEL).pack() == frame, "a frame reads as it was said")
    return frame


def identity(number):
    """Return the identity number `number`: 8 bytes."""
    return bytes([number >> 8 & 0xFF, number & 0xFF]) * 4


class Node:
    """A node: its flash, its window.

    Attributes:
        flash: records kept, [seq, frame], ascending.
        freed: identities that were freed, (journal_id, seq).
        lost: identities that were evicted, damaged or formatted away.
    """

    def __init__(self, size, resend_ms):
        self.formats = 1
        self.boots = 1
        self.next_seq = 1
        self.flash = []
        self.freed = []
        self.lost = []
        self.size = size
        self.resend_ms = resend_ms
        self.window = Window(size, resend_ms)

    @property
    def journal_id(self):
        return identity(self.formats)

    def record(self, now_ms):
        """Measure something and keep it."""
        message = messages.Event(
            *(self.journal_id, self.next_seq, identity(self.boots), now_ms, None, 0, identity(9)),
            *(messages.EVENT_CODE, "]C1", b"%d" % self.next_seq, None, None),
        )
        self.flash.append([self.next_seq, frame_of(message)])
        self.next_seq += 1

    def lose(self, index):
        """Give up one kept record: evicted or damaged."""
        seq, _ = self.flash.pop(index)
        self.window.drop(seq)
        self.lost.append((self.journal_id, seq))

    def lose_every_second(self):
        """Give up every second kept record: the worst that can happen to a receipt's ranges."""
        for index in range(len(self.flash) // 2):
            self.lose(index)

    def oldest_seq(self):
        """Return the lowest number still kept."""
        return self.flash[0][0] if self.flash else self.next_seq

    def send(self, now_ms, count_max):
        """Return the frames that go out now, at most `count_max`."""
        for seq, _ in self.flash:
            if self.window.has_room and seq > self.window.newest_seq:
                self.window.admit(seq, now_ms)
                insist(len(self.window) <= self.size, "the window is never exceeded")
        out = []
        while len(out) < count_max:
            seq = self.window.due(now_ms)
            if seq is None:
                break
            insist(self.window.due_in_ms(now_ms) == 0, "what is due is due in 0 ms")
            out += [frame for kept, frame in self.flash if kept == seq]
            self.window.sent(seq, now_ms)
        return out

    def hear(self, frame, now_ms, committed):
        """Act on a receipt or a time; `committed` says what the gateway has on its disk."""
        message = messages.unpack(frame)
        if isinstance(message, messages.Time):
            if message.boot_id == identity(self.boots) and message.echo_uptime_ms is None:
                self.window.reconnected(now_ms)
            return
        if message.journal_id != self.journal_id:
            return
        for seq in self.window.receipt(message.seq, message.beyond):
            insist(committed(self.journal_id, seq), "nothing is freed that is not committed")
            self.flash = [kept for kept in self.flash if kept[0] != seq]
            self.freed.append((self.journal_id, seq))

    def health(self, now_ms):
        """Return the frame of a health: it says what is kept."""
        return frame_of(
            messages.Health(
                *(identity(self.boots), now_ms, None, 0, None, None, 0, self.journal_id),
                *(self.oldest_seq(), self.next_seq, 0, len(self.lost), 0, 0, 0, 0, 0, ""),
            )
        )

    def restart(self):
        """Lose everything but the flash."""
        self.boots += 1
        self.window = Window(self.size, self.resend_ms)

    def format(self):
        """Begin a new journal; what the old one kept is gone."""
        while self.flash:
            self.lose(0)
        self.formats += 1
        self.next_seq = 1
        self.restart()

    def configure(self, size, resend_ms):
        """Put another window in force; what is in flight stays in flight."""
        self.size = self.window.size = size
        self.resend_ms = self.window.resend_ms = resend_ms


class Gateway:
    """A gateway: its disk, its ledgers.

    Attributes:
        disk: committed frames by (journal_id, seq).
        told: on the disk too, the floor that each journal's node has stated.
    """

    def __init__(self):
        self.disk = {}
        self.told = {}
        self.ledgers = {}
        self.arrived = []

    def hear(self, frame):
        """Take a message in; a record waits for the next commit."""
        message = messages.unpack(frame)
        if isinstance(message, messages.Health):
            ledger = self.ledgers.setdefault(message.journal_id, Ledger())
            ledger.raise_floor(message.oldest_seq)
            told = self.told.get(message.journal_id, 0)
            self.told[message.journal_id] = max(told, message.oldest_seq)
        else:
            self.arrived.append((message, frame))

    def committed(self, journal_id, seq):
        """Say whether a record is on the disk."""
        return (journal_id, seq) in self.disk

    def commit(self):
        """Write a batch to the disk; return the receipts that follow from it."""
        journals = []
        batch = self.arrived[:GATEWAY_BATCH]
        self.arrived = self.arrived[GATEWAY_BATCH:]
        for message, frame in batch:
            key = (message.journal_id, message.seq)
            insist(self.disk.get(key, frame) == frame, "one identity, one content")
            self.disk[key] = frame
        for message, _ in batch:
            ledger = self.ledgers.setdefault(message.journal_id, Ledger())
            ledger.commit(message.seq)
            if message.journal_id not in journals:
                journals.append(message.journal_id)
        receipts = [self.receipt(journal_id) for journal_id in journals]
        for message, _ in batch:
            covered = False
            for receipt in receipts:
                covered = covered or self._covers(receipt, message)
            insist(covered, "a record is answered by the receipt that follows it")
        return [frame_of(receipt) for receipt in receipts]

    def _covers(self, receipt, record):
        window = Window()
        window.admit(record.seq, 0)
        same = receipt.journal_id == record.journal_id
        return same and window.receipt(receipt.seq, receipt.beyond) == [record.seq]

    def receipt(self, journal_id):
        """Return the receipt of a journal, checked against the disk."""
        ledger = self.ledgers.setdefault(journal_id, Ledger())
        told = self.told.get(journal_id, 0)
        for seq in range(1, ledger.seq + 1):
            settled = seq < told or self.committed(journal_id, seq)
            insist(settled, "a receipt covers only what is committed or will never come")
        beyond = ledger.beyond()
        for i in range(0, len(beyond), 2):
            for seq in range(beyond[i], beyond[i + 1] + 1):
                insist(self.committed(journal_id, seq), "a range covers only what is committed")
        return messages.Receipt(journal_id, ledger.seq, beyond)

    def restart(self):
        """Lose everything but the disk; rebuild the ledgers and compare them."""
        self.arrived = []
        before = self.ledgers
        self.ledgers = {}
        for journal_id in sorted(before):
            ledger = Ledger(max(0, self.told.get(journal_id, 0) - 1))
            for seq in sorted([key[1] for key in self.disk if key[0] == journal_id]):
                ledger.commit(seq)
            same = ledger.seq == before[journal_id].seq
            insist(same, "a rebuilt ledger is settled as far as the lost one")
            same = ledger._ranges == before[journal_id]._ranges
            insist(same, "a rebuilt ledger has the ranges of the lost one")
            self.ledgers[journal_id] = ledger


class World:
    """Node, gateway, and the messages between them, which arrive in any order, twice or never.

    Attributes:
        up, down: frames under way.
        retained: the receipt that the broker keeps for a node that connects.
    """

    def __init__(self, size=8, resend_ms=5_000):
        self.now_ms = 0
        self.node = Node(size, resend_ms)
        self.gateway = Gateway()
        self.up = []
        self.down = []
        self.retained = None
        self.said = hashlib.sha256(build("post", "node", "reading").encode())

    def _note(self, frames):
        for frame in frames:
            self.said.update(frame)
        return frames

    def node_sends(self, count_max):
        """Let the node put frames on the channel."""
        self.up += self._note(self.node.send(self.now_ms, count_max))

    def node_reports(self):
        """Let the node say what it keeps."""
        self.up += self._note([self.node.health(self.now_ms)])

    def deliver_up(self, index, keep):
        """Let the gateway hear one of the messages under way, and perhaps again later."""
        self.gateway.hear(self.up[index] if keep else self.up.pop(index))

    def deliver_down(self, index, keep):
        """Let the node hear one of the messages under way, and perhaps again later."""
        frame = self.down[index] if keep else self.down.pop(index)
        self.node.hear(frame, self.now_ms, self.gateway.committed)

    def gateway_commits(self):
        """Let the gateway commit a batch and answer."""
        self._publish(self.gateway.commit())

    def _publish(self, frames):
        self._note(frames)
        if frames:
            self.retained = frames[-1]
        self.down += frames

    def gateway_restarts(self):
        """Kill the gateway and start it again: it announces itself."""
        self.gateway.restart()
        for journal_id in sorted(self.gateway.ledgers):
            self._publish([frame_of(self.gateway.receipt(journal_id))])
        boot_id = identity(self.node.boots)
        time = messages.Time(1_800_000_000_000, messages.TIME_GATEWAY, boot_id, None)
        self.down += self._note([frame_of(time)])

    def node_reconnects(self):
        """Break the node's connection: it takes everything in flight as lost."""
        self.node.window.reconnected(self.now_ms)
        if self.retained is not None:
            self.down.append(self.retained)

    def node_restarts(self):
        """Cut the node's power and switch it on again."""
        self.node.restart()
        self.node_reconnects()

    def heal(self):
        """Let everything through until nothing is left; return how many rounds it took.

        No report raises the floor meanwhile: receipts alone must do.
        """
        rounds_max = len(self.node.flash) + 3
        self.up = []
        self.down = []
        for i in range(rounds_max):
            if not self.node.flash:
                return i
            self.now_ms += max(RESEND_MS_MAX, self.node.resend_ms)
            self.node_sends(1_000)
            while self.up:
                self.deliver_up(0, keep=False)
            while self.gateway.arrived:
                self.gateway_commits()
            while self.down:
                self.deliver_down(0, keep=False)
        insist(not self.node.flash, "what is not lost is freed once the channel heals")
        return rounds_max

    def settle(self):
        """Let the node report, and insist that nothing is open any more."""
        self.node_reports()
        while self.up:
            self.deliver_up(0, keep=False)
        ledger = self.gateway.ledgers[self.node.journal_id]
        insist(ledger.seq == self.node.next_seq - 1, "the floor closes what was lost")
        insist(ledger.missing() == 0 and not ledger.beyond(), "nothing is missing any more")
        for key in self.node.freed:
            insist(self.gateway.committed(*key), "what was freed is on the disk")


def _record(world, _):
    world.node.record(world.now_ms)


def _send(world, random):
    world.node_sends(1 + random.below(4))


def _deliver_up(world, random):
    if world.up:
        world.deliver_up(random.below(len(world.up)), keep=random.below(4) == 0)


def _deliver_down(world, random):
    if world.down:
        world.deliver_down(random.below(len(world.down)), keep=random.below(4) == 0)


def _drop(world, random):
    link = world.up if random.below(2) else world.down
    if link:
        link.pop(random.below(len(link)))


def _lose(world, random):
    if world.node.flash:
        world.node.lose(random.below(len(world.node.flash)))


def _lose_many(world, random):
    if random.below(10) == 0:
        world.node.lose_every_second()


def _configure(world, random):
    world.node.configure(1 + random.below(32), 100 + random.below(10_000))


def _format(world, random):
    if random.below(20) == 0:
        world.node.format()


_STEPS = (  # how often of a hundred, what
    (23, _record),
    (24, _send),
    (14, _deliver_up),
    (10, lambda world, _: world.gateway_commits()),
    (12, _deliver_down),
    (6, _drop),
    (2, _lose),
    (1, _lose_many),
    (2, lambda world, _: world.node_reports()),
    (1, lambda world, _: world.gateway_restarts()),
    (1, lambda world, _: world.node_restarts()),
    (2, lambda world, _: world.node_reconnects()),
    (1, _configure),
    (1, _format),
)


def _step(world, random):
    """Do one thing; what is likely keeps the channel busy, what is not breaks it."""
    left = random.below(100)
    for weight, act in _STEPS:
        if left < weight:
            act(world, random)
            break
        left -= weight
    world.now_ms += random.below(3_000)


def story(random, steps):
    """Run a seeded story, heal the channel, settle; return what tells two runs apart.

    Args:
        random: with `below(count)`; the same seed gives the same story.
        steps: how long the channel is bad.
    """
    world = World()
    for _ in range(steps):
        _step(world, random)
    rounds = world.heal()
    world.settle()
    trace = "".join([f"{byte:02x}" for byte in world.said.digest()[:8]])
    return [trace, rounds, len(world.node.freed), len(world.node.lost), len(world.gateway.disk)]
