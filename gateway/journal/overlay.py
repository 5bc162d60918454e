"""A damaged journal seen through a first page and a schema of our own.

One bit in the file's header, or in the words of its schema, and SQLite refuses all that is in it,
or hides a whole table. The rows are there nevertheless: their pages are found by the root pages
that the schema names, and what a table looks like this gateway knows itself. So the header and the
schema are made anew, and laid over the file while it is read. Nothing in the file is changed.

Rules of the file
- Where a table begins is taken from the schema's own rows, read without SQLite, wherever they lie;
  else from where a new journal has it, or from the shape of its rows. In either case the page must
  be of the right kind.
- What the log holds is seen as SQLite would see it: frames with good checksums, up to the last
  commit. The log alone will do, where the file is empty or missing.
- What is not found is left out. Who asks for it learns that there is no such table.

Reference: https://www.sqlite.org/fileformat2.html
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw

from gateway.journal.logged import (
    HEADER_BYTES,
    MODES,
    PAGE_BYTES,
    log_of,
    read_header,
    read_log,
    size_of,
)
from gateway.journal.strays import (
    INDEX_INNER,
    INDEX_LEAF,
    SHAPES,
    TABLE_INNER,
    TABLE_LEAF,
    find_roots,
    may_be,
    read_number,
)
from gateway.journal.upgrade import MOVED, NEWEST, model

SCHEMA_PAGES_MAX: Final = 1_024  # of the file, its first, where rows of the schema are looked for
CELLS_MAX: Final = PAGE_BYTES // 4  # no page holds more
SCHEMA_FORMAT: Final = slice(44, 48)
SCHEMA_FORMAT_MAX: Final = 4
PAGE_COUNT: Final = slice(28, 32)
FREE_PAGES: Final = slice(32, 40)
VERSION_VALID_FOR: Final = slice(92, 96)
CHANGES: Final = slice(24, 28)

_SINCE_6: Final = frozenset(
    {"evictable", "healths", "tallies", "retention", "integrity", "posture"}
)
_VFS_NAME: Final = "harmattan-overlay"
_BASE: Final = "unix"  # whatever else is the default now may be gone later


def is_odd(path: Path) -> bool:
    """Say whether a file's header has what no gateway and no SQLite of today has written."""
    header = read_header(path)
    formats = int.from_bytes(header[SCHEMA_FORMAT], "big")
    return bool(header) and not ({*header[MODES]} <= {1, 2} and formats <= SCHEMA_FORMAT_MAX)


def is_cut(path: Path) -> bool:
    """Say whether a file's header counts fewer pages than there are: SQLite sees no others."""
    header = read_header(path)
    pages = path.stat().st_size // PAGE_BYTES if header else 0
    return int.from_bytes(header[PAGE_COUNT], "big") < pages


