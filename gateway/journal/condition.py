"""How the journal's disk is: what may be written, since when, and why."""

from enum import StrEnum

import msgspec


class DiskState(StrEnum):
    """What may be written; every state but the first is shown wherever somebody looks."""

    well = "well"
    tight = "tight"  # less than the reserve is free: no readings, but verdicts, alerts and receipts
    full = "full"  # SQLite found no room
    readonly = "readonly"
    failing = "failing"  # I/O errors


WRITABLE = frozenset({DiskState.well, DiskState.tight})
"""What is essential can be written."""


class Condition(msgspec.Struct, frozen=True):
    """The state of the disk under the journal.

    Attributes:
        state: what may be written.
        since_ms: Unix milliseconds of its beginning.
        text: one sentence with its remedy; empty when well.
    """

    state: DiskState = DiskState.well
    since_ms: int = 0
    text: str = ""

    @property
    def is_writable(self) -> bool:
        """Say whether what is essential can be written."""
        return self.state in WRITABLE
