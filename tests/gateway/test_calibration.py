"""Goal: `harmattan calibrate` and `identify` do with files what a post does with nodes.

Method: the command line in this process on spectra drawn by the forward model of the standards, on
an axis that is off by more than identification allows for; saved files are read back, and broken in
every way.
"""

import json

import msgspec
import numpy as np
import pytest

from gateway import cli
from gateway.calibration_file import load_calibration, save_calibration
from gateway.identify import Basis, identify_file, read_spectrum
from gateway.screening.watchlists import load_watchlists
from gateway.spectra.calibration import Calibration
from gateway.spectra.errors import SpectraError
from gateway.spectra.library import load_library
from gateway.spectra.response import ResponseCurve
from simulators.forward import World, measure
from tests.gateway.running import NODE, write_settings
from tests.gateway.spectra.test_calibrate import AXIS, drawn
from tests.gateway.spectra.test_lamp import TRUE, lamp

OFF_CM1 = 9.0
EXACT = World(height_spread=0.0, width_spread=0.0, position_share=0.0, axis_error_cm1=0.0)


@pytest.fixture
def call(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["harmattan", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        printed = capsys.readouterr()
        return caught.value.code, printed.out, printed.err

    return run


def write(path, axis, counts):
    rows = "\n".join(f"{x:.3f},{y:.1f}" for x, y in zip(axis, counts, strict=True))
    path.write_text(f"raman_shift_cm1,intensity\n{rows}\n")
    return path


@pytest.fixture
def standard(tmp_path):
    counts = drawn("cyclohexane", np.random.default_rng(1), offset=OFF_CM1)
    return write(tmp_path / "cyclohexane.csv", AXIS, counts)


@pytest.fixture
def goods(tmp_path):
    rng = np.random.default_rng(2)
    light = measure(load_library(), {"acetone": 1.0}, 200.0, rng, EXACT)
    return write(tmp_path / "goods.csv", light.axis_cm1 + OFF_CM1, light.intensity_counts)


def test_a_file_calibrates_and_others_are_identified_with_it(call, tmp_path, standard, goods):
    saved = tmp_path / "unit.toml"
    code, printed, said = call(
        "calibrate", "--json", "--standard", "cyclohexane", standard, "--save", saved
    )
    assert (code, said) == (0, "")
    found = json.loads(printed)
    assert found["state"] == "valid"
    assert found["offset_cm1"] == pytest.approx(OFF_CM1, abs=0.5)
    code, printed, _ = call("identify", "--json", goods)
    assert json.loads(printed)["calibration"]["state"] == "assumed"
    for option in (("--calibration", saved), ("--calibrate-with", f"cyclohexane={standard}")):
        code, printed, _ = call("identify", "--json", *option, goods)
        told = json.loads(printed)
        assert (code, told["verdict"]) == (0, "alarm")
        assert told["parameters"]["substance_ids"][0] == "acetone"
        assert told["calibration"]["state"] == "valid"
        assert told["calibration"]["standard_id"] == "cyclohexane"
        assert told["calibration"]["offset_cm1"] == found["offset_cm1"]
    # The correction is in the spectrum that was judged, not only in the account.
    loaded = load_calibration(saved)
    true_cm1 = read_spectrum(goods).axis_cm1 - OFF_CM1
    outcome = identify_file(goods, load_library(), load_watchlists(), 2.0, Basis(loaded))
    assert outcome.judged is not None
    assert loaded.apply(true_cm1 + OFF_CM1) == pytest.approx(true_cm1, abs=1.0)
    trace = outcome.judged.trace
    crest = trace.axis_cm1[int(np.argmax(trace.intensity))]
    plain = read_spectrum(goods).intensity_counts
    assert crest == pytest.approx(true_cm1[int(np.argmax(plain))], abs=3.0)


def test_what_is_no_standard_is_said_and_saves_nothing(call, tmp_path, goods):
    saved = tmp_path / "unit.toml"
    code, printed, _ = call(
        "calibrate", "--json", "--standard", "polystyrene", goods, "--save", saved
    )
    assert code == 1
    assert json.loads(printed)["fault"] == "wrong_material"
    assert not saved.exists()
    code, printed, _ = call("calibrate", "--standard", "polystyrene", goods)
    assert code == 1
    assert "this is not polystyrene" in " ".join(printed.split())


@pytest.mark.parametrize(
    "arguments,words",
    [
        (("calibrate",), "one of the two"),
        (("calibrate", "x.csv", "--node", NODE), "one of the two"),
        (("calibrate", "--node", NODE, "--save", "x.toml"), "go with a file"),
        (("identify", "x.csv", "--calibrate-with", "polystyrene"), "write STANDARD=FILE"),
        (("identify", "x.csv", "--calibrate-with", "gold=x.csv"), "does not exist"),
        (("identify", "x.csv", "--calibration", "none.toml"), "No such file"),
        (
            ("identify", "x.csv", "--calibration", "a", "--calibrate-with", "b=c"),
            "give one of them",
        ),
    ],
)
def test_a_wrong_command_line_is_one_sentence(call, arguments, words):
    code, printed, said = call(*arguments)
    assert (code, printed) == (2, "")
    assert words in said
    assert said.startswith("harmattan: ")
    assert said.count("\n") == 1


def test_files_that_cannot_be_read_are_named(call, tmp_path, standard):
    code, printed, _ = call("calibrate", "--json", tmp_path / "missing.csv")
    assert (code, json.loads(printed)["fault"]) == (2, "unreadable")
    code, printed, _ = call("calibrate", "--json", "--standard", "gold", standard)
    assert code == 2
    assert "use one of" in json.loads(printed)["error"]


def test_a_node_that_is_not_there_is_named(call, tmp_path, free_port):
    path = write_settings(tmp_path, free_port)
    code, _, said = call("calibrate", "--node", "lane-9", "--settings", path)
    assert code == 2
    assert "'lane-9' is not in the settings; known are: lane-1, lane-2" in said
    code, _, said = call("calibrate", "--node", NODE, "--standard", "gold", "--settings", path)
    assert (code, "use one of" in said) == (2, True)
    code, _, said = call("calibrate", "--node", NODE, "--settings", path)
    assert code == 2
    assert "`harmattan run` makes it at its first start" in said


CERTIFICATE = """
srm = "2241"
batch = "7"
excitation_nm = 785.0
low_cm1 = 200.0
high_cm1 = 2000.0
kind = "power"
unit = "cm-1"
centre = 1000.0
scale = 1000.0
coefficients = [1.0, -0.2]
"""


def test_an_intensity_correction_is_kept_with_the_calibration(call, tmp_path, standard):
    certificate, saved = tmp_path / "certificate.toml", tmp_path / "unit.toml"
    certificate.write_text(CERTIFICATE)
    glass = write(tmp_path / "glass.csv", AXIS, 1e4 * np.exp(-(AXIS - 200.0) / 1500.0))
    code, printed, said = call(
        *("calibrate", "--json", "--standard", "cyclohexane", standard),
        *("--save", saved, "--response", certificate, glass),
    )
    assert (code, said) == (0, "")
    assert json.loads(printed)["response_id"] == "SRM 2241 7"
    kept = load_calibration(saved)
    assert kept.response.factors[-1] / kept.response.factors[0] > 2.0
    certificate.write_text(CERTIFICATE.replace("[1.0, -0.2]", "[]"))
    code, printed, _ = call(
        *("calibrate", "--json", "--standard", "cyclohexane", standard),
        *("--response", certificate, glass),
    )
    assert code == 2
    assert "coefficients" in json.loads(printed)["error"]


def test_a_lamp_gives_coefficients(call, tmp_path):
    counts = lamp(TRUE, np.random.default_rng(1))
    path = write(tmp_path / "lamp.csv", np.arange(1024), counts)
    path.write_text(path.read_text().replace("raman_shift_cm1,intensity\n", ""))
    code, printed, said = call(
        "calibrate-lamp", "--json", path, "--stored", "800.9,0.142,-1.2e-5,-1e-9"
    )
    assert (code, said) == (0, "")
    found = json.loads(printed)
    assert found["coefficients_nm"][0] == pytest.approx(TRUE[0], abs=0.1)
    code, printed, _ = call("calibrate-lamp", "--json", path, "--stored", "600,0.142")
    assert (code, json.loads(printed)["fault"]) == (1, "lamp_refused")
    code, printed, _ = call("calibrate-lamp", "--json", path, "--stored", "red")
    assert (code, json.loads(printed)["fault"]) == (2, "unreadable")
    bad = write(tmp_path / "bad.csv", AXIS, counts)
    code, printed, _ = call("calibrate-lamp", "--json", bad, "--stored", "800.9,0.142")
    assert (code, "count pixels" in json.loads(printed)["error"]) == (2, True)


def made(**changes):
    values = {
        "standard_id": "polystyrene",
        "instrument": 'VEN "1" \\ é',
        "measured_ms": 1_790_000_000_000,
        "measured_from": "option",
        "excitation_nm": 784.9,
        "offset_cm1": 3.25,
        "stretch": -0.0001,
        "pivot_cm1": 1100.0,
        "uncertainty_cm1": 1.4,
        "resolution_cm1": 7.0,
        "residual_cm1_rms": 0.3,
        "bands": ((1001.4, 1004.6), (1602.3, 1605.5)),
    }
    return Calibration(**(values | changes))


CURVE = ResponseCurve(
    response_id="SRM 2241 7", excitation_nm=785.0, low_cm1=200.0, factors=(1.0, 1.5, 2.0)
)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"excitation_nm": None, "instrument": "", "measured_from": "file"},
        {"response": CURVE, "response_id": "SRM 2241 7", "response_ms": 1_790_000_000_000},
        {"response": CURVE, "response_id": "SRM 2241 7"},
    ],
)
def test_a_saved_calibration_is_the_same_read_back(tmp_path, changes):
    path = tmp_path / "unit.toml"
    found = made(**changes)
    save_calibration(found, path)
    assert load_calibration(path) == found
    assert [entry.name for entry in tmp_path.iterdir()] == ["unit.toml"]
    assert "2026-09-21" in path.read_text()  # for the technician who looks into it


