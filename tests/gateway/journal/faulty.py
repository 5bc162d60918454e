"""A disk that fails as it is told: a VFS under SQLite, for every connection that is opened."""

import apsw

from gateway.journal.store import FILE_NAME

FULL = "full"
FAILING = "I/O error"
READONLY = "read-only"

_ERRORS = {
    FULL: (apsw.FullError, "database or disk is full (on purpose)"),
    FAILING: (apsw.IOError, "disk I/O error (on purpose)"),
    READONLY: (apsw.ReadOnlyError, "attempt to write a readonly database (on purpose)"),
}


class Disk(apsw.VFS):
    """While it is entered, every journal that is opened lies on it.

    Attributes:
        fault: one of the above for every write from now on; None: it is well.
        times: so many operations meet the fault, then it is well; None: all do.
        after: so many operations are done before.
    """

    def __init__(self):
        self.fault = None
        self.times = None
        self.after = 0
        self.done = 0
        # Shared memory on the heap: a shim is asked for none.
        super().__init__("faulty", "unix-excl", makedefault=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.unregister()

    def meet(self):
        self.done += 1
        self.after -= 1
        if self.fault is None or self.after >= 0:
            return
        kind, text = _ERRORS[self.fault]
        if self.times is not None:
            self.times -= 1
            if self.times <= 0:
                self.fault = self.times = None
        raise kind(text)

    def xOpen(self, name, flags):  # noqa: N802 - SQLite's name
        text = name.filename() if isinstance(name, apsw.URIFilename) else name
        if FILE_NAME not in (text or ""):  # a simulated authority has a database too
            return super().xOpen(name, flags)
        return File(self, name, flags)


class File(apsw.VFSFile):
    """One open file."""

    def __init__(self, disk, name, flags):
        super().__init__("unix-excl", name, flags)
        self._disk = disk

    def xWrite(self, data, offset):  # noqa: N802
        self._disk.meet()
        super().xWrite(data, offset)

    def xTruncate(self, size):  # noqa: N802
        self._disk.meet()
        super().xTruncate(size)

    def xSync(self, flags):  # noqa: N802
        self._disk.meet()
        super().xSync(flags)
