"""How this program starts itself again: the only place that names its interpreter.

Python puts the current folder first among the places where it looks for code, for `-m` as for
`-c`. A command that is typed in somebody else's folder, perhaps as root, must run nothing of it.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_ROOT: Final = str(Path(__file__).resolve().parents[1])


def command(module: str, *arguments: str) -> tuple[str, ...]:
    """Return what runs one of our modules in a process of its own."""
    return (sys.executable, "-P", "-m", module, *arguments)


def environment(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for it: our code is found where it was found for this process."""
    found = dict(given)
    found["PYTHONSAFEPATH"] = "1"  # for what it may start itself
    places = [place for place in given.get("PYTHONPATH", "").split(os.pathsep) if place]
    if _ROOT not in sys.path[1:]:  # the first place is the current folder, or the script's
        places.insert(0, _ROOT)
    found["PYTHONPATH"] = os.pathsep.join(places)  # an empty place is the current folder, too
    return found
