"""Tells while this computer's clock is so far ahead that certificates have ended by it.

Such a clock (a battery that died, the wrong epoch of a GPS receiver) has the broker refuse every
node, and looks like the end of their certificates. What is told stands in the journal too, for
whoever looks from outside, until the clock is right.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

import apsw

from gateway.errors import JournalError
from gateway.journal.moments import Moments, note_moment
from gateway.journal.postures import save_posture
from gateway.journal.store import Journal
from gateway.observe.certificates import ahead, link_ends
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.settings import Settings

POSTURE: Final = "clock_ahead"


class Ahead:
    """What is known of it.

    Args:
        settings: name the certificates.
        journal: in which it is kept.
        now_ms: the gateway's wall clock, Unix milliseconds.
        judge: called when readings are to be judged again.

    Attributes:
        text: what to tell somebody whose certificate is refused; empty: the clock is well.
    """

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        *,
        now_ms: Callable[[], int],
        judge: Callable[[], None],
        counters: Counters,
        log: Log,
    ) -> None:
        self.text = ""
        self._settings = settings
        self._journal = journal
        self._now_ms = now_ms
        self._judge = judge
        self._counters = counters
        self._log = log.bind(part="clock")

    async def note(self, step_ms: int = 0) -> None:
        """Look at the clock and at the certificates; a disk that takes nothing is told elsewhere.

        The certificates are read each time: they can be renewed while the gateway runs.

        Args:
            step_ms: by how much the clock was set just now; 0: it was not.
        """
        now_ms = self._now_ms()
        ends = await asyncio.to_thread(link_ends, self._settings)
        try:
            keep = partial(_keep, ends=ends, now_ms=now_ms, step_ms=step_ms)
            text, is_judge_wanted = await self._journal.write(keep)
            if is_judge_wanted:
                self._judge()
        except JournalError:
            text = ahead(ends, Moments(), now_ms) or self.text
        if text and not self.text:
            self._counters.count("clock_ahead")
            self._log.error("clock_ahead", text=text)
        elif self.text and not text:
            self._log.info("clock_ahead_no_more", text="no certificate has ended by this clock")
        self.text = text


def _keep(
    connection: apsw.Connection, *, ends: dict[str, int], now_ms: int, step_ms: int
) -> tuple[str, bool]:
    """Note what the clock says, in the writer's transaction.

    Returns:
        What is to be told of it, and whether readings are to be judged again.
    """
    moments, is_judge_wanted = note_moment(connection, now_ms, step_ms)
    text = ahead(ends, moments, now_ms)
    save_posture(connection, POSTURE, text or None, now_ms)
    return text, is_judge_wanted
