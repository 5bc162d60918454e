"""Checks the compiled firmware against the budgets of the boards: `python -m hardware.sizes`.

Compiles every module for every board and prints a table of the bytes of each .mpy and their sum;
the last line is one JSON object. Exit status 1 when a board's `SIZES` is exceeded.
"""

import json
import sys
import tempfile
from pathlib import Path

from hardware.image import BOARDS, Budget, ImageError, compile_tree, read_budget


def find_excesses(sizes: dict[str, int], budget: Budget) -> list[str]:
    """Return what is larger than a board's budget allows, a sentence each.

    Args:
        sizes: {module: bytes of its .mpy}.
        budget: of the board.
    """
    found = [
        f"{name}.mpy has {size:,} bytes for {budget.architecture}, "
        f"{size - budget.module_bytes_max:,} more than a module may have; split it"
        for name, size in sorted(sizes.items())
        if size > budget.module_bytes_max
    ]
    total = sum(sizes.values())
    if total > budget.total_bytes_max:
        found.append(
            f"all modules together have {total:,} bytes for {budget.architecture}, "
            f"{total - budget.total_bytes_max:,} more than the board gives them"
        )
    return found


def measure() -> dict[str, dict[str, int]]:
    """Compile for every board; return {board: {module: bytes}}.

    Raises:
        ImageError: mpy-cross is missing or refuses a module.
    """
    with tempfile.TemporaryDirectory() as folder:
        return {board: compile_tree(board, Path(folder) / board) for board in BOARDS}


def show(found: dict[str, dict[str, int]], budgets: dict[str, Budget]) -> list[str]:
    """Return the lines of the table: modules down, boards across."""
    names = sorted({name for sizes in found.values() for name in sizes})
    heads = [f"{board} ({budgets[board].architecture})" for board in found]
    wide = [max(12, len(head)) for head in heads]

    def line(first: str, cells: list[str]) -> str:
        padded = [cell.rjust(width) for cell, width in zip(cells, wide, strict=True)]
        return f"{first:<24}  {'  '.join(padded)}"

    lines = [line("bytes of .mpy", heads)]
    lines += [line(name, [f"{sizes.get(name, 0):,}" for sizes in found.values()]) for name in names]
    lines.append(line("total", [f"{sum(sizes.values()):,}" for sizes in found.values()]))
    largest = [f"{budgets[board].module_bytes_max:,}" for board in found]
    lines.append(line("a module may have", largest))
    lines.append(line("all may have", [f"{budgets[board].total_bytes_max:,}" for board in found]))
    return lines


def main() -> int:
    """Print the table and what exceeds it; return the exit status."""
    try:
        found = measure()
        budgets = {board: read_budget(board) for board in BOARDS}
    except (ImageError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a program for a terminal
        return 2
    excesses = [text for board in found for text in find_excesses(found[board], budgets[board])]
    for text in show(found, budgets):
        print(text)  # noqa: T201
    for text in excesses:
        print(f"error: {text}", file=sys.stderr)  # noqa: T201
    figures = {
        board: {
            "architecture": budgets[board].architecture,
            "modules": len(sizes),
            "largest_bytes": max(sizes.values()),
            "total_bytes": sum(sizes.values()),
        }
        for board, sizes in found.items()
    }
    print(json.dumps({"boards": figures, "excesses": len(excesses)}))  # noqa: T201
    return 1 if excesses else 0


if __name__ == "__main__":
    sys.exit(main())
