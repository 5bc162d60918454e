"""Goal: a ministry builds and signs, a technician installs, a developer looks up, by commands.

Method: the command line in this process, on real measured spectra and real folders; what it prints
and its exit status.
"""

import csv
import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from gateway import cli
from gateway.spectra.library import load_library
from gateway.spectra.package import read_package
from tests.gateway.library.national import (
    AXIS,
    LIST,
    NAMES,
    SAID,
    SUBSTANCE_ID,
    SUBSTANCES,
    light_of,
    write_library,
    write_list,
    write_spectrum,
)
from tests.gateway.running import write_settings
from tests.gateway.spectra.spc_writer import write_spc


def test_from_measured_files_to_a_post_that_recognises(call, call_json, tmp_path, free_port):
    """The whole way: keys, import, export, trust, install, identify."""
    ministry, post = tmp_path / "ministry", tmp_path / "library"
    ministry.mkdir()
    (ministry / "substances.csv").write_text(SUBSTANCES, encoding="utf-8")
    files = [write_spectrum(tmp_path / f"{seed}.csv", seed) for seed in (1, 2)]
    traces = [light_of(AXIS, seed) for seed in (3, 4)]
    (tmp_path / "more.spc").write_bytes(write_spc([AXIS] * 2, traces))
    code, found = call_json(
        "import", *files, tmp_path / "more.spc", "--substance", SUBSTANCE_ID, "-l", ministry, *SAID
    )
    assert code == 0
    assert [record["error"] for record in found] == [""] * 4
    assert found[2]["specimen"]["source"] == "more.spc trace 1"
    assert all(record["specimen"]["in_use"] for record in found)
    (tmp_path / "word").write_text("a long sentence\n")
    code, printed, _ = call("key", "ministry-key", "--passphrase-file", "word")
    assert code == 0
    assert (tmp_path / "ministry-key.key").stat().st_mode & 0o777 == 0o600
    said = ("--id", "national", "--issuer", "Ministry", "--licence", "CC-BY-4.0", "-l", ministry)
    signed = ("--sign", "ministry-key.key", "--passphrase-file", "word", "--made-on", "2026-11-21")
    for name in ("a.hlp", "b.hlp"):
        code, printed, _ = call("export", name, "--version", "1.0", *said, *signed)
        assert (code, "signed" in printed) == (0, True)
    assert (tmp_path / "a.hlp").read_bytes() == (tmp_path / "b.hlp").read_bytes()

    settings = ("--settings", write_settings(tmp_path, free_port))
    code, found = call_json("import", "a.hlp", *settings)
    assert code == 2
    assert "does not trust" in found[0]["error"]
    assert call("trust", "ministry-key.pub", *settings)[0] == 0
    code, found = call_json("import", "a.hlp", *settings)
    assert (code, found[0]["installed"], found[0]["specimens"]) == (0, True, 4)
    assert (post / "packages" / "national.hlp").exists()
    code, found = call_json("verify", *settings)
    assert (code, found["faults"], found["packages"], found["specimens"]) == (0, [], 1, 4)
    code, found = call_json("show", "Sal de prueba", *settings)
    assert (found["substance_id"], found["origin"]) == (SUBSTANCE_ID, "national")
    assert len(found["specimens"]) == 4
    assert "national.1.0-" in found["library_version"]


