"""When the gateway started, with what settings, and what had been counted by then.

Counters go on for ever; what happened since the last start is the difference to what is kept here.
The rows stand in `tallies`, under names that no trigger uses.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import apsw
import msgspec

from gateway.settings import Settings

STARTS_MAX: Final = 32  # that are remembered; more within a day are a loop, whatever their number

_STARTED, _COUNTED, _SETTINGS = "started", "counted_at_start", "settings_at_start"


@dataclass(frozen=True, slots=True)
class Start:
    """The newest start of the gateway.

    Attributes:
        started_ms: Unix milliseconds of this start and of those before it, the newest first.
        settings_digest: of the settings it runs with; see `digest`.
        counts: (name, subject) of a counter -> what it was then.
    """

    started_ms: tuple[int, ...]
    settings_digest: int
    counts: dict[tuple[str, str], int]


def digest(settings: Settings) -> int:
    """Return a number that changes with any setting, 0 to 2**56 - 1."""
    return int.from_bytes(hashlib.sha256(msgspec.json.encode(settings)).digest()[:7], "big")


def save_start(connection: apsw.Connection, now_ms: int, settings_digest: int) -> None:
    """Note that the gateway starts; in the writer's transaction."""
    connection.execute("DELETE FROM tallies WHERE name IN (?, ?)", (_COUNTED, _SETTINGS))
    connection.execute(
        "INSERT INTO tallies (name, subject, count)"
        " SELECT ?, name || ' ' || subject, count FROM counters",
        (_COUNTED,),
    )
    connection.execute(
        "INSERT INTO tallies (name, subject, count) VALUES (?, '', ?)", (_SETTINGS, settings_digest)
    )
    # What lies ahead of this start was noted by a clock that was wrong, or is now: the newest would
    # not be this one.
    connection.execute("DELETE FROM tallies WHERE name = ? AND count > ?", (_STARTED, now_ms))
    connection.execute(
        "INSERT OR REPLACE INTO tallies (name, subject, count) VALUES (?, ?, ?)",
        (_STARTED, str(now_ms), now_ms),
    )
    connection.execute(
        "DELETE FROM tallies WHERE name = ?1 AND count NOT IN"
        " (SELECT count FROM tallies WHERE name = ?1 ORDER BY count DESC LIMIT ?2)",
        (_STARTED, STARTS_MAX),
    )


def read_start(connection: apsw.Connection) -> Start | None:
    """Return the newest start; None when none is noted."""
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT name, subject, count FROM tallies WHERE name IN (?, ?, ?)",
        (_STARTED, _COUNTED, _SETTINGS),
    ).fetchall()
    started = sorted((count for name, _, count in rows if name == _STARTED), reverse=True)
    if not started:
        return None
    counts = {}
    for name, subject, count in rows:
        if name == _COUNTED:
            counter, _, about = subject.partition(" ")
            counts[counter, about] = count
    digests = [count for name, _, count in rows if name == _SETTINGS]
    return Start(tuple(started), digests[0] if digests else 0, counts)
