"""What is known of the models; the protocol itself does not tell which one answers.

Sources: data sheets of STS and Ventana; python-seabreeze, pyseabreeze/devices.py, for the others.
"""

from node.limits import INTEGRATION_US_MAX

# Model: pixels, full scale in counts, shortest and longest integration in microseconds. Those
# times count only where the instrument does not tell its own.
MODELS = {
    # Has its own laser behind the light source messages.
    "ventana": (1024, 65_535, 22_000, 60_000_000),
    # 14 bit; an external laser hangs on its lamp line.
    "sts": (1024, 16_383, 10, 85_000_000),
    "hdx": (2068, 65_535, 6_000, 10_000_000),
    # 18 bit in words of 32; cooled; its spectra come from a buffer.
    "qe_pro": (1044, 262_143, 8_000, 1_600_000_000),
}
_U16_BITS = 16
UNKNOWN_FULL_SCALE_COUNTS = 65_535  # the word's: saturation of an unknown model shows late


class Instrument:
    """What the driver's `identify` learned.

    Attributes:
        model, serial: text for the birth.
        pixel_count: pixels of one spectrum.
        pixel_bytes: of one pixel as the instrument sends it, 2 or 4.
        shift: bits by which the driver makes a pixel of 4 bytes smaller, so that it fits into 16.
        full_scale_counts: counts at which a pixel is saturated, after that.
        integration_us_range: shortest and longest integration as the instrument tells; else the
            model's; of an unknown model anything, and the instrument refuses what it does not do.
        integration_us_step: what an integration must be a multiple of; 1 where it does not tell.
        coefficients_f32le: pixel index -> wavelength in nm, as the instrument stores them.
        nonlinearity_f32le: polynomial by which counts above dark are divided, as the instrument
            stores it; empty where it has none.
    """

    def __init__(self, model: str, serial: str, pixel_count: int) -> None:
        self.model = model
        self.serial = serial
        self.pixel_count = pixel_count
        known = MODELS.get(model, (0, UNKNOWN_FULL_SCALE_COUNTS, 1, INTEGRATION_US_MAX))
        bits = _U16_BITS
        while known[1] >> bits:
            bits += 1
        self.shift = bits - _U16_BITS
        self.pixel_bytes = 4 if self.shift else 2
        self.full_scale_counts = known[1] >> self.shift
        self.integration_us_range = known[2:]
        self.integration_us_step = 1
        self.coefficients_f32le = self.nonlinearity_f32le = b""


def infer_model(pixel_count: int, has_laser_module: bool) -> str:
    """Return the most likely model, `unknown` when none fits."""
    if has_laser_module:
        return "ventana"
    for model in ("sts", "hdx", "qe_pro"):
        if pixel_count == MODELS[model][0]:
            return model
    return "unknown"
