"""`harmattan doctor --rehearse`: run it, tell each step, always clean up."""

import asyncio
import signal
import sys
from typing import Final

import msgspec
from rich.console import Console
from rich.text import Text

from gateway.doctor.rehearsal.play import Outcome, Play, Step
from gateway.settings import Settings

COLOURS: Final = {Outcome.ok: "green", Outcome.failed: "red", Outcome.left_out: "yellow"}
EXIT_STATUS: Final = {Outcome.ok: 0, Outcome.left_out: 1, Outcome.failed: 2}


class Rehearsed(msgspec.Struct, frozen=True):
    """What `--rehearse --json` writes.

    Attributes:
        post: whose disk and programs were used.
        outcome: the worst of the steps.
        took_s: altogether.
        steps: in the order in which they were practised.
    """

    post: str
    outcome: Outcome
    took_s: float
    steps: tuple[Step, ...]


def run(settings: Settings, *, as_json: bool, console: Console) -> int:
    """Practise, tell, and return the exit status.

    0 all came out well, 1 not everything could be practised, 2 something failed.
    """
    if settings.broker.external and not as_json:
        console.print("The broker is external; the rehearsal uses one of its own.")

    def tell(step: Step) -> None:
        if not as_json:
            _show(step, console)

    steps = asyncio.run(_until_signal(Play(settings, tell)))
    outcome = max((step.outcome for step in steps), key=list(EXIT_STATUS).index)
    told = Rehearsed(
        settings.post, outcome, round(sum(step.took_s for step in steps), 2), tuple(steps)
    )
    if as_json:
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    else:
        console.print(
            Text.assemble(
                ("rehearsal ", "bold"), (outcome.value, COLOURS[outcome]), f", {told.took_s:.0f} s"
            )
        )
    return EXIT_STATUS[outcome]


async def _until_signal(play: Play) -> list[Step]:
    """Run the rehearsal; SIGTERM and Ctrl-C end it, and it cleans up."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        if task is not None:
            loop.add_signal_handler(number, task.cancel)
    try:
        return await play.run()
    except asyncio.CancelledError:
        return [*play.steps, Step("interrupted", Outcome.failed, 0.0, "it was ended from outside")]


def _show(step: Step, console: Console) -> None:
    console.print(
        Text.assemble(
            (f"{step.outcome.value:9}", COLOURS[step.outcome]),
            f"{step.took_s:5.1f} s  ",
            (step.name, "bold"),
            f": {step.text}",
        ),
        soft_wrap=True,
    )
