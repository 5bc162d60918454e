"""Whether a node tells the acts of a scenario apart. Pure.

The node's own rules are asked (`firmware/node/inspection.py`), not written down again.
"""

import importlib.util
from collections.abc import Callable, Iterable
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final

from protocol.messages import EVENT_CODE, EVENT_DOCUMENT, EVENT_WEIGHT

RULES: Final = Path(__file__).resolve().parent.parent / "firmware" / "node" / "inspection.py"
ITEMS: Final = {"scan": EVENT_CODE, "read": EVENT_DOCUMENT, "weigh": EVENT_WEIGHT}
LATE: Final = (
    "a node takes this for the next act: a document that comes after the measurement, and a code or"
    " weight where one came before it; do it before you measure"
)
AGAIN: Final = "a node takes this for the next act: one act has one measurement; make two acts"
EARLY: Final = (
    "a node takes this for act {act} still: what begins the next act after a measurement is another"
    " one, a document, or a code or weight where one came before it; without a measurement nothing"
    " does. Change either act, or play this one alone (--act)"
)


def inspections(verbs: Iterable[str]) -> list[bytes]:
    """Return the inspection that a node gives to each step, played one soon after another.

    Args:
        verbs: scan, read, weigh and measure.
    """
    numbers = count(1)
    inspection = _rules()(lambda size: next(numbers).to_bytes(size, "big"))
    found = []
    for verb in verbs:
        if verb == "measure":
            found.append(inspection.of_sample(0))
            inspection.ended(found[-1], 0)
        else:
            found.append(inspection.of_item(0, ITEMS[verb]))
    return found


@cache
def _rules() -> Callable[..., Any]:
    """Return the class `Inspection` of the firmware."""
    spec = importlib.util.spec_from_file_location("firmware_inspection", RULES)
    if spec is None or spec.loader is None:
        raise ImportError(f"{RULES} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rules: Callable[..., Any] = module.Inspection
    return rules


def refuse_act(verbs: list[str]) -> tuple[int, str] | None:
    """Return the number of the first step that is of another act, and why; None: all are of one."""
    found = inspections(verbs)
    for index, each in enumerate(found):
        if each != found[0]:
            return index + 1, AGAIN if verbs[index] == "measure" else LATE
    return None


def refuse_acts(acts: list[tuple[str, list[str]]]) -> tuple[str, str] | None:
    """Return the act that is one with an act before it, and why; None: each is another.

    Args:
        acts: name and verbs of each, in the order in which they are played.
    """
    found = iter(inspections(verb for _, verbs in acts for verb in verbs))
    known: dict[bytes, str] = {}
    for name, verbs in acts:
        mine = [next(found) for _ in verbs]
        if mine[0] in known:
            return name, EARLY.format(act=known[mine[0]])
        known.update(dict.fromkeys(mine, name))
    return None
