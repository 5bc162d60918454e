"""The outbox: alerts that wait for the authority's receipt, and what came of each attempt.

Functions that `save` run inside the writer's transaction, functions that `read` on any connection.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import apsw

FAULT_CHARS_MAX = 500  # of a delivery's fault that is kept for `harmattan status`


@dataclass(frozen=True, slots=True)
class Waiting:
    """An alert in the outbox without a receipt."""

    alert_id: str
    body: bytes


def read_waiting(
    connection: apsw.Connection, held: Iterable[str], *, only_new: bool
) -> Waiting | None:
    """Return the alert to deliver next: the least tried, then the oldest; None when none may go.

    Args:
        connection: any.
        held: alerts that have to wait.
        only_new: none that was tried before.
    """
    row = connection.execute(
        "SELECT alert_id, body FROM alerts WHERE receipt IS NULL"
        " AND alert_id NOT IN (SELECT value FROM json_each(?)) AND (attempts = 0 OR ?)"
        " ORDER BY attempts, created_ms, alert_id LIMIT 1",
        (json.dumps(list(held)), not only_new),
    ).fetchone()
    return Waiting(*row) if row else None


def save_receipt(
    connection: apsw.Connection, alert_id: str, receipt: bytes, receipt_ms: int
) -> None:
    """Note the authority's receipt: the alert is delivered."""
    connection.execute(
        "UPDATE alerts SET receipt = ?, receipt_ms = ?, attempts = attempts + 1, fault = ''"
        " WHERE alert_id = ? AND receipt IS NULL",
        (receipt, receipt_ms, alert_id),
    )


def save_attempt(connection: apsw.Connection, alert_id: str, fault: str, count: int = 1) -> None:
    """Note a failed delivery, or the last of `count`; the alert stays."""
    connection.execute(
        "UPDATE alerts SET attempts = attempts + ?, fault = ? WHERE alert_id = ?"
        " AND receipt IS NULL",
        (count, fault[:FAULT_CHARS_MAX], alert_id),
    )
