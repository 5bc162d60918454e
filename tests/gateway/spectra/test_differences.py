"""Goal: a comparison names what changed, band by band, and nothing else.

Method: the shipped tables against copies with one change each.
"""

import dataclasses

import pytest

from gateway.library.substances import shipped_texts
from gateway.spectra.differences import compare, side_of
from gateway.spectra.library import build_library, load_library
from tests.gateway.library.national import specimen

BEFORE = side_of(load_library(), {})


def after(table, old, new):
    texts = shipped_texts()
    assert texts[table].count(old) >= 1
    texts[table] = texts[table].replace(old, new, 1)
    return side_of(build_library(texts), {})


def band_of(substance_id):
    """The strongest band's row of a substance's first table, and its fields."""
    lines = shipped_texts()["bands"].splitlines()
    columns = lines[0].split(",")
    rows = [line for line in lines if line.startswith(f"{substance_id},")]
    fields = [dict(zip(columns, row.split(","), strict=True)) for row in rows]
    best = max(range(len(rows)), key=lambda i: float(fields[i]["rel_intensity"]))
    return rows[best], fields[best]


def row_with(fields, **changes):
    return ",".join((fields | {key: str(value) for key, value in changes.items()}).values())


def test_a_library_does_not_differ_from_itself():
    found = compare(BEFORE, side_of(build_library(shipped_texts()), {}))
    assert not found.is_different


@pytest.mark.parametrize("change_cm1", [-3.0, 0.2, 9.0])
def test_a_band_that_moved_is_one_band(change_cm1):
    row, fields = band_of("calcite")
    place = float(fields["shift_cm1"])
    moved = after("bands", row, row_with(fields, shift_cm1=place + change_cm1))
    (change,) = compare(BEFORE, moved).changed
    (move,) = change.bands
    assert change.substance_id == "calcite"
    assert (move.before_cm1, move.after_cm1) == (place, pytest.approx(place + change_cm1))


def test_a_band_that_went_far_is_two():
    row, fields = band_of("calcite")
    place = float(fields["shift_cm1"])
    moved = after("bands", row, row_with(fields, shift_cm1=place + 40.0))
    (change,) = compare(BEFORE, moved).changed
    assert [(move.before_cm1, move.after_cm1) for move in change.bands] == [
        (place, None),
        (None, place + 40.0),
    ]


def test_a_grade_a_name_and_a_code_are_told():
    row, fields = band_of("calcite")
    graded = after("bands", row, row_with(fields, grade="D"))
    (change,) = compare(BEFORE, graded).changed
    assert (change.bands[0].grade_before, change.bands[0].grade_after) == (fields["grade"], "D")
    named = after("substances", ",Acétone,", ",Acetone (fr),")
    (change,) = compare(BEFORE, named).changed
    assert change.facts == {"name_fr": ("Acétone", "Acetone (fr)")}


def test_substances_and_specimens_come_and_go():
    less = dataclasses.replace(
        BEFORE, substances={k: v for k, v in BEFORE.substances.items() if k != "urea"}
    )
    assert compare(BEFORE, less).removed == ("urea",)
    assert compare(less, BEFORE).added == ("urea",)
    one, other = specimen(1, substance_id="urea"), specimen(2, substance_id="urea")
    told = specimen(1, substance_id="urea", licence="other")
    sides = [
        dataclasses.replace(BEFORE, specimens={each.specimen_id: each for each in found})
        for found in ([one], [told, other])
    ]
    (change,) = compare(*sides).changed
    assert change.specimens_added == (other.specimen_id,)
    assert change.specimens_changed == (one.specimen_id,)
    (change,) = compare(*sides[::-1]).changed
    assert change.specimens_removed == (other.specimen_id,)
