"""What the programs of all simulated instruments share: options, commands while they run, the end.

The first line on standard output is the port to open. Standard input takes one command a line;
those of COMMANDS are known by every instrument, the others are its own. `--help` is made from the
tables that the program goes by.
"""

import argparse
import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

from simulators.errors import FaultError, ScenarioError, WorldError
from simulators.faults import LINE_KINDS, FaultPlan, explain_faults, parse_fault
from simulators.helping import set_rows, set_text
from simulators.line import Line
from simulators.scenario import SCENARIOS, load_scenario
from simulators.sides import Side
from simulators.world import load_substances

COMMAND_BYTES_MAX: Final = 4_096  # of one line on standard input
UNPLUG_S_DEFAULT: Final = 2.0
UNPLUG_S_MAX: Final = 3_600.0
SEED_MAX: Final = 999_999_999  # nine digits, as of a sample

Verb = Callable[[str], None]  # gets the rest of the line; raises WorldError
Commands = Mapping[str, str]  # how a command is written, the verb first -> what it does
COMMANDS: Final[Commands] = {
    "unplug [SECONDS]": f"pull the cable, put it back after a while (default {UNPLUG_S_DEFAULT:g})",
    "reset": "take the instrument's power away for a moment",
    "status": "tell what it is and has done, as one line of JSON on standard output",
}
NEXT: Final[Commands] = {"next": "with --world and --act: do the act's next step here"}


def build_parser(
    prog: str,
    description: str,
    bauds: tuple[int, ...],
    baud: int,
    *,
    commands: Commands,
    epilog: str,
) -> argparse.ArgumentParser:
    """Return a command line with what every instrument takes.

    Args:
        prog: how it is started.
        description: one sentence: what it is and what it speaks.
        bauds: the rates it has.
        baud: the usual one.
        commands: the instrument's own.
        epilog: what else is to be known, and an example at its end.
    """
    known = {**commands, **NEXT, **COMMANDS}
    parser = argparse.ArgumentParser(
        prog=prog,
        description=set_text(
            f"{description} The first line on standard output is the port: open it raw. "
            "Ctrl-C ends."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"commands on standard input while it runs, one a line:\n{set_rows(known)}\n\n"
        f"{explain_faults(LINE_KINDS, 'replies')}\n\n{epilog}",
    )
    parser.add_argument(
        "--baud", type=int, choices=bauds, default=baud, help="rate of the line (%(default)s)"
    )
    add_seed(parser)
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="KIND[,KEY=VALUE]...",
        help="what goes wrong with the replies, such as stall,at=3,seconds=2; see below "
        "(repeatable)",
    )
    parser.add_argument(
        "--link",
        type=Path,
        metavar="PATH",
        help="keep a symbolic link to the port, also when it is another one after unplug",
    )
    scenarios = ", ".join(sorted(path.stem for path in SCENARIOS.glob("*.toml")))
    parser.add_argument(
        "--world",
        type=Path,
        metavar="FILE",
        help=f"scenario whose side is seen here: a file, or {scenarios}",
    )
    parser.add_argument("--act", metavar="NAME", help="of the scenario; goes with --world")
    return parser


def add_seed(parser: argparse.ArgumentParser, default: int = 0) -> None:
    """Add the option `--seed`."""
    parser.add_argument(
        "--seed",
        type=_seed,
        default=default,
        metavar="N",
        help="of everything that is drawn: the same again with the same (%(default)s)",
    )


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(SEED_MAX)):
        raise argparse.ArgumentTypeError(f"'{text[:20]}': give a whole number from 0 to {SEED_MAX}")
    return int(text)


def act_verbs(
    options: argparse.Namespace, kind: str, line: Line[Any], show: Callable[[Any], None]
) -> dict[str, Verb]:
    """Return the command `next`, when the command line names an act; else nothing.

    Args:
        options: of the command line.
        kind: of the instrument, a key of `sides.KINDS`.
        line: it hangs on.
        show: shows it one thing of `sides.Shown`.

    Raises:
        ScenarioError: world and act do not go together, or cannot be used.
    """
    if options.world is None and options.act is None:
        return {}
    if options.world is None or options.act is None:
        raise ScenarioError("--world and --act go together: give both, or neither")
    act = load_scenario(options.world, load_substances()).act(options.act)
    side = Side(act, kind, line, show, options.seed)
    return {"next": lambda _: print(side.next(), file=sys.stderr, flush=True)}


def plan_faults(options: argparse.Namespace) -> FaultPlan:
    """Return the faults that the command line names.

    Raises:
        FaultError: one cannot be.
    """
    return FaultPlan([parse_fault(text, LINE_KINDS) for text in options.fault], options.seed)


