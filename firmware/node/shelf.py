"""The folder a journal lies in: finding its segments, setting aside what is none.

Rules of the file
- Nothing is deleted here but a segment whose head was never completed, a copy (`.new`) that a
  power cut left unfinished, and the oldest of the journals set aside.
- Of all segments but the newest only the first bytes are read, so that opening a full journal
  takes little time. The others are read when their turn comes.
- What cannot be understood is an error of this file and a rename, never a format.
"""

import os

from node import limits, segment
from node.errors import JournalUnusable

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Call

_SUFFIX = ".seg"
NEW_SUFFIX = ".new"  # a file that takes another one's name when it is complete
_EISDIR = 21
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
        damaged_seqs: numbers of the damaged records that are known.
        appendable: the last segment takes further records.
    """

    def __init__(self) -> None:
        self.segments: list[segment.Segment] = []
        self.journal_id = b""
        self.next_seq = 1
        self.damaged = 0
        self.damaged_seqs: list[int] = []
        self.appendable = False

    def take(
        self, folder: str, first_seq: int, buffer: "bytearray | None", clean: bool = True
    ) -> None:
        """Take the segment that is named by `first_seq`; without `buffer` it is not read.

        Raises:
            JournalUnusable, OSError: as `load`.
        """
        path = segment_path(folder, first_seq)
        size, head = segment.read_head(path)
        part = segment.Segment(first_seq, size)
        if self.segments:
            self.segments[-1].last_seq = max(self.segments[-1].last_seq, first_seq - 1)
        self.next_seq = max(self.next_seq, first_seq)
        if head is None and part.size <= segment.HEAD_BYTES:
            # A power cut while it was begun. Its name has reserved a number: one of the same name
            # must be begun again.
            if clean:
                os.remove(path)
            self.appendable = False
            return
        if head is not None:
            if head[0] != segment.VERSION:
                raise JournalUnusable("journal %s has version %d" % (folder, head[0]))
            if self.journal_id and head[1] != self.journal_id:
                raise JournalUnusable("journal %s mixes two identities" % folder)
            self.journal_id = head[1]
        self.segments.append(part)
        part.damaged = int(head is None)
        self.damaged += part.damaged
        if buffer is None:
            part.ranks = -1
            return
        found = part.survey(path, buffer)
        self.next_seq = max(self.next_seq, found.next_seq)
        self.damaged += found.damaged
        part.damaged += found.damaged
        self.damaged_seqs += found.damaged_seqs
        self.appendable = (
            head is not None
            and found.tail_clean
            and not part.spoilt
            and self.next_seq == part.last_seq + 1
        )


def load(folder: str, buffer: bytearray, tick: "Call", clean: bool = True) -> Contents:
    """Read the segments in `folder`, which is created when missing.

    Args:
        folder: path of the journal.
        buffer: scratch for the largest frame; a longer frame counts as damaged.
        tick: called after each segment; it feeds the watchdog.
        clean: remove what a power cut left unfinished.
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
    found = []
    for name in os.listdir(folder):
        first_seq = _first_seq(name)
        if first_seq is not None:
            found.append(first_seq)
        elif clean and name.endswith(_SUFFIX + NEW_SUFFIX):
            _remove_tree(folder + "/" + name)
    for first_seq in sorted(found):
        try:
            contents.take(folder, first_seq, buffer if first_seq == max(found) else None, clean)
        except OSError as error:
            if error.errno != _EISDIR:
                raise
            raise JournalUnusable("%s is a folder, no segment" % segment_path(folder, first_seq))
        tick()
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
