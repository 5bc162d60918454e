"""The optical half of the instrument: what lies before the probe, the laser, the exposure.

Light is gathered over time: whatever changes (sample, laser, power) closes the stretch before it
at the old rate. So a laser switched off in the middle of an exposure halves the signal, and a
sample presented too late is measured for the rest of the time only, as on the bench.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from simulators import photons
from simulators.light import Scene, compose_scene
from simulators.photons import CountArray, FloatArray
from simulators.spectrometer.models import Model, build_unit
from simulators.world import Sample, Substance, check_sample

ROOM_C = 22.0
WARMING_C = 6.0  # the housing above the room after an hour; chosen
WARMING_S = 600.0  # time constant of it; chosen
COOLING_C_MAX = 45.0  # below the housing: more a single stage does not pump; chosen
BOARD_ABOVE_DETECTOR_C = 4.5  # what the second sensor of a model reads; chosen


@dataclass(slots=True)
class Exposure:
    """A spectrum under way: how it is taken and the light gathered so far."""

    integration_us: int
    scans: int
    boxcar: int
    binning: int
    is_corrected: bool
    ends_s: float
    gathered_e: FloatArray


class Probe:
    """Sample, laser and detector of one instrument.

    Args:
        model: what it is.
        substances: the library samples are made of.
        seed: which individual of its model it is, and all its noise.
        now_s: the caller's clock at power-on.
        laser_drift_nm: by which the laser has moved since the maker's calibration; 0.1 nm moves
            every band by 1.6 cm^-1.
    """

    def __init__(
        self,
        model: Model,
        substances: Mapping[str, Substance],
        seed: int,
        now_s: float,
        laser_drift_nm: float = 0.0,
    ) -> None:
        self.model = model
        unit = build_unit(model, seed)
        moved = unit.optics.excitation_nm + laser_drift_nm
        self.unit = replace(unit, optics=replace(unit.optics, excitation_nm=moved))
        self.sample = Sample()
        self.exposure: Exposure | None = None
        self.laser_on_s = 0.0
        self._laser_mw = 0.0
        # A cooler pulls the detector towards its set point, or lets go of it, from where it was.
        self._colder_c, self._aimed_s = 0.0, now_s
        self._set_c: float | None = None
        self._substances = substances
        self._rng = np.random.default_rng([seed, zlib.crc32(b"noise")])
        self._powered_s = self._gathered_until_s = now_s
        self._scene = self._compose(self.sample)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the sample presented."""
        return self._scene.notes

    @property
    def laser_mw(self) -> float:
        """Power that leaves the probe now."""
        return self._laser_mw

    def present(self, sample: Sample, now_s: float) -> None:
        """Hold another sample to the probe.

        Raises:
            WorldError: the sample names something unknown.
        """
        scene = self._compose(check_sample(sample, self._substances))
        self._gather(now_s)
        self.sample, self._scene = sample, scene

    def set_laser(self, power_mw: float, now_s: float) -> None:
        """Change the laser's power; 0 = off."""
        self._gather(now_s)
        self._laser_mw = power_mw

    def begin(self, exposure: Exposure, now_s: float) -> None:
        """Start gathering light for a spectrum."""
        self._gather(now_s)
        self.exposure = exposure

    def abort(self) -> None:
        """Forget the spectrum under way, if any."""
        self.exposure = None

    def finish(self) -> CountArray:
        """Read the detector at the end of the exposure, shape (n_pixel >> binning,).

        Raises:
            RuntimeError: no exposure is under way.
        """
        exposure = self.exposure
        if exposure is None:
            raise RuntimeError("no exposure to finish")
        self._gather(exposure.ends_s)
        self.exposure = None
        detector = self.model.detector
        counts = photons.expose(
            exposure.gathered_e / exposure.scans,
            self.unit.dark_pattern,
            detector,
            photons.Exposure(
                integration_s=exposure.integration_us / 1e6,
                scans=exposure.scans,
                temperature_c=self.temperatures_c(exposure.ends_s)[0],
            ),
            self._rng,
        )
        if exposure.is_corrected:
            above = counts - detector.offset_counts
            above = photons.correct_nonlinearity(above, detector.nonlinearity)
            counts = _boxcar(above + detector.offset_counts, exposure.boxcar)
        counts = counts.reshape(-1, 1 << exposure.binning).mean(axis=1)
        pixels: CountArray = np.clip(counts, 0, detector.full_scale_counts).astype(np.uint32)
        return pixels

    def temperatures_c(self, now_s: float) -> list[float]:
        """Every sensor's reading: the detector's first; the housing warms up after power-on."""
        housing_c = self._housing_c(now_s)
        told_c = [
            housing_c + index * BOARD_ABOVE_DETECTOR_C
            for index in range(self.model.temperature_sensors)
        ]
        told_c[0] -= self._now_colder_c(now_s)
        return told_c

    def cool(self, set_c: float | None, now_s: float) -> None:
        """Have the detector cooled to a temperature; None = not at all."""
        self._colder_c = self._now_colder_c(now_s)
        self._set_c, self._aimed_s = set_c, now_s

    def _housing_c(self, now_s: float) -> float:
        warm_c = WARMING_C * (1.0 - float(np.exp(-(now_s - self._powered_s) / WARMING_S)))
        return ROOM_C + warm_c

    def _now_colder_c(self, now_s: float) -> float:
        """By how much the detector is colder than the housing."""
        aim_c = 0.0
        if self._set_c is not None:
            aim_c = min(max(self._housing_c(now_s) - self._set_c, 0.0), COOLING_C_MAX)
        left = float(np.exp(-(now_s - self._aimed_s) / self.model.cooler_s))
        return aim_c + (self._colder_c - aim_c) * left

    def _compose(self, sample: Sample) -> Scene:
        return compose_scene(sample, self.unit.optics, self._substances)

    def _gather(self, now_s: float) -> None:
        """Count the light and the laser's time since the last change."""
        until_s = now_s if self.exposure is None else min(now_s, self.exposure.ends_s)
        span_s = max(until_s - self._gathered_until_s, 0.0)
        if self.exposure is not None:
            rate = self._scene.ambient_rate + self._laser_mw * self._scene.laser_rate
            self.exposure.gathered_e += self.model.collection * span_s * rate
        if self._laser_mw > 0.0:
            self.laser_on_s += max(now_s - self._gathered_until_s, 0.0)
        self._gathered_until_s = max(now_s, self._gathered_until_s)


def _boxcar(counts: FloatArray, half_width: int) -> FloatArray:
    """Mean over `half_width` pixels to each side; the ends see themselves repeated."""
    if half_width == 0:
        return counts
    padded = np.pad(counts, half_width, mode="edge")
    width = 2 * half_width + 1
    result: FloatArray = np.convolve(padded, np.full(width, 1.0 / width), mode="valid")
    return result
