"""Libraries of any size: part of the shipped one, or more, by copies as hard to tell apart."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files

import numpy as np

from gateway.spectra.library import TABLES, Library, build_library, load_library

SHIFT_CM1 = 25.0
"""Standard deviation of what moves each band of a copy: far enough to be another substance."""

HEIGHT_LN = 0.5
"""Standard deviation of the logarithm of what scales each band."""

SHIFT_CM1_RANGE = (60.0, 3900.0)
SEED = 170

Row = dict[str, str]


def reduced(library: Library, entries: int, first: Iterable[str] = ()) -> Library:
    """The library with so many entries only.

    Args:
        library: to take them from; returned as it is when it holds no more.
        entries: wanted.
        first: substances to keep before all others; the rest is taken evenly from the whole table.
    """
    count = len(library.entries)
    if count <= entries:
        return library
    wanted = {place for key in first for place in library.places.get(key, ())}
    others = np.array([place for place in range(count) if place not in wanted])
    more = max(entries - len(wanted), 0)
    evenly = others[np.linspace(0, others.size - 1, more).round().astype(np.int64)]
    return library.subset(np.array(sorted([*wanted, *evenly.tolist()])[:entries]))


@lru_cache(maxsize=1)
def enlarged(entries: int) -> Library:
    """The shipped library with perturbed copies until it has so many substances with bands.

    Args:
        entries: wanted; fewer than the shipped ones = the shipped library itself.
    """
    shipped = load_library()
    if entries <= len(shipped.active_ids):
        return shipped
    folder = files("gateway.spectra").joinpath("tables")
    texts = {name: folder.joinpath(f"{name}.csv").read_text("utf-8") for name in TABLES}
    substances, bands = _rows(texts["substances"]), _rows(texts["bands"])
    facts = {row["substance_id"]: row for row in substances}
    of: dict[tuple[str, str], list[Row]] = {}
    for row in bands:
        of.setdefault((row["substance_id"], row.get("state", "")), []).append(row)
    models = list(of)
    rng = np.random.default_rng(SEED)
    for number in range(entries - len(shipped.active_ids)):
        model = models[int(rng.integers(len(models)))]
        name = f"perturbed_{number:05d}"
        # A copy is no precursor and no packaging, whatever it was copied from.
        substances.append(facts[model[0]] | {"substance_id": name, "category": "industrial"})
        bands += [_perturbed(row, name, rng) for row in of[model]]
    texts |= {"substances": _text(substances), "bands": _text(bands)}
    return build_library(texts)


def _perturbed(row: Row, name: str, rng: np.random.Generator) -> Row:
    shift = float(np.clip(float(row["shift_cm1"]) + rng.normal(0.0, SHIFT_CM1), *SHIFT_CM1_RANGE))
    height = float(row["rel_intensity"]) * float(np.exp(rng.normal(0.0, HEIGHT_LN)))
    return row | {
        "substance_id": name,
        "shift_cm1": f"{shift:.1f}",
        "rel_intensity": f"{min(max(height, 0.01), 1.0):.3f}",
    }


def _rows(text: str) -> list[Row]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def _text(rows: list[Row]) -> str:
    target = io.StringIO(newline="")
    writer = csv.DictWriter(target, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return target.getvalue()
