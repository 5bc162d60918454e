"""Goal: `harmattan calibrate` and `identify` do with files what a post does with nodes.

Method: the command line in this process on spectra drawn by the forward model of the standards, on
an axis that is off by more than identification allows for; saved files are read back, and broken in
every way.
"""

import json
import os
import re
import time
from functools import cache

import msgspec
import numpy as np
import pytest

from gateway import cli
from gateway.calibration_file import load_calibration, save_calibration
from gateway.identify import Basis, identify_file, read_spectrum
from gateway.screening.watchlists import load_watchlists
from gateway.spectra.axis import raman_axis_cm1
from gateway.spectra.calibrate import calibrate
from gateway.spectra.calibration import Calibration
from gateway.spectra.errors import SpectraError
from gateway.spectra.library import load_library
from gateway.spectra.response import ResponseCurve
from gateway.spectra.spectrum import Spectrum
from gateway.spectra.standards import find_standard
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


def changed(path, days):
    """Set a file's time of change so many days back."""
    moment = time.time() - days * 86_400.0
    os.utime(path, (moment, moment))


def judged(call, goods, *options):
    code, printed, said = call("identify", "--json", *options, goods)
    return code, json.loads(printed), said


def calibrated(call, standard, saved, *options):
    code, _, said = call(
        "calibrate", "--json", "--standard", "cyclohexane", standard, "--save", saved, *options
    )
    assert (code, said) == (0, "")
    return load_calibration(saved)


def test_a_saved_calibration_says_when_and_how_that_is_known(call, tmp_path, standard):
    saved = tmp_path / "unit.toml"
    changed(standard, 3.0)
    found = calibrated(call, standard, saved)
    assert found.measured_from == "file"
    assert found.measured_ms == pytest.approx((time.time() - 3 * 86_400) * 1e3, abs=60_000)
    found = calibrated(call, standard, saved, "--measured", "2026-01-02", "--instrument", "VEN 7")
    assert (found.measured_from, found.instrument) == ("option", "VEN 7")
    assert found.measured_ms == 1_767_312_000_000
    standard.write_text("Model: VEN 7\nLaser: 785 nm\nDate: 2026-02-03\n" + standard.read_text())
    found = calibrated(call, standard, saved)
    assert (found.measured_from, found.instrument) == ("header", "VEN 7")
    assert (found.measured_ms, found.excitation_nm) == (1_770_076_800_000, 785.0)
    _, printed, _ = call("calibrate", "--standard", "cyclohexane", standard)
    words = " ".join(printed.split())
    assert "measured 2026-02-03 00:00 UTC, by the file's own words; instrument VEN 7;" in words


@pytest.mark.parametrize(
    "option,words",
    [
        (("--measured", "03/04/2026"), "--measured '03/04/2026': write a date"),
        (("--measured", "2090-01-01"), "lies in the future"),
        (("--instrument", "x" * 200), "at most 96"),
        (("--instrument", "VEN 8"), "the file says that it is of instrument 'VEN 7'"),
        (("--laser-nm", "532"), "the file says that its laser has 785 nm, --laser-nm says 532"),
        (("--axis-unit", "nm"), "the file says that its first column is in cm-1"),
    ],
)
def test_what_contradicts_the_file_is_refused(call, tmp_path, standard, option, words):
    head = "Model: VEN 7\nLaser: 785 nm\n"
    standard.write_text(head + standard.read_text())
    saved = tmp_path / "unit.toml"
    code, printed, _ = call(
        "calibrate", "--json", "--standard", "cyclohexane", standard, "--save", saved, *option
    )
    assert code == 2
    assert words in json.loads(printed)["error"]
    assert str(standard) in json.loads(printed)["error"]
    assert not saved.exists()


@pytest.mark.parametrize("way", ["saved", "with"])
def test_an_old_calibration_of_files_counts_no_more(call, tmp_path, standard, goods, way):
    changed(standard, 45.0)
    saved = tmp_path / "unit.toml"
    calibrated(call, standard, saved)
    option = {
        "saved": ("--calibration", saved),
        "with": ("--calibrate-with", f"cyclohexane={standard}"),
    }[way]
    code, told, _ = judged(call, goods, *option)
    assert (code, told["verdict"]) == (0, "inconclusive")
    assert told["calibration"]["state"] == "expired"
    assert told["calibration"]["age_s"] == pytest.approx(45 * 86_400, abs=120)
    assert "45 days old, 30 are allowed" in told["reason"] or "too old" in told["reason"]
    _, told, _ = judged(call, goods, *option, "--calibration-days-max", "60")
    assert (told["verdict"], told["calibration"]["state"]) == ("alarm", "valid")
    assert told["calibration"]["age_s"] == pytest.approx(45 * 86_400, abs=120)
    # Age is the time between the two measurements, not until today.
    changed(goods, 40.0)
    _, told, _ = judged(call, goods, *option)
    assert (told["verdict"], told["calibration"]["state"]) == ("alarm", "valid")


