"""Which act at the lane a record belongs to. Pure.

Rules of the file
- Whatever is read of one consignment (codes, documents, a weight, a spectrum) carries one
  `inspection_id`. An act has at most one sample; it has it as soon as it is asked for.
- A document that comes after the sample begins the next act: papers come first at a lane, and
  nobody's papers may stand in what was found with another. Where the probe comes first node.json
  says so (`papers_first`).
- A code, a weight and, where the probe comes first, a document that come after the sample belong
  to it, unless their kind was read before it: then they are of the next consignment.

    what comes         no sample yet    sample asked for or measured   nothing for IDLE_MS
    code, weight       joins            joins; begins an act where     begins an act
                                        its kind was before the sample
    document           joins            begins an act                  begins an act
    - probe first      joins            as a code                      begins an act
    sample, by anyone  joins            begins an act                  begins an act
    standard, dark     an act of its own by whose sake no other begins or ends
    sample failed,     -                the act has none: it is asked  -
    empty, cut short                    for again, and all else joins

- On a node without spectrometer there is no sample to tell one consignment from the next: papers,
  which come first or last (`papers_first`), tell it where what they turn up with changes.

    what comes         papers first                        papers last
    document           begins an act where something else  joins
                       was read since the act's newest one
    code, weight       joins                               begins an act where a document was read
                                                           last, and not only documents were

  Nothing for IDLE_MS ends an act there, too.
- An act that a sample of a command begins is named by the command; every other by chance.
- Time does not count while the sample of the act is being measured: exposures may take long. One
  that was missed prolongs nothing: a period over an empty holder keeps no act open.
- Acts are forgotten at a restart.
"""

from protocol.limits import ID_BYTES
from protocol.messages import EVENT_DOCUMENT

if False:  # for the type checker: nothing of it is compiled
    from node.typed import RandomBytes

_PAPERS = 1 << EVENT_DOCUMENT
IDLE_MS = 90_000  # walking from the scale to the probe; the next lorry takes longer


class Inspection:
    """The act under way.

    Args:
        random_bytes: names acts that nobody ordered.
        papers_first: documents are read before the sample, or where there is none before the rest.
        has_probe: there are samples, a spectrometer is meant to hang on the node.
    Attributes:
        sample_count: samples that were asked for in this boot.
    """

    def __init__(
        self, random_bytes: "RandomBytes", papers_first: bool = True, has_probe: bool = True
    ) -> None:
        self._random_bytes = random_bytes
        self._first = _PAPERS if papers_first else 0
        self._has_probe = has_probe
        self._id = b""
        self._touched_ms = 0
        self._idle_ms = 0  # that had gone by when the sample under way was asked for
        self.sample_count = 0
        self._has_sample = False
        self._is_measuring = False
        self._read = self._before = 0  # kinds of items: of the act, before its sample; a bit each
        self._newest = 0  # kind of the item that was read last

    def of_item(self, uptime_ms: int, event_type: int) -> bytes:
        """Return the act of a code, a document or a weight that was read now.

        Args:
            uptime_ms: now.
            event_type: EVENT_CODE, EVENT_DOCUMENT or EVENT_WEIGHT.
        """
        kind = 1 << event_type
        if self._follows(kind) if self._has_probe else self._turns(kind):
            self._begin()
        found = self._current(uptime_ms)
        self._idle_ms = 0
        self._read |= kind
        self._newest = kind
        return found

    def _follows(self, kind: int) -> bool:
        """Say whether an item is of the consignment after the one that was measured."""
        return self._has_sample and bool((self._before | self._first) & kind)

    def _turns(self, kind: int) -> bool:
        """Say whether an item is of the next consignment where nothing is measured."""
        if self._first:
            return kind == _PAPERS != self._newest and bool(self._read & _PAPERS)
        return kind != _PAPERS == self._newest and self._read != _PAPERS

    def of_sample(self, uptime_ms: int, command_id: "bytes | None" = None) -> bytes:
        """Return the act of a sample that is asked for now.

        Args:
            uptime_ms: now.
            command_id: who asked; None: somebody at the node, or the period.
        """
        if self._has_sample:
            self._begin()
        before, idle_ms = self._id, uptime_ms - self._touched_ms
        found = self._current(uptime_ms, command_id or b"")
        self._idle_ms = idle_ms if found == before else 0
        self._has_sample = self._is_measuring = True
        self._before = self._read
        self.sample_count += 1
        return found

    def missed(self, inspection_id: bytes) -> None:
        """Note that the sample of an act was not measured: it may be asked for again."""
        if inspection_id == self._id:
            self._has_sample = False

    def ended(self, inspection_id: bytes, uptime_ms: int) -> None:
        """Note that what was asked for in an act is measured, or failed."""
        if inspection_id == self._id:
            self._is_measuring = False
            self._touched_ms = uptime_ms if self._has_sample else uptime_ms - self._idle_ms

    def alone(self, command_id: "bytes | None" = None) -> bytes:
        """Return an act that consists of one measurement: of a standard, or of the dark."""
        return command_id or self._random_bytes(ID_BYTES)

    def _current(self, uptime_ms: int, name: bytes = b"") -> bytes:
        """Return the act under way; one that begins now is called `name`, empty: by chance."""
        if not self._is_measuring and uptime_ms - self._touched_ms > IDLE_MS:
            self._begin()
        self._id = self._id or name or self._random_bytes(ID_BYTES)
        self._touched_ms = uptime_ms
        return self._id

    def _begin(self) -> None:
        self._id, self._has_sample, self._is_measuring, self._read = b"", False, False, 0
