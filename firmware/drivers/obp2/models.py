"""What is known of the models; the length of a spectrum tells which one answers.

Source: python-seabreeze, pyseabreeze/devices.py (integration limits of SR4 and SR6 there are from
the maker's SR series manual).
"""

# Model: pixels, full scale in counts, shortest and longest integration in microseconds, and the
# unit in which it is told the integration, microseconds.
MODELS = {
    "sr2": (2110, 65_535, 1, 2_000_000, 1),
    "hr2": (2110, 65_535, 1, 2_000_000, 1),
    "sr4": (3648, 65_535, 3_800, 10_000_000, 1),
    "sr6": (2048, 65_535, 7_200, 5_000_000, 1),
    "st": (1516, 16_383, 1_560, 6_000_000, 10),
}
NOT_HAD = ("baud_save", "cooler", "corrected", "laser_percent")  # settings for other families


class Instrument:
    """What the driver's `identify` learned.

    Attributes:
        model, serial: text for the birth; two models that nothing tells apart are both named.
        pixel_count: pixels of one spectrum.
        full_scale_counts: counts at which a pixel is saturated.
        integration_us_range: shortest and longest integration.
        integration_us_step: unit in which it is told the integration.
        scans_max: 1: no message is known by which it averages.
        coefficients_f32le: pixel index -> wavelength in nm, as the instrument stores them.
        nonlinearity_f32le: polynomial by which counts above dark are divided; empty where there is
            none.
    """

    scans_max = 1

    def __init__(
        self, models: "list[str]", serial: str, coefficients: bytes, nonlinearity: bytes
    ) -> None:
        known = MODELS[models[0]]
        self.model = " or ".join(models)
        self.serial = serial
        self.pixel_count = known[0]
        self.full_scale_counts = known[1]
        self.integration_us_range = known[2:4]
        self.integration_us_step = known[4]
        self.coefficients_f32le = coefficients
        self.nonlinearity_f32le = nonlinearity


def infer_models(pixel_count: int, named: str) -> "list[str]":
    """Return the models that have so many pixels; of several the one that is named.

    Args:
        pixel_count: of one spectrum.
        named: in node.json, empty: none.
    """
    found = [model for model in sorted(MODELS) if MODELS[model][0] == pixel_count]
    return [named] if named in found else found
