"""What begins a measurement without the gateway: button, foot switch, and the period that is set.

Each trigger is a task that `acquire` is asked by; whether it measures is decided there. Closing
interlock or key lights nothing, the period neither (hardware/laser_safety.md, manual reset).
"""

import asyncio

from node import limits
from protocol.messages import ROLE_SAMPLE, ROLE_STANDARD

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Node, Report

_PERIOD = "period"
_RESTS = "nothing is measured by itself since interlock or key was open; have a sample measured"


class Triggers:
    """Triggers of a node that has a spectrometer.

    Args:
        node: what the parts share.
    """

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._opened: int | None = None  # samples asked for when interlock or key was last open

    async def press(self, report: "Report") -> None:
        """Measure whenever button or foot switch is pressed; the button held: a standard."""
        node = self._node
        while True:
            press = await node.board.pressed(report)
            # Who presses sees who stands before the probe; a foot may have slipped.
            if press != "foot" and node.acquire.bar.lift():
                node.board.log("the laser is allowed again: the button was pressed")
            reason = node.acquire.trigger(None, ROLE_STANDARD if press == "hold" else ROLE_SAMPLE)
            if reason:
                node.board.log("%s: %s" % (press, reason))

    async def repeat(self, report: "Report") -> None:
        """Measure every `period_s`; 0 means only when triggered.

        Where interlock or key was open it rests until somebody has a sample measured.
        """
        node = self._node
        last_ms = node.clock.uptime_ms()
        while True:
            report()
            period_ms = node.settings.period_s * 1000  # looked at often: a new one counts at once
            await asyncio.sleep_ms(limits.LASER_POLL_MS if period_ms else 1000)
            now_ms = node.clock.uptime_ms()
            rests = self._rests(period_ms > 0)
            if not period_ms:
                last_ms = now_ms
            elif now_ms - last_ms >= period_ms:
                last_ms = now_ms
                if not rests:
                    node.acquire.trigger()

    def _rests(self, has_period: bool) -> bool:
        """Say whether nobody has asked for a sample since interlock or key was open; show it."""
        node, before = self._node, self._opened
        sample_count = node.inspection.sample_count
        if before != sample_count or not has_period:
            self._opened = None
        if has_period and node.acquire.laser.power_mw and node.board.laser_permit():
            self._opened = sample_count
        if before is None and self._opened is not None:
            node.signals.fault(_PERIOD, _RESTS)
        elif before is not None and self._opened is None:
            node.signals.clear(_PERIOD)
        return self._opened is not None
