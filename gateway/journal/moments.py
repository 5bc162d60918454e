"""What this computer's clock has said from run to run, and the last jump that it made ahead.

A clock that jumped ahead and was set back later was wrong in between. What boots were dated by then
is taken back: where the gateway saw by how much the clock was set, it is corrected; else it is
forgotten, and their records lie between their neighbours (dating.py) until the boot speaks again.

The rows stand in `tallies`, under a name that no trigger uses.
"""

from typing import Any, Final

import apsw
import msgspec

from gateway.journal.calibrations import want_again
from gateway.journal.dating import CLOCK, NEWEST, STEP_MS, oldest_ms
from protocol import messages

JUMP_MS: Final = 90 * 86_400_000  # a post is not without power for a quarter of a year


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
    """Return what the clock has said until now, `now_ms` included."""
    return _kept(connection).at(now_ms)


def _kept(connection: apsw.Connection) -> Moments:
    """Return what is noted; where nothing is yet, when nodes were heard."""
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT subject, count FROM tallies WHERE name = ?", (CLOCK,)
    ).fetchall()
    if not rows:
        rows = connection.execute("SELECT ?, max(seen_ms) FROM nodes", (NEWEST,)).fetchall()
    return Moments(**dict(rows))


def note_moment(connection: apsw.Connection, now_ms: int, step_ms: int = 0) -> tuple[Moments, bool]:
    """Note what the clock says now, in the writer's transaction.

    Args:
        connection: in the writer's transaction.
        now_ms: wall clock, Unix milliseconds.
        step_ms: by how much it was set just now; 0: not, or nobody saw it.

    Returns:
        What is known of it, and whether readings are to be judged again.
    """
    kept = _kept(connection)
    known = kept.at(now_ms)
    connection.execute("DELETE FROM tallies WHERE name = ?", (CLOCK,))
    connection.executemany(
        "INSERT INTO tallies (name, subject, count) VALUES (?, ?, ?)",
        [
            (CLOCK, subject, ms)
            for subject, ms in msgspec.structs.asdict(known).items()
            if ms is not None
        ],
    )
    # A clock that fell behind says nothing about what it said before.
    is_back = kept.after_ms is not None and known.after_ms is None and now_ms >= oldest_ms()
    return known, is_back and _take_back(connection, now_ms, step_ms)


def _take_back(connection: apsw.Connection, now_ms: int, step_ms: int) -> bool:
    """Correct or forget what boots were dated by while the clock was ahead.

    Returns:
        Whether readings are to be judged again.
    """
    late_ms = now_ms + STEP_MS
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT id, node, word_ms, quality, word_uptime_ms, arrival_ms FROM boots"
        " WHERE arrival_ms > ?1 OR word_ms > ?1",
        (late_ms,),
    ).fetchall()
    for boot, _, word_ms, quality, uptime_ms, arrival_ms in rows:
        # What a boot repeats of a gateway's time; GNSS is nobody's word but its own.
        if word_ms is not None and word_ms > late_ms and quality < messages.TIME_GNSS:
            word_ms, quality, uptime_ms = None, messages.TIME_NONE, 0  # noqa: PLW2901
        if arrival_ms is not None and arrival_ms > late_ms:
            moved_ms = arrival_ms + step_ms
            arrival_ms = moved_ms if oldest_ms() <= moved_ms <= late_ms else None  # noqa: PLW2901
        connection.execute(
            "UPDATE boots SET word_ms = ?2, quality = ?3, word_uptime_ms = ?4, arrival_ms = ?5"
            " WHERE id = ?1",
            (boot, word_ms, quality, uptime_ms, arrival_ms),
        )
    wanted = [want_again(connection, node) for node in sorted({row[1] for row in rows})]
    return any(wanted)
