"""`python -m simulators.spectrometer`: an instrument to connect to, from the command line.

The first line on standard output is the device path. Standard input takes commands while it runs,
one per line: COMMANDS, and those of every instrument.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Coroutine, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from gateway.spectra.errors import LibraryError
from simulators import instrument
from simulators.errors import WorldError
from simulators.helping import set_rows
from simulators.spectrometer.ascii_device import BAUD_CODES, AsciiSpectrometer
from simulators.spectrometer.ascii_models import ASCII_MODELS
from simulators.spectrometer.device import BAUDS, Spectrometer
from simulators.spectrometer.line import AsciiLine, SpectrometerLine
from simulators.spectrometer.models import MODELS, Model
from simulators.spectrometer.obp2_device import LaterSpectrometer
from simulators.spectrometer.obp2_models import OBP2_MODELS
from simulators.world import (
    CONTAINERS,
    EMPTY,
    FLUORESCENCE_DEFAULT,
    FLUORESCENCE_MAX,
    FORMS,
    WORDS,
    Sample,
    Substance,
    check_sample,
    load_substances,
    mix,
    parse_fraction,
    parse_sample,
    read_measured,
)

BAUD = 115_200
LASER_DRIFT_NM_MAX = 5.0  # beyond, the filter would stop it

COMMANDS: Final[instrument.Commands] = {
    "present SAMPLE": "hold another sample to the probe, written as below",
    "break": "break its detector: it answers, but has no spectra",
    "mend": "mend it",
    "laser on, laser off": f"the external laser of {', '.join(OBP2_MODELS)}; dark at first",
}
EXAMPLE: Final = """\
example (paste it; Ctrl-C ends):
  python -m simulators.spectrometer --sample "urea in pp" --link /tmp/spectrometer
  present potassium_chlorate=0.6 + sucrose=0.4 in ldpe shade=0.5 seed=7
  status
  unplug 1
