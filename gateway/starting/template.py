"""The commented settings that a new post begins with, made from the example that is shipped."""

import re
from collections.abc import Mapping
from importlib import resources
from typing import Final

import msgspec

from gateway.settings_lines import Path, find_lines

EXAMPLE: Final = "post.example.toml"
_NODES: Final = "[[nodes]]"


def example() -> str:
    """Return the shipped example: every key with its default, its range and its meaning."""
    return resources.files("gateway.starting").joinpath(EXAMPLE).read_text(encoding="utf-8")


def fill(text: str, values: Mapping[Path, str | int], nodes: tuple[str, ...]) -> str:
    """Return the example with these values; every comment stays.

    Args:
        text: the example.
        values: by the key's path; a key may stand there as a comment, which becomes a setting.
        nodes: ids, each with a table of its own; without any the example's is a comment.

    Raises:
        KeyError: the example has no such key.
    """
    rows = text.split("\n")
    for path, value in values.items():
        rows[_row(rows, path)] = _set(rows[_row(rows, path)], str(path[-1]), value)
    first = rows.index(next(row for row in rows if row.startswith(_NODES)))
    last = first + next(i for i, row in enumerate(rows[first:]) if not row)
    table = rows[first:last]
    if not nodes:
        rows[first:last] = [f"# {row}" for row in table]
        return "\n".join(rows)
    at = next(i for i, row in enumerate(table) if row.startswith("id = "))
    table[at] = _set(table[at], "id", nodes[0])
    # What the example sets although it is no default holds for every node.
    differs = [row for row in table if row.startswith("exposure = ")]
    others = [
        line for node in nodes[1:] for line in ("", _NODES, f"id = {_quoted(node)}", *differs)
    ]
    rows[first:last] = [*table, *others]
    return "\n".join(rows)


def _row(rows: list[str], path: Path) -> int:
    """Return the index of the row on which a key stands, as a setting or as a comment."""
    lines = find_lines("\n".join(rows))
    if path in lines:
        return lines[path] - 1
    start = lines[path[:-1]] if len(path) > 1 else 0
    for index in range(start, len(rows)):
        if rows[index].startswith(f"# {path[-1]} = "):
            return index
        if rows[index].startswith("["):
            break
    raise KeyError(path)


def _set(row: str, key: str, value: str | int) -> str:
    """Return a row with another value, its comment where it was as far as there is room."""
    found = re.fullmatch(rf"(?:# )?{key} = (?:\"[^\"]*\"|\S+)(?P<gap> *)(?P<comment>#.*)?", row)
    if found is None:
        raise KeyError(key)
    setting = f"{key} = {value if isinstance(value, int) else _quoted(value)}"
    if found["comment"] is None:
        return setting
    return setting.ljust(found.start("comment") - 2) + "  " + found["comment"]


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")
