"""Goal: the review can be run again by anybody, and its commands say what they find.

Method: the command's own main function on the shipped tables and on a few real spectra.
"""

import json
import shutil

import pytest

from benchmarks.review.__main__ import main
from benchmarks.review.tables import TABLES


def test_the_report_is_one_json_object(raman_path, capsys):
    assert main(["--json", "--only", "urea", "acetone"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["measurements"] == found["measurements_of_entries"] == 2
    assert found["findings"] == []
    assert "ammonium_nitrate" in found["listed_on_memory"]["C"], "still nobody has measured it"
    assert {item["entry"] for item in found["comparisons"]} == {"urea", "acetone"}
    states = {band["state"] for item in found["comparisons"] for band in item["bands"]}
    assert "found" in states


def test_the_report_in_words_names_what_is_wrong(raman_path, tmp_path, capsys):
    edition = tmp_path / "tables"
    shutil.copytree(TABLES, edition)
    bands = (edition / "bands.csv").read_text(encoding="utf-8")
    wrong = bands.replace("urea,,1011.1,", "urea,,1025,")
    assert wrong != bands
    (edition / "bands.csv").write_text(wrong, encoding="utf-8")
    assert main(["--only", "urea", "--tables", str(edition)]) == 0
    words = capsys.readouterr().out
    assert "1025 (A, 1) not seen" in words
    assert "1011.1 (1) is not in the table" in words


def test_tables_that_contradict_themselves_give_status_1(raman_path, tmp_path, capsys):
    edition = tmp_path / "tables"
    shutil.copytree(TABLES, edition)
    bands = (edition / "bands.csv").read_text(encoding="utf-8")
    (edition / "bands.csv").write_text(
        bands.replace("potassium_nitrate,,1050.3,", "potassium_nitrate,,1090,"), encoding="utf-8"
    )
    assert main(["--only", "urea", "--tables", str(edition)]) == 1
    assert "potassium_nitrate: nitrate stretch at 1090" in capsys.readouterr().out


def test_look_alikes_are_written_where_they_are_asked_for(tmp_path, capsys):
    edition = tmp_path / "tables"
    shutil.copytree(TABLES, edition)
    (edition / "confounders.csv").write_text("substance_id\n", encoding="utf-8")
    assert main(["confounders", "--tables", str(edition), "--write"]) == 0
    shipped = (TABLES / "confounders.csv").read_text(encoding="utf-8")
    assert (edition / "confounders.csv").read_text(encoding="utf-8") == shipped
    assert main(["confounders"]) == 0
    assert capsys.readouterr().out == shipped


def test_bands_are_read_off_a_spectrum_as_rows_of_the_table(raman_path, capsys):
    assert main(["measure", "urea"]) == 0
    shipped = [
        line.rsplit(",", 1)[0]
        for line in (TABLES / "bands.csv").read_text(encoding="utf-8").splitlines()
        if line.startswith("urea,,")
    ]
    measured = capsys.readouterr().out.splitlines()
    places = [float(line.split(",")[2]) for line in measured]
    assert places == pytest.approx([float(line.split(",")[2]) for line in shipped], abs=0.2)


def test_an_entry_nobody_measured_is_refused(capsys):
    assert main(["measure", "ammonium_nitrate"]) == 2
    assert "ammonium_nitrate" in capsys.readouterr().err
