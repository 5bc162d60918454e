"""What an export keeps back of a record unless it is asked for: what may be a person's data."""

from typing import Any

from gateway.journal import scanned
from gateway.journal.records import read_frame
from gateway.journal.telling import Export
from protocol import messages


def disclose(told: dict[str, Any], frame: bytes) -> None:
    """Have a record tell its code whole."""
    scanned.disclose(told, read_frame(frame) if frame else None)


def withhold(told: dict[str, Any], frame: bytes, made: Export) -> bytes:
    """Take what may be a person's data out of a record; return what may be shown of its bytes.

    Bytes that cannot be read may be it, unless they are a spectrum.
    """
    message = told["message"]
    if message is None:
        if told["kind"] == "reading":
            return frame
    elif "content" not in message or _is_open(told):
        return frame
    else:
        message["content"] = None
    told["crc32"] = None  # with everything else known, it confirms a guess
    if frame:
        is_code = message is not None and message["event_type"] == messages.EVENT_CODE
        told["withheld"] = "code" if is_code else "document"
        made.withheld += 1
    return b""


def _is_open(told: dict[str, Any]) -> bool:
    """Say whether the bytes of an event say nothing but what anybody may know."""
    event_type = told["message"]["event_type"]
    if event_type == messages.EVENT_CODE:
        scan = told.get("scan")  # None: it could not be read
        return scan is not None and not scan["withheld"]
    return bool(event_type == messages.EVENT_WEIGHT)
