"""Quantities as a technician reads them."""

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
NAMES_MAX = 5  # that are listed in one sentence; more are counted


def size(count_bytes: float) -> str:
    """Return a number of bytes with a fitting unit."""
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(count_bytes) >= limit:
            return f"{count_bytes / limit:.1f} {unit}"
    return f"{count_bytes:.0f} bytes"


def span(seconds: float) -> str:
    """Return a time span with a fitting unit."""
    for limit, unit in ((2 * DAY_S, "d"), (2 * HOUR_S, "h"), (2 * MINUTE_S, "min")):
        if abs(seconds) >= limit:
            one = {"d": DAY_S, "h": HOUR_S, "min": MINUTE_S}[unit]
            return f"{seconds / one:.0f} {unit}"
    return f"{seconds:.0f} s"


def lasted(since_ms: int, now_ms: int) -> str:
    """Return how long something has lasted; what lies ahead has just begun."""
    return span(max(now_ms - since_ms, 0) / 1_000)


def age(since_ms: int, now_ms: int) -> str:
    """Return how long ago that was."""
    return f"{lasted(since_ms, now_ms)} ago"


def named(names: list[str]) -> str:
    """Return some names in a row."""
    shown = ", ".join(names[:NAMES_MAX])
    return shown + (f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else "")