def test_identify_uses_library_and_lists(call, monkeypatch, capsys, tmp_path):
    write_library(tmp_path / "library")
    write_list(tmp_path / "lists")
    path = write_spectrum(tmp_path / "goods.csv", 7)
    found = {}
    for more in ((), ("--library", "library"), ("--library", "library", "--lists", "lists")):
        monkeypatch.setattr("sys.argv", ["harmattan", "identify", "--json", str(path), *more])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert not caught.value.code
        found[len(more)] = json.loads(capsys.readouterr().out)
    assert SUBSTANCE_ID not in [hit["substance_id"] for hit in found[0]["hits"]]
    assert found[2]["hits"][0]["substance_id"] == SUBSTANCE_ID
    assert found[2]["verdict"] != "alarm"
    assert found[4]["verdict"] == "alarm"
    assert "national" in [entry["list_id"] for entry in found[4]["lists"]]
    monkeypatch.setattr("sys.argv", ["harmattan", "identify", str(path), "--library", "nowhere"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert "nowhere is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize("language", ["en", "fr", "ar", "es"])
def test_identify_calls_what_a_library_adds_by_its_name(monkeypatch, capsys, tmp_path, language):
    write_library(tmp_path / "library")
    write_list(tmp_path / "lists")
    goods, plot = write_spectrum(tmp_path / "goods.csv", 7), tmp_path / "why.svg"
    folders = [f"--library={tmp_path}/library", f"--lists={tmp_path}/lists"]
    monkeypatch.setenv("COLUMNS", "300")
    said = []
    for more in (["--json"], ["--explain", f"--plot={plot}"]):
        words = ["harmattan", "identify", str(goods), *folders, "--language", language, *more]
        monkeypatch.setattr("sys.argv", words)
        with pytest.raises(SystemExit):
            cli.main()
        said.append(capsys.readouterr().out)
    assert NAMES[language] in json.loads(said[0])["reason"]
    drawn = " ".join(ET.parse(plot).getroot().itertext())
    for text in (said[1], drawn):
        assert NAMES[language] in text
        assert SUBSTANCE_ID not in text


def test_verify_and_show_tell_of_a_missing_name(call, call_json, tmp_path):
    write_library(tmp_path / "library")
    path = tmp_path / "library" / "substances.csv"
    path.write_text(SUBSTANCES.replace("Sal de prueba", ""), encoding="utf-8")
    code, found = call_json("verify")
    assert code == 0
    assert f"{SUBSTANCE_ID}: has no name in es; 'Testing salt' is shown" in found["warnings"]
    assert call("show", SUBSTANCE_ID)[0] == 0


def test_no_verdict_compares_with_a_limit(tmp_path, monkeypatch, capsys):
    """Limits stand in the lists for people; a spectrum gives identity, not concentration."""
    write_library(tmp_path / "library")
    path = write_spectrum(tmp_path / "goods.csv", 7)
    told = []
    for value in ("5.0", "0.1", "20.0"):
        write_list(tmp_path / value, LIST.replace("value = 5.0", f"value = {value}"))
        arguments = ["--library", str(tmp_path / "library"), "--lists", str(tmp_path / value)]
        monkeypatch.setattr("sys.argv", ["harmattan", "identify", "--json", str(path), *arguments])
        with pytest.raises(SystemExit):
            cli.main()
        told.append(capsys.readouterr().out)
    assert len(set(told)) == 1
    assert "%" not in json.loads(told[0])["reason"]


def test_list_is_filtered_by_what_there_is(call, call_json, tmp_path):
    _, everything = call_json("list")
    assert len(everything["substances"]) == len(load_library().substances)
    _, listed = call_json("list", "--list", "pgs", "--state", "liquid")
    assert {row["substance_id"] for row in listed["substances"]} >= {"acetone", "nitromethane"}
    assert all("pgs" in row["lists"] for row in listed["substances"])
    write_library(tmp_path / "library")
    _, own = call_json("list", "--origin", "own")
    assert [row["substance_id"] for row in own["substances"]] == [SUBSTANCE_ID]
    code, _, said = call("list", "--list", "eu")
    assert code == 2
    assert "list 'eu' is none of eu-2019-1148, explosives, pgs" in said
    code, printed, _ = call("list", "--category", "precursor")
    assert "nitric_acid" in printed


def test_show_tells_everything_of_a_substance(call, call_json):
    _, found = call_json("show", "ammonium_nitrate")
    assert set(found["names"]) == {"en", "fr", "ar", "es"}
    assert found["hs2022"] == ["3102.30"]
    assert "1942" in found["un_numbers"]
    assert {entry["state"] for entry in found["entries"]} >= {""}
    assert all(
        band["grade"] and band["source"] for entry in found["entries"] for band in entry["bands"]
    )
    assert {row["list_id"] for row in found["lists"]} == {"pgs", "eu-2019-1148"}
    (limit,) = next(row for row in found["lists"] if row["list_id"] != "pgs")["limits"]
    assert (limit["value"], limit["licence"]) == (16.0, False)
    alike = {row["substance_id"]: row["separating_cm1"] for row in found["look_alikes"]}
    assert alike["hexamine"]
    _, reverse = call_json("show", "hexamine")
    assert "ammonium_nitrate" in {row["substance_id"] for row in reverse["look_alikes"]}
    for name in ("6484-52-2", "nitrate d'ammonium", "نترات الأمونيوم", "NITRATO DE AMONIO"):
        assert call_json("show", name)[1]["substance_id"] == "ammonium_nitrate"
    strongest = max(load_library()["acetone"].bands, key=lambda band: band.rel_intensity)
    code, printed, _ = call("show", "acetone")
    assert (code, f"{strongest.shift_cm1:g}" in printed) == (0, True)
    for name, words in {
        "acetne": "did you mean acetone",
        "nitrate": "is not one substance",
    }.items():
        code, _, said = call("show", name)
        assert (code, words in said) == (2, True)


def test_import_asks_for_provenance(call, tmp_path):
    path = write_spectrum(tmp_path / "a.csv")
    code, printed, _ = call("import", path)
    assert code == 2
    assert "add --substance, --instrument, --licence, --measured-by, --measured-on" in printed
    code, printed, _ = call("import", path, "--substance", "no_such", *SAID)
    assert "no substance is named 'no_such'" in printed
    code, printed, _ = call("import", path, "--substance", "urea", *SAID, "--measured-on", "today")
    assert "measured_on 'today' is not a date" in printed
    assert not (tmp_path / "library" / "specimens").exists()


def test_import_refuses_what_is_there_already(call_json, tmp_path):
    write_library(tmp_path / "library")
    path = write_spectrum(tmp_path / "a.csv", 5)
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    (tmp_path / "scaled.csv").write_text("".join(f"{x},{float(y) / 7.0:.9g}\n" for x, y in rows))
    arguments = ("--substance", SUBSTANCE_ID, *SAID)
    code, (first, again, scaled) = call_json("import", path, path, "scaled.csv", *arguments)
    assert (code, first["error"]) == (2, "")
    for record in (again, scaled):
        assert f"already as {first['specimen']['specimen_id']} (own)" in record["error"]
    _, (other,) = call_json("import", path, "--substance", "urea", *SAID)
    assert "is in the library already as" in other["error"]
    assert len(list((tmp_path / "library" / "specimens").iterdir())) == 2


@pytest.mark.parametrize(
    "change,words",
    [
        (lambda light: np.full_like(light, 3.0), "points are equal: the detector was full"),
        (lambda light: np.minimum(light, 9_000.0), "the detector was full"),
        (
            lambda light: np.random.default_rng(1).normal(100.0, 5.0, light.size),
            "no band stands 20 times above the noise",
        ),
    ],
)
def test_import_refuses_what_cannot_be_a_reference(call_json, tmp_path, change, words):
    write_library(tmp_path / "library")
    light = change(light_of(AXIS, 3))
    (tmp_path / "a.csv").write_text(
        "".join(f"{x:.1f},{y:.4f}\n" for x, y in zip(AXIS, light, strict=True))
    )
    code, (record,) = call_json("import", "a.csv", "--substance", SUBSTANCE_ID, *SAID)
    assert code == 2
    assert words in record["error"]


def test_a_spectrum_that_contradicts_the_table_is_kept_but_not_used(call, call_json, tmp_path):
    """Calcite at 872 and 712 is the infrared spectrum: plausible, and wrong."""
    infrared = {712.0: 0.4, 872.0: 1.0, 1420.0: 0.9}
    path = write_spectrum(tmp_path / "calcite.csv", bands=infrared)
    code, (record,) = call_json("import", path, "--substance", "calcite", *SAID)
    assert code == 0
    assert "strongest measured 872" in record["specimen"]["doubt"]
    assert record["specimen"]["in_use"] is False
    name = record["specimen"]["specimen_id"]
    code, found = call_json("verify")
    assert code == 1
    assert any(name in fault for fault in found["faults"])
    call("key", "k")
    code, _, said = call(
        "export", "x.hlp", "--id", "x", "--version", "1", "--issuer", "I", "--licence", "MIT",
        "--sign", "k.key",
    )  # fmt: skip
    assert (code, f"specimen {name} is in doubt" in said) == (2, True)
    code, printed, _ = call("confirm", name, "--reason", "A. Person: it is vaterite")
    assert (code, "in use" in printed) == (0, True)
    assert call_json("verify")[0] == 0
    assert call("remove", name)[0] == 0


def test_an_axis_that_is_off_is_told(call_json, tmp_path):
    table = {band.shift_cm1: band.rel_intensity for band in load_library()["sucrose"].bands}
    moved = {place + 3.2: height for place, height in table.items() if 260.0 < place < 1_980.0}
    path = write_spectrum(tmp_path / "a.csv", bands=moved)
    _, (record,) = call_json("import", path, "--substance", "sucrose", *SAID)
    assert any("cm^-1 from the table's; calibrate" in text for text in record["warnings"])


def test_diff_tells_what_changed(call, call_json, tmp_path):
    write_library(tmp_path / "before")
    write_library(tmp_path / "after", seed=2)
    after = tmp_path / "after" / "substances.csv"
    after.write_text(after.read_text().replace("2842.90", "2842.10"), encoding="utf-8")
    code, found = call_json("diff", "shipped", "before")
    assert (code, found["added"], found["removed"]) == (1, [SUBSTANCE_ID], [])
    code, found = call_json("diff", "before", "after")
    (change,) = found["changed"]
    assert change["facts"] == {"hs2022": ["2842.90", "2842.10"]}
    assert len(change["specimens_added"]) == len(change["specimens_removed"]) == 1
    printed = call("diff", "shipped", "before")[1] + call("diff", "before", "after")[1]
    assert f"added {SUBSTANCE_ID} (Testing salt)" in printed
    assert f"changed {SUBSTANCE_ID} (Testing salt)" in printed
    code, printed, _ = call("diff", "before", "before")
    assert (code, "no difference" in printed) == (0, True)
    code, _, said = call("diff", "before", "nothing")
    assert (code, "nothing does not exist" in said) == (2, True)


def test_keys_are_never_overwritten(call, tmp_path):
    assert call("key", "k")[0] == 0
    before = (tmp_path / "k.key").read_bytes()
    code, _, said = call("key", "k")
    assert (code, "a key is never overwritten" in said) == (2, True)
    assert (tmp_path / "k.key").read_bytes() == before


def test_an_unsigned_package_is_said_to_be_one(call, call_json, tmp_path):
    write_library(tmp_path / "library")
    code, printed, _ = call(
        "export", "x.hlp", "--id", "x", "--version", "1", "--issuer", "I", "--licence", "MIT"
    )
    assert (code, "not signed" in printed) == (0, True)
    assert read_package((tmp_path / "x.hlp").read_bytes()).signature is None
    code, found = call_json("verify", "x.hlp")
    assert (code, "is not signed" in found["faults"][0]) == (1, True)
    code, found = call_json("import", "x.hlp")
    assert (code, "is not signed" in found[0]["error"]) == (2, True)


def test_lists_are_shown_with_codes_limits_and_state(call, call_json, tmp_path):
    write_library(tmp_path / "library")
    write_list(tmp_path / "lists", LIST + "\n")
    old = LIST.replace("2026-11-20", "2024-11-20").replace(
        "source =", "valid_until = 2025-01-31\nsource ="
    )
    (tmp_path / "lists" / "older.toml").write_text(old)
    gone = old.replace('"national"', '"gone"')
    (tmp_path / "lists" / "gone.toml").write_text(gone)
    _, found = call_json("lists", "--lists", "lists")
    states = {(row["list_id"], row["date"]): row["state"] for row in found}
    assert states["national", "2026-11-20"] == "in force"
    assert states["national", "2024-11-20"] == "superseded"
    assert states["gone", "2024-11-20"] == "expired"
    national = found[[row["list_id"] for row in found].index("national")]
    (entry,) = national["entries"]
    assert entry["limits"] == [
        {"value": 5.0, "unit": "%", "basis": "w/w", "of": "", "licence": True, "licence_max": 20.0}
    ]
    assert (entry["cn"], entry["names"]["fr"]) == (["2842 90 80"], "Sel d'essai")
    code, printed, _ = call("lists", "--lists", "lists")
    assert (code, "ex 2829 90 10" in printed, "expired" in printed) == (0, True, True)


def test_a_faulty_list_is_named_and_the_others_are_shown(call, tmp_path):
    write_list(tmp_path / "lists", LIST)  # names a substance nobody knows
    code, printed, said = call("lists", "--lists", "lists")
    assert code == 0
    assert "left out" in said
    assert SUBSTANCE_ID in said
    assert "pgs" in printed


def test_an_unknown_substance_costs_a_list_that_entry_only(call, call_json, tmp_path):
    write_list(tmp_path / "lists", LIST + '[[entries]]\nsubstance_id = "sucrose"\n')
    _, found = call_json("lists", "--lists", "lists")
    national = next(row for row in found if row["list_id"] == "national")
    assert [entry["substance_id"] for entry in national["entries"]] == ["sucrose"]
    code, _, said = call("lists", "--lists", "lists")
    assert (code, "left out" in said) == (0, True)
    assert f"an entry of watchlist national names '{SUBSTANCE_ID}'" in said
    write_library(tmp_path / "library")
    _, found = call_json("lists", "--lists", "lists")
    national = next(row for row in found if row["list_id"] == "national")
    assert len(national["entries"]) == 2


def test_a_look_alike_is_named_with_its_form(call, call_json):
    _, found = call_json("show", "sodium_nitrate")
    told = {(row["name"], row["bands_of_name"]) for row in found["look_alikes"]}
    assert ("Ammonium nitrate (solution)", "Sodium nitrate (solution)") in told
    assert ("Ammonium nitrate", "Sodium nitrate (solution)") in told
    _, printed, _ = call("show", "sodium_nitrate")
    line = "look-alike Ammonium nitrate (solution): not separated by any band of Sodium nitrate"
    assert f"{line} (solution)" in printed
    assert "none cm-1" not in printed


def test_an_unknown_category_is_refused_with_the_words_there_are(call, tmp_path):
    write_library(tmp_path / "library")
    path = tmp_path / "library" / "substances.csv"
    for text in (SUBSTANCES.replace("precursor", "benign"), f"substance_id\n{SUBSTANCE_ID}\n"):
        path.write_text(text, encoding="utf-8")
        code, _, said = call("import", write_spectrum(tmp_path / "a.csv", 4), *SAID)
        assert code == 2
        assert f"{SUBSTANCE_ID} has category" in said
        assert "none of detergent, drug, excipient" in said


def test_rejudged_needs_a_journal(call, tmp_path, free_port):
    code, _, said = call("rejudged", "--settings", write_settings(tmp_path, free_port))
    assert (code, "does not exist" in said) == (2, True)


def test_a_campaign_is_imported_from_its_table(call, call_json, tmp_path):
    write_library(tmp_path / "library")
    (tmp_path / "run").mkdir()
    for seed in (5, 6):
        write_spectrum(tmp_path / "run" / f"{seed}.csv", seed)
    table = tmp_path / "run" / "table.csv"
    table.write_text(
        f"\ufefffile,substance_id,source\n5.csv,{SUBSTANCE_ID},lot 5\n6.csv,,lot 6\n7.csv,,\n"
    )
    code, found = call_json("import", "--table", table, "--substance", SUBSTANCE_ID, *SAID)
    assert code == 2
    assert [record["specimen"]["source"] for record in found[:2]] == ["lot 5", "lot 6"]
    assert "7.csv: does not exist" in found[2]["error"]
    for text, words in {
        "file,colour\na.csv,red\n": "column 'colour' is unknown",
        "substance_id\nurea\n": "there is no column file",
        "file,source\na.csv\n": "row 2: a value is missing",
    }.items():
        table.write_text(text)
        code, _, said = call("import", "--table", table, *SAID)
        assert (code, words in said) == (2, True)
    code, _, said = call("import")
    assert (code, "nothing to import" in said) == (2, True)


def test_the_collection_of_measured_spectra_becomes_a_library(call_json, tmp_path, raman_path):
    """Every file of a substance the tables know is imported; known faults of axes are told."""
    substances = load_library().substances.values()
    by_cas = {row.cas: row.substance_id for row in substances if row.cas}
    with (raman_path / "INDEX.csv").open(newline="") as file:
        index = [row for row in csv.DictReader(file) if row["cas"] in by_cas]
    table = tmp_path / "table.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["file", "substance_id", "excitation_nm", "instrument", "licence", "source"]
        )
        for row in index:
            laser = row["excitation_nm"]
            writer.writerow(
                [
                    raman_path / row["file"],
                    by_cas[row["cas"]],
                    laser if laser.replace(".", "").isdecimal() else "",
                    row["instrument"][:200] or "not stated",
                    row["licence"],
                    row["source_repo"],
                ]
            )
    arguments = ("--table", table, "--measured-by", "the collection", "--measured-on", "2026-01-01")
    found = call_json("import", *arguments)[1]
    assert len(found) == len(index) > 60
    errors = [record["error"] for record in found if record["error"]]
    assert all("is in the library already" in error for error in errors), errors
    doubts = [record for record in found if record["specimen"] and record["specimen"]["doubt"]]
    # Six of the collection are off by 4 to 10 cm^-1 by its own index, or of another hydrate.
    assert len(doubts) <= 8
    assert any("calcite" in record["file"] for record in doubts)
    verified = call_json("verify")[1]
    assert verified["specimens"] == len(found) - len(errors)
    assert len(verified["faults"]) == len(doubts)


def test_verify_is_silent_about_what_is_good(call_json):
    code, found = call_json("verify")
    assert (code, found["faults"]) == (0, [])
    assert found["substances"] == len(load_library().substances)


@pytest.mark.parametrize(
    "old,new,words",
    [
        (",XY,", "1,XY,", "CAS number '1'"),
        (",,XY,", ",67-64-2,XY,", "CAS number '67-64-2' fails its check digit"),
        ("2842.90", "284290", "HS code '284290'"),
        ("2842.90,,", "2842.90,UN12,", "UN number 'UN12'"),
    ],
)
def test_verify_names_wrong_codes(call_json, tmp_path, old, new, words):
    write_library(tmp_path / "library")
    path = tmp_path / "library" / "substances.csv"
    path.write_text(path.read_text().replace(old, new, 1), encoding="utf-8")
    code, found = call_json("verify")
    assert code == 1
    assert any(words in fault for fault in found["faults"])


def test_verify_tells_of_lists_that_are_out_of_date(call_json, tmp_path, free_port):
    write_library(tmp_path / "library")
    old = LIST.replace("2026-11-20", "2020-11-20").replace("2842", "2843")
    write_list(tmp_path / "lists", old.replace("source =", "valid_until = 2021-01-31\nsource ="))
    settings = ("--settings", write_settings(tmp_path, free_port))
    code, found = call_json("verify", *settings)
    assert code == 0
    told = " ".join(found["warnings"])
    for words in (
        "list national 2020-11-20: expired",
        "days ago; review it",
        "2843.90",
        "not under",
    ):
        assert words in told
    (tmp_path / "lists" / "national.toml").write_text("nothing")
    code, found = call_json("verify", *settings)
    assert (code, "national.toml" in found["faults"][0]) == (1, True)
