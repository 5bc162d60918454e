"""Goal: an SPC file is read exactly or refused by name; nothing else, whatever its bytes.

Method: files of every kind from a writer of the tests' own (spc_writer.py), drawn by Hypothesis;
headers with every lie we can think of; every way to cut a file off; random damage.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.spectra.errors import FormatError
from gateway.spectra.spc import TRACES_MAX, looks_like_spc, parse_spc
from tests.gateway.spectra.spc_writer import (
    EVEN,
    ONE_X,
    OWN_X,
    exponent_for,
    whole_numbers,
    write_old_spc,
    write_spc,
)

AXIS = np.linspace(200.0, 2000.0, 64)
LIGHT = 1000.0 * np.exp(-(((AXIS - 1086.0) / 30.0) ** 2)) + 10.0


@st.composite
def files(draw):
    """Axes, lights and form of a file; the numbers are those that the form can hold."""
    x_form = draw(st.sampled_from([EVEN, ONE_X, OWN_X]))
    y_form = draw(st.sampled_from(["float", "i16", "i32"]))
    count = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    points = [draw(st.integers(32, 80)) for _ in range(count)]
    if x_form != OWN_X:
        points = points[:1] * count
    axes = [np.sort(rng.uniform(100.0, 3000.0, n)).astype("f4").astype(float) for n in points]
    axes = [np.unique(np.round(axis) + 0.01 * np.arange(axis.size)) for axis in axes]
    axes = [axis.astype("f4").astype(float) for axis in axes]
    if x_form == EVEN:
        axes = [np.linspace(axes[0][0], axes[0][-1], axes[0].size)] * count
    elif x_form == ONE_X:
        axes = axes[:1] * count
    scale = 10.0 ** draw(st.integers(-3, 8))
    lights = [rng.normal(0.0, scale, axis.size).astype("f4").astype(float) for axis in axes]
    return axes, lights, x_form, y_form


@given(files(), st.sampled_from("<>"), st.booleans(), st.booleans())
def test_what_is_written_is_read(drawn, order, falling, directory):
    axes, lights, x_form, y_form = drawn
    if falling:
        axes = [axis[::-1] for axis in axes]
    directory = directory and x_form == OWN_X
    content = write_spc(
        axes, lights, x_form=x_form, y_form=y_form, order=order, directory=directory
    )
    traces = parse_spc(content)
    assert [trace.number for trace in traces] == list(range(1, len(lights) + 1))
    many = len(lights) > 1 or x_form == OWN_X
    for trace, axis, light in zip(traces, axes, lights, strict=True):
        if y_form != "float":
            exponent = exponent_for(light if many else np.concatenate(lights))
            bits = int(y_form[1:])
            light = whole_numbers(light, bits, exponent) * 2.0 ** (exponent - bits)  # noqa: PLW2901
        step = -1 if falling else 1
        np.testing.assert_allclose(trace.axis_cm1, axis[::step], rtol=1e-12)
        np.testing.assert_array_equal(trace.intensity, light[::step])
        assert trace.measured_on == "2026-11-03"
        assert (trace.source, trace.comment) == ("bench 1", "made for a test")


@given(st.integers(0, 2**32), st.integers(1, 3), st.sampled_from(["i16", "i32"]))
def test_the_old_format_is_read(seed, count, y_form):
    rng = np.random.default_rng(seed)
    lights = [rng.normal(0.0, 5e4, AXIS.size) for _ in range(count)]
    axis = np.linspace(*AXIS[[0, -1]].astype("f4").astype(float), AXIS.size)
    traces = parse_spc(write_old_spc(AXIS, lights, y_form=y_form))
    assert len(traces) == count
    bits = int(y_form[1:])
    for trace, light in zip(traces, lights, strict=True):
        exponent = exponent_for(light if count > 1 else np.concatenate(lights))
        np.testing.assert_allclose(trace.axis_cm1, axis)
        np.testing.assert_array_equal(
            trace.intensity, whole_numbers(light, bits, exponent) * 2.0 ** (exponent - bits)
        )
        assert (trace.measured_on, trace.comment) == ("1996-05-17", "old memo")


@pytest.mark.parametrize("place", [0, 511, 2**31])
def test_without_a_sound_directory_traces_follow_each_other(place):
    lights = [LIGHT, LIGHT + 5.0]
    whole = bytearray(write_spc([AXIS] * 2, lights, x_form=OWN_X, directory=True))
    assert parse_spc(bytes(whole))[0].intensity[0] == np.float32(LIGHT[0])
    whole[-12:-8] = place.to_bytes(4, "little")
    found = parse_spc(bytes(whole))  # as they lie in the file
    assert [trace.intensity[0] for trace in found] == [
        np.float32(light[0]) for light in lights[::-1]
    ]


def test_the_log_is_read():
    text = "Laser Wavelength = 785.0\r\nOperator=A. Person\nno equals\n"
    (trace,) = parse_spc(write_spc([AXIS], [LIGHT], log=text))
    assert trace.log == {"laser wavelength": "785.0", "operator": "A. Person"}


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"y_unit": 2}, "absorbance, not light: not a Raman spectrum"),
        ({"y_unit": 128}, "transmission"),
        ({"y_unit": 1}, "interferogram"),
        ({"technique": 12}, "fluorescence, not Raman"),
        ({"technique": 5}, "near infrared"),
        ({"x_unit": 3}, "X is nanometres"),
        ({"x_unit": 77}, "unit number 77"),
        ({"x_unit": 1, "technique": 0, "y_unit": 0}, "may be infrared"),
        ({"x_unit": 1, "technique": 4, "y_unit": 0}, "may be infrared"),
        ({"point_count": 31}, "31 points"),
        ({"point_count": 4_000_000_000}, "4000000000 points"),
        ({"trace_count": TRACES_MAX + 1, "flags": 0x04}, f"{TRACES_MAX + 1} traces"),
        ({"trace_count": 0, "flags": 0x04}, "0 traces"),
        ({"trace_count": 3, "flags": 0x04}, "cut off: trace 2"),
    ],
)
def test_what_is_no_raman_spectrum_or_lies_is_refused_by_name(changes, words):
    with pytest.raises(FormatError, match=words):
        parse_spc(write_spc([AXIS], [LIGHT], **changes))


@pytest.mark.parametrize(
    "changes", [{"technique": 0}, {"x_unit": 1}, {"x_unit": 1, "technique": 0}]
)
def test_raman_is_recognised_by_shift_technique_or_counts(changes):
    (trace,) = parse_spc(write_spc([AXIS], [LIGHT], **changes))
    assert trace.axis_cm1.size == AXIS.size


@pytest.mark.parametrize(
    "axis,light,words",
    [
        (np.full(64, 300.0), LIGHT, "repeats or turns back"),
        (AXIS, np.where(AXIS > 1000.0, np.nan, 1.0), "Y that is no finite number"),
    ],
)
def test_numbers_that_cannot_be_used_are_refused(axis, light, words):
    with pytest.raises(FormatError, match=words):
        parse_spc(write_spc([axis], [light], x_form=ONE_X))


@given(st.integers(0, 10_000), st.sampled_from(["new", "old"]))
def test_a_file_that_is_cut_off_is_refused(size, form):
    whole = write_spc([AXIS] * 2, [LIGHT] * 2) if form == "new" else write_old_spc(AXIS, [LIGHT])
    with pytest.raises(FormatError):
        parse_spc(whole[: size % len(whole)])


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(2, 800), st.integers(0, 255)), min_size=1, max_size=6))
def test_damage_gives_a_spectrum_or_a_format_error(places):
    form = {"x_form": OWN_X, "y_form": "i32", "log": "a=b", "directory": True}
    content = bytearray(write_spc([AXIS] * 2, [LIGHT] * 2, **form))
    for place, value in places:
        content[place] = value
    try:
        traces = parse_spc(bytes(content))
    except FormatError:
        return
    for trace in traces:
        assert np.isfinite(trace.intensity).all()
        assert (np.diff(trace.axis_cm1) > 0.0).all()


@given(st.binary(max_size=700))
def test_any_bytes_give_a_format_error(content):
    with pytest.raises(FormatError):
        parse_spc(content)


def test_text_is_no_spc_file():
    assert not looks_like_spc(b"#Kelvin,intensity\n1,2\n")
    assert not looks_like_spc(b"")
