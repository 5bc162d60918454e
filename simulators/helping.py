"""How `--help` of a simulator is set: a table of the code becomes two columns for a person."""

import textwrap
from collections.abc import Mapping
from typing import Final

WIDTH: Final = 100
LEFT_MAX: Final = 24  # longer ones have a line of their own


def set_rows(rows: Mapping[str, str]) -> str:
    """Return a table with a word or form on the left and its meaning on the right."""
    left = min(max(map(len, rows)), LEFT_MAX)
    lines: list[str] = []
    for word, meaning in rows.items():
        indent = " " * (left + 4)
        first = f"  {word:{left}}  "
        if len(word) > left:
            lines.append(first.rstrip())
            first = indent
        lines += textwrap.wrap(
            meaning, WIDTH, initial_indent=first, subsequent_indent=indent, break_long_words=False
        )
    return "\n".join(lines)


def set_text(text: str) -> str:
    """Return a paragraph in lines that a terminal has room for."""
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
