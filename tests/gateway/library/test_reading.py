"""Goal: every supported form gives the same numbers and what it says of itself; others are refused.

Method: one spectrum written as CSV, JCAMP-DX, SPC and as a specimen's own text; files of other
techniques; every real file of the collection of measured spectra.
"""

import csv

import numpy as np
import pytest

from gateway.library.reading import FILE_BYTES_MAX, read_bytes, read_measurements
from gateway.spectra.errors import FormatError
from gateway.spectra.specimen import write_specimen
from tests.gateway.library.national import specimen
from tests.gateway.spectra.spc_writer import write_spc

AXIS = np.arange(250.0, 1_990.0, 2.0)
LIGHT = np.rint(specimen(axis_cm1=AXIS, intensity=np.hypot(AXIS, 10.0)).intensity)


def csv_text(heading="raman_shift_cm1,intensity"):
    rows = "\n".join(f"{x:.3f},{y:.1f}" for x, y in zip(AXIS, LIGHT, strict=True))
    return f"{heading}\n{rows}\n"


def jcamp_text():
    rows = [
        f"{AXIS[i]:.1f} " + " ".join(f"{y:.0f}" for y in LIGHT[i : i + 6])
        for i in range(0, AXIS.size, 6)
    ]
    return (
        "##TITLE= sample\n##JCAMP-DX= 4.24\n##DATA TYPE= RAMAN SPECTRUM\n##ORIGIN= a laboratory\n"
        "##OWNER= A. Person\n##LONGDATE= 2026/11/03 12:00:00\n##RESOLUTION= 4.5\n"
        "##SPECTROMETER/DATA SYSTEM= bench 1\n##.LASER WAVELENGTH= 784.9 nm\n"
        f"##XUNITS= 1/CM\n##YUNITS= COUNTS\n##FIRSTX= {AXIS[0]}\n##LASTX= {AXIS[-1]}\n"
        f"##NPOINTS= {AXIS.size}\n##XFACTOR= 1\n##YFACTOR= 1\n##XYDATA= (X++(Y..Y))\n"
        + "\n".join(rows)
        + "\n##END=\n"
    )


def test_every_form_gives_the_same_numbers(tmp_path):
    (tmp_path / "a.csv").write_text(csv_text())
    (tmp_path / "a.jdx").write_text(jcamp_text())
    (tmp_path / "a.spc").write_bytes(write_spc([AXIS], [LIGHT], log="Excitation = 785.0 nm\n"))
    own = specimen(axis_cm1=AXIS, intensity=LIGHT)
    (tmp_path / "own.csv").write_text(write_specimen(own))
    for path in sorted(tmp_path.iterdir()):
        (found,) = read_measurements(path)
        np.testing.assert_allclose(found.axis_cm1, AXIS)
        np.testing.assert_allclose(found.intensity, LIGHT)
    jcamp = read_measurements(tmp_path / "a.jdx")[0].known
    assert jcamp == {
        "source": "a laboratory", "measured_by": "A. Person", "measured_on": "2026-11-03",
        "resolution_cm1": "4.5", "instrument": "bench 1", "excitation_nm": "784.9",
    }  # fmt: skip
    spc = read_measurements(tmp_path / "a.spc")[0].known
    assert spc == {"instrument": "bench 1", "measured_on": "2026-11-03", "excitation_nm": "785"}
    assert read_measurements(tmp_path / "own.csv")[0].known["measured_by"] == "the laboratory"


def test_traces_of_one_file_are_told_apart(tmp_path):
    path = tmp_path / "many.spc"
    path.write_bytes(write_spc([AXIS] * 3, [LIGHT, LIGHT + 1.0, LIGHT + 2.0]))
    assert [found.label for found in read_measurements(path)] == [
        f"{path} trace {number}" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    "heading,word",
    [
        ("wavenumber cm-1,absorbance", "absorbance"),
        ("cm-1,%T", "%T"),
        ("# ATR FTIR spectrum\ncm-1,a.u.", "ATR"),
    ],
)
def test_other_techniques_are_refused_by_name(tmp_path, heading, word):
    path = tmp_path / "a.csv"
    path.write_text(csv_text(heading))
    with pytest.raises(FormatError, match=f"{word}.*not a Raman spectrum"):
        read_measurements(path)


def test_infrared_jcamp_is_refused_by_name(tmp_path):
    path = tmp_path / "a.jdx"
    path.write_text(jcamp_text().replace("RAMAN SPECTRUM", "INFRARED SPECTRUM"))
    with pytest.raises(FormatError, match="INFRARED SPECTRUM"):
        read_measurements(path)


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "empty.csv").write_text(" \n")
    (tmp_path / "odd.csv").write_bytes(b"\x00\x01binary")
    with (tmp_path / "large.csv").open("wb") as file:
        file.truncate(FILE_BYTES_MAX + 1)
    for name, words in {
        "empty.csv": "is empty",
        "odd.csv": "is binary, and no SPC file",
        "large.csv": "larger than",
        "none.csv": "does not exist",
        ".": "is not a file",
    }.items():
        with pytest.raises(FormatError, match=words):
            read_measurements(tmp_path / name)
    with pytest.raises(FormatError, match="larger than 3 bytes"):
        read_bytes(tmp_path / "odd.csv", 3)


def test_every_file_of_the_collection_is_read(raman_path):
    with (raman_path / "INDEX.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        (found,) = read_measurements(raman_path / row["file"])
        assert found.axis_cm1.size == int(row["n_points"])
    assert len(rows) > 100
