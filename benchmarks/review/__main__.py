"""`python -m benchmarks.review`: check the library's tables against what can be measured.

  (nothing)      compare every entry with its measured spectra; families, ranges, doubles
  measure [ID]   rows for bands.csv read off the measured spectra of one entry or of all
  grades         rows for grades.csv; run on an edition not corrected with these spectra
  confounders    the table of look-alikes, computed from the bands (--write puts it in its place)

The measured spectra are found in HARMATTAN_RAMAN or in ../shared/data/raman.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.review.compare import Comparison, compare_all, entry_for, grade_figures
from benchmarks.review.confounders import pairs, text
from benchmarks.review.families import capped, check, doubles
from benchmarks.review.grades import grade_rows
from benchmarks.review.measured import ENLIGHTEN, ENTRIES, DataMissingError, Measured, load
from benchmarks.review.propose import propose, rows_text
from benchmarks.review.tables import TABLES, Entry, Tables, read_tables
from gateway.screening.watchlists import load_watchlists

OFFSET_SHOWN_CM1 = 2.0
RATIO_SHOWN = 2.0


def report(tables: Tables, stems: frozenset[str] | None = None) -> dict[str, Any]:
    """Everything the review finds, as data.

    Args:
        tables: the edition.
        stems: only these measured spectra; None for all.

    Raises:
        DataMissingError: the measured spectra are not there.
    """
    spectra = load(stems=stems)
    comparisons = compare_all(spectra, tables)
    covered = {item.entry for item in comparisons}
    return {
        "entries": len(tables.bands),
        "bands": sum(len(rows) for rows in tables.bands.values()),
        "measurements": len(spectra),
        "measurements_of_entries": len(comparisons),
        "entries_covered": len(covered),
        "measurements_without_entry": [m.name for m in spectra if entry_for(m, tables) is None],
        "comparisons": [_as_json(item) for item in comparisons],
        "grades_independent": [asdict(f) for f in grade_figures(comparisons, independent=True)],
        "grades_all": [asdict(f) for f in grade_figures(comparisons, independent=False)],
        "findings": [asdict(finding) for finding in check(tables)],
        "capped": [_name(entry) for entry in capped(tables)],
        "doubles": [(_name(a), _name(b), round(cos, 4)) for a, b, cos in doubles(tables)],
        "listed_on_memory": listed_on_memory(tables),
    }


def listed_on_memory(tables: Tables) -> dict[str, list[str]]:
    """Entries of listed substances whose strongest band has grade C or D: measure these first."""
    listed = load_watchlists().substance_ids
    found: dict[str, list[str]] = {"C": [], "D": []}
    for entry, rows in tables.bands.items():
        if entry[0] in listed:
            grade = max(rows, key=lambda row: (row.height, -row.shift_cm1)).grade
            if grade in found:
                found[grade].append(_name(entry))
    return found


def _name(entry: Entry) -> str:
    return "/".join(part for part in entry if part)


def _as_json(item: Comparison) -> dict[str, Any]:
    bands = [
        {
            "shift_cm1": judged.row.shift_cm1,
            "grade": judged.row.grade,
            "state": judged.state,
            "offset_cm1": _rounded(judged.offset_cm1, 1),
            "height_ratio": _rounded(judged.ratio, 2),
            "height": judged.row.height,
            "fwhm_cm1": judged.row.fwhm_cm1,
            "measured_fwhm_cm1": _rounded(judged.fwhm_cm1, 1),
        }
        for judged in item.judged
    ]
    unlisted = [[round(place, 1), round(height, 2)] for place, height, _ in item.unlisted]
    return {"entry": _name(item.entry), "file": item.name, "bands": bands, "unlisted": unlisted}


def _rounded(value: float, digits: int) -> float | None:
    return None if math.isnan(value) else round(value, digits)


def show(found: dict[str, Any]) -> None:
    """Print the report for a person."""
    print(
        f"{found['entries']} entries, {found['bands']} bands; {found['entries_covered']} entries "
        f"covered by {found['measurements_of_entries']} of {found['measurements']} measurements"
    )
    for item in found["comparisons"]:
        for line in _lines(item):
            print(f"  {item['file']}: {line}")
    for title in ("grades_independent", "grades_all"):
        print(title.replace("_", ", "))
        for figure in found[title]:
            if figure["checked"]:
                print(
                    "  {grade}: {missing} of {checked} missing ({low:.3f} to {high:.3f}), places "
                    "{offset_cm1_rms:.2f} cm-1 r.m.s., heights exp({ln_height_spread:.2f})".format(
                        **figure
                    )
                )
    for finding in found["findings"]:
        print(f"  {finding['kind']}: {_name(tuple(finding['entry']))}: {finding['text']}")
    print("fourteen bands:", ", ".join(found["capped"]) or "none")
    for one, other, cosine in found["doubles"]:
        print(f"  not to be told apart at 8 cm-1: {one} and {other} ({cosine})")
    for grade, names in found["listed_on_memory"].items():
        print(f"listed, strongest band of grade {grade}: {', '.join(names) or 'none'}")
    print("measured, no entry:", ", ".join(found["measurements_without_entry"]) or "none")


def _lines(item: dict[str, Any]) -> list[str]:
    lines = []
    for band in item["bands"]:
        what = f"{band['shift_cm1']:g} ({band['grade']}, {band['height']:g})"
        if band["state"] == "missing":
            lines.append(f"{what} not seen")
        elif band["state"] == "found":
            ratio = band["height_ratio"]
            if abs(band["offset_cm1"]) > OFFSET_SHOWN_CM1:
                lines.append(f"{what} measured {band['offset_cm1']:+.1f}")
            if not 1 / RATIO_SHOWN <= ratio <= RATIO_SHOWN:
                lines.append(f"{what} measured {ratio:.2f} times as high")
    lines += [f"{place:g} ({height:g}) is not in the table" for place, height in item["unlisted"]]
    return lines


def measure(wanted: str | None) -> int:
    """Print rows of bands.csv for one entry, or for all that the vendor library covers."""
    stems = frozenset(stem for stem, entry in ENTRIES.items() if wanted in (None, entry[0]))
    groups: dict[Entry, list[Measured]] = {}
    for measured in load(stems=stems) if stems else ():
        if measured.entry is not None and measured.group == ENLIGHTEN:
            groups.setdefault(measured.entry, []).append(measured)
    if not groups:
        sys.stderr.write(f"review: no measured spectrum of {wanted!r}\n")
        return 2
    for entry, group in groups.items():
        source = "enlighten_" + group[0].stem.replace("-", "_")
        sys.stdout.write(rows_text(entry, propose(group), source))
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 when done, 1 when the tables contradict themselves, 2 when impossible."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.review",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = ("tables", "measure", "grades", "confounders")
    parser.add_argument("command", nargs="?", default="tables", choices=commands)
    parser.add_argument("entry", nargs="?", help="substance id, for measure")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--tables", type=Path, default=TABLES, help="folder of another edition")
    parser.add_argument("--only", nargs="+", metavar="STEM", help="only these measured spectra")
    parser.add_argument("--write", action="store_true", help="confounders: write the table")
    arguments = parser.parse_args(argv)
    tables = read_tables(arguments.tables)
    try:
        return _run(arguments, tables)
    except DataMissingError as error:
        sys.stderr.write(f"review: {error}\n")
        return 2


def _run(arguments: argparse.Namespace, tables: Tables) -> int:
    if arguments.command == "measure":
        return measure(arguments.entry)
    if arguments.command == "confounders":
        written = text(pairs(tables, frozenset(load_watchlists().substance_ids)))
        if arguments.write:
            (arguments.tables / "confounders.csv").write_text(written, encoding="utf-8")
        else:
            sys.stdout.write(written)
        return 0
    if arguments.command == "grades":
        for row in grade_rows(compare_all(load(), tables)):
            print(json.dumps({k: _short(v) for k, v in asdict(row).items()}))
        return 0
    found = report(tables, frozenset(arguments.only) if arguments.only else None)
    if arguments.json:
        print(json.dumps(found))
    else:
        show(found)
    return 1 if found["findings"] else 0


def _short(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value


if __name__ == "__main__":
    sys.exit(main())
