"""Records written into one ZIP file that can be read without this program, while the post runs.

Rules of the file
- Each page is a few statements on a connection of its own: the writer waits for nothing, and its
  log can be folded into the file between two pages.
- What is exported is what was committed when it began; what is evicted meanwhile is named so.
- A file that is damaged gives what can be read of it, and says how much could not be.
- What stands in the ZIP file is FORMAT; docs/gateway.md describes it, and so does README.txt in it.
"""

import hashlib
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from gateway import wire
from gateway.errors import JournalError
from gateway.journal import telling
from gateway.journal.backup import placed
from gateway.journal.opening import fault, is_damage, look_at, shut
from gateway.journal.records import read_frame
from gateway.journal.telling import PAGE_IDS, Export, Rows, Wanted

FORMAT: Final = "harmattan-export 1"
README: Final = """\
Records of a border post, as harmattan wrote them.

manifest.json    what is here: format, time, filters, counts, and of every other file its size and
                 SHA-256
records/*.jsonl  one JSON object per line and record, in the order in which they were committed
frames/*.bin     the bytes of those records as the nodes sent them; a record's `frame` says in which
                 file, from which byte, and how many
alerts.jsonl     one line per alert, with the bytes that were sent and the authority's receipt
axes.jsonl       the births of the nodes that brought an axis: from them pixels have a wavelength

Times are Unix milliseconds (`..._ms`) and the same in UTC. Byte strings are hexadecimal, but for
the `content` of an event, which is base64. `counts` are the detector's counts, one per pixel,
before the dark frame is subtracted; `dark_seq` names that one, of the same node and journal.
The wavelength in nm of pixel i, from 0, is the sum of coefficients[k] * i**k; the Raman shift in
cm^-1 is 1e7 / excitation_nm - 1e7 / wavelength.

A frame is MessagePack: a list, the kind first, then the fields in the order of `message`; the
project's protocol/SPEC.md says what they mean. `frame` is null when the bytes were evicted to make
room. `is_whole` is false when they are not those that came.
"""


