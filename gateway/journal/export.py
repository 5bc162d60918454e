"""Records written into one ZIP file that can be read without this program, while the post runs.

Rules of the file
- Each page is a few statements on a connection of its own: the writer waits for nothing, and its
  log can be folded into the file between two pages.
- What is exported is what was committed when it began; what is evicted meanwhile is named so.
- A file that is damaged gives what can be read of it, and says how much could not be.
- What stands in the ZIP file is FORMAT; docs/gateway.md describes it, and so does README.txt in it.
"""

import contextlib
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
from gateway.errors import JournalError, OlderJournalError
from gateway.files import shown
from gateway.journal import older, telling, withholding
from gateway.journal.backup import placed
from gateway.journal.damaged import Damaged, look_at_damaged
from gateway.journal.opening import fault, is_damage, look_at, shut
from gateway.journal.records import read_frame
from gateway.journal.telling import PAGE_IDS, Export, Rows, Wanted

STEADY_TRIES: Final = 64  # 32,000 ids that nobody can read, before longer steps are taken
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
room. `is_whole` is false when they are not those that came. `unreadable` names what else of a
record a damaged journal did not give: no verdict there does not mean that there was none.
`withheld` is "document" where somebody's travel document was read, or may have been, and "code"
where a scanned code may say something of a person: what it says, its frame and its checksum are
here only if they were asked for (--documents).

`scan` says what a code is: `form`, the `values` in it by application identifier (GS1) or by name,
what they mean (`decoded`), and what is wrong with it (`faults`). What is not known to be about
goods is not among them: `withheld` names it, `content` being what is no value. Where `is_claim` is
true nothing but the printed code itself stands behind it.
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


def make(
    journal: Path,
    target: Path,
    wanted: Wanted,
    *,
    reserve_bytes: int,
    now_ms: int,
    nodes: tuple[str, ...] = (),
) -> Export:
    """Write the wanted records of a journal into a new ZIP file.

    Args:
        journal: of a post, which may be running; or a backup; or one that was set aside.
        target: the new file.
        wanted: which records.
        reserve_bytes: stay free on the journal's own disk.
        now_ms: wall clock, Unix milliseconds.
        nodes: that the settings name; the journal may have nothing of them yet.

    Raises:
        JournalError: the journal cannot be read or knows not a wanted node, there is no room, or
            the file is there already; no file of that name was made.
    """
    target = target.absolute()
    connection = _opened(journal)
    try:
        _check_nodes(connection, set(wanted.nodes) - set(nodes))
        with placed(target) as new:
            made = Export(shown(target), now_ms, int(connection.pragma("user_version")))
            is_own = target.parent.stat().st_dev == journal.parent.stat().st_dev
            floor = reserve_bytes if is_own else 0
            with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
                archive = _Archive(file)
                _write_all(connection, archive, wanted, made, floor)
    except apsw.Error as error:
        if is_damage(error):  # a start would not help: the file may be one that was set aside
            raise _lost(journal, str(error)) from error
        raise fault(journal, error) from error
    finally:
        shut(connection)
    return made


def _opened(journal: Path) -> apsw.Connection:
    """Open a journal to look only; an older or damaged one as well as that goes.

    Raises:
        JournalError: nothing of it can be read.
    """
    try:
        return look_at(journal)
    except JournalError as error:
        if not is_damage(error.__cause__) and not isinstance(error, OlderJournalError):
            raise
    best: tuple[int, apsw.Connection | None] = (0, None)
    views = look_at_damaged(journal)
    for view in views:
        with contextlib.suppress(apsw.Error):
            older.present(view)
        count = 1
        if len(views) > 1:  # a file, and the log of another one
            count = len(Damaged(view).table("main.records", "rowid", ("id",)))
        elif not Damaged(view).ask("SELECT 1 FROM main.records NOT INDEXED LIMIT 1"):
            count = 0
        best = max(best, (count, view), key=lambda one: one[0])
    for view in views:
        if view is not best[1]:
            shut(view)
    if best[1] is not None:
        return best[1]
    raise _lost(journal, "it is damaged so that no record of it can be read")


def _lost(journal: Path, what: str) -> JournalError:
    return JournalError(
        f"journal {journal}: {what}; the whole file is the evidence: keep a copy, and try"
        " `sqlite3 FILE .recover` on that"
    )


