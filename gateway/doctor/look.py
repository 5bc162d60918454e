"""Look into the journal without changing a byte of its folder.

SQLite itself makes `-wal` and `-shm` when it opens a file that was closed in order, also to read
it. So a file without write-ahead log is opened as immutable, and one with a log by its shared
memory as it is: that works beside a running gateway and after one that was killed.
"""

import urllib.parse
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import apsw

from gateway.doctor.finding import UntoldError
from gateway.journal import integrity
from gateway.journal.logged import log_of, size_of
from gateway.journal.opening import SCHEMA_VERSION, insist_on_fit, is_damage

REMEDY: Final = "See `database.opens` and `database.version`."
OPENS: Final = "database.opens"
BUSY_MS: Final = 2_000  # the gateway holds the file for a batch at a time
Rows = list[tuple[Any, ...]]


class Look:
    """The journal as it is now.

    Args:
        path: the database file.

    Attributes:
        fault: why it cannot be read, as SQLite says it; empty when it can.
        without_log: the log could not be read: the newest changes are not seen.
        is_empty: no gateway could begin it yet.
        met: what a question met that is damaged in the file; empty: none did yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fault = ""
        self.without_log = False
        self.is_empty = False
        self.met = ""
        self._is_immutable = False
        self._connection: apsw.Connection | None = None
        try:
            self._connection = self._open()
            tables = self._connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
            if not tables and not self.version and not self.without_log:
                self.is_empty, self.fault = True, "there is nothing in it yet"
                self.close()
        except FileNotFoundError:
            self.fault = "there is no such file"
        except apsw.Error as error:
            self.fault = str(error)
            self.close()
        except OSError as error:
            self.fault = error.strerror or str(error)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def connection(self) -> apsw.Connection:
        """The open connection, for functions of `gateway.journal` that read.

        Raises:
            UntoldError: the file cannot be read.
        """
        if self._connection is None:
            raise UntoldError(f"the database cannot be read: {self.fault}", REMEDY, see=OPENS)
        return self._connection

    @cached_property
    def damage(self) -> str:
        """What is damaged in a file that can be opened, as far as one second shows; or empty.

        It is looked at as the gateway does at its start; ask when the other questions are asked,
        for those may meet more.

        Raises:
            UntoldError: the file cannot be read at all.
        """
        connection, found = self.connection, self.met
        if not found and not self.without_log and self.version <= SCHEMA_VERSION:
            try:
                found = integrity.check_start(connection, is_older=self.version < SCHEMA_VERSION)
            except apsw.Error as error:
                found = str(error) if is_damage(error) else ""
        # A gateway that has begun to write meanwhile changes a file that is not looked at for that.
        return "" if self._is_immutable and self._log_bytes() else found

    def meet(self, error: Exception) -> bool:
        """Say whether an answer of SQLite's means that the file is damaged, and keep what it says.

        Without the log it means nothing: the file may be half of what was written.
        """
        is_met = is_damage(error) or isinstance(error, UnicodeDecodeError)
        if is_met and not self.without_log:
            self.met = self.met or str(error)
        return is_met

    @property
    def version(self) -> int:
        """Version of the schema."""
        return int(self.connection.pragma("user_version"))

    def rows(self, query: str, *parameters: Any) -> Rows:  # noqa: ANN401 - SQLite's own types
        """Return the rows of a query.

        Raises:
            UntoldError: the file cannot be read, or its schema is of another version.
        """
        try:
            return self.connection.execute(query, parameters).fetchall()
        except apsw.SQLError as error:
            raise UntoldError(
                f"the database has schema version {self.version}, which does not say: {error}",
                REMEDY,
                see="database.version",
            ) from error
        except (apsw.Error, UnicodeDecodeError) as error:
            self.meet(error)
            raise UntoldError(f"the database cannot be read: {error}", REMEDY, see=OPENS) from error

    def one(self, query: str, *parameters: Any) -> Any:  # noqa: ANN401 - SQLite's own types
        """Return the only value of the only row of a query.

        Raises:
            UntoldError: as `rows`.
        """
        ((value,),) = self.rows(query, *parameters)
        return value

    def _open(self) -> apsw.Connection:
        insist_on_fit(self.path, is_alone=True)
        if not self.path.exists():
            raise FileNotFoundError(self.path)
        name = urllib.parse.quote(str(self.path))
        logged = log_of(self.path)
        shared = self.path.with_name(self.path.name + "-shm")
        has_log = self._log_bytes() > 0
        has_shared = shared.exists()
        self.without_log = has_log and not has_shared
        self._is_immutable = not has_shared or not logged.exists()
        way = "immutable=1" if self._is_immutable else "readonly_shm=1"
        connection = apsw.Connection(
            f"file:{name}?mode=ro&{way}", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
        connection.set_busy_timeout(BUSY_MS)
        return connection

    def _log_bytes(self) -> int:
        return size_of(log_of(self.path))
