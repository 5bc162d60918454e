"""What a running gateway says of itself outside of its journal, which may not take anything.

One small file, rewritten in place when its content changes: in the folder that the service
supervisor gives (`RuntimeDirectory=`, in memory), else in the post's own folder. It lies there
already when the disk fills, so no room is needed then; on a read-only disk only the former tells.

A gateway whose event loop stands still cannot say so. So the file also tells when it last turned,
now and then anew, and whoever reads it notices that this is long ago.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from gateway.journal.condition import Condition

FILE_NAME = "gateway-state.json"
STATE_BYTES_MAX = 4_096  # one page, so that a reader sees the whole of it or the whole of the last
RUN_FOLDER = Path("/run/harmattan")  # of the shipped unit
BARRED_TOLD_MAX = 32  # names of nodes; the page has room for them
BARRED_CHARS_MAX = 40  # a cause in a few words
TEXT_CHARS_MAX = 300  # of each sentence
UNLINKED = "not connected to its broker: no node is heard"
TURNED_AGAIN_S = 20.0  # so often it is told anew: a page a time, less than the journal writes
STILL_S_MAX = 60.0  # three of these; a card that is busy holds the loop for seconds
ROOM_BYTES_MIN = 1_000_000  # with less some file systems rewrite no page either
EVERYTHING = "everything"  # what hangs when the gateway as a whole does not turn
_VARIABLE = "RUNTIME_DIRECTORY"


class State(msgspec.Struct, frozen=True):
    """What holds now.

    Attributes:
        directory: of the post, so that the states of several are told apart.
        pid: of the gateway.
        started_ms: Unix milliseconds.
        disk: what may be written.
        hangs: what does not turn; empty when everything does.
        barred: nodes in quarantine, the first BARRED_TOLD_MAX, and why.
        barred_count: all of them.
        linked_ms: since when it is connected to the broker, Unix milliseconds; 0: it is not.
        unlinked_ms: since when it is not, likewise; 0: it is, or does not tell.
        turned_s: when it last turned, by the computer's monotonic clock; 0: it does not tell.
    """

    directory: str
    pid: int
    started_ms: int
    disk: Condition = Condition()
    hangs: str = ""
    barred: dict[str, str] = {}
    barred_count: int = 0
    linked_ms: int = 0
    unlinked_ms: int = 0
    turned_s: float = 0.0

    @property
    def line(self) -> str:
        """The state in a line, for `systemctl status`."""
        told = [UNLINKED] if self.unlinked_ms else []
        told.append(self.disk.text or f"disk {self.disk.state.value}")
        if self.barred_count:
            told.append(f"{self.barred_count} nodes in quarantine")
        return "; ".join(told)


class StateFile:
    """Writes the state when it has changed; a disk that does not take it is told elsewhere.

    Args:
        directory: of the post.
        environment: may name a folder in memory.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str] = os.environ) -> None:
        self._path = _folder(directory, environment) / FILE_NAME
        self._written: State | None = None

    def write(self, state: State) -> bool:
        """Write the state; False when it is not on its way to the file."""
        page = _page(state)
        last = self._written
        if (
            last is not None
            and state.turned_s - last.turned_s < TURNED_AGAIN_S
            and last == msgspec.structs.replace(state, turned_s=last.turned_s)
        ):
            return True
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.fchmod(descriptor, 0o644)  # no secret, whatever the umask says
                os.pwrite(descriptor, page, 0)
            finally:
                os.close(descriptor)
        except OSError:
            return False
        self._written = state
        return True

    def remove(self) -> None:
        """Take the file away: a gateway that has ended says nothing of itself."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def read_state(
    directory: Path,
    environment: Mapping[str, str] = os.environ,
    now_s: Callable[[], float] = time.monotonic,
) -> State | None:
    """Return what the gateway of a post last said of itself; None when it said nothing.

    Where it has not turned for too long, EVERYTHING hangs.
    """
    folders = [RUN_FOLDER, directory]
    if environment.get(_VARIABLE):
        folders.insert(0, _folder(directory, environment))
    return _newest(folders, str(directory), now_s())


def is_stopped(pid: int) -> bool:
    """Say whether a process was stopped by a signal, as far as the system tells."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[:1] in (["T"], ["t"])


def _newest(folders: Iterable[Path], directory: str, now_s: float) -> State | None:
    found = []
    for folder in folders:
        try:
            with folder.joinpath(FILE_NAME).open("rb") as file:
                state = msgspec.json.decode(file.read(STATE_BYTES_MAX), type=State)
        except (OSError, ValueError, RecursionError):
            continue
        if state.directory == directory:
            if not state.hangs and _is_still(state, folder, now_s):
                state = msgspec.structs.replace(state, hangs=EVERYTHING)
            found.append(state)
    return max(found, key=lambda state: state.started_ms, default=None)


def _is_still(state: State, folder: Path, now_s: float) -> bool:
    """Say whether it would have been told since, had the gateway turned."""
    if not 0.0 < state.turned_s < now_s - STILL_S_MAX:
        return False
    try:
        room = os.statvfs(folder)
    except OSError:
        return False
    is_readonly = bool(room.f_flag & os.ST_RDONLY)
    return not is_readonly and room.f_bavail * room.f_frsize >= ROOM_BYTES_MIN


def _folder(directory: Path, environment: Mapping[str, str]) -> Path:
    """Return the folder in memory when there is one; systemd may name several, by colons."""
    named = environment.get(_VARIABLE, "").partition(":")[0]
    return Path(named) if named else directory


def _page(state: State) -> bytes:
    """Return the state as JSON, filled up with blanks to one page."""
    disk = msgspec.structs.replace(state.disk, text=state.disk.text[:TEXT_CHARS_MAX])
    first = sorted(state.barred.items())[:BARRED_TOLD_MAX]
    state = msgspec.structs.replace(
        state,
        disk=disk,
        hangs=state.hangs[:TEXT_CHARS_MAX],
        barred={node: text[:BARRED_CHARS_MAX] for node, text in first},
    )
    return msgspec.json.encode(state).ljust(STATE_BYTES_MAX)
