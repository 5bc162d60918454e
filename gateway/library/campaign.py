"""A measuring campaign as a table: one row per file, with what is to be said of each.

    file,substance_id,measured_on,source
    run7/0001.spc,acetone,2026-11-03,lot 12
    run7/0002.spc,urea,2026-11-03,lot 3

Columns are `file` and fields of a specimen; what a row leaves empty is taken from the command's
options, then from the file itself.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.library.reading import read_bytes
from gateway.spectra.errors import LibraryError

TABLE_BYTES_MAX = 4 * 1024 * 1024
"""Twenty thousand rows of two hundred bytes."""


def read_campaign(path: Path, given: Mapping[str, str]) -> Iterator[tuple[Path, dict[str, str]]]:
    """Give each file of a campaign with what is said of it.

    Args:
        path: of the table; files are seen from its folder.
        given: what the command says of all; its keys are the columns a table may have.

    Raises:
        SpectraError: the table cannot be read; names row or column. Nothing is given before all of
            it has been looked at.
    """
    text = read_bytes(path, TABLE_BYTES_MAX).decode("utf-8-sig", "replace")
    reader = csv.DictReader(text.splitlines())
    try:
        names, rows = reader.fieldnames or (), list(reader)
    except csv.Error as error:
        raise LibraryError(f"{path} line {reader.line_num}: {error}; save it as CSV") from None
    known = ["file", *given]
    unknown = [name for name in names if name not in known]
    if unknown or "file" not in names:
        wrong = f"column {unknown[0][:60]!r} is unknown" if unknown else "there is no column file"
        raise LibraryError(f"{path}: {wrong}; columns are {', '.join(known)}")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values() or not row["file"]:
            raise LibraryError(f"{path}, row {number}: a value is missing or too many; mend it")
    return (
        (
            path.parent / row["file"],
            dict(given) | {key: row[key] for key in names if key != "file" and row[key]},
        )
        for row in rows
    )
