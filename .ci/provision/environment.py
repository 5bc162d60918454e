"""The virtual environment `.venv`: exactly requirements-dev.txt, and the project itself, editable.

uv does it when it is on PATH, else venv and pip. Wheels only, every one checked against its hash:
no compiler is needed and nothing unpinned is fetched. `.venv/building` marks work that was begun;
where it is found, the folder is of unknown content and made anew. `.venv/stubs` holds what
requirements-stubs.txt locks, each package in a folder of its own.
"""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING

from provision import files
from provision.debian import fetch_pip
from provision.terminal import SetupError, run, say, step

if TYPE_CHECKING:
    from pathlib import Path

INSTALL_S_MAX = 900.0  # about 100 MB of wheels; ten minutes at 1.5 Mbit/s
SHORT_S_MAX = 120.0  # what needs no network
NETWORK = "check the network and the package index set for pip or uv, then run make again"
WHEELS_ONLY = ("--require-hashes", "--only-binary", ":all:")
STUBS = "requirements-stubs.txt"
KEPT = {"pip", "harmattan"}  # what no lock names and belongs here all the same
# Certificates of the system, as pip uses them, so that uv works behind the same gateways.
UV = {"UV_NATIVE_TLS": "1", "UV_SYSTEM_CERTS": "1", "UV_LINK_MODE": "copy"}
PIP = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_REQUIRE_VIRTUALENV": "0"}


def ensure_environment(root: Path) -> None:
    """Bring `.venv` to what the lock says; at once when it is there already.

    Args:
        root: the project's folder.

    Raises:
        SetupError: an interpreter, a package or the network is missing.
    """
    venv = root / ".venv"
    stamp = {
        "lock": files.digest(root / "requirements-dev.txt"),
        "stubs": files.digest(root / STUBS) if (root / STUBS).exists() else "",
        "project": files.digest(root / "pyproject.toml"),
        "folder": str(root),
    }
    found = files.read_stamp(venv / "ready")
    here = found.get("folder", str(root)) == str(root)
    usable = here and not (venv / "building").exists() and _starts(venv)
    if usable and found == stamp:
        (venv / "ready").touch()
        return
    (venv / "ready").unlink(missing_ok=True)
    if venv.exists() and not usable:
        say("removing a .venv that is unfinished, was moved or does not start")
        shutil.rmtree(venv)
    if not usable or found.get("lock") != stamp["lock"]:
        _install_lock(root, venv)
    if not usable or found.get("stubs", "") != stamp["stubs"]:
        _install_stubs(root, venv)
    _install_project(root, venv)
    (venv / "building").unlink(missing_ok=True)
    files.write_stamp(venv / "ready", stamp)


def describe(root: Path) -> tuple[bool, str]:
    """Say whether `.venv` is in place, and what is in it."""
    python = root / ".venv/bin/python"
    if not (root / ".venv/ready").exists() or not _starts(root / ".venv"):
        return False, ".venv: not set up; run make setup"
    version = run([python, "-V"], remedy="run make setup", seconds_max=SHORT_S_MAX).strip()
    return True, f".venv: {version}, {len(_locked(root))} locked packages"


def _starts(venv: Path) -> bool:
    """Whether the environment's interpreter runs, and is not older than the locks allow."""
    ask = "import sys; print(sys.version_info >= (3, 11))"
    try:
        answer = run([venv / "bin/python", "-c", ask], remedy="", seconds_max=SHORT_S_MAX)
    except SetupError:
        return False
    return answer.strip() == "True"


def _install_lock(root: Path, venv: Path) -> None:
    venv.mkdir(exist_ok=True)
    (venv / "building").touch()
    uv = shutil.which("uv")
    if uv is not None:
        try:
            _install_with_uv(uv, root, venv)
        except SetupError as error:
            # uv reads its own index settings; a machine may have set up pip alone.
            say(f"  uv did not manage ({error}); going on with pip")
            shutil.rmtree(venv)
            venv.mkdir()
            (venv / "building").touch()
        else:
            return
    _install_with_pip(root, venv)


def _install_with_uv(uv: str, root: Path, venv: Path) -> None:
    python, lock = venv / "bin/python", root / "requirements-dev.txt"
    with step(f"setting up .venv with uv and Python {sys.version.split()[0]}"):
        run(
            [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, venv],
            remedy=NETWORK,
            seconds_max=SHORT_S_MAX,
            env=UV,
        )
        run(
            [uv, "pip", "sync", "--quiet", "--python", python, *WHEELS_ONLY, lock],
            remedy=NETWORK,
            seconds_max=INSTALL_S_MAX,
            env=UV,
        )


