"""`python -m simulators.scale`: a scale to connect to, from the command line.

The first line on standard output is the device path. Standard input takes commands while it runs,
one per line; `--help` lists them.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any, Final

from simulators import instrument, sides
from simulators.errors import WorldError
from simulators.line import Line
from simulators.scale.device import BAUD_DEFAULT, BAUDS, Scale
from simulators.scale.pan import PIECES, SHAKE_S_MAX, UNITS, Build, parse_mass

SHAKE_S_DEFAULT = 2.0
COUNTS_MIN = 100  # of a scale's display: fewer is a letter scale
COUNTS_MAX = 100_000_000
COMMANDS: Final[instrument.Commands] = {
    "place MASS": "put something on top of what lies there, such as 12.5 kg",
    "remove [MASS]": "take everything off, or a part",
    "shake [SECONDS]": f"bump into the table (default {SHAKE_S_DEFAULT:g})",
    "wind COUNTS": "let the air move it by so many counts; 0 ends it",
    "pan off|on": "take the pan away (underload), lay it on again",
    "tare": "press that key: what lies there counts as nothing",
    "zero": "press that key: near zero it shows nothing again",
    "print": "press that key: it sends a weight by itself",
    "unit UNIT": f"weigh in another unit: {', '.join((*UNITS, PIECES))}",
}
EPILOG: Final = """\
MT-SICS has no checksum: the fault checksum does nothing here.

example (paste it; Ctrl-C ends):
  python -m simulators.scale --load "2 kg" --link /tmp/scale --fault stall,at=3,seconds=2
  place 500 g
  shake 1
  status
what a program is answered, in another terminal:
  exec 3<>/tmp/scale; printf 'S\\r\\n' >&3; head -n 1 <&3
a node reads it with this among the readers of its node.json:
  {"driver": "mt_sics", "port": "/tmp/scale", "baud": 9600}"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = instrument.build_parser(
        "python -m simulators.scale",
        "A scale speaking MT-SICS, levels 0 and 1, on a pseudo-terminal.",
        BAUDS,
        BAUD_DEFAULT,
        commands=COMMANDS,
        epilog=EPILOG,
    )
    usual = Build()
    parser.add_argument(
        "--load",
        default="0 g",
        metavar="MASS",
        help=f"what lies on it, as 12.5 kg; units: {', '.join(UNITS)} (%(default)s)",
    )
    parser.add_argument(
        "--capacity", default="60 kg", metavar="MASS", help="the most it weighs (%(default)s)"
    )
    parser.add_argument(
        "--readability", default="1 g", metavar="MASS", help="one count (%(default)s)"
    )
    parser.add_argument(
        "--unit",
        choices=(*UNITS, PIECES),
        help="of its display (kg; g where one count is less than a gram)",
    )
    parser.add_argument(
        "--level", type=int, choices=(0, 1), default=1, help="of MT-SICS (%(default)s)"
    )
    parser.add_argument(
        "--settle",
        type=float,
        default=usual.settle_s,
        metavar="S",
        help="time constant of its swing (%(default)s)",
    )
    parser.add_argument(
        "--noise",
        type=float,
        default=usual.noise_counts,
        metavar="COUNTS",
        help="of the last digit (%(default)s)",
    )
    parser.add_argument(
        "--drift",
        type=float,
        default=usual.drift_counts_min,
        metavar="COUNTS",
        help="by which the zero creeps in a minute, at most (%(default)s)",
    )
    parser.add_argument(
        "--wind", default="0", metavar="COUNTS", help="how much the air moves it (%(default)s)"
    )
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
