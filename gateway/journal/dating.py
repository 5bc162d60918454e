"""When records were measured (SPEC.md 7.6, 7.7).

The bytes of a record never change; what is known of its boot does. A node's uptime and the offset
of that boot give the time. Two offsets are kept of each boot: by its own newest words, and by the
arrival of its births and healths, which is as right as this computer's clock was last. What a
record says of its time is believed unless it cannot be true: a node repeats what a gateway told it,
and that gateway's clock may have been wrong. A boot that was never heard lies between its
neighbours.
"""

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import apsw

from gateway import wire
from gateway.screening.watchlists import edition_day
from protocol import messages
from protocol.errors import ProtocolError
from protocol.packing import Unpacker

Source = Literal["node", "boot", "between", "none"]

BOOTS_PER_NODE_MAX: Final = 2_048  # a year of six power cuts a day
NODE_UNCERTAINTY_MS: Final = 5_000  # half of the longest round trip that a node's clock takes
ARRIVAL_UNCERTAINTY_MS: Final = 60_000  # a birth goes first, but a bad link holds it up
WORD_STEP_MS: Final = 1_000  # closer words of one boot are the same; saves the disk
STEP_MS: Final = 600_000  # arrivals further apart than any delay: this computer's clock was set
DRIFT: Final = 1e-4  # of a node's uptime: its crystal
OLDEST_DAYS: Final = 365  # a record that came before this program was made is not older than that
NEIGHBOURS_MAX: Final = 1_024  # looked at on each side: more than a flash holds of large spectra
CLOCK: Final = "clock"  # of `tallies`; moments.py keeps it
NEWEST: Final = "newest_ms"  # what the clock said when it was noted last
NOTED_MS: Final = 86_400_000  # it is noted every hour, unless the disk takes nothing
HEAD_BYTES: Final = 64  # of a record's frame; what is needed of it lies within 53


