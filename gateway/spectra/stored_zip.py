"""The one form of ZIP that a library package has: files stored one after another. Pure.

Any ZIP program can look into it, yet it leaves nothing to choose: no compression (so nothing can
expand, and the bytes are the same whatever zlib wrote them), no dates, no comments, no gaps, names
in order. The reader accepts exactly what the writer writes, so a file has one meaning only.

Reference: PKWARE, .ZIP File Format Specification (APPNOTE.TXT), 6.3.10, sections 4.3.7 to 4.3.16.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping

from gateway.spectra.errors import PackageError

BYTES_MAX = 256 * 1024 * 1024
"""Ten thousand specimens of a thousand points take about 160 MB."""

FILES_MAX = 20_000
"""Below the 65,535 of a plain ZIP; the aim is tens of thousands of entries in several packages."""

NAME = re.compile(r"[a-z0-9][a-z0-9_./-]{0,119}")

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
VERSION = 20
DATE = 0x0021  # 1 January 1980, the earliest a ZIP can say: "no date"


def write_zip(contents: Mapping[str, bytes]) -> bytes:
    """Files as one archive; the same files give the same bytes, whenever and wherever.

    Args:
        contents: name -> bytes.

    Raises:
        PackageError: a name cannot be used, or there is too much.
    """
    if not 1 <= len(contents) <= FILES_MAX:
        raise PackageError(f"package of {len(contents)} files, 1 to {FILES_MAX} are possible")
    for name in contents:
        if not NAME.fullmatch(name) or ".." in name:
            raise PackageError(f"{name[:60]!r} is no file name a package can hold")
    parts, places, at = [], [], 0
    for name in sorted(contents):
        places.append((name, zlib.crc32(contents[name]), len(contents[name]), at))
        head = _local(*places[-1][:3])
        parts += [head, contents[name]]
        at += len(head) + len(contents[name])
        if at > BYTES_MAX:
            raise PackageError(f"package is larger than {BYTES_MAX} bytes; make two of it")
    return b"".join([*parts, _directory(places, at)])


def read_zip(content: bytes) -> dict[str, bytes]:
    """The files of an archive, by name.

    Raises:
        PackageError: it is not, to the byte, what `write_zip` makes of its files.
    """
    if len(content) > BYTES_MAX:
        raise PackageError(f"package is larger than {BYTES_MAX} bytes; it is none of ours")
    found: dict[str, bytes] = {}
    places: list[tuple[str, int, int, int]] = []
    at = 0
    while content[at : at + 4] == b"PK\x03\x04":
        if len(found) >= FILES_MAX:
            raise PackageError(f"package has more than {FILES_MAX} files; it is none of ours")
        name, digest, size, start = _read_local(content, at)
        if places and name <= places[-1][0]:
            raise PackageError(f"package file {name!r} is repeated or out of order")
        if start + size > len(content):
            raise PackageError(f"package is cut off within {name!r}; copy it again")
        body = content[start : start + size]
        if zlib.crc32(body) != digest:
            raise PackageError(f"package file {name!r} is damaged; copy the package again")
        found[name] = body
        places.append((name, digest, size, at))
        at = start + size
    if not found:
        raise PackageError("file is no library package; make one with `harmattan library export`")
    if content[at:] != _directory(places, at):
        raise PackageError(
            "package's directory does not fit its files; it was damaged or made by another program"
        )
    return found


def _read_local(content: bytes, at: int) -> tuple[str, int, int, int]:
    """Name, checksum, size and place of the bytes of the file whose header stands at `at`."""
    try:
        _, _, _, method, _, _, digest, size, _, name_size, _ = LOCAL.unpack_from(content, at)
    except struct.error:
        raise PackageError("package is cut off within a file's header; copy it again") from None
    if method:
        raise PackageError(
            f"package holds compressed files (method {method}); a library package stores them plain"
        )
    start = at + LOCAL.size + name_size
    name = content[at + LOCAL.size : start].decode("ascii", errors="replace")
    if not NAME.fullmatch(name) or ".." in name:
        raise PackageError(f"package names a file {name[:60]!r}, which no package of ours does")
    if content[at:start] != _local(name, digest, size):
        raise PackageError(f"package's header of {name!r} was not written by this program")
    return name, digest, size, start


def _local(name: str, digest: int, size: int) -> bytes:
    head = (b"PK\x03\x04", VERSION, 0, 0, 0, DATE, digest, size, size, len(name), 0)
    return LOCAL.pack(*head) + name.encode("ascii")


def _directory(places: list[tuple[str, int, int, int]], start: int) -> bytes:
    """The central directory and the end record of files at these places."""
    rows = [
        CENTRAL.pack(
            *(b"PK\x01\x02", VERSION, VERSION, 0, 0, 0, DATE, digest, size, size),
            *(len(name), 0, 0, 0, 0, 0, at),
        )
        + name.encode("ascii")
        for name, digest, size, at in places
    ]
    size = sum(map(len, rows))
    count = len(places)
    return b"".join([*rows, END.pack(b"PK\x05\x06", 0, 0, count, count, size, start, 0)])
