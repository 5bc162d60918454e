"""Goal: what the world prints is right, digit by digit.

Method: the published examples of the reference data; then each digit that is wrong on purpose.
"""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from simulators import papers
from simulators.errors import WorldError
from simulators.papers import Holder

VECTORS = json.loads((Path(__file__).parents[1] / "protocol/scanner_vectors.json").read_text())
NAMES = {"surname": "ERIKSSON", "given": "ANNA MARIA", "issuer": "UTO", "nationality": "UTO"}
SPECIMEN = {**NAMES, "birth": date(1974, 8, 12), "sex": "F", "expiry": date(2012, 4, 15)}


def holder(kind, **changes):
    number = "L898902C3" if kind == "TD3" else "D23145890"
    code = "P" if kind == "TD3" else "I"
    return Holder(**{"kind": kind, "number": number, "code": code, **SPECIMEN, **changes})


@pytest.mark.parametrize("vector", VECTORS["gtin"], ids=lambda vector: vector["value"])
def test_a_gtin_is_taken_when_its_digit_is_right(vector):
    if vector["valid"]:
        assert papers.check_gtin(vector["value"]) == vector["value"].zfill(14)
    else:
        with pytest.raises(WorldError, match="its check digit must be 8"):
            papers.check_gtin(vector["value"])


@pytest.mark.parametrize("vector", VECTORS["iso6346"], ids=lambda vector: vector["value"])
def test_a_container_is_taken_when_its_digit_is_right_or_wrong_on_purpose(vector):
    number, is_valid = vector["value"], vector["valid"]
    assert papers.check_container(number, is_wrong=not is_valid) == number
    with pytest.raises(WorldError, match=f"check digit {number[-1]}"):
        papers.check_container(number, is_wrong=is_valid)


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS["mrz"] if v["valid"]], ids=lambda v: v["kind"]
)
def test_specimens_are_printed_as_published(vector):
    optional = vector.get("personal", "")
    assert list(papers.mrz_lines(holder(vector["kind"], optional=optional))) == vector["lines"]


def test_a_long_number_continues_in_the_optional_data():
    lines = papers.mrz_lines(holder("TD1", number="D23145890734"))
    assert lines[0] == "I<UTOD23145890<7349<<<<<<<<<<<"  # ICAO Doc 9303-5, 4.2.4
    assert papers.mrz_lines(holder("TD2", number="D23145890734"))[1].startswith("D23145890<UTO")
    with pytest.raises(WorldError, match="TD3 has room for 9"):
        papers.mrz_lines(holder("TD3", number="D23145890734"))


@pytest.mark.parametrize("kind", papers.DOCUMENT_TYPES)
def test_one_digit_can_be_wrong_on_purpose(kind):
    right = "".join(papers.mrz_lines(holder(kind)))
    for field in papers.WRONG[1:]:
        wrong = "".join(papers.mrz_lines(holder(kind, wrong=field)))
        differing = [
            at for at, pair in enumerate(zip(right, wrong, strict=True)) if len({*pair}) > 1
        ]
        assert differing, field
        assert all(right[at].isdigit() and wrong[at].isdigit() for at in differing)


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"surname": "MÜLLER"}, "surname 'MÜLLER'"),
        ({"optional": "A" * 20}, "optional"),
        ({"issuer": "UTOPIA"}, "longer than its 3"),
    ],
)
def test_what_no_document_can_say_is_refused(changes, complaint):
    with pytest.raises(WorldError, match=complaint):
        papers.mrz_lines(holder("TD3", **changes))


def test_an_element_string_has_a_separator_only_where_something_follows():
    gtin = papers.check_gtin("98412345678908")
    code = papers.element_string(gtin, "LOT-A1", "SN0001", Decimal("1.25"))
    assert code == b"0198412345678908310300125010LOT-A1\x1d21SN0001"
    assert papers.element_string(gtin, "LOT-A1", "", None) == b"019841234567890810LOT-A1"
    assert papers.element_string(gtin, "", "", Decimal(25)) == b"01984123456789083103025000"