@pytest.mark.parametrize(
    "ours,theirs,state,words",
    [
        ("Model: VEN 7\n", "Model: VEN 8\n", "foreign", ("VEN 7", "VEN 8")),
        ("Laser: 785 nm\n", "Laser: 1064 nm\n", "foreign", ("785 nm", "1064 nm")),
        ("Model: VEN 7\n", "Instrument: ven no. 7\n", "valid", ()),
        ("Laser: 785\n", "Laser: 784.9 nm\n", "valid", ()),
        ("Model: VEN 7\n", "", "valid", ()),
        ("", "", "valid", ()),
    ],
)
def test_a_calibration_is_of_one_instrument(
    call, tmp_path, standard, goods, ours, theirs, state, words
):
    standard.write_text(ours + standard.read_text())
    goods.write_text(theirs + goods.read_text())
    saved = tmp_path / "unit.toml"
    calibrated(call, standard, saved)
    for option in (("--calibration", saved), ("--calibrate-with", f"cyclohexane={standard}")):
        _, told, _ = judged(call, goods, *option)
        assert told["calibration"]["state"] == state
        assert told["verdict"] == ("inconclusive" if state == "foreign" else "alarm")
        if state == "foreign":
            assert told["reason_id"] in ("calibration_foreign", "uncalibrated_listed")
            assert {told["parameters"][key] for key in ("calibrated", "measured")} == set(words)
            continue
        notes = told["calibration"]["notes"]
        assert ("instrument_unstated" in notes) == (not (ours and theirs) or "Laser" in ours)
        assert ("laser_unstated" in notes) == ("Laser" not in ours or "Laser" not in theirs)


def test_what_is_not_known_is_told_at_length(call, tmp_path, standard, goods):
    saved = tmp_path / "unit.toml"
    calibrated(call, standard, saved)
    for language, words in (
        ("en", "that it is the same was not checked"),
        ("fr", "il n'a pas été vérifié que c'est le même"),
    ):
        _, printed, _ = call(
            *("identify", "--explain", "--language", language, "--calibration", saved, goods)
        )
        assert " ".join(printed.split()).count(words) == 2
        _, short, _ = call("identify", "--language", language, "--calibration", saved, goods)
        assert " ".join(short.split()).count(words) == 2


def test_a_calibration_that_failed_leaves_everything_inconclusive(call, tmp_path, goods):
    """The bands of the goods are not those of the standard."""
    code, told, said = judged(call, goods, "--calibrate-with", f"cyclohexane={goods}")
    assert (code, told["verdict"]) == (0, "inconclusive")
    assert told["calibration"]["state"] == "failed"
    assert told["parameters"]["fault"] == "wrong_material"
    assert f"--calibrate-with cyclohexane={goods}: " in said
    assert said.count("\n") == 1


def test_files_of_a_calibration_are_named(call, tmp_path, goods):
    for name, words in (("absent.csv", "does not exist"), ("empty.csv", "is empty")):
        if name == "empty.csv":
            (tmp_path / name).write_text("")
        code, _, said = call(
            "identify", goods, "--calibrate-with", f"cyclohexane={tmp_path / name}"
        )
        assert (code, said.count(str(tmp_path / name))) == (2, 1)
        assert words in said


