"""`make demo`: one post, one node, eight samples, and a headquarters that acknowledges.

The account is for a person; the last line is one JSON object for a program. Exit status 0 only if
every sample got the verdict that its truth demands and every alarm reached headquarters exactly
once; 1 if not; 2 if something is missing that the demo needs.
"""

import argparse
import contextlib
import itertools
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from simulators import stage
from simulators.events import Event
from simulators.lane import STANDARD, Lane, Stored, read_committed, read_judged
from simulators.programs import ProgramError
from simulators.scenario import RAMAN_VARIABLE, SCENARIOS, Specimen, load_scenario
from simulators.world import Substance

COLOURS = {"alarm": "bold red", "inconclusive": "yellow", "clear": "green"}


def load_acts(substances: dict[str, Substance]) -> list[Specimen]:
    """Return what the demo presents, in order.

    Raises:
        WorldError: a sample of it cannot be presented.
    """
    return list(load_scenario(SCENARIOS / "demo.toml", substances).specimens.values())


@dataclass(slots=True)
class Seen:
    """What became of one act."""

    act: Specimen
    reading: Stored
    verdict: str
    hits: list[str]
    names: list[str]

    @property
    def is_right(self) -> bool:
        """Say whether the verdict is what the truth demands, naming what it has to name."""
        named = not self.act.names or self.act.names in self.hits
        return self.verdict == self.act.verdict and named


async def calibrate(lane: Lane, console: Console) -> None:
    """Set the instrument's axis, as the technician of the post does every morning.

    Raises:
        ProgramError: it does not work; every verdict would be inconclusive.
    """
    console.print(f"\n[bold]{STANDARD}, the calibration standard[/bold]")
    found = await lane.calibrate()
    if found["status"] != 0:
        raise ProgramError(f"the calibration failed: {found['error']}")
    console.print(
        f"  gateway  the laser has drifted: the axis reads {found['offset_cm1']:+.1f} cm-1 too"
        f" high; corrected, it is right to within {found['uncertainty_cm1']:.1f} cm-1"
    )


async def play(lane: Lane, act: Specimen, console: Console) -> Seen:
    """Present one sample and follow it to its verdict."""
    note = " [dim](measured spectrum, replayed)[/dim]" if act.is_measured else ""
    console.print(f"\n[bold]{act.title}[/bold]{note}")
    reading = await lane.measure(act.sample)
    console.print(f"  node     stored as record {reading.seq}, inspection {reading.inspection}")
    with contextlib.suppress(TimeoutError):  # a node killed after it freed its flash says no more
        await lane.receipted(reading)
        console.print("  gateway  committed; the node has its receipt and frees its flash")
    judged = await lane.judged(reading)
    colour = COLOURS.get(judged.verdict, "white")
    console.print(f"  verdict  [{colour}]{judged.verdict}[/{colour}]: {judged.text}")
    shown = await lane.shown(reading)
    if shown:
        console.print(f"  node     shows [{colour}]{shown.upper()}[/{colour}] to the officer")
    seen = Seen(act, reading, judged.verdict, list(judged.hits), list(judged.names))
    if judged.verdict == "alarm":
        await lane.delivered(lane.alert_id(reading))
        console.print("  alert    delivered; headquarters has acknowledged it")
    if not seen.is_right:
        console.print(f"  [bold red]wrong:[/bold red] the truth is {act.verdict} {act.names}")
    return seen


