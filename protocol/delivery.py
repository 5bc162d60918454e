"""Delivery of records: the node's window and the gateway's ledger of receipts. Sans-IO.

Rules of the file
- Times are integers in milliseconds of any clock that never goes back, given by the caller.
- Sequence numbers within one journal only; another journal is another window and another ledger.
- The window knows which records are in flight, not their bytes; the ledger knows which records are
  committed, not their contents.

A record's life at the node: *kept* in the journal -> `admit` -> in flight -> sent, and again after
each deadline -> covered by a receipt -> freed. Nothing else frees it (SPEC.md section 6).
"""

from protocol.limits import (
    LEDGER_RANGES_MAX,
    RECEIPT_RANGES_MAX,
    RESEND_MS,
    RESEND_MS_MAX,
    WINDOW_RECORDS,
    WINDOW_RECORDS_MAX,
)

_SEQ, _DUE_MS, _ATTEMPTS = range(3)
_FIRST, _LAST = range(2)
_DOUBLINGS_MAX = 10  # the wait is at its limit long before; bounds the shift
_HELD = -1  # instead of a moment: on its way to the broker, so not due whatever the time


class Window:
    """At most `size` records in flight; each is due at once, then after growing waits.

    Args:
        size: records in flight, 1..WINDOW_RECORDS_MAX.
        resend_ms: wait before a record is sent again, in milliseconds, at least 1; doubles up to
            RESEND_MS_MAX, so a gateway that is slow is not made slower.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, size: int = WINDOW_RECORDS, resend_ms: int = RESEND_MS) -> None:
        if not 1 <= size <= WINDOW_RECORDS_MAX:
            raise ValueError(f"window of {size} records; 1 to {WINDOW_RECORDS_MAX} are possible")
        if resend_ms < 1:
            raise ValueError(f"resend_ms is {resend_ms}; at least 1 is needed")
        self.size = size
        self.resend_ms = resend_ms
        self._flight: list[list[int]] = []  # [seq, due_ms, attempts], ascending seq

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

    def in_flight(self) -> list[int]:
        """Return the sequence numbers in flight, ascending."""
        return [entry[_SEQ] for entry in self._flight]

    def admit(self, seq: int, now_ms: int) -> None:
        """Take the next record into flight; it is due at once.

        Raises:
            ValueError: no room, or `seq` is not above every record in flight.
        """
        if not self.has_room:
            raise ValueError(f"window of {self.size} is full")
        if self._flight and seq <= self._flight[-1][_SEQ]:
            raise ValueError(f"record {seq} is not above {self._flight[-1][_SEQ]}")
        self._flight.append([seq, now_ms, 0])

    def due(self, now_ms: int) -> int | None:
        """Return the lowest sequence number to send now, or None."""
        for entry in self._flight:
            if entry[_DUE_MS] != _HELD and entry[_DUE_MS] <= now_ms:
                return entry[_SEQ]
        return None

    def due_in_ms(self, now_ms: int) -> int | None:
        """Return the milliseconds until something is due (0: now), None when nothing will be."""
        wait_ms: int | None = None
        for entry in self._flight:
            if entry[_DUE_MS] == _HELD:
                continue
            left_ms = max(0, entry[_DUE_MS] - now_ms)
            if wait_ms is None or left_ms < wait_ms:
                wait_ms = left_ms
        return wait_ms

    def hold(self, seq: int) -> None:
        """Note that `seq` is handed to the link: not due before `sent`, or another connection.

        Over a slow link a window takes minutes; its waits begin when the broker has it.
        """
        for entry in self._flight:
            if entry[_SEQ] == seq:
                entry[_DUE_MS] = _HELD
                return

    def sent(self, seq: int, now_ms: int) -> None:
        """Note that the broker has `seq`; it is due again after its wait.

        A record that a receipt freed in the meantime is none of our business any more.
        """
        for entry in self._flight:
            if entry[_SEQ] == seq:
                wait_ms = self.resend_ms << min(entry[_ATTEMPTS], _DOUBLINGS_MAX)
                entry[_DUE_MS] = now_ms + min(wait_ms, max(RESEND_MS_MAX, self.resend_ms))
                entry[_ATTEMPTS] += 1
                return

    def receipt(self, seq: int, beyond: tuple[int, ...] = ()) -> list[int]:
        """Free what a receipt covers and return it, ascending.

        Args:
            seq: every record up to it is committed or will never come.
            beyond: first, last, first, last ... of what is committed above `seq`.
        """
        freed: list[int] = []
        kept: list[list[int]] = []
        at = 0
        for entry in self._flight:
            while at < len(beyond) and beyond[at + _LAST] < entry[_SEQ]:
                at += 2
            if entry[_SEQ] <= seq or (at < len(beyond) and beyond[at] <= entry[_SEQ]):
                freed.append(entry[_SEQ])
            else:
                kept.append(entry)
        self._flight = kept
        return freed

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
        self._ranges: list[list[int]] = []  # committed above `seq`, ascending, with gaps between
        self._recent: list[int] = []  # what came last, so that the next receipt answers it

    def commit(self, seq: int) -> bool:
        """Note a committed record, new or repeated; say whether it is new here.

        False does not say that the record is stored: one below the floor may come late for the
        first time. The store decides by (node, journal_id, seq), the ledger only words receipts.

        More than LEDGER_RANGES_MAX gaps cannot come from a node with a bounded window. Then the
        highest range is forgotten, which costs a repetition and loses nothing.
        """
        if seq <= self.seq:
            return False
        self._recent.append(seq)
        if len(self._recent) > RECEIPT_RANGES_MAX:
            self._recent.pop(0)
        index = self._find(seq)
        if index < len(self._ranges) and self._ranges[index][_FIRST] <= seq:
            return False
        joins_below = index > 0 and self._ranges[index - 1][_LAST] == seq - 1
        joins_above = index < len(self._ranges) and self._ranges[index][_FIRST] == seq + 1
        if joins_below and joins_above:
            self._ranges[index - 1][_LAST] = self._ranges.pop(index)[_LAST]
        elif joins_below:
            self._ranges[index - 1][_LAST] = seq
        elif joins_above:
            self._ranges[index][_FIRST] = seq
        else:
            self._ranges.insert(index, [seq, seq])
            if len(self._ranges) > LEDGER_RANGES_MAX:
                self._ranges.pop()
        self._settle()
        return True

    def _find(self, seq: int) -> int:
        """Return the index of the first range that ends at `seq` or above (by halving)."""
        low = 0
        high = len(self._ranges)
        while low < high:
            middle = (low + high) // 2
            if self._ranges[middle][_LAST] < seq:
                low = middle + 1
            else:
                high = middle
        return low

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
        """Take the ranges that `seq` has reached into it."""
        count = 0
        while count < len(self._ranges) and self._ranges[count][_FIRST] <= self.seq + 1:
            self.seq = max(self.seq, self._ranges[count][_LAST])
            count += 1
        if count:
            self._ranges = self._ranges[count:]

    def beyond(self) -> tuple[int, ...]:
        """Return first, last, first, last ... of at most RECEIPT_RANGES_MAX ranges above `seq`.

        Ranges of what came last are chosen first, then the lowest: every record that comes is
        answered by the receipt that follows it, however many gaps evicted records have left.
        """
        chosen: list[int] = []
        for seq in self._recent:
            index = self._find(seq)
            known = index < len(self._ranges) and self._ranges[index][_FIRST] <= seq
            if known and index not in chosen:
                chosen.append(index)
        for index in range(min(len(self._ranges), 2 * RECEIPT_RANGES_MAX)):
            if len(chosen) < RECEIPT_RANGES_MAX and index not in chosen:
                chosen.append(index)
        flat: list[int] = []
        for index in sorted(chosen):
            flat.extend(self._ranges[index])
        return tuple(flat)

    def missing(self) -> int:
        """Return how many records below the highest committed one are not committed."""
        count = 0
        floor = self.seq
        for first, last in self._ranges:
            count += first - floor - 1
            floor = last
        return count