@dataclass(slots=True)
class _Image:
    """What a damaged file holds, page by page, numbered from 1.

    Attributes:
        path: of the file.
        count: of its pages.
        has_file: there is more than the log.
        logged: pages that its log has newer, and where in the log they are.
        made: pages that are laid over it.
    """

    path: Path
    count: int
    has_file: bool
    logged: dict[int, int] = field(default_factory=dict)
    made: dict[int, bytes] = field(default_factory=dict)

    def page(self, number: int) -> bytes:
        """Return a page as it was committed; zeros where there is none."""
        path, at = self.path, (number - 1) * PAGE_BYTES
        if number in self.logged:
            path, at = log_of(self.path), self.logged[number]
        elif not self.has_file:
            return bytes(PAGE_BYTES)
        with path.open("rb") as file:
            file.seek(at)
            return file.read(PAGE_BYTES).ljust(PAGE_BYTES, b"\0")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One row of the schema."""

    kind: str
    name: str
    root: int
    sql: str


def open_overlay(
    path: Path, *, with_file: bool = True, with_log: bool = True
) -> apsw.Connection | None:
    """Open a damaged journal through a schema of our own; None: there is nothing of one.

    Args:
        path: the database file; beside a log it may be empty or missing.
        with_file: what lies in the file counts.
        with_log: what lies in its log counts.

    Raises:
        OSError: the file cannot be read.
    """
    size = size_of(path) if with_file else 0
    image = _Image(path, -(-size // PAGE_BYTES), size > 0)
    for fresh, count in read_log(path) if with_log else ():
        image.logged |= fresh
        image.count = count
    found = list(_entries(image))
    try:
        version = _version(image, found)
        placed = _placed(image, found, version)
        if not any(entry.name in {"records", "alerts"} for entry in placed):
            return None
        _lay(image, placed, version)
    except apsw.Error:  # of the schema in memory
        return None
    return _connected(image)


# ------------------------------------------------------------------------------------------ schema


def _entries(image: _Image) -> Iterator[_Entry]:
    """Yield rows of the schema, wherever they lie; some of them may be old."""
    for number in range(1, min(image.count, SCHEMA_PAGES_MAX) + 1):
        page = image.page(number)
        start = HEADER_BYTES if number == 1 else 0
        # The first page's kind may be what is damaged.
        if page[start] == TABLE_LEAF or number == 1:
            yield from _rows(page, start)


def _rows(page: bytes, start: int) -> Iterator[_Entry]:
    """Yield those cells of a leaf that are rows of a schema."""
    count = min(int.from_bytes(page[start + 3 : start + 5], "big"), CELLS_MAX)
    for place in range(start + 8, min(start + 8 + 2 * count, PAGE_BYTES - 1), 2):
        with contextlib.suppress(IndexError, ValueError):
            entry = _row(page, int.from_bytes(page[place : place + 2], "big"))
            if entry is not None:
                yield entry


def _row(page: bytes, at: int) -> _Entry | None:
    """Return a cell as a row of a schema: kind, name, table, root page, statement; None: no.

    Raises:
        IndexError: it does not end on the page.
        ValueError: a text in it is none.
    """
    _, at = read_number(page, at)  # the size of the row
    _, at = read_number(page, at)  # its number
    begun = at
    header_bytes, at = read_number(page, at)
    types: list[int] = []
    while at < begun + header_bytes and len(types) < 6:
        value, at = read_number(page, at)
        types.append(value)
    if len(types) != 5 or at != begun + header_bytes:
        return None
    values: list[bytes] = []
    for value in types:
        size = (value - 12) // 2 if value >= 12 else (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)[value]
        if at + size > PAGE_BYTES:
            return None
        values.append(b"\1" if value == 9 else page[at : at + size])
        at += size
    kind, name, table = (value.decode("utf-8", "replace") for value in values[:3])
    if kind not in {"table", "index"}:
        kind = "table" if name == table else "index"
    root = int.from_bytes(values[3], "big")
    return _Entry(kind, name, root, values[4].decode("utf-8", "replace"))


def _version(image: _Image, found: list[_Entry]) -> int:
    """Return the schema's version: what the tables say, or else what the header says."""
    said = int.from_bytes(image.page(1)[60:64], "big")
    names = {entry.name for entry in found}
    if names & _SINCE_6:
        return NEWEST
    if said == NEWEST and not names & {entry.name for entry in _new_file()}:
        return NEWEST  # nothing of the schema is left but that
    return said if 0 < said < NEWEST else NEWEST - 1


def _placed(image: _Image, found: list[_Entry], version: int) -> list[_Entry]:
    """Return tables and indexes with a statement that is good and a root page that may be theirs.

    Of this version the statements are our own, of an older one those of the file, where they can
    be used.
    """
    ours = {entry.name: entry for entry in _new_file()}
    theirs: dict[str, list[_Entry]] = {}
    for entry in found:
        theirs.setdefault(entry.name, []).append(entry)
    placed, taken, is_older = [], set[int](), version < NEWEST
    is_as_new = not is_older and _is_as_new(image, ours, theirs)
    for name in {**ours, **theirs}:
        candidates = theirs.get(name, [])
        mine = ours.get(name)
        if mine is None and not is_older:
            continue
        is_index = (mine or candidates[0]).kind == "index"
        is_tree = is_index or (None if is_older else "WITHOUT ROWID" in (mine or candidates[0]).sql)
        roots = [entry.root for entry in candidates]
        if mine is not None and is_as_new:
            roots.append(mine.root)
        for root in roots:
            if root not in taken and _is_root(image, root, is_tree=is_tree):
                taken.add(root)
                words = [entry.sql for entry in candidates if is_older]
                if name in MOVED and version < MOVED[name].since:
                    words += [MOVED[name].before]
                elif mine is not None:
                    words += [mine.sql]
                placed += [_Entry("index" if is_index else "table", name, root, "\0".join(words))]
                break
    known = {entry.name: entry.root for entry in placed}
    for name, root in ({} if is_older else find_roots(image.page, image.count, known)).items():
        placed += [_Entry("table", name, root, ours[name].sql)]
    return placed


def _is_as_new(image: _Image, ours: dict[str, _Entry], theirs: dict[str, list[_Entry]]) -> bool:
    """Say whether a file seems to have its tables where a new one has them.

    One that an older edition began has not.
    """
    known = [name for name in theirs if name in ours]
    same = [name for name in known if ours[name].root in {one.root for one in theirs[name]}]
    return 2 * len(same) >= len(known) and all(
        may_be(image.page, ours[name].root, name) for name in SHAPES if name not in theirs
    )


def _new_file() -> list[_Entry]:
    """Return what a new journal has, and where."""
    scratch = apsw.Connection(":memory:")
    try:
        for _, _, sql in model():
            scratch.execute(sql)
        rows = scratch.execute(
            "SELECT type, name, rootpage, ifnull(sql, '') FROM sqlite_schema"
            " WHERE type IN ('table', 'index')"
        )
        return [
            _Entry(str(kind), str(name), int(str(root)), str(sql)) for kind, name, root, sql in rows
        ]
    finally:
        scratch.close()


