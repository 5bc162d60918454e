"""What this computer's clock has said from run to run, and the last jump that it made ahead.

The rows stand in `tallies`, under a name that no trigger uses.
"""

from typing import Any, Final

import apsw
import msgspec

JUMP_MS: Final = 90 * 86_400_000  # a post is not without power for a quarter of a year

_NAME: Final = "clock"


class Moments(msgspec.Struct, frozen=True):
    """What the clock has said; Unix milliseconds, None: nothing yet, or no jump.

    Attributes:
        newest_ms: what it said when it was noted last.
        before_ms: what it said before it jumped ahead, and nobody has set it back since.
        after_ms: what it said after that.
    """

    newest_ms: int | None = None
    before_ms: int | None = None
    after_ms: int | None = None

    def at(self, now_ms: int) -> "Moments":
        """Return the same with what the clock says now."""
        if self.newest_ms is None:
            return Moments(now_ms)
        if now_ms - self.newest_ms > JUMP_MS:
            return Moments(now_ms, self.newest_ms, now_ms)
        if self.after_ms is not None and now_ms < self.after_ms - JUMP_MS:
            return Moments(now_ms)
        return msgspec.structs.replace(self, newest_ms=now_ms)


def read_moments(connection: apsw.Connection, now_ms: int) -> Moments:
    """Return what the clock has said until now, `now_ms` included.

    A journal in which nothing is noted yet knows when nodes were heard.
    """
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT subject, count FROM tallies WHERE name = ?", (_NAME,)
    ).fetchall()
    if not rows:
        rows = connection.execute("SELECT 'newest_ms', max(seen_ms) FROM nodes").fetchall()
    return Moments(**dict(rows)).at(now_ms)


def note_moment(connection: apsw.Connection, now_ms: int) -> Moments:
    """Note what the clock says now, in the writer's transaction; return all that is known."""
    known = read_moments(connection, now_ms)
    connection.execute("DELETE FROM tallies WHERE name = ?", (_NAME,))
    connection.executemany(
        "INSERT INTO tallies (name, subject, count) VALUES (?, ?, ?)",
        [
            (_NAME, subject, ms)
            for subject, ms in msgspec.structs.asdict(known).items()
            if ms is not None
        ],
    )
    return known
