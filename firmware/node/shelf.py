"""The folder a journal lies in: finding its segments, setting aside what is none.

Rules of the file
- Nothing is deleted here but a segment whose head was never completed, and the oldest of the
  journals set aside.
- What cannot be understood is an error of this file and a rename, never a format.
"""

import os

from node import limits, segment
from node.errors import JournalUnusable

_SUFFIX = ".seg"
_DIGITS = 14  # hexadecimal; 53 bits


def segment_path(folder: str, first_seq: int) -> str:
    """Return the path of the segment that begins with `first_seq`; names sort by number."""
    return "%s/%0*x%s" % (folder, _DIGITS, first_seq, _SUFFIX)


def _first_seq(name: str) -> "int | None":
    stem = name[: -len(_SUFFIX)]
    if not name.endswith(_SUFFIX) or len(stem) != _DIGITS:
        return None
    try:
        return int(stem, 16)
    except ValueError:
        return None


class Contents:
    """What a folder holds.

    Attributes:
        segments: ascending.
        journal_id: empty when there is no segment.
        next_seq: lowest number that surely was never given.
        damaged: records and heads found damaged.
        appendable: the last segment takes further records.
    """

    def __init__(self) -> None:
        self.segments: list[segment.Segment] = []
        self.journal_id = b""
        self.next_seq = 1
        self.damaged = 0
        self.appendable = False

    def take(self, folder: str, name: str, first_seq: int, buffer: bytearray) -> None:
        """Take the segment in file `name`, which is named by `first_seq`.

        Raises:
            JournalUnusable, OSError: as `load`.
        """
        path = folder + "/" + name
        part = segment.Segment(path, first_seq, os.stat(path)[6])
        head = segment.read_head(path)
        self.next_seq = max(self.next_seq, first_seq)
        if head is None and part.size <= segment.HEAD_BYTES:
            # A power cut while it was begun. Its name has reserved a number: one of the same name
            # must be begun again.
            os.remove(path)
            self.appendable = False
            return
        if head is not None:
            if head[0] != segment.VERSION:
                raise JournalUnusable("journal %s has version %d" % (folder, head[0]))
            if self.journal_id and head[1] != self.journal_id:
                raise JournalUnusable("journal %s mixes two identities" % folder)
            self.journal_id = head[1]
        self.next_seq = max(self.next_seq, part.survey(buffer))
        self.damaged += part.damaged + (head is None)
        self.segments.append(part)
        self.appendable = (
            head is not None and part.tail_clean and self.next_seq == part.last_seq + 1
        )


def load(folder: str, buffer: bytearray) -> Contents:
    """Read every segment in `folder`, which is created when missing.

    Args:
        folder: path of the journal.
        buffer: scratch for the largest frame; a longer frame counts as damaged.
    Raises:
        JournalUnusable: what is there is no journal of this firmware.
        OSError: the medium fails.
    """
    contents = Contents()
    if not exists(folder):
        os.mkdir(folder)
        return contents
    if not is_folder(folder):
        raise JournalUnusable("journal %s is not a folder" % folder)
    for name in sorted(os.listdir(folder)):
        first_seq = _first_seq(name)
        if first_seq is not None:
            contents.take(folder, name, first_seq, buffer)
    if contents.segments and not contents.journal_id:
        raise JournalUnusable("no segment of journal %s has a sound head" % folder)
    return contents


def set_aside(folder: str) -> str:
    """Rename `folder` for examination and return its new name; at most SET_ASIDE_MAX are kept.

    Raises:
        OSError: the medium fails.
    """
    for index in range(limits.SET_ASIDE_MAX - 1, -1, -1):
        path = "%s.unusable%d" % (folder, index)
        if exists(path):
            if index == limits.SET_ASIDE_MAX - 1:
                _remove_tree(path)
            else:
                os.rename(path, "%s.unusable%d" % (folder, index + 1))
    os.rename(folder, folder + ".unusable0")
    return folder + ".unusable0"


def exists(path: str) -> bool:
    """Say whether something is at `path`."""
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def is_folder(path: str) -> bool:
    """Say whether a folder is at `path`."""
    return exists(path) and os.stat(path)[0] & 0o170000 == 0o040000


def _remove_tree(path: str) -> None:
    if is_folder(path):
        for name in os.listdir(path):
            _remove_tree(path + "/" + name)
        os.rmdir(path)
    else:
        os.remove(path)
