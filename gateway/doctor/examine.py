"""Run every check over one post."""

from collections.abc import Iterable

import apsw

from gateway.doctor import checks
from gateway.doctor.finding import (
    NEEDED,
    Check,
    Finding,
    Found,
    Level,
    Subject,
    UntoldError,
    registered,
    unknown,
)
from gateway.doctor.look import OPENS, REMEDY
from gateway.doctor.redaction import Redaction
from gateway.doctor.scene import Scene
from gateway.errors import GatewayError
from gateway.screening.watchlists import WatchlistError
from gateway.spectra.errors import SpectraError

ALL = checks  # importing them is what registers them


def every_check() -> tuple[Check, ...]:
    """Return every check, by subject in the order of `Subject`, then as written."""
    order = list(Subject)
    return tuple(sorted(registered().values(), key=lambda each: order.index(each.subject)))


def examine(scene: Scene, chosen: Iterable[Check] | None = None) -> list[Finding]:
    """Return what the checks find; a check that cannot tell says so and stops no other."""
    redact = Redaction(scene.settings)
    told: list[tuple[Finding, str]] = []
    every = tuple(every_check() if chosen is None else chosen)
    # Whether the database is damaged is asked last: others may meet what a quick look does not see.
    answers = {
        each.id: _ask(each, scene) for each in sorted(every, key=lambda each: each.id == OPENS)
    }
    for each in every:
        found, see = answers[each.id]
        told += [(_finding(each, one, redact), see) for one in found]
    unwell = {finding.id for finding, see in told if not see and finding.level != Level.ok}
    return [finding for finding, see in told if see not in unwell]


def _ask(each: Check, scene: Scene) -> tuple[list[Found], str]:
    """Return what a check finds, and which other check reports why it cannot tell."""
    try:
        found = each.look(scene)
        return [found] if isinstance(found, Found) else list(found), ""
    except UntoldError as error:
        return [unknown(str(error), cause=NEEDED, remedy=error.remedy)], error.see
    except (
        OSError,
        ValueError,
        apsw.Error,
        GatewayError,
        SpectraError,
        WatchlistError,
    ) as error:
        if isinstance(error, apsw.Error) and scene.journal.meet(error):
            return [
                unknown(f"the database cannot be read: {error}", cause=NEEDED, remedy=REMEDY)
            ], OPENS
        return [unknown(f"{type(error).__name__}: {error}", cause=NEEDED)], ""


def _finding(each: Check, found: Found, redact: Redaction) -> Finding:
    return Finding(
        id=each.id,
        subject=each.subject.value,
        about=redact(found.about),
        level=found.level.value,
        value=redact(found.value),
        cause=redact(found.cause or each.cause),
        remedy=redact(found.remedy or each.remedy),
        page=each.page,
    )
