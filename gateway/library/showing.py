"""What `harmattan library` shows to a person; the same values as with --json, as tables."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.library.importing import Imported
from gateway.library.records import specimen_record
from gateway.spectra.package import Package

Record = dict[str, Any]
COLOURS = {"alarm": "red", "inconclusive": "yellow", "clear": "green"}


def import_record(found: Imported) -> Record:
    """One spectrum of a file as a line."""
    record: Record = {"file": found.label, "specimen": None, "warnings": [], "error": found.error}
    if found.specimen is not None and found.finding is not None:
        record["specimen"] = specimen_record(found.specimen, "own")
        record["warnings"] = list(found.finding.warnings)
        record["snr"] = round(found.finding.snr, 1)
        record["bands"] = found.finding.band_count
    return record


def install_record(path: Path, package: Package, *, is_new: bool) -> Record:
    """One package as a line."""
    manifest = package.manifest
    return {
        "file": str(path),
        "package": manifest.package_id,
        "version": manifest.version,
        "issuer": manifest.issuer,
        "key_id": package.signature.key_id if package.signature else "",
        "specimens": len(package.specimens),
        "installed": is_new,
        "error": "",
    }


def show_imports(records: list[Record], console: Console) -> None:
    """What became of each file."""
    for record in records:
        if record["error"]:
            console.print(Text(record["error"], style="red"))
        elif record.get("package"):
            told = "installed" if record["installed"] else "is installed already"
            console.print(
                f"{record['package']} {record['version']} {told}: {record['specimens']} specimens,"
                f" signed by {record['issuer']} ({record['key_id']})",
                markup=False,
                highlight=False,
            )
        else:
            _show_imported(record, console)


def _show_imported(record: Record, console: Console) -> None:
    specimen = record["specimen"]
    console.print(
        f"{record['file']}: {specimen['specimen_id']}, signal to noise {record['snr']:g},"
        f" {record['bands']} bands",
        markup=False,
        highlight=False,
    )
    for warning in record["warnings"]:
        console.print(Text(f"  warning: {warning}", style="yellow"))
    if specimen["doubt"]:
        used = specimen["in_use"]
        told = "confirmed, in use" if used else "kept, NOT in use; look at it, then `confirm` it"
        console.print(Text(f"  DOUBT: {specimen['doubt']}", style="bold yellow"))
        console.print(Text(f"  {told}", style="yellow"))


def show_list(record: Record, console: Console) -> None:
    """The substances as a table."""
    table = _table("substance", "name", "CAS", "category", "state", "origin", "lists", "bands")
    table.add_column("measured", justify="right")
    for row in record["substances"]:
        table.add_row(
            row["substance_id"],
            Text(row["name"]),
            row["cas"],
            row["category"],
            row["state"],
            row["origin"],
            " ".join(row["lists"]),
            str(row["bands"]),
            str(row["specimens"] or ""),
        )
    console.print(table)
    console.print(f"{len(record['substances'])} substances; library {record['library_version']}")


def show_substance(record: Record, console: Console) -> None:
    """All about one substance."""
    console.print(Text(record["substance_id"], style="bold"))
    facts = _table("", "")
    facts.show_header = False
    for language, name in record["names"].items():
        facts.add_row(f"name ({language})", Text(name or "-"))
    for key in ("cas", "formula", "category", "state", "raman_active", "origin", "source"):
        facts.add_row(key, Text(record[key] or "-"))
    for key in ("hs2022", "un_numbers"):
        facts.add_row(key, ", ".join(record[key]) or "-")
    console.print(facts)
    _show_entries(record["entries"], console)
    for row in record["lists"]:
        console.print(
            Text(f"list {row['list_id']} ({row['date']}): {row['status']}", style="bold").append(
                "".join(
                    f"; {label}{row[key]}"
                    for key, label in (("annex", "annex "), ("limit", ""), ("note", ""))
                    if row[key]
                )
                + "".join(f"; CN {code}" for code in row["cn"]),
                style="not bold",
            )
        )
    for row in record["look_alikes"]:
        places = " ".join(f"{place:g}" for place in row["separating_cm1"])
        told = f"separated by {places} cm-1" if places else "not separated by any band"
        console.print(
            f"look-alike {row['name']}: {told} of {row['bands_of_name']}",
            markup=False,
            highlight=False,
        )
    for row in record["specimens"]:
        _show_specimen(row, console)
    console.print(Text(f"library {record['library_version']}", style="dim"))


def _show_entries(entries: list[Record], console: Console) -> None:
    """The bands of every state and specimen, with their sources once."""
    if not entries:
        console.print("no bands: a spectrum neither shows nor excludes it")
        return
    sources: dict[str, str] = {}
    for entry in entries:
        table = _table("cm-1", "height", "width", "+-", "grade", "source")
        table.title = entry["entry_id"] if len(entries) > 1 else None
        for band in entry["bands"]:
            sources[band["source_id"]] = band["source"]
            table.add_row(
                f"{band['shift_cm1']:g}",
                f"{band['rel_intensity']:.2f}",
                f"{band['fwhm_cm1']:g}",
                f"{band['uncertainty_cm1']:g}",
                band["grade"],
                band["source_id"],
            )
        console.print(table)
    for key, text in sources.items():
        console.print(Text(f"{key}: {text}", style="dim"))


def _show_specimen(row: Record, console: Console) -> None:
    laser = f"{row['excitation_nm']:g} nm" if row["excitation_nm"] else "laser not stated"
    console.print(
        f"specimen {row['specimen_id']} ({row['origin']}): {row['instrument']}, {laser},"
        f" {row['low_cm1']:.0f} to {row['high_cm1']:.0f} cm-1, measured {row['measured_on']} by"
        f" {row['measured_by']}, {row['licence']}, from {row['source']}",
        markup=False,
        highlight=False,
    )
    if row["doubt"]:
        state = f"confirmed: {row['confirmed']}" if row["confirmed"] else "NOT in use"
        console.print(Text(f"  doubt: {row['doubt']}; {state}", style="yellow"))


def show_lists(records: list[Record], console: Console) -> None:
    """The lists, each with its entries."""
    for record in records:
        style = "bold" if record["state"] == "in force" else "bold yellow"
        is_replaced = record["state"] == "superseded" and not record["in_use"]
        state = "superseded by a later edition, not in use" if is_replaced else record["notice"]
        head = f"{record['list_id']}  {record['titles']['en']}  {record['date']}  "
        head += state or _validity(record)
        console.print(Text(head, style=style))
        console.print(Text(f"{record['where']}; {record['source']}", style="dim"))
        table = _table("substance", "status", "annex", "HS 2022", "CN", "limit (for people)")
        for row in record["entries"]:
            table.add_row(
                Text(row["name"]),
                row["status"],
                row["annex"],
                " ".join(row["hs2022"]),
                ", ".join(row["cn"]),
                Text(row["limit"]),
            )
        console.print(table)


def _validity(record: Record) -> str:
    """In force, and between which days as far as the list says so."""
    ends = (("from", record["valid_from"]), ("until", record["valid_until"]))
    return " ".join(["in force", *(f"{word} {day}" for word, day in ends if day)])


def show_differences(record: Record, console: Console) -> None:
    """What changed from one library to another."""
    console.print(f"{record['before']} -> {record['after']}", markup=False, highlight=False)
    for word, style in (("added", "green"), ("removed", "red")):
        for key in record[word]:
            console.print(Text(f"{word} {key} ({record['names'][key]})", style=style))
    for change in record["changed"]:
        key = change["substance_id"]
        console.print(Text(f"changed {key} ({record['names'][key]})", style="yellow"))
        for name, (before, after) in change["facts"].items():
            console.print(Text(f"  {name}: {before or '-'} -> {after or '-'}"))
        for band in change["bands"]:
            console.print(Text(f"  band {_band_words(band)}"))
        for word in ("added", "removed", "changed"):
            for key in change[f"specimens_{word}"]:
                console.print(Text(f"  specimen {word}: {key}"))
    if not (record["added"] or record["removed"] or record["changed"]):
        console.print("no difference")


def _band_words(band: Record) -> str:
    before, after = (
        "none"
        if band[f"{side}_cm1"] is None
        else f"{band[f'{side}_cm1']:.1f} cm-1, height {band[f'rel_intensity_{side}']:.2f},"
        f" grade {band[f'grade_{side}']}"
        for side in ("before", "after")
    )
    state = f"{band['state']}: " if band["state"] else ""
    return f"{state}{before} -> {after}"


def show_verification(record: Record, console: Console) -> None:
    """What `verify` found."""
    for fault in record["faults"]:
        console.print(Text(fault, style="red"))
    for warning in record["warnings"]:
        console.print(Text(f"warning: {warning}", style="yellow"))
    told = "not good" if record["faults"] else "good"
    console.print(
        f"{told}: {record['substances']} substances, {record['specimens']} specimens,"
        f" {record['packages']} packages, {record['lists']} lists;"
        f" library {record['library_version']}",
        markup=False,
        highlight=False,
    )


def show_rejudged(record: Record, console: Console) -> None:
    """Which readings are judged differently now."""
    progress = record["progress"]
    if progress is None:
        console.print("nothing was judged again; start the gateway once")
        return
    state = "done" if progress["is_ended"] else "going on"
    console.print(Text(f"library {progress['library_version']}: {state}", style="bold"))
    console.print(
        f"judged again {progress['judged']}, changed {progress['changed']}: now alarm"
        f" {progress['raised']}, no alarm any more {progress['lowered']}; could not be judged"
        f" {progress['failed']}"
    )
    if not record["differences"]:
        return
    table = _table("node", "seq", "received", "before", "now", "substances before", "now", "alert")
    for row in record["differences"]:
        received = dt.datetime.fromtimestamp(row["received_ms"] / 1_000, dt.UTC)
        table.add_row(
            row["node"],
            str(row["seq"]),
            f"{received:%Y-%m-%d %H:%M}",
            Text(row["verdict_before"], style=COLOURS.get(row["verdict_before"], "")),
            Text(row["verdict_after"], style=COLOURS.get(row["verdict_after"], "")),
            Text(_named(row["hits_before"], record["names"])),
            Text(_named(row["hits_after"], record["names"])),
            "yes" if row["alert_id"] else "-",
        )
    console.print(table)


def _named(substance_ids: list[str], names: dict[str, str]) -> str:
    return ", ".join(names[key] for key in substance_ids) or "-"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, no_wrap=index == 0)  # ids are copied
    return table
