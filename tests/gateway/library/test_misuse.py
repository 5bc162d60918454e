"""Goal: what people do wrong, or find damaged, is told with the way out, and does no harm.

Method: the command line in this process, on real folders, keys and packages.
"""

import datetime as dt
import warnings

import numpy as np
import pytest

from gateway.library import terminal
from gateway.library.changes import install, trust
from gateway.spectra.library import load_library
from tests.gateway.library.national import (
    KEY,
    LIST,
    SAID,
    SUBSTANCE_ID,
    light_of,
    packed,
    write_library,
    write_list,
    write_spectrum,
)
from tests.gateway.running import write_settings


def test_origin_is_also_of_what_was_measured_of_a_shipped_substance(call, call_json, tmp_path):
    assert call_json("list", "--origin", "own")[1]["substances"] == []
    (tmp_path / "library").mkdir()
    table = {band.shift_cm1: band.rel_intensity for band in load_library()["sucrose"].bands}
    inside = {place: height for place, height in table.items() if 260.0 < place < 1_980.0}
    path = write_spectrum(tmp_path / "a.csv", bands=inside)
    assert call("import", path, "--substance", "sucrose", *SAID)[0] == 0
    _, found = call_json("list", "--origin", "own")
    (row,) = found["substances"]
    assert (row["substance_id"], row["origin"]) == ("sucrose", "shipped")
    assert row["specimen_origins"] == ["own"]
    call("key", "k")
    call(
        "export", "p.hlp", "--id", "national", "--version", "1", "--issuer", "I",
        "--licence", "MIT", "--sign", "k.key", "-l", "library",
    )  # fmt: skip
    call("trust", "k.pub", "-l", "post")
    assert call("import", "p.hlp", "-l", "post")[0] == 0
    _, found = call_json("list", "--origin", "national", "-l", "post")
    assert [row["substance_id"] for row in found["substances"]] == ["sucrose"]
    code, _, said = call("list", "--origin", "nobody", "-l", "post")
    assert (code, "origin 'nobody' is none of national, own, shipped" in said) == (2, True)


def test_a_good_package_takes_the_place_of_a_damaged_one(call, call_json, tmp_path):
    write_library(tmp_path / "ministry")
    call("key", "k")
    said = ("--issuer", "I", "--licence", "MIT", "--sign", "k.key", "-l", "ministry")
    call("export", "p.hlp", "--id", "national", "--version", "2", *said)
    call("export", "other.hlp", "--id", "regional", "--version", "1", *said)
    call("trust", "k.pub")
    assert call("import", "p.hlp")[0] == 0
    path = tmp_path / "library" / "packages" / "national.hlp"
    path.write_bytes(path.read_bytes()[:-9])
    code, _, warned = call("list", "--origin", "own")
    assert (code, "`... remove national`" in warned) == (0, True)
    write_spectrum(tmp_path / "a.csv", 9)
    code, _, warned = call("import", "a.csv", "--substance", "urea", *SAID)
    assert (code, "`... remove national`" in warned) == (2, True)
    assert call("import", "other.hlp")[0] == 0  # another one is no hindrance
    code, (found,) = call_json("import", "p.hlp")
    assert (code, found["installed"], found["error"]) == (0, True, "")
    assert call("verify")[0] == 0


def test_a_key_is_withdrawn_by_command(call, call_json, tmp_path):
    library = tmp_path / "library"
    kept = trust(library, KEY.public_key())
    install(library, packed())
    code, _, said = call("distrust", "somebody")
    assert (code, f"trusted: {kept.stem}" in said) == (2, True)
    code, printed, _ = call("distrust", kept.stem)
    assert (code, "out of force: national" in printed) == (0, True)
    assert not kept.exists()
    code, found = call_json("list", "--category", "precursor")
    assert SUBSTANCE_ID not in [row["substance_id"] for row in found["substances"]]
    assert "does not trust" in found["faults"][0]
    code, _, warned = call("list")
    assert (code, "left out" in warned, "does not trust" in warned) == (0, True, True)
    code, found = call_json("verify")
    assert (code, "does not trust" in found["faults"][0]) == (1, True)
    assert call("remove", "national")[0] == 0
    assert call("verify")[0] == 0


