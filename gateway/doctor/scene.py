"""What the checks look at: one post, at one moment. Everything costly is looked up once."""

import contextlib
import datetime as dt
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import apsw

from gateway import wire
from gateway.doctor.authority import Contact, contact
from gateway.doctor.finding import UntoldError
from gateway.doctor.look import OPENS, REMEDY, Look
from gateway.doctor.machine import Machine
from gateway.errors import BrokerError
from gateway.ingest.answering import fault_of
from gateway.ingest.link import tls_context
from gateway.journal.moments import Moments, read_moments
from gateway.journal.records import read_frame
from gateway.journal.starts import Start, read_start
from gateway.journal.store import FILE_NAME
from gateway.library.folder import Loaded, load
from gateway.library.lists import Lists, load_lists
from gateway.observe.certificates import ahead, link_ends
from gateway.observe.counters import NAMES
from gateway.observe.state import State, read_state
from gateway.settings import NodeSettings, Settings

BROKER_S_MAX: Final = 5.0  # it answers within one under a flood; a small computer is slower
AHEAD: Final = "clock.ahead"  # the check that tells of a clock that is years ahead
AHEAD_MS_MAX: Final = 10_000  # a gateway that runs notices within a second that the clock was set
HEALTHS_MAX: Final = 288  # of one node's history: a day, at one every five minutes


@dataclass(frozen=True, slots=True)
class NodeLook:
    """One node, as the journal knows it.

    Attributes:
        settings: as it should be.
        seen_ms: when it was heard; None: never.
        is_online: it said so itself, or its will did.
        birth, health: its newest; None without one.
        config_version: of the config that is sent to it; None: none yet.
        healths: when they came, and what they were, the oldest first.
    """

    settings: NodeSettings
    seen_ms: int | None
    is_online: bool
    birth: wire.Birth | None
    health: wire.Health | None
    config_version: int | None
    healths: tuple[tuple[int, wire.Health], ...]

    @property
    def id(self) -> str:
        """Its name."""
        return self.settings.id