a unix node reads it with this in its node.json:
  "instrument": {"driver": "obp", "port": "/tmp/spectrometer", "baud": 115200, "laser_mw": 100}"""

AnyLine = SpectrometerLine | AsciiLine


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = instrument.build_parser(
        "python -m simulators.spectrometer",
        "A Raman spectrometer on a pseudo-terminal, speaking Ocean Binary Protocol, as "
        f"{', '.join(OBP2_MODELS)} version 2 of it or, as {' and '.join(ASCII_MODELS)}, the older "
        "one-letter commands.",
        BAUDS,
        BAUD,
        commands=COMMANDS,
        epilog=explain_samples() + "\n\n" + EXAMPLE,
    )
    parser.add_argument(
        "--sample",
        default=EMPTY,
        metavar="SAMPLE",
        help="what is before the probe at first, such as 'urea in ldpe'; see below (%(default)s)",
    )
    parser.add_argument("--container", choices=CONTAINERS, help="what the sample is in")
    parser.add_argument(
        "--mix",
        action="append",
        default=[],
        metavar="SUBSTANCE=FRACTION",
        help="mix in another substance; that of --sample keeps the rest (repeatable)",
    )
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="two-column spectrum to replay as the sample"
    )
    parser.add_argument(
        "--fluorescence",
        type=float,
        metavar="LEVEL",
        help=f"of the sample: 0 = none, 1 = strong, at most {FLUORESCENCE_MAX:g}",
    )
    known = _models()
    parser.add_argument(
        "--model",
        choices=known,
        default="ventana_785",
        metavar="NAME",
        help="; ".join(f"{name}: {model.title}" for name, model in known.items())
        + " (default %(default)s)",
    )
    parser.add_argument(
        "--laser-line",
        type=Path,
        metavar="FILE",
        help="OBP 2: the laser is on while this file exists, laser.on in the folder of a unix node",
    )
    parser.add_argument(
        "--laser-drift",
        type=float,
        default=0.0,
        metavar="NM",
        help="how far the laser has moved since the maker's calibration; 0.1 moves bands by 1.6",
    )
    parser.add_argument("--list-samples", action="store_true", help="show what there is, and stop")
    return parser


def _models() -> dict[str, Model]:
    """Return every model by its name."""
    old = {name: each.model for name, each in ASCII_MODELS.items()}
    return {**MODELS, **OBP2_MODELS, **old}


def explain_samples() -> str:
    """Return how a sample is written, for `--help`."""
    forms = {**FORMS, "SAMPLE in CONTAINER": f"containers: {', '.join(CONTAINERS)}"}
    words = {f"{word}=": meaning for word, meaning in WORDS.items()}
    return f"a sample:\n{set_rows(forms)}\nwords that may follow it:\n{set_rows(words)}"


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
        if options.sample == EMPTY:
            raise WorldError("--mix goes with --sample SUBSTANCE, which keeps the rest")
        parts = [parse_fraction(text) for text in options.mix]
        sample = Sample(mix([(options.sample, None), *parts]), fluorescence=FLUORESCENCE_DEFAULT)
    else:
        sample = parse_sample(options.sample, substances)
    if options.container is not None:
        sample = replace(sample, container=options.container)
    if options.fluorescence is not None:
        sample = replace(sample, fluorescence=options.fluorescence)
    return check_sample(replace(sample, seed=sample.seed or options.seed), substances)


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


def describe(line: AnyLine) -> dict[str, object]:
    """What the instrument has done so far, for people and scripts."""
    device = line.device
    return {
        **instrument.counts(line),
        "model": device.model.name,
        "serial_number": device.serial_number,
        "sample": device.probe.sample.label,
        "laser_mw": device.probe.laser_mw,
        "detector_c": round(device.probe.temperatures_c(asyncio.get_running_loop().time())[0], 2),
        "is_broken": device.is_broken,
        "laser_on_s": round(device.probe.laser_on_s, 3),
        **asdict(device.counts),
    }


def print_notes(line: AnyLine) -> None:
    """Tell the person at the terminal what to know about the sample."""
    for note in line.device.probe.notes:
        print(f"note: {note}", file=sys.stderr)


def present(line: AnyLine, text: str, substances: Mapping[str, Substance]) -> None:
    """Do the command `present SAMPLE`.

    Raises:
        WorldError: the sample cannot be presented.
    """
    line.present(parse_sample(text, substances))
    print(f"presented: {line.device.probe.sample.label}", file=sys.stderr)
    print_notes(line)


def switch_laser(line: AnyLine, device: LaterSpectrometer, text: str) -> None:
    """Do the command `laser on` or `laser off`: close or open the line that feeds it.

    Raises:
        WorldError: it is neither.
    """
    if text not in ("on", "off"):
        raise WorldError(f"laser '{text}': say on or off")
    device.is_lit = lambda: text == "on"
    line.speak()


def _make_line(options: argparse.Namespace, substances: Mapping[str, Substance]) -> AnyLine:
    """Make the instrument of the model that is asked for, on its line.

    Raises:
        WorldError, FaultError: it cannot be as asked.
    """
    faults, name = instrument.plan_faults(options), options.model
    if options.laser_line is not None and name not in OBP2_MODELS:
        known = ", ".join(OBP2_MODELS)
        raise WorldError(f"--laser-line with model {name}: its laser is its own; use {known}")
    drift_nm = _checked_drift(options.laser_drift)
    if name in MODELS:
        device = Spectrometer(
            MODELS[name],
            substances,
            seed=options.seed,
            baud=options.baud,
            laser_drift_nm=drift_nm,
        )
        return SpectrometerLine(device, link=options.link, faults=faults)
    if name in OBP2_MODELS:
        later = LaterSpectrometer(
            OBP2_MODELS[name],
            substances,
            seed=options.seed,
            baud=options.baud,
            laser_drift_nm=drift_nm,
        )
        if options.laser_line is not None:
            line_file = str(options.laser_line)
            later.is_lit = lambda: os.path.exists(line_file)  # noqa: PTH110 - False, never raises
        return SpectrometerLine(later, link=options.link, faults=faults)
    if options.baud not in BAUD_CODES.values():
        known = ", ".join(map(str, BAUD_CODES.values()))
        raise WorldError(f"{name} at {options.baud} baud: it has {known}")
    old = AsciiSpectrometer(
        ASCII_MODELS[name],
        substances,
        seed=options.seed,
        baud=options.baud,
        laser_drift_nm=drift_nm,
    )
    return AsciiLine(old, link=options.link, faults=faults)


def start(
    options: argparse.Namespace, substances: Mapping[str, Substance]
) -> Coroutine[Any, Any, None]:
    """Make the instrument and its line; return what serves them.

    Raises:
        WorldError, FaultError: it cannot be as asked.
    """
    sample = choose_sample(options, substances)
    line = _make_line(options, substances)
    device = line.device
    device.present(sample)
    told = (
        f"{device.model.title}, serial number {device.serial_number}, {device.baud} baud, "
        f"presents: {device.probe.sample.label}. Open the path raw; Ctrl-C ends; "
        "'present urea in ldpe' changes the sample."
    )
    told = "\n".join([told, *(f"note: {note}" for note in device.probe.notes)])

    def break_detector(is_broken: bool) -> None:  # noqa: FBT001
        device.is_broken = is_broken

    verbs: dict[str, instrument.Verb] = {
        "present": lambda rest: present(line, rest, substances),
        "break": lambda _: break_detector(True),  # noqa: FBT003
        "mend": lambda _: break_detector(False),  # noqa: FBT003
    }
    if isinstance(device, LaterSpectrometer):
        verbs["laser"] = lambda rest: switch_laser(line, device, rest)
    verbs |= instrument.act_verbs(options, "spectrometer", line, line.present)
    return instrument.serve(line, told, verbs, lambda: describe(line))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 = stopped as asked, 2 = cannot start."""
    options = build_parser().parse_args(arguments)
    try:
        substances = load_substances()
    except LibraryError as error:
        print(error, file=sys.stderr)
        return 2
    if options.list_samples:
        print_samples(substances)
        return 0
    return instrument.run(options, lambda: start(options, substances))


def print_samples(substances: Mapping[str, Substance]) -> None:
    """Show every substance and container that can be presented."""
    for substance in substances.values():
        what = f"{len(substance.bands)} bands" if substance.bands else "no Raman bands"
        print(f"{substance.substance_id:32} {substance.name} ({what})")
    print(f"containers: {', '.join(CONTAINERS)}")


if __name__ == "__main__":
    sys.exit(main())