def test_a_damaged_key_is_withdrawn_by_its_file_and_a_copied_one_wherever_it_lies(call, tmp_path):
    library = tmp_path / "library"
    kept = trust(library, KEY.public_key())
    kept.with_name("copy.pub").write_bytes(kept.read_bytes())
    kept.with_name("odd.pub").write_text("damaged")
    assert call("distrust", "odd")[0] == 0
    assert call("distrust", "copy")[0] == 0
    assert list(kept.parent.iterdir()) == []


@pytest.mark.parametrize("name", ["own", "shipped"])
def test_reserved_names_are_refused_before_anything_is_written(call, tmp_path, name):
    write_library(tmp_path / "library")
    code, _, said = call(
        "export", "x.hlp", "--id", name, "--version", "1", "--issuer", "I", "--licence", "MIT"
    )
    assert (code, f"package id '{name}' is reserved" in said) == (2, True)
    assert not (tmp_path / "x.hlp").exists()


def test_a_measurement_of_the_future_is_refused(call, tmp_path):
    write_library(tmp_path / "library")
    path = write_spectrum(tmp_path / "a.csv", 5)
    arguments = ("import", path, "--substance", SUBSTANCE_ID, *SAID)
    code, printed, _ = call(*arguments, "--measured-on", "2999-01-01")
    assert code == 2
    assert "measured_on 2999-01-01 is after today" in printed
    today = terminal.today()
    for days, wanted in ((2, 2), (1, 0)):  # tomorrow has begun already east of Greenwich
        day = today + dt.timedelta(days=days)
        assert call(*arguments, "--measured-on", day)[0] == wanted


def test_a_folder_that_is_no_library_is_not_taken_for_one(call, tmp_path):
    for arguments in (
        ("diff", ".", "shipped"),
        ("diff", "shipped", "."),
        ("list", "-l", "."),
        ("show", "urea", "-l", "."),
    ):
        code, _, said = call(*arguments)
        assert (code, "none of trusted, packages, specimens, substances.csv" in said) == (2, True)


def test_a_folder_of_lists_that_is_not_there_is_told(call):
    code, _, said = call("lists", "--lists", "nowhere")
    assert (code, "lists nowhere is not a folder" in said) == (2, True)


def test_a_band_beyond_the_fingerprint_alone_is_refused(call, tmp_path):
    """Once it divided by a height of zero."""
    axis = np.arange(2_050.0, 3_500.0, 1.0)
    light = light_of(axis, bands={2_200.0: 1.0, 2_300.0: 0.5})
    rows = zip(axis, light, strict=True)
    (tmp_path / "a.csv").write_text("".join(f"{x:.1f},{y:.0f}\n" for x, y in rows))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code, printed, _ = call("import", "a.csv", "--substance", "urea", *SAID)
    assert (code, "no clear band up to 2000 cm^-1" in printed) == (2, True), printed


def test_a_list_says_from_when_on_it_is_in_force(call, call_json, tmp_path, free_port):
    write_library(tmp_path / "library")
    today, tomorrow = terminal.today(), terminal.today() + dt.timedelta(days=1)
    later = LIST.replace("2026-11-20", "2026-11-21").replace("testing_salt", "urea")
    lists = tmp_path / "lists"
    write_list(lists, LIST.replace("date =", f"valid_from = {today}\ndate ="))
    (lists / "next.toml").write_text(later.replace("date =", f"valid_from = {tomorrow}\ndate ="))
    settings = ("--settings", write_settings(tmp_path, free_port))
    _, found = call_json("lists", *settings)
    states = {
        row["date"]: (row["state"], row["in_use"]) for row in found if "nat" in row["list_id"]
    }
    assert states == {
        "2026-11-20": ("in force", True),
        "2026-11-21": ("not yet in force", False),
    }
    printed = call("lists", *settings)[1]
    assert f"in force from {today}" in printed
    assert f"not yet in force, in force from {tomorrow}" in printed
    _, found = call_json("show", "urea", *settings)
    assert "national" not in [row["list_id"] for row in found["lists"]]
    _, found = call_json("list", "--list", "national", *settings)
    assert [row["substance_id"] for row in found["substances"]] == [SUBSTANCE_ID]
    _, found = call_json("verify", *settings)
    assert any(f"in force from {tomorrow}" in text for text in found["warnings"])
