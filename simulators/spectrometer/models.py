"""What an instrument is: one table per model; how it behaves is `device.py`.

Add a model by adding a table. Pixel counts, integration limits and word sizes are from the
data sheets (Ventana 891-00000-200-05, STS 030-00000-003-05) and, for QE Pro and HDX, those of
python-seabreeze (pyseabreeze/devices.py); everything about noise, gain and temperature is chosen
to be plausible for the class and marked so where it stands.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from simulators.photons import Detector, FloatArray, Optics

EXCITATION_NM = 785.0
CALIBRATION_SIGMA_NM = 0.015  # r.m.s. of a good neon-lamp fit, about 0.2 cm^-1; chosen
EXCITATION_SIGMA_NM = 0.03  # a grating-stabilised diode: 0.5 cm^-1; calibration.md, section 2


@dataclass(frozen=True, slots=True)
class Model:
    """One instrument family.

    Attributes:
        name: key on command lines.
        title: what a person calls it.
        serial_prefix: how its serial numbers begin.
        pixel_count: pixels of one spectrum, `pixel_bytes` each.
        integration_us_min, integration_us_max, integration_us_step: what may be set.
        integration_us_default: after power-on.
        scans_max: most scans it averages.
        coefficients_nm: nominal pixel index -> wavelength polynomial, nm.
        slit_nm: FWHM of a line; 0.59 nm is 8 cm^-1 in the middle of the range.
        detector: what the detector adds.
        collection: light gathered compared with the Ventana class.
        laser: "module" = its own, by light source messages; "strobe" = an external one on the
            lamp line, always at full power.
        laser_mw_max: power at intensity 1.0.
        binning_max: largest binning exponent; 0 = the model has no binning.
        hardware_revision, firmware_revision: what it reports.
        temperature_sensors: count; sensor 0 sits at the detector.
        pixel_bytes: of one pixel on the line, 2 or 4.
        cooler_c: lowest and highest set point of its thermo-electric cooler; None = it has none.
        cooler_s: time constant of the detector's temperature.
        has_buffer: its spectra can be had from a buffer, with metadata.
    """

    name: str
    title: str
    serial_prefix: str
    pixel_count: int
    integration_us_min: int
    integration_us_max: int
    integration_us_step: int
    integration_us_default: int
    scans_max: int
    coefficients_nm: tuple[float, ...]
    slit_nm: float
    detector: Detector
    collection: float
    laser: str
    laser_mw_max: float
    binning_max: int
    hardware_revision: int
    firmware_revision: int
    temperature_sensors: int
    pixel_bytes: int = 2
    cooler_c: tuple[float, float] | None = None
    cooler_s: float = 8.0  # chosen: cold within half a minute
    has_buffer: bool = False


# Third order, 800.3..932 nm over 1024 pixels: 245..2008 cm^-1 at 785 nm.
_RAMAN_785_NM = (800.3, 0.1420, -1.2e-5, -1.0e-9)

MODELS = {
    "ventana_785": Model(
        name="ventana_785",
        title="Ventana-785 class, own laser",
        serial_prefix="VEN",
        pixel_count=1024,
        integration_us_min=22_000,
        integration_us_max=60_000_000,
        integration_us_step=1,
        integration_us_default=100_000,
        scans_max=5000,
        coefficients_nm=_RAMAN_785_NM,
        slit_nm=0.59,
        # Chosen: a cooled back-thinned CCD behind a 16-bit converter.
        detector=Detector(
            full_scale_counts=65535,
            electrons_per_count=3.0,
            offset_counts=1500.0,
            read_noise_e=18.0,
            dark_rate_e_s=120.0,
            dark_doubling_k=7.0,
            cosmic_rate_hz=0.05,
            nonlinearity=(1.0, -2.4e-7, -1.1e-12, 0.0, 0.0, 0.0, 0.0, 0.0),
        ),
        collection=1.0,
        laser="module",
        laser_mw_max=100.0,
        binning_max=0,
        hardware_revision=2,
        firmware_revision=0x0120,
        temperature_sensors=2,
    ),
    "sts_785": Model(
        name="sts_785",
        title="STS class, laser on the strobe line",
        serial_prefix="S",
        pixel_count=1024,
        integration_us_min=10,
        integration_us_max=85_000_000,
        integration_us_step=1,
        integration_us_default=100_000,
        scans_max=5000,
        coefficients_nm=_RAMAN_785_NM,
        slit_nm=0.70,
        # Chosen: a small uncooled CMOS line behind a 14-bit converter.
        detector=Detector(
            full_scale_counts=16383,
            electrons_per_count=5.0,
            offset_counts=1500.0,
            read_noise_e=45.0,
            dark_rate_e_s=900.0,
            dark_doubling_k=7.0,
            cosmic_rate_hz=0.01,
            nonlinearity=(1.0, -1.1e-6, -8.0e-12, 0.0, 0.0, 0.0, 0.0, 0.0),
        ),
        collection=0.4,
        laser="strobe",
        laser_mw_max=100.0,
        binning_max=3,
        hardware_revision=3,
        firmware_revision=0x0111,
        temperature_sensors=1,
    ),
    "hdx": Model(
        name="hdx",
        title="Ocean HDX class, laser on the strobe line",
        serial_prefix="HDX",
        pixel_count=2068,
        integration_us_min=6_000,
        integration_us_max=10_000_000,
        integration_us_step=10,  # chosen
        integration_us_default=100_000,
        scans_max=5000,
        # The same range over twice the pixels.
        coefficients_nm=(800.3, 0.0710, -3.0e-6, -1.2e-10),
        slit_nm=0.55,
        # Chosen: an uncooled back-thinned CCD behind a 16-bit converter.
        detector=Detector(
            full_scale_counts=65535,
            electrons_per_count=4.0,
            offset_counts=1500.0,
            read_noise_e=25.0,
            dark_rate_e_s=400.0,
            dark_doubling_k=7.0,
            cosmic_rate_hz=0.03,
            nonlinearity=(1.0, -1.8e-7, -9.0e-13, 0.0, 0.0, 0.0, 0.0, 0.0),
        ),
        collection=0.8,
        laser="strobe",
        laser_mw_max=100.0,
        binning_max=0,
        hardware_revision=1,
        firmware_revision=0x0100,
        temperature_sensors=1,
    ),
    "qe_pro": Model(
        name="qe_pro",
        title="QE Pro class, cooled, laser on the strobe line",
        serial_prefix="QEP",
        pixel_count=1044,
        integration_us_min=8_000,
        integration_us_max=1_600_000_000,
        integration_us_step=1,
        integration_us_default=100_000,
        scans_max=5000,
        coefficients_nm=_RAMAN_785_NM,
        slit_nm=0.59,
        # Chosen: a cooled back-thinned CCD behind an 18-bit converter.
        detector=Detector(
            full_scale_counts=262_143,
            electrons_per_count=0.8,
            offset_counts=2500.0,
            read_noise_e=8.0,
            dark_rate_e_s=1500.0,
            dark_doubling_k=7.0,
            cosmic_rate_hz=0.05,
            nonlinearity=(1.0, -6.0e-8, -7.0e-14, 0.0, 0.0, 0.0, 0.0, 0.0),
        ),
        collection=1.2,
        laser="strobe",
        laser_mw_max=100.0,
        binning_max=0,
        hardware_revision=2,
        firmware_revision=0x0200,
        temperature_sensors=2,
        pixel_bytes=4,
        cooler_c=(-30.0, 25.0),
        has_buffer=True,
    ),
}


def spread_nm(pixel_count: int) -> tuple[float, ...]:
    """Return the coefficients of the Raman models' band over another number of pixels."""
    part = MODELS["sts_785"].pixel_count / pixel_count
    return tuple(value * part**power for power, value in enumerate(_RAMAN_785_NM))


