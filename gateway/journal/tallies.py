"""How many records, verdicts and alerts there are, without counting rows; triggers keep them."""

from collections.abc import Iterable
from typing import Any

import apsw

Rows = Iterable[tuple[Any, ...]]


def read_tallies(connection: apsw.Connection) -> dict[str, dict[str, int]]:
    """Return name -> subject -> count; a name or a subject that never was counted is not there.

    Names: `record` and `pending` by node, `verdict` by kind, and with the empty subject
    `alert_made` and `alert_delivered`. What was evicted since is still counted, but for `pending`.
    """
    tallies: dict[str, dict[str, int]] = {}
    rows: Rows = connection.execute("SELECT name, subject, count FROM tallies")
    for name, subject, count in rows:
        tallies.setdefault(name, {})[subject] = count
    return tallies


def count_anew(connection: apsw.Connection) -> None:
    """Count what is there: for a file that kept no tallies; reads whole tables."""
    connection.execute("DELETE FROM tallies")
    connection.execute(
        "INSERT INTO tallies (name, subject, count)"
        " SELECT 'record', node, count(*) FROM records GROUP BY node"
        " UNION ALL SELECT 'pending', node, count(*) FROM pending GROUP BY node"
        " UNION ALL SELECT 'verdict', verdict, count(*) FROM verdicts GROUP BY verdict"
        " UNION ALL SELECT 'alert_made', '', count(*) FROM alerts"
        " UNION ALL SELECT 'alert_delivered', '', count(receipt) FROM alerts"
    )
