"""SPEC.md as the tests read it: its clauses, its tables, and the clauses that tests name."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from protocol import limits

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "protocol/SPEC.md"

_CLAUSE = re.compile(r"^\*\*(\d+\.\d+)\*\* ", re.MULTILINE)
_NAMED = re.compile(r"\bSPEC (\d+\.\d+)")
_ROW = re.compile(r"^\|(.+)\|$", re.MULTILINE)


def clauses() -> dict[str, str]:
    """Return the text of every clause, its tables included, by number."""
    text = SPEC.read_text()
    marks = list(_CLAUSE.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return {
        mark.group(1): text[mark.end() : end].split("\n## ")[0]
        for mark, end in zip(marks, ends, strict=True)
    }


def numbers() -> list[str]:
    """Return the numbers of all clauses in the order of the text, doubles included."""
    return _CLAUSE.findall(SPEC.read_text())


def table(clause: str) -> list[list[str]]:
    """Return the rows of the table in a clause, heading and rule left out."""
    rows = [
        [cell.strip().strip("`") for cell in row.split("|")]
        for row in _ROW.findall(clauses()[clause])
    ]
    return rows[2:]


def named_by_tests() -> Iterator[tuple[str, str]]:
    """Yield clause and place for each clause that a test names in its docstring or a comment."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        lines = text.split("\n")
        for node in ast.walk(ast.parse(text)):
            is_test = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
                node.name.startswith("test_")
            )
            if is_test or isinstance(node, ast.ClassDef):
                segment = "\n".join(lines[node.lineno - 1 : node.end_lineno])
                for number in _NAMED.findall(segment):
                    yield number, f"{path.relative_to(ROOT)}::{node.name}"


def value_of(expression: str) -> int:
    """Return the value of a bound as SPEC.md writes it: `255`, `-INTEGER_MAX`, `2 * ID_BYTES`."""
    sign = -1 if expression.startswith("-") else 1
    product = sign
    for factor in expression.lstrip("-").split(" * "):
        product *= int(factor) if factor.isdigit() else getattr(limits, factor)
    return product