def _install_with_pip(root: Path, venv: Path) -> None:
    lock = root / "requirements-dev.txt"
    with step(f"setting up .venv with Python {sys.version.split()[0]}"):
        if not (venv / "bin/python").exists():
            run(
                [sys.executable, "-m", "venv", "--without-pip", venv],
                remedy="install Python's venv module (Debian, Ubuntu: apt install python3-venv)",
                seconds_max=SHORT_S_MAX,
            )
        _ensure_pip(root, venv)
    with step(f"installing {len(_locked(root))} locked packages (about 100 MB)"):
        run(
            [venv / "bin/python", "-m", "pip", "install", "--quiet", *WHEELS_ONLY, "-r", lock],
            remedy=NETWORK,
            seconds_max=INSTALL_S_MAX,
            env=PIP,
        )
        _remove_others(root, venv)


def _ensure_pip(root: Path, venv: Path) -> None:
    """Put pip into the environment; Debian and Ubuntu keep it in packages of their own."""
    python = venv / "bin/python"
    try:
        run([python, "-m", "pip", "--version"], remedy="", seconds_max=SHORT_S_MAX)
    except SetupError:
        pass
    else:
        return
    try:
        run([python, "-m", "ensurepip", "--default-pip"], remedy="", seconds_max=SHORT_S_MAX)
    except SetupError:
        say("  this Python has no ensurepip; taking pip from the distribution's packages")
    else:
        return
    wheel = fetch_pip(root)
    run(
        [python, wheel / "pip", "install", "--quiet", "--no-index", wheel],
        remedy="install it for the whole system (apt install python3-venv) and run make again",
        seconds_max=SHORT_S_MAX,
        env=PIP,
    )


def _remove_others(root: Path, venv: Path) -> None:
    """Take out what an older lock had put in."""
    listed = run(
        [venv / "bin/python", "-m", "pip", "list", "--format", "freeze", "--exclude-editable"],
        remedy="remove .venv and run make again",
        seconds_max=SHORT_S_MAX,
        env=PIP,
    )
    present = {_canonical(line.split("==")[0]) for line in listed.splitlines() if "==" in line}
    others = sorted(present - _locked(root) - KEPT)
    if others:
        run(
            [venv / "bin/python", "-m", "pip", "uninstall", "--quiet", "--yes", *others],
            remedy="remove .venv and run make again",
            seconds_max=SHORT_S_MAX,
            env=PIP,
        )


def _install_stubs(root: Path, venv: Path) -> None:
    """Unpack each package of stubs apart from the others: their modules have the same names."""
    folder = venv / "stubs"
    shutil.rmtree(folder, ignore_errors=True)
    text = (root / STUBS).read_text(encoding="utf-8") if (root / STUBS).exists() else ""
    whole = re.findall(r"(?m)^[A-Za-z0-9._-]+==(?:.*\\\n)*.*$", text)
    if not whole:
        return
    folder.mkdir()
    with step(f"unpacking {len(whole)} packages of MicroPython's type stubs"):
        for entry in whole:
            name = _canonical(entry.split("==")[0])
            name = name.removeprefix("micropython-").removesuffix("-stubs")
            lock = folder / f"{name}.txt"
            lock.write_text(entry + "\n", encoding="utf-8")
            how: list[str | Path] = [
                "--quiet",
                "--no-deps",
                *WHEELS_ONLY,
                "--target",
                folder / name,
                "-r",
                lock,
            ]
            _install_apart(root, venv, how)


def _install_apart(root: Path, venv: Path, how: list[str | Path]) -> None:
    """Install outside of the environment proper: with uv, and where it does not manage with pip."""
    uv, python = shutil.which("uv"), venv / "bin/python"
    if uv is not None:
        command = [uv, "pip", "install", "--python", python, *how]
        try:
            run(command, remedy=NETWORK, seconds_max=INSTALL_S_MAX, env=UV)
        except SetupError as error:
            say(f"  uv did not manage ({error}); going on with pip")
        else:
            return
    _ensure_pip(root, venv)
    command = [python, "-m", "pip", "install", *how]
    run(command, remedy=NETWORK, seconds_max=INSTALL_S_MAX, env=PIP)


def _install_project(root: Path, venv: Path) -> None:
    """Install the project itself; its build backend is in the lock, so nothing is fetched."""
    uv = shutil.which("uv")
    python = venv / "bin/python"
    how: list[str | Path] = ["--quiet", "--no-deps", "--no-build-isolation", "--editable", root]
    with step("installing harmattan itself, editable"):
        if uv is not None and not (venv / "bin/pip").exists():
            command = [uv, "pip", "install", "--offline", "--python", python, *how]
        else:
            _ensure_pip(root, venv)
            command = [python, "-m", "pip", "install", "--no-index", *how]
        run(
            command,
            remedy="see the lines above; pyproject.toml or README.md is at fault",
            seconds_max=SHORT_S_MAX,
            env={**UV, **PIP},
        )


def _locked(root: Path) -> set[str]:
    """Names in the lock, canonical."""
    text = (root / "requirements-dev.txt").read_text(encoding="utf-8")
    return {_canonical(name) for name in re.findall(r"(?m)^([A-Za-z0-9._-]+)==", text)}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