def test_wavelengths_are_converted_when_somebody_says_so(call, tmp_path):
    rng = np.random.default_rng(2)
    light = measure(load_library(), {"acetone": 1.0}, 200.0, rng, EXACT)
    nm = 1e7 / (1e7 / 1064.0 - light.axis_cm1)
    path = tmp_path / "nm.csv"
    rows = "\n".join(f"{x:.4f},{y:.1f}" for x, y in zip(nm, light.intensity_counts, strict=True))
    path.write_text(rows + "\n")
    _, told, _ = judged(call, path)
    assert (told["verdict"], told["parameters"]) == ("inconclusive", {"why": "wavelength"})
    for words in ("wavelengths in nm", "shifts in cm-1", "--axis-unit nm --laser-nm"):
        assert words in told["reason"]
    _, told, _ = judged(call, path, "--axis-unit", "nm", "--laser-nm", "1064")
    assert (told["verdict"], told["hits"][0]["substance_id"]) == ("alarm", "acetone")
    _, told, _ = judged(call, path, "--axis-unit", "cm-1")
    assert told["reason_id"] != "not_raman"
    code, told, _ = judged(call, path, "--axis-unit", "nm")
    assert (code, "give --laser-nm" in told["error"]) == (2, True)
    path.write_text("Wavelength (nm),Counts\n" + rows + "\n")
    code, told, _ = judged(call, path)
    assert (code, "give --axis-unit nm --laser-nm" in told["error"]) == (2, True)
    path.write_text("Laser: 1064 nm\nWavelength (nm),Counts\n" + rows + "\n")
    _, told, _ = judged(call, path, "--axis-unit", "nm")
    assert told["hits"][0]["substance_id"] == "acetone"
    # A title decides: read as shifts, such an axis is only too short.
    path.write_text("Raman shift (cm-1),Counts\n" + rows + "\n")
    _, told, _ = judged(call, path)
    assert (told["verdict"], told["reason_id"]) == ("inconclusive", "range_short")


def test_a_standard_on_an_axis_of_two_readings_is_asked_about(call, tmp_path, standard):
    counts = drawn("cyclohexane", np.random.default_rng(1))
    nm = write(tmp_path / "nm.csv", 1e7 / (1e7 / 785.0 - AXIS), counts)
    nm.write_text(nm.read_text().replace("raman_shift_cm1,intensity\n", ""))
    code, printed, _ = call("calibrate", "--json", "--standard", "cyclohexane", nm)
    error = json.loads(printed)["error"]
    assert code == 2
    for words in (str(nm), "wavelengths in nm", "shifts in cm-1", "--axis-unit"):
        assert words in error
    code, printed, _ = call(
        *("calibrate", "--json", "--standard", "cyclohexane", nm),
        *("--axis-unit", "nm", "--laser-nm", "785"),
    )
    assert code == 0
    assert abs(json.loads(printed)["offset_cm1"]) < 0.5


@pytest.mark.parametrize(
    "place_cm1,half_cm1,verdict,reason_id",
    [
        (1000.0, 0.8, "clear", "harmless_found"),
        (1000.0, 6.0, "inconclusive", "exposure_listed"),  # urea would look like that
        (1950.0, 6.0, "inconclusive", "exposures_differ"),
    ],
)
def test_exposures_are_averaged_without_their_cosmic_rays(
    call, tmp_path, place_cm1, half_cm1, verdict, reason_id
):
    """A ray as wide as a band is seen in no single exposure, and may be one: never clear."""
    library = load_library()
    light = measure(library, {"sucrose": 1.0}, 400.0, np.random.default_rng(2), EXACT)
    axis, counts = light.axis_cm1, light.intensity_counts
    ray = 1.5 * np.ptp(counts) * np.exp(-(((axis - place_cm1) / half_cm1) ** 2))
    rng = np.random.default_rng(3)
    noise = np.sqrt(np.maximum(counts, 1.0))
    files = [
        write(tmp_path / f"{number}.csv", axis, counts + rng.normal(0.0, noise) + struck)
        for number, struck in enumerate((0.0, ray, 0.0))
    ]
    _, alone, _ = judged(call, files[1])
    shown = any(abs(place - place_cm1) < 8.0 for place in alone["unexplained_cm1"])
    assert shown == (half_cm1 > 2.0)
    code, printed, _ = call("identify", "--json", "--average", *files)
    told = json.loads(printed)
    assert (code, told["hits"][0]["substance_id"]) == (0, "sucrose")
    assert (told["verdict"], told["reason_id"]) == (verdict, reason_id)
    assert told["average"] == {"exposures": 3, "cosmic_rays": 1}
    assert told["file"] == ", ".join(map(str, files))
    assert not any(abs(place - place_cm1) < 8.0 for place in told["unexplained_cm1"])
    code, printed, _ = call("identify", "--average", *files, "--plot", tmp_path / "x.svg")
    assert "3 exposures averaged, 1 cosmic rays left out" in " ".join(printed.split())
    assert (tmp_path / "x.svg").exists()


