"""A national library for tests: a substance the shipped tables do not have, its specimen, its list.

The substance is invented and its bands lie where no listed one has its pattern; spectra of it are
drawn with noise, so that no two are the same measurement.
"""

from pathlib import Path

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.library.changes import keep_specimen
from gateway.spectra.library import load_library
from gateway.spectra.package import FORMAT, FORMAT_VERSION, Manifest, make_package
from gateway.spectra.specimen import Specimen

AXIS = np.arange(250.0, 1_990.0, 1.0)
SAID = (
    "--instrument", "bench 1", "--licence", "MIT", "--measured-by", "A. Person",
    "--measured-on", "2026-11-01", "--excitation-nm", "785", "--resolution-cm1", "8",
)  # fmt: skip
SUBSTANCE_ID = "testing_salt"
BANDS = {412.0: 0.5, 588.0: 0.8, 771.0: 1.0, 1187.0: 0.7, 1523.0: 0.6}  # cm^-1 -> height
NAMES = {"en": "Testing salt", "fr": "Sel d'essai", "ar": "ملح الاختبار", "es": "Sal de prueba"}
SUBSTANCES = (
    "substance_id,name_en,name_fr,name_ar,name_es,cas,formula,hs2022,un_number,state,raman_active,"
    "category,source_id\n"
    f"{SUBSTANCE_ID},{','.join(NAMES.values())},,XY,2842.90,,solid,strong,"
    "precursor,\n"
)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MANIFEST = Manifest(
    FORMAT, FORMAT_VERSION, "national", "1.0", "Test", "Issuer", "MIT", "2026-11-21", {}
)
LIST = f"""
list_id = "national"
title = "National list"
title_fr = "Liste nationale"
title_ar = "القائمة الوطنية"
title_es = "Lista nacional"
jurisdiction = "XX"
date = 2026-11-20
source = "made for a test"
[[entries]]
substance_id = "{SUBSTANCE_ID}"
hs2022 = ["2842.90"]
cn = ["2842 90 80"]
limits = [{{ value = 5.0, unit = "%", basis = "w/w", licence = true, licence_max = 20.0 }}]
"""


def light_of(axis_cm1, seed=1, peak_counts=20_000.0, fwhm_cm1=9.0, bands=None):
    """Counts of one measurement on an axis, shape (n,)."""
    rng = np.random.default_rng(seed)
    light = np.full(axis_cm1.shape, 0.05)
    for place, height in (bands or BANDS).items():
        light += height / (1.0 + (2.0 * (axis_cm1 - place) / fwhm_cm1) ** 2)
    return rng.poisson(light * peak_counts).astype(float)


def specimen(seed=1, **changes):
    """A specimen of the testing salt."""
    axis = np.arange(250.0, 1_990.0, 1.0)
    fields = {
        "specimen_id": "",
        "substance_id": SUBSTANCE_ID,
        "state": "",
        "axis_cm1": axis,
        "intensity": light_of(axis, seed),
        "resolution_cm1": 8.0,
        "excitation_nm": 785.0,
        "instrument": "bench 1",
        "licence": "CC-BY-4.0",
        "source": "a jar",
        "measured_by": "the laboratory",
        "measured_on": "2026-11-01",
        "imported_on": "2026-11-21",
    }
    return Specimen(**(fields | changes))


def urea(seed=1):
    """A specimen of a substance that is shipped."""
    bands = {band.shift_cm1: band.rel_intensity for band in load_library()["urea"].bands}
    return specimen(seed, substance_id="urea", intensity=light_of(AXIS, seed, bands=bands))


def write_library(directory: Path, seed: int = 1) -> Specimen:
    """Put the substance and a specimen of it into a library's folder."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "substances.csv").write_text(SUBSTANCES, encoding="utf-8")
    found = specimen(seed)
    keep_specimen(directory, found)
    return found


def packed(specimens=None, substances=SUBSTANCES, key=KEY, **said):
    """A package's bytes: the testing salt with one specimen unless said otherwise."""
    found = [specimen()] if specimens is None else specimens
    return make_package(msgspec.structs.replace(MANIFEST, **said), found, substances, key)


def write_list(directory: Path, text: str = LIST) -> None:
    """Put the national list into a folder of lists."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "national.toml").write_text(text, encoding="utf-8")


def write_spectrum(path, seed=1, **keywords):
    """A measured file of the testing salt, or of other bands."""
    rows = zip(AXIS, light_of(AXIS, seed, **keywords), strict=True)
    path.write_text("shift,counts\n" + "\n".join(f"{x:.1f},{y:.0f}" for x, y in rows) + "\n")
    return path
