"""Goal: the tables are complete, sourced, graded and consistent; a broken table stops the program.

Method: check every row of the shipped tables; break a small table in each way and read the message.
"""

import pytest

from gateway.spectra.errors import LibraryError
from gateway.spectra.library import LANGUAGES, build_library, check_names, load_library

SMALL = {
    "sources": "source_id,text\ns1,somewhere\n",
    "grades": (
        "grade,meaning,missing_chance,position_error_cm1,ln_height_spread\nA,good,0.03,1.0,0.7\n"
    ),
    "substances": (
        "substance_id,name_en,name_fr,name_ar,name_es,cas,formula,hs2022,un_number,state,"
        "raman_active,category,source_id\n"
        "salt,a,b,c,d,7647-14-5,NaCl,2501.00,,solid,inactive,food,s1\n"
        "soda,a,b,c,d,497-19-8,Na2CO3,2836.20,,solid,strong,detergent,s1\n"
    ),
    "bands": (
        "substance_id,state,shift_cm1,rel_intensity,fwhm_cm1,uncertainty_cm1,grade,source_id\n"
        "soda,,1080,1.0,6,2,A,s1\n"
    ),
    "confounders": (
        "substance_id,band_cm1,confounder_id,confounder_band_cm1,separating_bands_cm1\n"
        "soda,1080,salt,1080,702 188\n"
    ),
}


def test_every_row_has_source_and_grade():
    library = load_library()
    assert len(library.substances) >= 194
    assert len(library.entries) >= 206
    assert library.arrays.shift_cm1.size == sum(len(entry.bands) for entry in library.entries)
    for substance in library.substances.values():
        assert library.sources[substance.source_id]
    for entry in library.entries:
        for band in entry.bands:
            assert library.sources[band.source_id]
            assert band.grade in library.grades
    chances = [library.grades[grade].missing_chance for grade in "ABCD"]
    assert chances == sorted(chances)


def test_every_substance_has_its_names():
    for entry in load_library().substances.values():
        assert all(entry.names[language] for language in LANGUAGES), entry.substance_id
        assert not entry.names["ar"].isascii() or entry.substance_id == "hmtd"


def test_cas_numbers_carry_their_check_digit():
    for entry in load_library().substances.values():
        if entry.cas:
            digits = entry.cas.replace("-", "")
            check = sum(i * int(d) for i, d in enumerate(reversed(digits[:-1]), start=1)) % 10
            assert check == int(digits[-1]), entry


def test_inactive_substances_have_no_bands_and_the_others_do():
    for entry in load_library().substances.values():
        silent = entry.raman_active in ("inactive", "not_applicable")
        assert silent == (not entry.bands), entry.substance_id


def test_strongest_band_is_one():
    for entry in load_library().entries:
        inner = [b.rel_intensity for b in entry.bands if 200 <= b.shift_cm1 <= 2000]
        assert not inner or max(inner) == pytest.approx(1.0, abs=0.006), entry.entry_id


def test_version_names_the_bytes():
    one = build_library(SMALL)
    other = build_library(SMALL | {"bands": SMALL["bands"].replace("1080", "1081")})
    assert one.version != other.version
    assert one.confounders == {"soda": {"salt": (702.0, 188.0)}}


@pytest.mark.parametrize(
    "names,shown",
    [("a,b,c,d", "abcd"), ("a,b,,d", "abad"), (",b,,d", ["salt", "b", "salt", "d"])],
)
def test_a_missing_name_is_the_english_one_and_else_the_id(names, shown):
    made = SMALL | {"substances": SMALL["substances"].replace("salt,a,b,c,d", f"salt,{names}")}
    salt = build_library(made)["salt"]
    assert [salt.name_in(language) for language in LANGUAGES] == list(shown)


def test_the_shipped_tables_may_lack_no_name():
    check_names(build_library(SMALL))
    less = SMALL["substances"].replace("salt,a,b,c,d", "salt,a,b,,d")
    with pytest.raises(LibraryError, match="salt lacks a name in ar"):
        check_names(build_library(SMALL | {"substances": less}))


@pytest.mark.parametrize(
    "table,old,new,words",
    [
        ("bands", "1080,1.0", "1080,x", "rel_intensity"),
        ("bands", "1080,1.0", "9999,1.0", "shift_cm1 9999"),
        ("bands", "1080,1.0", "nan,1.0", "shift_cm1 nan"),
        ("bands", ",6,2,", ",0,2,", "fwhm_cm1 0"),
        ("bands", "A,s1", "Z,s1", "'Z'"),
        ("bands", "A,s1", "A,s9", "'s9'"),
        ("bands", "soda", "gravel", "gravel"),
        ("bands", "soda,", "soda,1,", "wrong number of columns"),
        ("substances", "salt,a,b,c,d", "soda,a,b,c,d", "soda appears twice"),
        ("confounders", "salt", "gravel", "gravel"),
    ],
)
def test_a_broken_table_is_named(table, old, new, words):
    broken = SMALL | {table: SMALL[table].replace(old, new)}
    with pytest.raises(LibraryError, match=words):
        build_library(broken)
