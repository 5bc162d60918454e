"""What `harmattan init --check` says of a post."""

import msgspec


class Found(msgspec.Struct, frozen=True):
    """One thing to say.

    Attributes:
        subject: settings, modes, certificates, database, people, nodes or broker.
        text: one sentence: thing, value, remedy.
        is_fault: it has to be mended; else it is advice.
    """

    subject: str
    text: str
    is_fault: bool = True


class Report(msgspec.Struct, frozen=True):
    """What was looked at, and what was found."""

    folder: str
    checked: tuple[str, ...]
    found: tuple[Found, ...]

    @property
    def is_well(self) -> bool:
        """Say whether the post can run as it is."""
        return not any(found.is_fault for found in self.found)