def summarise(lane: Lane, account: list[Seen]) -> tuple[dict[str, object], bool]:
    """Return the closing JSON object and whether everything was right."""
    records = read_committed(lane.post.journal_path)
    sent = {event.fields["seq"] for event in lane.events.all(lane.node.name, "sent")}
    alerts = [str(alert["alert_id"]) for alert in lane.headquarters.alerts()]
    expected = sorted(
        lane.alert_id(Stored(judged.journal, judged.seq, ""))
        for judged in read_judged(lane.post.journal_path)
        if judged.verdict == "alarm"
    )
    once = sorted(alerts) == expected
    kept = all((seen.reading.journal, seen.reading.seq) in records for seen in account)
    right = all(seen.is_right for seen in account)
    summary: dict[str, object] = {
        "samples_presented": len(account),
        "records_committed": len(records),
        "readings_committed": sum(
            (seen.reading.journal, seen.reading.seq) in records for seen in account
        ),
        "receipts": len(sent),
        "verdicts": [
            {
                "sample": seen.act.title,
                "measured": seen.act.is_measured,
                "truth": seen.act.verdict,
                "verdict": seen.verdict,
                "hits": seen.hits,
                "right": seen.is_right,
            }
            for seen in account
        ],
        "alarms": len(expected),
        "alerts_received": len(alerts),
        "alerts_exactly_once": once,
        "ok": right and once and kept,
    }
    return summary, right and once and kept


def show(account: list[Seen], console: Console) -> None:
    """Draw the closing table."""
    table = Table(title="What the lane has seen", title_justify="left")
    for column in ("sample", "truth", "verdict", "found", ""):
        table.add_column(column)
    for seen in account:
        colour = COLOURS.get(seen.verdict, "white")
        table.add_row(
            seen.act.title,
            seen.act.verdict,
            f"[{colour}]{seen.verdict}[/{colour}]",
            ", ".join(seen.names) or "-",
            "[green]right[/green]" if seen.is_right else "[bold red]wrong[/bold red]",
        )
    console.print()
    console.print(table)


def tell(event: Event, console: Console) -> None:
    """Print what would otherwise stay in the log: faults and warnings."""
    if event.fields.get("level") in {"warning", "error"} and event.name != "alert":
        console.print(f"  [dim]gateway  {event.name}: {event.fields.get('text', '')}[/dim]")
    if event.name == "killed":
        console.print(f"  [bold yellow]{event.fields['text']}; it is started again[/bold yellow]")
    if event.name == "fault":
        console.print(f"  [dim]node     fault: {event.fields.get('text', '')}[/dim]")


async def run(directory: Path, console: Console, *, forever: bool, calibrated: bool = True) -> bool:
    """Run the demo in `directory`; return whether everything was right.

    Args:
        directory: where everything is written.
        console: for the account.
        forever: present the samples in turn until cancelled.
        calibrated: begin with a calibration; without one no verdict can be right.
    """
    lane = Lane(directory)
    acts = load_acts(lane.substances)
    if not any(act.is_measured for act in acts):
        console.print(
            f"[dim]no measured spectra here (set {RAMAN_VARIABLE} to their folder):"
            " acetone comes from its band table instead[/dim]"
        )
    console.print(
        "starting headquarters, spectrometer, gateway with mosquitto, node in MicroPython"
    )
    lane.events.listen(lambda event: tell(event, console))
    account: list[Seen] = []
    async with lane:
        await lane.ready()
        if calibrated:
            await calibrate(lane, console)
        for act in itertools.cycle(acts) if forever else acts:
            seen = await play(lane, act, console)
            account.append(seen)
        summary, is_right = summarise(lane, account)
    show(account, console)
    console.print("everything that was started is stopped")
    sys.stdout.flush()
    print(json.dumps(summary), flush=True)
    return is_right


def main() -> int:
    """Run the demo and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m simulators.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--forever", action="store_true", help="present the samples in turn, until Ctrl-C"
    )
    parser.add_argument(
        "--uncalibrated",
        action="store_true",
        help="leave out the calibration and see every verdict become inconclusive",
    )
    stage.add_directory(parser)
    options = parser.parse_args()

    async def performance(directory: Path, console: Console) -> bool:
        return await run(
            directory, console, forever=options.forever, calibrated=not options.uncalibrated
        )

    return stage.perform("demo", options.directory, performance)


if __name__ == "__main__":
    sys.exit(main())
