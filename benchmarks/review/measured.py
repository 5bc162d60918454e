"""The measured spectra of the data folder: which entry each one is of, and its axis set right.

An instrument's axis is corrected with the standards measured on it, before any place is compared
or taken. The vendor library's solids and liquids were evidently measured with different holders:
its solids read about 0.4 too high, its liquids up to 2 too low towards 2200, so each group has a
line of its own through its own standards.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmarks.review.fitting import FloatArray, Peak, Trace, peaks, trace
from gateway.spectra.columns import parse_columns

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("HARMATTAN_RAMAN") or ROOT.parent / "shared" / "data" / "raman")
"""Where the open spectra lie; they are test input and not part of the project."""

LOW_CM1 = 200.0
HIGH_CM1 = 3200.0
"""Below, edge filters distort; above, only water and hydroxyl bands are left."""

ENLIGHTEN = "wasatch-enlighten"
RESOLUTION_CM1 = {ENLIGHTEN: 5.0}
RESOLUTION_OTHER_CM1 = 6.0
"""Line width (FWHM) of the vendor library's instrument: benzene 992 and toluene 1003 read 5.4 to 6
there; of the others, about what calcite shows."""

# File stem -> entry (substance_id, state). Stems that are not here have no entry: the file named
# alanine shows the bands of arginine (983, 1065, 1080, 1439) and none of alanine (851, 1020, 1306).
ENTRIES: dict[str, tuple[str, str]] = {
    "1-butanol": ("butanol", ""),
    "1-hexanol": ("hexanol", ""),
    "1-octen-3-ol": ("octenol", ""),
    "1-pentanol": ("pentanol", ""),
    "2-aminobutane": ("sec_butylamine", ""),
    "2-butanol": ("butan_2_ol", ""),
    "4-acetylpyridine": ("acetylpyridine_4", ""),
    "acetic-acid": ("acetic_acid", ""),
    "acetone": ("acetone", ""),
    "acetonitrile": ("acetonitrile", ""),
    "arginine": ("arginine", ""),
    "benzene": ("benzene", ""),
    "benzyl-alcohol": ("benzyl_alcohol", ""),
    "butyl-acetate": ("butyl_acetate", ""),
    "caffeine": ("caffeine", ""),
    "calcite": ("calcite", ""),
    "calcium-carbonate": ("calcite", ""),
    "citric-acid": ("citric_acid", ""),
    "citric-acid-anhydrous": ("citric_acid", ""),
    "citric-acid-monohydrate": ("citric_acid_monohydrate", ""),
    "coconate-ester": ("coconut_fatty_ester", ""),
    "coconut-oil": ("coconut_oil", ""),
    "cyclohexane": ("cyclohexane", ""),
    "cyclohexanol": ("cyclohexanol", ""),
    "dichloromethane": ("dichloromethane", ""),
    "diethyl-ether": ("diethyl_ether", ""),
    "diethylamine": ("diethylamine", ""),
    "dimethyl-carbonate": ("dimethyl_carbonate", ""),
    "dipotassium-phosphate": ("dipotassium_phosphate", ""),
    "dmso": ("dmso", ""),
    "edta": ("edta", ""),
    "ethanol": ("ethanol", ""),
    "ethyl-acetate": ("ethyl_acetate", ""),
    "fructose": ("fructose", ""),
    "glass": ("glass_borosilicate", ""),
    "glucose": ("glucose", ""),
    "glycerol": ("glycerol", ""),
    "glycine": ("glycine", ""),
    "hdpe": ("hdpe", ""),
    "heptane": ("n_heptane", ""),
    "hydrocortisone": ("hydrocortisone", ""),
    "ibuprofen": ("ibuprofen", "second_form"),
    "icaridin": ("icaridin", ""),
    "isobutanol": ("isobutanol", ""),
    "isopropanol": ("isopropanol", ""),
    "ketoprofen": ("ketoprofen", ""),
    "lactic-acid": ("lactic_acid", ""),
    "lactose": ("lactose_h2o", ""),
    "linseed-oil": ("linseed_oil", ""),
    "melamine": ("melamine", ""),
    "metamizole": ("metamizole", ""),
    "methanol": ("methanol", ""),
    "methyl-ethyl-ketone": ("mek", ""),
    "methyl-isobutyl-ketone": ("mibk", ""),
    "methylparaben": ("methylparaben", ""),
    "mineral-oil": ("mineral_oil", ""),
    "monopotassium-phosphate": ("kdp", ""),
    "mtbe": ("mtbe", ""),
    "nad": ("nad", ""),
    "paracetamol": ("paracetamol", ""),
    "pet": ("pet", ""),
    "polyethylene": ("hdpe", ""),
    "polyethylene-glycol": ("peg", ""),
    "polypropylene": ("pp", ""),
    "polystyrene": ("polystyrene", ""),
    "ptfe": ("ptfe", ""),
    "sesame-oil": ("sesame_oil", ""),
    "silicon": ("silicon", ""),
    "silicon-carbide": ("silicon_carbide", ""),
    "sodium-acetate": ("sodium_acetate", ""),
    "sodium-bicarbonate": ("sodium_bicarbonate", ""),
    "sodium-carbonate": ("sodium_carbonate_monohydrate", ""),
    "sodium-hydrogen-citrate": ("disodium_hydrogen_citrate", ""),
    "sodium-sulfate": ("sodium_sulfate", "anhydrous"),
    "sucrose": ("sucrose", ""),
    "tetrahydrofuran": ("thf", ""),
    "thiamine-hcl": ("thiamine_hcl", ""),
    "toluene": ("toluene", ""),
    "urea": ("urea", ""),
    "vinyl-acetate": ("vinyl_acetate", ""),
}

# Accepted places (ASTM E1840; CEN CWA 18133 for calcite) used to set axes, cm^-1. Bands known to
# be composite or broad (paracetamol 710, polystyrene 1583) are left out.
STANDARDS: dict[str, tuple[float, ...]] = {
    "polystyrene": (620.9, 1001.4, 1031.8, 1155.3, 1602.3),
    "paracetamol": (390.9, 651.6, 797.2, 857.9, 968.7, 1168.5, 1236.8, 1278.5, 1323.9, 1648.4),
    "calcite": (281.26, 711.95, 1085.91),
    "calcium-carbonate": (711.95, 1085.91),
    "cyclohexane": (384.1, 426.3, 801.3, 1028.3, 1157.6, 1266.4, 1444.4),
    "toluene": (521.7, 786.5, 1003.6, 1030.6, 1211.4, 1605.1),
    "acetonitrile": (378.5, 919.0, 2253.7),
}
SOLID_STANDARDS = ("polystyrene", "paracetamol", "calcium-carbonate")
LIQUID_STANDARDS = ("cyclohexane", "toluene", "acetonitrile")

LIQUIDS = frozenset(
    "1-butanol 1-hexanol 1-octen-3-ol 1-pentanol 2-aminobutane 2-butanol acetic-acid acetone "
    "acetonitrile benzene benzyl-alcohol butyl-acetate coconate-ester cyclohexane cyclohexanol "
    "dichloromethane diethyl-ether diethylamine dimethyl-carbonate dmso ethanol ethyl-acetate "
    "4-acetylpyridine glycerol heptane icaridin isobutanol isopropanol lactic-acid linseed-oil "
    "methanol methyl-ethyl-ketone methyl-isobutyl-ketone mineral-oil mtbe sesame-oil "
    "tetrahydrofuran toluene vinyl-acetate".split()
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One measured spectrum.

    Attributes:
        name: file name without ending.
        stem: first part of the name, the substance as the folder calls it.
        entry: substance_id and state, None when the library has no such entry.
        group: second part of the name, the collection it comes from.
        facts: its row of INDEX.csv.
        trace: on the common grid with the axis corrected, background off.
        peaks: its bands, places corrected.
        offset_cm1: what was taken off the axis at 1000 cm^-1.
        resolution_cm1: width (FWHM) of the instrument's line.
    """

    name: str
    stem: str
    entry: tuple[str, str] | None
    group: str
    facts: dict[str, str]
    trace: Trace
    peaks: tuple[Peak, ...]
    offset_cm1: float
    resolution_cm1: float


