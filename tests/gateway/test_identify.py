"""Goal: `harmattan identify` reads real files, one line for each, and names what it cannot read.

Method: files written by the tests in every supported form and broken in every way, read through the
same function the command calls; and the collection of 109 measured spectra of many instruments,
whose substances are known from its index (which only this test reads).
"""

import csv
import io
import json
import os
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from rich.console import Console

from gateway.catalogue import LANGUAGES, translate
from gateway.errors import GatewayError
from gateway.identify import FILE_BYTES_MAX, WORDS, read_spectrum, run
from gateway.spectra.library import load_library
from simulators.forward import measure
from tests.gateway.spectra.spc_writer import write_spc

LIBRARY = load_library()
FALSE_ALARMS_MAX = 5  # what the product is measured against; the aim is none


def counts_of(substance_id, seed=1):
    spectrum = measure(LIBRARY, {substance_id: 1.0}, 200.0, np.random.default_rng(seed))
    return spectrum.axis_cm1, spectrum.intensity_counts


def write_columns(path, substance_id="urea", separator=",", header="raman_shift_cm1,intensity\n"):
    axis, counts = counts_of(substance_id)
    rows = "\n".join(f"{x:.3f}{separator}{y:.1f}" for x, y in zip(axis, counts, strict=True))
    path.write_text(header + rows + "\n", encoding="utf-8")
    return path


def write_jcamp(path, substance_id="urea"):
    axis, counts = counts_of(substance_id)
    even = np.linspace(axis[0], axis[-1], 900)
    values = np.rint(np.interp(even, axis, counts)).astype(int)
    rows = [
        f"{even[i]:.4f} " + " ".join(str(v) for v in values[i : i + 8]) for i in range(0, 900, 8)
    ]
    path.write_text(
        "##TITLE= sample\n##JCAMP-DX= 4.24\n##DATA TYPE= RAMAN SPECTRUM\n##XUNITS= 1/CM\n"
        f"##YUNITS= ARBITRARY UNITS\n##FIRSTX= {even[0]:.6f}\n##LASTX= {even[-1]:.6f}\n"
        f"##NPOINTS= 900\n##FIRSTY= {values[0]}\n##XFACTOR= 1\n##YFACTOR= 1\n"
        "##XYDATA= (X++(Y..Y))\n" + "\n".join(rows) + "\n##END=\n"
    )
    return path


def ran(files, *, language="en", as_json=True, **kwargs):
    output = io.StringIO()
    console = Console(file=output, width=80, color_system=None)
    status = run(list(files), as_json=as_json, language=language, console=console, **kwargs)
    return status, output.getvalue()


def records(files, **kwargs):
    status, text = ran(files, **kwargs)
    lines = text.splitlines()
    assert len(lines) == len(files)
    return status, [json.loads(line) for line in lines]


def test_one_line_of_json_per_file_with_the_promised_keys(tmp_path):
    files = [write_columns(tmp_path / "urea.csv"), write_jcamp(tmp_path / "acetone.jdx", "acetone")]
    status, found = records(files)
    assert status == 0
    for record, path, name, cas in zip(
        found, files, ("urea", "acetone"), ("57-13-6", "67-64-1"), strict=True
    ):
        assert record["file"] == str(path)
        assert record["verdict"] == "alarm"
        assert record["reason_id"] == "listed_found"
        best = record["hits"][0]
        assert (best["substance_id"], best["cas"]) == (name, cas)
        assert 0.0 < best["score"] <= 1.0
        assert any(band["state"] == "found" for band in best["bands"])


def test_harmless_components_are_hits_too(tmp_path):
    _, [record] = records([write_columns(tmp_path / "sugar.csv", "sucrose")])
    assert record["verdict"] == "clear"
    assert record["hits"][0]["substance_id"] == "sucrose"
    assert record["hits"][0]["lists"] == []
    assert record["library_version"] == LIBRARY.version


@pytest.mark.parametrize("separator,header", [
    (";", ""), ("\t", "shift\tcounts\n"), ("  ", ""), (",", "# made by hand\n"),
])  # fmt: skip
def test_reads_the_common_exports(tmp_path, separator, header):
    _, [record] = records([write_columns(tmp_path / "x.txt", "urea", separator, header)])
    assert record["verdict"] == "alarm"