def counts(line: Line[Any]) -> dict[str, object]:
    """Return what every line tells of itself: where it is and what crossed it."""
    return {
        "path": line.path,
        "baud": line.device.baud,
        "bytes_in": line.bytes_in,
        "bytes_out": line.bytes_out,
        "bytes_lost": line.bytes_lost,
        "unplugs": line.unplug_count,
    }


class Console:
    """Commands on standard input of a running simulator.

    Args:
        line: the running line.
        verbs: the instrument's own commands.
        describe: what `status` prints, as one line of JSON.
        tasks: where a command that takes time runs.
    """

    def __init__(
        self,
        line: Line[Any],
        verbs: Mapping[str, Verb],
        describe: Callable[[], dict[str, object]],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._line = line
        self._describe = describe
        self._tasks = tasks
        self._verbs: dict[str, Verb] = {
            **verbs,
            "unplug": self._unplug,
            "reset": lambda _: line.reset_unexpectedly(),
            "status": lambda _: print(json.dumps(describe()), flush=True),
        }
        self._unfinished = b""

    def listen(self) -> None:
        """Follow standard input; a terminal only when this is its foreground program."""
        if sys.stdin is None:  # closed; the number may be another file's by now
            return
        if os.isatty(0) and os.tcgetpgrp(0) != os.getpgrp():
            return
        try:
            asyncio.get_running_loop().add_reader(0, self._read)
        except PermissionError:  # a plain file or /dev/null is always readable: read it to its end
            while self._read():
                pass

    def close(self) -> None:
        """Stop following standard input."""
        asyncio.get_running_loop().remove_reader(0)

    def _read(self) -> bool:
        """Obey the lines that have come; False at the end of the input."""
        data = os.read(0, COMMAND_BYTES_MAX)
        if not data:
            self.close()
            return False
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        if len(self._unfinished) > COMMAND_BYTES_MAX:
            print(
                f"a command line longer than {COMMAND_BYTES_MAX} bytes is ignored", file=sys.stderr
            )
            self._unfinished = b""
        for text in lines:
            self.obey(text.decode(errors="replace").strip())
        return True

    def obey(self, text: str) -> None:
        """Do one command; what is wrong with it goes to standard error."""
        verb, _, rest = text.partition(" ")
        if not verb:
            return
        if verb not in self._verbs:
            known = ", ".join(self._verbs)
            hint = "; it goes with --world and --act" if verb in NEXT else ""
            print(f"unknown command {verb[:40]!r}{hint}: known are {known}", file=sys.stderr)
            return
        try:
            self._verbs[verb](rest.strip())
        except (WorldError, OSError) as error:
            print(error, file=sys.stderr)

    def _unplug(self, rest: str) -> None:
        self._tasks.create_task(self._line.unplug(_seconds(rest)), name="unplug")


def _seconds(text: str) -> float:
    """Return the duration given to `unplug`.

    Raises:
        WorldError: it is no duration.
    """
    try:
        seconds = float(text or UNPLUG_S_DEFAULT)
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds <= UNPLUG_S_MAX:
        raise WorldError(f"unplug '{text}': give seconds between 0 and {UNPLUG_S_MAX:g}")
    return seconds


async def serve(
    line: Line[Any],
    told: str,
    verbs: Mapping[str, Verb],
    describe: Callable[[], dict[str, object]],
) -> None:
    """Run a line until SIGINT or SIGTERM.

    Args:
        line: with its device, not yet entered.
        told: a sentence for the person at the terminal, once it runs.
        verbs: the instrument's own commands.
        describe: what `status` prints.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with line:
        try:
            print(line.link or line.path, flush=True)
        except OSError as error:
            raise WorldError(f"standard output cannot be written: {error.strerror}") from None
        print(told, file=sys.stderr, flush=True)
        async with asyncio.TaskGroup() as tasks:
            console = Console(line, verbs, describe, tasks)
            console.listen()
            await stop.wait()
            console.close()


def run(options: argparse.Namespace, start: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run a simulator's program; 0 = stopped as asked, 2 = cannot start.

    Args:
        options: of the command line.
        start: makes device and line, and returns the call of `serve`.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # a path may be any bytes
    try:
        asyncio.run(start())
    except (FaultError, WorldError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        return _refuse(options, error)
    except BaseExceptionGroup as group:  # while it ran
        errors = [error for error in group.exceptions if isinstance(error, OSError)]
        if len(errors) != len(group.exceptions):
            raise
        return _refuse(options, errors[0])
    return 0


def _refuse(options: argparse.Namespace, error: OSError) -> int:
    """Say why there is no port."""
    where = f" {options.link}" if options.link else ""
    print(f"cannot provide the port{where}: {error.strerror or error}", file=sys.stderr)
    return 2