@dataclass(frozen=True, slots=True)
class Moment:
    """When a record was measured, as far as anybody knows.

    Attributes:
        time_ms: Unix milliseconds; None: not known.
        uncertainty_ms: how far off it may be; None: not known, or stated by `time_quality` only.
        source: node, its own words; boot, by uptime, also where its own words cannot be true;
            between, by its neighbours; none.
    """

    time_ms: int | None
    uncertainty_ms: int | None
    source: Source


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a message says of its moment."""

    boot_id: bytes
    uptime_ms: int
    time_ms: int | None
    time_quality: int


def stamp_of(message: wire.Birth | wire.Health | wire.Record) -> Stamp:
    """Return what a message says of its moment."""
    return Stamp(message.boot_id, message.uptime_ms, message.time_ms, message.time_quality)


def learn_boot(
    connection: apsw.Connection, node: str, stamp: Stamp, arrived_ms: int | None
) -> bool:
    """Learn the offsets of a boot, in the writer's transaction.

    Args:
        connection: in the writer's transaction.
        node: who speaks.
        stamp: of a birth, a health or a record.
        arrived_ms: when it came; None when that says nothing: retained, or a record, which may
            have waited on the flash.

    Returns:
        Whether what was known of the boot was wrong: its records are to be looked at again.
    """
    word_ms = None
    if stamp.time_quality >= messages.TIME_GATEWAY and _is_possible(stamp.time_ms):
        word_ms = stamp.time_ms
    if word_ms is None and arrived_ms is None:
        return False
    row = connection.execute(
        "SELECT word_ms, quality, word_uptime_ms, arrival_ms FROM boots"
        " WHERE node = ? AND boot_id = ?",
        (node, stamp.boot_id),
    ).fetchone()
    before = row or (None, messages.TIME_NONE, 0, None)
    known = _learned(before, stamp, word_ms, arrived_ms)
    if known == before:
        return False
    connection.execute(
        "INSERT INTO boots (node, boot_id, word_ms, quality, word_uptime_ms, arrival_ms)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET word_ms = excluded.word_ms,"
        " quality = excluded.quality, word_uptime_ms = excluded.word_uptime_ms,"
        " arrival_ms = excluded.arrival_ms",
        (node, stamp.boot_id, *known),
    )
    if row is None:  # the order in which boots were learned, not a clock, says which is oldest
        connection.execute(
            "DELETE FROM boots WHERE node = ?1 AND id IN (SELECT id FROM boots"
            " WHERE node = ?1 ORDER BY id DESC LIMIT -1 OFFSET ?2)",
            (node, BOOTS_PER_NODE_MAX),
        )
    return _moved(before[0], known[0]) or _moved(before[3], known[3])


_Offsets = tuple[int | None, int, int, int | None]


def _learned(
    before: _Offsets, stamp: Stamp, word_ms: int | None, arrived_ms: int | None
) -> _Offsets:
    """Return the offsets of a boot after one more message."""
    word, quality, word_uptime_ms, arrival = before
    is_newer = (stamp.time_quality, stamp.uptime_ms) >= (quality, word_uptime_ms)
    if word_ms is not None and is_newer:
        # Of one quality the newest word by uptime: what waited on the flash corrects nothing.
        found = word_ms - stamp.uptime_ms
        if word is None or stamp.time_quality > quality or abs(found - word) > WORD_STEP_MS:
            word = found
            quality, word_uptime_ms = stamp.time_quality, stamp.uptime_ms
    if arrived_ms is not None:
        # The arrival with the least delay is nearest to the truth, unless the clock was set since.
        found = arrived_ms - stamp.uptime_ms
        if arrival is None or found < arrival or found > arrival + _bound_ms(stamp.uptime_ms):
            arrival = found
    return word, quality, word_uptime_ms, arrival


def _moved(before_ms: int | None, now_ms: int | None) -> bool:
    """Say whether an offset was wrong by more than any delay."""
    return before_ms is not None and now_ms is not None and abs(now_ms - before_ms) > STEP_MS


def _bound_ms(uptime_ms: int) -> int:
    """Return how far two honest times of one moment may lie apart."""
    return STEP_MS + int(uptime_ms * DRIFT)


@lru_cache(maxsize=1)
def oldest_ms() -> int:
    """Return what no clock can have said that was right, Unix milliseconds."""
    day = edition_day() - dt.timedelta(days=OLDEST_DAYS)
    return int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp() * 1_000)


def _is_possible(time_ms: int | None) -> bool:
    return time_ms is not None and time_ms >= oldest_ms()


def read_moment(
    connection: apsw.Connection, node: str, record: wire.Record, received_ms: int
) -> Moment:
    """Return when a committed record was measured.

    Args:
        connection: any.
        node: who measured.
        record: its message.
        received_ms: when it came; it was measured before.
    """
    received_ms = came_ms(connection, received_ms)
    known = _known(connection, node, stamp_of(record), received_ms)
    if known is not None:
        return known
    before = _neighbour(connection, node, record, "<", "DESC")
    after = _neighbour(connection, node, record, ">", "ASC")
    low_ms = None if before is None else before.time_ms
    high_ms = received_ms if after is None else min(after.time_ms or received_ms, received_ms)
    if low_ms is None or low_ms > high_ms:
        return Moment(None, None, "none")
    half_ms = (high_ms - low_ms + 1) // 2
    return Moment(low_ms + (high_ms - low_ms) // 2, half_ms, "between")


def read_age_base(
    connection: apsw.Connection, node: str, head: bytes, received_ms: int, kept_ms: int
) -> int:
    """Return from when the age of a standard or a glass counts, by what is known now.

    Args:
        connection: any.
        node: who measured.
        head: the first HEAD_BYTES of its record.
        received_ms: when that came.
        kept_ms: what was known when it was evaluated; holds when nothing better is.
    """
    stamp, received_ms = read_stamp(head), came_ms(connection, received_ms)
    moment = None if stamp is None else _known(connection, node, stamp, received_ms)
    if moment is None or stamp is None:
        return kept_ms
    return age_base_ms(moment, stamp.time_quality, received_ms)


def age_base_ms(moment: Moment, time_quality: int, received_ms: int) -> int:
    """Return from when an age counts, Unix milliseconds; when it came, where nobody knows better.

    A backlog of days arrives within a minute, so arrival is the last choice.

    Args:
        moment: of the record.
        time_quality: of the record's own time.
        received_ms: when it came.
    """
    is_rtc = moment.source == "node" and time_quality < messages.TIME_GATEWAY
    if moment.time_ms is None or (is_rtc and _is_possible(received_ms)):
        return received_ms
    if moment.time_ms - received_ms > STEP_MS:
        return moment.time_ms  # it came while this computer's clock was behind
    return min(moment.time_ms, received_ms)


def came_ms(connection: apsw.Connection, received_ms: int) -> int:
    """Return when a record had come at the latest: not in what the clock calls the future now.

    Such a record came while the clock was ahead, before it was set back.

    Args:
        connection: any.
        received_ms: when it came, by the clock of that moment.
    """
    row = connection.execute(
        "SELECT count FROM tallies WHERE name = ? AND subject = ?", (CLOCK, NEWEST)
    ).fetchone()
    if row is None or received_ms <= row[0] + NOTED_MS or not _is_possible(row[0]):
        return received_ms
    return int(row[0])


def _known(connection: apsw.Connection, node: str, stamp: Stamp, received_ms: int) -> Moment | None:
    """Return the moment by the record's own word and by its boot, None when neither tells.

    By falling credit: what no gateway told (GNSS), a word that the arrivals bear out, the arrivals,
    a word that nothing contradicts.
    """
    row = connection.execute(
        "SELECT word_ms, arrival_ms FROM boots WHERE node = ? AND boot_id = ?",
        (node, stamp.boot_id),
    ).fetchone()
    by_word, by_arrival = (
        None
        if offset is None or not _is_possible(offset + stamp.uptime_ms)
        else int(offset) + stamp.uptime_ms
        for offset in row or (None, None)
    )
    own_ms = stamp.time_ms if stamp.time_quality and _is_possible(stamp.time_ms) else None
    if own_ms is not None and stamp.time_quality == messages.TIME_GNSS:
        return Moment(own_ms, None, "node")
    for time_ms, moment in (
        (own_ms, Moment(own_ms, None, "node")),
        (by_word, Moment(by_word, NODE_UNCERTAINTY_MS, "boot")),
    ):
        if time_ms is None:
            continue
        if by_arrival is None:
            is_late = time_ms > received_ms + STEP_MS
            is_borne_out = not (is_late and _is_possible(received_ms))
        else:
            is_borne_out = abs(time_ms - by_arrival) <= _bound_ms(stamp.uptime_ms)
        if is_borne_out:
            return moment
    return None if by_arrival is None else Moment(by_arrival, ARRIVAL_UNCERTAINTY_MS, "boot")


def _neighbour(
    connection: apsw.Connection,
    node: str,
    record: wire.Record,
    side: Literal["<", ">"],
    order: Literal["ASC", "DESC"],
) -> Moment | None:
    """Return the moment of the nearest record of the same journal that has one."""
    rows = connection.execute(
        f"SELECT substr(frame, 1, {HEAD_BYTES}), received_ms FROM records"  # noqa: S608 - our own words
        f" WHERE node = ? AND journal_id = ? AND seq {side} ? ORDER BY seq {order} LIMIT ?",
        (node, record.journal_id, record.seq, NEIGHBOURS_MAX),
    )
    for head, received_ms in rows:
        stamp = read_stamp(head)
        if stamp is None:
            continue
        found = _known(connection, node, stamp, came_ms(connection, received_ms))
        if found is not None and not _is_own_rtc(found, stamp):
            return found
    return None


def _is_own_rtc(found: Moment, stamp: Stamp) -> bool:
    return found.source == "node" and stamp.time_quality < messages.TIME_GATEWAY


def read_stamp(head: bytes | None) -> Stamp | None:
    """Return what the beginning of a record's frame says of its moment; None when unreadable.

    Of a record that was evicted it says nothing (and SQLite gives NULL for a piece of nothing).
    """
    if not head:
        return None
    try:
        unpacker = Unpacker(head)
        unpacker.array()
        unpacker.skip()  # kind
        unpacker.skip()  # journal
        unpacker.skip()  # number
        boot_id = unpacker.binary(0, len(head))
        uptime_ms = unpacker.integer(0, 1 << 53)
        time_ms = None if unpacker.is_nil() else unpacker.integer(0, 1 << 53)
        return Stamp(bytes(boot_id), uptime_ms, time_ms, unpacker.integer(0, 255))
    except ProtocolError:
        return None
