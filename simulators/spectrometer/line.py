"""The spectrometer's serial cable; a sample can be presented while it hangs there."""

import asyncio

from simulators.line import Line
from simulators.spectrometer.ascii_device import AsciiSpectrometer
from simulators.spectrometer.device import Spectrometer
from simulators.world import Sample


class SpectrometerLine(Line[Spectrometer]):
    """A spectrometer on a pseudo-terminal, as an asynchronous context; see `Line`."""

    def present(self, sample: Sample) -> None:
        """Hold another sample to the probe, now.

        Raises:
            WorldError: the sample names something unknown.
        """
        self.device.present(sample, asyncio.get_running_loop().time())
        self.speak()


class AsciiLine(Line[AsciiSpectrometer]):
    """The same for a spectrometer with one-letter commands."""

    def present(self, sample: Sample) -> None:
        """Hold another sample to the probe, now.

        Raises:
            WorldError: the sample names something unknown.
        """
        self.device.present(sample, asyncio.get_running_loop().time())
        self.speak()
