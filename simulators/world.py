"""The world before the instruments: samples, mixtures, containers, each described once.

A `Sample` is what an officer holds to the probe. It can be written in one line
(`potassium_chlorate=0.6 + sucrose=0.4 in ldpe`), as a TOML table, or be a measured spectrum to
replay. `light.py` turns it into light at the pixels of one instrument.
"""

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.spectra.library import load_library
from simulators.errors import WorldError
from simulators.measured import Measured, read_measured
from simulators.photons import Band

__all__ = [
    "CONTAINERS",
    "EMPTY",
    "Component",
    "Container",
    "Measured",
    "Sample",
    "Substance",
    "WorldError",
    "check_sample",
    "load_substances",
    "mix",
    "parse_fraction",
    "parse_sample",
    "read_measured",
]

EMPTY = "empty"
FLUORESCENCE_DEFAULT = 0.03  # of the unit band: clean household and laboratory goods
FLUORESCENCE_MAX = 20.0  # of the unit band; far beyond saturation
FRACTION_TOLERANCE = 0.005  # fractions typed by people add up to 1 within this
COMPONENTS_MAX = 8  # more than that, nobody can check the truth of a scene
TEXT_CHARACTERS_MAX = 500  # one line typed by a person
FORMS: Mapping[str, str] = {  # of a sample in one line, and what each means
    "urea": "one substance; --list-samples shows all",
    "potassium_chlorate=0.6 + sucrose=0.4": "a mixture; the fractions add up to 1",
    "potassium_chlorate + sucrose": "those without a fraction share what is left",
    "measured FILE": "replays a spectrum: two columns, shift in cm-1 and intensity",
    EMPTY: "nothing in the holder",
}
WORDS: Mapping[str, str] = {  # that may follow
    "fluorescence": f"LEVEL of the background, 0 to {FLUORESCENCE_MAX:g}; 1: as high as the "
    f"strongest band of a strong scatterer (default {FLUORESCENCE_DEFAULT:g} of a substance, 0 of "
    "what is measured or empty)",
    "shade": "PART of the lane's stray light that the sample keeps from the probe, 0 to 1 "
    "(default 0)",
    "seed": "NUMBER of the individual sample: another one of the same kind has other intensities, "
    "widths and positions (default: for --sample that of --seed, for present 0, in a scenario the "
    "sample's place in the file)",
}
# Light returned by what the substance table calls strong, medium, ...; metals, simple halides and
# articles without a substance of their own return none. Chosen.
STRENGTHS = {"strong": 1.0, "medium": 0.4, "weak": 0.12, "inactive": 0.0, "not_applicable": 0.0}


@dataclass(frozen=True, slots=True)
class Substance:
    """What the simulators know of a substance: its bands and how strongly it scatters."""

    substance_id: str
    name: str
    strength: float
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class Container:
    """A wall between probe and sample.

    Attributes:
        transmission: of laser light in and Raman light out together, 0..1.
        substance_id: whose bands the wall adds; empty = none.
        strength: of those bands, relative to a pure strong scatterer.
        hump: height of the luminescence hump of glass near 1390 cm^-1, same unit.
    """

    transmission: float
    substance_id: str = ""
    strength: float = 0.0
    hump: float = 0.0


# Chosen magnitudes; the bands themselves come from the band tables.
CONTAINERS: Mapping[str, Container] = {
    "none": Container(transmission=1.0),
    "ldpe": Container(transmission=0.88, substance_id="ldpe", strength=0.07),
    "pp": Container(transmission=0.70, substance_id="pp", strength=0.15),
    "pet": Container(transmission=0.80, substance_id="pet", strength=0.15),
    "glass": Container(transmission=0.85, hump=0.12),
    "amber_glass": Container(transmission=0.45, hump=0.60),
}


@dataclass(frozen=True, slots=True)
class Component:
    """One substance of a sample and its part of the scattering volume, 0 < fraction <= 1."""

    substance_id: str
    fraction: float


@dataclass(frozen=True, slots=True)
class Sample:
    """What is held to the probe; no components and nothing measured = an empty holder.

    Attributes:
        components: substances whose fractions add up to 1.
        container: a key of `CONTAINERS`.
        fluorescence: height of the luminescent background in units of a strong scatterer's top
            band (22 500 counts in 100 ms at 100 mW on the Ventana class).
        measured: replaces the components' bands.
        shade: part of the lane's stray light that it keeps from the probe, 0..1.
        seed: which individual sample of its kind this is.
    """

    components: tuple[Component, ...] = ()
    container: str = "none"
    fluorescence: float = 0.0
    measured: Measured | None = None
    seed: int = 0
    shade: float = 0.0

    @property
    def label(self) -> str:
        """The sample in the one-line form, e.g. `urea in ldpe`."""
        if self.measured is not None:
            text = f"measured {self.measured.name}"
        elif not self.components:
            text = EMPTY
        elif len(self.components) == 1:
            text = self.components[0].substance_id
        else:
            text = " + ".join(f"{c.substance_id}={c.fraction:g}" for c in self.components)
        return text if self.container == "none" else f"{text} in {self.container}"


def load_substances() -> dict[str, Substance]:
    """The project's library as the simulators see it, by substance id."""
    return {
        substance_id: Substance(
            substance_id=substance_id,
            name=substance.name_in("en"),
            strength=STRENGTHS[substance.raman_active],
            bands=tuple(
                Band(band.shift_cm1, band.rel_intensity, band.fwhm_cm1, band.uncertainty_cm1)
                for band in substance.bands
            ),
        )
        for substance_id, substance in load_library().substances.items()
    }


