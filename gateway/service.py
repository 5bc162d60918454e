"""`harmattan service`: the files that make a post start by itself under systemd.

They are shipped for an installation in /opt/harmattan; here they get the paths of this one.
"""

import os
import pwd
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
USER: Final = "harmattan"
# Folders that are for more than one program (Filesystem Hierarchy Standard 3.0), and those in which
# nothing is a post's.
SYSTEM: Final = frozenset(
    map(
        Path,
        """
        / /etc /etc/opt /home /media /mnt /opt /root /run /srv /tmp
        /var /var/cache /var/lib /var/local /var/lock /var/log /var/mail /var/opt /var/run
        /var/spool /var/tmp /etc/systemd /etc/systemd/system /etc/sysusers.d
        /etc/tmpfiles.d /var/lib/systemd /var/lib/dpkg
        """.split(),
    )
)
CLOSED: Final = tuple(
    map(Path, "/bin /boot /dev /lib /lib32 /lib64 /proc /sbin /sys /usr /lost+found".split())
)
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
        if not _PLAIN.fullmatch(str(path)) or ".." in path.parts:
            raise SettingsError(
                f"the {what} {str(path)!r} cannot be told to systemd; choose an absolute path of"
                " letters, digits and . / + @ _ - without .."
            )
    text = text.replace(SHIPPED_PROGRAM, str(program)).replace(SHIPPED_SETTINGS, str(settings_path))
    if file is File.firewall:
        return text.replace(SHIPPED_PORT, f"define nodes_port = {_nodes_port(settings_path)}")
    if file is File.unit:
        for folder in dict.fromkeys((settings_path.parent, *_directory(settings_path))):
            if folder.is_relative_to(STATE_FOLDER):
                continue
            _check_own(folder)
            if not _PLAIN.fullmatch(str(folder)):
                raise SettingsError(
                    f"directory {str(folder)!r} cannot be told to systemd; choose an absolute path"
                    " of letters, digits and . / + @ _ -"
                )
            text = text.replace("UMask=", f"ReadWritePaths={folder}\nUMask=")
    return text


def _check_own(folder: Path) -> None:
    """Insist on a folder that can be the post's alone: it is given to the service and closed.

    Raises:
        SettingsError: it is the system's, or somebody's home.
    """
    for place in dict.fromkeys((folder, folder.resolve())):
        homes = {Path(one.pw_dir): one.pw_name for one in pwd.getpwall() if one.pw_name != USER}
        of_whom = f"the home of {homes[place]}" if place in homes else ""
        if place in SYSTEM or any(place.is_relative_to(each) for each in CLOSED):
            of_whom = "the system's"
        if of_whom:
            raise SettingsError(
                f"{folder} is {of_whom}: as the post's folder it would be closed to everybody but"
                f" the service; keep settings and `directory` in a folder of their own, such as"
                f" {Path(SHIPPED_SETTINGS).parent}"
            )


def _check_empty(folder: Path, settings_name: str) -> None:
    """Insist on a folder that holds nothing, or the post already.

    Raises:
        SettingsError: it holds something else.
    """
    try:
        names = {path.name for path in folder.iterdir()} - {"lost+found"}
    except OSError:
        return  # it is made later
    if names and settings_name not in names:
        raise SettingsError(
            f"{folder} holds {min(names)!r} and no {settings_name}: as the post's folder it would"
            " be given to the service; choose one that does not exist or is empty"
        )


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
    folder = settings_path.parent
    if not folder.is_relative_to(STATE_FOLDER):
        _check_empty(root / folder.relative_to("/"), settings_path.name)
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
    made = f"  install -d -o harmattan -g harmattan -m 0700 {folder}\n"
    if folder.is_relative_to(STATE_FOLDER):  # which is the user's already
        made = ""
    then = "edit"  # what `init` makes has the shipped name
    if settings_path.name != Path(SHIPPED_SETTINGS).name:
        then = f"move its {Path(SHIPPED_SETTINGS).name} to, and edit,"
    sys.stdout.write(
        "Next, as root:\n"
        "  systemd-sysusers && systemd-tmpfiles --create harmattan.conf\n"
        f"{made}"
        f"  runuser -u harmattan -- {own_program()} init {folder}   # a new post; then {then}"
        f" {settings_path}\n"
        "  systemctl daemon-reload && systemctl enable --now harmattan\n"
    )
