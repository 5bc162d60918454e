"""The command `harmattan`: run a post, look at it, identify spectra in files.

Rules of the file
- What needs numpy and scipy is imported where it is needed: they take a second to load, and
  `status` is asked often, and on small computers.
"""

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from gateway import settings
from gateway.errors import GatewayError, SettingsError
from gateway.journal.store import FILE_NAME
from gateway.library.commands import app as library_app
from gateway.lock import is_running
from gateway.observe import log as logging
from gateway.observe import status as observing

app = typer.Typer(
    help="Sensor system of a border post: reads instruments, recognises precursors, alerts people.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(library_app, name="library")

EXIT_FAULT = 2  # the command could not do its work; the reason is on standard error
EXIT_UNWELL = 1  # `status`: somebody should look
# 0 is well. A wrong command line ends with 2 as well.

SettingsPath = Annotated[
    Path, typer.Option("--settings", "-s", help="The post's TOML file.", show_default=True)
]


class LogForm(StrEnum):
    """How the log is written."""

    console = "console"
    json = "json"


class Language(StrEnum):
    """The languages of the sentences."""

    en = "en"
    fr = "fr"
    ar = "ar"
    es = "es"


@app.command()
def run(
    settings_path: SettingsPath = Path("post.toml"),
    log: Annotated[LogForm, typer.Option(help="Form of the log.")] = LogForm.console,
) -> None:
    """Run the gateway of a post until Ctrl-C or SIGTERM. Exit status 2 when it cannot start."""
    from gateway import post  # noqa: PLC0415 - see the rules of the file

    loaded = settings.load(settings_path)
    post.serve(loaded, *logging.start(log.value))


@app.command()
def status(
    settings_path: SettingsPath = Path("post.toml"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,  # noqa: FBT002
) -> None:
    """Show what the post is doing.

    Exit status: 0 all is well, 1 somebody should look, 2 it cannot be told.
    """
    loaded = settings.load(settings_path)
    directory = Path(loaded.directory)
    now_ms = time.time_ns() // 1_000_000
    found = observing.read(
        loaded, directory / FILE_NAME, running=is_running(directory), now_ms=now_ms
    )
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        observing.show(found, Console(), now_ms)
    if not found.is_well:
        raise typer.Exit(EXIT_UNWELL)


@app.command()
def identify(  # noqa: PLR0913, PLR0917 - the options of the command
    files: Annotated[list[Path], typer.Argument(help="Two columns, JCAMP-DX or Galactic SPC.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per file.")] = False,  # noqa: FBT002
    language: Annotated[Language, typer.Option(help="Of the sentences.")] = Language.en,
    axis_uncertainty_cm1: Annotated[
        float, typer.Option(min=0.5, max=5.0, help="How far the files' axes may be off, in cm^-1.")
    ] = 2.0,
    library: Annotated[
        Path | None, typer.Option(help="Folder of a library: its specimens and packages too.")
    ] = None,
    lists: Annotated[Path | None, typer.Option(help="Folder of national watchlists.")] = None,
    calibrate_with: Annotated[
        str, typer.Option(metavar="STANDARD=FILE", help="Calibrate the files by this spectrum.")
    ] = "",
    calibration: Annotated[
        Path | None, typer.Option(help="What `harmattan calibrate --save` has written.")
    ] = None,
    at_length: Annotated[bool, typer.Option("--explain", help="Explain band by band.")] = False,  # noqa: FBT002
    plot: Annotated[
        Path | None, typer.Option(help="Draw the verdict on one file into this SVG file.")
    ] = None,
) -> None:
    """Identify the substances in measured spectra and give a verdict for each file."""
    from gateway import calibration as calibrating  # noqa: PLC0415 - see the rules of the file
    from gateway import identify as identification  # noqa: PLC0415

    raise typer.Exit(
        identification.run(
            files,
            as_json=as_json,
            language=language.value,
            axis_uncertainty_cm1=axis_uncertainty_cm1,
            calibration=calibrating.for_files(calibrate_with, calibration),
            at_length=at_length,
            plot=plot,
            console=Console(),
            library_directory=library,
            lists_directory=lists,
        )
    )


@app.command()
def calibrate(
    file: Annotated[Path | None, typer.Argument(help="Spectrum of the standard.")] = None,
    standard: Annotated[
        str, typer.Option(help="What was measured: polystyrene, cyclohexane, paracetamol, ...")
    ] = "polystyrene",
    node: Annotated[
        str, typer.Option(help="Have this node of the post measure it now, instead of a file.")
    ] = "",
    settings_path: SettingsPath = Path("post.toml"),
    save: Annotated[Path | None, typer.Option(help="Keep the calibration in this file.")] = None,
    response: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="CERTIFICATE GLASS", help="Correct intensities by an SRM 224x."),
    ] = None,
    wait_s: Annotated[
        float, typer.Option(min=1.0, max=600.0, help="How long to wait for the node.")
    ] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,  # noqa: FBT002
) -> None:
    """Set an instrument's axis by a measured standard.

    Exit status: 0 valid, 1 the standard does not set the axis, 2 it was not measured or not read.
    """
    from gateway import calibration as calibrating  # noqa: PLC0415 - see the rules of the file

    if (file is None) == (not node):
        raise SettingsError("give a spectrum of the standard, or --node NODE: one of the two")
    if file is None:
        if save is not None or response is not None:
            raise SettingsError(
                "--save and --response go with a file; a node's is kept at the post"
            )
        status = calibrating.run_node(
            settings.load(settings_path),
            node,
            standard,
            as_json=as_json,
            wait_s=wait_s,
            console=Console(),
        )
    else:
        status = calibrating.run_files(
            file, standard, as_json=as_json, save=save, response=response, console=Console()
        )
    raise typer.Exit(status)


@app.command("calibrate-lamp")
def calibrate_lamp(
    file: Annotated[Path, typer.Argument(help="Pixel number and counts of a neon lamp.")],
    stored: Annotated[
        str, typer.Option(help="The instrument's coefficients, such as 800.3,0.142,-1.2e-5.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,  # noqa: FBT002
) -> None:
    """Fit an instrument's wavelength axis to the spectrum of a neon lamp.

    Exit status: 0 fitted, 1 the lamp gives no axis, 2 the file cannot be read.
    """
    from gateway import calibration as calibrating  # noqa: PLC0415 - see the rules of the file

    raise typer.Exit(calibrating.run_lamp(file, stored, as_json=as_json, console=Console()))


def main() -> None:
    """Run the command; a fault is one sentence on standard error, never a traceback."""
    try:
        app()
    except GatewayError as error:
        sys.stderr.write(f"harmattan: {error}\n")
        raise SystemExit(EXIT_FAULT) from None