@dataclass
class Scene:
    """One post now.

    Attributes:
        settings: of the post, as the file is now.
        settings_path: of the file.
        now_ms: wall clock, Unix milliseconds.
        running: a gateway holds the post's folder.
        journal: what is in it.
        machine: the computer.
    """

    settings: Settings
    settings_path: Path
    now_ms: int
    running: bool
    journal: Look
    machine: Machine = field(default_factory=Machine)

    @property
    def directory(self) -> Path:
        """The post's folder."""
        return Path(self.settings.directory)

    @property
    def folder(self) -> Path:
        """The same, known to be there.

        Raises:
            UntoldError: it is not.
        """
        if not self.directory.is_dir():
            raise UntoldError(f"{self.directory} is no folder", REMEDY, see=OPENS)
        return self.directory

    @property
    def now(self) -> dt.datetime:
        """The wall clock, in UTC."""
        return dt.datetime.fromtimestamp(self.now_ms / 1_000, dt.UTC)

    @cached_property
    def nodes(self) -> tuple[NodeLook, ...]:
        """Every node of the settings.

        Raises:
            UntoldError: the journal cannot be read.
        """
        rows = self.journal.rows(
            "SELECT n.node, n.birth, n.health, n.online, n.seen_ms, c.frame"
            " FROM nodes n LEFT JOIN configs c ON c.node = n.node"
        )
        known = {row[0]: row for row in rows}
        return tuple(self._node(each, known.get(each.id)) for each in self.settings.nodes)

    def _node(self, settings: NodeSettings, row: "tuple[object, ...] | None") -> NodeLook:
        _, birth_frame, health_frame, online, seen_ms, config_frame = row or (None,) * 6
        frames = (birth_frame, health_frame, config_frame)
        birth, health, config = (
            read_frame(frame if isinstance(frame, bytes) else None) for frame in frames
        )
        history = []
        for received_ms, frame in self.journal.rows(
            "SELECT received_ms, frame FROM healths WHERE node = ? ORDER BY id DESC LIMIT ?",
            settings.id,
            HEALTHS_MAX,
        ):
            message = read_frame(frame)
            if isinstance(message, wire.Health):
                history.append((received_ms, message))
        return NodeLook(
            settings,
            seen_ms if isinstance(seen_ms, int) else None,
            bool(online),
            birth if isinstance(birth, wire.Birth) else None,
            health if isinstance(health, wire.Health) else None,
            config.version if isinstance(config, wire.Config) else None,
            tuple(reversed(history)),
        )

    @cached_property
    def postures(self) -> dict[str, str]:
        """What the gateway itself says holds now: name -> its sentence.

        Raises:
            UntoldError: the journal cannot be read.
        """
        return dict(self.journal.rows("SELECT name, text FROM posture"))

    @cached_property
    def state(self) -> State | None:
        """What a running gateway says of itself outside of the journal; None: it says nothing."""
        return read_state(self.directory) if self.running else None

    @cached_property
    def broker_fault(self) -> str:
        """Why the broker does not answer as one; empty when it does.

        Raises:
            UntoldError: it cannot be asked.
        """
        broker = self.settings.broker
        try:
            context = tls_context(self.settings)
        except BrokerError as error:
            remedy = "Look at `broker.ca_file`, `certificate_file` and `key_file`."
            raise UntoldError(str(error), remedy) from error
        return fault_of(broker.host, broker.port, BROKER_S_MAX, context)

    @cached_property
    def start(self) -> Start:
        """The newest start of the gateway.

        Raises:
            UntoldError: none is noted, or the journal cannot be read.
        """
        try:
            found = read_start(self.journal.connection)
        except apsw.Error as error:
            raise UntoldError(
                f"the database does not say when it started: {error}",
                REMEDY,
                see=OPENS if self.journal.meet(error) else "",
            ) from error
        if found is None:
            raise UntoldError("no start is noted in this journal", "Start the gateway anew.")
        # A start of the future was noted while the clock was ahead; no node is overdue by it.
        past = tuple(each for each in found.started_ms if each <= self.now_ms + AHEAD_MS_MAX)
        return replace(found, started_ms=past or (self.now_ms,))

    def since_start(self, name: str) -> dict[str, int]:
        """Return what was counted under a name since the last start, by subject.

        Raises:
            UntoldError: as `start`.
            KeyError: there is no such counter.
        """
        if name not in NAMES:
            raise KeyError(name)
        rows = self.journal.rows("SELECT subject, count FROM counters WHERE name = ?", name)
        before = self.start.counts
        found = {subject: count - before.get((name, subject), 0) for subject, count in rows}
        return {subject: count for subject, count in found.items() if count > 0}

    @cached_property
    def clock_ahead(self) -> str:
        """Why the clock, and no certificate, must be at fault; empty: nothing says so."""
        moments = Moments().at(self.now_ms)
        with contextlib.suppress(UntoldError, apsw.Error):  # then by the edition's day only
            moments = read_moments(self.journal.connection, self.now_ms)
        return ahead(link_ends(self.settings), moments, self.now_ms)

    @cached_property
    def library(self) -> Loaded:
        """The library's folder as a gateway would load it now.

        Raises:
            SpectraError: the shipped tables are faulty.
        """
        folder = self.settings.spectra.library_directory
        return load(Path(folder) if folder else None, strict=False, remember=False)

    @cached_property
    def lists(self) -> Lists:
        """The watchlists likewise.

        Raises:
            SpectraError: the shipped tables are faulty.
            WatchlistError: the shipped lists are.
        """
        folder = self.settings.screening.lists_directory
        return load_lists(Path(folder) if folder else None, self.library.library, strict=False)

    @cached_property
    def authority(self) -> Contact:
        """What came of a connection to the authority; nothing is sent over it."""
        return contact(self.settings.authority)


def look_at(
    settings: Settings, settings_path: Path, *, now_ms: int, running: bool, machine: Machine
) -> Scene:
    """Return the post as it is now; `scene.journal.close()` when done."""
    journal = Look(Path(settings.directory) / FILE_NAME)
    return Scene(settings, settings_path, now_ms, running, journal, machine)
