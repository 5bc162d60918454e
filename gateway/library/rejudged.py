"""Readings that were judged again: what `harmattan library rejudged` tells.

Reads the journal only; works while the gateway runs and after it has died.
"""

from pathlib import Path

import apsw
import msgspec

from gateway.journal.rejudgements import (
    Difference,
    Progress,
    read_differences,
    read_progress,
)
from gateway.journal.store import FILE_NAME, connect, fault
from gateway.settings import Settings

DIFFERENCES_MAX = 1_000
"""More than anybody reads; bounds what is loaded."""


class Report(msgspec.Struct, frozen=True):
    """The newest run, and the differences of all runs, newest first."""

    post: str
    progress: Progress | None
    differences: tuple[Difference, ...]


def read(settings: Settings) -> Report:
    """Return what re-judging has found at a post.

    Raises:
        JournalError: there is no journal, or it cannot be read.
    """
    path = Path(settings.directory) / FILE_NAME
    connection = connect(path, read_only=True)
    try:
        connection.execute("BEGIN")  # one snapshot, so that the numbers agree
        return Report(
            settings.post,
            read_progress(connection),
            tuple(read_differences(connection, DIFFERENCES_MAX)),
        )
    except apsw.Error as error:
        raise fault(path, error) from error
    finally:
        connection.close()
