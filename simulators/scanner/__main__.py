"""`python -m simulators.scanner`: a scanner to connect to, from the command line.

The first line on standard output is the device path. Standard input takes commands while it runs,
one per line: COMMANDS, and those of every instrument.
"""

import argparse
import sys
from collections.abc import Coroutine
from dataclasses import asdict
from typing import Any, Final

from simulators import instrument, sides
from simulators.errors import WorldError
from simulators.scanner.codes import CONTENT_BYTES_MAX, Code, made, parse_code, unescape
from simulators.scanner.device import Scanner, ScannerLine

BAUDS = (1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200)
BAUD = 9_600
AFFIX_BYTES_MAX = 8
PACE_S_MAX = 10.0
EVERY_S_MAX = 86_400.0
COMMANDS: Final[instrument.Commands] = {
    "scan [AIM] TEXT": r"a code, with its AIM identifier such as ]C1 or without; in the text \x1d "
    r"is GS, \xNN any byte, \\ \r \n \t as usual",
    "random [good|bad]": "a code drawn by --seed: goods, pallets, containers, waybills, links, "
    "plain bytes; a bad one is a label that is printed wrong",
    "again": "the newest once more",
}
EPILOG: Final = r"""each code is a reply, or with --pace each character; the fault checksum spoils
the check digit of a GTIN, an SSCC, a container or a waybill. Several scan lines at once are one
burst. A scanner is not spoken to: what comes in is ignored.

example (paste it; Ctrl-C ends):
  python -m simulators.scanner --link /tmp/scanner --suffix '\r' --fault drop,at=2,bytes=3
  scan ]C1 0198412345678908\x1d10LOT
  random bad
  status
what a program reads, in another terminal before the scan:
  cat -v /tmp/scanner
a node reads it with this among the readers of its node.json:
  {"driver": "scanner", "port": "/tmp/scanner", "baud": 9600}"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = instrument.build_parser(
        "python -m simulators.scanner",
        "A barcode scanner on a pseudo-terminal: each code is a line.",
        BAUDS,
        BAUD,
        commands=COMMANDS,
        epilog=EPILOG,
    )
    parser.add_argument("--prefix", default="", metavar="TEXT", help=r"before a code, such as \x02")
    parser.add_argument(
        "--suffix", default=r"\r\n", metavar="TEXT", help=r"after a code (default \r\n); '': none"
    )
    parser.add_argument("--no-aim", action="store_true", help="send no AIM identifiers")
    parser.add_argument(
        "--pace",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="type, so long between characters (%(default)s: a code at once)",
    )
    parser.add_argument(
        "--every",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="draw and scan a code so often (%(default)s: never)",
    )
    parser.add_argument(
        "--bad",
        type=float,
        default=0.0,
        metavar="PART",
        help="of those, labels that are wrong: 0 to 1 (%(default)s)",
    )
    return parser


def describe(line: ScannerLine) -> dict[str, object]:
    """What the scanner has done so far, for people and scripts."""
    newest = line.device.newest
    return {
        **instrument.counts(line),
        "newest": None if newest is None else shown(newest),
        **asdict(line.device.counts),
    }


def shown(code: Code) -> str:
    """Return a code as a person reads it."""
    return f"{code.symbology} {code.content.decode('ascii', 'backslashreplace')}".strip()


def start(options: argparse.Namespace) -> Coroutine[Any, Any, None]:
    """Make the scanner and its line; return what serves them.

    Raises:
        WorldError, FaultError: it cannot be as asked.
    """
    for name, value, most in (
        ("--pace", options.pace, PACE_S_MAX),
        ("--every", options.every, EVERY_S_MAX),
        ("--bad", options.bad, 1.0),
    ):
        if not 0.0 <= value <= most:
            raise WorldError(f"{name} {value:g}: give 0 to {most:g}")
    device = Scanner(
        seed=options.seed,
        baud=options.baud,
        prefix=_affix("--prefix", options.prefix),
        suffix=_affix("--suffix", options.suffix),
        has_aim=not options.no_aim,
        pace_s=options.pace,
        every_s=options.every,
        bad_part=options.bad,
    )
    line = ScannerLine(device, link=options.link, faults=instrument.plan_faults(options))
    told = (
        f"barcode scanner, {device.baud} baud, reads codes of up to {CONTENT_BYTES_MAX} bytes. Open"
        " the path raw; Ctrl-C ends; 'scan ]E0 4006381333931' scans, 'random' draws."
    )
    verbs = {
        "scan": lambda rest: tell(line, parse_code(rest)),
        "random": lambda rest: tell(line, device.draw(is_good=_is_good(rest))),
        "again": lambda _: tell(line, _newest(line)),
    }

    def show(code: sides.Code) -> None:
        line.scan(made(code.symbology, code.content))

    verbs |= instrument.act_verbs(options, "scanner", line, show)
    return instrument.serve(line, told, verbs, lambda: describe(line))


def tell(line: ScannerLine, code: Code) -> None:
    """Scan a code and say so."""
    line.scan(code)
    print(f"scanned: {shown(code)[:120]}", file=sys.stderr)


def _newest(line: ScannerLine) -> Code:
    if line.device.newest is None:
        raise WorldError("again: nothing was scanned yet")
    return line.device.newest


def _is_good(rest: str) -> bool:
    if rest not in ("", "good", "bad"):
        raise WorldError(f"random '{rest}': give nothing, good or bad")
    return rest != "bad"


def _affix(name: str, text: str) -> bytes:
    affix = unescape(text)
    if len(affix) > AFFIX_BYTES_MAX:
        raise WorldError(f"{name} has {len(affix)} bytes; give at most {AFFIX_BYTES_MAX}")
    return affix


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 = stopped as asked, 2 = cannot start."""
    options = build_parser().parse_args(arguments)
    return instrument.run(options, lambda: start(options))


if __name__ == "__main__":
    sys.exit(main())
