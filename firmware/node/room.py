"""Eviction: which records go when the journal is full.

Rules of the file
- The lowest rank goes first, within it the oldest: health (never kept on the flash), spectra, scan
  events, what belongs to an alarm. A new record moves nothing that ranks above it.
- One eviction empties one segment of a rank, so the flash is not rewritten for every record.
- The newest segment is left alone: it is being written.
- Every due record that goes is counted by its rank. What is receipted is no loss.
- Between any two records the watchdog is fed: making room in a fragmented journal takes long.
"""

from node import distil, record, segment

if False:  # for the type checker: nothing of it is compiled
    from node.typed import File, Journal


class Room:
    """Makes room in a journal.

    Args:
        journal: whose segments it thins out.
        bytes_max: for all segments; a copy being made comes on top, one segment at most.
        segment_bytes: two segments that fit into it become one.
    Attributes:
        bytes_max: as given.
    """

    def __init__(self, journal: "Journal", bytes_max: int, segment_bytes: int) -> None:
        self._journal = journal
        self.bytes_max = bytes_max
        self._segment_bytes = segment_bytes

    def make(self, size: int, rank: int) -> bool:
        """Evict until `size` bytes fit; False when only what ranks above `rank` is left.

        Raises:
            OSError: the medium fails.
        """
        journal = self._journal
        while journal.bytes + size > self.bytes_max and len(journal.segments) > 1:
            if not self.evict(rank):
                return False
        return True

    def evict(self, rank: int) -> bool:
        """Free some bytes by what ranks lowest, `rank` at most; False when there is nothing.

        Raises:
            OSError: the medium fails.
        """
        journal = self._journal
        segments = journal.segments
        for low in range(rank + 1):
            for index in range(len(segments) - 1):
                part = segments[index]
                journal.know(part)
                journal.tick()
                if (part.ranks >> low & 1 or not part.ranks) and self._distil(index, low):
                    return True
        return False

    def _distil(self, index: int, rank: int) -> bool:
        """Take what has `rank` or is not due out of one segment; False when that is impossible."""
        journal = self._journal
        part = journal.segments[index]
        before = journal.segments[index - 1] if index else None
        if before:
            journal.know(before)
        floor = before.last_seq if before else 0
        sieve = distil.Sieve(journal.is_due, journal.alarms.ids, rank, journal.tick)
        sieve.sift(journal.path(part), part, floor)
        kept = sieve.bytes
        target = before if before and before.size + kept <= self._segment_bytes else part
        try:
            if kept:
                sieve.damaged_seqs += self._copy(target, part, floor, rank)
            if not kept or target is before:
                journal.remove(part)
        except OSError as error:
            if error.errno != segment.ENOSPC:
                raise
            if sieve.ranks >> record.RANK_ALARM:
                return False  # no room for a copy, and an alarm is not given up for it
            low = record.RANK_SCAN
            sieve = distil.Sieve(journal.is_due, journal.alarms.ids, low, journal.tick)
            sieve.sift(journal.path(part), part, floor)
            journal.remove(part)
        for lost in range(len(sieve.evicted)):
            journal.evicted_by_rank[lost] += sieve.evicted[lost]
        journal.thinned(sum(sieve.evicted), sieve.damaged_seqs)
        return True

    def _copy(
        self, target: segment.Segment, part: segment.Segment, floor: int, rank: int
    ) -> "list[int]":
        """Write what stays of `part`, behind what is in `target` when that is another segment.

        Returns:
            Numbers of damaged records that were met in `target`.
        """
        journal = self._journal
        ids = journal.alarms.ids
        whole = distil.Sieve(journal.is_due, ids, -1, journal.tick)
        sieve = distil.Sieve(journal.is_due, ids, rank, journal.tick)

        def sift_into(file: "File") -> None:
            if target is not part:
                whole.sift(journal.path(target), target, 0, file)
            sieve.sift(journal.path(part), part, floor, file)

        target.size = distil.rewrite(
            journal.path(target), journal.journal_id, target.first_seq, sift_into
        )
        target.ranks = whole.ranks | sieve.ranks
        target.last_seq = sieve.last_seq
        target.damaged = target.spoilt = 0
        journal.forget_place()
        journal.sync_names()
        return whole.damaged_seqs
