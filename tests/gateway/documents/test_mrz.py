"""Goal: a document is read as it is printed, in the century it must be, and not shown by chance.

Method: the published specimens, documents drawn by the simulator, and zones written here for
names, dates and numbers that are unusual.
"""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.documents.mrz import Day, DocumentError, read_document
from simulators.document.specimen import GIVEN, STATE, SURNAMES, WIDTHS, digit, draw, forge

VECTORS = json.loads((Path(__file__).parents[2] / "protocol/scanner_vectors.json").read_text())
TODAY = dt.date(2026, 11, 22)


def passport(names="ERIKSSON<<ANNA", birth="740812", expiry="300415", sex="F"):
    """Return the content of a passport with right digits."""
    number, personal = "L898902C3", "<" * 14
    second = number + digit(number) + "UTO" + birth + digit(birth) + sex + expiry + digit(expiry)
    second += personal + "<"
    second += digit(second[:10] + second[13:20] + second[21:])
    return ("P<UTO" + names.ljust(39, "<") + "\n" + second).encode()


def read(**changes):
    return read_document("TD3", passport(**changes), TODAY)


@pytest.mark.parametrize("vector", VECTORS["mrz"], ids=lambda vector: vector["kind"])
def test_the_published_vectors(vector):
    content = "\n".join(vector["lines"]).encode()
    found = read_document(vector["kind"] + ("" if vector["valid"] else "?"), content, TODAY)
    assert found.wrong == (() if vector["valid"] else ("expiry", "composite"))
    assert (found.surname, found.given_names, found.is_cut) == ("ERIKSSON", "ANNA MARIA", False)
    assert found.birth.date == dt.date(1974, 8, 12)
    assert (found.issuer, found.number[:1], found.sex) == ("UTO", vector["lines"][-1][0], "F") or (
        vector["kind"] == "TD1"
    )
    if vector["valid"]:
        assert (found.number, found.nationality) == (vector["number"], vector["nationality"])
        assert found.optional == vector.get("personal", "")
        assert found.expiry.date == dt.date(2012, 4, 15)
        assert found.is_expired(dt.date(2012, 4, 16))
        assert not found.is_expired(dt.date(2012, 4, 15))


@pytest.mark.parametrize("kind", WIDTHS)
def test_what_the_simulator_prints_is_read(kind):
    rng = np.random.default_rng(4)
    for _ in range(50):
        document = draw(kind, rng)
        found = read_document(kind, "\n".join(document.lines).encode(), TODAY)
        assert found.wrong == ()
        assert found.surname.replace(" ", "<") in SURNAMES
        assert found.given_names.replace(" ", "<") in GIVEN
        assert (found.issuer, found.nationality) == (STATE, STATE)
        assert found.birth.date <= TODAY
        assert 2024 <= found.expiry.year <= 2035
        assert len(found.number) in (9, 12)
        wrong = "\n".join(forge(document, rng).lines).encode()
        assert "birth" in read_document(kind + "?", wrong, TODAY).wrong


@pytest.mark.parametrize(
    "birth, expected",
    [
        ("261122", (2026, 11, 22)),  # born today
        ("261123", (1926, 11, 23)),
        ("000229", (2000, 2, 29)),
        ("74<<<<", (1974, None, None)),
        ("7408<<", (1974, 8, None)),
        ("<<<<<<", (None, None, None)),
        ("<<0812", (None, 8, 12)),
        ("27<<<<", (1927, None, None)),
    ],
)
def test_births_are_never_in_the_future_and_may_be_unknown_in_part(birth, expected):
    found = read(birth=birth)
    assert (found.birth, found.wrong) == (Day(*expected), ())
    assert found.birth.date == (None if None in expected else dt.date(*expected))


@pytest.mark.parametrize(
    "expiry, year",
    [("261121", 2026), ("361231", 2036), ("751231", 2075), ("760101", 1976), ("990101", 1999)],
)
def test_the_century_of_an_expiry_is_the_nearest(expiry, year):
    assert read(expiry=expiry).expiry.year == year


@pytest.mark.parametrize("birth", ["741312", "740832", "740012", "740800", "230229"])
def test_a_date_that_cannot_be_is_wrong_whatever_its_digit_says(birth):
    found = read(birth=birth)
    assert (found.birth, found.wrong) == (Day(), ("birth",))


@pytest.mark.parametrize(
    "names, expected",
    [
        ("VAN<DER<MUELLEN<<JEAN<PIERRE", ("VAN DER MUELLEN", "JEAN PIERRE", False)),
        ("ARKFREITH", ("ARKFREITH", "", False)),  # a person with one name
        ("X" * 39, ("X" * 39, "", True)),
        (
            "PAPANDROPOULOUS<<JONATHON<ALEXANDER<WARRE",
            ("PAPANDROPOULOUS", "JONATHON ALEXANDER WAR", True),
        ),
    ],
)
def test_names_are_as_they_are_transcribed(names, expected):
    found = read(names=names[:39])
    assert (found.surname, found.given_names, found.is_cut) == expected


def test_what_is_no_document_is_named_and_nothing_of_it_is_said():
    good = passport()
    wrong = [
        ("TD3", b""),
        ("TD3", good[:-1]),
        ("TD3", good.replace(b"\n", b"")),
        ("TD3", good.replace(b"\n", b"\r")),
        ("TD1", good),
        ("ERIKSSON", good),
        ("", good),
        ("TD3", good.lower()),
        ("TD3", bytes(range(256))),
    ]
    for symbology, content in wrong:
        with pytest.raises(DocumentError) as caught:
            read_document(symbology, content, TODAY)
        assert caught.value.__cause__ is None
        told = str(caught.value).upper()
        assert "FIRMWARE" in told
        assert "L898902C3" not in told
        assert "ANNA" not in told
        assert "ERIKSSON" not in told


@given(
    st.sampled_from(["TD1", "TD2?", "TD3", "MRVA", "MRVB", "?", "]C1"]),
    st.sampled_from([(3, 30), (2, 36), (2, 44), (1, 88)]).flatmap(
        lambda shape: st.lists(
            st.text(
                st.characters() if shape[0] == 1 else "<<<<09AVZ",
                min_size=shape[1],
                max_size=shape[1],
            ),
            min_size=shape[0],
            max_size=shape[0],
        )
    ),
    st.dates(dt.date(2000, 1, 1), dt.date(2150, 1, 1)),
)
def test_anything_is_a_document_or_the_one_error(symbology, lines, day):
    try:
        found = read_document(symbology, "\n".join(lines).encode("utf-8", "replace"), day)
    except DocumentError:
        return
    assert found.kind == symbology.removesuffix("?")
    assert found.birth.date is None or found.birth.date <= day
    assert found.expiry.year is None or -50 <= found.expiry.year - day.year <= 49


def test_a_document_shows_nothing_of_itself():
    found = read()
    assert repr(found) == str(found) == f"{found}" == "<Document TD3>"
