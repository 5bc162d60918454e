"""Goal: a node measures with a later spectrometer as with any other; its laser line lights it.

Method: a real node, broker and gateway's client; the simulated SR2 sees the file that stands for
the line which feeds the laser.
"""

import asyncio
import struct

from simulators.spectrometer.line import SpectrometerLine
from simulators.spectrometer.obp2_device import LaterSpectrometer
from simulators.spectrometer.obp2_models import OBP2_MODELS
from simulators.world import load_substances
from tests.firmware.conftest import BAUD


async def measure(bench):
    """Press the button once; return the device, the birth and both readings."""
    now_s = asyncio.get_running_loop().time()
    model = OBP2_MODELS["sr2"]
    device = LaterSpectrometer(model, load_substances(), seed=1, now_s=now_s, baud=BAUD)
    device.is_lit = (bench.folder / "laser.on").exists
    line = SpectrometerLine(device, link=bench.tty)
    found = await bench.measure_with(line, driver="obp2", pixels_max=2_110)
    assert not (bench.folder / "laser.on").exists()
    return found


def test_a_node_measures_with_it(bench):
    device, birth, (dark, sample) = asyncio.run(measure(bench))
    facts = (birth.instrument_model, birth.instrument_serial, birth.pixel_count)
    assert facts == ("hr2 or sr2", device.serial_number, 2_110)
    assert birth.coefficients_f32le == struct.pack("<4f", *device.probe.unit.coefficients_nm)
    assert (sample.dark_seq, sample.axis_id) == (dark.seq, birth.axis_id)
    assert (dark.temperature_mc, dark.flags, sample.flags) == (None, 0, 0)
    assert (dark.laser_mw, sample.laser_mw) == (0, 100)
    assert (dark.scans, sample.scans) == (1, 1)
    counts = [struct.unpack("<2110H", each.pixels_u16le) for each in (dark, sample)]
    assert max(counts[1]) > 4 * max(counts[0])
    assert device.probe.laser_on_s > 0.2
