"""Goal: noise without end is an error that says so; nobody is kept, nothing grows.

Method: each driver in a real MicroPython on a port that always has more to read, zeros and random
bytes, so that no wait ends for want of bytes. Only a driver that looks at its deadline comes back.
"""

import json

import pytest

from node.limits import INSTRUMENT_SILENCE_MS
from tests.firmware.drivers.contract.families import FAMILIES

NOISY = ("InstrumentGarbled", "LineNoisy")
HEAP_BYTES_MAX = 8_192  # errors and tasks; every buffer is there before
DRIVERS = {family.name.partition(":")[0]: family for family in reversed(FAMILIES)}
# As node.json has it where it says nothing: every short run of letters in noise is a code then.
PLAIN = {"suffix": "", "aim": False}


@pytest.mark.parametrize(
    "name, changed", [*((name, {}) for name in DRIVERS), ("scanner", PLAIN)], ids=str
)
def test_noise_without_end_ends_with_its_name(run_story, name, changed):
    family = DRIVERS[name]
    settings = dict(family.settings) | changed
    lines = run_story("noise_story.py", name, family.kind, json.dumps(settings))
    assert len(lines) == 2
    for line in lines:
        took_ms, _, grown_bytes, told = line.split(" ", 3)
        assert told.startswith(NOISY), line
        assert "check baud rate" in told
        assert "on /dev/" in told
        assert int(took_ms) < INSTRUMENT_SILENCE_MS, line  # the watchdog would have struck
        assert int(grown_bytes) < HEAP_BYTES_MAX, line
