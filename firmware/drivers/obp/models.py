"""What is known of the models; the protocol itself does not tell which one answers."""

from node.limits import INTEGRATION_US_MAX

# Model: pixels, full scale in counts, shortest and longest integration in microseconds.
MODELS = {
    # Has its own laser behind the light source messages.
    "ventana": (1024, 65_535, 22_000, 60_000_000),
    # 14 bit; an external laser hangs on its lamp line.
    "sts": (1024, 16_383, 10, 85_000_000),
    "hdx": (2068, 65_535, 6_000, 10_000_000),
}
UNKNOWN_FULL_SCALE_COUNTS = 65_535  # the word's: saturation of an unknown model shows late


class Instrument:
    """What the driver's `identify` learned.

    Attributes:
        model, serial: text for the birth.
        pixel_count: pixels of one spectrum.
        full_scale_counts: counts at which a pixel is saturated.
        integration_us_range: shortest and longest integration; of an unknown model anything, and
            the instrument refuses what it does not do.
        coefficients_f32le: pixel index -> wavelength in nm, as the instrument stores them.
        has_laser_module: its laser obeys light source messages; otherwise the lamp line.
    """

    def __init__(
        self, model: str, serial: str, pixel_count: int, coefficients_f32le: bytes, module: bool
    ) -> None:
        self.model = model
        self.serial = serial
        self.pixel_count = pixel_count
        known = MODELS.get(model, (0, UNKNOWN_FULL_SCALE_COUNTS, 1, INTEGRATION_US_MAX))
        self.full_scale_counts = known[1]
        self.integration_us_range = known[2:]
        self.coefficients_f32le = coefficients_f32le
        self.has_laser_module = module


def infer_model(pixel_count: int, has_laser_module: bool) -> str:
    """Return the most likely model, `unknown` when none fits."""
    if has_laser_module:
        return "ventana"
    if pixel_count == MODELS["sts"][0]:
        return "sts"
    return "hdx" if pixel_count == MODELS["hdx"][0] else "unknown"