@pytest.mark.parametrize("precursor", ["urea", "acetone", "ammonium_nitrate"])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_an_average_never_clears_what_one_exposure_shows(call, tmp_path, precursor, share):
    """Two exposures of sugar beside one of a precursor: it is named."""
    library = load_library()
    mixed = {"sucrose": 1.0 - share, precursor: share} if share < 1.0 else {precursor: 1.0}
    files = []
    for number, goods in enumerate(({"sucrose": 1.0}, {"sucrose": 1.0}, mixed)):
        light = measure(library, goods, 400.0, np.random.default_rng(number), EXACT)
        path = tmp_path / f"{number}.csv"
        files.append(write(path, light.axis_cm1, light.intensity_counts))
    _, told, _ = judged(call, files[2], "--average", files[0], files[1])
    assert told["verdict"] != "clear"
    if told["reason_id"] == "exposure_listed":
        assert precursor in told["parameters"]["substance_ids"]
        assert told["parameters"]["exposure_number"] == 3
        assert told["parameters"]["lists"]
    else:  # the average itself shows it
        assert precursor in told["parameters"]["substance_ids"]


@pytest.mark.parametrize("words", ["05/06/07", "tomorrow", "2026-13-45"])
def test_a_date_that_cannot_be_read_makes_the_age_unknown(call, tmp_path, standard, goods, words):
    """The file's time of change must not stand in for it unseen."""
    plain, text = tmp_path / "plain.csv", standard.read_text()
    plain.write_text(text)
    standard.write_text(f"Date: {words}\n{text}")
    for option, of in (
        (f"cyclohexane={standard}", goods),
        (f"cyclohexane={plain}", write_head(goods, tmp_path, f"Date: {words}")),
    ):
        _, told, _ = judged(call, of, "--calibrate-with", option)
        assert told["calibration"]["age_s"] is None
        assert "date_unread" in told["calibration"]["notes"]
    saved = tmp_path / "unit.toml"
    options = ("calibrate", "--json", "--standard", "cyclohexane", standard, "--save", saved)
    code, printed, _ = call(*options)
    assert (code, "--measured DATE" in json.loads(printed)["error"]) == (2, True)
    assert not saved.exists()
    assert call(*options, "--measured", "2026-06-05")[0] == 0


def test_a_date_in_the_future_is_refused(call, tmp_path, standard, goods):
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 3 * 86_400))
    ahead = write_head(goods, tmp_path, f"Date: {day}")
    code, told, _ = judged(call, ahead)
    assert (code, f"measured on {day}, which lies in the future" in told["error"]) == (2, True)
    standard.write_text(f"Date: {day}\n{standard.read_text()}")
    code, printed, _ = call("calibrate", "--json", "--standard", "cyclohexane", standard)
    assert (code, "lies in the future" in json.loads(printed)["error"]) == (2, True)
    soon = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 3_600))  # in another zone
    assert judged(call, write_head(goods, tmp_path, f"Date: {soon}"))[0] == 0


def write_head(path, folder, line):
    """A copy of a file with a line above it."""
    copy = folder / "headed.csv"
    copy.write_text(f"{line}\n{path.read_text()}")
    return copy


