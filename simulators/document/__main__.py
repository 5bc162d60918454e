"""The simulator as a program: `python -m simulators.document`.

The first line on standard output is the port to open. Standard input takes one command a line:
COMMANDS, and those of every instrument.
"""

import argparse
import sys
from collections.abc import Coroutine
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from simulators import instrument, sides
from simulators.document.device import BAUD_DEFAULT, BAUDS, FRAMINGS, DocumentReader
from simulators.document.specimen import WIDTHS, Document, parse
from simulators.line import Line

COMMANDS: Final[instrument.Commands] = {
    "present KIND [forged]": f"a drawn document, read once: {', '.join(WIDTHS)}; the person is "
    "nobody, the state Utopia; forged: one digit of the date of birth changed, and no check digit",
    "present LINE|LINE": "lines of your own",
    "repeat": "read what lies there again",
    "misread": "have the next reading come out wrong",
}
EPILOG: Final = """\
each reading of a document is a reply; the fault checksum spoils the digit over all fields.

example (paste it; Ctrl-C ends):
  python -m simulators.document --link /tmp/document --framing stx --misread 0.5
  present TD3
  present TD1 forged
  repeat
  status
what a program reads, in another terminal before the first document:
  cat -v /tmp/document
a node reads it with this among the readers of its node.json:
  {"driver": "document", "port": "/tmp/document", "baud": 9600}"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = instrument.build_parser(
        "python -m simulators.document",
        "A reader of travel documents on a pseudo-terminal: swipe or full page, MRZ as ASCII.",
        BAUDS,
        BAUD_DEFAULT,
        commands=COMMANDS,
        epilog=EPILOG,
    )
    parser.add_argument(
        "--framing",
        choices=FRAMINGS,
        default="cr",
        help="cr, crlf, lf: behind each line; stx: STX, CR behind each line, ETX; one: all lines "
        "in one, CR; bare: all in one and nothing behind (%(default)s)",
    )
    parser.add_argument("--prefix", default="", metavar="TEXT", help="before the first line, ASCII")
    parser.add_argument("--suffix", default="", metavar="TEXT", help="behind the last line, ASCII")
    parser.add_argument(
        "--around-lines", action="store_true", help="send prefix and suffix around each line"
    )
    parser.add_argument(
        "--misread",
        type=float,
        default=0.0,
        metavar="PART",
        help="part of the readings in which O and 0, I and 1, B and 8 or S and 5 are confused, "
        "0 to 1 (%(default)s)",
    )
    return parser


def describe(line: Line[DocumentReader]) -> dict[str, object]:
    """What the reader has done so far, for people and scripts; nothing of a document."""
    document = line.device.document
    return {
        **instrument.counts(line),
        "document": None if document is None else document.kind,
        **asdict(line.device.counts),
    }


def start(options: argparse.Namespace) -> Coroutine[Any, Any, None]:
    """Make the reader and its line; return what serves them.

    Raises:
        WorldError, FaultError: it cannot be as asked.
    """
    device = DocumentReader(
        framing=options.framing,
        prefix=options.prefix,
        suffix=options.suffix,
        around_lines=options.around_lines,
        misread=options.misread,
        seed=options.seed,
        baud=options.baud,
    )
    rng = np.random.default_rng(options.seed)
    line = Line(device, link=options.link, faults=instrument.plan_faults(options))

    def present(text: str) -> None:
        device.present(parse(text, rng))
        line.speak()

    def repeat(_: str) -> None:
        device.repeat()
        line.speak()

    def misread(_: str) -> None:
        device.misread_next = True

    told = (
        f"Document reader, {device.baud} baud, framing {options.framing}. Open the path raw; "
        "Ctrl-C ends; 'present TD3' reads a passport."
    )
    verbs = {"present": present, "repeat": repeat, "misread": misread}

    def show(lines: sides.Lines) -> None:
        device.present(Document(lines.kind, lines.lines))
        line.speak()

    verbs |= instrument.act_verbs(options, "document", line, show)
    return instrument.serve(line, told, verbs, lambda: describe(line))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 = stopped as asked, 2 = cannot start."""
    options = build_parser().parse_args(arguments)
    return instrument.run(options, lambda: start(options))


if __name__ == "__main__":
    sys.exit(main())
