"""The verdict on several exposures of one sample: on their average, and on each of them alone.

An average is better than its exposures only while all are of one sample. A grain of a precursor
that lay before the probe once is thinned out by the others, or taken for a cosmic ray and left out;
so what one exposure shows alone is never cleared away.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.screening.rules import list_titles
from gateway.screening.verdict import Parameter, Verdict
from gateway.screening.watchlists import Watchlists

SIGNS = frozenset({"listed_found", "listed_family", "not_separable", "listed_possible"})
"""Reasons that name a listed substance, as an alarm or as a sign, in `substance_ids`."""


def together(
    average: Verdict, singles: Sequence[Verdict], *, alike: bool, watchlists: Watchlists
) -> Verdict:
    """The verdict on exposures that were given as of one sample.

    Args:
        average: what their average says.
        singles: what each says alone, in the order given; empty when there is one file only.
        alike: they can be of one sample.
        watchlists: in force.

    Returns:
        The average's verdict when it is an alarm, or when no exposure says more and they are alike.
    """
    if average.verdict == "alarm":
        return average
    known = set(_named(average))
    for number in sorted(range(len(singles)), key=lambda at: singles[at].verdict != "alarm"):
        names = _named(singles[number])
        if set(names) <= known:
            continue
        facts: dict[str, Parameter] = {
            "substance_ids": names,
            "exposure_number": number + 1,
            **list_titles(watchlists, names),
        }
        return msgspec.structs.replace(
            average, verdict="inconclusive", reason_id="exposure_listed", parameters=facts
        )
    if average.verdict == "clear" and not alike:
        return msgspec.structs.replace(
            average, verdict="inconclusive", reason_id="exposures_differ", parameters={}
        )
    return average


def _named(verdict: Verdict) -> tuple[str, ...]:
    """The listed substances that a verdict names, with the relatives it names beside them."""
    if verdict.reason_id not in SIGNS:
        return ()
    named = verdict.parameters.get("substance_ids", ())
    return named if isinstance(named, tuple) else (str(named),)
