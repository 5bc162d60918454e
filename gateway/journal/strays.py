"""Where a table begins whose entry in the schema is lost: told by the shape of its rows.

A journal of this edition that an older one began has its tables elsewhere than a new one. A page
that no tree which is known has, and that begins a tree itself, is looked at: of how many columns
its first row is, and of which kinds.

Reference: https://www.sqlite.org/fileformat2.html
"""

from collections.abc import Callable, Iterator
from typing import Final

PAGE_BYTES: Final = 4_096
TABLE_LEAF, TABLE_INNER, INDEX_LEAF, INDEX_INNER = 13, 5, 10, 2
PAGES_MAX: Final = 8_192  # of the file, its first, where tables may begin
INNER_MAX: Final = 16_384  # pages that name others, of all trees: of a file of 30 GB
LEVELS_MAX: Final = 4  # of a tree below its root: 10 GB
TRIED_MAX: Final = 8  # pages below one, for a row that can be read

# Kinds of the columns in the order in which a row has them; a capital one is never NULL, `-` is
# the row's number, which stands elsewhere. The last of a row from an older edition may be missing.
SHAPES: Final = {
    "alerts": "TIBIITbi",
    "records": "-TBIIIBii",
    "verdicts": "-TTBI",
    "axes": "TBB",
    "configs": "TB",
    "nodes": "TbbbIi",
    "journals": "TBII",
    "counters": "TTI",
    "calibrations": "-TBTITTB",
    "responses": "-TBTITTB",
}
# What has the same shape: only where those are known, what is left over is the table.
_TWINS: Final = {
    "journals": {"sqlite_autoindex_records_1", "records_of_darks"},
    "counters": {"tallies"},
    "calibrations": {"responses"},
    "responses": {"calibrations"},
}
_LACKING_MAX: Final = {"records": 2}

Read = Callable[[int], bytes]


def may_be(read: Read, root: int, table: str) -> bool:
    """Say whether no row that can be read says that a tree is another table's."""
    return not _kinds(read, root) or _fits(read, root, table)


def _fits(read: Read, root: int, table: str) -> bool:
    """Say whether the first row of a tree has the shape of a table's."""
    kinds, shape = _kinds(read, root), SHAPES[table]
    least = len(shape) - _LACKING_MAX.get(table, 0)
    return least <= len(kinds) <= len(shape) and all(
        has == may.upper() or (has == "0" and may in "tbi-")
        for has, may in zip(kinds, shape, strict=False)
    )


def find_roots(read: Read, count: int, known: dict[str, int]) -> dict[str, int]:
    """Return where tables begin that no entry speaks for.

    Args:
        read: gives a page by its number, from 1.
        count: of the pages.
        known: where those begin that entries speak for.
    """
    wanted = [
        table for table in SHAPES if table not in known and _TWINS.get(table, set()) <= {*known}
    ]
    if not wanted:
        return {}
    last, taken = min(count, PAGES_MAX), {*known.values()}
    budget = [INNER_MAX]
    for root in list(taken):
        taken |= _children(read, root, last, budget)
    kinds = {number: read(number)[0] for number in range(2, last + 1) if number not in taken}
    inner = [number for number, kind in kinds.items() if kind in {TABLE_INNER, INDEX_INNER}]
    for number in inner:
        taken |= _children(read, number, last, budget)
    leaves = [number for number, kind in kinds.items() if kind in {TABLE_LEAF, INDEX_LEAF}]
    found: dict[str, int] = {}
    for number in [*inner, *leaves]:  # a page that was freed may have kept some rows: trees first
        for table in wanted:
            if number not in taken and table not in found and _fits(read, number, table):
                found[table] = number
                break
    return found


def _children(read: Read, root: int, last: int, budget: list[int]) -> set[int]:
    """Return the pages of a tree below its root, as far as `last`."""
    found: set[int] = set()
    level = [root]
    for _ in range(LEVELS_MAX):
        # All leaves of a tree are at one depth.
        if not level or read(level[0])[0] not in {TABLE_INNER, INDEX_INNER}:
            break
        below: list[int] = []
        for number in level:
            if budget[0] <= 0:
                break
            budget[0] -= 1
            below += _named(read(number))
        level = below
        found.update(number for number in level if number <= last)
    return found


def _named(page: bytes) -> Iterator[int]:
    """Yield the pages that an inner page names."""
    if page[0] not in {TABLE_INNER, INDEX_INNER}:
        return
    last = int.from_bytes(page[8:12], "big")
    if last:
        yield last
    count = min(int.from_bytes(page[3:5], "big"), PAGE_BYTES // 4)
    for place in range(12, min(12 + 2 * count, PAGE_BYTES - 1), 2):
        at = int.from_bytes(page[place : place + 2], "big")
        number = int.from_bytes(page[at : at + 4], "big")
        if number:
            yield number


def _kinds(read: Read, root: int) -> str:
    """Return the kinds of the columns in a tree's first row; empty: it has none."""
    page = _leaf(read, root, LEVELS_MAX)
    try:
        return _kinds_on(page) if page else ""
    except IndexError:  # what is there is no row
        return ""


def _leaf(read: Read, root: int, levels: int) -> bytes:
    """Return a page of a tree that has rows; empty: none was found."""
    page = read(root)
    if page[0] in {TABLE_LEAF, INDEX_LEAF}:
        return page if page[3:5] != bytes(2) else b""
    for number in list(_named(page))[:TRIED_MAX] if levels else ():
        found = _leaf(read, number, levels - 1)
        if found:
            return found
    return b""


def _kinds_on(page: bytes) -> str:
    """Return the kinds of the columns in a page's first row; empty: it is none.

    Raises:
        IndexError: it does not end on the page.
    """
    _, at = read_number(page, int.from_bytes(page[8:10], "big"))  # the size of the row
    if page[0] == TABLE_LEAF:
        _, at = read_number(page, at)  # its number
    begun = at
    size, at = read_number(page, at)
    kinds = ""
    while at < begun + size:
        kind, at = read_number(page, at)
        kinds += "0" if kind == 0 else "I" if kind < 10 else "TB"[kind % 2 == 0]
    return kinds if at == begun + size else ""


def read_number(page: bytes, at: int) -> tuple[int, int]:
    """Return a number of up to nine bytes, and where it ends."""
    value = 0
    for more in range(8):
        byte = page[at + more]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + more + 1
    return value << 8 | page[at + 8], at + 9
