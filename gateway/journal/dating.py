"""When records without a wall time were measured (SPEC.md 7.6).

The bytes of a record never change; what is known of its boot does. A node's uptime and the offset
of that boot give the time. The offset comes from the boot's own words once it knew the time, before
that from the arrival of a birth or health. A boot that was never heard lies between its neighbours.
"""

from dataclasses import dataclass
from typing import Final, Literal

import apsw

from gateway import wire
from protocol import messages
from protocol.errors import ProtocolError
from protocol.packing import Unpacker

Source = Literal["node", "boot", "between", "none"]

BOOTS_PER_NODE_MAX: Final = 2_048  # a year of six power cuts a day
NODE_UNCERTAINTY_MS: Final = 5_000  # half of the longest round trip that a node's clock takes
ARRIVAL_UNCERTAINTY_MS: Final = 60_000  # a birth goes first, but a bad link holds it up
STEP_MS: Final = 600_000  # arrivals further apart than any delay: this computer's clock was set
NEIGHBOURS_MAX: Final = 1_024  # looked at on each side: more than a flash holds of large spectra
HEAD_BYTES: Final = 64  # of a record's frame; what is needed of it lies within 53


@dataclass(frozen=True, slots=True)
class Moment:
    """When a record was measured, as far as anybody knows.

    Attributes:
        time_ms: Unix milliseconds; None: not known.
        uncertainty_ms: how far off it may be; None: not known, or stated by `time_quality` only.
        source: node, its own words; boot, by uptime; between, by its neighbours; none.
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
) -> None:
    """Learn the offset of a boot, in the writer's transaction.

    Args:
        connection: in the writer's transaction.
        node: who speaks.
        stamp: of a birth, a health or a record.
        arrived_ms: when it came; None when that says nothing: retained, or a record, which may
            have waited on the flash.
    """
    if stamp.time_quality >= messages.TIME_GATEWAY and stamp.time_ms is not None:
        offset_ms, quality = stamp.time_ms - stamp.uptime_ms, stamp.time_quality
    elif arrived_ms is not None:
        offset_ms, quality = arrived_ms - stamp.uptime_ms, messages.TIME_NONE
    else:
        return
    # A better quality wins, among words of the node the newest. Of arrivals the one with the least
    # delay is nearest to the truth, unless the clock was set in between.
    connection.execute(
        "INSERT INTO boots (node, boot_id, offset_ms, quality, learned_ms)"
        " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET offset_ms = excluded.offset_ms,"
        " quality = excluded.quality, learned_ms = excluded.learned_ms"
        " WHERE excluded.quality > quality OR (excluded.quality = quality"
        " AND CASE WHEN quality > 0 THEN abs(excluded.offset_ms - offset_ms) > 1000"
        " ELSE excluded.offset_ms < offset_ms OR excluded.offset_ms > offset_ms + ?6 END)",
        (node, stamp.boot_id, offset_ms, quality, arrived_ms or stamp.time_ms, STEP_MS),
    )
    if connection.changes():
        connection.execute(
            "DELETE FROM boots WHERE node = ?1 AND boot_id IN (SELECT boot_id FROM boots"
            " WHERE node = ?1 ORDER BY learned_ms DESC LIMIT -1 OFFSET ?2)",
            (node, BOOTS_PER_NODE_MAX),
        )


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
    stamp = stamp_of(record)
    if stamp.time_quality and stamp.time_ms is not None:
        return Moment(stamp.time_ms, None, "node")
    of_boot = _of_boot(connection, node, stamp)
    if of_boot is not None:
        return of_boot
    before = _neighbour(connection, node, record, "<", "DESC")
    after = _neighbour(connection, node, record, ">", "ASC")
    low_ms = None if before is None else before.time_ms
    high_ms = received_ms if after is None else min(after.time_ms or received_ms, received_ms)
    if low_ms is None or low_ms > high_ms:
        return Moment(None, None, "none")
    half_ms = (high_ms - low_ms + 1) // 2
    return Moment(low_ms + (high_ms - low_ms) // 2, half_ms, "between")


def _of_boot(connection: apsw.Connection, node: str, stamp: Stamp) -> Moment | None:
    """Return the moment by what is known of its boot, None when nothing is."""
    row = connection.execute(
        "SELECT offset_ms, quality FROM boots WHERE node = ? AND boot_id = ?",
        (node, stamp.boot_id),
    ).fetchone()
    if row is None or row[0] + stamp.uptime_ms < 0:
        return None
    uncertainty_ms = NODE_UNCERTAINTY_MS if row[1] else ARRIVAL_UNCERTAINTY_MS
    return Moment(row[0] + stamp.uptime_ms, uncertainty_ms, "boot")


def _neighbour(
    connection: apsw.Connection,
    node: str,
    record: wire.Record,
    side: Literal["<", ">"],
    order: Literal["ASC", "DESC"],
) -> Moment | None:
    """Return the moment of the nearest record of the same journal that has one."""
    rows = connection.execute(
        f"SELECT substr(frame, 1, {HEAD_BYTES}) FROM records"  # noqa: S608 - our own words
        f" WHERE node = ? AND journal_id = ? AND seq {side} ? ORDER BY seq {order} LIMIT ?",
        (node, record.journal_id, record.seq, NEIGHBOURS_MAX),
    )
    for (head,) in rows:
        stamp = _read_stamp(head)
        if stamp is None:
            continue
        if stamp.time_quality >= messages.TIME_GATEWAY and stamp.time_ms is not None:
            return Moment(stamp.time_ms, None, "node")
        found = _of_boot(connection, node, stamp)
        if found is not None:
            return found
    return None


def _read_stamp(head: bytes) -> Stamp | None:
    """Return what the beginning of a record's frame says of its moment; None when unreadable."""
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
