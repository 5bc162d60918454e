"""What identifying one spectrum gives: plain values, drawn, screened and stored by others."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.spectra.explain import BandEvidence, LookAlike
from gateway.spectra.spectrum import FloatArray


@dataclass(frozen=True, slots=True)
class Candidate:
    """A substance that explains the same bands as `instead_of`, or would come on top of all.

    Attributes:
        substance_id: the candidate.
        nats: its evidence.
        deficit_nats: how much less than the accepted one; 0 or negative = at least as good.
        instead_of: accepted substance it would replace, None = in addition.
        share: height of its strongest band over the strongest of the spectrum.
        bands: its bands.
    """

    substance_id: str
    nats: float
    deficit_nats: float
    instead_of: str | None
    share: float
    bands: tuple[BandEvidence, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """An accepted substance.

    Attributes:
        substance_id: id in the library.
        score: 0 to 1, share of the substance's visible band intensity found at its place, times
            the chance to be the right one of those weighed; see `explain.score`.
        nats: evidence after counting all looks.
        share: part of the explained signal height, 0 to 1; not a concentration.
        need: F statistic of leaving it out of the mixture fit.
        bands: its bands.
        look_alikes: substances known to be mistaken for it, and how far the measurement is off.
    """

    substance_id: str
    score: float
    nats: float
    share: float
    need: float
    bands: tuple[BandEvidence, ...]
    look_alikes: tuple[LookAlike, ...]


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the measurement is.

    Attributes:
        snr: of the strongest sharp band; 0 when there is none.
        range_cm1: evaluated range.
        resolution_cm1: line width in use.
        saturated_share: share of the range lost to a full detector.
        fluorescence_share: background area over all light.
        spike_count: points replaced as cosmic rays.
        band_count: bands found.
        sharp_count: those too narrow to be background.
        clear_count: sharp ones that stand ten times above the noise.
        fringe_share: amplitude of a regular ripple over the light, 0 = none; `snr` counts it as
            noise.
        fringed: the ripple, not the noise, is what hides bands.
    """

    snr: float
    range_cm1: tuple[float, float]
    resolution_cm1: float
    saturated_share: float
    fluorescence_share: float
    spike_count: int
    band_count: int
    sharp_count: int
    clear_count: int
    fringe_share: float
    fringed: bool


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a picture of the identification draws; all arrays of shape (n,), unit of the input.

    Attributes:
        axis_cm1: Raman shift.
        intensity: the cleaned spectrum with its background.
        background: what was taken off; `intensity - background` is what bands are sought in.
        fit: sum of the components, without background.
        components: substance_id -> its light, without background.
    """

    axis_cm1: FloatArray
    intensity: FloatArray
    background: FloatArray
    fit: FloatArray
    components: dict[str, FloatArray]


@dataclass(frozen=True, slots=True)
class Identification:
    """All that one spectrum says.

    Attributes:
        hits: accepted substances, best first.
        candidates: rivals of the hits and further possible substances.
        unexplained_cm1: positions of bands nothing accounts for, strongest first.
        foreign_share: height of the strongest of them over the strongest band, 0 to 1.
        explained_share: share of the signal's area the hits explain.
        axis_offset_cm1: how far the whole axis had to be moved, against what was stated of it,
            before anything fitted; 0 = not at all.
        coverage: substance_id -> share of its tabulated intensity inside the usable range.
        blind: substances that could hide because of noise; see `explain.blind_spots`.
        covered: substances that could hide whatever the noise.
        quality: of the measurement.
        library_version: tables used.
        trace: for a picture.
    """

    hits: tuple[Hit, ...]
    candidates: tuple[Candidate, ...]
    unexplained_cm1: tuple[float, ...]
    foreign_share: float
    explained_share: float
    axis_offset_cm1: float
    coverage: dict[str, float]
    blind: tuple[str, ...]
    covered: tuple[str, ...]
    quality: Quality
    library_version: str
    trace: Trace = field(compare=False, repr=False)
