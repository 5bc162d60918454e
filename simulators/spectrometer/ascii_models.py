"""Models that obey one-letter commands: what they are besides a `Model`.

Pixel counts, ranges and commands are from the Flame manual 225-00000-000-11-201604 (chapter 8) and
the USB4000 data sheet 211-00000-000-05-201604; noise, gain and light are chosen, as in `models.py`.
"""

from dataclasses import dataclass, replace

from simulators.photons import Detector
from simulators.spectrometer.models import MODELS, Model, Unit, spread_nm

CONSTANTS = 20  # what an instrument stores: texts by number


@dataclass(frozen=True, slots=True)
class AsciiModel:
    """One model and what is its own of the command set.

    Attributes:
        model: optics, detector and limits.
        version: what "v" says; 2010 is 2.01.0.
    """

    model: Model
    version: int


def _build(name: str, title: str, serial_prefix: str, pixel_count: int, range_us: range) -> Model:
    """Derive a model from the one with the laser on the strobe line."""
    return replace(
        MODELS["sts_785"],
        name=name,
        title=title,
        serial_prefix=serial_prefix,
        pixel_count=pixel_count,
        integration_us_min=range_us.start,
        integration_us_max=range_us.stop,
        integration_us_step=10,
        integration_us_default=10_000,
        coefficients_nm=spread_nm(pixel_count),
        # Chosen: an uncooled CCD line behind a 16-bit converter, small pixels.
        detector=Detector(
            full_scale_counts=65_535,
            electrons_per_count=1.8,
            offset_counts=1_100.0,
            read_noise_e=60.0,
            dark_rate_e_s=700.0,
            dark_doubling_k=7.0,
            cosmic_rate_hz=0.02,
            nonlinearity=(1.0, -2.6e-7, -1.3e-12),
        ),
        collection=0.5,
        binning_max=0,
    )


ASCII_MODELS = {
    "usb4000": AsciiModel(
        _build("usb4000", "USB4000 class", "USB4F", 3_648, range(10, 65_535_000)),
        version=3_010,
    ),
    "flame_s": AsciiModel(
        _build("flame_s", "Flame-S class", "FLMS", 2_048, range(1_000, 65_000_000)),
        version=2_310,
    ),
}


def store_constants(model: Model, unit: Unit) -> dict[int, bytes]:
    """Return what the maker stores in an instrument: texts of at most 15 characters, by number."""
    stored = dict.fromkeys(range(CONSTANTS), b"0")
    stored[0] = unit.serial_number.encode()
    for index, value in enumerate(unit.coefficients_nm, 1):
        stored[index] = b"%.7e" % value
    for index, value in enumerate(model.detector.nonlinearity, 6):
        stored[index] = b"%.7e" % value
    stored[14] = b"%d" % (len(model.detector.nonlinearity) - 1)
    stored[15] = b"14 0 50"  # grating, filter, slit
    return stored
