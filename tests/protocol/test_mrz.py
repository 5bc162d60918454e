"""Goal: zones are told apart, right ones pass, and a wrong one is told by the field that is wrong.

Method: the published specimens, documents drawn by the simulator (which has its own check digits),
and every single wrong character in them; the same zones on a real MicroPython.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from protocol.mrz import check_digit, fields, kind_of, number_of, wrong_fields
from simulators.document.specimen import ALPHABET, WIDTHS, draw, forge

VECTORS = json.loads((Path(__file__).parent / "scanner_vectors.json").read_text())["mrz"]
# Doc 9303, parts 5 to 7: a number of twelve characters, and visas.
SPECIMENS = {
    "TD1": "I<UTOD23145890<7349<<<<<<<<<<<|3407127M9507122UTO<<<<<<<<<<<2|"
    "STEVENSON<<PETER<JOHN<<<<<<<<<",
    "TD2": "I<UTOSTEVENSON<<PETER<JOHN<<<<<<<<<<|D23145890<UTO3407127M95071227349<<<8",
    "MRVA": "V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<|"
    "L8988901C4XXX4009078F96121096ZE184226B<<<<<<",
    "MRVB": "V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<|L8988901C4XXX4009078F9612109<<<<<<<<",
}
SPECIMENS = {kind: lines.replace("|", "") for kind, lines in SPECIMENS.items()}


def zones():
    """Return all zones of this file, right and wrong."""
    rng = np.random.default_rng(6)
    drawn = [draw(kind, rng) for kind in WIDTHS for _ in range(30)]
    told = ["".join(vector["lines"]) for vector in VECTORS] + list(SPECIMENS.values())
    told += ["".join(document.lines) for document in drawn]
    told += ["".join(forge(document, rng).lines) for document in drawn]
    return [*told, "", "P" * 88, "<" * 90, "é" * 36, "0" * 72, "V" * 87]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["kind"])
def test_the_published_vectors(vector):
    zone = "".join(vector["lines"]).encode()
    kind = kind_of(zone)
    assert kind == vector["kind"]
    assert (not wrong_fields(kind, zone)) == vector["valid"]
    if vector["valid"]:
        told = {name: zone[begin:end].decode() for name, begin, end in fields(kind)}
        assert number_of(kind, zone)[0].decode() == vector["number"]
        for name in ("nationality", "birth", "sex", "expiry"):
            assert told[name] == vector[name]
        assert told["optional"].rstrip("<") == vector.get("personal", "")
    else:
        assert wrong_fields(kind, zone) == ["expiry", "composite"]


@pytest.mark.parametrize("kind", SPECIMENS)
def test_the_specimens_with_long_numbers_and_of_visas(kind):
    zone = SPECIMENS[kind].encode()
    assert (kind_of(zone), wrong_fields(kind, zone)) == (kind, [])
    number, digit, _ = number_of(kind, zone)
    is_long = kind.startswith("TD")
    assert (number, digit) == ((b"D23145890734", 0x39) if is_long else (b"L8988901C", 0x34))


@pytest.mark.parametrize("kind", WIDTHS)
def test_every_wrong_character_is_seen_but_those_worth_the_same(kind):
    """What no check digit can see is listed here: names, issuer, and letters worth the same."""
    rng = np.random.default_rng(1)
    zone = "".join(draw(kind, rng).lines)
    guarded = {name for name, _, _ in fields(kind)} - {"names", "issuer", "nationality", "code"}
    if kind in ("MRVA", "MRVB"):
        guarded.remove("optional")
    for name, begin, end in fields(kind):
        for at in range(begin, end):
            for other in ALPHABET + "<":
                wrong = (zone[:at] + other + zone[at + 1 :]).encode()
                found = wrong_fields(kind_of(wrong), wrong)
                same = other == zone[at] or check_digit(other.encode()) == check_digit(
                    zone[at].encode()
                )
                if name in guarded - {"sex"} and not same:
                    assert found, (name, at, other)
                elif name not in guarded and name != "optional" and other.isdigit():
                    assert found == [name] or (name == "code" and found), (name, at, other)
                elif other == zone[at]:
                    assert not found


def test_letters_in_dates_and_strange_characters_are_told():
    zone = bytearray("".join(VECTORS[0]["lines"]).encode())
    zone[59] = ord("I")  # 1 -> I in the date of birth
    assert "birth" in wrong_fields("TD3", bytes(zone))
    for strange in (b" ", b"a", b"\xc3", b"\x00", b"_"):
        assert wrong_fields("TD3", bytes(zone[:70]) + strange + bytes(zone[71:])) == ["characters"]


def test_both_interpreters_say_the_same(on_micropython):
    asked = [zone for zone in zones() if zone.isascii()]
    answers = on_micropython("wrong_fields", zones=asked)
    for zone, (kind, wrong) in zip(asked, answers, strict=True):
        assert kind == kind_of(zone.encode())
        assert wrong == (wrong_fields(kind, zone.encode()) if kind else None)
    valid = [wrong == [] for _, wrong in answers]
    assert sum(valid) == 3 + 4 + 30 * 5  # the specimens, and what was drawn
