"""Readings that were judged again: what `harmattan library rejudged` tells.

Reads journal and library only; works while the gateway runs and after it has died.
"""

from pathlib import Path

import apsw
import msgspec

from gateway.journal.differences import (
    Difference,
    Progress,
    read_differences,
    read_progress,
)
from gateway.journal.opening import FILE_NAME, fault, look_at, shut
from gateway.library.folder import load
from gateway.screening.explain import name_of
from gateway.settings import Settings

DIFFERENCES_MAX = 1_000
"""More than anybody reads; bounds what is loaded."""


class Report(msgspec.Struct, frozen=True):
    """The newest run, and the differences of all runs, newest first.

    Attributes:
        names: substance id -> its name in the post's language, of those in the differences.
    """

    post: str
    progress: Progress | None
    differences: tuple[Difference, ...]
    names: dict[str, str]


def read(settings: Settings) -> Report:
    """Return what re-judging has found at a post.

    Raises:
        JournalError: there is no journal, or it cannot be read.
        LibraryError: the shipped tables cannot be read.
    """
    path = Path(settings.directory) / FILE_NAME
    connection = look_at(path)
    try:
        connection.execute("BEGIN")  # one snapshot, so that the numbers agree
        progress = read_progress(connection)
        differences = tuple(read_differences(connection, DIFFERENCES_MAX))
    except apsw.Error as error:
        raise fault(path, error) from error
    finally:
        shut(connection)
    return Report(settings.post, progress, differences, _names(differences, settings))


def _names(differences: tuple[Difference, ...], settings: Settings) -> dict[str, str]:
    """Names of the substances; one that the library has lost keeps that of its verdict."""
    kept = {key: name for found in differences for key, name in found.names.items()}
    if not kept:
        return {}
    named = settings.spectra.library_directory
    library = load(Path(named) if named else None, strict=False).library
    return {
        key: name_of(key, settings.language, library) if key in library.substances else name or key
        for key, name in kept.items()
    }
