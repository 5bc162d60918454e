"""`harmattan service`: the files that make a post start by itself under systemd.

They are shipped for an installation in /opt/harmattan; here they get the paths of this one.
"""

import os
import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway import settings
from gateway.errors import SettingsError
from gateway.shipped import read_shipped

app = typer.Typer(
    help="Have systemd run the gateway: units, the user, the folder.", no_args_is_help=True
)

SHIPPED_PROGRAM: Final = "/opt/harmattan/bin/harmattan"
SHIPPED_PORT: Final = "define nodes_port = 8883"
SHIPPED_SETTINGS: Final = "/var/lib/harmattan/post/post.toml"
STATE_FOLDER: Final = Path("/var/lib/harmattan")  # StateDirectory= of the unit
HIDDEN: Final = frozenset({"home", "root", "run", "tmp"})  # by ProtectHome= and PrivateTmp=
_PLAIN: Final = re.compile(r"/[\w./+@-]*")  # systemd gives blanks, %, $, quotes a meaning


class File(StrEnum):
    """What systemd is given, and what nftables may be."""

    unit = "unit"
    sysusers = "sysusers"
    tmpfiles = "tmpfiles"
    firewall = "firewall"


PLACES: Final = {
    File.unit: ("harmattan.service", "etc/systemd/system/harmattan.service"),
    File.sysusers: ("harmattan.sysusers", "etc/sysusers.d/harmattan.conf"),
    File.tmpfiles: ("harmattan.tmpfiles", "etc/tmpfiles.d/harmattan.conf"),
    File.firewall: ("harmattan.nft", "etc/harmattan.nft"),
}
INSTALLED: Final = (File.unit, File.sysusers, File.tmpfiles)  # a firewall is the technician's own

SettingsPath = Annotated[
    Path, typer.Option("--settings", "-s", help="The post's TOML file, as systemd will see it.")
]


def render(file: File, program: Path, settings_path: Path) -> str:
    """Return one of the files with these paths.

    Args:
        file: which.
        program: absolute path of the command `harmattan`.
        settings_path: absolute path of the post's settings.

    Raises:
        SettingsError: a path cannot be told to systemd.
    """
    text = read_shipped(PLACES[file][0])
    for what, path in (("command", program), ("settings file", settings_path)):
        if not _PLAIN.fullmatch(str(path)):
            raise SettingsError(
                f"the {what} {str(path)!r} cannot be told to systemd; choose an absolute path of"
                " letters, digits and . / + @ _ -"
            )
    text = text.replace(SHIPPED_PROGRAM, str(program)).replace(SHIPPED_SETTINGS, str(settings_path))
    if file is File.firewall:
        return text.replace(SHIPPED_PORT, f"define nodes_port = {_nodes_port(settings_path)}")
    if file is File.unit:
        for folder in dict.fromkeys((settings_path.parent, *_directory(settings_path))):
            if folder.is_relative_to(STATE_FOLDER):
                continue
            if not _PLAIN.fullmatch(str(folder)):
                raise SettingsError(
                    f"directory {str(folder)!r} cannot be told to systemd; choose an absolute path"
                    " of letters, digits and . / + @ _ -"
                )
            text = text.replace("UMask=", f"ReadWritePaths={folder}\nUMask=")
    return text


def _directory(settings_path: Path) -> tuple[Path, ...]:
    """Return where the post keeps its journal; nothing while there are no settings yet."""
    try:
        return (Path(settings.load(settings_path).directory),)
    except SettingsError:
        return ()


def _nodes_port(settings_path: Path) -> int:
    """Return where nodes connect, which is where they do by default while there are no settings."""
    try:
        return settings.load(settings_path).broker.nodes.port
    except SettingsError:
        return settings.NodeListenerSettings().port


def own_program() -> Path:
    """Return the command `harmattan` of this installation."""
    return Path(os.path.abspath(sys.executable)).parent / "harmattan"  # noqa: PTH100 - a venv's
    # interpreter is a link, and what it points to has no harmattan beside it


@app.command()
def show(
    file: Annotated[File, typer.Argument(help="Which of them.")] = File.unit,
    settings_path: SettingsPath = Path(SHIPPED_SETTINGS),
) -> None:
    """Print one of the files, with the paths of this installation."""
    sys.stdout.write(render(file, own_program(), settings_path))


@app.command()
def install(
    settings_path: SettingsPath = Path(SHIPPED_SETTINGS),
    root: Annotated[Path, typer.Option(help="Of the system, such as a mounted card.")] = Path("/"),
) -> None:
    """Write all of them to their places under /etc. Changes of your own: `systemctl edit`."""
    texts = {
        root / PLACES[file][1]: render(file, own_program(), settings_path) for file in INSTALLED
    }
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(path.name + ".new")
            fresh.write_text(text, encoding="utf-8")
            fresh.chmod(0o644)
            fresh.replace(path)
            sys.stdout.write(f"wrote {path}\n")
    except OSError as error:
        raise SettingsError(
            f"{error.filename}: {error.strerror}; run this as root, or give --root"
        ) from error
    for path in (own_program(), settings_path):
        if path.parts[1] in HIDDEN:
            sys.stderr.write(
                f"harmattan: {path}: the unit hides /{path.parts[1]} from the service; install into"
                " /opt and keep the post under /var/lib\n"
            )
    folder = settings_path.parent
    made = f"  install -d -o harmattan -g harmattan -m 0700 {folder}\n"
    if folder.is_relative_to(STATE_FOLDER):  # which is the user's already
        made = ""
    sys.stdout.write(
        "Next, as root:\n"
        "  systemd-sysusers && systemd-tmpfiles --create harmattan.conf\n"
        f"{made}"
        f"  runuser -u harmattan -- {own_program()} init {folder}   # a new post; then edit"
        f" {settings_path}\n"
        "  systemctl daemon-reload && systemctl enable --now harmattan\n"
    )
