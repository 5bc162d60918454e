"""Alerts on their way to the authority."""

from typing import Final

from gateway.doctor.finding import Found, bad, check, look, ok
from gateway.doctor.scene import Scene
from gateway.units import DAY_S, HOUR_S, MINUTE_S, span

WAITS_S_LOOK: Final = 10 * MINUTE_S  # delivery takes a second; a link may be down for hours
WAITS_S_BAD: Final = 6 * HOUR_S
CERTIFICATE_DAYS_LOOK: Final = 14  # the authority renews its own; somebody may have forgotten

_WAITING: Final = "SELECT {} FROM alerts WHERE receipt IS NULL"


@check(
    "outbox.authority",
    cause="`authority.url` is empty, so that alerts are kept and nobody gets them.",
    remedy="Set `authority.url` in the settings and restart the gateway.",
)
def authority(scene: Scene) -> Found:
    """The settings say where alerts go."""
    if not scene.settings.authority.url:
        return bad("authority.url is empty")
    return ok("is set")


@check(
    "outbox.reachable",
    cause="The line is down, the name is not resolved, a firewall is in the way, or the authority"
    " is not running.",
    remedy="Try the line and the name from here (`curl -v` to the authority's host); call the"
    " authority. Alerts wait meanwhile and go out by themselves.",
)
def reachable(scene: Scene) -> Found:
    """A connection is taken; nothing is sent over it."""
    if not scene.settings.authority.url:
        return ok("not asked: authority.url is empty")
    fault = scene.authority.fault
    if fault and not scene.authority.is_refused_certificate:
        return bad(fault)
    return ok("it takes the connection")


@check(
    "outbox.certificate",
    cause="The authority's certificate has expired or is another's, or `authority.ca_file` is not"
    " that of its certification authority.",
    remedy="Set the clock if it is wrong; else ask the authority for its certificate, and for the"
    " file of its certification authority.",
)
def certificate(scene: Scene) -> Found:
    """Its certificate is accepted, and will be for a while."""
    found = scene.authority if scene.settings.authority.url else None
    if found is None:
        return ok("not asked: authority.url is empty")
    if found.is_refused_certificate:
        return bad(f"not accepted: {found.fault}")
    if found.until is None:
        return ok("none was shown")
    days = (found.until - scene.now).total_seconds() / DAY_S
    text = f"valid for {days:.0f} d"
    return look(text) if days < CERTIFICATE_DAYS_LOOK else ok(text)


@check(
    "outbox.oldest",
    cause="The authority is not reached, does not confirm, or refuses.",
    remedy="See `outbox.reachable` and `outbox.fault`; call the authority by another way meanwhile,"
    " `harmattan status` says how many wait.",
)
def oldest(scene: Scene) -> Found:
    """How long the oldest alert has waited."""
    ((count, created_ms),) = scene.journal.rows(_WAITING.format("count(*), min(created_ms)"))
    if not count:
        return ok("no alert waits")
    waited_s = max(scene.now_ms - created_ms, 0) / 1_000
    text = f"{count} alerts wait, the oldest for {span(waited_s)}"
    if waited_s >= WAITS_S_BAD:
        return bad(text)
    return look(text) if waited_s >= WAITS_S_LOOK else ok(text)


@check(
    "outbox.fault",
    cause="The authority was not reached, or answered otherwise than with the receipt for the"
    " alert.",
    remedy="Its words are here: mend the line or the address, or show them to the authority.",
)
def fault(scene: Scene) -> Found:
    """What came of the last attempts."""
    rows = scene.journal.rows(
        _WAITING.format("attempts, fault") + " AND fault <> '' ORDER BY attempts DESC LIMIT 1"
    )
    if not rows:
        return ok("no delivery has failed that is still to be made")
    attempts, text = rows[0]
    told = f"{attempts} attempts for one alert: {text}"
    return bad(told) if "refuses" in text or "its receipt" in text else look(told)
