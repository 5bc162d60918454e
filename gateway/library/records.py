"""What `harmattan library` tells about a library, as values that are written as JSON or shown."""

from __future__ import annotations

import datetime as dt
import difflib
from typing import Any

import msgspec

from gateway.library.folder import Loaded
from gateway.library.lists import Lists
from gateway.screening.watchlists import Watchlist, Watchlists
from gateway.spectra.errors import LibraryError
from gateway.spectra.library import Band, Library
from gateway.spectra.package import OWN, SHIPPED
from gateway.spectra.specimen import TEXT_FIELDS, Specimen


def origin_of(loaded: Loaded, substance_id: str) -> str:
    """Where a substance comes from: shipped, own, or a package's id."""
    return loaded.origins.get(substance_id, SHIPPED)


def list_record(loaded: Loaded, watchlists: Watchlists, wanted: dict[str, str]) -> dict[str, Any]:
    """The substances that fit, in the order of the tables.

    Args:
        loaded: the library.
        watchlists: in force.
        wanted: any of list_id, category, state, origin -> what it must be.

    Raises:
        LibraryError: no substance has such a value at all; names those there are.
    """
    rows = [_short(loaded, watchlists, substance_id) for substance_id in loaded.library.substances]
    origins = {OWN, SHIPPED, *(package.manifest.package_id for package in loaded.packages)}
    for key, value in wanted.items():
        known = sorted({text for row in rows for text in _values(row, key)})
        known = sorted(origins) if key == "origin" else known
        if value not in known:
            raise LibraryError(f"{key} {value!r} is none of {', '.join(known)}")
    return {
        "library_version": loaded.library.version,
        "faults": list(loaded.faults),
        "substances": [
            row for row in rows if all(value in _values(row, key) for key, value in wanted.items())
        ],
    }


def _values(row: dict[str, Any], key: str) -> list[str]:
    if key == "origin":  # also of what was measured of a substance that others know too
        return [row["origin"], *row["specimen_origins"]]
    found = row["lists" if key == "list" else key]
    return list(found) if isinstance(found, tuple) else [found]


def _short(loaded: Loaded, watchlists: Watchlists, substance_id: str) -> dict[str, Any]:
    substance = loaded.library[substance_id]
    measured = [o for s, o in loaded.specimens.values() if s.substance_id == substance_id]
    return {
        "substance_id": substance_id,
        "name": substance.name_in("en"),
        "cas": substance.cas,
        "category": substance.category,
        "state": substance.state,
        "origin": origin_of(loaded, substance_id),
        "lists": watchlists.lists_of(substance_id),
        "bands": len(substance.bands),
        "entries": len(loaded.library.places.get(substance_id, ())),
        "specimens": len(measured),
        "specimen_origins": sorted(set(measured)),
    }


def substance_record(loaded: Loaded, watchlists: Watchlists, name: str) -> dict[str, Any]:
    """Everything known of one substance.

    Args:
        loaded: the library.
        watchlists: in force.
        name: its id, a CAS number, or a name in any of the four languages.

    Raises:
        LibraryError: there is none or more than one; names the nearest.
    """
    library = loaded.library
    substance = library[find_substance(loaded, name)]
    key = substance.substance_id
    return {
        "substance_id": key,
        "names": substance.names,
        "cas": substance.cas,
        "formula": substance.formula,
        "hs2022": _parts(substance.hs2022),
        "un_numbers": _parts(substance.un_number),
        "category": substance.category,
        "state": substance.state,
        "raman_active": substance.raman_active,
        "origin": origin_of(loaded, key),
        "source": library.sources.get(substance.source_id, ""),
        "entries": [
            {
                "entry_id": entry.entry_id,
                "state": entry.state,
                "specimen_id": entry.specimen_id,
                "bands": [_band(band, library) for band in entry.bands],
            }
            for entry in library.entries
            if entry.substance_id == key
        ],
        "specimens": [
            specimen_record(specimen, origin)
            for specimen, origin in loaded.specimens.values()
            if specimen.substance_id == key
        ],
        "look_alikes": _look_alikes(loaded, key),
        "lists": list_entries(watchlists, key),
        "library_version": library.version,
    }


def _band(band: Band, library: Library) -> dict[str, Any]:
    return {
        "shift_cm1": round(band.shift_cm1, 1),
        "rel_intensity": round(band.rel_intensity, 3),
        "fwhm_cm1": round(band.fwhm_cm1, 1),
        "uncertainty_cm1": band.uncertainty_cm1,
        "grade": band.grade,
        "source_id": band.source_id,
        "source": library.sources.get(band.source_id, ""),
    }


