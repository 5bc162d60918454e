"""Goal: the race is fair: same spectra, same truth, real peers that find what they should.

Method: peers on spectra whose answer is plain; limits on made-up shares; enlarged libraries checked
by the product's own reader; the short race end to end in its own process. RamanSPy itself is not
installed here: its side of the pipe is played by a program that speaks the same lines, and what
becomes of a missing package index is provoked with a real pip.
"""

import json
import os
import stat
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.evaluation.judging import Trials, set_up
from benchmarks.evaluation.plan import Effort
from benchmarks.identification.entries import enlarged, reduced
from benchmarks.identification.peers import (
    FALSE_ALARM_SHARE_MAX,
    GRID_CM1,
    ArplsPeer,
    PeerError,
    Question,
    RamanspyPeer,
    choose_limit,
    normalised,
    provide_ramanspy,
    templates,
)
from benchmarks.identification.race import (
    goods,
    lists_for,
    peer_accuracy,
    product_accuracy,
    questions,
    time_turns,
)
from gateway.screening.watchlists import load_watchlists
from gateway.spectra.library import load_library
from gateway.spectra.match import identify
from simulators.forward import World, measure

LIBRARY, LISTS = load_library(), load_watchlists()
FEW = Effort().scaled(0.01)


@pytest.fixture(scope="module")
def peer():
    return ArplsPeer(templates(LIBRARY))


@pytest.fixture(scope="module")
def desk():
    return set_up(None, Trials())


def spectrum(mixture, seed=1, **world):
    return measure(LIBRARY, mixture, 200.0, np.random.default_rng([63, seed]), World(**world))


@pytest.mark.parametrize("key", ["urea", "acetone", "sucrose", "calcite", "potassium_nitrate"])
def test_the_arpls_peer_finds_a_pure_substance(peer, key):
    shares, seconds = peer.shares(spectrum({key: 1.0}))
    assert shares.shape == (len(LIBRARY.active_ids),)
    assert shares.sum() == pytest.approx(1.0)
    assert LIBRARY.active_ids[int(np.argmax(shares))] == key
    assert seconds > 0.0


def test_templates_hold_the_tabulated_bands():
    rows = templates(LIBRARY)
    assert rows.shape == (len(LIBRARY.active_ids), GRID_CM1.size)
    assert rows.max(axis=1) == pytest.approx(1.0)
    place = LIBRARY.active_ids.index("urea")
    assert abs(GRID_CM1[int(np.argmax(rows[place]))] - 1010.8) < 2.0


