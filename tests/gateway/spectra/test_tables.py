"""Goal: what was found wrong in the tables stays mended, and the tables stay consistent.

Method: the rules of the review program, run on the shipped tables; each rule is also run on tables
broken on purpose, so that it is known to be able to fail. No measured spectrum is needed.
"""

from dataclasses import replace

import pytest

from benchmarks.review.confounders import pairs, text
from benchmarks.review.families import (
    INDICATIVE_CM1,
    capped,
    check,
    doubles,
    stretch,
)
from benchmarks.review.tables import TABLES, Tables, read_tables
from gateway.screening.watchlists import load_watchlists

SHIPPED = read_tables()
LISTED = frozenset(load_watchlists().substance_ids)


def near(entry, shift_cm1, within_cm1):
    """Rows of an entry within a distance of a place."""
    return [r for r in SHIPPED.bands[entry] if abs(r.shift_cm1 - shift_cm1) <= within_cm1]


def changed(entry, rows):
    """The shipped tables with the bands of one entry replaced."""
    return Tables(
        SHIPPED.substances,
        SHIPPED.bands | {entry: rows},
        SHIPPED.sources,
        SHIPPED.grades,
        SHIPPED.confounders,
    )


# ------------------------------------------------------------------------------ the known suspects


@pytest.mark.parametrize("shift_cm1", [446.0, 602.0, 1362.0, 1668.0])
def test_acetic_acid_lacks_what_no_measurement_shows(shift_cm1):
    assert not near(("acetic_acid", ""), shift_cm1, 5.0)


def test_acetic_acid_has_what_was_measured():
    entry = ("acetic_acid", "")
    for shift_cm1 in (456.0, 1709.0):
        assert [row.grade for row in near(entry, shift_cm1, 2.0)] == ["A"]
    assert max(row.height for row in near(entry, 621.0, 8.0)) <= 0.15
    assert max(row.height for row in near(entry, 1430.0, 8.0)) <= 0.10
    glacial = SHIPPED.bands["acetic_acid", "glacial"]
    assert {row.grade for row in glacial} == {"D"}, "nobody has measured the glacial acid yet"


def test_ibuprofen_is_listed_in_the_form_that_was_measured_and_in_the_acid_form():
    measured = ("ibuprofen", "second_form")
    for shift_cm1 in (635.0, 752.1, 786.5, 1002.8, 1185.1, 1611.3):
        assert near(measured, shift_cm1, 1.0), shift_cm1
    assert near(measured, 1185.1, 1.0)[0].height == 1.0
    assert stretch(SHIPPED.bands["ibuprofen", "racemic_acid"]) == pytest.approx(1608.0)


def test_glass_shines_at_1368_and_not_at_1090():
    rows = SHIPPED.bands["glass_borosilicate", ""]
    assert stretch(rows) == pytest.approx(1368.0, abs=3.0)
    assert not near(("glass_borosilicate", ""), 1090.0, 60.0)


def test_calcium_nitrate_has_its_hydrate_the_dry_salt_and_the_solution():
    states = {state for name, state in SHIPPED.bands if name == "calcium_nitrate"}
    assert states == {"tetrahydrate", "anhydrous", "solution"}
    places = [stretch(SHIPPED.bands["calcium_nitrate", state]) for state in sorted(states)]
    assert max(places) - min(places) > 10.0


@pytest.mark.parametrize("name", ["edta", "glucose", "lactose_h2o", "sucrose", "fructose"])
def test_no_list_is_cut_at_fourteen_bands(name):
    rows = SHIPPED.bands[name, ""]
    assert len(rows) > 20
    assert min(row.height for row in rows) <= 0.1, "the weaker bands are there"


def test_entries_of_fourteen_bands_are_so_by_chance():
    # Toluene, linseed and sesame oil and 4-acetylpyridine were measured whole; of cocaine and
    # aspirin there is no open spectrum to tell more.
    assert {entry[0] for entry in capped(SHIPPED)} <= {
        "toluene", "linseed_oil", "sesame_oil", "acetylpyridine_4", "cocaine_hcl", "aspirin",
    }  # fmt: skip


