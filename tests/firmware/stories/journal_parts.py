"""What the journal's stories share: an opened journal, a stored event, everything it gives out."""

from node.journal import Journal
from protocol.messages import EVENT_CODE, Event

BUDGET = {"journal_bytes_max": 100_000, "segment_bytes": 300, "record_bytes_max": 200}


def make(folder):
    """Return an opened journal in `folder`."""
    journal = Journal(folder, BUDGET, lambda count: bytes(range(count)), lambda path: None)
    journal.open()
    return journal


def store(journal, size):
    """Store an event with `size` bytes of content; return its number and frame."""
    content = bytes([journal.next_seq & 0xFF]) * size
    event = Event(
        journal.journal_id,
        journal.next_seq,
        b"bootboot",
        journal.next_seq * 10,
        None,
        0,
        b"inspect!",
        EVENT_CODE,
        "]C1",
        content,
        None,
        None,
    )
    return journal.append(event), event.pack()


def read_all(journal):
    """Return {number: frame} of everything the journal still gives out."""
    buffer = bytearray(256)
    found = {}
    record = journal.read_next(0, buffer)
    while record is not None:
        seq, _, length = record
        found[seq] = bytes(memoryview(buffer)[:length])
        assert journal.read(seq, buffer) == record[1:]
        record = journal.read_next(seq, buffer)
    return found
