"""`harmattan instruments`: what a node can read, how it is wired and what is to be set.

Each driver of the firmware describes its instruments for people in `about.toml`; nothing of it is
written twice. The driver itself, and the node, read none of it.
"""

from __future__ import annotations

import difflib
import sys
import tomllib
from pathlib import Path
from typing import Final, Literal

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.errors import SettingsError
from gateway.shipped import drivers

NEAR_MAX: Final = 3  # names that are offered for a wrong one
KINDS: Final = ("spectrometer", "scanner", "document reader", "scale")
SECTION: Final = {"spectrometer": "instrument"}  # of node.json; all others are among `readers`


class About(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What `about.toml` of a driver says.

    Attributes:
        kind: what it is at the lane.
        title: of the family, with what it speaks.
        instruments: makes and models that it is for.
        protocol: what goes over the line, in a sentence.
        tried: against what the driver was run.
        bauds: rates of the line; empty: any.
        baud: the usual one.
        level: electrical, of the instrument's side.
        wiring: pin of the instrument, pin of the node, what to know.
        configure: what is to be set on the instrument itself, a sentence each.
        settings: key of node.json -> meaning, range, default.
        simulator: the command that plays it.
        sources: where the facts are from.
    """

    kind: Literal["spectrometer", "scanner", "document reader", "scale"]
    title: str
    instruments: list[str]
    protocol: str
    tried: str
    bauds: list[int]
    baud: int
    level: str
    wiring: list[tuple[str, str, str]]
    configure: list[str]
    settings: dict[str, str]
    simulator: str
    sources: list[str]


def read_all() -> dict[str, About]:
    """Return what is supported, by the name that node.json has for it; spectrometers first.

    Raises:
        SettingsError: this installation is not whole, or a file of it cannot be used.
    """
    found = {name: read(path) for name, path in drivers().items()}
    return dict(sorted(found.items(), key=lambda each: (KINDS.index(each[1].kind), each[0])))


def read(path: Path) -> About:
    """Return one `about.toml`.

    Raises:
        SettingsError: it cannot be used; names the file and the key.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), About)
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: {error}; install the package again") from error


def run_instruments(name: str, console: Console, *, as_json: bool) -> None:
    """Write what is supported, or all that is known of one family.

    Args:
        name: of a family; empty: all of them, in short.
        console: to write to.
        as_json: one JSON object instead of text.

    Raises:
        SettingsError: there is no such family.
    """
    found = read_all()
    if name and name not in found:
        near = difflib.get_close_matches(name, found, NEAR_MAX, 0.4) or list(found)
        raise SettingsError(f"there is no driver {name[:40]!r}; try {', '.join(near)}")
    if as_json:
        chosen = {name: found[name]} if name else found
        sys.stdout.write(msgspec.json.encode(chosen).decode() + "\n")
    elif name:
        _show(name, found[name], console)
    else:
        _list(found, console)


def _list(found: dict[str, About], console: Console) -> None:
    table = Table("driver", "what", "instruments", "usual line", box=None, pad_edge=False)
    for name, about in found.items():
        what = f"{about.kind}: {about.title}"
        table.add_row(name, what, ", ".join(about.instruments), f"{about.baud} baud")
    console.print(table)
    console.print(
        "\nharmattan instruments DRIVER shows wiring and settings;"
        " harmattan docs instruments how one is added."
    )


def _show(name: str, about: About, console: Console) -> None:
    rates = ", ".join(map(str, about.bauds)) or "any"
    section = SECTION.get(about.kind, "readers")
    facts = Table(box=None, show_header=False, pad_edge=False)
    for head, text in (
        ("driver", f"{name}, named in section `{section}` of node.json"),
        ("what", f"{about.kind}: {about.title}"),
        ("for", ", ".join(about.instruments)),
        ("speaks", about.protocol),
        ("tried", about.tried),
        ("line", f"{about.baud} baud; it has {rates}; {about.level}"),
        ("simulator", about.simulator),
    ):
        facts.add_row(Text(head, style="bold"), Text(text))
    console.print(facts)
    wiring = Table("instrument", "node", "note", box=None, pad_edge=False)
    for row in about.wiring:
        wiring.add_row(*map(Text, row))
    settings = Table("key", "meaning", box=None, pad_edge=False)
    for key, text in about.settings.items():
        settings.add_row(Text(key), Text(text))
    for head, part in (("wiring", wiring), ("settings of node.json", settings)):
        console.print(Text(f"\n{head}", style="bold"))
        console.print(part)
    for head, lines in (
        ("to be set on the instrument", about.configure),
        ("sources", about.sources),
    ):
        if lines:
            console.print(Text(f"\n{head}", style="bold"))
            for line in lines:
                console.print(Text(f"- {line}"))
