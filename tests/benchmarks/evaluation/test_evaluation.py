"""Goal: the whole evaluation runs, quickly, with and without measured spectra, and says so.

Method: the real command in its own process, with few draws and a small folder of spectra made by
the forward model; everything it writes is read back.
"""

import csv
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from benchmarks.evaluation.plots import CURVES
from gateway.screening.thresholds import parse_thresholds
from gateway.spectra.library import load_library
from simulators.forward import World, measure

# Some seconds on an idle machine; the limit is for a busy one.
pytestmark = pytest.mark.timeout(300)

FEW = ("--quick", "--scale", "0.05", "--workers", "2")  # every goal has something to go by
FEWEST = ("--quick", "--scale", "0.01", "--workers", "1")
INDEX = ("file", "substance", "cas", "excitation_nm", "instrument", "source_repo", "notes")
GOODS = {
    "acetone": "67-64-1",
    "urea": "57-13-6",
    "sucrose": "57-50-1",
    "caffeine": "58-08-2",
    "hdpe": "9002-88-4",
    "pet": "25038-59-9",
    "glycerol": "56-81-5",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small folder of spectra; each is its own source, so that the sides get some of each."""
    root, library = tmp_path_factory.mktemp("raman"), load_library()
    with (root / "INDEX.csv").open("w", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(INDEX)
        for number, (key, cas) in enumerate(GOODS.items()):
            rng = np.random.default_rng([62, number])
            spectrum = measure(library, {key: 1.0}, 150.0, rng, World())
            rows = zip(spectrum.axis_cm1, spectrum.intensity_counts, strict=True)
            lines = [f"{shift:.4f},{counts:.3f}" for shift, counts in rows]
            (root / f"{key}.csv").write_text("raman_shift_cm1,intensity\n" + "\n".join(lines))
            instrument = f"made up {number % 2}"
            writer.writerow((f"{key}.csv", key, cas, "785", instrument, "tests/forward", ""))
    return root


def run(repository_path, *words, raman):
    environment = os.environ | {"HARMATTAN_RAMAN": str(raman), "PYTHONPATH": str(repository_path)}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.evaluation", *words],
        capture_output=True,
        text=True,
        cwd=repository_path,
        env=environment,
        timeout=280,
        check=False,
    )
    assert done.stdout, done.stderr
    return done, json.loads(done.stdout.splitlines()[-1])


def test_a_quick_evaluation_writes_figures_tables_and_plots(repository_path, folder, tmp_path):
    done, record = run(repository_path, *FEW, "--output", str(tmp_path), raman=folder)
    assert done.returncode == 0, done.stderr
    assert record["measured_spectra"] == len(GOODS)
    assert record["goals_not_measured"] == []
    assert record["goals"]["measured_listed_found"]["value"] == 1.0
    assert record["goals"]["measured_listed_found"]["of"] == 2
    assert record["goals_met"] + len(record["goals_missed"]) == len(record["goals"])
    with (tmp_path / "cases.csv").open() as source:
        cases = list(csv.DictReader(source))
    assert len(cases) == record["cases"]
    clean = {row["file"]: row for row in cases if row["group"] == "measured"}
    assert set(clean) == {f"{key}.csv" for key in GOODS}
    assert clean["urea.csv"]["verdict"] == "alarm"
    assert {row["group"] for row in cases} == {
        "measured", "left_out", "degraded", "listed", "benign", "world_left_out",
    }  # fmt: skip
    with (tmp_path / "hits.csv").open() as source:
        assert {row["right"] for row in csv.DictReader(source)} == {"0", "1"}
    assert json.loads((tmp_path / "figures.json").read_text()) == record
    for name in (*(curve.name for curve in CURVES), "reliability"):
        assert ET.parse(tmp_path / f"{name}.svg").getroot().tag.endswith("svg"), name
    assert "goals" in done.stdout


def test_without_measured_spectra_the_synthetic_world_is_scored(repository_path, tmp_path):
    words = (*FEWEST, "--json", "--strict", "--output", str(tmp_path / "out"))
    done, record = run(repository_path, *words, raman=tmp_path)
    assert "no measured spectra" in done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert record["measured_spectra"] == 0
    assert set(record["goals_not_measured"]) >= {"measured_top1", "degraded_detection"}
    assert record["goals"]["world_pure_all"]["value"] is not None
    assert done.returncode == (1 if record["goals_missed"] else 0)


def test_choosing_writes_a_file_that_the_product_reads(repository_path, folder, tmp_path):
    target = tmp_path / "thresholds.toml"
    shipped = (repository_path / "gateway/screening/thresholds.toml").read_bytes()
    words = ("choose", *FEWEST, "--thresholds", str(target))
    done, record = run(repository_path, *words, raman=folder)
    assert done.returncode == 0, done.stderr
    found = parse_thresholds(target.read_text())
    assert found.record.procedure == "python -m benchmarks.evaluation choose"
    assert found.record.split_digest == record["split_digest"]
    assert found.record.figures["tuning_benign"] > 0
    assert "reporting_world_pure_all" in found.record.figures
    assert (repository_path / "gateway/screening/thresholds.toml").read_bytes() == shipped


def test_a_share_out_of_range_is_named(repository_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.evaluation", "--scale", "0"],
        capture_output=True, text=True, cwd=repository_path, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "outside 0.01 to 10" in done.stderr
