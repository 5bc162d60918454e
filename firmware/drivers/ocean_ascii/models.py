"""What is known of the models; which one answers is told by its serial number only."""

from node.errors import InstrumentUnsuited

if False:  # for the type checker: nothing of it is compiled
    from node.typed import InstrumentSettings

# Model: pixels, shortest and longest integration in microseconds, how serial numbers begin.
MODELS = {
    "usb4000": (3_648, 10, 65_535_000, ("USB4", "FLMT")),
    "flame_s": (2_048, 1_000, 65_000_000, ("FLMS", "USB2+")),
}
FULL_SCALE_COUNTS = 65_535  # 16 bit, both
NOT_HAD = ("baud_save", "cooler", "corrected", "laser_percent")  # settings for other families
# Integration is counted in steps of 10 microseconds below 655 ms, of a millisecond above.
_FINE_US, _STEP_US, _COARSE_STEP_US = 655_000, 10, 1_000


class Instrument:
    """What the driver's `identify` learned.

    Attributes:
        model, serial: text for the birth.
        pixel_count: pixels of one spectrum.
        full_scale_counts: counts at which a pixel is saturated.
        integration_us_range: shortest and longest integration.
        coefficients_f32le: pixel index -> wavelength in nm.
        nonlinearity_f32le: counts -> what true counts must be multiplied by.
    """

    def __init__(self, model: str, serial: str, coefficients: bytes, nonlinearity: bytes) -> None:
        known = MODELS[model]
        self.model = model
        self.serial = serial
        self.pixel_count = known[0]
        self.full_scale_counts = FULL_SCALE_COUNTS
        self.integration_us_range = known[1:3]
        self.coefficients_f32le = coefficients
        self.nonlinearity_f32le = nonlinearity


def choose_model(settings: "InstrumentSettings", serial: str, pixels_max: int) -> str:
    """Return the model of the settings, or else the one that the serial number belongs to.

    Raises:
        InstrumentUnsuited: it is none of MODELS, has more than `pixels_max`, or is to do what
            none of them does.
    """
    for key in NOT_HAD:
        if settings.get(key):
            raise InstrumentUnsuited(
                "instrument on %s: its driver does not do instrument.%s; leave it out of node.json"
                % (settings["port"], key)
            )
    model = settings["model"]
    for name, known in MODELS.items():
        if not model and [start for start in known[3] if serial.startswith(start)]:
            model = name
    if model not in MODELS:
        raise InstrumentUnsuited(
            "instrument on %s, serial number %s, is of no known model; set instrument.model to "
            "one of %s" % (settings["port"], serial, ", ".join(sorted(MODELS)))
        )
    if MODELS[model][0] > pixels_max:
        raise InstrumentUnsuited(
            "instrument on %s has %d pixels; this node takes 1 to %d, see instrument.pixels_max "
            "in docs/node.md" % (settings["port"], MODELS[model][0], pixels_max)
        )
    return model


def round_integration(integration_us: int) -> int:
    """Return the integration the instrument can count, so that it reads back what was set."""
    step_us = _STEP_US if integration_us < _FINE_US else _COARSE_STEP_US
    return max(integration_us // step_us, 1) * step_us