@pytest.mark.parametrize(
    "entry,low_cm1,high_cm1",
    [
        (("ammonium_nitrate", "solution"), 1047.0, 1049.0),
        (("sodium_nitrate", "solution"), 1047.0, 1049.0),
        (("nitric_acid", "dilute"), 1047.0, 1049.0),
        (("urea", "solution"), 996.0, 1004.0),
        (("hydrogen_peroxide", "to_35_percent"), 875.0, 877.0),
        (("hydrogen_peroxide", "concentrated"), 878.0, 880.0),
        (("sodium_sulfate", "solution"), 980.0, 982.0),
        (("sodium_perchlorate", "solution"), 925.0, 935.0),
        (("sodium_carbonate_monohydrate", ""), 1068.0, 1071.0),
        (("gypsum", ""), 1008.0, 1009.0),
        (("bassanite", ""), 1014.0, 1016.0),
        (("urea", ""), 1010.0, 1012.0),
    ],
)
def test_states_lie_where_they_were_published(entry, low_cm1, high_cm1):
    assert low_cm1 <= stretch(SHIPPED.bands[entry]) <= high_cm1


# -------------------------------------------------------------------------------------- the tables


def test_states_of_a_substance_differ():
    alike = {frozenset((one, other)) for one, other, _ in doubles(SHIPPED)}
    names = [entry[0] for entry in SHIPPED.bands]
    for name in {name for name in names if names.count(name) > 1}:
        entries = [entry for entry in SHIPPED.bands if entry[0] == name]
        assert all(state for _, state in entries[1:]), f"{name}: only one state may be unnamed"
        for one in entries:
            assert not [other for other in entries if frozenset((one, other)) in alike]


def test_only_dissolved_salts_of_one_anion_cannot_be_told_apart():
    for one, other, _ in doubles(SHIPPED):
        dissolved = one[1] == other[1] == "solution"
        assert dissolved or {one[0], other[0]} == {"can_double_salt", "calcium_nitrate"}


def test_every_source_is_used_and_every_measured_one_says_where_it_comes_from():
    used = {row.source_id for row in SHIPPED.all_bands()}
    used |= {row["source_id"] for row in SHIPPED.substances.values()}
    used |= {row["source_id"] for row in SHIPPED.grades}
    assert used == set(SHIPPED.sources)
    measured = [text for key, text in SHIPPED.sources.items() if key.startswith("enlighten_")]
    assert len(measured) >= 60
    for line in measured:
        for word in ("WasatchPhotonics/ENLIGHTEN", "MIT", "WP-785XS", ".csv", "axis set with"):
            assert word in line, line


def test_stretches_above_2400_are_marked_as_indicative():
    lines = (TABLES / "bands.csv").read_text(encoding="utf-8").splitlines()
    header = lines[0].split(",")
    for line in lines[1:]:
        cells = dict(zip(header, line.split(","), strict=True))
        marked = cells["note"] == "indicative"
        assert marked == (float(cells["shift_cm1"]) > INDICATIVE_CM1), line


def test_grades_carry_counted_chances():
    rows = {row["grade"]: row for row in SHIPPED.grades}
    assert sorted(rows) == list("ABCD")
    assert {row.grade for row in SHIPPED.all_bands()} <= set(rows)
    for key in ("missing_chance", "position_error_cm1", "ln_height_spread"):
        values = [float(rows[grade][key]) for grade in "ABCD"]
        assert values == sorted(values), f"{key} grows from A to D"
    for row in rows.values():
        low, high = float(row["missing_chance_low"]), float(row["missing_chance_high"])
        assert 0.0 <= low <= float(row["missing_chance"]) <= high <= 1.0
        assert int(row["bands_missing"]) <= int(row["bands_checked"])
    for grade in "AC":
        share = int(rows[grade]["bands_missing"]) / int(rows[grade]["bands_checked"])
        assert float(rows[grade]["missing_chance"]) == pytest.approx(share, abs=0.006)


