"""The command `harmattan`: run a post, look at it, identify spectra in files.

Rules of the file
- What needs numpy and scipy is imported where it is needed: they take a second to load, and
  `status` is asked often, and on small computers.
"""

import os
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from gateway import settings, streams
from gateway.errors import GatewayError, SettingsError
from gateway.journal.store import FILE_NAME
from gateway.library.commands import app as library_app
from gateway.lock import check_folder, is_running
from gateway.nodes_commands import app as nodes_app
from gateway.observe import log as logging
from gateway.observe import status as observing
from gateway.observe.screen import show
from gateway.service import app as service_app
from gateway.settings_faults import SettingError
from gateway.starting.commands import init

app = typer.Typer(
    help="Sensor system of a border post: reads instruments, recognises precursors, alerts people.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(library_app, name="library")
app.command("init")(init)
app.add_typer(nodes_app, name="nodes")
app.add_typer(service_app, name="service")

EXIT_FAULT = 2  # the command could not do its work; the reason is on standard error
EXIT_UNWELL = 1  # `status`: somebody should look
EXIT_INTERRUPTED = 130  # as shells say it of a program that Ctrl-C has ended
# 0 is well. A wrong command line ends with 2 as well.

SettingsPath = Annotated[
    Path,
    # Where it cannot be read, our own sentence says what to do.
    typer.Option("--settings", "-s", help="The post's TOML file.", readable=False),
]


class LogForm(StrEnum):
    """How the log is written; see gateway/observe/log.py."""

    console = "console"
    json = "json"
    journal = "journal"


class AxisUnit(StrEnum):
    """What the first column of a file counts."""

    cm1 = "cm-1"
    nm = "nm"


class Language(StrEnum):
    """The languages of the sentences."""

    en = "en"
    fr = "fr"
    ar = "ar"
    es = "es"


DocumentsOption = Annotated[
    bool,
    typer.Option("--documents", help="Persons' data, too: codes whole, travel documents whole."),
]
AxisUnitOption = Annotated[
    AxisUnit | None,
    typer.Option("--axis-unit", help="Of the files' first column, where no title says it."),
]
LaserOption = Annotated[
    float | None,
    typer.Option("--laser-nm", min=200.0, max=2000.0, help="Laser's wavelength in nm."),
]


@app.command()
def run(
    settings_path: SettingsPath = Path("post.toml"),
    log: Annotated[LogForm, typer.Option(help="Form of the log.")] = LogForm.console,
) -> None:
    """Run the gateway of a post until Ctrl-C or SIGTERM. Exit status 2 when it cannot start."""
    from gateway import post  # noqa: PLC0415 - see the rules of the file

    loaded = settings.load(settings_path)
    os.umask(0o077)  # what it writes is for nobody else, but for what says otherwise
    told, lines = logging.start(log.value)
    try:
        post.serve(loaded, told, lines)
    except SettingError as error:
        raise settings.place(settings_path, error) from error
    # All is closed. To take the interpreter down in order would cost more than the whole stop.
    lines.close()
    os._exit(0)


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
    check_folder(directory)
    now_ms = time.time_ns() // 1_000_000
    found = observing.read(
        loaded, directory / FILE_NAME, running=is_running(directory), now_ms=now_ms
    )
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        show(found, Console(), now_ms)
    if not found.is_well:
        raise typer.Exit(EXIT_UNWELL)


@app.command()
def doctor(
    settings_path: SettingsPath = Path("post.toml"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,  # noqa: FBT002
    everything: Annotated[  # noqa: FBT002
        bool, typer.Option("--all", help="Show the checks that are well, too.")
    ] = False,
    rehearse: Annotated[  # noqa: FBT002
        bool,
        typer.Option("--rehearse", help="Practise a full disk and a lost link in a post apart."),
    ] = False,
) -> None:
    """Say what is wrong with the post, why, and what to do; nothing of the post is written.

    Exit status: 0 all is well, 1 somebody should look, 2 something is bad or cannot be told.
    """
    from gateway.doctor import command as examination  # noqa: PLC0415 - see the rules of the file

    raise typer.Exit(
        examination.run(
            settings.load(settings_path),
            settings_path,
            as_json=as_json,
            everything=everything,
            rehearse=rehearse,
            console=Console(),
        )
    )


@app.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    options_metavar="DIR --post POST [--host NAME_OR_ADDRESS] [NODE ...]",
)
def keys(context: typer.Context) -> None:
    """Make the keys of a post and its nodes, on the post or on a computer that stays apart."""
    from hardware import keys as making  # noqa: PLC0415 - see the rules of the file

    raise typer.Exit(making.main(context.args))


@app.command()
def docs(
    page: Annotated[
        str, typer.Argument(metavar="[PAGE[#SECTION]]", help="Such as install#certificates.")
    ] = "",
) -> None:
    """Write a page of the documentation, or a section of it; without a name, list the pages."""
    from gateway import manual  # noqa: PLC0415 - see the rules of the file

    manual.run_docs(page)


@app.command()
def instruments(
    name: Annotated[
        str, typer.Argument(metavar="[DRIVER]", help="Such as obp: its wiring and settings.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,  # noqa: FBT002
) -> None:
    """List the instruments that a node can read, with wiring and settings."""
    from gateway import instruments as known  # noqa: PLC0415 - see the rules of the file

    known.run_instruments(name, Console(), as_json=as_json)


@app.command()
def bundle(
    target: Annotated[Path, typer.Argument(metavar="FILE.zip", help="A new file.")],
    settings_path: SettingsPath = Path("post.toml"),
) -> None:
    """Write a support bundle for somebody who helps from afar; it holds no secret."""
    from gateway.observe import bundle as bundling  # noqa: PLC0415 - see the rules of the file

    bundling.run_bundle(settings_path, target)


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
    calibration_days_max: Annotated[
        int, typer.Option(min=1, max=3650, help="An older calibration counts no more.")
    ] = 30,
    axis_unit: AxisUnitOption = None,
    laser_nm: LaserOption = None,
    average: Annotated[  # noqa: FBT002
        bool, typer.Option("--average", help="The files are exposures of one sample.")
    ] = False,
    at_length: Annotated[bool, typer.Option("--explain", help="Explain band by band.")] = False,  # noqa: FBT002
    plot: Annotated[
        Path | None, typer.Option(help="Draw the verdict on one file into this SVG file.")
    ] = None,
) -> None:
    """Identify the substances in measured spectra and give a verdict for each file."""
    from gateway import calibration as calibrating  # noqa: PLC0415 - see the rules of the file
    from gateway import identify as identification  # noqa: PLC0415
    from gateway.sample import Axis  # noqa: PLC0415

    axis = Axis(axis_unit.value if axis_unit else "", laser_nm or 0.0)
    basis = calibrating.for_files(calibrate_with, calibration, calibration_days_max)
    if basis is not None and basis.text:
        sys.stderr.write(f"harmattan: {basis.text}\n")
    raise typer.Exit(
        identification.run(
            files,
            as_json=as_json,
            language=language.value,
            axis_uncertainty_cm1=axis_uncertainty_cm1,
            basis=basis,
            axis=axis,
            average=average,
            at_length=at_length,
            plot=plot,
            console=Console(),
            library_directory=library,
            lists_directory=lists,
        )
    )


@app.command()
def calibrate(  # noqa: PLR0913, PLR0917 - the options of the command
    file: Annotated[Path | None, typer.Argument(help="Spectrum of the standard.")] = None,
    standard: Annotated[
        str,
        typer.Option(
            help="What is measured: polystyrene, cyclohexane, ...; default of a node: its settings."
        ),
    ] = "",
    node: Annotated[
        str, typer.Option(help="Have this node of the post measure it now, instead of a file.")
    ] = "",
    settings_path: SettingsPath = Path("post.toml"),
    save: Annotated[Path | None, typer.Option(help="Keep the calibration in this file.")] = None,
    response: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="CERTIFICATE GLASS", help="Correct intensities by an SRM 224x."),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(help="With --node: it measures the SRM 224x of this certificate."),
    ] = None,
    instrument: Annotated[
        str, typer.Option(help="Model and serial number, where the file does not say.")
    ] = "",
    measured: Annotated[
        str, typer.Option(metavar="DATE", help="When, year first; else file's words or time.")
    ] = "",
    axis_unit: AxisUnitOption = None,
    laser_nm: LaserOption = None,
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
        if save or response or instrument or measured or axis_unit or laser_nm:
            raise SettingsError(
                "--save, --response, --instrument, --measured, --axis-unit and --laser-nm go with "
                "a file; of a node the post knows all that"
            )
        from gateway import node_calibration as of_node  # noqa: PLC0415

        loaded, console = settings.load(settings_path), Console()
        if certificate is not None:
            status = of_node.run_glass(
                loaded, node, certificate, as_json=as_json, wait_s=wait_s, console=console
            )
        else:
            status = of_node.run_node(
                loaded,
                node,
                standard,
                as_json=as_json,
                wait_s=wait_s,
                console=console,
            )
    else:
        if certificate is not None:
            raise SettingsError("--certificate goes with --node; with a file it is --response")
        if not standard:
            raise SettingsError(
                "--standard is missing: say of what material the file is, for example --standard "
                "polystyrene"
            )
        from gateway.sample import Axis  # noqa: PLC0415

        axis = Axis(axis_unit.value if axis_unit else "", laser_nm or 0.0)
        status = calibrating.run_files(
            file,
            standard,
            said=calibrating.Said(instrument, measured, axis),
            as_json=as_json,
            save=save,
            response=response,
            console=Console(),
        )
    raise typer.Exit(status)


@app.command()
def command(
    node: Annotated[str, typer.Argument(help="A node of the settings.")],
    action: Annotated[
        str,
        typer.Argument(
            help="capture, dark, birth, identify, reboot, laser-off, journal, log, tare, zero or "
            "weigh.",
        ),
    ],
    settings_path: SettingsPath = Path("post.toml"),
    wait_s: Annotated[
        float, typer.Option("--wait", min=0.1, max=600.0, help="How long to wait for the answer.")
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,  # noqa: FBT002
) -> None:
    """Have a node of the running post do something, once, and show its answer.

    Exit status: 0 done, 1 refused or failed, 2 it cannot be asked, 3 expired, 4 no answer in time.
    """
    from gateway.fleet import ordering  # noqa: PLC0415 - see the rules of the file

    loaded = settings.load(settings_path)
    raise typer.Exit(
        ordering.run_command(
            loaded, node, action, as_json=as_json, wait_s=wait_s, console=Console()
        )
    )


@app.command("calibrate-lamp")
def calibrate_lamp(
    file: Annotated[Path, typer.Argument(help="Pixel number and counts of a neon lamp.")],
    stored: Annotated[
        str, typer.Option(help="The instrument's coefficients, such as 800.3,0.142,-1.2e-5.")
    ],
    standard: Annotated[
        str,
        typer.Option(
            metavar="STANDARD=FILE", help="Pixels and counts of a standard: finds the laser."
        ),
    ] = "",
    laser_nm: Annotated[
        float, typer.Option(min=200.0, max=2000.0, help="Nominal wavelength of the laser, in nm.")
    ] = 785.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,  # noqa: FBT002
) -> None:
    """Fit an instrument's wavelength axis to the spectrum of a neon lamp.

    Exit status: 0 fitted, 1 the lamp gives no axis or the standard no laser, 2 a file cannot be
    read.
    """
    from gateway import lamp  # noqa: PLC0415 - see the rules of the file

    raise typer.Exit(
        lamp.run_lamp(
            file, stored, standard=standard, laser_nm=laser_nm, as_json=as_json, console=Console()
        )
    )


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The new file; best on another disk.")],
    settings_path: SettingsPath = Path("post.toml"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,  # noqa: FBT002
) -> None:
    """Copy the post's journal into a new file, also while the gateway runs."""
    from gateway import journal_commands  # noqa: PLC0415 - see the rules of the file

    loaded = settings.load(settings_path)
    check_folder(Path(loaded.directory))
    journal_commands.run_backup(loaded, file, as_json=as_json, console=Console())


@app.command()
def export(  # noqa: PLR0913, PLR0917 - the options of the command
    file: Annotated[Path, typer.Argument(help="The new ZIP file.")],
    settings_path: SettingsPath = Path("post.toml"),
    since: Annotated[str, typer.Option(help="Received on this day (UTC) or later.")] = "",
    until: Annotated[str, typer.Option(help="Received on this day or before.")] = "",
    node: Annotated[list[str] | None, typer.Option(help="Only of this node; repeatable.")] = None,
    alerts: Annotated[bool, typer.Option("--alerts", help="Only what alerts stand on.")] = False,  # noqa: FBT002
    documents: DocumentsOption = False,  # noqa: FBT002
    journal: Annotated[
        Path | None, typer.Option(help="A backup, or a journal that was set aside.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,  # noqa: FBT002
) -> None:
    """Write readings, verdicts and alerts into a ZIP file that needs no Harmattan to be read."""
    from gateway import journal_commands as commands  # noqa: PLC0415 - see the rules of the file
    from gateway.journal.telling import Wanted  # noqa: PLC0415

    wanted = Wanted(
        commands.moment_ms(since),
        commands.moment_ms(until, is_end=True),
        tuple(node or ()),
        alerts,
        documents,
    )
    loaded = settings.load(settings_path) if journal is None else None
    if loaded is not None:
        check_folder(Path(loaded.directory))
    commands.run_export(loaded, journal, file, wanted, as_json=as_json, console=Console())


@app.command()
def scans(
    settings_path: SettingsPath = Path("post.toml"),
    count: Annotated[int, typer.Option(min=1, max=1_000, help="How many.")] = 20,
    documents: DocumentsOption = False,  # noqa: FBT002
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,  # noqa: FBT002
) -> None:
    """Show the newest codes that were scanned, and what is wrong with them.

    Without --documents: of what is known to be about goods, its content; of anything else, its kind
    and length.
    """
    from gateway import scans_commands  # noqa: PLC0415 - see the rules of the file

    loaded = settings.load(settings_path)
    check_folder(Path(loaded.directory))
    scans_commands.run_scans(loaded, count, documents=documents, as_json=as_json, console=Console())


def main() -> None:
    """Run the command; a fault is one sentence on standard error, never a traceback."""
    streams.prepare()
    stream = sys.stdout
    try:
        status = _status()
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    except GatewayError as error:
        streams.complain(f"harmattan: {error}")
        status = EXIT_FAULT
    except OSError as error:
        streams.complain(f"harmattan: {streams.told(error)}")
        status = EXIT_FAULT
    except UnicodeEncodeError as error:  # bytes of a command line that are no text
        streams.complain(f"harmattan: {error.object[:40]!a} is not UTF-8; write it anew")
        status = EXIT_FAULT
    fault = streams.finish(stream)
    if fault and status != EXIT_FAULT:
        streams.complain(f"harmattan: {fault}")
    raise SystemExit(EXIT_FAULT if fault else status)


def _status() -> int | str | None:
    """Run the command and return its exit status, as `SystemExit` takes it."""
    try:
        app()
    except SystemExit as error:
        return error.code
    return 0