def _near(word: str, words: Iterable[str]) -> str:
    """A half sentence with the words most like `word`, or with what is on offer."""
    known = sorted(words)
    near = difflib.get_close_matches(word, known, n=4, cutoff=0.5)
    near += [name for name in known if len(word) >= 3 and word in name and name not in near][:4]
    return f"did you mean {', '.join(near)}?" if near else f"known are {', '.join(known[:6])}, ..."


def check_sample(sample: Sample, substances: Mapping[str, Substance]) -> Sample:
    """Return the sample if it can be presented.

    Raises:
        WorldError: unknown substance or container, fractions that do not add up, a level out of
            range.
    """
    for component in sample.components:
        if component.substance_id not in substances:
            hint = _near(component.substance_id, substances)
            raise WorldError(
                f"unknown substance '{component.substance_id}': {hint} (--list-samples shows all)"
            )
        if not 0.0 < component.fraction <= 1.0:
            raise WorldError(
                f"fraction of {component.substance_id} is {component.fraction:g}; "
                "it must be above 0 and at most 1"
            )
    if sample.container not in CONTAINERS:
        raise WorldError(
            f"unknown container '{sample.container}': known are {', '.join(CONTAINERS)}"
        )
    if len(sample.components) > COMPONENTS_MAX:
        raise WorldError(f"{len(sample.components)} components; at most {COMPONENTS_MAX} can mix")
    if sample.measured is not None and sample.components:
        raise WorldError("a measured spectrum is replayed alone; leave out the substances")
    total = sum(component.fraction for component in sample.components)
    if sample.components and abs(total - 1.0) > FRACTION_TOLERANCE:
        raise WorldError(
            f"the fractions of '{sample.label}' add up to {total:g}; they must add up to 1 "
            "(fill up with an inert one such as sodium_chloride)"
        )
    if not 0.0 <= sample.fluorescence <= FLUORESCENCE_MAX:
        raise WorldError(f"fluorescence {sample.fluorescence:g} is outside 0..{FLUORESCENCE_MAX:g}")
    if not 0.0 <= sample.shade <= 1.0:
        raise WorldError(f"shade {sample.shade:g} is outside 0..1")
    return sample


def mix(parts: Sequence[tuple[str, float | None]]) -> tuple[Component, ...]:
    """Components from names and fractions; those without one share what is left equally.

    Raises:
        WorldError: nothing is left to share.
    """
    open_count = sum(fraction is None for _, fraction in parts)
    left = 1.0 - sum(fraction for _, fraction in parts if fraction is not None)
    if open_count and left <= 0.0:
        names = ", ".join(name for name, fraction in parts if fraction is None)
        raise WorldError(f"no fraction is left for {names}: the others already add up to 1 or more")
    return tuple(
        Component(name, left / open_count if fraction is None else fraction)
        for name, fraction in parts
    )


_PART = re.compile(r"([a-z0-9_]+)(?:\s*=\s*([0-9.eE+-]+))?")
_WALL = re.compile(r"(.*?)\s+in\s+(\w+)")
_OPTION = re.compile(rf"\b({'|'.join(WORDS)})\s*=\s*(\S+)")


def parse_sample(text: str, substances: Mapping[str, Substance]) -> Sample:
    """Read the one-line form of a sample.

    `empty`, `SUBSTANCE[=FRACTION] [+ ...] [in CONTAINER]` or `measured FILE [in CONTAINER]`,
    each followed by `fluorescence=LEVEL`, `shade=PART` and `seed=NUMBER` if wanted.

    Raises:
        WorldError: the text is none of these, or names something unknown.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        raise WorldError(f"a sample of {len(text)} characters; at most {TEXT_CHARACTERS_MAX}")
    options = dict(_OPTION.findall(text))
    rest = _OPTION.sub(" ", text).strip()
    wall = _WALL.fullmatch(rest)
    rest, container = (wall[1], wall[2]) if wall else (rest, "none")
    measured: Measured | None = None
    components: tuple[Component, ...] = ()
    if rest.startswith("measured "):
        measured = read_measured(Path(rest.removeprefix("measured ").strip()))
    elif rest != EMPTY:
        matches = [_PART.fullmatch(part.strip()) for part in rest.split("+")]
        if not rest or None in matches:
            raise WorldError(
                f"cannot read the sample '{text.strip()}': write 'potassium_chlorate=0.6 + "
                "sucrose=0.4 in ldpe', 'measured FILE' or 'empty'"
            )
        components = mix(
            [(m[1], None if m[2] is None else _number(m[2], m[1])) for m in matches if m]
        )
    clean = FLUORESCENCE_DEFAULT if components else 0.0
    sample = Sample(
        components=components,
        container=container,
        fluorescence=_number(options.get("fluorescence", str(clean)), "fluorescence"),
        measured=measured,
        seed=_seed(options.get("seed", "0")),
        shade=_number(options.get("shade", "0"), "shade"),
    )
    return check_sample(sample, substances)


def parse_fraction(text: str) -> tuple[str, float]:
    """Read `SUBSTANCE=FRACTION`.

    Raises:
        WorldError: it is written otherwise.
    """
    match = _PART.fullmatch(text.strip())
    if match is None or match[2] is None:
        raise WorldError(f"cannot read '{text}': write SUBSTANCE=FRACTION, e.g. sucrose=0.5")
    return match[1], _number(match[2], match[1])


def _number(value: object, what: str) -> float:
    """A finite number out of text or TOML."""
    try:
        number = float(str(value))
    except ValueError:
        raise WorldError(f"'{value}' given for {what} is not a number") from None
    if not math.isfinite(number):
        raise WorldError(f"{value} given for {what} is not a finite number")
    return number


def _seed(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise WorldError(f"seed '{text}' must be a whole number of at most 9 digits")
    return int(text)
