"""Goal: the lists are dated, sourced, complete and about substances the library knows.

Method: the published counts and annexes; every malformed list is refused by name.
"""

import pytest

from gateway.screening.watchlists import (
    WatchlistError,
    Watchlists,
    check_watchlists,
    load_watchlists,
    parse_watchlist,
)
from gateway.spectra.library import load_library

GOOD = """
list_id = "local"
title = "Local list"
date = 2026-11-01
source = "the post's own"
[[entries]]
substance_id = "sucrose"
"""


def by_id():
    return {entry.list_id: entry for entry in load_watchlists().lists}


def test_lists_are_known_to_the_library_dated_and_sourced():
    check_watchlists(load_watchlists(), load_library())
    assert set(by_id()) == {"pgs", "eu-2019-1148", "explosives"}
    for entry in by_id().values():
        assert entry.date.year >= 2026
        assert len(entry.source) > 40
        ids = [row.substance_id for row in entry.entries]
        assert len(ids) == len(set(ids))


def test_global_shield_has_its_thirteen_and_marks_the_rest():
    rows = by_id()["pgs"].entries
    # Calcium ammonium nitrate is one chemical of the thirteen and two goods.
    assert len([row for row in rows if row.status == "listed"]) == 13 + 1
    assert [row.substance_id for row in rows if row.status == "historic"] == ["acetic_anhydride"]
    assert [row.substance_id for row in rows if row.status == "related"] == [
        "urea_hydrogen_peroxide"
    ]


def test_the_regulation_has_both_annexes_with_limits_in_annex_one():
    rows = by_id()["eu-2019-1148"].entries
    first = [row for row in rows if row.annex == "I"]
    assert {row.substance_id for row in first if row.status == "listed"} == {
        "nitric_acid", "hydrogen_peroxide", "sulfuric_acid", "nitromethane", "ammonium_nitrate",
        "potassium_chlorate", "potassium_perchlorate", "sodium_chlorate", "sodium_perchlorate",
    }  # fmt: skip
    assert all("w/w" in row.limit for row in first)
    second = {row.substance_id for row in rows if row.annex == "II"}
    assert {"hexamine", "acetone", "calcium_nitrate", "aluminium_powder"} <= second
    assert "urea" not in second


def test_a_substance_knows_its_lists():
    lists = load_watchlists()
    assert lists.lists_of("ammonium_nitrate") == ("eu-2019-1148", "pgs")
    assert lists.lists_of("rdx") == ("explosives",)
    assert lists.lists_of("sucrose") == ()


@pytest.mark.parametrize(
    "old,new,words",
    [
        ("2026-11-01", '"soon"', "local.*date"),
        ('list_id = "local"\n', "", "list_id"),
        ("substance_id", "substance", "substance"),
        ('"sucrose"', '"sucrose"\nstatus = "maybe"', "maybe"),
        ('[[entries]]\nsubstance_id = "sucrose"', "entries = []", "0 entries"),
        ("source", "]", "local"),
    ],
)
def test_a_malformed_list_is_refused_by_name(old, new, words):
    with pytest.raises(WatchlistError, match=words):
        parse_watchlist("local", GOOD.replace(old, new))


def test_an_endless_list_is_refused():
    with pytest.raises(WatchlistError, match="larger than"):
        parse_watchlist("local", GOOD + "#" * 300_000)


def test_an_unknown_substance_is_named():
    odd = parse_watchlist("local", GOOD.replace("sucrose", "gravel"))
    with pytest.raises(WatchlistError, match="local names 'gravel'"):
        check_watchlists(Watchlists((odd,)), load_library())
