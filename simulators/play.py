"""`python -m simulators.play SCENARIO`: a scenario at a lane, from its first act to its last.

Instruments are simulated, each on a pseudo-terminal whose link lies in the lane's folder; node,
broker and gateway are the real ones. What is done, what the node says and what the post makes of it
is told for a person; the last line is one JSON object for a program. Exit status 0 only if the
journal of the post holds what the world demands; 1 if not; 2 if something needed is missing, or
the acts cannot come out right. A directory may be played in again.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tomllib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from simulators import stage
from simulators.audit import Done, audit, newest
from simulators.errors import ScenarioError
from simulators.events import Event
from simulators.faults import LINE_KINDS, FaultPlan, explain_faults
from simulators.helping import set_rows
from simulators.instrument import add_seed
from simulators.lane import FILE_LOOK_S, Lane, Stored, stored
from simulators.line import Line
from simulators.node import NodeOffError
from simulators.order import refuse_acts
from simulators.programs import ProgramError
from simulators.readers import Readers
from simulators.scale.pan import Build
from simulators.scenario import SCENARIOS, Act, Scenario, Step, load_scenario
from simulators.scenario_keys import explain
from simulators.sides import Mass, Shown, shown
from simulators.world import Sample, load_substances

ROLES: Final = {"scan": "code", "read": "document", "weigh": "weight", "measure": "sample"}
SIGNALS_MAX: Final = 40  # told when a step comes to nothing
TRIES_MAX: Final = 8  # an officer who has tried so often calls the technician
ITEM_S_MAX: Final = 4.0  # a scale settles within two seconds; a code takes none
SAMPLE_S_MAX: Final = 60.0  # looks, dark frame and sample, or an instrument to be found again
READY_S_MAX: Final = 30.0  # a port that was pulled is tried again at least every 5 s
TRIGGERS: Final = {"sample": "laser", "look_s": 2}
EXAMPLE: Final = """\
example:
  python -m simulators.play good_morning --act sugar --directory /tmp/lane"""
MASS_G_MIN: Final = 30  # below 20 counts a node calls it nothing, and zero and noise move some
LOOKS: Final = 3  # at an empty holder: two that count, and one that may have begun before


@dataclass(frozen=True, slots=True)
class Played:
    """What was played, and what the journal holds otherwise than the world demands."""

    scenario: Scenario
    act_count: int
    done: tuple[Done, ...]
    wrong: tuple[str, ...]


class Play:
    """Plays acts on a lane that is up.

    Args:
        lane: with the readers on its node.
        readers: the same, in the hand of the officer.
        tell: called with each line of the account.
        seed: of the randomness inside the faults.
    """

    def __init__(
        self, lane: Lane, readers: Readers, tell: Callable[[str], None], seed: int = 0
    ) -> None:
        self._lane = lane
        self._readers = readers
        self._tell = tell
        self._seed = seed
        self._said: asyncio.Queue[Event] = asyncio.Queue()
        self._signals: deque[str] = deque(maxlen=SIGNALS_MAX)  # of the step, or the newest of it
        lane.events.listen(self._hear)

    def _hear(self, event: Event) -> None:
        if event.source == self._lane.node.name:
            self._said.put_nowait(event)
            self._signals.append(event.name)

    async def act(self, act: Act) -> tuple[list[Done], str]:
        """Play one act.

        Returns:
            What became of each step, and which came to nothing, however often it was tried; that is
            the last one. Empty: none.
        Raises:
            ProgramError: the node has ended, and nobody asked it to.
        """
        title, declared = escape(act.title), escape(act.consignment.declared)
        self._tell(f"\n[bold]{title}[/bold] [dim](declared: {declared})[/dim]")
        done: list[Done] = []
        for step in act.steps:
            try:
                done.append(await self._step(act, step))
            except TimeoutError as error:
                why = str(error) or "the lane does not answer"
                return done, f"act {act.name}, step {step.number}: {why}"
        return done, ""

    async def _step(self, act: Act, step: Step) -> Done:
        thing = shown(act, step)
        told = thing.label if isinstance(thing, Sample) else str(thing)
        kinds = ", ".join(fault.kind for fault in step.faults)
        by = f" by {step.what}" if step.verb == "measure" else ""
        wrong = f" [yellow]with {kinds}[/yellow]" if kinds else ""
        self._tell(f"  {step.verb:8} {escape(told)}{by}{wrong}")
        self._line(step).trouble(FaultPlan(step.faults, self._seed + step.number))
        faults: list[str] = []
        self._signals.clear()
        for attempt in range(1, TRIES_MAX + 1):
            while not self._said.empty():
                self._said.get_nowait()
            with contextlib.suppress(NodeOffError):
                await self._do(step, thing)
            found = await self._outcome(step, faults)
            await self._undo(step, is_done=found is not None)
            if found is not None:
                again = f", at try {attempt}" if attempt > 1 else ""
                self._tell(f"  node     record {found.seq}, inspection {found.inspection}{again}")
                return Done(act, step, found, attempt, tuple(faults))
        self._lane.events.check()
        told = f"nothing was stored in {TRIES_MAX} tries"
        raise TimeoutError(self._explain(step, told, faults))

    def _explain(self, step: Step, told: str, faults: list[str]) -> str:
        """Return what went wrong, with what is needed to find out why."""
        line = self._line(step)
        return (
            f"{told}; faults: {'; '.join(faults) or 'none'}; "
            f"signals: {' '.join(self._signals) or 'none'}; bytes to the node: {line.bytes_out}, "
            f"lost {line.bytes_lost}; the node's last lines:\n{self._lane.node.last}"
        )

    def _line(self, step: Step) -> Line[Any]:
        return self._lane.line if step.verb == "measure" else self._readers.line(step.verb)

    async def _do(self, step: Step, thing: Shown) -> None:
        """Do what the officer does."""
        lane = self._lane
        if not isinstance(thing, Sample):
            self._readers.show(thing)
            return
        if step.what == "present":
            await self._looked()
        lane.line.present(thing)
        if step.what == "button":
            await lane.node.press()
        elif step.what == "foot":
            await lane.node.step()
        elif step.what == "command":
            await lane.command("capture")

    async def _looked(self) -> None:
        """Wait until the node has seen the holder empty."""
        counts = self._lane.line.device.counts
        enough = counts.spectra + 2 * LOOKS
        async with asyncio.timeout(SAMPLE_S_MAX):
            while True:
                if counts.spectra >= enough:
                    return
                await asyncio.sleep(FILE_LOOK_S)

    async def _undo(self, step: Step, *, is_done: bool) -> None:
        """Take away what was shown; what comes next may be as heavy as that."""
        if step.verb == "measure":
            self._lane.line.present(Sample())
        elif step.verb == "weigh":
            self._readers.clear()
            if is_done:
                await self._readers.emptied()

    async def _outcome(self, step: Step, faults: list[str]) -> Stored | None:
        """Return the record that came of a step; None: none came, and one may try again."""
        role = ROLES[step.verb]
        deadline_s = SAMPLE_S_MAX if role == "sample" else ITEM_S_MAX
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    event = await self._said.get()
                    if event.name == "stored" and event.fields["role"] == role:
                        return stored(event)
                    if event.name == "reread":
                        self._tell("  [dim]node     asks to read it again[/dim]")
                        return None
                    if event.name == "killed":  # nothing can come of any further try
                        raise ProgramError(self._explain(step, str(event.fields["text"]), faults))
                    if event.name == "fault":
                        faults.append(f"{event.fields['what']}: {event.fields['text']}")
                        self._tell(f"  [dim]node     fault {escape(faults[-1])}[/dim]")
                        if event.fields["what"] in {"instrument", "laser_on"}:
                            await self._ready()
                            return None
        except TimeoutError:
            return None

    async def _ready(self) -> None:
        """Wait until the spectrometer is found again."""
        async with asyncio.timeout(READY_S_MAX):
            while (await self._said.get()).name != "ready":
                pass


async def verdicts(lane: Lane, done: list[Done], tell: Callable[[str], None]) -> None:
    """Wait until the post has judged what was measured, and tell it."""
    for each in done:
        await lane.receipted(each.stored)
        if each.step.verb == "measure":
            judged = await lane.judged(each.stored)
            tell(f"  verdict  {judged.verdict}: {escape(judged.text)}")
            if judged.verdict == "alarm":
                await lane.delivered(lane.alert_id(each.stored))


def check(scenario: Scenario, acts: list[Act]) -> None:
    """Make sure that acts can come out right on a lane, one after the other.

    Raises:
        ScenarioError: they cannot.
    """
    names = [act.name for act in acts]
    if not acts:
        raise ScenarioError(f"{scenario.path} has no [[act]] to play")
    if len(set(names)) < len(names):
        raise ScenarioError(f"{scenario.path}: an act is played once: {', '.join(names)}")
    refused = refuse_acts([(act.name, [step.verb for step in act.steps]) for act in acts])
    if refused is not None:
        raise ScenarioError(f"{scenario.path}: act {refused[0]}, step 1: {refused[1]}")
    by_hand, most_g = False, Build().capacity_g
    for act in acts:
        for step in act.steps:
            where = f"{scenario.path}: act {act.name}, step {step.number}"
            thing = shown(act, step)
            if isinstance(thing, Mass) and not MASS_G_MIN <= thing.g <= most_g:
                raise ScenarioError(
                    f"{where}: {thing}: the scale of a lane that is played weighs {MASS_G_MIN} g to"
                    f" {most_g} g; change mass_kg"
                )
            if step.verb == "measure" and step.what == "present" and not by_hand:
                raise ScenarioError(
                    f"{where}: measure = 'present': a node looks by itself only after a measurement"
                    " by button, foot or command; play such an act first"
                )
            by_hand = by_hand or step.verb == "measure"


async def run(
    scenario: Scenario, names: list[str], directory: Path, console: Console, seed: int
) -> Played:
    """Play acts of a scenario and hold the journal against the world.

    Args:
        scenario: to be played.
        names: of acts, in order; empty: all of them.
        directory: where everything is written.
        console: for the account.
        seed: of the instruments and of the randomness inside the faults.

    Raises:
        ScenarioError: they cannot come out right.
    """
    acts = [scenario.act(name) for name in names] or list(scenario.acts.values())
    check(scenario, acts)
    console.print(f"[bold]{escape(scenario.title)}[/bold]\n{escape(scenario.teaches)}")
    looks = any(step.what == "present" for act in acts for step in act.steps)
    done: list[Done] = []
    wrong: list[str] = []
    async with Readers(directory, seed=seed) as readers:
        lane = Lane(directory, seed=seed, more={"readers": readers.settings})
        async with lane:
            await lane.ready()
            found = await lane.calibrate()
            if found["status"] != 0:
                raise ProgramError(f"the calibration failed: {found['error']}")
            lane.line.present(Sample())
            if looks:  # not before: the standard would have been taken for a sample
                await lane.node.stop()
                lane.node.settings["triggers"] = TRIGGERS
                await lane.node.start()
                await lane.events.wait(lane.node.name, "ready", deadline_s=READY_S_MAX, count=2)
            journal, node = lane.post.journal_path, lane.node.name
            before = newest(journal, node)  # somebody may have played here already
            play = Play(lane, readers, console.print, seed)
            for act in acts:
                played, nothing = await play.act(act)
                done += played
                try:
                    await verdicts(lane, played, console.print)
                except TimeoutError:
                    wrong.append(f"act {act.name}: the post has not done its part in time")
                wrong += [nothing] if nothing else []
                if wrong:  # what follows would be taken for a part of this act
                    break
            wrong += audit(journal, node, done, before)
    for text in wrong:
        console.print(f"[bold red]wrong[/bold red] {escape(text)}")
    return Played(scenario, len(acts), tuple(done), tuple(wrong))


def summarise(played: Played) -> dict[str, object]:
    """Return the closing JSON object."""
    done, wrong = played.done, played.wrong
    return {
        "scenario": str(played.scenario.path),
        "acts": played.act_count,
        "steps": len(done),
        "tries": sum(each.tries for each in done),
        "faults": [text for each in done for text in each.faults],
        "wrong": wrong,
        "ok": not wrong,
    }


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    known = {path.stem: _title(path) for path in sorted(SCENARIOS.glob("*.toml"))}
    parser = argparse.ArgumentParser(
        prog="python -m simulators.play",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"scenarios of the project:\n{set_rows(known)}\n\n{explain()}\n\n"
        f"{explain_faults(LINE_KINDS, 'replies from the step on')}\n\n{EXAMPLE}",
    )
    parser.add_argument(
        "scenario", type=Path, help="a file, or one of the project's by name: good_morning"
    )
    parser.add_argument(
        "--act",
        action="append",
        default=[],
        metavar="NAME",
        help="play this act only (repeatable; default: all, in their order)",
    )
    stage.add_directory(parser)
    add_seed(parser, 1)
    return parser


def _title(path: Path) -> str:
    """Return what a scenario of the project is called, and its acts."""
    with path.open("rb") as file:
        table = tomllib.load(file)
    acts = ", ".join(act["name"] for act in table.get("act", []))
    return f"{table['title']}; acts: {acts}" if acts else f"{table['title']}; no acts"


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit status."""
    options = build_parser().parse_args(arguments)

    async def performance(directory: Path, console: Console) -> bool:
        scenario = load_scenario(options.scenario, load_substances())
        played = await run(scenario, options.act, directory, console, options.seed)
        sys.stdout.flush()
        print(json.dumps(summarise(played)), flush=True)
        return not played.wrong

    return stage.perform("play", options.directory, performance)


if __name__ == "__main__":
    sys.exit(main())
