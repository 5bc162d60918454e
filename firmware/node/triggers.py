"""What begins a measurement without the gateway: button, foot switch, and the period that is set.

Each trigger is a task that `acquire` is asked by; whether it measures is decided there.
"""

import asyncio

from protocol.messages import ROLE_SAMPLE, ROLE_STANDARD

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Node, Report


class Triggers:
    """Triggers of a node that has a spectrometer.

    Args:
        node: what the parts share.
    """

    def __init__(self, node: "Node") -> None:
        self._node = node

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
        """Measure every `period_s`; 0 means only when triggered."""
        node = self._node
        last_ms = node.clock.uptime_ms()
        while True:
            report()
            await asyncio.sleep_ms(1000)  # short, so that a new period counts at once
            now_ms = node.clock.uptime_ms()
            period_ms = node.settings.period_s * 1000
            if not period_ms:
                last_ms = now_ms
            elif now_ms - last_ms >= period_ms:
                last_ms = now_ms
                node.acquire.trigger()
