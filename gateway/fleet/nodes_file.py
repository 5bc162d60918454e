"""`nodes.toml` in the post's folder: the nodes' labels, and which of them are revoked.

Rules of the file
- The commands write it, the running gateway reads it: the journal has one writer, and that is not
  a command.
- It is replaced whole. A reader never sees half of it, and two commands at once wait for each
  other.
- A copy of the last whole one is kept beside it. Should the file be damaged or lost, whoever is
  revoked by the copy, or by what can still be read, stays out.
- A serial number that is revoked stays in it, also when its node is admitted again with new keys.
"""

import contextlib
import datetime as dt
import fcntl
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec

from gateway.errors import SettingsError
from gateway.files import give_to_owner, write_whole
from gateway.settings import NODES_MAX

NAME: Final = "nodes.toml"
COPY_NAME: Final = "nodes.toml.last"
LOCK_NAME: Final = "nodes.lock"  # held by a command for the moment of a change
LABEL_CHARS_MAX: Final = 64  # one line of a table on a screen
SERIALS_MAX: Final = 32  # certificates of one node; it gets a new one every five years
# Every node of the largest post, and those that left it, with all that they may have.
BYTES_MAX: Final = 4 << 20
# An entry of a damaged file that revokes somebody.
_REVOKED: Final = re.compile(
    rb"^\[nodes\.([a-z0-9][a-z0-9-]{0,31})\][^\[]*?^revoked\b", re.MULTILINE
)
_LONG_AGO: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)  # since when a damaged file may not say
_HEAD = "# Written by `harmattan nodes`; the running gateway reads it within a second.\n"

Serial = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,40}$")]  # RFC 5280, 4.1.2.2: 20 octets


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What people have said of one node.

    Attributes:
        label: shown to people beside the id; empty: none.
        revoked: since when it is refused; None: it is admitted.
        serials: of its certificates that are never accepted again, hexadecimal.
    """

    label: Annotated[str, msgspec.Meta(max_length=LABEL_CHARS_MAX)] = ""
    revoked: dt.datetime | None = None
    serials: Annotated[tuple[Serial, ...], msgspec.Meta(max_length=SERIALS_MAX)] = ()


class NodesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; a node without an entry has no label and is admitted."""

    nodes: Annotated[dict[str, Entry], msgspec.Meta(max_length=4 * NODES_MAX)] = {}

    @property
    def revoked(self) -> frozenset[str]:
        """The nodes that are refused."""
        return frozenset(name for name, entry in self.nodes.items() if entry.revoked is not None)

    def label(self, node: str) -> str:
        """Return what people call a node; empty when they call it by its id."""
        entry = self.nodes.get(node)
        return entry.label if entry else ""


def read(directory: Path) -> NodesFile:
    """Return what the post's folder says of its nodes; nothing where there never was a file.

    Raises:
        SettingsError: the file cannot be read, is not one of ours, or is lost.
    """
    path, copy = directory / NAME, directory / COPY_NAME
    # Looked at again: a command may have made both since, the copy after the file.
    if _is_lost(path) and not _is_lost(copy) and _is_lost(path):
        raise SettingsError(
            f"{path} is gone or empty: put it back with `cp {copy} {path}`; if nobody is to be"
            f" revoked any more, remove {copy} too"
        )
    remedy = f"or put the last whole one back: `cp {copy} {path}`"
    if _is_lost(copy):
        remedy = f"or remove it, and revoke again whoever was revoked: `rm {path}`"
    return _read(path, remedy)


def _is_lost(path: Path) -> bool:
    """Say whether there is nothing, as a disk may leave it; ours are never empty."""
    try:
        return path.stat().st_size == 0
    except FileNotFoundError:
        return True
    except OSError:
        return False  # reading it says why


def read_last(directory: Path) -> NodesFile:
    """Return what is still known when `read` fails: by the copy, and who the file itself revokes.

    A node is refused when one of the two says so: better one too many than one whose keys are
    stolen. What cannot be read adds nothing.
    """
    try:
        kept = dict(_read(directory / COPY_NAME, "").nodes)
    except SettingsError:
        kept = {}
    try:
        with (directory / NAME).open("rb") as file:
            damaged = file.read(BYTES_MAX)
    except OSError:
        damaged = b""
    for found in _REVOKED.finditer(damaged):
        name = found[1].decode()
        entry = kept.get(name, Entry())
        kept[name] = msgspec.structs.replace(entry, revoked=entry.revoked or _LONG_AGO)
    return NodesFile(kept)


def keep_copy(directory: Path) -> None:
    """Keep what `read` has just read; on a disk that takes nothing the older copy stays."""
    with contextlib.suppress(OSError):
        content = (directory / NAME).read_bytes()
        copy = directory / COPY_NAME
        if len(content) <= BYTES_MAX and (not copy.exists() or copy.read_bytes() != content):
            write_whole(copy, content)


def _read(path: Path, remedy: str) -> NodesFile:
    try:
        with path.open("rb") as file:
            text = file.read(BYTES_MAX + 1)
    except FileNotFoundError:
        return NodesFile()
    except OSError as error:
        raise SettingsError(
            f"{path}: {error.strerror}; give this user the right to read it"
        ) from error
    if len(text) > BYTES_MAX:
        raise SettingsError(f"{path}: larger than {BYTES_MAX} bytes; this is another file")
    try:
        return msgspec.convert(tomllib.loads(text.decode()), NodesFile)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: {error}; mend that place, {remedy}") from error


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other commands from changing what is said of the nodes.

    Raises:
        SettingsError: the folder cannot be used.
    """
    path = directory / LOCK_NAME
    try:
        # A file of its own: the running gateway holds the folder and `gateway.lock`.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SettingsError(
            f"{path}: {error.strerror}; nothing is changed. Run this as the user of the gateway;"
            f" if the file is another's: `chown --reference={directory} {path}`"
        ) from error
    try:
        give_to_owner(descriptor, directory)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def changing(directory: Path) -> Iterator[dict[str, Entry]]:
    """Give the entries to be changed, and write them when the block ends without an error.

    Raises:
        SettingsError: the file cannot be read or written.
    """
    with locked(directory):
        entries = dict(read(directory).nodes)
        yield entries
        kept = {name: entry for name, entry in sorted(entries.items()) if entry != Entry()}
        try:
            if _is_lost(directory / NAME):  # a copy without it would say that it is lost
                write_whole(directory / NAME, _text({}).encode())
            for name in (COPY_NAME, NAME):
                write_whole(directory / name, _text(kept).encode())
        except OSError as error:
            raise SettingsError(
                f"{directory / NAME}: {error.strerror}; nothing is changed. Free space on its disk,"
                " or run this as the user of the gateway"
            ) from error


def _text(entries: Mapping[str, Entry]) -> str:
    """Return the file; names and serials need no quotes, a label is quoted as JSON is."""
    lines = [_HEAD]
    for name, entry in entries.items():
        lines.append(f"\n[nodes.{name}]\n")
        if entry.label:
            lines.append(f"label = {_quoted(entry.label)}\n")
        if entry.revoked is not None:
            since = entry.revoked.astimezone(dt.UTC).isoformat(timespec="seconds")
            lines.append(f"revoked = {since.replace('+00:00', 'Z')}\n")
        if entry.serials:
            lines.append(f"serials = [{', '.join(_quoted(serial) for serial in entry.serials)}]\n")
    return "".join(lines)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")
