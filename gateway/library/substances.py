"""The substances table: what is shipped, and rows that a package or a post adds to it."""

from __future__ import annotations

import csv
import io
from importlib import resources

from gateway.spectra.errors import LibraryError
from gateway.spectra.library import TABLES
from gateway.spectra.package import SUBSTANCES
from gateway.spectra.specimen import ID


def shipped_texts() -> dict[str, str]:
    """The text of the shipped tables by name."""
    folder = resources.files("gateway.spectra").joinpath("tables")
    return {name: folder.joinpath(f"{name}.csv").read_text(encoding="utf-8") for name in TABLES}


def merge_substances(table: str, more: str, origin: str) -> tuple[str, dict[str, str], list[str]]:
    """Add rows to the substances table.

    A row for a substance that is known already adds nothing; it must be about the same substance.

    Args:
        table: CSV text with all columns.
        more: CSV text; columns it does not have stay empty.
        origin: named in errors.

    Returns:
        The longer text, substance id -> CAS number of all its rows, and the ids in `more`.

    Raises:
        LibraryError: a column or a category is unknown, or a substance has another CAS number.
    """
    columns = next(csv.reader(table.splitlines()))
    cas = cas_numbers(table)
    output = io.StringIO()
    writer = csv.DictWriter(output, columns, restval="", lineterminator="\n")
    rows = _substance_rows(more, columns, f"{SUBSTANCES} of {origin}")
    allowed = {row["category"] for row in csv.DictReader(table.splitlines())}
    for row in rows:
        key, number = row["substance_id"], row.get("cas", "")
        if cas.get(key, number) != number:
            raise LibraryError(
                f"{SUBSTANCES} of {origin}: {key} has CAS number {number!r}, but {cas[key]!r} in"
                " the library; give the new substance an id of its own"
            )
        if key not in cas:
            if row.get("category", "") not in allowed:
                raise LibraryError(
                    f"{SUBSTANCES} of {origin}: {key} has category"
                    f" {row.get('category', '')[:60]!r}, which is none of"
                    f" {', '.join(sorted(allowed))}"
                )
            cas[key] = number
            writer.writerow(row)
    return table.rstrip("\n") + "\n" + output.getvalue(), cas, [row["substance_id"] for row in rows]


def _substance_rows(text: str, columns: list[str], where: str) -> list[dict[str, str]]:
    """Rows of a substances table, checked for what would harm elsewhere.

    Raises:
        LibraryError: a column, a row or a value cannot be used; names it.
    """
    reader = csv.DictReader(text.lstrip("\ufeff").splitlines())
    try:
        names = reader.fieldnames or ()
        rows = list(reader)
    except csv.Error as error:
        raise LibraryError(f"{where} line {reader.line_num}: {error}; save it as CSV") from None
    unknown = [name for name in names if name not in columns]
    if unknown or "substance_id" not in names:
        wrong = f"column {unknown[0][:60]!r} is unknown" if unknown else "there is no substance_id"
        raise LibraryError(f"{where}: {wrong}; columns are {', '.join(columns)}")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise LibraryError(f"{where}, row {number}: wrong number of columns")
        if not ID.fullmatch(row["substance_id"]):
            raise LibraryError(
                f"{where}, row {number}: substance_id {row['substance_id'][:60]!r} is not an id;"
                " use a-z, 0-9, _ and -"
            )
        odd = [name for name, value in row.items() if not value.isprintable()]
        if odd:
            raise LibraryError(f"{where}, row {number}: {odd[0]} holds unprintable characters")
    return rows


def cas_numbers(substances: str) -> dict[str, str]:
    """Substance id -> CAS number, of a table that has been checked."""
    return {row["substance_id"]: row["cas"] for row in csv.DictReader(substances.splitlines())}
