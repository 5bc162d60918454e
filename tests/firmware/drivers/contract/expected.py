"""What may come of each fault, and by when: the promises that the suite holds a driver to.

Right data is always right. An error must be one that says what happened: a fault of the line is no
reason to have an instrument calibrated. Nothing is right only of a reader, and only where the
family says that an item can go without a trace.
"""

from collections.abc import Mapping

from node.limits import LINE_SLACK_MS
from simulators.line import BITS_PER_BYTE

NO_ANSWER = frozenset({"InstrumentSilent", "InstrumentGarbled"})
GONE = frozenset({"PortLost", "LaserUncertain"})  # the laser may be on, for the port went away
TOLD = frozenset({"InstrumentRefused", "InstrumentBusy"})  # what an instrument says after a reset
READ_AGAIN = frozenset({"Misread", "ItemRefused"})

# Of an instrument that is asked: it did not answer, or not so that it can be understood.
ASKED: Mapping[str, frozenset[str]] = {
    "garbage": NO_ANSWER,
    "drop": NO_ANSWER,
    "flip": NO_ANSWER,
    "checksum": NO_ANSWER,
    "stall": NO_ANSWER,
    "mute": NO_ANSWER,
    "baud": NO_ANSWER,
    "reset": NO_ANSWER | TOLD,
    "unplug": GONE,
}
# Of one that speaks by itself: the item is to be read again.
HEARD: Mapping[str, frozenset[str]] = {
    "garbage": READ_AGAIN,
    "drop": READ_AGAIN,
    "flip": READ_AGAIN,
    "checksum": READ_AGAIN,
    "stall": READ_AGAIN,
    "mute": frozenset(),
    "baud": READ_AGAIN,
    "reset": frozenset(),
    "unplug": GONE,
}
# Of that, what can go without a trace; a driver that swallows errors may do so of nothing else.
LOST: Mapping[str, str] = {
    "mute": "no byte of the item comes, and nobody asked for it",
    "reset": "the same: it lost its power before it spoke",
}

LASTING = ("stall", "baud", "unplug", "reset")  # a reset instrument starts for a while

# A deadline is held with this, for the bytes under way, the turns of the loop and the printing.
FACTOR, SLACK_S = 1.5, 0.25
LATE_FACTOR = 4  # a chain of waits is as often late


def wait_s(baud: int, count: int, busy_s: float = 0.0) -> float:
    """Return the wait that every `exchange.py` states: 2 x transfer, the instrument, LINE_SLACK_MS.

    Args:
        baud: of the line.
        count: bytes of request and answer.
        busy_s: how long the instrument needs.
    """
    return 2 * count * BITS_PER_BYTE / baud + busy_s + LINE_SLACK_MS / 1000


def limit_s(deadline_s: float, late_ms: int) -> float:
    """Return when an error must have come, after the fault.

    Args:
        deadline_s: as the driver states it.
        late_ms: by how much machine or loop were held up at the worst.
    """
    return FACTOR * deadline_s + SLACK_S + LATE_FACTOR * late_ms / 1000
