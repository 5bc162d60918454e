"""Writes and flushes in their order, seen by a file that notes them; prints one word each.

On MicroPython a flush is the sync (docs/node.md): it must follow the last write of a record before
`append` returns.
"""
# ruff: noqa: T201

import sys

REPOSITORY, FOLDER = sys.argv[1:3]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from journal_parts import make, store  # noqa: E402

from node import segment  # noqa: E402

real_open = open
seen = []


class Noting:
    """A file opened for writing that notes what is done to it."""

    def __init__(self, file):
        self._file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        seen.append("close")
        self._file.close()

    def write(self, content):
        seen.append("write")
        return self._file.write(content)

    def flush(self):
        seen.append("flush")
        self._file.flush()

    def fileno(self):
        return self._file.fileno()

    def close(self):
        self.__exit__()


def noting_open(path, mode="r"):
    file = real_open(path, mode)
    return file if "r" in mode else Noting(file)


segment.open = noting_open
journal = make(FOLDER + "/journal")
del seen[:]
store(journal, 1)
print(" ".join(seen))
