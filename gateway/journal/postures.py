"""Lasting states of the post: what holds now, since when, and what to do about it."""

from collections.abc import Iterable
from typing import Any, Final

import apsw
import msgspec

Rows = Iterable[tuple[Any, ...]]

TEXT_CHARS_MAX: Final = 1_000  # of one state; some sentences with paths


class Posture(msgspec.Struct, frozen=True):
    """One state.

    Attributes:
        since_ms: Unix milliseconds of its beginning.
        text: what it is and what to do, for the technician.
    """

    since_ms: int
    text: str


def save_posture(connection: apsw.Connection, name: str, text: str | None, now_ms: int) -> None:
    """Keep that a state holds, since now if it did not yet; None: it holds no more."""
    if text is None:
        connection.execute("DELETE FROM posture WHERE name = ?", (name,))
        return
    connection.execute(
        "INSERT INTO posture (name, since_ms, text) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET text = excluded.text WHERE text <> excluded.text",
        (name, now_ms, text[:TEXT_CHARS_MAX]),
    )


def read_postures(connection: apsw.Connection) -> dict[str, Posture]:
    """Return the states that hold, by name."""
    rows: Rows = connection.execute("SELECT name, since_ms, text FROM posture ORDER BY name")
    return {name: Posture(since_ms, text) for name, since_ms, text in rows}