def test_what_is_no_set_of_exposures_is_refused(call, tmp_path, standard):
    counts = drawn("cyclohexane", np.random.default_rng(1))
    other = write(tmp_path / "other.csv", AXIS + 1.0, counts)
    short = write(tmp_path / "short.csv", AXIS[:-9], counts[:-9])
    named = tmp_path / "named.csv"
    standard.write_text("Model: VEN 7\n" + standard.read_text())
    named.write_text(standard.read_text().replace("VEN 7", "VEN 8"))
    for files, words in (
        ((standard,), "--average is given 1 files"),
        ((standard, short), "points, cyclohexane.csv has"),
        ((standard, other), "the axis of other.csv lies up to"),
        ((standard, named), "is of instrument 'VEN 8'"),
        ((standard, tmp_path / "absent.csv"), "absent.csv: does not exist"),
    ):
        code, printed, _ = call("identify", "--json", "--average", *files)
        assert code == 2
        assert words in json.loads(printed)["error"]


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
        (("calibrate", "x.csv"), "--standard is missing"),
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
    code, printed, _ = call(
        "calibrate", "--json", "--standard", "polystyrene", tmp_path / "missing.csv"
    )
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
    named = tmp_path / "named.csv"
    named.write_text("Model: VEN 7\nLaser: 785 nm\n" + standard.read_text())
    kept = load_calibration(saved)
    assert kept.response.factors[-1] / kept.response.factors[0] > 2.0
    for laser in ("532.0", "1064.0"):
        certificate.write_text(CERTIFICATE.replace("785.0", laser))
        code, printed, _ = call(
            *("calibrate", "--json", "--standard", "cyclohexane", standard, "--laser-nm", "785"),
            *("--response", certificate, glass),
        )
        assert (code, json.loads(printed)["fault"]) == (2, "unreadable")
        told = json.loads(printed)["error"]
        assert f"is for {float(laser):g} nm, the glass was measured with 785 nm" in told
        assert str(glass) in told
    certificate.write_text(CERTIFICATE)
    plain = glass.read_text()
    for head, words in (("Laser: 532 nm\n", "532 nm, the standard with 785"),
                        ("Model: VEN 8\n", "'VEN 8', the standard of 'VEN 7'")):  # fmt: skip
        glass.write_text(head + plain)
        code, printed, _ = call(
            *("calibrate", "--json", "--standard", "cyclohexane", named),
            *("--response", certificate, glass),
        )
        assert (code, words in json.loads(printed)["error"]) == (2, True)
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
    for words, fault in (("red", "--stored 'red'"), ("800,nan", "--stored '800,nan'")):
        code, printed, _ = call("calibrate-lamp", "--json", path, "--stored", words)
        assert (code, fault in json.loads(printed)["error"]) == (2, True)
    bad = write(tmp_path / "bad.csv", AXIS, counts)
    code, printed, _ = call("calibrate-lamp", "--json", bad, "--stored", "800.9,0.142")
    assert (code, "count pixels" in json.loads(printed)["error"]) == (2, True)


def test_a_standard_on_the_axis_of_the_lamp_finds_the_laser(call, tmp_path):
    """A laser of 785.3 nm where everybody believes 785: 4.9 cm^-1."""
    lamp_file = tmp_path / "lamp.csv"
    rng = np.random.default_rng(1)
    lines = lamp(TRUE, rng)
    lamp_file.write_text("".join(f"{i},{y:.1f}\n" for i, y in enumerate(lines)))
    shift = raman_axis_cm1(TRUE, 1024, 785.3)
    light = np.interp(shift, AXIS, drawn("cyclohexane", rng))
    pixels = tmp_path / "pixels.csv"
    pixels.write_text("pixel,counts\n" + "".join(f"{i},{y:.1f}\n" for i, y in enumerate(light)))
    options = ("--stored", "800.9,0.142,-1.2e-5,-1e-9", "--standard", f"cyclohexane={pixels}")
    code, printed, said = call("calibrate-lamp", "--json", lamp_file, *options)
    assert (code, said) == (0, "")
    assert json.loads(printed)["excitation_nm"] == pytest.approx(785.3, abs=0.03)
    code, printed, _ = call("calibrate-lamp", lamp_file, *options)
    assert "the laser has 785.3" in printed
    options = (*options[:3], f"polystyrene={pixels}")
    code, printed, _ = call("calibrate-lamp", "--json", lamp_file, *options)
    assert (code, json.loads(printed)["fault"]) == (1, "wrong_material")
    assert f"polystyrene={pixels}" in json.loads(printed)["error"]
    options = (*options[:3], "polystyrene")
    code, printed, _ = call("calibrate-lamp", "--json", lamp_file, *options)
    assert (code, "STANDARD=FILE" in json.loads(printed)["error"]) == (2, True)


@cache
def fitted():
    """A calibration by a drawn spectrum: its numbers belong to each other."""
    counts = drawn("polystyrene", np.random.default_rng(4), offset=3.25)
    return calibrate(Spectrum(AXIS, counts), find_standard("polystyrene"))


