"""Checks the compiled firmware against the budgets of the boards: `python -m hardware.sizes`.

Compiles every module for every board and prints a table of the bytes of each .mpy, of the base
without drivers, of what each driver adds, and of the fullest node: the largest spectrometer with
the largest scanner, document reader and scale. That one must fit; nobody needs all drivers at once.
The last line is one JSON object. Exit status 1 when a board's `SIZES` is exceeded.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hardware import families
from hardware.families import KINDS, FamilyError
from hardware.image import (
    BOARDS,
    Budget,
    ImageError,
    compile_tree,
    find_modules,
    read_budget,
)


@dataclass(frozen=True, slots=True)
class Sums:
    """What the modules of a board come to, in bytes of .mpy.

    Attributes:
        base_bytes: without any driver.
        driver_bytes: what each driver adds to that.
        fullest: the drivers of the fullest node.
        fullest_bytes: all that such a node needs.
    """

    base_bytes: int
    driver_bytes: dict[str, int]
    fullest: tuple[str, ...]
    fullest_bytes: int


def add_up(board: str, sizes: dict[str, int]) -> Sums:
    """Return the sums of a board.

    Args:
        board: one of BOARDS.
        sizes: {module: bytes of its .mpy}.

    Raises:
        FamilyError: a driver does not say what it is for.
    """

    def total(drivers: tuple[str, ...]) -> int:
        return sum(sizes.get(name, 0) for name in find_modules(board, drivers))

    base_bytes = total(())
    added = {family: total((family,)) - base_bytes for family in families.find()}
    by_kind: dict[str, list[str]] = {}
    for family in added:
        by_kind.setdefault(families.kind_of(family), []).append(family)
    fullest = tuple(max(by_kind[kind], key=added.__getitem__) for kind in KINDS if kind in by_kind)
    return Sums(base_bytes, added, fullest, total(fullest))


def find_excesses(sizes: dict[str, int], budget: Budget, sums: Sums) -> list[str]:
    """Return what is larger than a board's budget allows, a sentence each.

    Args:
        sizes: {module: bytes of its .mpy}.
        budget: of the board.
        sums: of the same modules.
    """
    found = [
        f"{name}.mpy has {size:,} bytes for {budget.architecture}, "
        f"{size - budget.module_bytes_max:,} more than a module may have; split it"
        for name, size in sorted(sizes.items())
        if size > budget.module_bytes_max
    ]
    if sums.fullest_bytes > budget.total_bytes_max:
        found.append(
            f"a node with {', '.join(sums.fullest)} has {sums.fullest_bytes:,} bytes for "
            f"{budget.architecture}, {sums.fullest_bytes - budget.total_bytes_max:,} more than the "
            "board gives them"
        )
    return found


def measure() -> dict[str, dict[str, int]]:
    """Compile for every board; return {board: {module: bytes}}.

    Raises:
        ImageError: mpy-cross is missing or refuses a module.
    """
    with tempfile.TemporaryDirectory() as folder:
        return {board: compile_tree(board, Path(folder) / board) for board in BOARDS}


def show(
    found: dict[str, dict[str, int]], budgets: dict[str, Budget], sums: dict[str, Sums]
) -> list[str]:
    """Return the lines of the table: modules and sums down, boards across."""
    names = sorted({name for sizes in found.values() for name in sizes})
    heads = [f"{board} ({budgets[board].architecture})" for board in found]
    wide = [max(12, len(head)) for head in heads]

    def line(first: str, cells: list[str]) -> str:
        padded = [cell.rjust(width) for cell, width in zip(cells, wide, strict=True)]
        return f"{first:<30}  {'  '.join(padded)}"

    lines = [line("bytes of .mpy", heads)]
    lines += [line(name, [f"{sizes.get(name, 0):,}" for sizes in found.values()]) for name in names]
    lines.append(line("base, no driver", [f"{each.base_bytes:,}" for each in sums.values()]))
    lines += [
        line(f"+ {family}", [f"{each.driver_bytes[family]:,}" for each in sums.values()])
        for family in families.find()
    ]
    lines.append(line("the fullest node", [f"{each.fullest_bytes:,}" for each in sums.values()]))
    lines.append(line("it may have", [f"{budgets[board].total_bytes_max:,}" for board in found]))
    largest = [f"{budgets[board].module_bytes_max:,}" for board in found]
    lines.append(line("a module may have", largest))
    lines += [f"the fullest node of {board}: {', '.join(sums[board].fullest)}" for board in found]
    return lines


def main() -> int:
    """Print the table and what exceeds it; return the exit status."""
    try:
        found = measure()
        budgets = {board: read_budget(board) for board in BOARDS}
        sums = {board: add_up(board, sizes) for board, sizes in found.items()}
    except (ImageError, FamilyError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a program for a terminal
        return 2
    excesses = [
        text for board in found for text in find_excesses(found[board], budgets[board], sums[board])
    ]
    for text in show(found, budgets, sums):
        print(text)  # noqa: T201
    for text in excesses:
        print(f"error: {text}", file=sys.stderr)  # noqa: T201
    figures = {
        board: {
            "architecture": budgets[board].architecture,
            "modules": len(sizes),
            "largest_bytes": max(sizes.values()),
            "base_bytes": sums[board].base_bytes,
            "driver_bytes": sums[board].driver_bytes,
            "fullest": sums[board].fullest,
            "total_bytes": sums[board].fullest_bytes,
        }
        for board, sizes in found.items()
    }
    print(json.dumps({"boards": figures, "excesses": len(excesses)}))  # noqa: T201
    return 1 if excesses else 0


if __name__ == "__main__":
    sys.exit(main())
