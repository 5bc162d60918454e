"""What a check is, and what it may find."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from gateway.doctor.scene import Scene

PAGE: Final = "harmattan docs doctor"  # the command that shows docs/doctor.md
NEEDED: Final = "What the check needs is not there."


class Level(StrEnum):
    """How a finding is meant; the order is that of urgency."""

    ok = "ok"
    look = "look"  # somebody should look, not at once
    unknown = "unknown"  # it cannot be told
    bad = "bad"  # the post does not do its work, or will not for long


ORDER: Final = tuple(Level)


class Subject(StrEnum):
    """What the checks are about, in the order in which they are shown."""

    gateway = "gateway"
    machine = "machine"
    clock = "clock"
    disk = "disk"
    database = "database"
    broker = "broker"
    certificates = "certificates"
    nodes = "nodes"
    outbox = "outbox"
    library = "library"


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found at one thing.

    Attributes:
        level: how it is meant.
        value: what is there, in a few words or one sentence.
        about: which node, file or part, when there are several.
        cause: why, where more is known than the check's general cause.
        remedy: likewise.
    """

    level: Level
    value: str
    about: str = ""
    cause: str = ""
    remedy: str = ""


def ok(value: str, about: str = "") -> Found:
    """Return that all is well."""
    return Found(Level.ok, value, about)


def look(value: str, about: str = "", *, cause: str = "", remedy: str = "") -> Found:
    """Return that somebody should look."""
    return Found(Level.look, value, about, cause, remedy)


def bad(value: str, about: str = "", *, cause: str = "", remedy: str = "") -> Found:
    """Return that something does not work, or will not for long."""
    return Found(Level.bad, value, about, cause, remedy)


def unknown(value: str, about: str = "", *, cause: str = "", remedy: str = "") -> Found:
    """Return that it cannot be told."""
    return Found(Level.unknown, value, about, cause, remedy)


class UntoldError(Exception):
    """A check cannot tell: what it needs is not there.

    Args:
        text: what is missing.
        remedy: what to do about that.
        see: the check that reports it; empty: none does. When that one is asked too and is not
            well, nothing is said here: one cause is one finding.
    """

    def __init__(self, text: str, remedy: str, *, see: str = "") -> None:
        super().__init__(text)
        self.remedy = remedy
        self.see = see


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at.

    Attributes:
        id: `subject.name`; also the anchor of its section in docs/doctor.md.
        cause: what is usually behind it when it is not well.
        remedy: what to do then.
        look: does it.
    """

    id: str
    cause: str
    remedy: str
    look: Callable[["Scene"], Found | Iterable[Found]]

    @property
    def subject(self) -> Subject:
        """What it is about."""
        return Subject(self.id.partition(".")[0])

    @property
    def page(self) -> str:
        """The command that shows the documentation of it, also without a network."""
        return f"{PAGE}#{self.id.replace('.', '-')}"


class Finding(msgspec.Struct, frozen=True):
    """One line of the report; the keys of `--json`."""

    id: str
    subject: str
    about: str
    level: str
    value: str
    cause: str
    remedy: str
    page: str


_checks: dict[str, Check] = {}


def check(
    name: str, *, cause: str, remedy: str
) -> Callable[
    [Callable[["Scene"], Found | Iterable[Found]]], Callable[["Scene"], Found | Iterable[Found]]
]:
    """Register the decorated function as the check `name`."""

    def register(
        function: Callable[["Scene"], Found | Iterable[Found]],
    ) -> Callable[["Scene"], Found | Iterable[Found]]:
        if name in _checks:
            raise ValueError(f"check {name!r} is there twice")
        _checks[name] = Check(name, cause, remedy, function)
        return function

    return register


def registered() -> Mapping[str, Check]:
    """Return every check that was registered so far, by id."""
    return _checks


def worst(findings: Iterable[Finding]) -> Level:
    """Return the most urgent level among findings."""
    return max((Level(found.level) for found in findings), key=ORDER.index, default=Level.ok)
