"""How far journals are receipted, kept beyond a close, a damaged file and a restored backup.

A receipt covers what is committed. Where the rows that say so are gone, the floor of the journal
says it for everything up to a record, and a row without its frame for one above. What a node has
freed by our own receipts is not its loss.
"""

from collections.abc import Iterable
from typing import Any, Final

import apsw

RENEWED: Final = "renewed"  # a tally under a name that no trigger uses: the last id before
JOURNALS_MAX: Final = 10_000  # looked at when the file is closed; nodes have one each, or a few

Rows = Iterable[tuple[Any, ...]]


def raise_all(connection: apsw.Connection) -> None:
    """Raise each floor to where its journal is complete; in the writer's transaction.

    While the gateway runs a floor follows one batch late.
    """
    rows: Rows = connection.execute(
        "SELECT node, journal_id, seq FROM journals LIMIT ?", (JOURNALS_MAX,)
    ).fetchall()
    for node, journal_id, floor in rows:
        seq = floor
        for (next_seq,) in connection.execute(
            "SELECT seq FROM records WHERE node = ? AND journal_id = ? AND seq > ? ORDER BY seq",
            (node, journal_id, floor),
        ):
            if next_seq != seq + 1:
                break
            seq = next_seq
        if seq > floor:
            connection.execute(
                "UPDATE journals SET seq = ? WHERE node = ? AND journal_id = ?",
                (seq, node, journal_id),
            )


def note_renewed(connection: apsw.Connection) -> None:
    """Note that records which nodes have freed may be missing; what comes now has higher ids."""
    connection.execute(
        "INSERT OR REPLACE INTO tallies (name, subject, count)"
        " SELECT ?, '', ifnull(max(id), 0) FROM records",
        (RENEWED,),
    )


def is_from_before(connection: apsw.Connection, node: str, journal_id: bytes) -> bool:
    """Say whether nothing of a node's journal has come since this file was renewed or put back."""
    renewed = connection.execute(
        "SELECT count FROM tallies WHERE name = ? AND subject = ''", (RENEWED,)
    ).fetchone()
    if renewed is None:
        return False
    newest = connection.execute(
        "SELECT id FROM records WHERE node = ? AND journal_id = ? ORDER BY seq DESC LIMIT 1",
        (node, journal_id),
    ).fetchone()
    return newest is None or newest[0] <= renewed[0]
