"""Models that speak OBP 2: what they are.

Pixels, words and integration limits are those of python-seabreeze (pyseabreeze/devices.py), which
has those of SR4 and SR6 from the maker's SR series manual; noise, gain and light are chosen, as in
`models.py`.
"""

from dataclasses import replace

from simulators.photons import Detector
from simulators.spectrometer.models import MODELS, Model, spread_nm


def _build(
    name: str, pixel_count: int, range_us: tuple[int, int], bits: int = 16, step_us: int = 1
) -> Model:
    """Derive a model from the small one; its laser hangs on a line of the node's."""
    return replace(
        MODELS["sts_785"],
        name=name,
        title=f"Ocean {name.upper()} class, external laser",
        serial_prefix=name.upper(),
        pixel_count=pixel_count,
        integration_us_min=range_us[0],
        integration_us_max=range_us[1],
        integration_us_step=step_us,
        coefficients_nm=spread_nm(pixel_count),
        # Chosen: an uncooled CCD or CMOS line.
        detector=Detector(
            full_scale_counts=(1 << bits) - 1,
            electrons_per_count=2.0 if bits == 16 else 6.0,
            offset_counts=1_200.0,
            read_noise_e=50.0,
            dark_rate_e_s=600.0,
            dark_doubling_k=7.0,
            cosmic_rate_hz=0.02,
            nonlinearity=(1.0, -2.2e-7, -1.2e-12, 0.0, 0.0, 0.0, 0.0, 0.0),
        ),
        collection=0.5,
        laser="line",
        binning_max=0,
        temperature_sensors=1,
    )


OBP2_MODELS = {
    model.name: model
    for model in (
        _build("sr2", 2_110, (1, 2_000_000)),
        _build("hr2", 2_110, (1, 2_000_000)),
        _build("sr4", 3_648, (3_800, 10_000_000)),
        _build("sr6", 2_048, (7_200, 5_000_000)),
        _build("st", 1_516, (1_560, 6_000_000), bits=14, step_us=10),
    )
}
