"""`harmattan init`: make a post, or look at one that is made.

Rules of the file
- Standard output carries the result (with --json nothing else).
- Exit status: 0 made, or nothing to mend; 1 `--check` found something; 2 it could not be done.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from gateway import settings, streams
from gateway.errors import SettingsError

if TYPE_CHECKING:
    from gateway.starting.findings import Report
    from gateway.starting.init import Made

EXIT_FOUND = 1


def init(  # noqa: PLR0913, PLR0917 - the options of the command
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The post's folder.", readable=False)
    ],
    check: Annotated[  # noqa: FBT002
        bool, typer.Option("--check", help="Make nothing; look at the post that is there.")
    ] = False,
    post: Annotated[
        str, typer.Option(help="Name of the post in topics and alerts; default: that of DIR.")
    ] = "",
    language: Annotated[str, typer.Option(help="Of the sentences: en, fr, ar or es.")] = "en",
    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Let nodes connect to this address; without: this machine only."
        ),
    ] = "",
    host: Annotated[
        list[str] | None, typer.Option(help="Another name or address nodes find the broker by.")
    ] = None,
    node: Annotated[
        list[str] | None, typer.Option(help="A node that may speak; its keys are made too.")
    ] = None,
    administrator: Annotated[str, typer.Option(help="Name of the first person.")] = "administrator",
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Of the broker on loopback.")
    ] = settings.BrokerSettings().port,
    nodes_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Of its listener for nodes.")
    ] = settings.NodeListenerSettings().port,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,  # noqa: FBT002
) -> None:
    """Make a post in DIR: settings, keys, broker's files, database, administrator. Or --check it.

    Exit status: 0 made or well, 1 --check found something to mend, 2 it could not be done.
    """
    from gateway.starting import init as making  # noqa: PLC0415 - see gateway/cli.py

    if check:
        _check(folder, as_json=as_json)
        return
    if language not in settings.LANGUAGES:
        raise SettingsError(f"--language {language[:40]!r}: use {', '.join(settings.LANGUAGES)}")
    answers = making.Answers(
        post=post or _name_of(making.whole_path(folder)),
        language=language,
        listen=listen,
        hosts=tuple(host or ()),
        nodes=tuple(node or ()),
        administrator=administrator,
        port=port,
        nodes_port=nodes_port,
    )
    os.umask(0o077)
    is_new = not os.path.lexists(folder)
    made = making.make_post(folder, answers, dt.datetime.now(dt.UTC))
    try:
        if as_json:
            sys.stdout.write(msgspec.json.encode(made).decode() + "\n")
        else:
            _show_made(made, Console())
        sys.stdout.flush()
    except BaseException as error:  # its only password is lost with it
        making.unmake(Path(made.folder), is_new=is_new)
        if isinstance(error, OSError):
            raise SettingsError(
                f"{streams.told(error)}; nobody would know the password, so nothing is made"
            ) from error
        raise


def _name_of(folder: Path) -> str:
    """Return the folder's name as that of the post.

    Raises:
        SettingsError: it will not do.
    """
    name = folder.name.lower()
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name):
        raise SettingsError(
            f"--post is missing, and the folder's name {name[:40]!r} will not do; use 1 to 32 of"
            " a-z, 0-9 and -"
        )
    return name


def _show_made(made: Made, console: Console) -> None:
    """Say what was made, what to do next, and the password, which nobody can say again."""
    folder = made.folder

    def say(text: str, style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=True)

    say(f"post {made.post} is made in {folder}", "bold green")
    say(f"  settings            {folder}/post.toml, every key with its range")
    say(f"  keys                {folder}/keys; keep ca-key.pem apart, then remove it here")
    say(f"  broker's name       {', '.join(made.broker_names)}; a node's `name` in node.json")
    nodes = sorted({file.split("/")[2] for file in made.files if file.startswith("keys/nodes/")})
    for node in nodes:
        say(f"  node {node:<15}move {folder}/keys/nodes/{node} to that node, as `keys`")
    if not nodes:
        say(f"  nodes               harmattan keys {folder}/keys --post {made.post} NODE")
        say("                      makes a node's keys; then add [[nodes]] to the settings")
    say(f"  next                harmattan run --settings {folder}/post.toml")
    say(f"  administrator       {made.administrator}")
    say(f"  password            {made.password}", "bold")
    say("                      write it down: it is kept nowhere and cannot be shown again")
    for path in made.left:
        say(f"  left behind         {path}, by an init that was killed; remove it", "yellow")


def _check(folder: Path, *, as_json: bool) -> None:
    from gateway.starting import check as checking  # noqa: PLC0415 - see gateway/cli.py
    from gateway.starting.init import whole_path  # noqa: PLC0415

    whole_path(folder)  # of a name that cannot be shown nothing is
    report = checking.check(folder, dt.datetime.now(dt.UTC))
    if as_json:
        told = {**msgspec.to_builtins(report), "is_well": report.is_well}
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    else:
        _show_report(report, Console())
    if not report.is_well:
        raise typer.Exit(EXIT_FOUND)


def _show_report(report: Report, console: Console) -> None:
    for found in report.found:
        head = Text(f"{found.subject}: ", style="bold red" if found.is_fault else "bold yellow")
        console.print(head, Text(found.text), sep="", soft_wrap=True)
    faults = sum(found.is_fault for found in report.found)
    looked = f"looked at {', '.join(report.checked)}"
    if faults:
        console.print(Text(f"{looked}: {faults} to mend", style="bold red"), soft_wrap=True)
    else:
        console.print(Text(f"{looked}: this post can run", style="bold green"), soft_wrap=True)
