"""A layer under SQLite that notes every operation on files, and can fail any one of them.

Rules of the file
- `Recorder` is SQLite's default VFS while it is entered, so the code under test opens its files by
  its own path. Everything is passed on to the system's own VFS, shared memory included.
- What Python itself does to names (rename, remove, make a folder), its pwrite and its fsync are
  noted too.
- Names in the log are relative to the recorded folder; what lies elsewhere is not noted.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import apsw

BASE = "unix"
NAME = "crash-recorder"
WITH_FOLDER = (  # opened to be made, there or not: its first sync brings the folder to disk, too
    apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
)

KINDS: dict[str, frozenset[str]] = {  # of faults: which operations each can meet
    "full": frozenset({"create", "write", "sync"}),  # ENOSPC
    "eio": frozenset({"create", "write", "sync", "truncate", "delete", "rename", "read"}),
    "short": frozenset({"write"}),  # the first half of it is written, then ENOSPC
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What fails.

    Attributes:
        kind: one of KINDS.
        at: number of the first operation that fails, from 0 among those that the kind can meet.
        lasts: all later ones fail as well, until `Recorder.mend`.
    """

    kind: str
    at: int
    lasts: bool


class Recorder(apsw.VFS):
    """Notes what is done to the files of one folder.

    Args:
        folder: whose files are noted.
        fault: what fails; None: nothing.
        pages: of the write-ahead log after which SQLite folds it into the file.
        deaf: it notes no sync, as a disk that does not keep its word.
        synchronous: what connections get instead of `full`, to see that the checks find it.

    Attributes:
        log: operations and marks, in their order.
        met: operations met so far, by kind of fault.
    """

    def __init__(
        self,
        folder: Path,
        fault: Fault | None = None,
        *,
        pages: int = 24,
        deaf: bool = False,
        synchronous: str = "",
    ) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.met = dict.fromkeys(KINDS, 0)
        self._folder = f"{folder}{os.sep}"
        self._fault = fault
        self._is_mended = False
        self._pages = pages
        self._deaf = deaf
        self._synchronous = synchronous
        self._lock = threading.Lock()  # the writer and the readers have threads of their own
        self._undo: list[tuple[str, Any]] = []
        super().__init__(NAME, BASE, makedefault=True)

    def __enter__(self) -> Self:
        apsw.connection_hooks.append(self._prepare)
        for name in ("rename", "replace", "remove", "unlink", "mkdir", "rmdir", "pwrite", "fsync"):
            real = getattr(os, name)
            self._undo.append((name, real))
            setattr(os, name, getattr(self, f"_{name}")(real))
        return self

    def __exit__(self, *_: object) -> None:
        for name, real in self._undo:
            setattr(os, name, real)
        apsw.connection_hooks.remove(self._prepare)
        self.unregister()

    def mend(self) -> None:
        """End a lasting fault."""
        self._is_mended = True

    def mark(self, *words: Any) -> None:
        """Note what the code under test has said by now."""
        self.log.append(("mark", *words))

    def note(self, *operation: Any) -> None:
        """Note an operation that was done."""
        self.log.append(operation)

    def inside(self, path: str | os.PathLike[str] | None) -> str | None:
        """Return a path as the log names it; None when it is not to be noted."""
        text = os.fspath(path) if path is not None else ""
        return text.removeprefix(self._folder) if text.startswith(self._folder) else None

    def meets(self, operation: str) -> str:
        """Count an operation; return the kind of fault that it meets, or nothing."""
        with self._lock:
            hit = ""
            for kind, operations in KINDS.items():
                if operation not in operations:
                    continue
                number, self.met[kind] = self.met[kind], self.met[kind] + 1
                fault = self._fault
                if fault is None or self._is_mended or fault.kind != kind:
                    continue
                if number == fault.at or (fault.lasts and number > fault.at):
                    hit = kind
            return hit

    # ------------------------------------------------------------------------ what SQLite asks for

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        """Open a file; one that is made by it is noted."""
        text = name.filename() if isinstance(name, apsw.URIFilename) else name
        known = self.inside(text)
        is_new = known is not None and not os.path.lexists(text)
        is_made = is_new and bool(flags[0] & apsw.SQLITE_OPEN_CREATE)
        if is_made and self.meets("create"):
            raise apsw.CantOpenError("no file can be made (on purpose)")
        if known is None:
            return super().xOpen(name, flags)
        with_folder = bool(flags[0] & apsw.SQLITE_OPEN_CREATE and flags[0] & WITH_FOLDER)
        file = File(self, known, name, flags, with_folder=with_folder)
        if is_made:
            self.note("create", known)
        return file

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802
        """Remove a name; the folder is synced only if SQLite asks for it."""
        known = self.inside(name)
        is_there = os.path.lexists(name)
        if known is not None and is_there and self.meets("delete"):
            raise apsw.IOError("the name cannot be removed (on purpose)")
        super().xDelete(name, syncdir)
        if known is not None and is_there:
            self.note("delete", known)
            if syncdir and not self._deaf:
                self.note("syncdir", known.rpartition("/")[0])

    def synced(self, name: str, *, with_folder: bool) -> None:
        """Note a sync, unless this recorder is deaf to them."""
        if not self._deaf:
            self.note("sync", name)
            if with_folder:
                self.note("syncdir", name.rpartition("/")[0])

    def _prepare(self, connection: apsw.Connection) -> None:
        connection.wal_autocheckpoint(self._pages)
        if self._synchronous:
            connection.set_authorizer(self._weaken)
            connection.pragma("synchronous", self._synchronous)

    def _weaken(self, action: int, name: Any, value: Any, *_: Any) -> int:
        """Let nobody but this recorder say how a connection syncs."""
        is_it = action == apsw.SQLITE_PRAGMA and name == "synchronous"
        return apsw.SQLITE_IGNORE if is_it and value != self._synchronous else apsw.SQLITE_OK

    # ------------------------------------------------------------------------ what Python does

    def _rename(self, real: Any) -> Any:
        def rename(old: Any, new: Any, **rest: Any) -> None:
            before, after = self.inside(old), self.inside(new)
            if before is not None and self.meets("rename"):
                raise OSError(5, "Input/output error (on purpose)", str(old))
            real(old, new, **rest)
            if before is not None and after is not None:
                self.note("rename", before, after)

        return rename

    _replace = _rename

    def _remove(self, real: Any) -> Any:
        def remove(path: Any, **rest: Any) -> None:
            known = self.inside(path)
            if known is not None and os.path.lexists(path) and self.meets("delete"):
                raise OSError(5, "Input/output error (on purpose)", str(path))
            real(path, **rest)
            if known is not None:
                self.note("delete", known)

        return remove

    _unlink = _remove

    def _mkdir(self, real: Any) -> Any:
        def mkdir(path: Any, *rest: Any, **more: Any) -> None:
            known = self.inside(path)
            if known is not None and not os.path.lexists(path) and self.meets("create"):
                raise OSError(28, "No space left on device (on purpose)", str(path))
            real(path, *rest, **more)
            if known is not None:
                self.note("mkdir", known)

        return mkdir

    def _rmdir(self, real: Any) -> Any:
        def rmdir(path: Any, **rest: Any) -> None:
            real(path, **rest)
            known = self.inside(path)
            if known is not None:
                self.note("rmdir", known)

        return rmdir

    def _named(self, descriptor: Any) -> tuple[int, str | None]:
        """Return the number of a descriptor and what the log calls its file."""
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        path = str(Path(f"/proc/self/fd/{number}").readlink())
        return number, "" if path + os.sep == self._folder else self.inside(path)

    def _pwrite(self, real: Any) -> Any:
        def pwrite(descriptor: Any, data: bytes, offset: int) -> int:
            _, known = self._named(descriptor)
            hit = self.meets("write") if known is not None else ""
            part = data[: len(data) // 2] if hit == "short" else data
            if hit in ("", "short"):
                real(descriptor, part, offset)
                if known is not None:
                    self.note("write", known, offset, bytes(part))
            if hit:
                number = 5 if hit == "eio" else 28
                raise OSError(number, f"{os.strerror(number)} (on purpose)")
            return len(data)

        return pwrite

    def _fsync(self, real: Any) -> Any:
        def fsync(descriptor: Any) -> None:
            number, known = self._named(descriptor)
            if known is not None and self.meets("sync"):
                self.note("fail_to_sync", known)
                raise OSError(5, "Input/output error (on purpose)")
            real(descriptor)
            if known is not None and not self._deaf:
                is_folder = stat.S_ISDIR(os.fstat(number).st_mode)
                self.note("syncdir" if is_folder else "sync", known)

        return fsync


class File(apsw.VFSFile):
    """One open file of a `Recorder`."""

    def __init__(
        self, recorder: Recorder, known: str, name: Any, flags: list[int], *, with_folder: bool
    ) -> None:
        super().__init__(BASE, name, flags)
        self._recorder = recorder
        self._name = known
        self._with_folder = with_folder

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        """Read."""
        if self._recorder.meets("read"):
            raise apsw.IOError("nothing can be read (on purpose)")
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        """Write, or a part of it."""
        match self._recorder.meets("write"):
            case "":
                super().xWrite(data, offset)
                self._recorder.note("write", self._name, offset, bytes(data))
            case "short":
                part = bytes(data[: len(data) // 2])
                super().xWrite(part, offset)
                self._recorder.note("write", self._name, offset, part)
                raise apsw.FullError("the disk took a part of it (on purpose)")
            case "full":
                raise apsw.FullError("the disk is full (on purpose)")
            case _:
                raise apsw.IOError("nothing can be written (on purpose)")

    def xTruncate(self, size: int) -> None:  # noqa: N802
        """Cut the file's end off."""
        if self._recorder.meets("truncate"):
            raise apsw.IOError("the file cannot be cut (on purpose)")
        super().xTruncate(size)
        self._recorder.note("truncate", self._name, size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Bring what was written to the disk."""
        if self._recorder.meets("sync"):
            self._recorder.note("fail_to_sync", self._name)
            raise apsw.IOError("the disk does not take what was written (on purpose)")
        super().xSync(flags)
        self._recorder.synced(self._name, with_folder=self._with_folder)
        self._with_folder = False


@contextlib.contextmanager
def quiet() -> Any:
    """Keep apsw's reports of errors that SQLite does not pass on off standard error."""
    import sys  # noqa: PLC0415 - beside what it changes

    kept = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = kept
