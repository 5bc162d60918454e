"""`python -m simulators.spectrometer`: an instrument to connect to, from the command line.

The first line on standard output is the device path. Standard input takes commands while it runs,
one per line: `present SAMPLE`, `unplug [SECONDS]`, `reset`, `status`.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from gateway.spectra.errors import LibraryError
from simulators.errors import FaultError, WorldError
from simulators.faults import LINE_KINDS, FaultPlan, parse_fault
from simulators.spectrometer.device import BAUDS, Spectrometer
from simulators.spectrometer.line import SpectrometerLine
from simulators.spectrometer.models import MODELS
from simulators.world import (
    CONTAINERS,
    EMPTY,
    FLUORESCENCE_DEFAULT,
    Sample,
    Substance,
    check_sample,
    load_substances,
    mix,
    parse_fraction,
    parse_sample,
    read_measured,
)

COMMAND_BYTES_MAX = 4096  # of one line on standard input
UNPLUG_S_DEFAULT = 2.0
UNPLUG_S_MAX = 3600.0
LASER_DRIFT_NM_MAX = 5.0  # beyond, the filter would stop it


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m simulators.spectrometer",
        description="A Raman spectrometer speaking Ocean Binary Protocol on a pseudo-terminal.",
        epilog="faults: " + "; ".join(f"{kind} = {text}" for kind, text in LINE_KINDS.items()),
    )
    parser.add_argument(
        "--sample",
        default=EMPTY,
        metavar="TEXT",
        help="substance id, 'a=0.6 + b=0.4 in ldpe', 'measured FILE' or 'empty' (default)",
    )
    parser.add_argument("--container", choices=CONTAINERS, help="what the sample is in")
    parser.add_argument(
        "--mix",
        action="append",
        default=[],
        metavar="SUBSTANCE=FRACTION",
        help="mix in another substance; the sample keeps the rest (repeatable)",
    )
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="two-column spectrum to replay as the sample"
    )
    parser.add_argument("--fluorescence", type=float, metavar="LEVEL", help="0 = none, 1 = strong")
    parser.add_argument("--model", choices=MODELS, default="ventana_785")
    parser.add_argument("--baud", type=int, choices=BAUDS, default=115200)
    parser.add_argument("--seed", type=int, default=0, help="which instrument and which sample")
    parser.add_argument(
        "--laser-drift",
        type=float,
        default=0.0,
        metavar="NM",
        help="how far the laser has moved since the maker's calibration; 0.1 moves bands by 1.6",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="KIND[,at=N][,times=N][,every=N][,bytes=N][,seconds=S][,on=spectrum]",
        help="what goes wrong with the replies, see below (repeatable)",
    )
    parser.add_argument(
        "--link", type=Path, metavar="PATH", help="keep a symbolic link to the port"
    )
    parser.add_argument("--list-samples", action="store_true", help="show what there is, and stop")
    return parser


def choose_sample(options: argparse.Namespace, substances: Mapping[str, Substance]) -> Sample:
    """The sample that the command line describes.

    Raises:
        WorldError: it cannot be presented.
    """
    if options.replay is not None:
        if options.sample != EMPTY or options.mix:
            raise WorldError("--replay stands alone: leave out --sample and --mix")
        sample = Sample(measured=read_measured(options.replay))
    elif options.mix:
        parts = [parse_fraction(text) for text in options.mix]
        sample = Sample(mix([(options.sample, None), *parts]), fluorescence=FLUORESCENCE_DEFAULT)
    else:
        sample = parse_sample(options.sample, substances)
    if options.container is not None:
        sample = replace(sample, container=options.container)
    if options.fluorescence is not None:
        sample = replace(sample, fluorescence=options.fluorescence)
    return check_sample(replace(sample, seed=sample.seed or options.seed), substances)


class Console:
    """Commands on standard input of a running simulator.

    Args:
        line: the running line.
        substances: what can be presented.
        tasks: where a command that takes time runs.
    """

    def __init__(
        self,
        line: SpectrometerLine,
        substances: Mapping[str, Substance],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._line = line
        self._substances = substances
        self._tasks = tasks
        self._unfinished = b""

    def listen(self) -> None:
        """Follow standard input; a terminal only when this is its foreground program."""
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
        try:
            match verb:
                case "":
                    pass
                case "present":
                    self._line.present(parse_sample(rest, self._substances))
                    print(f"presented: {self._line.device.probe.sample.label}", file=sys.stderr)
                    print_notes(self._line)
                case "unplug":
                    seconds = _seconds(rest)
                    self._tasks.create_task(self._line.unplug(seconds), name="unplug")
                case "reset":
                    self._line.reset_unexpectedly()
                case "status":
                    print(json.dumps(describe(self._line)), flush=True)
                case _:
                    print(
                        f"unknown command '{verb[:40]}': known are present SAMPLE, "
                        "unplug [SECONDS], reset, status",
                        file=sys.stderr,
                    )
        except WorldError as error:
            print(error, file=sys.stderr)


def _seconds(text: str) -> float:
    """The duration given to `unplug`.

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


