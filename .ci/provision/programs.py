"""The two real programs that are not Python: mosquitto and MicroPython, under `.tools`.

A suitable one on PATH is taken; else Debian's or Ubuntu's package is unpacked into
`.tools/<name>`. `.tools/bin/<name>` is then a link to the former, or a script that starts the
latter with its libraries.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision import files
from provision.debian import PrivateApt, Source, System, in_suite, private_apt, read_system
from provision.terminal import SetupError, complain, run, say, step

if TYPE_CHECKING:
    from collections.abc import Callable

RECIPE = "1"  # raised when what lies under .tools must be made anew
SHORT_S_MAX = 60.0
MICROPYTHON = (1, 25)  # the version the firmware is written for and tested on
MICROPYTHON_SUITE = "trixie"  # the Debian release that has it
MICROPYTHON_ASK = (
    "import sys, asyncio, termios, ffi, hashlib, binascii, select, socket; "
    "print(sys.implementation.name, *sys.implementation.version[:3])"
)
MOSQUITTO_FIRST, MOSQUITTO_END = (2, 0), (3, 0)
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")  # daemons, off users' PATH
ARCHITECTURES = {  # Debian's name: folder of libraries, dynamic loader
    "amd64": ("x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
    "arm64": ("aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
}


@dataclass(frozen=True, slots=True)
class Program:
    """A program of `.tools/bin`.

    Attributes:
        name: its file name.
        wanted: which versions do, in words.
        version: runs it and gives its version; raises `SetupError` when that version does not do.
        fetch: unpacks it from packages.
    """

    name: str
    wanted: str
    version: Callable[[Path], str]
    fetch: Callable[[Path, System], None]


def mosquitto_version(path: Path) -> str:
    """Give the version of a mosquitto that does."""
    # With -h it says its version and ends with a status of its own liking.
    ask: list[str | Path] = ["sh", "-c", '"$0" -h || :', path]
    text = run(ask, remedy="put mosquitto 2.x on PATH", seconds_max=SHORT_S_MAX)
    match = re.search(r"mosquitto version (\d+)\.(\d+)\S*", text)
    if match is None:
        last = text.strip().splitlines()[-1:] or ["nothing"]
        raise SetupError(f"{path} gave no version but: {last[0]}; put mosquitto 2.x on PATH")
    if not MOSQUITTO_FIRST <= (int(match[1]), int(match[2])) < MOSQUITTO_END:
        raise SetupError(f"{path} is {match[0]}, wanted is 2.x")
    return match[0].split()[-1]


def micropython_version(path: Path) -> str:
    """Give the version of a MicroPython that does: 1.25, on macOS also a newer one."""
    remedy = "put a MicroPython 1.25 with asyncio, ffi and termios on PATH"
    text = run([path, "-c", MICROPYTHON_ASK], remedy=remedy, seconds_max=SHORT_S_MAX)
    match = re.fullmatch(r"micropython (\d+) (\d+) (\d+)\s*", text)
    if match is None:
        raise SetupError(f"{path} is not MicroPython; it printed {text[:80]!r}")
    version = (int(match[1]), int(match[2]))
    newer = sys.platform == "darwin" and version > MICROPYTHON
    if version != MICROPYTHON and not newer:
        raise SetupError(f"{path} is MicroPython {match[1]}.{match[2]}, wanted is 1.25")
    return ".".join(match.groups())


def fetch_mosquitto(root: Path, system: System) -> None:
    """Unpack the running release's mosquitto, to run with the system's C library."""
    with private_apt(root, system.sources) as apt:
        _need(apt, "mosquitto", "2.", f"{system.family} {system.codename}")
        _unpack(apt, "mosquitto", root, system=False)
    folder = root / ".tools/mosquitto"
    libraries = _libraries(folder, system)
    program = shlex.quote(str(folder / "usr/sbin/mosquitto"))
    _write_script(root, "mosquitto", f"LD_LIBRARY_PATH={libraries} exec {program}")


def fetch_micropython(root: Path, system: System) -> None:
    """Unpack MicroPython 1.25 with its own C library and loader, so that any release runs it."""
    suite = MICROPYTHON_SUITE if system.family == "debian" else system.codename
    sources = system.sources
    if system.family == "debian":
        sources = in_suite(sources, system.codename, suite)
    try:
        _fetch_micropython(root, sources, f"{system.family} {suite}")
    except SetupError as error:
        if "NO_PUBKEY" not in error.output:
            raise
        raise SetupError(
            f"the keys of this system do not know {suite}; upgrade them "
            "(apt install --only-upgrade debian-archive-keyring), or put MicroPython 1.25 on PATH",
            error.output,
        ) from error
    folder = root / ".tools/micropython"
    loader = next(iter(sorted(folder.glob(f"**/{ARCHITECTURES[system.architecture][1]}"))), None)
    if loader is None:
        raise SetupError(f"the packages of {suite} have no loader; put MicroPython 1.25 on PATH")
    program = shlex.quote(str(folder / "usr/bin/micropython"))
    libraries = _libraries(folder, system)
    start = f"exec {shlex.quote(str(loader))} --library-path {libraries} {program}"
    _write_script(root, "micropython", start)


def _fetch_micropython(root: Path, sources: list[Source], where: str) -> None:
    with private_apt(root, sources) as apt:
        _need(apt, "micropython", "1.25.", where)
        _unpack(apt, "micropython", root, system=True)


def _need(apt: PrivateApt, package: str, version: str, where: str) -> None:
    candidate = apt.candidate(package)
    if candidate is None or not candidate.removeprefix("1:").startswith(version):
        raise SetupError(
            f"the packages of {where} have {package} {candidate or 'not at all'}, wanted is "
            f"{version}x; build or install {package} {version}x yourself and put it on PATH"
        )
    say(f"  {package} {candidate} from the packages of {where}")


def _unpack(apt: PrivateApt, package: str, root: Path, *, system: bool) -> None:
    into = apt.folder / "root"
    apt.unpack(apt.with_libraries(package, system=system), into)
    unused = [into / "usr/share", into / "etc", into / "var", *into.glob("**/gconv")]
    for folder in unused:  # manuals, services, character sets: most of what is unpacked
        shutil.rmtree(folder, ignore_errors=True)
    files.put_folder(into, root / ".tools" / package)


def _libraries(folder: Path, system: System) -> str:
    """Give the folders of libraries, quoted for a shell."""
    triplet = ARCHITECTURES[system.architecture][0]
    return shlex.quote(f"{folder}/usr/lib/{triplet}:{folder}/lib/{triplet}")


def _write_script(root: Path, name: str, start: str) -> None:
    text = f'#!/bin/sh\n# Written by make tools.\n{start} "$@"\n'
    files.write_whole(root / ".tools/bin" / name, text, mode=0o755)


PROGRAMS = (
    Program("mosquitto", "mosquitto 2.x", mosquitto_version, fetch_mosquitto),
    Program("micropython", "MicroPython 1.25", micropython_version, fetch_micropython),
)


def ensure_programs(root: Path) -> None:
    """Bring `.tools/bin` to hold both programs; at once when it does already.

    Args:
        root: the project's folder.

    Raises:
        SetupError: one of them cannot be had; the others are set up all the same.
    """
    ready = root / ".tools/ready"
    stamp = {"recipe": RECIPE, "folder": str(root)}
    current = files.read_stamp(ready) == stamp
    missing = []
    for program in PROGRAMS:
        try:
            _ensure(root, program, current=current)
        except SetupError as error:
            complain(error)
            missing.append(program.wanted)
    if missing:
        ready.unlink(missing_ok=True)
        raise SetupError(f"without {' and '.join(missing)} this target cannot run")
    files.write_stamp(ready, stamp)


def _ensure(root: Path, program: Program, *, current: bool) -> None:
    place = root / ".tools/bin" / program.name
    if current and _version(program, place) is not None:
        return
    for path in _on_path(program.name):
        version = _version(program, path)
        if version is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            place.symlink_to(path)
            say(f"{program.name} {version} is on this system: {path}")
            return
    system = read_system()
    if system is None or system.architecture not in ARCHITECTURES or not system.sources:
        raise SetupError(_how_to_get(program, system))
    with step(f"fetching {program.wanted} into .tools, without touching the system"):
        program.fetch(root, system)
        program.version(place)


def _how_to_get(program: Program, system: System | None) -> str:
    if sys.platform == "darwin":
        return f"{program.wanted} is missing; brew install {program.name}"
    if system is None:
        return (
            f"{program.wanted} is not on PATH, and this is neither Debian nor Ubuntu; "
            "install it with this system's packages or build it, and put it on PATH"
        )
    if system.architecture not in ARCHITECTURES:
        return (
            f"{program.wanted} is not on PATH, and its packages are fetched only for "
            f"{' and '.join(ARCHITECTURES)}, not {system.architecture}; put it on PATH"
        )
    return (
        f"{program.wanted} is not on PATH, and apt on this system names no archive of "
        f"{system.codename or 'its release'}; repair /etc/apt/sources.list, or put it on PATH"
    )


def _on_path(name: str) -> list[Path]:
    found = [shutil.which(name), *(shutil.which(name, path=folder) for folder in SYSTEM_FOLDERS)]
    return [Path(path) for path in dict.fromkeys(found) if path is not None]


def _version(program: Program, path: Path) -> str | None:
    """Give the version of a program that does; None when it is absent or does not do."""
    try:
        return program.version(path)
    except SetupError:
        return None


def describe(root: Path) -> list[tuple[bool, str]]:
    """Say for each program whether it is in place, which version, and whence."""
    lines = []
    for program in PROGRAMS:
        place = root / ".tools/bin" / program.name
        version = _version(program, place)
        if version is None:
            lines.append((False, f"{program.name}: not in place; run make tools"))
        else:
            whence = place.resolve() if place.is_symlink() else ".tools, from packages"
            lines.append((True, f"{program.name}: {version} ({whence})"))
    return lines
