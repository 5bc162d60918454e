"""Goal: every common two-column export is read, everything else is refused by line and value.

Method: one text per dialect and one per fault; Hypothesis for arbitrary text.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.spectra.columns import parse_columns, read_columns
from gateway.spectra.errors import FormatError

PAIRS = [(200.0 + 10.5 * i, 3.25 * i) for i in range(5)]


def lines(separator, *, comma=False, pairs=PAIRS):
    text = "\n".join(f"{x}{separator}{y}" for x, y in pairs)
    return text.replace(".", ",") if comma else text


@pytest.mark.parametrize(
    "text",
    [
        lines(","),
        lines(", "),
        lines(";"),
        lines("; ", comma=True),
        lines("\t"),
        lines("\t", comma=True),
        lines(" "),
        lines("    "),
        lines("  ", comma=True),
        lines('","').replace("\n", '"\n"').join('""'),
        "raman_shift_cm1,intensity\n" + lines(","),
        "\ufefframan_shift_cm1,intensity\r\n" + lines(",").replace("\n", "\r\n"),
        "# exported 2026\nInstrument: A, B, C\nLaser;785\n\nshift counts\n" + lines(";"),
        lines(",") + "\n\n",
        lines(",", pairs=PAIRS[::-1]),
        lines(",").replace("\n", ",\n") + ",",
        lines(",").replace("200.0,0.0", "2.0e2,0E0"),
    ],
)
def test_reads_the_common_dialects(text):
    axis, counts = parse_columns(text)
    assert axis.tolist() == [x for x, _ in PAIRS]
    assert counts.tolist() == [y for _, y in PAIRS]


AGAIN = "".join(f"{400 + 2 * (i % 40)},{100 + (i * 37) % 91}\n" for i in range(80))


@pytest.mark.parametrize(
    "text,words",
    [
        ("", "no line holds two numbers"),
        ("a,b\nc,d\n", "no line holds two numbers"),
        ("1,2\n2,nan\n3,4", "line 2: intensity is nan"),
        ("1,2\n2,3\ninf,4", "line 3: Raman shift is inf"),
        ("1,2\n2,3\n3,1_000", "line 3: '3,1_000' is not a pair"),
        ("1,2\n2,3\nend of file", "line 3: 'end of file' is not a pair"),
        ("1,2\n2,3,4\n3,4", "line 2: '2,3,4' is not a pair"),
        ("1,2,3\n2,3,4", "line 1: 3 columns"),
        ("200,5,1,25\n201,5,1,5", "line 1: 4 columns.*decimal commas need semicolons"),
        ("302.5;983\n303.5;1,204", "line 2: '303.5;1,204' has a comma that may be"),
        ("302;983\n303;1,204", "line 2: '303;1,204' has a comma that may be"),
        (AGAIN, "line 41: the axis begins again at 400 after 478: a second spectrum"),
        ("wavelength (um),counts\n0.8,1\n0.9,2", "in another unit than nm; convert the axis"),
        ("1,2\n2,3\n2,4\n3,5", "line 3: Raman shift 2 after 2 repeats"),
        ("1,2\n3,3\n2,4\n4,5", "line 3: Raman shift 2 after 3"),
        ("9,2\n8,3\n8.5,4\n7,5", "line 3: Raman shift 8.5 after 8"),
        ("wavelength (nm),counts\n800,1\n801,2", "line 1: the first column is 'wavelength"),
        ("pixel,counts\n0,1\n1,2", "convert the axis"),
        ("x\n" * 70 + "1,2", "no numbers after 64 lines"),
        ("1,2\n" + "\x1b[31m" + "y" * 500, "line 2: "),
    ],
)
def test_names_line_and_value(text, words):
    with pytest.raises(FormatError, match=words) as caught:
        parse_columns(text)
    assert len(str(caught.value)) < 250
    assert "\x1b" not in str(caught.value)


BODY = "".join(f"{400 + 2 * i},{100 + (i * 37) % 91}\n" for i in range(40))


@pytest.mark.parametrize(
    "head,words",
    [
        ("Wavelength (nm),Intensity (counts)\n", "line 1: the first column is 'Wavelength"),
        ("Date;2026-11-01\nlongitud de onda (nm);intensidad\n", "line 2: the first column"),
        ("Longueur d'onde;Signal\n", "a wavelength"),
        ("Pixel\tIntensity\n", "a pixel or row number"),
        ("# wavelength intensity\n", "a wavelength"),
        ("Absolute wavenumber (cm-1),Counts\n", "absolute wavenumber"),
        ("Energy (eV),Counts\n", "an energy or a frequency"),
        ("2theta,Counts\n", "a mass or an angle"),
        ("Wavenumber (cm-1)\tAbsorbance (A.U.)\n", "the second column is 'Absorbance"),
        ("cm-1,%T\n", "transmittance and no Raman intensity"),
        ("Wavenumbers [1/cm];%Transmittance\n", "transmittance"),
        ("Nombre d'onde (cm-1);Absorbance\n", "absorbance"),
        ("Número de onda (cm-1);Transmitancia\n", "transmittance"),
        ("العدد الموجي (cm-1);الامتصاص\n", "absorbance"),
        ("cm-1;Kubelka-Munk\n", "reflectance"),
        ("Raman shift,log(1/R)\n", "absorbance"),
        ("nm;Abs\n", "absorbance and no Raman intensity"),
        ("Wavelength (nm);Reflectance (%)\n", "reflectance and no Raman intensity"),
        ("# wavenumber absorbance\n", "absorbance"),
        ("XUNITS,WAVENUMBER\nYUNITS,TRANSMITTANCE\nx,y\n", "line 2: 'YUNITS' is 'TRANSM"),
        ("Data type: INFRARED SPECTRUM\n\n", "this is infrared data"),
        ("#Technique: ATR-FTIR\n# x y\n", "this is infrared data"),
        ("[Data]\nX Axis=Wavelength (nm)\nY axis=counts\n", "a wavelength"),
        ("Intensity,Raman shift (cm-1)\n", "are swapped"),
        ("Intensité;décalage\n", "are swapped"),
    ],
)
def test_other_data_are_named_by_the_words_above_them(head, words):
    """Titles and settings as programs for infrared, ultraviolet and raw detectors write them."""
    with pytest.raises(FormatError, match=words) as caught:
        parse_columns(head + BODY)
    assert len(str(caught.value)) < 250
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "head",
    [
        "Raman Shift (cm-1),Intensity (a.u.)\n",
        "Raman Shift (cm-1) (785 nm),Dark corrected\n",
        "Laser Wavelength (nm),785.0\nIntegration Time,2000\nPixel Count,1024\nShift,Counts\n",
        "Time,12:30:11\nMeasurement Date,2026-11-01\nWavenumber,Processed\n",
        "#Grating: transmission VPH\n# laser 785 nm, 50 mW\n",
        "# Instrument: FTIR-Raman module\n# Technique: FT-Raman\n",
        "# Filter: infrared cut-off\n",
        "Note: absorption of the bag not corrected, see the log\nshift;counts\n",
        "Décalage Raman (cm-1);Intensité (u.a.)\n",
        "Desplazamiento Raman (cm-1);Intensidad (cuentas)\n",
        "إزاحة رامان (cm-1);الشدة\n",
        "Wavenumbers (1/cm)\tCounts\n",
        "% shift   intensity\n",
        "X,Y\n",
    ],
)
def test_raman_exports_are_not_taken_for_other_data(head):
    axis, counts = parse_columns(head + BODY)
    assert axis.size == counts.size == 40


def test_swapped_columns_are_known_by_their_numbers():
    for order in (1, -1):
        rows = [f"{100 + (i * 37) % 91},{400 + 2 * i}" for i in range(40)][::order]
        with pytest.raises(FormatError, match="the columns are swapped"):
            parse_columns("\n".join(rows))
    # Two columns of which none runs evenly are only unsorted.
    with pytest.raises(FormatError, match="sort the axis"):
        parse_columns("\n".join(f"{400 + (i * 7) % 40},{(i * 37) % 91}" for i in range(40)))


@pytest.mark.parametrize(
    "head,unit",
    [
        ("", ""),
        ("X,Y\n", ""),
        ("# Raman spectrum, 785 nm\n", ""),
        ("# Raman spectrum of acetone\n", ""),
        ("Laser Wavelength (nm),785.0\nx,y\n", ""),
        ("Raman Shift (cm-1),Intensity\n", "cm-1"),
        ("raman_shift_cm1,intensity\n", "cm-1"),
        ("Shift\tCounts\n", "cm-1"),
        ("# shift counts\n", "cm-1"),
        ("X units: cm-1\n# x y\n", "cm-1"),
        ("Wavelength (nm),Counts\n", "nm"),
        ("longueur d'onde (nm);signal\n", "nm"),
        ("X Axis=Wavelength (nm)\n", "nm"),
    ],
)
def test_the_unit_is_what_the_title_says_and_nothing_else(head, unit):
    assert read_columns(head + BODY, "nm" if unit == "nm" else "").unit == unit
    for said in {"nm", "cm-1"} - {unit}:
        if unit:
            with pytest.raises(FormatError, match=r"--axis-unit|leave the option out"):
                read_columns(head + BODY, said)
        else:
            assert read_columns(head + BODY, said).unit == ""


def test_decimal_commas_of_three_digits_are_no_thousands():
    axis, counts = parse_columns("302,125;53,830\n303,125;1054,250\n304,125;7,125\n")
    assert (axis[0], counts.tolist()) == (302.125, [53.83, 1054.25, 7.125])
    # A place of one decimal shows what the comma is, also beside a whole number.
    axis, counts = parse_columns("302,5;0\n303,5;53,830\n304,5;1,125\n")
    assert (axis[0], counts.tolist()) == (302.5, [0.0, 53.83, 1.125])


@given(st.text(max_size=200))
def test_any_text_gives_columns_or_a_format_error(text):
    try:
        axis, counts = parse_columns(text)
    except FormatError:
        return
    assert axis.size == counts.size > 0
    assert np.isfinite(axis).all()
    assert np.isfinite(counts).all()
    assert (np.diff(axis) > 0).all()