class DataMissingError(Exception):
    """The folder of measured spectra is not there."""


def index(folder: Path = FOLDER) -> list[dict[str, str]]:
    """Rows of the folder's INDEX.csv.

    Raises:
        DataMissingError: there is no such folder.
    """
    path = folder / "INDEX.csv"
    if not path.is_file():
        raise DataMissingError(
            f"no measured spectra: {path} is missing; name their folder in HARMATTAN_RAMAN"
        )
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@lru_cache(maxsize=256)
def _columns(path: Path) -> tuple[FloatArray, FloatArray]:
    axis, light = parse_columns(path.read_text(encoding="utf-8"))
    return np.asarray(axis), np.asarray(light)


def line(folder: Path, names: tuple[str, ...]) -> tuple[float, float, float, int]:
    """Reading minus truth of standards, as a straight line through their deviations.

    Args:
        folder: of the spectra.
        names: file names (without ending) of the standards measured on this instrument.

    Returns:
        Offset at 1000 cm^-1 and slope per cm^-1, root mean square left, and bands used. The line
        is flat when the bands span less than 600 cm^-1.
    """
    places, gaps = [], []
    for name in names:
        found = peaks(trace(*_columns(folder / f"{name}.csv"), LOW_CM1, HIGH_CM1))
        deviations = []
        for truth in STANDARDS[name.split("__")[0]]:
            near = [p for p in found if p.crest and abs(p.shift_cm1 - truth) < 14.0]
            if near:
                best = max(near, key=lambda p: p.height / (2.0 + abs(p.shift_cm1 - truth)))
                deviations.append((truth, best.shift_cm1 - truth))
        # A neighbour taken by mistake does not agree with the other bands of the same standard.
        middle = float(np.median([gap for _, gap in deviations])) if deviations else 0.0
        kept = [(truth, gap) for truth, gap in deviations if abs(gap - middle) < 3.0]
        places += [truth for truth, _ in kept]
        gaps += [gap for _, gap in kept]
    if not places:
        return 0.0, 0.0, float("nan"), 0
    x, y = np.array(places) - 1000.0, np.array(gaps)
    if np.ptp(x) < 600.0 or y.size < 4:
        offset, slope = float(np.median(y)), 0.0
    else:
        slope, offset = (float(v) for v in np.polyfit(x, y, 1))
    left = float(np.sqrt(np.mean((y - offset - slope * x) ** 2)))
    return offset, slope, left, len(places)


