"""`harmattan docs`: the pages of the documentation, which come with every installation.

What a command, a finding or the log names can be read at a post that has no network.
"""

import difflib
import re
import sys
from pathlib import Path
from typing import Final

from gateway.errors import SettingsError
from gateway.shipped import pages

NEAR_MAX: Final = 3  # names that are offered for a wrong one
_HEADING: Final = re.compile(r'^(?P<marks>#{1,6}) (?:<a id="(?P<id>[^"]+)"></a>)?(?P<title>.+)$')
_FENCE: Final = "```"


def run_docs(wanted: str) -> None:
    """Write a page, or one section of it; without a name, what pages there are and where.

    Args:
        wanted: such as `install`, `install#certificates`, or a path such as docs/install.md.

    Raises:
        SettingsError: there is no such page or section; near ones are named.
    """
    found = pages()
    if not wanted:
        sys.stdout.write("harmattan docs PAGE, or PAGE#SECTION\n\n")
        for name, path in found.items():
            title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
            sys.stdout.write(f"{name:16}{title}\n")
        sys.stdout.write(f"\nThe files lie in {next(iter(found.values())).parent}\n")
        return
    name, _, anchor = wanted.partition("#")
    name = name.removeprefix("docs/").removesuffix(".md")
    if name not in found:
        raise SettingsError(f"there is no page {name[:40]!r}; {_near(name, list(found))}")
    sys.stdout.write(_section(found[name], name, anchor))


def _section(path: Path, page: str, anchor: str) -> str:
    """Return a section with all that is below it, the whole page without an anchor."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    headings = _headings(lines)
    if anchor and anchor not in {each for _, _, each in headings}:
        names = [each for _, _, each in headings]
        raise SettingsError(f"{page} has no section {anchor[:40]!r}; {_near(anchor, names)}")
    first, last = 0, len(lines)
    if anchor:
        first, depth = next((at, depth) for at, depth, each in headings if each == anchor)
        below = (at for at, other, _ in headings if at > first and other <= depth)
        last = next(below, last)
    return "".join(re.sub(r'<a id="[^"]+"></a>', "", line) for line in lines[first:last])


def _headings(lines: list[str]) -> list[tuple[int, int, str]]:
    """Return line, depth and anchor of each heading; one without an id gets GitHub's."""
    found, is_code = [], False
    for at, line in enumerate(lines):
        is_code ^= line.startswith(_FENCE)
        heading = None if is_code else _HEADING.match(line.rstrip())
        if heading:
            words = re.sub(r"[^\w\- ]", "", heading["title"].lower()).replace(" ", "-")
            found.append((at, len(heading["marks"]), heading["id"] or words))
    return found


def _near(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=NEAR_MAX)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names[:80])}"
