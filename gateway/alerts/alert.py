"""One alert: its identity, its body, and what counts as the authority's receipt for it. Pure.

The body is made once and kept as bytes: every delivery sends the same, so that its digest names it.
"""

import hashlib
from typing import Annotated, Any

import msgspec

from gateway import wire

RECEIPT_BYTES_MAX = 4_096  # a receipt is three short strings and a truth value


class Rejudged(msgspec.Struct, frozen=True):
    """What a stored reading was taken for before a new library or list made it an alarm.

    Attributes:
        verdict_before: inconclusive or clear.
        library_before: version of the library that said so.
        judged_ms: when it was judged again, by the gateway's clock, Unix milliseconds.
    """

    verdict_before: str
    library_before: str
    judged_ms: int


class Alert(msgspec.Struct, frozen=True):
    """An alert as it is sent: JSON with these keys.

    Attributes:
        alert_id: `{post}.{node}.{journal}.{seq}`: the same reading gives the same alert for ever.
        drill: true when nobody shall act.
        time_ms: when the node measured, Unix milliseconds; null when nobody knows.
        time_quality: of the node's own time: 1 its clock, 2 the gateway's, 3 GNSS; 0: it had none.
        received_ms: when the gateway took it in, by its own clock.
        hits: what was found, with the bands that agree.
        sentences: one sentence for the officer per language.
        spectrum_sha256: of the pixel bytes as the instrument gave them.
        time_source: who says so: node; boot, by what the gateway knows of the node's start;
            between, by the readings before and after; none.
        time_uncertainty_ms: how far off a time of the gateway may be; null for the node's own.
        rejudged: the goods passed earlier, and were recognised only now; null for the usual alert.
    """

    alert_id: str
    post: str
    node: str
    journal_id: str
    seq: int
    inspection_id: str
    drill: bool
    time_ms: int | None
    time_quality: int
    received_ms: int
    verdict: str
    hits: tuple[Any, ...]
    sentences: dict[str, str]
    library_version: str
    spectrum_sha256: str
    rejudged: Rejudged | None = None
    time_source: str = "node"
    time_uncertainty_ms: int | None = None


class Receipt(msgspec.Struct, frozen=True):
    """The authority's word that it has stored an alert."""

    alert_id: str
    sha256: Annotated[str, msgspec.Meta(min_length=64, max_length=64)]
    receipt_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    duplicate: bool = False


def alert_id(post: str, node: str, record: wire.Reading) -> str:
    """Return the identity of the alert that a reading may cause."""
    return f"{post}.{node}.{record.journal_id.hex()}.{record.seq}"


def encode(alert: Alert) -> bytes:
    """Return the body: JSON, keys in the order of the class."""
    return msgspec.json.encode(alert)


def check_receipt(answer: bytes, sent_id: str, body: bytes) -> str | None:
    """Say why `answer` is not the receipt for `body`, or None when it is.

    Args:
        answer: the body of the authority's 200.
        sent_id: the alert's identity.
        body: the bytes that were sent.
    """
    if len(answer) > RECEIPT_BYTES_MAX:
        return f"receipt of {len(answer)} bytes; at most {RECEIPT_BYTES_MAX}"
    try:
        receipt = msgspec.json.decode(answer, type=Receipt)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"receipt is malformed: {error}"
    if receipt.alert_id != sent_id:
        return f"receipt is for alert {receipt.alert_id[:120]!r}"
    if receipt.sha256 != hashlib.sha256(body).hexdigest():
        return f"receipt has digest {receipt.sha256}, which is not that of the alert sent"
    return None
