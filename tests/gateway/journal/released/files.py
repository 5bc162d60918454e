"""Journals of released versions as files."""

import functools
import tempfile
from pathlib import Path

import apsw

from gateway.journal.store import FILE_NAME

FOLDER = Path(__file__).resolve().parent
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.sql")))
PAGES_BYTES = 4_096  # as every gateway had it


def version_of(name: str) -> int:
    """Return the version of the schema that a released journal has."""
    return int(name[1:].partition("_")[0])


def empty(name: str, path: Path) -> apsw.Connection:
    """Write a released journal without its rows to `path`; return a connection to it."""
    path.write_bytes(content_of(name))
    connection = apsw.Connection(str(path))
    listing = "SELECT name FROM sqlite_schema WHERE type = 'table'"
    for (table,) in connection.execute(listing).fetchall():
        connection.execute(f"DELETE FROM {table}")
    return connection


@functools.cache
def content_of(name: str) -> bytes:
    """Return a released journal as the bytes of its file, closed as a gateway closes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE_NAME
        connection = apsw.Connection(str(path))
        connection.pragma("page_size", PAGES_BYTES)
        connection.pragma("journal_mode", "wal")
        connection.pragma("foreign_keys", value=False)
        connection.execute((FOLDER / f"{name}.sql").read_text())
        connection.close()
        return path.read_bytes()
