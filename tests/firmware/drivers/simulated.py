"""What the tests of spectrometers share: one driver's story on one simulator, many at once."""

import asyncio
from pathlib import Path

from simulators.faults import LINE_KINDS, FaultPlan, parse_fault
from simulators.spectrometer.line import SpectrometerLine
from simulators.world import load_substances

REPOSITORY = Path(__file__).resolve().parents[3]
STORY = REPOSITORY / "tests/firmware/stories/driver_story.py"
BAUD = 460_800
DEADLINE_S = 90.0
AT_ONCE = 4
TRIES_MAX = 4
LATE = ("InstrumentSilent", "InstrumentGarbled")  # or what a case expects, which is run once then


def keep_replies(device):
    """Return the list into which the device's replies go, before any fault."""
    kept, collect = [], device.collect

    def listen(now_s):
        replies = collect(now_s)
        kept.extend(reply.data for reply in replies)
        return replies

    device.collect = listen
    return kept


class Case:
    """One driver on one simulator; `build` makes the device.

    Attributes:
        device: of the newest run.
        sent: its replies.
        lines, log: what the story and the node's log say.
    """

    def __init__(self, *words, baud=BAUD, tries=TRIES_MAX, faults=()):
        self.words = words
        self._baud, self._tries = baud, tries
        self._faults = [parse_fault(text, LINE_KINDS) for text in faults]

    async def run(self, micropython, folder, substances, gate):
        """Run it, anew where the machine was too busy for the driver's deadlines."""
        for turn in range(self._tries):
            async with gate:
                await self._run(micropython, folder / str(turn), substances)
            if not any(line.startswith(LATE) for line in self.lines):
                return

    async def _run(self, micropython, folder, substances):
        folder.mkdir(parents=True)
        self.device = self.build(substances, asyncio.get_running_loop().time())
        self.sent = keep_replies(self.device)
        plan = FaultPlan(self._faults)
        async with SpectrometerLine(self.device, link=folder / "port", faults=plan) as line:
            process = await asyncio.create_subprocess_exec(
                *(micropython, "-X", "heapsize=1m", STORY, REPOSITORY, folder, line.link),
                *(str(self._baud), *self.words),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await process.communicate()
        self.log = err.decode()
        assert process.returncode == 0, self.log
        self.lines = out.decode().splitlines()

    def spectra(self, beside=0):
        """The pixels of every spectrum that was sent, behind so many bytes of metadata."""
        return [frame[44 + beside : -20] for frame in self.sent if len(frame) > 1_000]


def run_all(cases, micropython, folder):
    """Run every case, some side by side; return them."""

    async def run():
        gate, substances = asyncio.Semaphore(AT_ONCE), load_substances()
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
            for index, case in enumerate(cases.values()):
                place = folder / str(index)
                tasks.create_task(case.run(micropython, place, substances, gate))

    asyncio.run(run())
    return cases
