"""The part of `harmattan status` that is about the gateway's own computer, for a person."""

import time
from typing import Final

import msgspec
from rich.console import Console
from rich.text import Text

from gateway.journal.condition import Condition, DiskState
from gateway.observe.keeping import Keeping
from gateway.observe.state import EVERYTHING
from gateway.units import age, lasted, size

DAYS_LEFT_MIN: Final = 30.0  # time enough to get a new certificate to a post


class Own(msgspec.Struct, frozen=True):
    """How the gateway itself is.

    Attributes:
        disk: what may be written, by the running gateway's own word.
        unlinked_ms: since when it is not connected to its broker, Unix milliseconds; 0: it is.
        hangs: the part of it that does not turn; empty: everything does.
        barred: nodes in quarantine, and why.
        barred_count: all of them, where there are more than can be named.
        keeping: of the journal; None: it cannot be read.
        journal_fault: why not; empty: it can.
        bytes_max: what the journal may take.
        reserve_bytes: of the disk that is not for readings.
        certificates: setting -> days left of its file; None: it cannot be read.
    """

    disk: Condition = Condition()
    unlinked_ms: int = 0
    hangs: str = ""
    barred: dict[str, str] = {}
    barred_count: int = 0
    keeping: Keeping | None = None
    journal_fault: str = ""
    bytes_max: int = 0
    reserve_bytes: int = 0
    certificates: dict[str, float | None] = {}

    @property
    def is_well(self) -> bool:
        """Say whether nobody needs to look."""
        return (
            self.disk.state is DiskState.well
            and not self.unlinked_ms
            and not self.hangs
            and not self.barred_count
            and not self.journal_fault
            and self.keeping is not None
            and not self.keeping.check_fault
            and not self.keeping.postures
            and not self.ending
        )

    @property
    def ending(self) -> dict[str, float | None]:
        """Return the certificates that somebody should look at."""
        return {
            name: days
            for name, days in self.certificates.items()
            if days is None or days < DAYS_LEFT_MIN
        }


def show_own(own: Own, console: Console, now_ms: int, *, is_clock_wrong: bool = False) -> None:
    """Draw it: one line when all is well, one more for each thing that is not.

    Args:
        own: to draw.
        console: to draw on.
        now_ms: wall clock, Unix milliseconds.
        is_clock_wrong: no certificate has ended because that says so.
    """
    if own.disk.state is not DiskState.well:
        since = lasted(own.disk.since_ms, now_ms)
        _tell(console, "red", f"disk {own.disk.state.value} since {since}", own.disk.text)
    if own.journal_fault:
        _tell(console, "red", "journal", own.journal_fault)
    if own.unlinked_ms:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(own.unlinked_ms / 1_000))
        told = f"not connected to its broker since {since} UTC ({lasted(own.unlinked_ms, now_ms)})"
        _tell(console, "red", told, "no node is heard; harmattan doctor says why")
    if own.hangs:
        what = (
            f"{own.hangs} of the gateway" if own.hangs != EVERYTHING else "the gateway as a whole"
        )
        _tell(console, "red", "hangs", f"{what} does not turn")
    for node, cause in own.barred.items():
        _tell(console, "yellow", f"quarantine of {node}", f"{cause}; it is heard again by itself")
    if own.barred_count > len(own.barred):
        _tell(console, "yellow", "quarantine", f"{own.barred_count} nodes in all")
    if own.keeping is not None:
        _show_keeping(own, own.keeping, console, now_ms)
    for name, days in own.ending.items():
        _tell(console, "red", f"certificate {name}", _ending(days, is_clock_wrong=is_clock_wrong))


def _ending(days: float | None, *, is_clock_wrong: bool) -> str:
    told = "cannot be read" if days is None else f"ends in {days:.0f} days"
    if days is not None and days < 0:
        told = f"ended {-days:.0f} days ago"
    if days is not None and is_clock_wrong:
        return f"{told} by this clock; set the clock first"
    return f"{told}; `harmattan docs install#certificates` says how to renew it"


def _show_keeping(own: Own, keeping: Keeping, console: Console, now_ms: int) -> None:
    free = "unknown" if keeping.free_bytes is None else size(keeping.free_bytes)
    checked = (
        "never checked whole"
        if keeping.checked_ms is None
        else (f"checked {age(keeping.checked_ms, now_ms)}")
    )
    console.print(
        f"disk: {free} free, {size(own.reserve_bytes)} kept for alerts; journal:"
        f" {size(keeping.used_bytes)} of {size(own.bytes_max)}, write-ahead log"
        f" {size(keeping.wal_bytes)}, {checked}",
        soft_wrap=True,
    )
    if keeping.evicted:
        when = "" if keeping.evicted_ms is None else f", last {age(keeping.evicted_ms, now_ms)}"
        console.print(
            f"evicted for room or age: {keeping.evicted} readings"
            f" ({size(keeping.evicted_bytes)}){when}; those behind an alert are kept"
        )
    if keeping.check_fault:
        _tell(console, "red", "check of the journal", keeping.check_fault)
    for name, posture in keeping.postures.items():
        _tell(console, "red", f"{name} since {lasted(posture.since_ms, now_ms)}", posture.text)
    if keeping.damaged:
        _tell(
            console,
            "yellow",
            "damaged journals set aside",
            f"{', '.join(keeping.damaged)}; keep them as evidence, or remove them for room",
        )


def _tell(console: Console, colour: str, head: str, text: str) -> None:
    """Print a coloured head and a text that is no markup."""
    console.print(Text(f"{head}: ", style=colour).append(text, style="default"), soft_wrap=True)
