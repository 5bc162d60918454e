"""Goal: a node measures with the one-letter spectrometer as with any other.

Method: a real node, broker and gateway's client; the simulated USB4000 as it is after power-on.
"""

import asyncio
import struct

from simulators.spectrometer.ascii_device import AsciiSpectrometer
from simulators.spectrometer.ascii_models import ASCII_MODELS
from simulators.spectrometer.line import AsciiLine
from simulators.world import load_substances


async def measure(bench):
    """Press the button once; return the device, the birth and both readings."""
    now_s = asyncio.get_running_loop().time()
    device = AsciiSpectrometer(ASCII_MODELS["usb4000"], load_substances(), seed=1, now_s=now_s)
    line = AsciiLine(device, link=bench.tty)
    return await bench.measure_with(line, driver="ocean_ascii", baud=115_200, pixels_max=3_648)


def test_a_node_measures_with_it(bench):
    device, birth, (dark, sample) = asyncio.run(measure(bench))
    facts = (birth.instrument_model, birth.instrument_serial, birth.pixel_count)
    assert facts == ("usb4000", device.serial_number, 3_648)
    assert birth.coefficients_f32le == struct.pack("<4f", *device.probe.unit.coefficients_nm)
    assert (sample.dark_seq, sample.axis_id) == (dark.seq, birth.axis_id)
    assert (dark.temperature_mc, dark.flags, sample.flags) == (None, 0, 0)
    counts = [struct.unpack("<3648H", each.pixels_u16le) for each in (dark, sample)]
    assert max(counts[1]) > 2 * max(counts[0])
