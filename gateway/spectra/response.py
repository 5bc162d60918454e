"""Relative intensity correction from a certified luminescent glass.

The certificate of a NIST SRM 224x gives the true relative spectrum of the glass as a polynomial of
the Raman shift, whose coefficients differ from batch to batch: they are read from a file, never
kept here. True over measured is the correction; it holds over the certified range only.

Reference: ASTM E2911, Standard Guide for Relative Intensity Correction of Raman Spectrometers;
S. J. Choquette et al., Relative intensity correction of Raman spectrometers: NIST SRMs 2241 through
2243, Applied Spectroscopy 61 (2007) 117.
"""

from __future__ import annotations

import tomllib
from typing import Annotated, Literal

import msgspec
import numpy as np
from scipy.ndimage import gaussian_filter1d

from gateway.spectra.axis import EXCITATION_NM_MAX, EXCITATION_NM_MIN
from gateway.spectra.errors import ResponseError
from gateway.spectra.origin import is_same_laser
from gateway.spectra.spectrum import FloatArray, Spectrum

CERTIFICATE_BYTES_MAX = 16_384
"""A certificate is twenty lines."""

COEFFICIENTS_MAX = 12
STEP_CM1 = 4.0
"""Spacing of the kept curve: the response of optics and detectors is smooth."""

SMOOTH_CM1 = 20.0
"""Width of the Gaussian average over the glass, whose luminescence is hundreds of cm^-1 broad."""

FACTOR_MAX = 50.0
"""Where the instrument answers fifty times weaker than at its best, noise is all it would give."""

FACTORS_MAX = 2_000
"""Beyond any certified range."""

