"""Which act at the lane a record belongs to. Pure.

Rules of the file
- Whatever is read of one consignment (codes, documents, a weight, a spectrum) carries one
  `inspection_id`, in whichever order the officer reads it.
- An act begins with its first record, or with a command, whose identity then names it.
- It ends when nothing of it was read for IDLE_MS, when a second sample is measured, or when after
  its sample something is read of a kind that was read before it: who scans, measures and scans
  again has the next consignment before him. Who measures first may read everything afterwards.
- A measurement that failed, or in which nothing was before the probe, is no sample: who repeats it
  is still at the same consignment.
- A standard and a dark frame that somebody orders are acts of their own and end no other.
"""

from protocol.limits import ID_BYTES

if False:  # for the type checker: nothing of it is compiled
    from node.typed import RandomBytes

IDLE_MS = 90_000  # walking from the scale to the probe; the next lorry takes longer


class Inspection:
    """The act under way.

    Args:
        random_bytes: names acts that nobody ordered.
    Attributes:
        sample_count: samples that were asked for in this boot.
    """

    def __init__(self, random_bytes: "RandomBytes") -> None:
        self._random_bytes = random_bytes
        self._id = b""
        self._touched_ms = 0
        self.sample_count = 0
        self._has_sample = False
        self._before = 0  # kinds of items that were read before the sample, a bit each

    def of_item(self, uptime_ms: int, event_type: int) -> bytes:
        """Return the act of a code, a document or a weight that was read now.

        Args:
            uptime_ms: now.
            event_type: EVENT_CODE, EVENT_DOCUMENT or EVENT_WEIGHT.
        """
        kind = 1 << event_type
        if self._has_sample and self._before & kind:
            self._begin(b"")
        found = self._current(uptime_ms)
        if not self._has_sample:
            self._before |= kind
        return found

    def of_sample(self, uptime_ms: int, command_id: "bytes | None" = None) -> bytes:
        """Return the act of a sample that is asked for now.

        Args:
            uptime_ms: now.
            command_id: who asked; None: somebody at the node, or the period.
        """
        if command_id is not None:
            self._begin(command_id)
            self._touched_ms = uptime_ms
        elif self._has_sample:
            self._begin(b"")
        found = self._current(uptime_ms)
        self._has_sample = True
        self.sample_count += 1
        return found

    def missed(self, inspection_id: bytes) -> None:
        """Note that the sample of an act was not measured: it may be asked for again."""
        if inspection_id == self._id:
            self._has_sample = False

    def touch(self, inspection_id: bytes, uptime_ms: int) -> None:
        """Note that a record of an act was stored: an exposure may take long."""
        if inspection_id == self._id:
            self._touched_ms = uptime_ms

    def alone(self, command_id: "bytes | None" = None) -> bytes:
        """Return an act that consists of one measurement: of a standard, or of the dark."""
        return command_id or self._random_bytes(ID_BYTES)

    def _current(self, uptime_ms: int) -> bytes:
        if self._id and uptime_ms - self._touched_ms > IDLE_MS:
            self._begin(b"")
        self._id = self._id or self._random_bytes(ID_BYTES)
        self._touched_ms = uptime_ms
        return self._id

    def _begin(self, name: bytes) -> None:
        self._id, self._has_sample, self._before = name, False, 0
