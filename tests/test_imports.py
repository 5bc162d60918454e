"""Goal: the code that runs on a board stays free to run there, and keeps its direction.

Method: read every import statement of firmware/ and protocol/, and let the real MicroPython compile
every module. import-linter guards the packages; firmware is none (its folder becomes the root of a
board's file system), so its direction is guarded here: each other, `protocol`, MicroPython's own.
"""

from __future__ import annotations

import ast
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Modules that every port of MicroPython 1.25 has, the unix port included.
EVERYWHERE = frozenset(
    """
    array asyncio binascii collections cryptolib deflate errno gc hashlib heapq io json math
    micropython os platform random re select socket struct sys time tls uctypes vfs _thread
    """.split()
)
UNIX = frozenset({"ffi", "termios"})
# Modules of the boards, from the documentation of MicroPython 1.25; the unix port lacks them.
BOARDS = frozenset(
    "bluetooth esp esp32 framebuf machine neopixel network ntptime onewire rp2".split()
)
# Absent or silently different there; would pass every test that runs on CPython alone.
REFUSED = ("typing", "dataclasses", "enum", "contextlib", "__future__", "functools", "pathlib")
ROOMS = ("firmware", "protocol")
COMPILE = """
import sys
for path in sys.argv[1:]:
    with open(path) as source:
        text = source.read()
    try:
        compile(text, path, "exec")
    except SyntaxError as error:
        sys.print_exception(error)
"""


def run_micropython(micropython: Path, code: str, *arguments: str) -> str:
    """Run code in the real MicroPython and give what it printed."""
    done = subprocess.run(
        [micropython, "-X", "heapsize=8m", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def list_modules(root: Path, room: str) -> list[Path]:
    """Every source file of a room; an empty room is a mistake of the test."""
    found = sorted((root / room).rglob("*.py"))
    assert found, f"{room}/ holds no module"
    return found


def find_imports(source: str) -> Iterator[tuple[int, str]]:
    """Give line and top-level name of every absolute import, the ones inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]


@pytest.mark.parametrize("room", ROOMS)
def test_board_code_imports_only_what_a_board_has(repository_path: Path, room: str) -> None:
    allowed = {"protocol"} | EVERYWHERE
    if room == "firmware":
        folder = repository_path / "firmware"
        allowed |= UNIX | BOARDS | {path.stem for path in folder.glob("*.py")}
        allowed |= {path.name for path in folder.iterdir() if path.is_dir()}
    strangers = [
        f"{path.relative_to(repository_path)}:{line} imports {name}"
        for path in list_modules(repository_path, room)
        for line, name in find_imports(path.read_text(encoding="utf-8"))
        if name not in allowed
    ]
    assert strangers == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_module_compiles_on_the_real_micropython(
    repository_path: Path, micropython_path: Path, room: str
) -> None:
    modules = [str(path) for path in list_modules(repository_path, room)]
    assert run_micropython(micropython_path, COMPILE, *modules) == ""


def test_the_real_micropython_refuses_what_it_lacks(micropython_path: Path, tmp_path: Path) -> None:
    """The check before can fail: syntax of CPython is refused, with the name of the file."""
    module = tmp_path / "parenthesised.py"
    module.write_text("with (open('a') as a, open('b') as b):\n    pass\n")
    said = run_micropython(micropython_path, COMPILE, str(module))
    assert "parenthesised.py" in said
    assert "SyntaxError" in said


def test_the_list_of_modules_is_true(micropython_path: Path) -> None:
    """The real MicroPython has what the list says, and not what it says to be missing."""
    ask = "import sys\nfor name in sys.argv[1:]:\n    try:\n        __import__(name)\n"
    ask += "    except ImportError:\n        print(name)\n"
    missing = run_micropython(micropython_path, ask, *sorted(EVERYWHERE | UNIX), *REFUSED).split()
    assert missing == list(REFUSED)


def test_imports_are_found_wherever_they_stand() -> None:
    source = "import a.b\ndef f():\n    from c.d import e\ntry:\n    import g, h\nexcept: pass\n"
    assert sorted(find_imports(source)) == [(1, "a"), (3, "c"), (5, "g"), (5, "h")]