SPAN_CM1_MIN = 300.0
"""Less common range of certificate and instrument corrects nothing worth it."""


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a certificate states.

    Attributes:
        srm: number of the material, such as "2241".
        batch: serial or batch number on the glass.
        excitation_nm: laser the certificate holds for.
        low_cm1, high_cm1: certified range.
        kind: `power`: sum of c[k] * z**k; `exp_power`: exp of that.
        argument: what z is: the shift in cm^-1 as it is, or (shift - centre) / half-width scaled.
        centre, scale: of z = (shift - centre) / scale; 0 and 1 where the certificate has none.
        coefficients: constant first.
    """

    srm: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    batch: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    excitation_nm: Annotated[float, msgspec.Meta(ge=200.0, le=2000.0)]
    low_cm1: Annotated[float, msgspec.Meta(ge=0.0, le=5000.0)]
    high_cm1: Annotated[float, msgspec.Meta(ge=0.0, le=5000.0)]
    kind: Literal["power", "exp_power"]
    unit: Literal["cm-1"]
    coefficients: Annotated[
        tuple[float, ...], msgspec.Meta(min_length=1, max_length=COEFFICIENTS_MAX)
    ]
    centre: float = 0.0
    scale: Annotated[float, msgspec.Meta(gt=0.0)] = 1.0

    @property
    def response_id(self) -> str:
        """Which glass, for the record."""
        return f"SRM {self.srm} {self.batch}"

    def evaluate(self, shift_cm1: FloatArray) -> FloatArray:
        """Return the certified relative intensity at these shifts, shape as given."""
        z = (shift_cm1 - self.centre) / self.scale
        value = np.polynomial.polynomial.polyval(z, np.asarray(self.coefficients))
        found: FloatArray = np.exp(value) if self.kind == "exp_power" else value
        return found


class ResponseCurve(msgspec.Struct, frozen=True, kw_only=True):
    """The correction of one instrument.

    Attributes:
        response_id: certificate it rests on.
        excitation_nm: laser it holds for.
        low_cm1: first point; the others follow every `STEP_CM1`.
        factors: by which counts are multiplied, largest answer = 1.
    """

    response_id: str
    excitation_nm: float
    low_cm1: float
    factors: tuple[float, ...]

    @property
    def high_cm1(self) -> float:
        """Last point of the curve."""
        return self.low_cm1 + STEP_CM1 * (len(self.factors) - 1)

    def check(self) -> None:
        """Insist on factors that a measured glass can give, for a curve that comes from a file.

        Raises:
            ResponseError: names the value.
        """
        wrong = [value for value in self.factors if not 0.9 <= value <= FACTOR_MAX]
        count = len(self.factors)
        if wrong or not 2 <= count <= FACTORS_MAX or not 0.0 <= self.low_cm1 <= 5000.0:
            raise ResponseError(
                f"intensity correction: low_cm1 {self.low_cm1}, {count} factors, first wrong "
                f"{wrong[:1]}: use 2 to {FACTORS_MAX} factors of 1 to {FACTOR_MAX:g}; make it "
                "again from the glass"
            )
        if not EXCITATION_NM_MIN <= self.excitation_nm <= EXCITATION_NM_MAX:
            raise ResponseError(
                f"intensity correction: excitation_nm {self.excitation_nm} is not within "
                f"{EXCITATION_NM_MIN:g} to {EXCITATION_NM_MAX:g}; make it again from the glass"
            )

    def correct(self, axis_cm1: FloatArray, counts: FloatArray) -> FloatArray:
        """Return the counts as light, shape (n,); outside the certified range unchanged in shape.

        There the factor of the nearest certified point holds on, so that no step appears; what lies
        there is as uncorrected as it was.
        """
        at = self.low_cm1 + STEP_CM1 * np.arange(len(self.factors))
        corrected: FloatArray = counts * np.interp(axis_cm1, at, self.factors)
        return corrected


def read_certificate(text: str) -> Certificate:
    """Read the TOML text of a certificate.

    Raises:
        ResponseError: names the key, its value and what would do.
    """
    if len(text) > CERTIFICATE_BYTES_MAX:
        raise ResponseError(
            f"certificate of {len(text)} characters; at most {CERTIFICATE_BYTES_MAX}: give the "
            "certificate's own TOML file"
        )
    try:
        found = msgspec.convert(tomllib.loads(text), Certificate)
    except msgspec.ValidationError as error:
        raise ResponseError(f"certificate: {error}; copy the paper certificate's") from error
    except (ValueError, RecursionError) as error:
        raise ResponseError(f"certificate: not valid TOML: {error}; mend that place") from error
    if not np.isfinite([*found.coefficients, found.centre, found.scale]).all():
        raise ResponseError("certificate: coefficients must be finite; copy them again")
    if found.high_cm1 - found.low_cm1 < SPAN_CM1_MIN:
        raise ResponseError(
            f"certificate: range {found.low_cm1:g} to {found.high_cm1:g} cm^-1 is shorter than "
            f"{SPAN_CM1_MIN:g}; low_cm1 and high_cm1 are those of the certificate"
        )
    return found


def measure_response(
    certificate: Certificate, glass: Spectrum, excitation_nm: float | None = None
) -> ResponseCurve:
    """Make the correction of an instrument from its spectrum of the glass.

    Args:
        certificate: of this very glass.
        glass: dark-subtracted, on the corrected axis.
        excitation_nm: laser that measured it; None = nobody says.

    Raises:
        ResponseError: range, signal or certificate do not allow it.
    """
    if excitation_nm and not is_same_laser(certificate.excitation_nm, excitation_nm):
        raise ResponseError(
            f"certificate of SRM {certificate.srm} is for {certificate.excitation_nm:g} nm, the "
            f"glass was measured with {excitation_nm:g} nm; use the glass that belongs to this "
            "laser (NIST SRM 2241: 785, 2242: 532, 2244: 1064, 2246: 830 nm)"
        )
    low = max(certificate.low_cm1, float(glass.axis_cm1[0]))
    high = min(certificate.high_cm1, float(glass.axis_cm1[-1]))
    if high - low < SPAN_CM1_MIN:
        raise ResponseError(
            f"glass measured from {glass.axis_cm1[0]:.0f} to {glass.axis_cm1[-1]:.0f} cm^-1, "
            f"certified from {certificate.low_cm1:g} to {certificate.high_cm1:g}: less than "
            f"{SPAN_CM1_MIN:g} in common; measure the glass that belongs to this laser"
        )
    if glass.saturated is not None and glass.saturated.any():
        raise ResponseError("glass: the detector was full; measure it with a shorter exposure")
    at = np.arange(low, high + 1e-9, STEP_CM1)
    seen = np.interp(at, glass.axis_cm1, glass.intensity_counts)
    seen = gaussian_filter1d(seen, SMOOTH_CM1 / STEP_CM1, mode="nearest")
    true = certificate.evaluate(at)
    for name, values in (("the certified curve", true), ("the measured glass", seen)):
        if not np.isfinite(values).all() or values.min() <= 0.0:
            raise ResponseError(
                f"{name} is not above zero everywhere from {low:.0f} to {high:.0f} cm^-1; check "
                "the coefficients, subtract the dark frame, expose longer"
            )
    factors = (true / true.max()) / (seen / seen.max())
    factors = factors / factors.min()
    if factors.max() > FACTOR_MAX:
        at_worst = float(at[int(np.argmax(factors))])
        raise ResponseError(
            f"at {at_worst:.0f} cm^-1 the instrument answers {factors.max():.0f} times weaker than "
            f"at its best, at most {FACTOR_MAX:g} are corrected; is it the right glass?"
        )
    return ResponseCurve(
        response_id=certificate.response_id,
        excitation_nm=certificate.excitation_nm,
        low_cm1=round(low, 3),
        factors=tuple(round(float(value), 5) for value in factors),
    )
