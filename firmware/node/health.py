"""Health and birth: what a node says about itself, made from the parts it is made of."""

import asyncio

from node import limits
from node.signals import ascii_text
from node.waiting import within_ms
from protocol.limits import NAME_CHARS_MAX, U16_MAX
from protocol.messages import Birth, Health, Status

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Acquire, InstrumentSettings, Node, Supervisor, Wants


class Reporter:
    """Makes the messages about the node, and asks for health messages when one is due.

    Args:
        node: what the parts share.
        acquire: knows the instrument.
        supervisor: counts failures.
        settings: of node.json, section `instrument`.
        firmware: name and version.
    """

    def __init__(
        self,
        node: "Node",
        acquire: "Acquire",
        supervisor: "Supervisor",
        settings: "InstrumentSettings",
        firmware: str,
    ) -> None:
        self._node = node
        self._acquire = acquire
        self._supervisor = supervisor
        self._instrument = settings
        self._firmware = firmware
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Ask for a health message soon: something changed that the gateway should know."""
        self._changed.set()

    async def run(self, uplink: "Wants") -> None:
        """Ask for a health message now, every `health_s`, and after changes."""
        while True:
            self._changed.clear()
            uplink.want("health")
            await asyncio.sleep_ms(limits.HEALTH_MS_MIN)
            wait_ms = self._node.settings.health_s * 1000 - limits.HEALTH_MS_MIN
            try:
                await within_ms(self._changed.wait(), max(wait_ms, 0))
            except asyncio.TimeoutError:
                continue

    def birth(self) -> Birth:
        """Return the birth as of now."""
        node, clock, journal = self._node, self._node.clock, self._node.journal
        found = self._acquire.instrument
        return Birth(
            node.boot_id,
            clock.uptime_ms(),
            clock.time_ms(),
            clock.quality,
            journal.journal_id,
            journal.oldest_seq,
            journal.next_seq,
            self._firmware,
            node.board.NAME,
            node.settings.version,
            ascii_text(found.model, NAME_CHARS_MAX) if found else "",
            found.serial if found else "",
            self._acquire.axis_id if found else None,
            found.pixel_count if found else 0,
            self._instrument["excitation_pm"],
            self._instrument["resolution_mcm1"],
            found.coefficients_f32le if found else b"",
            found.full_scale_counts if found else 0,
        )

    def status(self, online: bool) -> Status:
        """Return the status; the offline one is the will."""
        return Status(self._node.boot_id, online, self._node.clock.uptime_ms())

    def health(self) -> Health:
        """Return the health as of now."""
        node, clock, journal = self._node, self._node.clock, self._node.journal
        uptime_ms, time_ms = clock.uptime_ms(), clock.time_ms()
        return Health(
            node.boot_id,
            uptime_ms,
            time_ms,
            clock.quality,
            node.board.supply_mv(),
            node.board.temperature_mc(),
            node.board.heap_free(),
            journal.journal_id,
            journal.oldest_seq,
            journal.next_seq,
            journal.bytes,
            journal.evicted_count,
            journal.damaged_count,
            node.reconnect_count(),
            self._supervisor.failure_count,
            self._acquire.upkeep.laser_on_s(),
            node.board.reset_cause(),
            node.signals.newest(),
            self._acquire.measure.darks.mean_counts,
            _u16(self._acquire.upkeep.calibration_age_h(uptime_ms, time_ms)),
            _u16(clock.round_trip_ms),
        )


def _u16(value: "int | None") -> "int | None":
    """Return what fits the field: a value above it is stated as the highest (SPEC 3.8)."""
    return None if value is None else min(value, U16_MAX)
