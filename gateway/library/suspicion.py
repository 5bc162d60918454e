"""Is there more in a specimen than its label says? It is judged as goods would be.

A specimen that holds a listed substance makes the library take that substance's bands for those of
a harmless one: from then on it would be missed. So it counts what the library recognises without
the specimen's help, and what the substance's table does not know. Both are doubts, no refusals: a
table may lack a band, and only a person can say what was in the vial.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from gateway.library.folder import Loaded
from gateway.library.lists import Lists
from gateway.screening.rules import screen
from gateway.screening.watchlists import Watchlists
from gateway.spectra.library import Library
from gateway.spectra.match import identify
from gateway.spectra.reference import Finding, check_reference
from gateway.spectra.specimen import FIELD_CHARS_MAX, Specimen

NAMED_MAX = 3
"""So many listed substances are named; a line of provenance is a sentence."""


class Examination:
    """Judges specimens by everything the library holds beside them.

    Args:
        loaded: the library; it may contain the specimens that are judged.
        lists: every edition counts, also one that is still to come: a reference outlives it.
        without: specimens that shall not have a say, because they came together.
    """

    def __init__(self, loaded: Loaded, lists: Lists, without: frozenset[str] = frozenset()) -> None:
        self._library = loaded.library
        self._lists = Watchlists(lists.editions)
        self._without = without
        self._others: dict[str, Library] = {}

    def judge(self, specimen: Specimen) -> Finding:
        """What speaks against using a specimen as a reference.

        Raises:
            SpectraError: it cannot be one, as in `check_reference`.
        """
        finding = check_reference(specimen, self._library)
        foreign = self._foreign(specimen)
        if not foreign:
            return finding
        doubt = f"listed {', '.join(foreign[:NAMED_MAX])} is recognised in it: contaminated,"
        doubt = "; ".join(filter(None, (f"{doubt} or not what its label says", finding.doubt)))
        return dataclasses.replace(finding, doubt=doubt[:FIELD_CHARS_MAX].rstrip())

    def _foreign(self, specimen: Specimen) -> tuple[str, ...]:
        """Listed substances of an alarm that are neither its own nor explain the same bands."""
        own, library = specimen.substance_id, self._library_without(specimen.substance_id)
        verdict = screen(identify(specimen.spectrum(), library), self._lists, library)
        named = verdict.parameters.get("substance_ids", ()) if verdict.verdict == "alarm" else ()
        alarms = named if isinstance(named, tuple) else ()
        return tuple(
            hit.substance_id
            for hit in verdict.hits
            if hit.substance_id in alarms
            and hit.lists
            and own != hit.substance_id
            and own not in hit.rivals
        )

    def _library_without(self, substance_id: str) -> Library:
        """The library without what was measured of a substance: it would only agree with itself."""
        if substance_id not in self._others:
            keep = [
                index
                for index, entry in enumerate(self._library.entries)
                if entry.specimen_id is None
                or (entry.substance_id != substance_id and entry.specimen_id not in self._without)
            ]
            is_whole = len(keep) == len(self._library.entries)
            self._others[substance_id] = (
                self._library if is_whole else self._library.subset(np.array(keep, dtype=np.int64))
            )
        return self._others[substance_id]
