"""One driver on one port, twice: `contract_story.py REPOSITORY FOLDER FAMILY GIVEN`.

GIVEN is JSON: the driver's KIND, its settings, and how long the fault lasts, milliseconds.

A turn is what a node does with an instrument from opening the port to closing it. `turn` says that
one begins, `ready` that a reader listens; then comes one of

    data HEX...      what was read
    error NAME TEXT  the named error that ended it
    nothing          a reader had nothing to give within QUIET_MS
    hung             not over within TURN_MS_MAX: a wait without a deadline

and at the end `late MS`: by how much the loop was kept from running at the worst. Anything else
that is raised ends the program. The second turn begins when the fault is over, and after an error
not before RESTART_MS_MIN, as the supervisor has it.
"""
# ruff: noqa: T201

import asyncio
import json
import sys
import time

REPOSITORY, FOLDER, FAMILY, GIVEN = sys.argv[1:5]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from boards.unix import Board  # noqa: E402
from node import limits  # noqa: E402
from node.errors import InstrumentError  # noqa: E402
from node.loading import load_driver  # noqa: E402

TURN_MS_MAX = 45_000  # the longest chain of deadlines: every question of `identify` silent twice
QUIET_MS = 2_500  # longer than a stalled or slow item takes to come
INTEGRATION_US, SCANS = 22_000, 1


async def measure(driver):
    """Return what a spectrometer gives: a dark frame and a sample."""
    await driver.identify()
    given = []
    for laser_on in (False, True):
        await driver.measure(INTEGRATION_US, SCANS, laser_on)
        given.append(bytes(driver.pixels).hex())
    return given


async def attend(driver):
    """Return what a reader gives, None: nothing."""
    await driver.identify()
    print("ready")
    item = await driver.next(QUIET_MS)
    if item is None:
        return None
    event_type, symbology, content, mass_mg, stable = item
    return [str(event_type), symbology or "-", content.hex() or "-", str(mass_mg), str(stable)]


async def turn(driver, take):
    """Open, take, close; print what came of it, and say whether all was well."""
    print("turn")
    is_well = False
    try:
        await driver.open()
        given = await asyncio.wait_for_ms(take(driver), TURN_MS_MAX)
        print("data " + " ".join(given) if given is not None else "nothing")
        is_well = True
    except InstrumentError as error:
        print("error", error.__class__.__name__, str(error))
    except TimeoutError:
        print("hung")
    finally:
        await driver.close()
    return is_well


class Lateness:
    """How late a task that only sleeps is woken; a busy machine shows here."""

    STEP_MS = 20

    def __init__(self):
        self.worst_ms = 0

    async def watch(self):
        while True:
            begun_ms = time.ticks_ms()
            await asyncio.sleep_ms(self.STEP_MS)
            late_ms = time.ticks_diff(time.ticks_ms(), begun_ms) - self.STEP_MS
            self.worst_ms = max(self.worst_ms, late_ms)


async def main():
    lateness = Lateness()
    watching = asyncio.create_task(lateness.watch())
    kind, settings, fault_ms = json.loads(GIVEN)
    driver = load_driver(FAMILY, kind)(Board(FOLDER), settings)
    take = measure if kind == "spectrometer" else attend
    is_well = await turn(driver, take)
    await asyncio.sleep_ms(fault_ms if is_well else max(fault_ms, limits.RESTART_MS_MIN))
    await turn(driver, take)
    watching.cancel()
    print("late", lateness.worst_ms)


asyncio.run(main())
