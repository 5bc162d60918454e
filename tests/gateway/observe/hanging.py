"""A real gateway one part of which hangs: `python hanging.py SETTINGS`; see test_watch.py.

The clock's part beats once and never comes back, not even when it is to end. What is long in the
product is short here.
"""

import asyncio
import contextlib
import sys
from pathlib import Path

from gateway import cli, post
from gateway.fleet import timekeeping
from gateway.observe import watch

if __name__ == "__main__":

    async def hang(self):
        self._pulse.beat("clock")
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    timekeeping.Timekeeping.run = hang
    watch.SILENCE_S_MAX = 0.5
    post.STOP_S_MAX = 0.5
    cli.run(Path(sys.argv[1]), cli.LogForm.json)
