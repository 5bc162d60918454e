"""Goal: all forms of JCAMP-DX tables give the same numbers, and a damaged file is refused.

Method: one spectrum written in every form by an encoder of the test's own (AFFN, PAC, SQZ, DIF,
DUP, pairs), read back exactly, also for arbitrary values by Hypothesis; then one fault at a time.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.spectra.errors import FormatError
from gateway.spectra.jcamp import looks_like_jcamp, parse_jcamp

VALUES = [
    12,
    15,
    15,
    15,
    40,
    7,
    0,
    -3,
    -3,
    -120,
    5000,
    5001,
    5001,
    5001,
    5001,
    5003,
    90,
    91,
    92,
    93,
]
FIRST_CM1, STEP_CM1 = 400.0, 1.5


def squeezed(value):
    digits = str(abs(value))
    letter = ("abcdefghi"[int(digits[0]) - 1]) if value < 0 else "@ABCDEFGHI"[int(digits[0])]
    return letter + digits[1:]


def differed(value):
    digits = str(abs(value))
    letter = ("jklmnopqr"[int(digits[0]) - 1]) if value < 0 else "%JKLMNOPQR"[int(digits[0])]
    return letter + digits[1:]


def repeated(count):
    return "STUVWXYZs"[int(str(count)[0]) - 1] + str(count)[1:]


def line_of(form, values):
    if form == "AFFN":
        return " " + " ".join(str(v) for v in values)
    if form == "PAC":
        return "".join(f"{v:+d}" for v in values)
    if form == "SQZ":
        return "".join(squeezed(v) for v in values)
    if form == "SQZ DUP":
        runs = [(v, len(list(run))) for v, run in itertools.groupby(values)]
        return "".join(squeezed(v) + (repeated(n) if n > 1 else "") for v, n in runs)
    steps = [b - a for a, b in itertools.pairwise(values)]
    if form == "DIF":
        return squeezed(values[0]) + "".join(differed(s) for s in steps)
    runs = [(s, len(list(run))) for s, run in itertools.groupby(steps)]
    tail = "".join(differed(s) + (repeated(n) if n > 1 else "") for s, n in runs)
    return squeezed(values[0]) + tail


FORMS = ("AFFN", "PAC", "SQZ", "SQZ DUP", "DIF", "DIF DUP")


def table(form, values, per_line=7, step=STEP_CM1, first=FIRST_CM1):
    rows, at = [], 0
    differences = form.startswith("DIF")
    while at < len(values):
        # A difference line begins with the last value of the line before, as a check.
        back = 1 if differences and at else 0
        chunk = values[at - back : at + per_line]
        rows.append(f"{first + (at - back) * step:g}{line_of(form, chunk)}")
        at += per_line
    if differences:
        rows.append(f"{first + (len(values) - 1) * step:g}{squeezed(values[-1])}")
    return "\n".join(rows)


def document(body, values=VALUES, form="(X++(Y..Y))", label="XYDATA", **records):
    known = {
        "TITLE": "test",
        "JCAMP-DX": "4.24",
        "DATA TYPE": "RAMAN SPECTRUM",
        "XUNITS": "1/CM",
        "YUNITS": "ARBITRARY UNITS",
        "FIRSTX": FIRST_CM1,
        "LASTX": FIRST_CM1 + STEP_CM1 * (len(values) - 1),
        "NPOINTS": len(values),
        "XFACTOR": 1.0,
        "YFACTOR": 1.0,
    } | {key.replace("_", " "): value for key, value in records.items()}
    head = "".join(f"##{key}= {value}\n" for key, value in known.items() if value is not None)
    return f"{head}##{label}= {form}\n{body}\n##END=\n"


def check(text, values=VALUES, factor=1.0):
    axis, counts = parse_jcamp(text)
    assert axis == pytest.approx(FIRST_CM1 + STEP_CM1 * np.arange(len(values)))
    assert counts == pytest.approx(factor * np.array(values, dtype=float))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("version", ["4.24", "5.01"])
def test_reads_every_form(form, version):
    check(document(table(form, VALUES), **{"JCAMP_DX": None, "JCAMP-DX": version}))


@given(
    st.sampled_from(FORMS),
    st.lists(st.integers(-99_999, 99_999), min_size=2, max_size=60),
    st.integers(2, 12),
)
def test_reads_back_any_values_in_any_form(form, values, per_line):
    check(document(table(form, values, per_line), values), values)


def test_reads_pairs_with_every_separator():
    pairs = [(FIRST_CM1 + STEP_CM1 * i, v) for i, v in enumerate(VALUES)]
    for separator, between in ((", ", "; "), (" ", "\n"), (",", " "), (", ", "\n")):
        body = between.join(f"{x:g}{separator}{y}" for x, y in pairs)
        check(document(body, form="(XY..XY)", label="XYPOINTS"))
    check(document("\n".join(f"{x:g} {y}" for x, y in pairs), form="(XY..XY)"))


@pytest.mark.parametrize("first_y", [12, 0.012])
def test_first_y_may_be_scaled_or_not(first_y):
    check(document(table("AFFN", VALUES), YFACTOR=0.001, FIRSTY=first_y), factor=0.001)


def test_factors_comments_exponents_and_falling_axes():
    half = table("SQZ", VALUES, step=2 * STEP_CM1, first=2 * FIRST_CM1)
    check(document(half, XFACTOR=0.5))
    body = table("AFFN", VALUES).replace("\n", " $$ remark\n$$ a whole line\n", 1)
    check(document(body, form="(X++(Y..Y)) $$ as measured"))
    check(document(table("AFFN", VALUES).replace(" 5000", " 5.0E+03").replace(" 40", " 4.0E1")))
    last = FIRST_CM1 + STEP_CM1 * (len(VALUES) - 1)
    falling = table("DIF DUP", VALUES[::-1], step=-STEP_CM1, first=last)
    check(document(falling, FIRSTX=last, LASTX=FIRST_CM1))


def test_labels_are_compared_loosely():
    text = document(table("AFFN", VALUES)).replace("##DATA TYPE", "##data_type")
    check("\ufeff" + text.replace("##XUNITS", "##X UNITS").replace("\n", "\r\n"))


def test_of_a_compound_file_the_only_raman_block_is_read_and_of_two_none():
    other = document(table("AFFN", VALUES[::-1]), DATA_TYPE="INFRARED SPECTRUM")
    raman = document(table("DIF", VALUES), **{"JCAMP-DX": None})
    later = document(table("AFFN", VALUES[::-1]))
    head = "##TITLE= all\n##JCAMP-DX= 4.24\n##DATA TYPE= LINK\n##BLOCKS= 4\n"
    check(head + other + raman + "##END=\n")
    with pytest.raises(FormatError, match="holds 2 Raman spectra; export the one"):
        parse_jcamp(head + other + raman + later + "##END=\n")


@pytest.mark.parametrize(
    "text,words",
    [
        (document("400 12 15 15\n500 15 40"), "line 13: X-check failed, 500 where 404.5"),
        (document("400AJJ\n403BJJ"), "line 13: Y-check failed"),
        (document("400 12 15 15"), "NPOINTS is 20 but 3 values"),
        (document(table("AFFN", VALUES), NPOINTS=19), "more values than NPOINTS"),
        (document(table("AFFN", VALUES), NPOINTS="many"), "'many'"),
        (document(table("AFFN", VALUES), NPOINTS=10**9), "NPOINTS is 1e\\+09"),
        (document("400AZ999999"), "line 12: repeat Z999999"),
        (document("400J5"), "begins with a difference"),
        (document("400AZ" + "9" * 5000), "5000 digits"),
        (document("400 1 2", NPOINTS=2, YFACTOR=1e308, LASTX=401.5), "intensity 2 is inf"),
        (document(table("AFFN", VALUES).replace("5003", "?")), "'\\?' is no value"),
        (document(table("AFFN", VALUES).replace("5003", "x5")), "'x' is no value"),
        (document("x 1 2"), "does not begin with a number"),
        (document(table("AFFN", VALUES), FIRSTY=77), "FIRSTY is 77"),
        (document(table("AFFN", VALUES), FIRSTX=None), "FIRSTX"),
        (document(table("AFFN", VALUES), XUNITS="NANOMETERS"), "NANOMETERS"),
        (document(table("AFFN", VALUES), DATA_TYPE="INFRARED SPECTRUM"), "INFRARED"),
        (document(table("AFFN", VALUES), YUNITS="ABSORBANCE"), "YUNITS are 'ABSORBANCE'"),
        (document(table("AFFN", VALUES), YUNITS="% Transmittance"), "no Raman intensity"),
        (document(table("AFFN", VALUES), XUNITS="MICROMETERS"), "MICROMETERS"),
        (document("1,2 3,4", form="(XY..XY)", label="PEAK TABLE"), "not peaks"),
        (document("1,2", form="(R++(A..A))"), "unknown"),
        (document("1, 2; 3, nan", form="(XY..XY)", NPOINTS=2), "'nan'"),
        (document("400, 2; 401, 3; 401, 4", form="(XY..XY)", NPOINTS=3), "repeats"),
        (document(table("AFFN", VALUES)).replace("##END=\n", ""), "cut off"),
        (document(table("AFFN", VALUES), **{"JCAMP-DX": None}), "no ##JCAMP-DX="),
        ("##JCAMP-DX= 4.24\n##TITLE= x\n##END=\n", "first record must be"),
        ("##TITLE= x\n##NPOINTS 5\n##END=\n", "has no '='"),
        ("##TITLE= x\n" * 100, "more than 64 blocks"),
        ("400 1 2\n##TITLE=", "stands before"),
    ],
)
def test_a_damaged_file_is_refused(text, words):
    with pytest.raises(FormatError, match=words) as caught:
        parse_jcamp(text)
    assert len(str(caught.value)) < 250


@given(st.text(alphabet="##=$XY()+.,;- \n0159@AJS%ajsEe?/CMRANTILEDP", max_size=300))
def test_any_text_gives_a_spectrum_or_a_format_error(tail):
    for text in (tail, document(tail)):
        try:
            axis, counts = parse_jcamp(text)
        except FormatError:
            continue
        assert axis.size == counts.size
        assert np.isfinite(counts).all()


def test_recognises_the_format():
    assert looks_like_jcamp("\n ##TITLE= x")
    assert not looks_like_jcamp("200,1\n201,2")
