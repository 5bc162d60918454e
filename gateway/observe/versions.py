"""Which versions run here."""

import importlib.metadata
import platform
from typing import Final

import apsw

from gateway.journal.store import SCHEMA_VERSION

UNKNOWN: Final = "unknown"  # run from a working tree that is not installed


def version() -> str:
    """Return the version of the gateway."""
    try:
        return importlib.metadata.version("harmattan")
    except importlib.metadata.PackageNotFoundError:
        return UNKNOWN


def versions() -> dict[str, str]:
    """Return the versions that a fault may depend on."""
    return {
        "harmattan": version(),
        "schema": str(SCHEMA_VERSION),
        "sqlite": apsw.sqlite_lib_version(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }
