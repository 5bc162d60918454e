"""The report on a screen, and as JSON."""

from collections.abc import Sequence
from typing import Final

import msgspec
from rich.console import Console
from rich.text import Text

from gateway.doctor.finding import ORDER, Finding, Level, Subject, worst

SHOWN_MAX: Final = 8  # findings of one check on the screen; --json has all
COLOURS: Final = {
    Level.ok: "green",
    Level.look: "yellow",
    Level.unknown: "magenta",
    Level.bad: "red",
}
WIDTH: Final = 14


class Report(msgspec.Struct, frozen=True):
    """What `--json` writes.

    Attributes:
        post: its name.
        at_ms: when it was looked at, Unix milliseconds.
        level: the worst of the findings.
        counts: how many there are of each level.
        findings: in the order of the subjects.
    """

    post: str
    at_ms: int
    level: str
    counts: dict[str, int]
    findings: tuple[Finding, ...]


def report(post: str, at_ms: int, findings: Sequence[Finding]) -> Report:
    """Return the report on one post."""
    counts = {level.value: 0 for level in ORDER}
    for found in findings:
        counts[found.level] += 1
    return Report(post, at_ms, worst(findings).value, counts, tuple(findings))


def show(told: Report, console: Console, *, everything: bool = False) -> None:
    """Draw the report for a person: a line for each subject, then what is not well.

    Args:
        told: the report.
        console: where to.
        everything: also each check that is well.
    """
    counts = ", ".join(f"{count} {level}" for level, count in told.counts.items() if count)
    console.print(Text.assemble(("post ", ""), (told.post, "bold"), f"  {counts}"))
    for subject in Subject:
        findings = [each for each in told.findings if each.subject == subject.value]
        if findings:
            _show_subject(subject.value, findings, console, everything=everything)


def _show_subject(
    subject: str, findings: list[Finding], console: Console, *, everything: bool
) -> None:
    level = worst(findings)
    well = sum(each.level == Level.ok for each in findings)
    summary = f"{well} ok" if well else ""
    line = Text.assemble(
        (f"{level.value:8}", COLOURS[level]), (f"{subject:{WIDTH}}", "bold"), summary
    )
    console.print(line)
    shown: dict[str, int] = {}
    for each in findings:
        if each.level == Level.unknown or (each.level == Level.ok and not everything):
            continue
        shown[each.id] = shown.get(each.id, 0) + 1
        if shown[each.id] <= SHOWN_MAX:
            _show_finding(each, console)
    for name, count in shown.items():
        if count > SHOWN_MAX:
            console.print(Text(f"{'':9}{name}: {count - SHOWN_MAX} more; --json has all"))
    _show_unknown([each for each in findings if each.level == Level.unknown], console)


def _show_unknown(findings: list[Finding], console: Console) -> None:
    """Draw what cannot be told, together where it is for one reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for each in findings:
        reasons.setdefault((each.value, each.remedy), []).append(each.id)
    for (value, remedy), names in reasons.items():
        listed = ", ".join(names)
        console.print(
            Text.assemble(
                "  ", ("unknown ", COLOURS[Level.unknown]), (listed, "bold"), f": {value}"
            ),
            soft_wrap=True,
        )
        console.print(Text.assemble(f"{'':10}", ("do    ", "dim"), remedy), soft_wrap=True)


def _show_finding(each: Finding, console: Console) -> None:
    name = each.id + (f" ({each.about})" if each.about else "")
    colour = COLOURS[Level(each.level)]
    console.print(
        Text.assemble("  ", (f"{each.level:8}", colour), (name, "bold"), ": ", each.value),
        soft_wrap=True,
    )
    if each.level == Level.ok:
        return
    for word, text in (("cause", each.cause), ("do", each.remedy), ("page", each.page)):
        console.print(Text.assemble(f"{'':10}", (f"{word:6}", "dim"), text), soft_wrap=True)
