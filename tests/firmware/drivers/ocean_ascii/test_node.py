"""Goal: a node measures with the one-letter spectrometer as with any other.

Method: a real node, broker and gateway's client; the simulated USB4000 as it is after power-on.
"""

import asyncio
import struct

from protocol.messages import ROLE_DARK, ROLE_SAMPLE
from simulators.spectrometer.ascii_device import AsciiSpectrometer
from simulators.spectrometer.ascii_models import ASCII_MODELS
from simulators.spectrometer.line import AsciiLine
from simulators.world import load_substances, parse_sample


async def measure(bench):
    """Press the button once; return the device, the birth and both readings."""
    substances = load_substances()
    async with bench:
        now_s = asyncio.get_running_loop().time()
        device = AsciiSpectrometer(ASCII_MODELS["usb4000"], substances, seed=1, now_s=now_s)
        device.present(parse_sample("urea", substances))
        await bench.start_broker()
        gateway = await bench.start_gateway()
        async with AsciiLine(device, link=bench.tty):
            instrument = bench.settings()["instrument"] | {
                "driver": "ocean_ascii",
                "baud": 115_200,
                "pixels_max": 3_648,
            }
            node = await bench.start_node(instrument=instrument, integration_us=200_000)
            await node.wait("ready", instrument=device.serial_number)
            birth = await gateway.wait("birth", lambda birth: birth.instrument_serial)
            await bench.take()
            readings = [
                await gateway.wait("reading", lambda each, role=role: each.role == role)
                for role in (ROLE_DARK, ROLE_SAMPLE)
            ]
        return device, birth, readings


def test_a_node_measures_with_it(bench):
    device, birth, (dark, sample) = asyncio.run(measure(bench))
    facts = (birth.instrument_model, birth.instrument_serial, birth.pixel_count)
    assert facts == ("usb4000", device.serial_number, 3_648)
    assert birth.coefficients_f32le == struct.pack("<4f", *device.probe.unit.coefficients_nm)
    assert (sample.dark_seq, sample.axis_id) == (dark.seq, birth.axis_id)
    assert (dark.temperature_mc, dark.flags, sample.flags) == (None, 0, 0)
    counts = [struct.unpack("<3648H", each.pixels_u16le) for each in (dark, sample)]
    assert max(counts[1]) > 2 * max(counts[0])
