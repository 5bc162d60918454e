"""Goal: tuning and reporting never share a specimen or a source, and the rule stands still.

Method: made-up indexes whose units are known; the sides of a few names are written down, so that a
changed rule is noticed; the folder of measured spectra, where there is one, is parted too.
"""

import pytest

from benchmarks.evaluation.judging import library_without
from benchmarks.evaluation.specimens import read_index
from benchmarks.evaluation.split import SIDES, SUBSTANCES_MIN, digest, part_of, side_of, units
from gateway.spectra.library import load_library


def rows(substances, source="big", copies=2):
    return [
        (f"{source}{number}_{copy}.csv", source, f"substance{number}")
        for number in range(substances)
        for copy in range(copies)
    ]


def test_a_small_source_stays_whole_and_a_large_one_is_parted_by_substance():
    small, large = rows(SUBSTANCES_MIN - 1, "small"), rows(SUBSTANCES_MIN, "large")
    unit = units([*small, *large])
    assert {unit[file] for file, _, _ in small} == {"small"}
    assert len({unit[file] for file, _, _ in large}) == SUBSTANCES_MIN
    for number in range(SUBSTANCES_MIN):
        assert unit[f"large{number}_0.csv"] == unit[f"large{number}_1.csv"]


def test_both_sides_get_their_part():
    sides = [side_of(unit) for unit in set(units(rows(400)).values())]
    assert 140 <= sides.count("tuning") <= 260


@pytest.mark.parametrize(
    "unit,side", [("a", "reporting"), ("b", "tuning"), ("c", "reporting"), ("d", "reporting")]
)
def test_the_rule_stands_still(unit, side):
    assert side_of(unit) == side


def test_the_digest_names_files_and_sides_whatever_their_order():
    sides = {"x.csv": SIDES[0], "y.csv": SIDES[1]}
    assert digest(sides) == digest(dict(reversed(sides.items())))
    assert digest(sides) != digest(sides | {"y.csv": SIDES[0]})
    assert digest(sides) != digest(sides | {"z.csv": SIDES[0]})


def test_parts_hold_about_as_much():
    counts = [0, 0, 0]
    for number in range(300):
        counts[part_of(f"substance{number}", 3)] += 1
    assert min(counts) >= 75


def test_no_specimen_and_no_small_source_of_the_folder_is_on_both_sides(raman_path):
    found = read_index(raman_path, load_library())
    assert {entry.side for entry in found} == set(SIDES)
    names = {}
    for entry in found:
        names.setdefault(entry.source, set()).add(entry.name)
    for source, substances in names.items():
        of_source = [entry for entry in found if entry.source == source]
        if len(substances) < SUBSTANCES_MIN:
            assert len({entry.side for entry in of_source}) == 1, source
        for name in substances:
            assert len({entry.side for entry in of_source if entry.name == name}) == 1, name


def test_the_folder_is_known_by_the_tables(raman_path):
    found = {entry.file: entry for entry in read_index(raman_path, load_library())}
    assert len(found) == len(list(raman_path.glob("*.csv"))) - 1
    assert found["urea__wasatch-enlighten__1.csv"].right == {"urea"}
    assert "citric_acid_monohydrate" in found["citric-acid__wasatch-enlighten__1.csv"].right
    assert found["calcium-carbonate__wasatch-enlighten__1.csv"].right == {"calcite"}
    assert found["caffeine__wasatch-enlighten__1.csv"].right == {"caffeine"}


def test_what_the_library_lacks_has_no_right_name(raman_path):
    library = load_library()
    lacking = library_without(
        frozenset(
            key
            for key in library.substances
            if library[key].cas in ("8008-74-0", "58-08-2", "119515-38-7")
        )
    )
    found = {entry.file: entry for entry in read_index(raman_path, lacking)}
    assert not found["caffeine__wasatch-enlighten__1.csv"].truth
    assert not found["icaridin__wasatch-enlighten__1.csv"].truth
    sesame = found["sesame-oil__wasatch-enlighten__1.csv"]
    assert not sesame.right
    assert "olive_oil" in sesame.truth
