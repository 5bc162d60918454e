"""GS1 Digital Link: a web address that carries application identifiers in path and query. Pure.

It is text that anybody can print: what it says is given as a claim, and nothing ever opens it.

Reference: GS1 Digital Link Standard: URI Syntax, section 4.
"""

import urllib.parse
from typing import Final

from gateway.scans import numbers
from gateway.scans.gs1 import ELEMENTS_MAX, Elements, find, misfit

_SCHEMES: Final = ("http://", "https://")
_KEYS: Final = frozenset("00 01 253 255 401 402 414 417 8003 8004 8006 8010 8013 8017 8018".split())
_STEPS_MAX: Final = 2 * ELEMENTS_MAX + 1  # of a path, the empty one before its first slash too


def is_link(text: str) -> bool:
    """Say whether a text is a web address."""
    return text[:8].lower().startswith(_SCHEMES)


def parse(text: str, year: int | None = None) -> Elements | None:
    """Read the elements of a Digital Link; None: the address carries none.

    Args:
        text: a web address.
        year: when it was read, for the century of dates.
    """
    try:
        parts = urllib.parse.urlsplit(text)
    except ValueError:
        return None
    # All are counted, right or wrong: one more is let through, to be told.
    steps = list(map(urllib.parse.unquote, parts.path.split("/", _STEPS_MAX)))
    fields = parts.query.split("&", ELEMENTS_MAX + 1)[: ELEMENTS_MAX + 1]
    query = urllib.parse.parse_qsl("&".join(fields), keep_blank_values=True)
    begin = next((at for at, step in enumerate(steps[:-1]) if step in _KEYS), None)
    if begin is None:
        return None
    found = Elements()
    path = steps[begin:_STEPS_MAX]
    pairs = [*zip(path[::2], path[1::2], strict=False), *query]
    for key, value in pairs[:ELEMENTS_MAX]:
        ai = find(key)
        if ai is None or ai.ai != key:  # a query has other keys, too
            continue
        padded = value.zfill(14) if key in ("01", "02") and numbers.is_gtin(value) else value
        fault = misfit(ai, padded)
        if fault:
            found.faults.append(fault)
        else:
            found.add(ai, padded, year)
    if len(pairs) > ELEMENTS_MAX or len(steps) > _STEPS_MAX:
        found.faults.append(f"more than {ELEMENTS_MAX} elements")
    found.finish()
    return found
