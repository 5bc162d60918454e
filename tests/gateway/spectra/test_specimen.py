"""Goal: a specimen's text is the specimen: one form, one meaning, nothing changed unnoticed.

Method: Hypothesis draws spectra and provenance; every line of a text is edited in turn.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.spectra.errors import SpecimenError, SpectraError
from gateway.spectra.specimen import (
    FIELD_CHARS_MAX,
    FIRST_LINE,
    TEXT_FIELDS,
    read_provenance,
    read_specimen,
    write_specimen,
)
from tests.gateway.library.national import SUBSTANCE_ID, specimen

lines = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40)


@st.composite
def specimens(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps = rng.uniform(0.01, 9.0, draw(st.integers(32, 200)))
    light = rng.normal(0.0, 10.0 ** draw(st.integers(-6, 12)), steps.size)
    return specimen(
        axis_cm1=draw(st.floats(250.0, 900.0)) + np.cumsum(steps),
        intensity=light,
        resolution_cm1=draw(st.none() | st.sampled_from([0.5, 3.25, 40.0])),
        excitation_nm=draw(st.none() | st.sampled_from([532.0, 784.896, 1064.0])),
        state=draw(st.sampled_from(["", "solution", "tetra-hydrate_2"])),
        **{key: draw(lines) for key in ("instrument", "licence", "source", "measured_by")},
        doubt=draw(st.just("") | lines),
        confirmed=draw(st.just("") | lines),
    )


@given(specimens())
def test_what_is_written_is_read(found):
    text = write_specimen(found)
    again = read_specimen("x", text)
    for name in TEXT_FIELDS:
        assert getattr(again, name) == getattr(found, name)
    np.testing.assert_array_equal(again.axis_cm1, found.axis_cm1)
    np.testing.assert_array_equal(again.intensity, found.intensity)
    assert write_specimen(again) == text
    stated = read_provenance("x", text)
    assert stated["instrument"] == found.instrument


def test_the_id_names_the_numbers_alone():
    one, other = specimen(1), specimen(1, instrument="another", measured_by="others")
    assert one.specimen_id == other.specimen_id
    assert one.specimen_id.startswith(f"{SUBSTANCE_ID}-")
    assert specimen(2).specimen_id != one.specimen_id


def test_numbers_cannot_be_changed_in_memory():
    with pytest.raises(ValueError, match="read-only"):
        specimen().intensity[0] = 1.0


def test_every_edited_line_is_refused():
    whole = write_specimen(specimen()).split("\n")
    for at in [*range(len(TEXT_FIELDS) + 2), 100, len(whole) - 2]:
        for edited in (
            [*whole[:at], *whole[at + 1 :]],  # left out
            [*whole[:at], whole[at], whole[at], *whole[at + 1 :]],  # twice
            [*whole[:at], whole[at] + " ", *whole[at + 1 :]],  # a blank
        ):
            with pytest.raises(SpecimenError, match="specimen x"):
                read_specimen("x", "\n".join(edited))
    with pytest.raises(SpecimenError, match="was changed after its import"):
        read_specimen("x", "\n".join(whole).replace("\n300.000,", "\n300.001,"))


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"substance_id": "no such id!"}, "is not an id"),
        ({"substance_id": "../../etc"}, "is not an id"),
        ({"state": "Two Words"}, "is not a word"),
        ({"instrument": ""}, "provenance lacks instrument"),
        ({"licence": "", "measured_by": ""}, "lacks licence, measured_by"),
        ({"source": "two\nlines"}, "is not one line"),
        ({"source": "x" * (FIELD_CHARS_MAX + 1)}, "is not one line of at most"),
        ({"measured_on": "21.11.2026"}, "write it like 2026-11-21"),
        ({"measured_on": "20261121"}, "write it like"),
        ({"excitation_nm": 5.0}, "excitation_nm 5 is outside"),
        ({"resolution_cm1": float("nan")}, "resolution_cm1 nan is outside"),
        ({"axis_cm1": np.arange(10.0), "intensity": np.ones(10)}, "10 points"),
        ({"specimen_id": "testing_salt-000000000000"}, "was changed after its import"),
    ],
)
def test_what_cannot_be_used_is_named(changes, words):
    with pytest.raises(SpectraError, match=words):
        specimen(**changes)


@given(st.text(max_size=300))
def test_any_text_gives_a_specimen_error(text):
    for head in ("", FIRST_LINE + "\n"):
        with pytest.raises(SpecimenError):
            read_specimen("x", head + text)
