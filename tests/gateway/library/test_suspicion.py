"""Goal: a contaminated or mislabelled specimen never becomes a reference by itself.

Method: spectra drawn from the shipped tables, pure, mixed and with a wrong label, through the
commands that import, check and install; and the measured collection.
"""

import csv

import pytest

from gateway.library.changes import install, keep_specimen, trust
from gateway.spectra.errors import PackageError
from gateway.spectra.library import load_library
from tests.gateway.library.national import (
    AXIS,
    BANDS,
    KEY,
    LIST,
    SAID,
    SUBSTANCE_ID,
    light_of,
    packed,
    specimen,
    write_library,
    write_list,
    write_spectrum,
)
from tests.gateway.running import write_settings

HEADING = "substance_id,name_en,category\n"


def mixed(**shares):
    """Bands of substances in one beam: substance -> height of its strongest band."""
    found = {}
    for name, share in shares.items():
        for band in load_library()[name].bands:
            place = band.shift_cm1
            while place in found:
                place += 0.01
            found[place] = share * band.rel_intensity
    return found


def doubtful(substance_id, seed=1, **shares):
    """A specimen with a label of ours, whatever is in it, as if nobody had checked it."""
    light = light_of(AXIS, seed, bands=mixed(**shares))
    return specimen(seed, substance_id=substance_id, intensity=light)


@pytest.fixture
def doubt_of(call_json, tmp_path):
    """Import bands under a label, and give the doubt."""
    number = iter(range(1, 100))

    def run(substance_id, bands, *more):
        seed = next(number)
        path = write_spectrum(tmp_path / f"{seed}.csv", seed, bands=bands)
        code, (record,) = call_json("import", path, "--substance", substance_id, *SAID, *more)
        assert (code, record["error"]) == (0, "")
        assert record["specimen"]["in_use"] is not bool(record["specimen"]["doubt"])
        return record["specimen"]["doubt"]

    return run


@pytest.mark.parametrize("foreign", ["ammonium_nitrate", "hexamine", "urea"])
def test_sugar_with_something_listed_in_it_is_in_doubt(doubt_of, foreign):
    doubt = doubt_of("sucrose", mixed(sucrose=1.0, **{foreign: 0.8}))
    assert f"listed {foreign}" in doubt
    assert doubt_of("sucrose", mixed(sucrose=1.0)) == ""


def test_a_listed_substance_is_no_stranger_to_itself_but_others_are_to_it(doubt_of):
    names = ("ammonium_nitrate", "potassium_nitrate", "calcium_ammonium_nitrate", "acetone")
    assert [doubt_of(name, mixed(**{name: 1.0})) for name in names] == [""] * len(names)
    doubt = doubt_of("potassium_nitrate", mixed(potassium_nitrate=1.0, nitromethane=0.9))
    assert "listed nitromethane" in doubt


def test_a_listed_substance_under_a_new_name_is_in_doubt_every_time(doubt_of, call_json, tmp_path):
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "substances.csv").write_text(f"{HEADING}thinner,Thinner,solvent\n")
    assert "listed acetone" in doubt_of("thinner", mixed(acetone=1.0))
    keep_specimen(tmp_path / "library", doubtful("thinner", 50, acetone=1.0))  # believed
    assert "listed acetone" in doubt_of("thinner", mixed(acetone=1.0))
    code, found = call_json("verify")
    assert code == 1
    assert sum("listed acetone" in fault for fault in found["faults"]) == 3
    assert sum("it is in use: remove it" in fault for fault in found["faults"]) == 1


def test_strong_bands_that_no_table_has_are_in_doubt(doubt_of):
    """Nothing listed: but what it is nobody knows."""
    bands = mixed(calcite=1.0)
    assert doubt_of("calcite", bands | {860.0: 0.2}) == ""
    doubt = doubt_of("calcite", bands | {860.0: 0.5, 620.0: 0.4})
    assert "strong bands that its table does not have, at 860, 620 cm^-1" in doubt


def test_national_substances_count_too_before_their_list_begins(doubt_of, tmp_path, free_port):
    write_library(tmp_path / "library")
    post = write_settings(tmp_path, free_port)
    settings = ("--settings", post)
    assert doubt_of("sucrose", mixed(sucrose=1.0) | BANDS, *settings).startswith("strong bands")
    write_list(tmp_path / "lists", LIST.replace("date =", "valid_from = 2099-01-01\ndate ="))
    doubt = doubt_of("sucrose", mixed(sucrose=1.0) | BANDS, *settings)
    assert f"listed {SUBSTANCE_ID} is recognised" in doubt


def test_a_package_with_a_doubt_that_nobody_confirmed_is_refused(call_json, tmp_path):
    trust(tmp_path / "library", KEY.public_key())
    bad = doubtful("sucrose", 3, sucrose=1.0, ammonium_nitrate=0.8)
    content = packed([bad], substances="")
    with pytest.raises(PackageError, match=r"listed ammonium_nitrate.*nothing was installed"):
        install(tmp_path / "library", content)
    assert not list((tmp_path / "library").glob("packages/*"))
    (tmp_path / "bad.hlp").write_bytes(content)
    code, found = call_json("verify", "bad.hlp")
    assert (code, "listed ammonium_nitrate" in found["faults"][0]) == (1, True)
    code, (record,) = call_json("import", "bad.hlp")
    assert (code, "listed ammonium_nitrate" in record["error"]) == (2, True)
    confirmed = packed([bad.confirm("A. Person: a mixture, on purpose")], substances="")
    assert install(tmp_path / "library", confirmed)[1]


def test_two_specimens_that_come_together_do_not_vouch_for_each_other(tmp_path):
    trust(tmp_path, KEY.public_key())
    rows = f"{HEADING}thinner,Thinner,solvent\nsolvent_x,Solvent X,solvent\n"
    both = [doubtful("thinner", 4, acetone=1.0), doubtful("solvent_x", 5, acetone=1.0)]
    with pytest.raises(PackageError, match="listed acetone"):
        install(tmp_path, packed(both, substances=rows))


def test_good_spectra_of_the_collection_are_in_no_new_doubt(call_json, tmp_path, raman_path):
    """Forty of the collection, which the tables were not all made from: doubts are of axes only."""
    by_cas = {row.cas: row.substance_id for row in load_library().substances.values() if row.cas}
    with (raman_path / "INDEX.csv").open(newline="") as file:
        index = [row for row in csv.DictReader(file) if row["cas"] in by_cas][::2][:40]
    table = tmp_path / "table.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "substance_id"])
        writer.writerows([raman_path / row["file"], by_cas[row["cas"]]] for row in index)
    found = call_json("import", "--table", table, *SAID)[1]
    doubts = [record["specimen"]["doubt"] for record in found if record["specimen"]]
    assert len(doubts) >= 30
    assert not any("listed" in doubt for doubt in doubts)
    assert sum("strong bands" in doubt for doubt in doubts) <= 2, doubts