def test_what_could_not_be_read_again_is_not_saved(tmp_path):
    path = tmp_path / "unit.toml"
    for changes in ({"measured_ms": None}, {"measured_from": ""}, {"bands": ()}):
        with pytest.raises(SpectraError):
            save_calibration(made(**changes), path)
    assert not path.exists()


@pytest.mark.parametrize(
    "old,new,words",
    [
        ("offset_cm1 = 3.25", "offset_cm1 = 33.0", "offset_cm1"),
        ("offset_cm1 = 3.25", "", "offset_cm1"),
        ("stretch = -0.0001", "stretch = nan", "stretch"),
        ("pivot_cm1 = 1100.0", "pivot_cm1 =", "not valid TOML"),
        ("bands = ", "bands = 7 #", "bands"),
        ("bands = ", "bands = [] #", "bands = 0 pairs"),
        ("[1001.4, 1004.6]", "[1002.4, 1004.6]", "1002.4 measured at"),
        ("[1001.4, 1004.6]", "[1001.4, 1404.6]", "1001.4 measured at"),
        ('standard_id = "polystyrene"', 'standard_id = "gold"', "use one of"),
        ("measured_ms = 1790000000000", "", "when the standard was measured is not known"),
        ("measured_ms = 1790000000000", "measured_ms = 17", "no time between 1990 and 2100"),
        ("measured_ms = 1790000000000", 'measured_ms = "now"', "measured_ms"),
        ('measured_from = "option"', 'measured_from = "guess"', "measured_from"),
        ("excitation_nm = 784.9", "excitation_nm = 7.8", "excitation_nm = 7.8"),
        ("excitation_nm = 784.9", "excitation_nm = inf", "excitation_nm = inf"),
        ("uncertainty_cm1 = 1.4", "uncertainty_cm1 = 0.0", "uncertainty_cm1"),
        ("uncertainty_cm1 = 1.4", "uncertainty_cm1 = 9.0", "not within 1 to 4"),
        ("resolution_cm1 = 7.0", "resolution_cm1 = -1.0", "resolution_cm1"),
        ("residual_cm1_rms = 0.3", "residual_cm1_rms = 3.5", "residual_cm1_rms"),
        ("residual_cm1_rms = 0.3", 'residual_cm1_rms = 0.3\nserial = "4"', "'serial' is no key"),
        ("instrument = ", f"instrument = '{'x' * 200}' #", "at most 96"),
        ("offset_cm1 = 3.25", 'offset_cm1 = 3.25\nresponse_id = "SRM"', "response_id"),
        ("offset_cm1 = 3.25", f"offset_cm1 = 3.25\n{'#' * 70_000}", "larger than 65536 bytes"),
        ("offset_cm1 = 3.25", 'offset_cm1 = 3.25\nresponse = "none"', "response"),
    ],
)
def test_a_saved_calibration_that_was_changed_is_refused(tmp_path, call, old, new, words):
    path = tmp_path / "unit.toml"
    save_calibration(made(), path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(SpectraError, match=words):
        load_calibration(path)
    code, printed, said = call("identify", "x.csv", "--calibration", path)
    assert (code, printed, said.count("\n")) == (2, "", 1)
    assert said.count(str(path)) == 1


def test_a_calibration_is_the_same_after_json():
    assert msgspec.json.decode(msgspec.json.encode(made()), type=Calibration) == made()