def _check_nodes(connection: apsw.Connection, nodes: set[str]) -> None:
    """Insist that the journal has something of each node: a name may be mistyped."""
    for node in sorted(nodes):
        try:
            rows: Rows = connection.execute(
                "SELECT EXISTS (SELECT 1 FROM nodes WHERE node = ?1)"
                " OR EXISTS (SELECT 1 FROM records WHERE node = ?1)",
                (node,),
            ).fetchall()
        except apsw.Error as error:
            if is_damage(error):  # it may be there
                continue
            raise
        if rows == [(0,)]:
            raise JournalError(
                f"the journal has nothing of a node {node!r}; `harmattan nodes list` names them"
            )


def _write_all(
    connection: apsw.Connection, archive: _Archive, wanted: Wanted, made: Export, floor: int
) -> None:
    archive.add("README.txt", README.encode())
    top = _top(connection, made)
    number = 0
    for ids in _pages(connection, wanted, top, made):
        _check_room(archive.zip, floor)
        lines, frames = [], b""
        for record_id in ids:
            told, frame = telling.record(connection, record_id, made)
            if told is None:
                continue
            if wanted.documents:
                withholding.disclose(told, frame)
            else:
                frame = withholding.withhold(told, frame, made)
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
    alerts = list(telling.alerts(connection, wanted, top, made))
    made.alerts = len(alerts)
    archive.add("alerts.jsonl", _json_lines(alerts), len(alerts))
    axes = list(telling.axes(connection, wanted, made))
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
        found = sorted(_behind_alerts(connection, wanted, top, made))
        for at in range(0, len(found), PAGE_IDS):
            yield found[at : at + PAGE_IDS]
        return
    after = 0
    while after < top:
        page = _ids(connection, wanted, after, top, PAGE_IDS)
        if page is not None:
            ids, after = page
            if ids:
                yield ids
            continue
        # What is damaged is found id by id, and what lies beyond it by the next id that is there.
        ids, last = [], min(after + PAGE_IDS, top)
        for record_id in range(after + 1, last + 1):
            one = _ids(connection, wanted, record_id - 1, record_id, 1)
            made.unreadable += one is None
            ids += one[0] if one is not None else []
        if ids:
            yield ids
        after = last if ids else max(last, _next_id(connection, last, top) - 1)


def _ids(
    connection: apsw.Connection, wanted: Wanted, after: int, last: int, count_max: int
) -> tuple[list[int], int] | None:
    """Return the ids of wanted records among the next, and where to go on; None: damaged there.

    Rows of no node, or of no kind, only stand in for records that a damaged file has kept.
    """
    which, values = telling.where(wanted)
    question = (
        f"SELECT r.id, {which} AND r.node <> '' AND r.kind <> 0 FROM records r"  # noqa: S608 - our own words
        " WHERE r.id > ? AND r.id <= ? ORDER BY r.id LIMIT ?"
    )
    try:
        rows: Rows = connection.execute(question, (*values, after, last, count_max)).fetchall()
    except apsw.Error as error:
        if is_damage(error):
            return None
        raise
    found = [(int(record_id), bool(is_wanted)) for record_id, is_wanted in rows]
    reached = found[-1][0] if len(found) == count_max else last
    return [record_id for record_id, is_wanted in found if is_wanted], reached


def _next_id(connection: apsw.Connection, after: int, top: int) -> int:
    """Return the next id that the file can be asked for, one above `top` when there is none."""
    bad, step, tries = after - 1, PAGE_IDS, 0
    while after < top:
        found = _min_id(connection, after, top)
        if found is None:  # in growing steps at last: ids may be far apart
            bad, after = after, after + step
            tries += 1
            step *= 1 if tries < STEADY_TRIES else 2
            continue
        while after - bad > 1:  # it may have gone too far
            middle = (bad + after) // 2
            earlier = _min_id(connection, middle, top)
            if earlier is None:
                bad = middle
            else:
                after, found = middle, earlier
        return found
    return top + 1


