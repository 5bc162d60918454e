"""What each record is worth keeping, the least first; what has no rank is not to be evicted.

Readings that await their verdict and those behind an alert have none. Events are small and say what
was shown of a consignment: they go with the readings that nobody could explain.
"""

from collections.abc import Mapping
from typing import Final

import apsw

DARK: Final = 0  # a dark frame, while no kept reading needs it
CLEAR: Final = 1  # and standards that are not in force any more
INCONCLUSIVE: Final = 2  # and events

OF_VERDICTS: Final[Mapping[str, int]] = {"clear": CLEAR, "inconclusive": INCONCLUSIVE}


def rank_new(connection: apsw.Connection, record_id: int, value: int) -> None:
    """Give a record that has none its rank, in the writer's transaction."""
    connection.execute("INSERT INTO evictable (rank, record_id) VALUES (?, ?)", (value, record_id))


def rank(connection: apsw.Connection, record_id: int, value: int | None) -> None:
    """Give a record its rank, in the writer's transaction; None: it is not to be evicted."""
    connection.execute(
        "DELETE FROM evictable WHERE rank IN (?, ?, ?) AND record_id = ?",
        (DARK, CLEAR, INCONCLUSIVE, record_id),
    )
    if value is not None:
        rank_new(connection, record_id, value)