def _is_root(image: _Image, number: int, *, is_tree: bool | None) -> bool:
    """Say whether a page may be where a table, or an index, begins; None: either."""
    if not 1 < number <= image.count:
        return False
    kind = image.page(number)[0]
    is_known = kind in {INDEX_LEAF, INDEX_INNER, TABLE_LEAF, TABLE_INNER}
    return is_known and is_tree in {None, kind in {INDEX_LEAF, INDEX_INNER}}


def _lay(image: _Image, placed: list[_Entry], version: int) -> None:
    """Make a first page and the pages of a schema that name the root pages found.

    Raises:
        apsw.Error: no schema can be made of what was found.
    """
    scratch = apsw.Connection(":memory:")
    try:
        scratch.pragma("page_size", PAGE_BYTES)
        for entry in sorted(placed, key=lambda one: one.kind, reverse=True):  # tables first
            for words in entry.sql.split("\0"):
                with contextlib.suppress(apsw.Error):
                    if words:
                        scratch.execute(words)
                        break
        scratch.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
        scratch.pragma("writable_schema", value=True)
        for entry in placed:
            scratch.execute(
                "UPDATE sqlite_schema SET rootpage = ? WHERE name = ?", (entry.root, entry.name)
            )
        # An index that comes with its table, and that was not found, is a page of zeros.
        names = {entry.name for entry in placed}
        listed = "SELECT name FROM sqlite_schema WHERE rootpage > 0"
        for (name,) in scratch.execute(listed).fetchall():
            if name not in names:
                blank = image.count + len(image.made) + 1
                image.made[blank] = bytes(PAGE_BYTES)
                scratch.execute(
                    "UPDATE sqlite_schema SET rootpage = ? WHERE name = ?", (blank, name)
                )
        scratch.pragma("user_version", version)
        content = scratch.serialize("main")
    finally:
        scratch.close()
    pages = [content[at : at + PAGE_BYTES] for at in range(0, len(content), PAGE_BYTES)]
    first = bytearray(pages[0])
    if first[HEADER_BYTES] == TABLE_INNER:
        count = int.from_bytes(first[HEADER_BYTES + 3 : HEADER_BYTES + 5], "big")
        places = [HEADER_BYTES + 8]  # the last child's number, then one in each cell
        pointers = range(HEADER_BYTES + 12, HEADER_BYTES + 12 + 2 * count, 2)
        places += [int.from_bytes(first[at : at + 2], "big") for at in pointers]
        for place in places:
            child = int.from_bytes(first[place : place + 4], "big")
            number = image.count + len(image.made) + 1
            first[place : place + 4] = number.to_bytes(4, "big")
            image.made[number] = pages[child - 1]
    first[MODES] = b"\1\1"
    first[PAGE_COUNT] = (image.count + len(image.made)).to_bytes(4, "big")
    first[FREE_PAGES] = bytes(8)
    first[VERSION_VALID_FOR] = bytes(first[CHANGES])
    image.made[1] = bytes(first)


# --------------------------------------------------------------------------------------------- VFS


class _Overlay(apsw.VFS):
    """Opens files of which some pages are others than on the disk; for reading only."""

    def __init__(self) -> None:
        self.images: dict[str, _Image] = {}
        super().__init__(_VFS_NAME, _BASE)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        text = name.filename() if isinstance(name, apsw.URIFilename) else name
        image = self.images.get(text or "")
        return super().xOpen(name, flags) if image is None else _File(image, name, flags)


class _File(apsw.VFSFile):
    def __init__(
        self, image: _Image, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        if image.has_file:
            super().__init__(_BASE, name, flags)
        else:  # there has to be a file that is opened
            super().__init__(
                _BASE, str(log_of(image.path)), [flags[0] & ~apsw.SQLITE_OPEN_URI, flags[1]]
            )
        self._image = image

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        number, at = offset // PAGE_BYTES + 1, offset % PAGE_BYTES
        if number in self._image.made:
            return self._image.made[number][at : at + amount]
        if number in self._image.logged or not self._image.has_file:
            return self._image.page(number)[at : at + amount]
        return super().xRead(amount, offset)

    def xFileSize(self) -> int:  # noqa: N802
        return max(self._image.count, *self._image.made) * PAGE_BYTES


_overlays: list[_Overlay] = []  # SQLite needs it as long as a connection is open


def _connected(image: _Image) -> apsw.Connection | None:
    if not _overlays:
        _overlays.append(_Overlay())
    images, name = _overlays[0].images, str(image.path.absolute())
    images[name] = image
    try:
        return apsw.Connection(
            f"{image.path.absolute().as_uri()}?immutable=1",
            flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
            vfs=_VFS_NAME,
        )
    except apsw.Error:
        return None
    finally:  # the open file has it
        images.pop(name, None)
