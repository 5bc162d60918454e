"""Which drivers there are, which of them a node needs, and what belongs to each.

A board is given the drivers that its node.json names, and the modules they import. What another
family shares, and what of protocol/ only drivers read, comes along when one of them needs it.
"""

import ast
import functools
import json
import tomllib
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
FIRMWARE = REPOSITORY / "firmware"
DRIVERS = FIRMWARE / "drivers"
USUAL = "obp"  # instrument.driver of node.json where it names none
KINDS = ("spectrometer", "scanner", "document reader", "scale")  # one of each is the fullest node


class FamilyError(Exception):
    """There is no such driver, or node.json cannot be used; the text says what would do."""


def find() -> tuple[str, ...]:
    """Return every driver, by name."""
    return tuple(sorted(path.parent.name for path in DRIVERS.glob("*/driver.py")))


def kind_of(family: str) -> str:
    """Return what a driver is for: one of KINDS, by its `about.toml`.

    A spectrometer in the making may have none yet.

    Raises:
        FamilyError: it says nothing, or something else.
    """
    path = DRIVERS / family / "about.toml"
    source = (DRIVERS / family / "driver.py").read_text(encoding="utf-8")
    if not path.exists() and f'KIND = "{KINDS[0]}"' in source:
        return KINDS[0]
    try:
        kind = tomllib.loads(path.read_text(encoding="utf-8")).get("kind")
    except (OSError, ValueError, RecursionError) as error:
        raise FamilyError(f"{path}: {error}; every driver has one") from error
    if kind not in KINDS:
        raise FamilyError(f"{path}: kind is {kind!r}; use one of {', '.join(KINDS)}")
    return str(kind)


def check(names: list[str]) -> tuple[str, ...]:
    """Return the drivers named, each once.

    Raises:
        FamilyError: there is none of that name.
    """
    known = find()
    for name in names:
        if name not in known:
            raise FamilyError(f"there is no driver {name!r}; drivers are {', '.join(known)}")
    return tuple(sorted(set(names)))


def named_by(path: Path, board: str) -> tuple[str, ...]:
    """Return the drivers that a node.json names.

    Args:
        path: of node.json.
        board: that the image is for.

    Raises:
        FamilyError: it cannot be read, is for another board, names a driver that is none, or a port
            that the board does not have.
    """
    try:
        settings: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FamilyError(f"{path} cannot be used: {error}; see docs/node.md") from error
    if not isinstance(settings, dict):
        raise FamilyError(f"{path} must hold one object; see docs/node.md")
    if settings.get("board", "unix") != board:
        raise FamilyError(
            f"{path} is for board {settings.get('board', 'unix')!r}; name that board, or set board "
            f"to {board!r} there"
        )
    readers = settings.get("readers", [])
    parts = readers if isinstance(readers, list) else []
    if "instrument" in settings or not parts:
        parts = [{"driver": USUAL, **_section(settings.get("instrument", {}))}, *parts]
    named = check([str(_section(part).get("driver")) for part in parts])
    uarts = find_uarts(board)
    for port in [_section(part).get("port") for part in parts]:
        if uarts and port and port not in uarts:
            raise FamilyError(
                f"{path}: port {port!r} is none of {board}, which carries {len(uarts)} instruments,"
                f" on {' and '.join(uarts)}; put further ones on another node"
            )
    return named


def find_uarts(board: str) -> tuple[str, ...]:
    """Return the serial ports of a board, as its module names them; none: it has device files."""
    tree = ast.parse((FIRMWARE / "boards" / f"{board}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "UARTS":
            return tuple(sorted(ast.literal_eval(node.value)))
    return ()


def _section(part: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever stands in the file
    return part if isinstance(part, dict) else {}


def modules(roots: dict[str, Path], families: tuple[str, ...]) -> dict[str, Path]:
    """Return {path in the tree without suffix: source} of what `roots` and drivers need.

    Args:
        roots: everything a board may run, of every driver and of the protocol.
        families: drivers that it has.
    """
    kept = {name: path for name, path in roots.items() if not _is_optional(name)}
    kept |= {
        name: path
        for name, path in roots.items()
        if name.startswith("drivers/") and name.split("/")[1] in families
    }
    left = list(kept)
    while left:
        for name in _imports(kept[left.pop()]):
            if name in roots and name not in kept:
                kept[name] = roots[name]
                left.append(name)
    return {name: path for name, path in roots.items() if name in kept}


def _is_optional(name: str) -> bool:
    """Whether a module is left out unless something imports it."""
    package, _, rest = name.partition("/")
    return package in ("drivers", "protocol") and rest != "__init__"


@functools.cache
def _imports(path: Path) -> frozenset[str]:
    """Return what a file imports, and the packages that lies in, as paths in the tree."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            base = node.module.replace(".", "/")
            found |= {base, *(f"{base}/{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name.replace(".", "/") for alias in node.names}
    found |= {f"{parent}/__init__" for name in found for parent in _parents(name)}
    return frozenset(found)


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
