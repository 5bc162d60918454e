"""What the driver's tests share: a driver in a real MicroPython on an instrument that is played."""

import pytest

from tests.firmware.drivers.obp import playing
from tests.firmware.drivers.obp.playing import BAUD, Instrument


@pytest.fixture
def drive(run_story):
    """Let the driver take steps on an instrument; return its lines and the instrument."""

    def drive(*steps, **odd):
        instrument = Instrument({getattr(playing, name): answer for name, answer in odd.items()})
        try:
            return run_story("driver_story.py", instrument.path, str(BAUD), *steps), instrument
        finally:
            instrument.end()

    return drive
