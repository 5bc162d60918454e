"""`nodes.toml` in the post's folder: the nodes' labels, and which of them are revoked.

Rules of the file
- The commands write it, the running gateway reads it: the journal has one writer, and that is not
  a command.
- It is replaced whole. A reader never sees half of it, and two commands at once wait for each
  other.
- A serial number that is revoked stays in it, also when its node is admitted again with new keys.
"""

import contextlib
import datetime as dt
import fcntl
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec

from gateway.errors import SettingsError
from gateway.files import write_whole
from gateway.settings import NODES_MAX

NAME: Final = "nodes.toml"
LOCK_NAME: Final = "nodes.lock"  # held while a command changes it
LABEL_CHARS_MAX: Final = 64  # one line of a table on a screen
SERIALS_MAX: Final = 32  # certificates of one node; it gets a new one every five years
# Every node of the largest post, and those that left it, with all that they may have.
BYTES_MAX: Final = 4 << 20
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
    """Return what the post's folder says of its nodes; nothing where there is no file.

    Raises:
        SettingsError: the file cannot be read, or is not one of ours.
    """
    path = directory / NAME
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
        raise SettingsError(
            f"{path}: {error}; mend that place, or remove the file and revoke again whom it revoked"
        ) from error


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other commands from changing what is said of the nodes.

    Raises:
        SettingsError: the folder cannot be used.
    """
    try:
        # A file of its own: the running gateway holds the others.
        descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SettingsError(
            f"{directory}: {error.strerror}; is this the post's folder, and may this user write it?"
        ) from error
    try:
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
            write_whole(directory / NAME, _text(kept).encode())
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
