"""What the quality of a measurement does to its verdict.

Doubt takes a *clear* away: a bad measurement hides bands, it does not invent a pattern of them. An
alarm or the sign of a listed substance stays what it is. Only data that are no Raman measurement at
all are not judged, whatever pattern they seem to hold.
"""

from __future__ import annotations

import msgspec

from gateway.screening.verdict import Parameter, Verdict
from gateway.spectra.quality import QualityFinding

VAGUE = ("no_signal", "weak_signal", "few_bands", "could_hide", "interrupted")
"""Reasons that say that too little was seen. A finding says why, and so what to do about it."""

MISLED = ("listed_possible", "not_separable")
"""Signs that a full detector may have made or hidden: "measure longer" would be wrong advice."""


def refusal(findings: tuple[QualityFinding, ...]) -> QualityFinding | None:
    """The finding that forbids to identify at all, None when there is none."""
    return next((entry for entry in findings if entry.forbids), None)


def doubted(verdict: Verdict, findings: tuple[QualityFinding, ...]) -> Verdict:
    """The verdict after the quality of the measurement was taken into account.

    Args:
        verdict: what the spectrum says.
        findings: of `gateway.spectra.quality.findings`, what to mend first at the front.

    Returns:
        The verdict itself, or *inconclusive* for the first finding.
    """
    if not findings:
        return verdict
    first = refusal(findings) or findings[0]
    gives_way = (*VAGUE, *MISLED) if first.reason_id == "saturated" else VAGUE
    keeps = verdict.verdict != "clear" and verdict.reason_id not in gives_way
    if (keeps and not first.forbids) or verdict.reason_id == first.reason_id:
        return verdict
    facts: dict[str, Parameter] = dict(first.parameters)
    return msgspec.structs.replace(
        verdict,
        verdict="inconclusive",
        reason_id=first.reason_id,
        parameters=facts,
        hits=() if first.forbids else verdict.hits,
        unexplained_cm1=() if first.forbids else verdict.unexplained_cm1,
    )
