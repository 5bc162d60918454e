"""What the codes of a journal say, as far as it may be told."""

import datetime as dt
from typing import Any

import msgspec

from gateway import wire
from gateway.scans.reading import Scan, read_scan
from protocol import messages


def read(message: wire.Message | None, received_ms: int) -> Scan | None:
    """Return what a record's code says; None: it is no code.

    Args:
        message: of the record.
        received_ms: when it came, Unix; for the century of dates.
    """
    if not isinstance(message, wire.Event) or message.event_type != messages.EVENT_CODE:
        return None
    return read_scan(message.symbology, message.content, year=_year(received_ms))


def ask(_: object, told: dict[str, Any], message: wire.Message | None) -> dict[str, Any]:
    """Return what an export tells of a code besides its bytes."""
    scan = read(message, told["received_ms"])
    return {} if scan is None else {"scan": msgspec.to_builtins(scan)}


def _year(time_ms: int) -> int | None:
    """Return the year of a moment; None: it is of a damaged file, and no calendar has it."""
    try:
        return dt.datetime.fromtimestamp(time_ms / 1_000, dt.UTC).year
    except (ValueError, OverflowError, OSError):
        return None
