"""`harmattan scans`: the newest codes that were scanned at a post, and what is wrong with them.

For the technician who sets a scanner up. A code that holds a person's data is counted and not
shown; travel documents are no scans.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import apsw
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway import wire
from gateway.journal import opening, scanned
from gateway.journal.records import read_frame
from gateway.journal.telling import utc
from gateway.scans.reading import Scan
from gateway.settings import Settings
from gateway.units import age

LOOKED_AT = 20_000  # newest records, of which most are spectra: some 50 MB of the file are read


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One code, and where and when it was scanned."""

    node: str
    seq: int
    received_ms: int
    received: str
    inspection: str
    scan: Scan


def run_scans(settings: Settings, count: int, *, as_json: bool, console: Console) -> None:
    """Show the newest scans of a post, the newest first.

    Args:
        settings: of the post.
        count: how many.
        as_json: one JSON object a line instead of a table.
        console: where to.

    Raises:
        JournalError: the journal cannot be read.
    """
    found = read(Path(settings.directory) / opening.FILE_NAME, count)
    if as_json:
        for seen in found:
            sys.stdout.write(msgspec.json.encode(seen).decode() + "\n")
        return
    if not found:
        console.print(f"No code was scanned among the newest {LOOKED_AT:,} records.")
        return
    table = Table("when", "node", "code", "what it says", "what is wrong", box=None, pad_edge=False)
    now_ms = time.time_ns() // 1_000_000
    for seen in found:
        scan = seen.scan
        wrong = "; ".join([*scan.faults, *(f"({note})" for note in scan.notes)])
        cells = (age(seen.received_ms, now_ms), seen.node, scan.symbology, words(scan), wrong)
        table.add_row(*map(Text, cells))
    console.print(table)


def read(path: Path, count: int) -> list[Seen]:
    """Return the newest scans of a journal, the newest first.

    Args:
        path: of its file.
        count: how many at most.

    Raises:
        JournalError: it cannot be read.
    """
    connection = opening.look_at(path)
    found: list[Seen] = []
    try:
        for row in connection.execute(
            "SELECT node, seq, received_ms, frame FROM records"
            " WHERE kind = 4 AND id > (SELECT max(id) FROM records) - ? ORDER BY id DESC",
            (LOOKED_AT,),
        ):
            seen = _seen(*row)
            if seen is not None:
                found.append(seen)
            if len(found) == count:
                break
    except apsw.Error as error:
        raise opening.fault(path, error) from error
    finally:
        opening.shut(connection)
    return found


def _seen(node: str, seq: int, received_ms: int, frame: bytes) -> Seen | None:
    """Return what a record of the journal says; None: it is no code, or was evicted."""
    message = read_frame(frame) if frame else None
    scan = scanned.read(message, received_ms)
    if scan is None or not isinstance(message, wire.Event):
        return None
    return Seen(
        node=node,
        seq=seq,
        received_ms=received_ms,
        received=utc(received_ms),
        inspection=message.inspection_id.hex(),
        scan=scan,
    )


def words(scan: Scan) -> str:
    """Return what a code says on one line, as it is printed under GS1 codes."""
    if scan.form == "gs1":
        return "".join(f"({ai}){value}" for ai, value in scan.values.items())
    if scan.text is not None:
        return scan.text
    said = " ".join(f"{name} {value}" for name, value in scan.values.items())
    return said or scan.form