def standards_of(row: dict[str, str], rows: list[dict[str, str]]) -> tuple[str, ...]:
    """Names of the standards measured with the same instrument in the same collection."""
    stem, group, _ = _parts(row)
    if group == ENLIGHTEN:
        chosen = LIQUID_STANDARDS if stem in LIQUIDS else SOLID_STANDARDS
        return tuple(f"{name}__{ENLIGHTEN}__1" for name in chosen)
    same = []
    for other in rows:
        other_stem, other_group, _ = _parts(other)
        if (
            other_stem in STANDARDS
            and other_group == group
            and other["instrument"] == row["instrument"]
            and other["source_path"].rsplit("/", 1)[0] == row["source_path"].rsplit("/", 1)[0]
            and _optics(other) == _optics(row)
        ):
            same.append(other["file"].removesuffix(".csv"))
    return tuple(same)


def _optics(row: dict[str, str]) -> str:
    """The CHARISMA file names tell the probe; another probe is another axis."""
    path = row["source_path"]
    return next((word for word in ("OP01", "OP03") if word in path), "")


def _parts(row: dict[str, str]) -> tuple[str, str, str]:
    stem, group, number = row["file"].removesuffix(".csv").split("__")
    return stem, group, number


@lru_cache(maxsize=4)
def load(folder: Path = FOLDER, stems: frozenset[str] | None = None) -> tuple[Measured, ...]:
    """Read, correct and fit the spectra of the folder.

    Args:
        folder: with INDEX.csv.
        stems: only those whose name begins so; None for all (about half a minute).

    Raises:
        DataMissingError: there is no such folder.
    """
    rows = index(folder)
    lines: dict[tuple[str, ...], tuple[float, float, float, int]] = {}
    result = []
    for row in rows:
        stem, group, _ = _parts(row)
        if stems is not None and stem not in stems:
            continue
        names = standards_of(row, rows)
        if names not in lines:
            lines[names] = line(folder, names)
        offset, slope, _, _ = lines[names]
        axis, light = _columns(folder / row["file"])
        right = axis - offset - slope * (axis - 1000.0)
        found = trace(right, light, LOW_CM1, HIGH_CM1)
        result.append(
            Measured(
                name=row["file"].removesuffix(".csv"),
                stem=stem,
                entry=ENTRIES.get(stem),
                group=group,
                facts=row,
                trace=found,
                peaks=tuple(peaks(found)),
                offset_cm1=offset,
                resolution_cm1=RESOLUTION_CM1.get(group, RESOLUTION_OTHER_CM1),
            )
        )
    return tuple(result)
