"""What an authority holds alerts to, and its memory of them.

`check_alert` judges one delivery, purely; `Store` keeps alerts in one SQLite file, synced before
it returns. HTTP is `headquarters.py`.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import apsw
import msgspec

ALERTS_MAX = (
    100_000  # of one authority; beyond, deliveries are put off, so nothing is lost silently
)
LIST_MAX = 10_000  # alerts shown at once

_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}\Z")]
_Hex8 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
_Hex32 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Language = Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})?\Z")]
_Sentence = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class Hit(msgspec.Struct, frozen=True):
    """One substance found; further fields (bands, evidence) are kept in the body unread."""

    substance_id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]{1,64}\Z")]
    cas: Annotated[str, msgspec.Meta(max_length=32)]
    name: _Short
    score: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class Alert(msgspec.Struct, frozen=True):
    """An alert as an authority must insist on it."""

    alert_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    post: _Name
    node: _Name
    journal_id: _Hex8
    seq: Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
    inspection_id: _Hex8
    drill: bool
    time_ms: _Count | None
    time_quality: Annotated[int, msgspec.Meta(ge=0, le=3)]
    received_ms: _Count
    verdict: Literal["alarm"]
    hits: Annotated[tuple[Hit, ...], msgspec.Meta(min_length=1, max_length=64)]
    sentences: Annotated[dict[_Language, _Sentence], msgspec.Meta(min_length=1, max_length=16)]
    library_version: _Short
    spectrum_sha256: _Hex32


class InvalidAlertError(Exception):
    """An alert is refused for good.

    Attributes:
        status: of the HTTP answer.
        kind: which count it belongs to.
    """

    def __init__(self, status: int, kind: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.kind = kind


def check_alert(body: bytes, key: str | None) -> Alert:
    """Decode and judge the body of a delivery.

    Args:
        body: the bytes as received.
        key: the header `Idempotency-Key`.

    Raises:
        InvalidAlertError: it is not JSON, a field is missing or out of bounds, or the identity
            does not agree with the fields it is made of.
    """
    try:
        # Fields the structure does not name are skipped unread when decoding into it; they are kept
        # and shown, so they must be good JSON too.
        msgspec.json.decode(body)
        alert = msgspec.json.decode(body, type=Alert)
    except RecursionError:
        raise InvalidAlertError(400, "malformed", "body is nested too deeply") from None
    except msgspec.ValidationError as error:
        raise InvalidAlertError(422, "malformed", f"alert refused: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidAlertError(400, "malformed", f"body is not JSON: {error}") from None
    expected = f"{alert.post}.{alert.node}.{alert.journal_id}.{alert.seq}"
    if alert.alert_id != expected:
        raise InvalidAlertError(
            422, "malformed", f"alert_id is '{alert.alert_id}', its fields say '{expected}'"
        )
    if key != alert.alert_id:
        raise InvalidAlertError(
            422, "malformed", f"Idempotency-Key is '{key}'; it must be '{alert.alert_id}'"
        )
    return alert


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store says of a delivery."""

    receipt_id: str
    is_duplicate: bool


class Store:
    """The authority's memory: one SQLite file, one thread, everything synced before it answers.

    Args:
        path: the database file, created if missing.
    """

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path))
        self._connection.set_busy_timeout(5_000)
        self._connection.pragma("journal_mode", "wal")
        self._connection.pragma("synchronous", "full")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS alerts (id INTEGER PRIMARY KEY, alert_id TEXT UNIQUE NOT"
            " NULL, body BLOB NOT NULL, sha256 TEXT NOT NULL, receipt_id TEXT NOT NULL,"
            " received_ms INTEGER NOT NULL, deliveries INTEGER NOT NULL) STRICT;"
            "CREATE TABLE IF NOT EXISTS counts (kind TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT"
        )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def save(self, alert_id: str, body: bytes, now_ms: int) -> Stored | None:
        """Store an alert, or recognise it; returns after the sync. None = there is no room.

        Raises:
            InvalidAlertError: the id is known with other bytes.
        """
        digest = hashlib.sha256(body).hexdigest()
        with self._connection:
            known: Any = self._connection.execute(
                "SELECT sha256, receipt_id FROM alerts WHERE alert_id = ?", (alert_id,)
            ).fetchone()
            if known is None:
                return self._insert(alert_id, body, digest, now_ms)
            if known[0] == digest:
                self._count("duplicate")
                self._connection.execute(
                    "UPDATE alerts SET deliveries = deliveries + 1 WHERE alert_id = ?", (alert_id,)
                )
                return Stored(str(known[1]), is_duplicate=True)
        raise InvalidAlertError(
            409, "conflict", f"alert '{alert_id}' is known with other content (sha256 {known[0]})"
        )

    def _insert(self, alert_id: str, body: bytes, digest: str, now_ms: int) -> Stored | None:
        row = self._connection.execute("SELECT coalesce(max(id), 0) + 1 FROM alerts").fetchone()
        number = int(row[0]) if row else 1
        if number > ALERTS_MAX:
            return None
        receipt_id = f"HQ-{number:06d}-{digest[:8]}"
        self._connection.execute(
            "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, 1)",
            (number, alert_id, body, digest, receipt_id, now_ms),
        )
        self._count("received")
        return Stored(receipt_id, is_duplicate=False)

    def count(self, kind: str) -> None:
        """Count something that has happened, durably."""
        with self._connection:
            self._count(kind)

    def _count(self, kind: str) -> None:
        self._connection.execute(
            "INSERT INTO counts VALUES (?, 1) ON CONFLICT (kind) DO UPDATE SET n = n + 1", (kind,)
        )

    def counts(self) -> dict[str, int]:
        """How often what has happened, since the file was made."""
        rows = self._connection.execute("SELECT kind, n FROM counts ORDER BY kind")
        return {str(kind): int(number) for kind, number in rows}

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts in the order of their arrival, at most `LIST_MAX`, the newest of them."""
        rows = self._connection.execute(
            "SELECT * FROM (SELECT * FROM alerts ORDER BY id DESC LIMIT ?) ORDER BY id", (LIST_MAX,)
        )
        return [
            {
                "alert_id": alert_id,
                "sha256": sha256,
                "receipt_id": receipt_id,
                "received_ms": received_ms,
                "deliveries": deliveries,
                "alert": msgspec.json.decode(bytes(body)),
            }
            for _, alert_id, body, sha256, receipt_id, received_ms, deliveries in rows
        ]
