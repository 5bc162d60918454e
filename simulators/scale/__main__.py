"""`python -m simulators.scale`: a scale to connect to, from the command line.

The first line on standard output is the device path. Standard input takes commands while it runs,
one per line; `--help` lists them.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any

from simulators import instrument, sides
from simulators.errors import WorldError
from simulators.line import Line
from simulators.scale.device import BAUD_DEFAULT, BAUDS, Scale
from simulators.scale.pan import PIECES, SHAKE_S_MAX, UNITS, Build, parse_mass

SHAKE_S_DEFAULT = 2.0
COUNTS_MIN = 100  # of a scale's display: fewer is a letter scale
COUNTS_MAX = 100_000_000
VERBS = """commands on standard input while it runs, one a line:
  place 12.5 kg       put something on top of what lies there
  remove [2 kg]       take everything off, or a part
  shake [SECONDS]     bump into the table
  wind COUNTS         let the air move it by so many counts; 0 ends it
  pan off, pan on     take the pan away (underload), lay it on again
  tare, zero, print   press that key
  unit UNIT           weigh in another unit: {units}
  unplug [SECONDS], reset, status"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = instrument.build_parser(
        "python -m simulators.scale",
        "A scale speaking MT-SICS, levels 0 and 1, on a pseudo-terminal.",
        BAUDS,
        BAUD_DEFAULT,
    )
    usual = Build()
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    units = ", ".join((*UNITS, PIECES))
    faults = (parser.epilog or "").replace("; ", "\n  ").replace("faults: ", "faults:\n  ")
    parser.epilog = f"{VERBS.format(units=units)}\n\n{faults}"
    parser.add_argument("--load", default="0 g", metavar="MASS", help="what lies on it, as 12.5 kg")
    parser.add_argument("--capacity", default="60 kg", metavar="MASS", help="the most it weighs")
    parser.add_argument("--readability", default="1 g", metavar="MASS", help="one count")
    parser.add_argument("--unit", choices=(*UNITS, PIECES), help="of its display")
    parser.add_argument("--level", type=int, choices=(0, 1), default=1, help="of MT-SICS")
    parser.add_argument(
        "--settle", type=float, default=usual.settle_s, metavar="S", help="time constant of swing"
    )
    parser.add_argument(
        "--noise",
        type=float,
        default=usual.noise_counts,
        metavar="COUNTS",
        help="of the last digit",
    )
    parser.add_argument(
        "--drift",
        type=float,
        default=usual.drift_counts_min,
        metavar="COUNTS",
        help="by which the zero creeps in a minute, at most",
    )
    parser.add_argument("--wind", default="0", metavar="COUNTS", help="how much the air moves it")
    return parser


def make(options: argparse.Namespace, now_s: float) -> Scale:
    """Return the scale that the command line describes.

    Raises:
        WorldError: it cannot be.
    """
    capacity_g, readability_g = parse_mass(options.capacity), parse_mass(options.readability)
    if not readability_g or not COUNTS_MIN <= capacity_g / readability_g <= COUNTS_MAX:
        raise WorldError(
            f"a capacity of {options.capacity} and a readability of {options.readability}: a scale "
            f"has {COUNTS_MIN} to {COUNTS_MAX:,} counts"
        )
    for name, low in (("settle", 0.01), ("noise", 0.0), ("drift", 0.0)):
        value = getattr(options, name)
        if not low <= value <= 1_000:
            raise WorldError(f"--{name} {value:g}: give {low:g} to 1000")
    build = Build(
        capacity_g=capacity_g,
        readability_g=readability_g,
        settle_s=options.settle,
        noise_counts=options.noise,
        drift_counts_min=options.drift,
    )
    scale = Scale(build, seed=options.seed, now_s=now_s, baud=options.baud, level=options.level)
    if options.unit is not None:
        scale.pan.unit = options.unit
    scale.pan.wind_counts = _number("wind", options.wind, 1e6)
    scale.place(parse_mass(options.load), now_s)
    return scale


def _number(what: str, text: str, most: float) -> float:
    """Return a number from 0 to `most`.

    Raises:
        WorldError: it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= most:
        raise WorldError(f"{what} '{text[:40]}': give a number between 0 and {most:g}")
    return number


def verbs(line: Line[Scale]) -> dict[str, instrument.Verb]:
    """Return what a person can do to the scale while it runs; each raises WorldError."""
    scale = line.device

    def doing(act: Callable[[str, float], None]) -> instrument.Verb:
        def do(rest: str) -> None:
            act(rest, asyncio.get_running_loop().time())
            line.speak()

        return do

    def remove(rest: str, now_s: float) -> None:
        scale.place(-(parse_mass(rest) if rest else scale.pan.load_g), now_s)

    def shake(rest: str, now_s: float) -> None:
        scale.pan.shake(_number("shake", rest or str(SHAKE_S_DEFAULT), SHAKE_S_MAX), now_s)

    def wind(rest: str, _now_s: float) -> None:
        scale.pan.wind_counts = _number("wind", rest, 1e6)

    def lift(rest: str, now_s: float) -> None:
        if rest not in ("on", "off"):
            raise WorldError(f"pan '{rest[:40]}': say on or off")
        scale.pan.lift(rest == "on", now_s)

    def key(name: str) -> instrument.Verb:
        return doing(lambda rest, now_s: scale.press(f"{name} {rest}".strip(), now_s))

    return {
        "place": doing(lambda rest, now_s: scale.place(parse_mass(rest), now_s)),
        "remove": doing(remove),
        "shake": doing(shake),
        "wind": doing(wind),
        "pan": doing(lift),
        **{name: key(name) for name in ("tare", "zero", "print", "unit")},
    }


def describe(line: Line[Scale]) -> dict[str, object]:
    """What the scale has done so far, for people and scripts."""
    scale = line.device
    weight = scale.pan.weigh(asyncio.get_running_loop().time())
    return {
        **instrument.counts(line),
        "serial_number": scale.serial_number,
        "load_g": f"{scale.pan.load_g:f}",
        "shows": f"{weight.status} {weight.text}".strip(),
        **asdict(scale.counts),
    }


async def start(options: argparse.Namespace) -> None:
    """Make the scale and its line, and serve them.

    Raises:
        WorldError, FaultError: it cannot be as asked.
    """
    scale = make(options, asyncio.get_running_loop().time())
    line = Line(scale, link=options.link, faults=instrument.plan_faults(options))
    told = (
        f"{scale.pan.build.model}, serial number {scale.serial_number}, {scale.baud} baud, carries "
        f"{scale.pan.load_g:f} g. Open the path raw; Ctrl-C ends; 'place 12.5 kg' puts a drum on."
    )

    def show(mass: sides.Mass) -> None:
        now_s = asyncio.get_running_loop().time()
        scale.place(mass.g - scale.pan.load_g, now_s)  # what lay there is taken away
        line.speak()

    known = verbs(line) | instrument.act_verbs(options, "scale", line, show)
    await instrument.serve(line, told, known, lambda: describe(line))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 = stopped as asked, 2 = cannot start."""
    options = build_parser().parse_args(arguments)

    def run() -> Coroutine[Any, Any, None]:
        return start(options)

    return instrument.run(options, run)


if __name__ == "__main__":
    sys.exit(main())
