"""What the codes of a journal say: to anybody, or whole to whom asks for it."""

import datetime as dt
from typing import Any

import msgspec

from gateway import wire
from gateway.scans.openness import read_openly
from gateway.scans.reading import Scan, read_scan
from protocol import messages


def read(message: wire.Message | None, received_ms: int, *, documents: bool = False) -> Scan | None:
    """Return what a record's code says; None: it is no code.

    Args:
        message: of the record.
        received_ms: when it came, Unix; for the century of dates.
        documents: whole, persons' data with it.
    """
    if not isinstance(message, wire.Event) or message.event_type != messages.EVENT_CODE:
        return None
    reader = read_scan if documents else read_openly
    return reader(message.symbology, message.content, year=_year(received_ms))


def ask(_: object, told: dict[str, Any], message: wire.Message | None) -> dict[str, Any]:
    """Return what an export tells anybody of a code."""
    return _told(read(message, told["received_ms"]))


def disclose(told: dict[str, Any], message: wire.Message | None) -> None:
    """Have a record tell its code whole, where it tells of one at all."""
    if "scan" in told:
        told |= _told(read(message, told["received_ms"], documents=True))


def _told(scan: Scan | None) -> dict[str, Any]:
    return {} if scan is None else {"scan": msgspec.to_builtins(scan)}


def _year(time_ms: int) -> int | None:
    """Return the year of a moment; None: it is of a damaged file, and no calendar has it."""
    try:
        return dt.datetime.fromtimestamp(time_ms / 1_000, dt.UTC).year
    except (ValueError, OverflowError, OSError):
        return None
