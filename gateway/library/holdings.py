"""What a library rests on, and what a withdrawn key takes along.

Who removes a key from `trusted/` has decided something: the packages that it signed leave force. A
key's file that cannot be read is a fault, and takes nothing along.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gateway.spectra.library import Library


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a loaded library rests on; light enough to be kept while it is in force.

    Attributes:
        keys: file in `trusted/` -> id of the key in it, empty when it cannot be read.
        keys_listed: which files there are is known.
        signers: package -> id of the key that signed it.
        labels: package -> its part of the library's version.
        bringers: id of a substance or specimen that is not shipped -> packages that bring it, and
            `own`.
    """

    keys: Mapping[str, str]
    keys_listed: bool
    signers: Mapping[str, str]
    labels: Mapping[str, str]
    bringers: Mapping[str, frozenset[str]]


NONE = Holdings(keys={}, keys_listed=True, signers={}, labels={}, bringers={})
"""Of the shipped tables alone."""


def withdrawn(before: Holdings, now: Holdings) -> dict[str, str]:
    """Packages of `before` whose key has been removed since, with the key's id.

    Args:
        before: in force.
        now: what the folder holds.
    """
    if not now.keys_listed:
        return {}
    kept = set(now.keys.values())
    kept |= {key for file, key in before.keys.items() if now.keys.get(file) == ""}
    return {package: key for package, key in before.signers.items() if key not in kept}


def without(
    library: Library, holdings: Holdings, packages: frozenset[str]
) -> tuple[Library, Holdings]:
    """A library without some of its packages; what others bring too stays.

    Args:
        library: as loaded.
        holdings: of it.
        packages: ids of those that leave.
    """
    bringers = {key: by - packages for key, by in holdings.bringers.items()}
    lost = {key for key, by in bringers.items() if not by}
    kept = [
        index
        for index, entry in enumerate(library.entries)
        if entry.substance_id not in lost and entry.specimen_id not in lost
    ]
    smaller = library.subset(np.array(kept, dtype=np.int64))
    substances = {}
    for key, substance in library.substances.items():
        first, left = library.places.get(key, ()), smaller.places.get(key, ())
        if first and (not left or smaller.entries[left[0]] is not library.entries[first[0]]):
            bands = smaller.entries[left[0]].bands if left else ()
            substance = dataclasses.replace(substance, bands=bands)  # noqa: PLW2901 - the new one
        if key not in lost:
            substances[key] = substance
    labels = {holdings.labels[package] for package in packages}
    shipped, *parts = library.version.split("+")
    version = "+".join([shipped, *(part for part in parts if part not in labels)])
    return dataclasses.replace(smaller, substances=substances, version=version), (
        dataclasses.replace(
            holdings,
            signers={key: by for key, by in holdings.signers.items() if key not in packages},
            labels={key: part for key, part in holdings.labels.items() if key not in packages},
            bringers={key: by for key, by in bringers.items() if by},
        )
    )
