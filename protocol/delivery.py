"""Delivery of records: the node's window and the gateway's ledger of receipts. Sans-IO.

Rules of the file
- Times are integers in milliseconds of any clock that never goes back, given by the caller.
- Sequence numbers within one journal only; another journal is another window and another ledger.
- The window knows which records are in flight, not their bytes; the ledger knows which records are
  committed, not their contents.

A record's life at the node: *kept* in the journal -> `admit` -> in flight -> sent, and again after
each deadline -> covered by a receipt -> freed. Nothing else frees it.
"""

from protocol.limits import (
    LEDGER_RANGES_MAX,
    RECEIPT_RANGES_MAX,
    RESEND_MS,
    RESEND_MS_MAX,
    WINDOW_RECORDS,
)

_SEQ, _DUE_MS, _ATTEMPTS = range(3)


class Window:
    """At most `size` records in flight; each is due at once, then after growing waits.

    Args:
        size: records in flight, 1..WINDOW_RECORDS_MAX.
        resend_ms: wait before a record is sent again, in milliseconds; doubles up to
            RESEND_MS_MAX, so a gateway that is slow is not made slower.
    """

    def __init__(self, size: int = WINDOW_RECORDS, resend_ms: int = RESEND_MS) -> None:
        self.size = size
        self.resend_ms = resend_ms
        self._flight: "list[list[int]]" = []  # ascending seq

    def __len__(self) -> int:
        return len(self._flight)

    @property
    def has_room(self) -> bool:
        """Say whether another record may be admitted."""
        return len(self._flight) < self.size

    @property
    def newest_seq(self) -> int:
        """Return the highest sequence number in flight, 0 when nothing is."""
        return self._flight[-1][_SEQ] if self._flight else 0

    def in_flight(self) -> "list[int]":
        """Return the sequence numbers in flight, ascending."""
        return [entry[_SEQ] for entry in self._flight]

    def admit(self, seq: int, now_ms: int) -> None:
        """Take the next record into flight; it is due at once.

        Raises:
            ValueError: no room, or `seq` is not above every record in flight.
        """
        if not self.has_room:
            raise ValueError("window of %d is full" % self.size)
        if self._flight and seq <= self._flight[-1][_SEQ]:
            raise ValueError("record %d is not above %d" % (seq, self._flight[-1][_SEQ]))
        self._flight.append([seq, now_ms, 0])

    def due(self, now_ms: int) -> "int | None":
        """Return the lowest sequence number to send now, or None."""
        for entry in self._flight:
            if entry[_DUE_MS] <= now_ms:
                return entry[_SEQ]
        return None

    def due_in_ms(self, now_ms: int) -> "int | None":
        """Return the milliseconds until something is due (0: now), None when nothing is in flight."""
        wait_ms = None
        for entry in self._flight:
            left_ms = entry[_DUE_MS] - now_ms
            if wait_ms is None or left_ms < wait_ms:
                wait_ms = left_ms if left_ms > 0 else 0
        return wait_ms

    def sent(self, seq: int, now_ms: int) -> None:
        """Note that `seq` was handed to the link; it is due again after its wait."""
        for entry in self._flight:
            if entry[_SEQ] == seq:
                wait_ms = self.resend_ms << min(entry[_ATTEMPTS], 10)
                limit_ms = max(RESEND_MS_MAX, self.resend_ms)
                entry[_DUE_MS] = now_ms + (wait_ms if wait_ms < limit_ms else limit_ms)
                entry[_ATTEMPTS] += 1
                return

    def receipt(self, seq: int, beyond: "tuple[int, ...]" = ()) -> "list[int]":
        """Free what a receipt covers and return it, ascending.

        Args:
            seq: every record up to it is committed.
            beyond: first, last, first, last ... of what is committed above `seq`.
        """
        freed = []
        kept = []
        for entry in self._flight:
            covered = entry[_SEQ] <= seq
            for i in range(0, len(beyond), 2):
                if beyond[i] <= entry[_SEQ] <= beyond[i + 1]:
                    covered = True
            (freed if covered else kept).append(entry)
        self._flight = kept
        return [entry[_SEQ] for entry in freed]

    def drop(self, seq: int) -> None:
        """Forget a record that the journal no longer has (evicted)."""
        self._flight = [entry for entry in self._flight if entry[_SEQ] != seq]

    def reconnected(self, now_ms: int) -> None:
        """Make everything in flight due: what the old connection took may be lost."""
        for entry in self._flight:
            entry[_DUE_MS] = now_ms
            entry[_ATTEMPTS] = 0


class Ledger:
    """Which records of one journal are committed, as the receipts that say so.

    Args:
        seq: every record up to it is known to be committed or gone.
    """

    def __init__(self, seq: int = 0) -> None:
        self.seq = seq
        self._ranges: "list[list[int]]" = []  # committed above `seq`, ascending, with gaps between

    def commit(self, seq: int) -> bool:
        """Note a committed record; say whether it is new here.

        More than LEDGER_RANGES_MAX gaps cannot come from a node with a bounded window. Then the
        highest range is forgotten, which costs a repetition and loses nothing.
        """
        if seq <= self.seq:
            return False
        index = 0
        while index < len(self._ranges) and self._ranges[index][1] < seq - 1:
            index += 1
        if index < len(self._ranges) and self._ranges[index][0] <= seq + 1:
            span = self._ranges[index]
            if span[0] <= seq <= span[1]:
                return False
            if seq < span[0]:
                span[0] = seq
            else:
                span[1] = seq
                if index + 1 < len(self._ranges) and self._ranges[index + 1][0] == seq + 1:
                    span[1] = self._ranges.pop(index + 1)[1]
        else:
            self._ranges.insert(index, [seq, seq])
            if len(self._ranges) > LEDGER_RANGES_MAX:
                self._ranges.pop()
        self._settle()
        return True

    def raise_floor(self, oldest_seq: int) -> int:
        """Note the node's word that it keeps nothing below `oldest_seq`: those will never come.

        Returns:
            How many records are thereby given up: neither committed nor still to come.
        """
        floor = oldest_seq - 1
        if floor <= self.seq:
            return 0
        lost = floor - self.seq
        for first, last in self._ranges:
            if first <= floor:
                lost -= min(last, floor) - first + 1
        self.seq = floor
        self._settle()
        return lost

    def _settle(self) -> None:
        while self._ranges and self._ranges[0][0] <= self.seq + 1:
            last = self._ranges.pop(0)[1]
            if last > self.seq:
                self.seq = last

    def beyond(self) -> "tuple[int, ...]":
        """Return first, last, first, last ... of the lowest RECEIPT_RANGES_MAX ranges above `seq`."""
        flat: "list[int]" = []
        for span in self._ranges[:RECEIPT_RANGES_MAX]:
            flat.extend(span)
        return tuple(flat)

    def missing(self) -> int:
        """Return how many records below the highest committed one are not committed."""
        count = 0
        floor = self.seq
        for first, last in self._ranges:
            count += first - floor - 1
            floor = last
        return count
