"""Checks the types of the firmware with MicroPython's stubs: `python -m hardware.typed`.

mypy runs once per board, over everything that board runs: its own modules, the node, the drivers
and the protocol, with what MicroPython offers on that board (`requirements-stubs.txt`, unpacked in
.venv/stubs) in place of CPython's standard library. What it is told stands in firmware/mypy.ini.
Exit status 1 when one run finds something.
"""

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from hardware.image import BESIDE

ROOT = Path(__file__).resolve().parent.parent
STUBS = ROOT / ".venv/stubs"
# Board: the folder of its stubs.
BOARDS = {"unix": "unix", "esp32_s3": "esp32", "pico2_w": "rp2-rpi-pico2-w"}
# Boards and drivers are loaded by name, so nothing else holds them against what the node asks.
FITS = """
from boards.{board} import Board
from node import typed

board: typed.Board = Board("")
"""
FITS_DRIVER = """
from drivers.{family} import driver as {family}

def fits_{family}(settings: typed.{settings}) -> typed.{kind}:
    return {family}.Driver(board, settings)
"""
# By KIND of the driver: what of node.json it gets, and what the node asks of it.
KINDS = {"spectrometer": ("InstrumentSettings", "Driver"), "reader": ("ReaderSettings", "Reader")}


def check(board: str, root: Path = ROOT) -> int:
    """Run mypy for one board; return its exit status.

    Args:
        board: one of BOARDS.
        root: folder that firmware/ and protocol/ lie in.

    Raises:
        FileNotFoundError: the stubs are not installed, or mypy brings no `_io`.
    """
    stubs, stdlib = STUBS / BOARDS[board], STUBS / "stdlib"
    for folder in (stubs, stdlib):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is missing; run make setup")
    firmware = root / "firmware"
    checked = [firmware / name for name in ("main.py", "node", "drivers")]
    checked += [firmware / f"boards/{name}.py" for name in (board, *BESIDE[board])]
    with tempfile.TemporaryDirectory() as made:
        extra = Path(made)
        # The stubs of the standard library refer to this module of typeshed and leave it out.
        (extra / "_io.pyi").write_text(_read_typeshed("_io.pyi"), encoding="utf-8")
        fits = extra / "fits.py"
        fits.write_text(FITS.format(board=board) + _fit_drivers(firmware), encoding="utf-8")
        path = (extra, stubs, stdlib, firmware, root)
        command: list[str | Path] = [
            *(sys.executable, "-m", "mypy", "--config-file", firmware / "mypy.ini"),
            *("--custom-typeshed-dir", stdlib, "--platform", "linux", "--no-site-packages"),
            *("--cache-dir", root / f".mypy_cache/{board}"),
            *(*checked, root / "protocol", fits),
        ]
        found = {**os.environ, "MYPYPATH": os.pathsep.join(map(str, path))}
        return subprocess.run(command, cwd=root, env=found, check=False).returncode


def _fit_drivers(firmware: Path) -> str:
    """Return a function for each driver that holds it against what its kind must be."""
    text = ""
    for path in sorted((firmware / "drivers").glob("*/driver.py")):
        source = path.read_text(encoding="utf-8")
        kind = next((kind for kind in KINDS if f'KIND = "{kind}"' in source), "spectrometer")
        settings, protocol = KINDS[kind]
        text += FITS_DRIVER.format(family=path.parent.name, settings=settings, kind=protocol)
    return text


def _read_typeshed(name: str) -> str:
    spec = find_spec("mypy")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("mypy is not installed; run make setup")
    return (Path(spec.origin).parent / "typeshed/stdlib" / name).read_text(encoding="utf-8")


def main() -> int:
    """Check every board."""
    status = 0
    for board in BOARDS:
        print(f"== mypy, firmware of {board}", flush=True)  # noqa: T201 - who runs it reads it
        status |= check(board) != 0
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