@pytest.mark.parametrize("code", ["utf-8-sig", "utf-16"])
def test_reads_what_spreadsheets_write(tmp_path, code):
    """Byte-order marks, quotes, decimal commas."""
    text = write_columns(tmp_path / "x.csv", "urea", ";", "Raman shift (cm-1);Intensity\n")
    rows = text.read_text("utf-8").replace(".", ",").splitlines()
    quoted = [rows[0], *(f'"{row.replace(";", chr(34) + ";" + chr(34))}"' for row in rows[1:])]
    path = tmp_path / "quoted.csv"
    path.write_bytes("\r\n".join(quoted).encode(code))
    _, [record] = records([path])
    assert record["verdict"] == "alarm"


def test_a_falling_axis_is_the_same_spectrum(tmp_path):
    path = write_columns(tmp_path / "up.csv")
    lines = path.read_text().splitlines()
    down = tmp_path / "down.csv"
    down.write_text("\n".join([lines[0], *reversed(lines[1:])]))
    up_axis, down_axis = read_spectrum(path).axis_cm1, read_spectrum(down).axis_cm1
    assert up_axis.tolist() == down_axis.tolist()
    _, (first, second) = records([path, down])
    assert first["hits"] == second["hits"]


def broken_files(folder):
    good = write_columns(folder / "good.csv").read_text()
    lines = good.splitlines()

    def changed(name, number, line):
        copy = list(lines)
        copy[number - 1] = line
        (folder / name).write_text("\n".join(copy))
        return folder / name

    empty, binary, large = folder / "empty.csv", folder / "binary.csv", folder / "large.csv"
    empty.write_text(" \n")
    binary.write_bytes(b"MZ\0\1\2\3" * 100)
    with large.open("wb") as file:
        file.truncate(FILE_BYTES_MAX + 1)
    locked = folder / "locked.csv"
    locked.write_text(good)
    locked.chmod(0)
    short = folder / "short.csv"
    short.write_text("\n".join(lines[:20]))
    prose = folder / "prose.txt"
    prose.write_text("Dear colleague, the spectrum is attached.\n")
    infrared = folder / "infrared.jdx"
    infrared.write_text(
        write_jcamp(folder / "raman.jdx").read_text().replace("RAMAN SPECTRUM", "INFRARED SPECTRUM")
    )
    return {
        empty: "is empty",
        binary: "is binary",
        large: f"larger than {FILE_BYTES_MAX} bytes",
        short: "19 points",
        prose: "no line holds two numbers",
        infrared: "INFRARED SPECTRUM",
        folder: "is not a file",
        folder / "absent.csv": "does not exist",
        changed("nan.csv", 7, "260.0,nan"): "line 7: intensity is nan",
        changed("twice.csv", 9, lines[7]): "line 9: Raman shift",
        changed("word.csv", 11, "hello"): "line 11: 'hello'",
        changed("three.csv", 12, "266,1,2"): "line 12: '266,1,2'",
    } | ({} if os.geteuid() == 0 else {locked: "Permission denied"})


