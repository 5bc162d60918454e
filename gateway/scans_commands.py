"""`harmattan scans`: the newest codes that were scanned at a post, and what is wrong with them.

For the technician who sets a scanner up. Of a code that may hold a person's data its kind and
length are shown, and no more unless it is asked for; travel documents are no scans.
"""

from __future__ import annotations

import base64
import sys
import textwrap
import time
from pathlib import Path

import apsw
import msgspec
from rich.cells import chop_cells
from rich.console import Console
from rich.text import Text

from gateway import wire
from gateway.journal import opening, scanned
from gateway.journal.records import read_frame
from gateway.journal.telling import utc
from gateway.scans.reading import Scan
from gateway.settings import Settings
from gateway.units import age

INDENT = "    "
LOOKED_AT = 20_000  # newest records, of which most are spectra: some 50 MB of the file are read


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One code, and where and when it was scanned.

    Attributes:
        content: its bytes, base64; None: not all of it is told.
    """

    node: str
    seq: int
    received_ms: int
    received: str
    inspection: str
    scan: Scan
    content: str | None


def run_scans(
    settings: Settings, count: int, *, documents: bool, as_json: bool, console: Console
) -> None:
    """Show the newest scans of a post, the newest first.

    Args:
        settings: of the post.
        count: how many.
        documents: whole, persons' data with it.
        as_json: one JSON object a line instead of text.
        console: where to.

    Raises:
        JournalError: the journal cannot be read.
    """
    found = read(Path(settings.directory) / opening.FILE_NAME, count, documents=documents)
    if as_json:
        for seen in found:
            sys.stdout.write(msgspec.json.encode(seen).decode() + "\n")
        return
    if not found:
        console.print(f"No code was scanned among the newest {LOOKED_AT:,} records.")
        return
    now_ms = time.time_ns() // 1_000_000
    for seen in found:
        for line in _lines(seen, now_ms, console.width):
            console.print(Text(line), soft_wrap=True)


def _lines(seen: Seen, now_ms: int, width: int) -> list[str]:
    """Return the lines that tell a code, none of them wider than the screen; nothing is cut."""
    scan = seen.scan
    form = f", {scan.form}" if scan.form else ""
    head = (
        f"{age(seen.received_ms, now_ms)}  {seen.node}  {scan.symbology}, {scan.length_bytes} bytes"
    )
    said = []
    if scan.withheld:
        said.append(f"withheld: {', '.join(map(_named, scan.withheld))} (--documents shows it)")
    said += [f"wrong: {fault}" for fault in scan.faults]
    said += [f"note: {note}" for note in scan.notes]
    width = max(width, 2 * len(INDENT))
    lines = [*chop_cells(words(scan), width - len(INDENT))] if words(scan) else []
    for sentence in said:
        lines += textwrap.wrap(sentence, width - len(INDENT))
    return chop_cells(head + form, width) + [INDENT + line for line in lines]


def _named(name: str) -> str:
    return f"AI {name}" if name.isdigit() else name


def read(path: Path, count: int, *, documents: bool = False) -> list[Seen]:
    """Return the newest scans of a journal, the newest first.

    Args:
        path: of its file.
        count: how many at most.
        documents: whole, persons' data with it.

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
            seen = _seen(*row, documents=documents)
            if seen is not None:
                found.append(seen)
            if len(found) == count:
                break
    except apsw.Error as error:
        raise opening.fault(path, error) from error
    finally:
        opening.shut(connection)
    return found


def _seen(node: str, seq: int, received_ms: int, frame: bytes, *, documents: bool) -> Seen | None:
    """Return what a record of the journal says; None: it is no code, or was evicted."""
    message = read_frame(frame) if frame else None
    scan = scanned.read(message, received_ms, documents=documents)
    if scan is None or not isinstance(message, wire.Event):
        return None
    return Seen(
        node=node,
        seq=seq,
        received_ms=received_ms,
        received=utc(received_ms),
        inspection=message.inspection_id.hex(),
        scan=scan,
        content=None if scan.withheld else base64.b64encode(message.content).decode(),
    )


def words(scan: Scan) -> str:
    """Return what a code says on one line: as it is printed under GS1 codes, else as it is."""
    if scan.form == "gs1" and not scan.faults:
        return "".join(f"({ai}){value}" for ai, value in scan.values.items())
    if scan.text is not None:
        return scan.text
    if scan.form in ("gs1", "link"):
        return "".join(f"({ai}){value}" for ai, value in scan.values.items())
    return " ".join(f"{name} {value}" for name, value in scan.values.items())