def test_shares_of_nothing_are_nothing():
    assert normalised(np.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_the_limit_is_the_lowest_that_keeps_the_false_alarms():
    shares = np.linspace(0.0, 0.5, 500)
    benign = [Question(np.array([value]), (0,), ()) for value in shares]
    listed = [Question(np.array([value]), (0,), (0,)) for value in shares]
    limit = choose_limit([*benign, *listed])
    tally = peer_accuracy([*benign, *listed], limit)
    assert tally.false <= FALSE_ALARM_SHARE_MAX * len(benign)
    assert peer_accuracy(benign, 0.85 * limit).false > FALSE_ALARM_SHARE_MAX * len(benign)
    assert tally.found == sum(shares >= limit)
    assert (tally.concern, tally.benign) == (500, 500)


def test_an_enlarged_library_holds_the_shipped_one_and_copies_that_differ():
    library = enlarged(400)
    assert len(library.active_ids) == 400
    assert set(LIBRARY.active_ids) < set(library.active_ids)
    copies = [key for key in library.active_ids if key.startswith("perturbed_")]
    shifts = {tuple(band.shift_cm1 for band in library[key].bands) for key in copies}
    assert len(shifts) == len(copies)
    assert not shifts & {tuple(b.shift_cm1 for b in LIBRARY[k].bands) for k in LIBRARY.active_ids}
    assert not LISTS.substance_ids & set(copies)
    found = identify(spectrum({"urea": 1.0}), library)
    assert found.hits[0].substance_id == "urea"
    assert enlarged(10) is LIBRARY


def test_a_reduced_library_keeps_what_is_shown_and_is_as_large_as_asked():
    shown = ["urea", "acetone", "sucrose"]
    library = reduced(LIBRARY, 40, shown)
    assert len(library.entries) == 40
    assert set(shown) <= set(library.active_ids)
    assert {entry.entry_id for entry in library.entries} < {e.entry_id for e in LIBRARY.entries}
    found = identify(spectrum({"urea": 1.0}), library)
    assert found.hits[0].substance_id == "urea"
    assert reduced(LIBRARY, 100_000) is LIBRARY


def test_the_goods_are_the_same_for_all_and_differ_between_the_sides(desk):
    report, tune = (goods(desk, FEW, None, side) for side in ("reporting", "tuning"))
    assert {case.group for case in report} == {"listed", "benign"}
    assert not {case.seed for case in report} & {case.seed for case in tune}
    assert {case.facts.resolution_cm1 for case in report} == {8.0}
    assert all(lists_for(case, desk) for case in report)


def test_both_are_counted_by_the_same_truth(desk, peer):
    cases = goods(desk, FEW, None, "reporting")[::9]
    product = product_accuracy(cases, desk, LIBRARY)
    other = peer_accuracy(questions(cases, desk, LIBRARY, peer), 0.3)
    assert (product.concern, product.benign) == (other.concern, other.benign)
    assert product.concern
    assert product.benign
    assert product.found > 0.5 * product.concern


def test_every_pipeline_gets_every_spectrum_in_turn(peer):
    asked = []

    class Watched:
        def shares(self, given):
            asked.append(id(given))
            return peer.shares(given)

    given = [spectrum({"urea": 1.0}, seed) for seed in range(5)]
    taken = time_turns(given, LIBRARY, LISTS, {"watched": Watched()}, 2)
    assert asked == [id(entry) for entry in given] * 2
    assert len(taken["product"]) == len(taken["watched"]) == 7  # three of the first round warm up


PLAYED = f"""#!{sys.executable}
import sys, numpy as np
folder = sys.argv[2]
rows = np.load(folder + "/library.npz")["rows"]
print("ready", flush=True)
for _ in sys.stdin:
    counts = np.load(folder + "/spectrum.npz")["counts"]
    amount = np.zeros(len(rows)); amount[int(counts.argmax()) % len(rows)] = 2.0
    np.save(folder + "/amount.npy", amount)
    print("done 0.25", flush=True)
"""


def program(path, text):
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_other_interpreter_is_asked_spectrum_by_spectrum(tmp_path):
    given = spectrum({"urea": 1.0})
    with RamanspyPeer(program(tmp_path / "python", PLAYED), templates(LIBRARY)) as side:
        for _ in range(3):
            shares, seconds = side.shares(given)
            assert seconds == 0.25
            assert shares[int(given.intensity_counts.argmax()) % shares.size] == 1.0
            assert shares.sum() == 1.0


def test_an_interpreter_that_ends_is_named(tmp_path):
    broken = program(tmp_path / "python", "#!/bin/sh\necho no module named ramanspy\n")
    with pytest.raises(PeerError, match="ramanspy"):
        RamanspyPeer(broken, templates(LIBRARY))


def test_without_a_package_index_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(PeerError, match="--without-ramanspy") as caught:
        provide_ramanspy(tmp_path / "environment")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "environment" / "ready").exists()


@pytest.mark.timeout(300)
def test_the_short_race_runs_and_sets_figures_beside_goals(repository_path, tmp_path):
    environment = os.environ | {
        "HARMATTAN_RAMAN": str(tmp_path),
        "PYTHONPATH": str(repository_path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.identification", "--short", "--without-ramanspy"],
        capture_output=True,
        text=True,
        cwd=repository_path,
        env=environment,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout.splitlines()[-1])
    assert record["faster_peer"] == "arpls_nnls"
    assert set(record["accuracy"]) == {"product", "arpls_nnls"}
    for entry in record["accuracy"].values():
        assert entry["of_listed"] > 20
        assert entry["of_benign"] > 50
    times = record["sizes"]["170"]
    ratio = times["arpls_nnls"]["ms_median"] / times["product"]["ms_median"]
    named = record["goals"]["times_faster_than_faster_peer"]
    assert named["value"] == pytest.approx(ratio, rel=0.01)
    assert named["met"] is (ratio >= 20.0)
    assert record["goals"]["time_10000_over_170"]["met"] is None