def _checked_drift(drift_nm: float) -> float:
    """The laser's drift, if a laser could still be on its line.

    Raises:
        WorldError: it could not.
    """
    if not -LASER_DRIFT_NM_MAX <= drift_nm <= LASER_DRIFT_NM_MAX:
        raise WorldError(
            f"laser drift {drift_nm:g} nm; give {-LASER_DRIFT_NM_MAX:g} to {LASER_DRIFT_NM_MAX:g}"
        )
    return drift_nm


def describe(line: SpectrometerLine) -> dict[str, object]:
    """What the instrument has done so far, for people and scripts."""
    device = line.device
    return {
        "path": line.path,
        "model": device.model.name,
        "serial_number": device.serial_number,
        "baud": device.baud,
        "sample": device.probe.sample.label,
        "laser_mw": device.probe.laser_mw,
        "laser_on_s": round(device.probe.laser_on_s, 3),
        "bytes_in": line.bytes_in,
        "bytes_out": line.bytes_out,
        "bytes_lost": line.bytes_lost,
        "unplugs": line.unplug_count,
        **asdict(device.counts),
    }


def print_notes(line: SpectrometerLine) -> None:
    """Tell the person at the terminal what to know about the sample."""
    for note in line.device.probe.notes:
        print(f"note: {note}", file=sys.stderr)


async def serve(
    device: Spectrometer,
    substances: Mapping[str, Substance],
    faults: FaultPlan,
    options: argparse.Namespace,
) -> None:
    """Run until SIGINT or SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with (
        SpectrometerLine(device, link=options.link, faults=faults) as line,
        asyncio.TaskGroup() as tasks,
    ):
        print(options.link or line.path, flush=True)
        print(
            f"{device.model.title}, serial number {device.serial_number}, {device.baud} baud, "
            f"presents: {device.probe.sample.label}. Open the path raw; Ctrl-C ends; "
            "'present urea in ldpe' changes the sample.",
            file=sys.stderr,
            flush=True,
        )
        print_notes(line)
        console = Console(line, substances, tasks)
        console.listen()
        await stop.wait()
        console.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 = stopped as asked, 2 = cannot start."""
    options = build_parser().parse_args(arguments)
    try:
        substances = load_substances()
        if options.list_samples:
            print_samples(substances)
            return 0
        faults = FaultPlan([parse_fault(text, LINE_KINDS) for text in options.fault], options.seed)
        sample = choose_sample(options, substances)
        device = Spectrometer(
            MODELS[options.model],
            substances,
            seed=options.seed,
            baud=options.baud,
            laser_drift_nm=_checked_drift(options.laser_drift),
        )
        device.present(sample)
        asyncio.run(serve(device, substances, faults, options))
    except (WorldError, FaultError, LibraryError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"cannot provide the port {options.link or ''}: {error}", file=sys.stderr)
        return 2
    return 0


def print_samples(substances: Mapping[str, Substance]) -> None:
    """Show every substance and container that can be presented."""
    for substance in substances.values():
        what = f"{len(substance.bands)} bands" if substance.bands else "no Raman bands"
        print(f"{substance.substance_id:32} {substance.name} ({what})")
    print(f"containers: {', '.join(CONTAINERS)}")


if __name__ == "__main__":
    sys.exit(main())
