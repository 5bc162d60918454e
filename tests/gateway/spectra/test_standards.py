"""Goal: the table of standards says what the product may rely on, and a wrong table stops it.

Method: the shipped table against what is fixed in ASTM E1840 and in the rules of use; and tables
that contradict themselves.
"""

import pytest

from gateway.spectra.errors import LibraryError
from gateway.spectra.library import load_library
from gateway.spectra.standards import (
    ALIASES,
    STANDARD_DEFAULT,
    build_standards,
    find_standard,
    load_standards,
)

SOURCES = "source_id,text\ns,somewhere\n"
HEAD = "standard_id,shift_cm1,sd_cm1,use,rel_height,fwhm_cm1,position_source_id,height_source_id\n"
ROW = "gold,1000.0,0.5,fit,1,5,s,s\n"


def test_the_shipped_table_is_complete():
    standards = load_standards()
    assert {"polystyrene", "cyclohexane", "paracetamol", "acetonitrile", "toluene", "sulfur"} < set(
        standards
    )
    for standard in standards.values():
        places = [band.shift_cm1 for band in standard.bands]
        assert places == sorted(places)
        for band in standard.bands:
            assert band.use != "fit" or band.sd_cm1 <= 1.5


def test_the_daily_bands_are_those_of_astm_e1840():
    daily = [band.shift_cm1 for band in find_standard("polystyrene").marks(500.0, 1700.0)]
    assert daily == [620.9, 1001.4, 1031.8, 1155.3, 1583.1, 1602.3]
    avoided = {b.shift_cm1 for b in find_standard("paracetamol").bands if b.use == "avoid"}
    assert {1371.5, 1515.1, 213.3} <= avoided
    assert find_standard("cyclohexane").marks(795.0, 805.0)[0].rel_height == 1.0


def test_standards_have_names_in_every_language():
    library = load_library()
    unnamed = {"toluene_acetonitrile"}
    assert set(load_standards()) - unnamed <= set(library.substances)
    assert STANDARD_DEFAULT in load_standards()


@pytest.mark.parametrize("name", [*ALIASES, "Polystyrene", " cyclohexane ", "toluene-acetonitrile"])
def test_other_names_are_understood(name):
    assert find_standard(name).standard_id in load_standards()


def test_an_unknown_standard_is_answered_with_those_there_are():
    with pytest.raises(LibraryError, match=r"'gold' is no calibration standard; use one of .*poly"):
        find_standard("gold")


@pytest.mark.parametrize(
    "rows,words",
    [
        (ROW.replace(",fit,", ",seen,"), "no band to fit"),
        (ROW.replace(",fit,", ",guess,"), "use 'guess'"),
        (ROW + ROW.replace("1000.0", "1100.0"), "exactly one band"),
        (ROW.replace(",1,5,", ",0.5,5,"), "exactly one band"),
        (ROW.replace("1000.0", "nan"), "shift_cm1 'nan'"),
        (ROW.replace("1000.0", "x"), "shift_cm1 'x'"),
        (ROW.replace("0.5", "0"), "sd_cm1 '0'"),
        (ROW.replace(",s,s", ",s,t"), "unknown height_source_id 't'"),
        (ROW.replace(",s,s", ",t,s"), "unknown position_source_id 't'"),
    ],
)
def test_a_table_that_cannot_be_right_stops_the_program(rows, words):
    assert build_standards(HEAD + ROW, SOURCES)["gold"].bands[0].shift_cm1 == 1000.0
    with pytest.raises(LibraryError, match=words):
        build_standards(HEAD + rows, SOURCES)