def made(**changes):
    values = {
        "instrument": 'VEN "1" \\ é',
        "measured_ms": 1_790_000_000_000,
        "measured_from": "option",
        "excitation_nm": 784.9,
    }
    return msgspec.structs.replace(fitted(), **(values | changes))


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
        (r"offset_cm1 = .*", "offset_cm1 = 33.0", "offset_cm1"),
        (r"offset_cm1 = .*", "", "offset_cm1"),
        (r"stretch = .*", "stretch = nan", "stretch"),
        (r"pivot_cm1 = .*", "pivot_cm1 =", "not valid TOML"),
        (r"bands = ", "bands = 7 #", "bands"),
        (r"bands = ", "bands = [] #", "bands = 0 pairs"),
        (r"\[1001\.4, ", "[1002.4, ", "1002.4 measured at"),
        (r"\[1001\.4, 1004", "[1001.4, 1404", "1001.4 measured at"),
        (r'standard_id = "polystyrene"', 'standard_id = "gold"', "use one of"),
        (r"measured_ms = 1790000000000", "", "when the standard was measured is not known"),
        (r"measured_ms = 1790000000000", "measured_ms = 17", "no time between 1990 and 2100"),
        (r"measured_ms = 1790000000000", 'measured_ms = "now"', "measured_ms"),
        (r'measured_from = "option"', 'measured_from = "guess"', "measured_from"),
        (r"excitation_nm = 784.9", "excitation_nm = 7.8", "excitation_nm = 7.8"),
        (r"excitation_nm = 784.9", "excitation_nm = inf", "excitation_nm = inf"),
        (r"uncertainty_cm1 = .*", "uncertainty_cm1 = 0.0", "uncertainty_cm1"),
        (r"uncertainty_cm1 = .*", "uncertainty_cm1 = 9.0", "not within 1 to 4"),
        (r"resolution_cm1 = .*", "resolution_cm1 = -1.0", "resolution_cm1"),
        (r"residual_cm1_rms = .*", "residual_cm1_rms = 3.5", "residual_cm1_rms"),
        (r"residual_cm1_rms = (.*)", r'residual_cm1_rms = \1\nserial = "4"', "'serial' is no key"),
        (r"instrument = ", f"instrument = '{'x' * 200}' #", "at most 96"),
        (r"(offset_cm1 = .*)", r'\1\nresponse_id = "SRM"', "response_id"),
        (r"(offset_cm1 = .*)", r"\1\n" + "#" * 70_000, "larger than 65536 bytes"),
        (r"(offset_cm1 = .*)", r'\1\nresponse = "none"', "response"),
        # Within the limits, but not what the bands say.
        (r"offset_cm1 = .*", "offset_cm1 = 9.0", "offset_cm1 = 9.0 does not follow"),
        (r"offset_cm1 = (.*)", r"offset_cm1 = 3.2", "offset_cm1 = 3.2 does not follow"),
        (r"stretch = .*", "stretch = 0.001", "stretch = 0.001 does not follow"),
        (r"pivot_cm1 = .*", "pivot_cm1 = 900.0", "pivot_cm1 = 900.0 does not follow"),
        (r"uncertainty_cm1 = .*", "uncertainty_cm1 = 1.0", "uncertainty_cm1 = 1.0 does not follow"),
        (r"residual_cm1_rms = .*", "residual_cm1_rms = 0.01", "residual_cm1_rms = 0.01 does not"),
        (r"\[1001\.4, (\d+)\.\d+\]", r"[1001.4, 1003.0]", "does not follow"),
        (r"sigmas_cm1 = .*", "", "sigmas_cm1"),
        (r"sigmas_cm1 = \[\S+,", "sigmas_cm1 = [0.0,", "sigmas_cm1"),
        (r"sigmas_cm1 = \[\S+,", "sigmas_cm1 = [nan,", "sigmas_cm1"),
        (r"range_cm1 = .*", "range_cm1 = [700.0, 1000.0]", "range_cm1"),
        (r"range_cm1 = .*", "", "range_cm1"),
    ],
)
def test_a_saved_calibration_that_was_changed_is_refused(tmp_path, call, old, new, words):
    path = tmp_path / "unit.toml"
    save_calibration(made(), path)
    text, count = re.subn(old, new, path.read_text(), count=1)
    assert count == 1
    path.write_text(text)
    with pytest.raises(SpectraError, match=words):
        load_calibration(path)
    code, printed, said = call("identify", "x.csv", "--calibration", path)
    assert (code, printed, said.count("\n")) == (2, "", 1)
    assert said.count(str(path)) == 1


def test_a_calibration_is_the_same_after_json():
    assert msgspec.json.decode(msgspec.json.encode(made()), type=Calibration) == made()