def specimen_record(specimen: Specimen, origin: str) -> dict[str, Any]:
    """Provenance of a specimen, and its range."""
    return {name: getattr(specimen, name) for name in TEXT_FIELDS} | {
        "origin": origin,
        "in_use": specimen.is_usable,
        "points": int(specimen.axis_cm1.size),
        "low_cm1": float(specimen.axis_cm1[0]),
        "high_cm1": float(specimen.axis_cm1[-1]),
    }


def list_entries(watchlists: Watchlists, substance_id: str) -> list[dict[str, Any]]:
    """What each list says about a substance."""
    found = []
    for entry in watchlists.lists:
        for row in entry.entries:
            if row.substance_id == substance_id:
                found.append(  # noqa: PERF401 - nested
                    {
                        "list_id": entry.list_id,
                        "titles": entry.titles,
                        "date": entry.date.isoformat(),
                        "status": row.status,
                        "annex": row.annex,
                        "limit": row.limit,
                        "limits": [msgspec.to_builtins(limit) for limit in row.limits],
                        "hs2022": list(row.hs2022),
                        "cn": list(row.cn),
                        "note": row.note,
                    }
                )
    return found


def lists_record(found: Lists, loaded: Loaded, today: dt.date) -> list[dict[str, Any]]:
    """Every list with its entries, and the editions that are not in use any more.

    Args:
        found: the lists.
        loaded: gives the substances' names.
        today: decides what has expired.
    """
    selection = found.on(today)
    today = selection.day
    in_use = selection.watchlists.lists
    states: list[tuple[Watchlist, str]] = [
        (entry, entry.state_on(today)) for entry in (*in_use, *selection.waiting)
    ]
    states += [(entry, "superseded") for entry in selection.replaced]
    return [
        _list(entry, loaded, state, found.files.get(entry, SHIPPED))
        | {"in_use": entry in in_use, "notice": entry.notice_on(today)}
        for entry, state in states
    ]


def _list(entry: Watchlist, loaded: Loaded, state: str, where: str) -> dict[str, Any]:
    substances = loaded.library.substances
    return {
        "list_id": entry.list_id,
        "titles": entry.titles,
        "jurisdiction": entry.jurisdiction,
        "date": entry.date.isoformat(),
        "valid_from": entry.valid_from.isoformat() if entry.valid_from else None,
        "valid_until": entry.valid_until.isoformat() if entry.valid_until else None,
        "state": state,
        "where": where,
        "source": entry.source,
        "entries": [
            msgspec.to_builtins(row)
            | {
                "limit": row.limit,
                "name": substances[row.substance_id].name_in("en"),
                "names": substances[row.substance_id].names,
                "cas": substances[row.substance_id].cas,
            }
            for row in entry.entries
            if row.substance_id in substances
        ],
    }


def _look_alikes(loaded: Loaded, substance_id: str) -> list[dict[str, Any]]:
    """Substances it may be taken for, both ways, with the bands that separate the two."""
    library = loaded.library
    found = []
    for pair in library.pairs:
        if substance_id in (pair.substance_id, pair.other_id):
            is_first = substance_id == pair.substance_id
            alike, state = (
                (pair.other_id, pair.other_state) if is_first else (pair.substance_id, pair.state)
            )
            found.append(
                {
                    "substance_id": alike,
                    "state": state,
                    "name": _stated(library[alike].name_in("en"), state),
                    "separating_cm1": list(pair.separating_cm1),
                    "bands_of": pair.substance_id,
                    "bands_of_state": pair.state,
                    "bands_of_name": _stated(library[pair.substance_id].name_in("en"), pair.state),
                }
            )
    return found


def _stated(name: str, state: str) -> str:
    """A name with the form that is meant, as people write it."""
    return f"{name} ({state.replace('_', ' ')})" if state else name


def find_substance(loaded: Loaded, name: str) -> str:
    """The id of the substance that is meant.

    Raises:
        LibraryError: none or several; names what is near.
    """
    substances = loaded.library.substances
    if name in substances:
        return name
    plain = name.casefold().strip()
    exact = [
        key
        for key, row in substances.items()
        if plain == row.cas.casefold() or plain in [text.casefold() for text in row.names.values()]
    ]
    if len(exact) == 1:
        return exact[0]
    near = exact or [
        key
        for key, row in substances.items()
        if plain.replace(" ", "_") in key or any(plain in t.casefold() for t in row.names.values())
    ]
    if not near:
        near = difflib.get_close_matches(plain.replace(" ", "_"), substances, n=3)
    told = f"did you mean {', '.join(near[:8])}?" if near else "`harmattan library list` shows all"
    raise LibraryError(f"{name!r} is not one substance of the library; {told}")


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]
