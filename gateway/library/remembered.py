"""Bands of specimens that were fitted before, in one file of the library's folder.

Fitting takes up to twenty milliseconds for each specimen, at every start; a digest takes none.

Rules of the file
- It is a convenience: missing, damaged, of another program or not writable, everything is fitted
  again, and nothing is told.
- What is remembered belongs to the SHA-256 of a specimen's own text. Who asks has that text before
  him, and its signature checked if it came in a package; a text that was changed has no entry.
- Any change of the code that fits, or of numpy and scipy, makes all of it stale.
- `harmattan library verify` fits anew and compares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import scipy

from gateway.library.reading import read_bytes
from gateway.library.writing import write_whole
from gateway.spectra import fitted
from gateway.spectra.errors import FormatError, LibraryError
from gateway.spectra.fitted import Fit

FILE_NAME = "fitted.json"
BYTES_MAX = 128 * 1024 * 1024
"""Fifty thousand specimens with twenty-four bands of sixty characters take 80 MB."""

Rel = Annotated[float, msgspec.Meta(ge=fitted.REL_RANGE[0], le=fitted.REL_RANGE[1])]
Width = Annotated[float, msgspec.Meta(ge=fitted.FWHM_CM1_RANGE[0], le=fitted.FWHM_CM1_RANGE[1])]
Place = Annotated[float, msgspec.Meta(ge=50.0, le=4_000.0)]
Bands = Annotated[
    tuple[tuple[Place, Rel, Width], ...],
    msgspec.Meta(min_length=1, max_length=fitted.BANDS_MAX),
]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the file; `bands` is JSON of its own, so that its digest is of its bytes."""

    engine: str
    bands_sha256: str
    bands: msgspec.Raw


class Remembered:
    """Fitted bands by the SHA-256 of the specimen's text.

    Args:
        directory: of the library.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._bands: dict[str, tuple[Fit, ...]] = {}
        self._is_new = False
        self._asked: set[str] = set()
        try:
            self._bands = _read(read_bytes(self._path, BYTES_MAX))
        except (FormatError, msgspec.DecodeError):
            self._is_new = True

    def __contains__(self, digest: object) -> bool:
        return digest in self._bands

    def find(self, digest: str) -> tuple[Fit, ...] | None:
        """What was fitted for the specimen with this text; None: it must be fitted."""
        self._asked.add(digest)
        return self._bands.get(digest)

    def keep(self, digest: str, bands: Iterable[Fit]) -> None:
        """Remember what was fitted."""
        self._asked.add(digest)
        self._bands[digest] = tuple(bands)
        self._is_new = True

    def save(self) -> None:
        """Write what was asked for, when it is not what stands in the file."""
        if not self._is_new and len(self._asked) == len(self._bands):
            return
        wanted = {digest: self._bands[digest] for digest in sorted(self._asked & set(self._bands))}
        if not wanted and not self._path.exists():
            return
        bands = msgspec.json.encode(wanted)
        found = _File(engine(), hashlib.sha256(bands).hexdigest(), msgspec.Raw(bands))
        try:
            write_whole(self._path, msgspec.json.encode(found))
        except LibraryError:  # of somebody who may only read the folder; slower, not worse
            return


def _read(content: bytes) -> dict[str, tuple[Fit, ...]]:
    """The bands of the file; none when another program wrote it.

    Raises:
        DecodeError: it is damaged.
    """
    found = msgspec.json.decode(content, type=_File)
    bands = bytes(found.bands)
    if found.engine != engine() or found.bands_sha256 != hashlib.sha256(bands).hexdigest():
        raise msgspec.DecodeError("stale")
    read = msgspec.json.decode(bands, type=dict[str, Bands])
    return {digest: tuple(Fit(*band) for band in each) for digest, each in read.items()}


@lru_cache(maxsize=1)
def engine() -> str:
    """Digest of all that decides which bands are found: our code, numpy and scipy."""
    total = hashlib.sha256(f"numpy {np.__version__} scipy {scipy.__version__}".encode())
    folder = resources.files("gateway.spectra")
    for source in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if source.name.endswith(".py"):
            total.update(source.name.encode() + b"\0" + source.read_bytes())
    return total.hexdigest()
