"""What the words above two columns say: is the first a Raman shift, is the second light?

Exporters of infrared, ultraviolet and raw-detector programs write the same two columns as Raman
programs; the title of a column or a line such as `Y Units: Absorbance` is often the only
difference. Words are known in the four languages of the officers.
"""

from __future__ import annotations

import re

SHIFT_MARKS = ("cm-1", "cm^-1", "cm−1", "cm–1", "cm⁻¹", "1/cm", "cm**-1")
"""A title with this unit is a wavenumber, whatever laser in nm it also names."""

SHIFT_WORDS = frozenset(
    "shift raman wavenumber wavenumbers décalage decalage desplazamiento إزاحة".split()
)

LIGHT_WORDS = frozenset(
    "intensity intensities counts count signal intensité intensite intensidad cuentas coups "
    "شدة الشدة".split()
)

WAVELENGTH, PIXEL = "a wavelength", "a pixel or row number"

AXIS_WORDS = {
    "a wavelength in another unit than nm": "micron microns micrometer micrometers micrometre "
    "micrometres um µm μm angstrom angstroms å pm picometer picometers",
    WAVELENGTH: "nm nanometer nanometers nanometre nanometres wavelength wavelengths lambda λ "
    "longueur longitud الموجي",
    PIXEL: "pixel pixels px píxel píxeles pixeles index channel row point points بكسل",
    "an absolute wavenumber": "absolute absolu absoluto",
    "an energy or a frequency": "ev mev energy frequency hz ghz thz",
    "a time": "time temps tiempo seconds",
    "a mass or an angle": "m/z mass 2theta 2θ theta",
}

INFRARED_WORDS = {
    "absorbance": "absorbance absorbancia absorption absorptance absorbanz extinction od الامتصاص",
    "transmittance": "transmittance transmittances %transmittance %transmission transmitancia "
    "transmission transmisión %t t% النفاذية",
    "reflectance": "reflectance reflectances réflectance reflectancia %r kubelka-munk kubelka",
}

TYPE_WORDS = {
    "infrared": "infrared ir ftir ft-ir atr atr-ftir atr-ir nir mir infrarouge infrarrojo",
    "ultraviolet": "uv uv-vis uv/vis uvvis ultraviolet",
    "mass": "mass ms gc-ms",
    "x-ray": "xrd x-ray xrf",
    "nuclear magnetic resonance": "nmr",
}

TYPE_KEYS = frozenset(
    "data type|datatype|technique|spectrum type|measurement type|spectroscopy|type of spectrum"
    "|experiment type|technologie|técnica".split("|")
)
LIGHT_KEYS = frozenset(
    "y units|yunits|y unit|y axis|yaxis|y label|ylabel|y-axis|y-units|intensity units"
    "|final format|y".split("|")
)
AXIS_KEYS = frozenset(
    "x units|xunits|x unit|x axis|xaxis|x label|xlabel|x-axis|x-units|axis units|x".split("|")
)

_VALUE = re.compile(r"\d[\d.,]*\s*(?:nm|µm|μm|mev|ev|hz|ghz)\b")
"""A number with its unit is a laser or a filter, not the unit of a column."""

_LOG_REFLECTANCE = re.compile(r"log\s*\(?\s*1\s*/\s*[RT]\b", re.IGNORECASE)
"""Absorbance as near-infrared programs write it."""

_BREAKS = re.compile(r"[()\[\]{}_,;:\s]+")


def words_of(text: str) -> list[str]:
    """Words of a title in small letters, brackets and underscores removed."""
    return [word for word in _BREAKS.split(text.lower().replace('"', "")) if word]


def _named(words: list[str], vocabulary: dict[str, str]) -> str:
    """Key of the vocabulary one of whose words stands here, or ""."""
    for name, known in vocabulary.items():
        if any(word in known.split() for word in words):
            return name
    return ""


def axis_named(title: str) -> str:
    """What the title of a first column says it is when that is no Raman shift, else ""."""
    if any(mark in title.lower() for mark in SHIFT_MARKS):
        return "an absolute wavenumber" if "absolute" in words_of(title) else ""
    return _named(words_of(_VALUE.sub("", title.lower())), AXIS_WORDS)


def light_named(title: str) -> str:
    """What the title of a second column says it is when that is no Raman light, else ""."""
    words = [word.strip(".") for word in words_of(title)]
    if _LOG_REFLECTANCE.search(title):
        return "absorbance"
    return "absorbance" if words == ["abs"] else _named(words, INFRARED_WORDS)


def is_shift(title: str) -> bool:
    """Whether a title names a Raman shift."""
    marked = any(mark in title.lower() for mark in SHIFT_MARKS)
    return marked or any(word in SHIFT_WORDS for word in words_of(title))


def states_shift(title: str) -> bool:
    """Whether a title says that its column is a Raman shift, by its unit or its name.

    `Raman` alone does not: a remark such as `Raman spectrum, 785 nm` speaks of no column.
    """
    if any(mark in title.lower() for mark in SHIFT_MARKS):
        return True
    words = set(words_of(title))
    return bool(words & {"cm1", *SHIFT_WORDS} - {"raman"})


def is_axis_key(key: str) -> bool:
    """Whether a setting speaks of the first column."""
    return " ".join(key.lower().replace("_", " ").strip(" #\"'").split()) in AXIS_KEYS


def is_light(title: str) -> bool:
    """Whether a title names an intensity."""
    return any(word.strip(".") in LIGHT_WORDS for word in words_of(title)) and not is_shift(title)


def setting_fault(key: str, value: str) -> str:
    """What a line `key: value` says the data are when they are no Raman spectrum, else "".

    Only keys that speak of the data are read: a Raman instrument may well note its transmission
    grating, its laser's wavelength or an infrared filter.
    """
    name = " ".join(key.lower().replace("_", " ").strip(" #\"'").split())
    words = [word.strip(".") for word in words_of(value)]
    if "raman" in words:
        return ""
    if name in TYPE_KEYS:
        found = _named(words, TYPE_WORDS) or _named(words, INFRARED_WORDS)
        return f"{found} data" if found else ""
    if name in LIGHT_KEYS:
        return _named(words, INFRARED_WORDS)
    if name in AXIS_KEYS:
        return axis_named(value)
    return ""