def _min_id(connection: apsw.Connection, after: int, top: int) -> int | None:
    """Return the first id in a range, one above `top` without one; None: the file is damaged."""
    try:
        rows: Rows = connection.execute(
            "SELECT min(id) FROM records WHERE id > ? AND id <= ?", (after, top)
        ).fetchall()
    except apsw.Error as error:
        if is_damage(error):
            return None
        raise
    ((found,),) = rows
    return top + 1 if found is None else int(found)


def _top(connection: apsw.Connection, made: Export) -> int:
    """Return the highest id of a record; where that is damaged, the highest id spoken of."""
    top = 0
    for question in (
        "SELECT max(id) FROM records",
        "SELECT max(record_id) FROM verdicts",
        "SELECT max(record_id) FROM alerts",
        "SELECT max(record_id) FROM evictable",
        "SELECT max(record_id) FROM pending",
    ):
        try:
            rows: Rows = connection.execute(question).fetchall()
        except apsw.Error as error:
            if not is_damage(error) and not isinstance(error, apsw.SQLError):
                raise
            made.unreadable += is_damage(error)
        else:
            top = max([top, *(row[0] for row in rows if isinstance(row[0], int))])
            if question.endswith("records") and top:
                return top
    return top


Dark = tuple[str, bytes, int]  # of which node and journal, and its number there


def _behind_alerts(connection: apsw.Connection, wanted: Wanted, top: int, made: Export) -> set[int]:
    """Return the records that alerts stand on, and their dark frames."""
    apart = msgspec.structs.replace(made)  # alerts that cannot be read are counted as they are told
    found: set[int] = set()
    unfound: set[Dark] = set()
    behind = {row[0] for row in telling.alert_rows(connection, top, apart)}
    if apart.unreadable > made.unreadable:  # of an alert that cannot be read the index may tell
        listed = "SELECT record_id FROM alerts WHERE record_id BETWEEN 1 AND ? ORDER BY 1"
        behind |= {row[0] for row in Damaged(connection).ask(listed, (top,))}
    for record_id in sorted(behind):
        page = _ids(connection, wanted, record_id - 1, record_id, 1)
        if page is None:
            made.unreadable += 1
        elif page[0]:
            found.add(record_id)
            dark = _dark_of(connection, record_id)
            if dark is not None:
                try:
                    found |= _by_index(connection, dark)
                except apsw.Error as error:
                    if not is_damage(error):
                        raise
                    unfound.add(dark)
    if unfound:
        there = _by_rows(connection, unfound, top, apart)
        made.unreadable += len(unfound) - len(there)
        found |= there
    return found


def _dark_of(connection: apsw.Connection, record_id: int) -> Dark | None:
    """Return which dark frame a record names; None: none, or the record cannot be read."""
    try:
        rows: Rows = connection.execute(
            "SELECT node, journal_id, frame FROM records WHERE id = ?", (record_id,)
        ).fetchall()
    except UnicodeDecodeError:
        return None
    except apsw.Error as error:  # who writes the record out counts it
        if is_damage(error):
            return None
        raise
    for node, journal_id, frame in rows:
        reading = read_frame(frame)
        if isinstance(reading, wire.Reading) and reading.dark_seq is not None:
            return node, journal_id, reading.dark_seq
    return None


def _by_index(connection: apsw.Connection, dark: Dark) -> set[int]:
    rows: Rows = connection.execute(
        "SELECT id FROM records WHERE node = ? AND journal_id = ? AND seq = ?", dark
    ).fetchall()
    return {int(record_id) for (record_id,) in rows}


def _by_rows(connection: apsw.Connection, darks: set[Dark], top: int, apart: Export) -> set[int]:
    """Return the ids of dark frames where the index is damaged: every row is looked at."""
    found: dict[Dark, int] = {}
    for ids in _pages(connection, Wanted(), top, apart):
        for record_id in ids:
            with contextlib.suppress(apsw.CorruptError, UnicodeDecodeError):
                for row in connection.execute(
                    "SELECT node, journal_id, seq FROM records WHERE id = ?", (record_id,)
                ):
                    if row in darks:
                        found[row] = record_id
    return set(found.values())


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
        "documents": wanted.documents,
        "records": made.records,
        "alerts": made.alerts,
        "evicted": made.evicted,
        "changed": made.changed,
        "unreadable": made.unreadable,
        "incomplete": made.incomplete,
        "withheld": made.withheld,
        "files": archive.files,
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"


def _json_lines(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
