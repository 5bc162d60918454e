"""What a running gateway says of itself outside of its journal, which may not take anything.

One small file, rewritten in place when its content changes: in the folder that the service
supervisor gives (`RuntimeDirectory=`, in memory), else in the post's own folder. It lies there
already when the disk fills, so no room is needed then; on a read-only disk only the former tells.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping
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
        self._written = b""

    def write(self, state: State) -> bool:
        """Write the state; False when it is not on its way to the file."""
        page = _page(state)
        if page == self._written:
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
        self._written = page
        return True

    def remove(self) -> None:
        """Take the file away: a gateway that has ended says nothing of itself."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def read_state(directory: Path, environment: Mapping[str, str] = os.environ) -> State | None:
    """Return what the gateway of a post last said of itself; None when it said nothing."""
    folders = [RUN_FOLDER, directory]
    if environment.get(_VARIABLE):
        folders.insert(0, _folder(directory, environment))
    return _newest(folders, str(directory))


def _newest(folders: Iterable[Path], directory: str) -> State | None:
    found = []
    for folder in folders:
        try:
            with folder.joinpath(FILE_NAME).open("rb") as file:
                state = msgspec.json.decode(file.read(STATE_BYTES_MAX), type=State)
        except (OSError, msgspec.MsgspecError):
            continue
        if state.directory == directory:
            found.append(state)
    return max(found, key=lambda state: state.started_ms, default=None)


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
