"""Goal: the review finds the faults the first edition had, and measures each grade honestly.

Method: the real measured spectra, compared with the shipped tables and with rows known to be wrong.
"""

import numpy as np
import pytest

from benchmarks.review.compare import compare, compare_all, grade_figures, interval
from benchmarks.review.measured import (
    ENTRIES,
    LIQUID_STANDARDS,
    SOLID_STANDARDS,
    STANDARDS,
    DataMissingError,
    index,
    line,
    load,
)
from benchmarks.review.propose import propose
from benchmarks.review.tables import Row, read_tables

STEMS = frozenset({"acetic-acid", "ibuprofen", "toluene", "urea", "isopropanol"})
TABLES = read_tables()


@pytest.fixture(scope="module")
def spectra(raman_path):
    return {measured.name.split("__W")[0]: measured for measured in load(raman_path, STEMS)}


def named(spectra, stem, number=1):
    return spectra[f"{stem}__wasatch-enlighten__{number}"]


def rows(entry, *bands, source="s032"):
    return [Row(entry, place, height, 12.0, 2.0, grade, source) for place, height, grade in bands]


def test_the_axis_is_set_by_the_standards_measured_beside(raman_path):
    solid, _, solid_rest, solid_count = line(
        raman_path, tuple(f"{name}__wasatch-enlighten__1" for name in SOLID_STANDARDS)
    )
    liquid, slope, liquid_rest, liquid_count = line(
        raman_path, tuple(f"{name}__wasatch-enlighten__1" for name in LIQUID_STANDARDS)
    )
    assert solid_count >= 15
    assert liquid_count >= 14
    assert 0.2 <= solid <= 0.7
    assert -1.0 <= liquid <= -0.3
    assert liquid + 1250.0 * slope == pytest.approx(-1.8, abs=0.6), "2250 reads about 2 low"
    assert max(solid_rest, liquid_rest) < 0.7


def test_corrected_toluene_lies_on_its_standard(spectra):
    found = named(spectra, "toluene").peaks
    for truth in STANDARDS["toluene"]:
        assert min(abs(peak.shift_cm1 - truth) for peak in found) < 1.1


def test_acetic_acid_as_remembered_is_refused(spectra):
    entry = ("acetic_acid", "")
    remembered = rows(
        entry,
        (446, 0.3, "C"),
        (621, 0.35, "C"),
        (893, 1.0, "C"),
        (1430, 0.3, "C"),
        (1668, 0.3, "C"),
    )
    found = compare(remembered, named(spectra, "acetic-acid"), TABLES)
    states = {judged.row.shift_cm1: judged.state for judged in found.judged}
    assert states == {
        446: "missing",
        621: "missing",
        893: "found",
        1430: "missing",
        1668: "missing",
    }
    assert any(abs(place - 1709.0) < 3.0 for place, _, _ in found.unlisted)
    (figure,) = (f for f in grade_figures([found], independent=True) if f.grade == "C")
    assert (figure.checked, figure.missing) == (5, 4)


def test_the_mended_tables_agree_with_the_measurements(raman_path):
    for item in compare_all(load(raman_path, STEMS), TABLES):
        assert not [judged for judged in item.judged if judged.state == "missing"], item.name
        offsets = [judged.offset_cm1 for judged in item.judged if judged.state == "found"]
        assert np.sqrt(np.mean(np.square(offsets))) < 1.0, item.name
        assert not item.unlisted, item.name


def test_a_displaced_band_shows_its_offset(spectra):
    found = compare(rows(("urea", ""), (1013.5, 1.0, "C")), named(spectra, "urea"), TABLES)
    assert found.judged[0].state == "found"
    assert found.judged[0].offset_cm1 == pytest.approx(-2.4, abs=0.4)


def test_bands_read_off_the_same_spectrum_are_not_independent(spectra):
    entry = ("ibuprofen", "second_form")
    found = compare(TABLES.bands[entry], named(spectra, "ibuprofen"), TABLES)
    assert not any(judged.independent for judged in found.judged)
    assert grade_figures([found], independent=True)[0].checked == 0
    assert grade_figures([found], independent=False)[0].checked > 20


def test_two_spectra_of_one_substance_are_averaged(spectra):
    both = [named(spectra, "isopropanol", number) for number in (1, 2)]
    bands = propose(both)
    singles = [propose([measured]) for measured in both]
    assert max(band.height for band in bands) == pytest.approx(1.0)
    assert len(bands) <= max(len(single) for single in singles)
    main = [max(single, key=lambda b: b.height).shift_cm1 for single in singles]
    assert max(bands, key=lambda b: b.height).shift_cm1 == pytest.approx(np.mean(main))


def test_every_file_belongs_to_an_entry_or_is_named_as_doubtful(raman_path):
    stems = {row["file"].split("__")[0] for row in index(raman_path)}

    assert stems - set(ENTRIES) == {"alanine"}
    assert set(ENTRIES.values()) <= set(TABLES.bands)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataMissingError, match="HARMATTAN_RAMAN"):
        index(tmp_path)


def test_the_interval_is_wilsons():
    assert interval(0, 0) == (0.0, 1.0)
    low, high = interval(28, 169)
    assert (low, high) == pytest.approx((0.117, 0.229), abs=0.001)