def test_related_salts_agree():
    assert check(SHIPPED) == []


@pytest.mark.parametrize(
    "entry,index,field,value,kind",
    [
        (("potassium_nitrate", ""), 2, "shift_cm1", 1090.0, "family"),
        (("ammonium_nitrate", ""), 1, "shift_cm1", 675.0, "family"),
        (("sodium_perchlorate", "monohydrate"), 2, "shift_cm1", 955.0, "order"),
        (("sodium_sulfate", "solution"), 2, "shift_cm1", 985.0, "order"),
        (("urea", ""), 1, "height", 0.8, "height"),
        (("urea", ""), 1, "fwhm_cm1", 400.0, "range"),
        (("urea", ""), 1, "shift_cm1", 548.9, "double"),
    ],
)
def test_a_wrong_band_is_found(entry, index, field, value, kind):
    rows = list(SHIPPED.bands[entry])
    rows[index] = replace(rows[index], **{field: value})
    assert kind in {finding.kind for finding in check(changed(entry, rows))}


def test_a_lost_member_of_a_family_is_found():
    bands = {entry: rows for entry, rows in SHIPPED.bands.items() if entry[0] != "sodium_nitrate"}
    broken = Tables(SHIPPED.substances, bands, SHIPPED.sources, SHIPPED.grades, SHIPPED.confounders)
    assert {f.entry[0] for f in check(broken) if f.kind == "absent"} == {"sodium_nitrate"}


# ------------------------------------------------------------------------------------- look-alikes


def test_look_alikes_are_what_the_program_computes():
    written = (TABLES / "confounders.csv").read_text(encoding="utf-8")
    assert written == text(pairs(SHIPPED, LISTED)), (
        "run python -m benchmarks.review confounders --write after changing bands"
    )


@pytest.mark.parametrize(
    "listed,harmless,separating_cm1",
    [
        ("ammonium_nitrate", "sodium_bicarbonate", 715.0),
        ("sodium_bicarbonate", "ammonium_nitrate", 685.5),
        ("sodium_nitrate", "sodium_carbonate_monohydrate", 725.0),
        ("sodium_carbonate_monohydrate", "sodium_nitrate", 702.3),
        ("potassium_chlorate", "citric_acid", 489.0),
        ("sodium_chlorate", "citric_acid", 484.0),
        ("citric_acid", "potassium_chlorate", 783.6),
        ("hydrogen_peroxide", "lactose_h2o", 1640.0),
        ("lactose_h2o", "hydrogen_peroxide", 1086.0),
        ("urea", "gypsum", 548.2),
        ("ammonium_nitrate", "kieserite", 715.0),
        ("ammonium_nitrate", "nicotinamide", 715.0),
        ("potassium_nitrate", "cerussite", 715.5),
        ("nitromethane", "garnet", 655.0),
        ("tnt", "tryptophan", 823.0),
        ("urea", "guanidine_hydrochloride", 548.2),
    ],
)
def test_the_pairs_an_officer_meets_are_known_with_what_separates(listed, harmless, separating_cm1):
    rows = [
        row
        for row in SHIPPED.confounders
        if (row["substance_id"], row["confounder_id"]) == (listed, harmless)
    ]
    assert rows
    assert separating_cm1 in [float(word) for word in rows[0]["separating_bands_cm1"].split()]


def test_look_alikes_follow_the_bands():
    entry = ("sodium_bicarbonate", "")
    moved = [replace(row, shift_cm1=row.shift_cm1 + 30.0) for row in SHIPPED.bands[entry]]
    found = pairs(changed(entry, moved), LISTED)
    assert ("sodium_bicarbonate", "ammonium_nitrate") not in {
        (pair.own[0], pair.other[0]) for pair in found
    }