@dataclass(frozen=True, slots=True)
class Unit:
    """One instrument of a model: what the maker measured and stored, and what is true.

    Attributes:
        serial_number: up to 16 characters.
        coefficients_nm: pixel index -> wavelength as stored in the instrument (float32 values).
        optics: the truth behind them.
        dark_pattern: shape (n_pixel,), dark current of each pixel relative to the mean.
    """

    serial_number: str
    coefficients_nm: tuple[float, ...]
    optics: Optics
    dark_pattern: FloatArray


def build_unit(model: Model, seed: int) -> Unit:
    """Make the instrument number `seed` of a model: same model and seed, same instrument."""
    rng = np.random.default_rng([seed, zlib.crc32(model.name.encode())])
    serial_number = f"{model.serial_prefix}{int(rng.integers(10_000, 99_999)):05d}"
    nominal = np.array(model.coefficients_nm)
    made = nominal * (1.0 + np.array([0.0, 1e-3, 5e-3, 2e-2]) * rng.normal(0.0, 1.0, 4))
    made[0] += rng.normal(0.0, 0.15)
    stored = made.copy()
    stored[0] += rng.normal(0.0, CALIBRATION_SIGMA_NM)
    pixels = np.arange(model.pixel_count, dtype=np.float64)
    optics = Optics(
        wavelength_nm=np.asarray(np.polynomial.polynomial.polyval(pixels, made), dtype=np.float64),
        excitation_nm=EXCITATION_NM + float(rng.normal(0.0, EXCITATION_SIGMA_NM)),
        slit_nm=model.slit_nm,
        pixel_gain=rng.normal(1.0, 0.008, model.pixel_count),
    )
    return Unit(
        serial_number=serial_number,
        coefficients_nm=tuple(float(np.float32(value)) for value in stored),
        optics=optics,
        dark_pattern=np.exp(rng.normal(0.0, 0.2, model.pixel_count)),
    )
