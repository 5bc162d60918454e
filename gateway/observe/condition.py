"""How a node is, by its newest health: numbers for the status, and words that a person reads."""

import msgspec

from gateway import wire

RESET_CAUSES = {
    1: "power on",
    2: "reset",
    3: "watchdog",
    4: "deep sleep",
    5: "soft reset",
}
"""As the boards number them; see firmware/boards/README.md."""

COLUMNS = (
    *("node", "supply", "board", "heap free", "journal", "evicted", "laser", "dark"),
    *("standard", "link", "started by"),
)


class Condition(msgspec.Struct, frozen=True):
    """What a node last said of itself; None where it does not know.

    Attributes:
        journal_depth: records that wait for a receipt, gaps counted.
        dark_counts: mean of its newest dark frame, by the frame itself where the node does not say.
        standard_age_h: since it measured a standard, whatever came of that.
        reset_cause: why the node started.
    """

    supply_mv: int | None
    temperature_mc: int | None
    heap_free_bytes: int
    journal_bytes: int
    journal_depth: int
    evicted_count: int
    damaged_count: int
    reconnect_count: int
    failure_count: int
    laser_on_s: int
    dark_counts: int | None
    standard_age_h: int | None
    round_trip_ms: int | None
    reset_cause: str


def condition(health: wire.Health, dark_counts: int | None) -> Condition:
    """Return the condition that a health tells; `dark_counts` as the journal knows them."""
    return Condition(
        supply_mv=health.supply_mv,
        temperature_mc=health.temperature_mc,
        heap_free_bytes=health.heap_free_bytes,
        journal_bytes=health.journal_bytes,
        journal_depth=max(health.next_seq - health.oldest_seq, 0),
        evicted_count=health.evicted_count,
        damaged_count=health.damaged_count,
        reconnect_count=health.reconnect_count,
        failure_count=health.failure_count,
        laser_on_s=health.laser_on_s,
        dark_counts=dark_counts if health.dark_counts is None else health.dark_counts,
        standard_age_h=health.calibration_age_h,
        round_trip_ms=health.round_trip_ms,
        reset_cause=RESET_CAUSES.get(health.reset_cause, "unknown"),
    )


def cells(node: str, found: Condition) -> tuple[str, ...]:
    """Return the cells under COLUMNS."""
    return (
        node,
        _known(found.supply_mv, "V", 1_000),
        _known(found.temperature_mc, "\N{DEGREE SIGN}C", 1_000),
        f"{found.heap_free_bytes // 1_000} kB",
        f"{found.journal_depth} in {found.journal_bytes // 1_000} kB",
        f"{found.evicted_count}" + (f", {found.damaged_count} bad" * bool(found.damaged_count)),
        f"{found.laser_on_s / 3_600:.1f} h",
        _known(found.dark_counts, "", 1),
        "-" if found.standard_age_h is None else f"{found.standard_age_h} h ago",
        f"{_known(found.round_trip_ms, 'ms', 1)}, {found.reconnect_count} anew",
        found.reset_cause,
    )


def _known(value: int | None, unit: str, scale: int) -> str:
    """Return a quantity with its unit, or a dash."""
    if value is None:
        return "-"
    number = str(value) if scale == 1 else f"{value / scale:.1f}"
    return f"{number} {unit}".rstrip()