@dataclass(slots=True)
class _Archive:
    """The ZIP file that grows, and what is in it."""

    zip: zipfile.ZipFile
    files: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, content: bytes, rows: int | None = None) -> None:
        """Add one file."""
        self.zip.writestr(name, content)
        told: dict[str, Any] = {
            "name": name,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        self.files.append(told if rows is None else told | {"rows": rows})


def make(journal: Path, target: Path, wanted: Wanted, *, reserve_bytes: int, now_ms: int) -> Export:
    """Write the wanted records of a journal into a new ZIP file.

    Args:
        journal: of a post, which may be running; or a backup; or one that was set aside.
        target: the new file.
        wanted: which records.
        reserve_bytes: stay free on the journal's own disk.
        now_ms: wall clock, Unix milliseconds.

    Raises:
        JournalError: the journal cannot be read, there is no room, or the file is there already;
            no file of that name was made.
    """
    target = target.absolute()
    connection = look_at(journal)
    try:
        with placed(target) as new:
            made = Export(str(target), now_ms, int(connection.pragma("user_version")))
            is_own = target.parent.stat().st_dev == journal.stat().st_dev
            floor = reserve_bytes if is_own else 0
            with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
                archive = _Archive(file)
                _write_all(connection, archive, wanted, made, floor)
    except apsw.Error as error:
        raise fault(journal, error) from error
    finally:
        shut(connection)
    return made


def _write_all(
    connection: apsw.Connection, archive: _Archive, wanted: Wanted, made: Export, floor: int
) -> None:
    archive.add("README.txt", README.encode())
    tops: Rows = connection.execute("SELECT ifnull(max(id), 0) FROM records")
    ((top,),) = tops
    number = 0
    for ids in _pages(connection, wanted, int(top), made):
        _check_room(archive.zip, floor)
        lines, frames = [], b""
        for record_id in ids:
            told, frame = telling.record(connection, record_id, made)
            if told is None:
                continue
            if frame:
                told["frame"] = {
                    "file": f"frames/{number + 1:06}.bin",
                    "offset": len(frames),
                    "bytes": len(frame),
                }
                frames += frame
            lines.append(told)
        if lines:
            number += 1
            archive.add(f"records/{number:06}.jsonl", _json_lines(lines), len(lines))
            archive.add(f"frames/{number:06}.bin", frames)
            made.records += len(lines)
    alerts = list(telling.alerts(connection, wanted, int(top), made))
    made.alerts = len(alerts)
    archive.add("alerts.jsonl", _json_lines(alerts), len(alerts))
    axes = list(telling.axes(connection, wanted))
    made.axes = len(axes)
    archive.add("axes.jsonl", _json_lines(axes), len(axes))
    archive.add("manifest.json", _manifest(archive, wanted, made))


def _check_room(file: zipfile.ZipFile, floor: int) -> None:
    """Insist on what the post needs on its own disk."""
    room = os.statvfs(Path(str(file.filename)).parent)
    if room.f_bavail * room.f_frsize < floor:
        raise JournalError(
            f"{file.filename}: less than journal.reserve_bytes would be left on the post's own"
            " disk; choose another, or export less at once (--since, --until)"
        )


# ------------------------------------------------------------------------------------------- pages


def _pages(
    connection: apsw.Connection, wanted: Wanted, top: int, made: Export
) -> Iterator[list[int]]:
    """Yield ids of wanted records, in their order, some at a time."""
    if wanted.only_alerts:
        found = sorted(_behind_alerts(connection, wanted, top))
        for at in range(0, len(found), PAGE_IDS):
            yield found[at : at + PAGE_IDS]
        return
    for first in range(1, top + 1, PAGE_IDS):
        last = min(first + PAGE_IDS - 1, top)
        page = _ids(connection, wanted, first, last)
        if page is None:  # what is damaged is found id by id
            page = []
            for record_id in range(first, last + 1):
                one = _ids(connection, wanted, record_id, record_id)
                made.unreadable += one is None
                page += one or []
        if page:
            yield page


def _ids(connection: apsw.Connection, wanted: Wanted, first: int, last: int) -> list[int] | None:
    """Return the ids of wanted records in a range; None: the file is damaged there."""
    which, values = telling.where(wanted)
    question = f"SELECT r.id FROM records r WHERE r.id BETWEEN ? AND ? AND {which} ORDER BY r.id"  # noqa: S608 - our own words
    try:
        rows: Rows = connection.execute(question, (first, last, *values))
        return [int(row[0]) for row in rows]
    except apsw.Error as error:
        if is_damage(error):
            return None
        raise


def _behind_alerts(connection: apsw.Connection, wanted: Wanted, top: int) -> set[int]:
    """Return the records that alerts stand on, and their dark frames."""
    which, values = telling.where(wanted)
    found: set[int] = set()
    last = 0
    while True:
        rows: list[tuple[Any, ...]] = connection.execute(
            f"SELECT r.id FROM alerts a JOIN records r ON r.id = a.record_id WHERE r.id > ?"  # noqa: S608 - our own words
            f" AND r.id <= ? AND {which} ORDER BY r.id LIMIT ?",
            (last, top, *values, PAGE_IDS),
        ).fetchall()
        if not rows:
            return found
        for (record_id,) in rows:
            last = int(record_id)
            found.add(last)
            found |= _dark_of(connection, last)


def _dark_of(connection: apsw.Connection, record_id: int) -> set[int]:
    rows: Rows = connection.execute(
        "SELECT node, journal_id, frame FROM records WHERE id = ?", (record_id,)
    ).fetchall()
    for node, journal_id, frame in rows:
        reading = read_frame(frame)
        if isinstance(reading, wire.Reading) and reading.dark_seq is not None:
            return {
                int(row[0])
                for row in connection.execute(
                    "SELECT id FROM records WHERE node = ? AND journal_id = ? AND seq = ?",
                    (node, journal_id, reading.dark_seq),
                )
            }
    return set()


# -------------------------------------------------------------------------------------------- rest


def _manifest(archive: _Archive, wanted: Wanted, made: Export) -> bytes:
    told = {
        "format": FORMAT,
        "schema": made.schema,
        "made_ms": made.made_ms,
        "made": telling.utc(made.made_ms),
        "since_ms": wanted.since_ms,
        "until_ms": wanted.until_ms,
        "nodes": list(wanted.nodes) or None,
        "only_alerts": wanted.only_alerts,
        "records": made.records,
        "alerts": made.alerts,
        "evicted": made.evicted,
        "changed": made.changed,
        "unreadable": made.unreadable,
        "files": archive.files,
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"


def _json_lines(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