def test_what_cannot_be_read_is_named_and_the_others_go_on(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    broken = broken_files(folder)
    good = folder / "good.csv"
    files = [good, *broken, good]
    status, found = records(files)
    assert status == 2
    assert [record.get("verdict") for record in found] == ["alarm", *[None] * len(broken), "alarm"]
    for record, (path, words) in zip(found[1:-1], broken.items(), strict=True):
        assert set(record) == {"file", "error"}
        assert record["file"] == str(path)
        assert str(path) in record["error"]
        assert words in record["error"]
        assert len(record["error"]) < 400


@pytest.mark.parametrize("language", LANGUAGES)
def test_people_get_a_table_and_a_sentence(tmp_path, language):
    files = [write_columns(tmp_path / "urea.csv"), tmp_path / "absent.csv"]
    status, text = ran(files, language=language, as_json=False)
    assert status == 2
    assert "57-13-6" in text
    assert LIBRARY["urea"].names[language] in text
    assert LIBRARY.version in text.replace("\n", "")
    assert "does not exist" in " ".join(text.split())
    bare = "".join(text.split())
    for msgid in WORDS.values():
        for part in re.split(r"\{\w+\}", translate(msgid, language)):
            if "averaged" not in msgid and not part.isspace():
                # Titles may be broken over two lines of the table, word by word.
                assert all(word in bare for word in part.split()), part
    if language != "en":
        assert "signal to noise" not in text
        assert "substance found" not in " ".join(text.split())


def test_json_lines_are_not_wrapped_or_coloured(tmp_path):
    output = io.StringIO()
    console = Console(file=output, width=40, force_terminal=True, color_system="truecolor")
    run([write_columns(tmp_path / "[red]urea.csv")], as_json=True, language="ar", console=console)
    assert output.getvalue().count("\n") == 1
    assert "\x1b" not in output.getvalue()
    assert json.loads(output.getvalue())["file"].endswith("[red]urea.csv")


def test_a_file_name_that_is_no_text_is_still_reported(tmp_path):
    _, [record] = records([tmp_path / os.fsdecode(b"\xff.csv")])
    assert "does not exist" in record["error"]


def infrared_file(folder, name, head, values):
    """An export of an infrared program: 400 to 4000 cm^-1 falling, head lines, two columns."""
    axis = np.arange(4000.0, 399.0, -1.9286)
    bands = sum(
        height / (1.0 + ((axis - place) / width) ** 2)
        for place, width, height in ((1740.0, 12.0, 0.9), (1220.0, 15.0, 0.7), (2930.0, 25.0, 0.4))
    )
    bands = bands + 0.5 * np.exp(-0.5 * ((axis - 3350.0) / 130.0) ** 2)
    rows = "\n".join(f"{x:.4f};{y:.6f}" for x, y in zip(axis, values(bands), strict=True))
    (folder / name).write_text(f"{head}{rows}\n", encoding="utf-8")
    return folder / name


def rewritten(folder, name, axis, counts, head="", order=("axis", "counts")):
    columns = {"axis": axis, "counts": counts}
    pairs = zip(*(columns[key] for key in order), strict=True)
    (folder / name).write_text(
        head + "\n".join(f"{x:.4f},{y:.4f}" for x, y in pairs) + "\n", encoding="utf-8"
    )
    return folder / name


def write_twice(folder, name, axis, counts):
    """Two spectra in one file: nobody says which is meant."""
    path = folder / name
    text = write_jcamp(path) if name.endswith("jdx") else rewritten(folder, name, axis, counts)
    path.write_text(2 * text.read_text("utf-8"), encoding="utf-8")
    return path


def wrong_files(folder):
    """What other instruments and careless exports write, and the words of error or reason."""
    axis, counts = counts_of("urea")
    rng = np.random.default_rng(5)
    laser_cm1 = 1e7 / 785.0
    wavelength_nm = 1e7 / (laser_cm1 - axis)
    far_nm = 1e7 / (1e7 / 1064.0 - axis[axis > 302.0])
    clipped = np.minimum(counts, counts.min() + 0.4 * np.ptp(counts))
    shuffled = rng.permutation(axis.size)
    return {
        infrared_file(folder, "t.dpt", "", lambda a: 100.0 * 10.0**-a): "transmittance",
        infrared_file(folder, "t1.dpt", "", lambda a: 10.0**-a): "transmittance",
        infrared_file(folder, "a.dpt", "", lambda a: 0.02 + a): "absorbance",
        infrared_file(folder, "a.csv", "Wavenumber;Absorbance\n", lambda a: a): "is 'Absorbance'",
        infrared_file(folder, "t.csv", "cm-1;%T\n", lambda a: 100.0 * 10.0**-a): "is '%T'",
        rewritten(folder, "nm.csv", wavelength_nm, counts): "wavelength",
        rewritten(folder, "nm3.csv", far_nm, counts[axis > 302.0]): "wavelength",
        rewritten(folder, "anti.csv", -axis, counts): "anti-Stokes",
        rewritten(folder, "um.csv", wavelength_nm / 1e3, counts, "λ (µm),I\n"): "another unit",
        write_twice(folder, "twice.csv", axis, counts): "second spectrum",
        write_twice(folder, "twice.jdx", axis, counts): "holds 2 Raman spectra",
        rewritten(
            folder, "nm2.csv", wavelength_nm, counts, "Wavelength (nm),Counts\n"
        ): "wavelength",
        rewritten(folder, "abs.csv", laser_cm1 - axis, counts): "absolute wavenumbers",
        rewritten(folder, "px.csv", np.arange(counts.size), counts): "pixels",
        rewritten(folder, "px2.csv", np.arange(counts.size), counts, "Pixel,Intensity\n"): "pixel",
        rewritten(folder, "swap.csv", axis, counts, order=("counts", "axis")): "swapped",
        rewritten(folder, "mixed.csv", axis[shuffled], counts[shuffled]): "sort the axis",
        rewritten(folder, "down.csv", axis, 60_000.0 - counts): "inverted",
        rewritten(folder, "below.csv", axis, counts - 2.0 * counts.max()): "negative",
        rewritten(folder, "flat.csv", axis, np.full_like(counts, 512.0)): "constant",
        rewritten(folder, "dark.csv", axis, rng.normal(500.0, 4.0, axis.size)): "signal",
        rewritten(folder, "few.csv", axis[::40], counts[::40]): "points",
        rewritten(folder, "gap.csv", axis[::10], counts[::10]): "gap of more than",
        rewritten(folder, "short.csv", axis[:90], counts[:90]): "fingerprint",
        rewritten(folder, "full.csv", axis, clipped): "saturated",
    }


def test_wrong_data_are_refused_or_inconclusive_by_name_and_never_a_guess(tmp_path):
    files = wrong_files(tmp_path)
    _, found = records(files)
    for record, (path, words) in zip(found, files.items(), strict=True):
        if "error" in record:
            told = record["error"]
        else:
            told = json.dumps([record["reason_id"], record["parameters"]])
            if path.name == "full.csv":  # the rest of its bands may still be an alarm
                assert record["verdict"] in ("alarm", "inconclusive")
                continue
            assert record["verdict"] == "inconclusive", path.name
            assert record["hits"] == [], path.name
        assert words in told, (path.name, told)


def test_a_clipped_harmless_spectrum_is_not_cleared(tmp_path):
    axis, counts = counts_of("sucrose")
    clipped = np.minimum(counts, counts.min() + 0.5 * np.ptp(counts))
    _, [record] = records([rewritten(tmp_path, "full.csv", axis, clipped)])
    assert (record["verdict"], record["reason_id"]) == ("inconclusive", "saturated")


def test_a_spectrum_filled_up_with_zeros_is_the_same(tmp_path):
    axis, counts = counts_of("urea")
    more = np.arange(axis[-1] + 2.0, 2400.0, 2.0)
    files = [
        rewritten(tmp_path, "as_is.csv", axis, counts),
        rewritten(
            tmp_path, "filled.csv", np.append(axis, more), np.append(counts, np.zeros(more.size))
        ),
    ]
    _, (plain, filled) = records(files)
    assert plain["hits"] == filled["hits"]
    assert plain["verdict"] == filled["verdict"] == "alarm"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_picture_is_drawn_into_the_named_file(tmp_path, language):
    plot = tmp_path / "urea.svg"
    source = write_columns(tmp_path / "urea.csv")
    status, [record] = ran_json(source, language=language, plot=plot)
    assert status == 0
    root = ET.fromstring(plot.read_text("utf-8"))
    assert root.get("lang") == language
    assert plot.stat().st_size < 300_000
    shown = "".join("".join(node.itertext()) for node in root.iter() if node.tag.endswith("desc"))
    assert shown == record["reason"]


def ran_json(file, **kwargs):
    status, text = ran([file], **kwargs)
    return status, [json.loads(line) for line in text.splitlines()]


def test_a_picture_never_takes_the_place_of_a_measurement(tmp_path):
    file = write_columns(tmp_path / "urea.csv")
    before = file.read_bytes()
    for other in (file, tmp_path / "notes.txt"):
        if other != file:
            other.write_text("kept")
        kept = other.read_bytes()
        with pytest.raises(GatewayError, match="is no picture"):
            ran([file], plot=other)
        assert other.read_bytes() == kept
    assert file.read_bytes() == before
    for _ in range(2):  # an older picture gives way
        ran([file], plot=tmp_path / "urea.svg")
        assert "<svg" in (tmp_path / "urea.svg").read_text("utf-8")


def test_a_picture_takes_one_file_and_a_place_to_write(tmp_path):
    file = write_columns(tmp_path / "urea.csv")
    with pytest.raises(GatewayError, match="2 are given"):
        ran([file, file], plot=tmp_path / "x.svg")
    with pytest.raises(GatewayError, match="cannot write"):
        ran([file], plot=tmp_path / "no" / "x.svg")
    status, _ = ran([tmp_path / "absent.csv"], plot=tmp_path / "x.svg")
    assert status == 2
    assert not (tmp_path / "x.svg").exists()


def test_the_long_explanation_names_the_bands(tmp_path):
    file = write_columns(tmp_path / "urea.csv")
    _, short = ran([file], as_json=False)
    _, text = ran([file], as_json=False, at_length=True)
    assert text.startswith(short)
    words = " ".join(text.split())
    for part in ("Bands at their place", "Next:", "Measurement: strongest band", "Calibration:"):
        assert part in words
        assert part not in " ".join(short.split())


LISTED_NAMES = {"acetone": "acetone", "urea": "urea"}


@pytest.fixture(scope="module")
def collection(raman_path):
    """Verdicts on all measured spectra: file name -> (substance by the index, record)."""
    with (raman_path / "INDEX.csv").open(encoding="utf-8", newline="") as source:
        index = list(csv.DictReader(source))
    files = [raman_path / row["file"] for row in index]
    status, found = records(files)
    assert status == 0
    return {
        row["file"]: (row["substance"], record) for row, record in zip(index, found, strict=True)
    }


def test_all_measured_spectra_are_read(collection):
    assert len(collection) == 109
    assert all("error" not in record for _, record in collection.values())


def test_measured_acetone_and_urea_are_alarms_naming_them(collection):
    for substance, record in collection.values():
        if substance in LISTED_NAMES:
            assert record["verdict"] == "alarm"
            assert record["parameters"]["substance_ids"] == [LISTED_NAMES[substance]]
            assert record["hits"][0]["substance_id"] == LISTED_NAMES[substance]


def test_measured_harmless_substances_do_not_alarm(collection):
    alarms = [
        (name, record["parameters"])
        for name, (substance, record) in collection.items()
        if record["verdict"] == "alarm" and substance not in LISTED_NAMES
    ]
    assert len(alarms) <= FALSE_ALARMS_MAX, alarms
    # What this edition reaches; a change that loses it should be seen.
    assert alarms == []


def test_most_measured_spectra_are_decided(collection):
    verdicts = [record["verdict"] for _, record in collection.values()]
    undecided = [
        name
        for name, (_, record) in collection.items()
        if record["verdict"] == "inconclusive" and record["reason_id"] != "packaging_only"
    ]
    assert verdicts.count("clear") >= 85
    assert len(undecided) <= 10, undecided


def test_the_state_of_the_measurement_is_told_in_numbers(tmp_path):
    axis, counts = counts_of("sucrose")
    clipped = np.minimum(counts, counts.min() + 0.5 * np.ptp(counts))
    files = [
        rewritten(tmp_path, "good.csv", axis, counts),
        rewritten(tmp_path, "full.csv", axis, clipped),
    ]
    _, (good, full) = records(files)
    assert good["findings"] == []
    assert good["condition"]["snr"] > 100.0
    assert 0.0 < good["condition"]["fluorescence_share"] < 1.0
    assert full["condition"]["plateau_count"] >= 1
    [finding] = full["findings"]
    assert finding["reason_id"] == "saturated"
    assert finding["parameters"]["share_percent"] >= 1


def test_an_spc_file_is_identified_like_its_columns(tmp_path):
    axis, counts = counts_of("urea")
    (tmp_path / "one.spc").write_bytes(write_spc([axis], [counts], x_form="one_x"))
    (tmp_path / "two.spc").write_bytes(write_spc([axis] * 2, [counts] * 2, x_form="one_x"))
    (tmp_path / "ir.spc").write_bytes(write_spc([axis], [counts], x_form="one_x", y_unit=2))
    files = [write_columns(tmp_path / "urea.csv"), *sorted(tmp_path.glob("*.spc"))]
    status, (columns, infrared, one, two) = records(files)
    assert status == 2
    assert one["verdict"] == columns["verdict"] == "alarm"
    assert [hit["substance_id"] for hit in one["hits"]] == ["urea"]
    assert "absorbance" in infrared["error"]
    assert "holds 2 spectra" in two["error"]


@pytest.mark.parametrize("title", ["", "Raman shift (cm-1),Intensity (normalised)\n"])
def test_a_spectrum_scaled_to_one_is_judged_when_it_says_that_it_is_raman(tmp_path, title):
    axis = np.arange(400.0, 3600.0, 1.0)
    counts = 0.05 + sum(
        height * np.exp(-0.5 * ((axis - place) / 4.0) ** 2)
        for place, height in ((715.0, 0.1), (1043.0, 0.9), (1290.0, 0.03), (1415.0, 0.04))
    )
    counts = counts + np.random.default_rng(6).normal(0.0, 5e-4, axis.size)
    file = tmp_path / "scaled.csv"
    rows = "\n".join(f"{x:g},{y:.6f}" for x, y in zip(axis, counts, strict=True))
    file.write_text(f"{title}{rows}\n")
    _, [record] = ran_json(file)
    expected = "alarm" if title else "inconclusive"
    assert record["verdict"] == expected, record
    assert (record["reason_id"] == "not_raman") == (not title)
