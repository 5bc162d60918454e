"""Goal: the lists are dated, sourced, complete and about substances the library knows.

Method: the published counts and annexes; every malformed list is refused by name.
"""

import datetime as dt

import pytest

from gateway.screening.watchlists import (
    WatchlistError,
    Watchlists,
    check_watchlists,
    clock_fault,
    edition_day,
    load_watchlists,
    parse_watchlist,
    select_watchlists,
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


DAY = dt.date(2026, 11, 21)
LIMIT = """"sucrose"
limits = [{ value = 3.0, unit = "%", basis = "w/w", licence = true, licence_max = 10.0 }]"""


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
        ('"local"', '"Not an id"', "list_id"),
        ('"Local list"', '""', "title"),
        ('"sucrose"', '"sucrose"\nhs2022 = ["170199"]', "hs2022"),
        ('"sucrose"', '"sucrose"\ncn = ["1701.99"]', "cn"),
        ('"sucrose"', LIMIT.replace("3.0", "300.0"), "limits"),
        ('"sucrose"', LIMIT.replace("3.0", "nan"), "limits|finite|value"),
        ('"sucrose"', LIMIT.replace('"%"', '"ppm"'), "ppm"),
        ('"sucrose"', LIMIT.replace("10.0", "2.0"), "licence_max 2 of sucrose"),
        ('"sucrose"', LIMIT.replace("true", "false"), "licence_max 10 of sucrose"),
        ('"sucrose"', '"sucrose"\n[[entries]]\nsubstance_id = "sucrose"', "'sucrose' twice"),
        ("source", "valid_from = 2026-02-01\nvalid_until = 2026-01-31\nsource", "before valid"),
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


def test_every_shipped_list_has_its_name_in_four_languages():
    for entry in load_watchlists().lists:
        assert set(entry.titles) == {"en", "fr", "ar", "es"}
        assert all((entry.title_fr, entry.title_ar, entry.title_es))
        assert entry.jurisdiction


def test_the_regulation_has_its_limits_as_numbers():
    """Annex I of the consolidated text: limit and highest concentration that can be licensed."""
    rows = {row.substance_id: row for row in by_id()["eu-2019-1148"].entries}
    told = {
        key: (limit.value, limit.licence_max)
        for key, row in rows.items()
        if row.annex == "I" and row.status == "listed"
        for limit in row.limits
    }
    assert told == {
        "nitric_acid": (3.0, 10.0),
        "hydrogen_peroxide": (12.0, 35.0),
        "sulfuric_acid": (15.0, 40.0),
        "nitromethane": (16.0, 100.0),
        "ammonium_nitrate": (16.0, None),
        "potassium_chlorate": (40.0, None),
        "potassium_perchlorate": (40.0, None),
        "sodium_chlorate": (40.0, None),
        "sodium_perchlorate": (40.0, None),
    }
    assert rows["nitric_acid"].limit == "3 % w/w; licence up to 10 % w/w"
    assert rows["ammonium_nitrate"].limit.endswith("in relation to ammonium nitrate; no licence")
    assert "200 um" in rows["aluminium_powder"].limit
    assert not rows["acetone"].limits


def test_codes_of_the_lists_agree_with_the_substances():
    """A CN code begins with its HS code; both are those of the substance."""
    library = load_library()
    for entry in load_watchlists().lists:
        for row in entry.entries:
            known = library[row.substance_id].hs2022.split(";")
            assert set(row.hs2022) <= set(known), row.substance_id
            for code in row.cn:
                plain = code.removeprefix("ex ").replace(" ", "")
                assert f"{plain[:4]}.{plain[4:6]}" in known, row.substance_id


@pytest.mark.parametrize(
    "more,state",
    [
        ("", "in force"),
        ("valid_until = 2026-11-21", "in force"),
        ("valid_until = 2026-11-20", "expired"),
        ("valid_from = 2026-11-21", "in force"),
        ("valid_from = 2026-11-22", "not yet in force"),
        ('superseded_by = "other"', "superseded"),
    ],
)
def test_a_list_knows_whether_it_is_in_force(more, state):
    found = parse_watchlist("local", GOOD.replace("source", f"{more}\nsource"))
    assert found.state_on(dt.date(2026, 11, 21)) == state


def test_of_two_editions_the_later_one_is_used():
    shipped = load_watchlists()
    later = parse_watchlist("x", GOOD.replace("local", "pgs").replace("2026-11-01", "2027-01-01"))
    older = parse_watchlist("x", GOOD.replace("local", "pgs").replace("2026-11-01", "2020-01-01"))
    new = parse_watchlist("x", GOOD)
    found = select_watchlists((*shipped.lists, older, later, new), DAY)
    assert {entry.list_id for entry in found.watchlists.lists} == {*by_id(), "local"}
    assert found.watchlists.lists_of("sucrose") == ("local", "pgs")
    assert set(found.replaced) == {older, by_id()["pgs"]}
    assert found.waiting == ()
    assert found.watchlists.version != shipped.version


def test_an_edition_comes_into_force_on_its_day_and_not_before():
    before = parse_watchlist("x", GOOD)
    text = GOOD.replace("2026-11-01", "2026-11-15").replace("sucrose", "urea")
    after = parse_watchlist("x", text.replace("source", "valid_from = 2026-11-22\nsource"))
    found = select_watchlists([after, before], DAY)
    assert found.watchlists.lists == (before,)
    assert found.waiting == (after,)
    assert found.replaced == ()
    assert after.notice_on(DAY) == "not yet in force, in force from 2026-11-22"
    found = select_watchlists([after, before], DAY + dt.timedelta(days=1))
    assert found.watchlists.lists == (after,)
    assert (found.waiting, found.replaced) == ((), (before,))
    assert after.notice_on(DAY + dt.timedelta(days=1)) == ""


def test_a_new_list_with_a_future_day_lists_nothing_yet():
    new = parse_watchlist("x", GOOD.replace("source", "valid_from = 2027-01-01\nsource"))
    assert select_watchlists([new], DAY).watchlists.substance_ids == frozenset()
    later = select_watchlists([new], dt.date(2027, 1, 1)).watchlists
    assert later.substance_ids == {"sucrose"}


@pytest.mark.parametrize("day", [dt.date(1970, 1, 1), dt.date(2000, 1, 1), dt.date(2020, 6, 1)])
def test_a_clock_that_lost_its_time_takes_no_list_out_of_force(day):
    shipped = load_watchlists().lists
    made = edition_day()
    assert made == max(entry.date for entry in shipped)
    tomorrow = made + dt.timedelta(days=1)
    due, later = (
        parse_watchlist("x", GOOD.replace("local", name).replace("source", f"{begins}\nsource"))
        for name, begins in (("due", f"valid_from = {made}"), ("later", f"valid_from = {tomorrow}"))
    )
    found = select_watchlists((*shipped, due, later), day)
    assert set(found.watchlists.lists) == {*shipped, due}
    assert (found.day, found.waiting) == (made, (later,))
    assert f"clock says {day}" in clock_fault(day)


def test_a_clock_that_can_be_right_is_believed():
    assert clock_fault(edition_day()) == ""
    day = edition_day() + dt.timedelta(days=400)
    assert select_watchlists(load_watchlists().lists, day).day == day


def test_an_expired_list_is_used_and_told():
    """An alarm too many is noticed, a missing one is not."""
    old = parse_watchlist("x", GOOD.replace("source", "valid_until = 2026-11-20\nsource"))
    assert select_watchlists([old], DAY).watchlists.lists == (old,)
    assert "its last day was 2026-11-20; it is used until" in old.notice_on(DAY)


def test_whatever_a_list_says_is_in_the_version():
    one = Watchlists((parse_watchlist("local", GOOD),))
    other = Watchlists((parse_watchlist("local", GOOD.replace("Local list", "Other list")),))
    assert one.version != other.version
