"""Goal: a sample is described once, checked completely, and gives the light it should.

Method: the one-line form, TOML tables and files, good and bad; then scenes through the true optics
of one instrument, looked at band by band. Errors must name the thing and the remedy.
"""

from dataclasses import replace

import numpy as np
import pytest

from gateway.spectra.library import load_library
from simulators.errors import WorldError
from simulators.light import compose_scene
from simulators.measured import read_measured
from simulators.spectrometer.models import MODELS, build_unit
from simulators.world import (
    CONTAINERS,
    Component,
    Sample,
    check_sample,
    mix,
    parse_fraction,
    parse_sample,
)


@pytest.fixture(scope="module")
def optics():
    return build_unit(MODELS["ventana_785"], 0).optics


@pytest.fixture(scope="module")
def light(substances, optics):
    """Light of a sample per milliwatt, without the instrument's response: shape (n_pixel,)."""

    def light(text, **changes):
        sample = replace(parse_sample(text, substances), **changes)
        return compose_scene(sample, optics, substances).laser_rate / optics.throughput

    return light


def height(curve, axis_cm1, shift_cm1):
    """Height of the band nearest to a shift above a straight line beside it."""
    near = np.abs(axis_cm1 - shift_cm1) < 7
    left = np.interp(shift_cm1 - 28, axis_cm1, curve)
    right = np.interp(shift_cm1 + 28, axis_cm1, curve)
    return curve[near].max() - (left + right) / 2


# ---------------------------------------------------------------------------------------- one line


@pytest.mark.parametrize(
    "text, label",
    [
        ("empty", "empty"),
        ("empty in glass", "empty in glass"),
        ("urea", "urea"),
        ("  urea  in  ldpe ", "urea in ldpe"),
        (
            "potassium_chlorate=0.6 + sucrose=0.4 in ldpe",
            "potassium_chlorate=0.6 + sucrose=0.4 in ldpe",
        ),
        ("potassium_chlorate+sucrose", "potassium_chlorate=0.5 + sucrose=0.5"),
        ("urea=0.2 + sucrose + glucose", "urea=0.2 + sucrose=0.4 + glucose=0.4"),
    ],
)
def test_reads_the_one_line_form_and_writes_it(substances, text, label):
    sample = parse_sample(text, substances)
    assert sample.label == label
    assert parse_sample(sample.label, substances) == sample


def test_options_follow_the_sample(substances):
    sample = parse_sample("urea in pp fluorescence=1.5 seed=42", substances)
    assert (sample.container, sample.fluorescence, sample.seed) == ("pp", 1.5, 42)
    assert parse_sample("urea", substances).fluorescence > 0
    assert parse_sample("empty", substances).fluorescence == 0


@pytest.mark.parametrize(
    "text, words",
    [
        ("ammonium_nitrat", ["ammonium_nitrat'", "did you mean ammonium_nitrate"]),
        ("chlorate", ["'chlorate'", "potassium_chlorate", "sodium_chlorate"]),
        ("qqqq", ["'qqqq'", "--list-samples"]),
        ("urea in bucket", ["'bucket'", "ldpe"]),
        ("urea=0.5 + sucrose=0.2", ["0.7", "sodium_chloride"]),
        ("urea=1 + sucrose", ["sucrose", "no fraction"]),
        ("urea=0 + sucrose=1", ["urea", "above 0"]),
        ("urea=x + sucrose", ["cannot read the sample"]),
        ("urea=1.e + sucrose", ["'1.e'", "urea", "not a number"]),
        ("", ["cannot read the sample", "'empty'"]),
        ("urea +", ["cannot read the sample"]),
        ("Urea!", ["cannot read the sample"]),
        ("urea fluorescence=-1", ["-1", "outside 0..20"]),
        ("urea fluorescence=nan", ["nan", "finite"]),
        ("urea seed=-1", ["seed '-1'"]),
        ("urea " * 200, ["1000 characters"]),
        (" + ".join(["urea=0.1"] * 9 + ["sucrose"]), ["10 components", "at most 8"]),
        ("measured /nowhere/spectrum.csv", ["/nowhere/spectrum.csv", "No such file"]),
    ],
)
def test_bad_text_names_the_thing_and_the_remedy(substances, text, words):
    with pytest.raises(WorldError) as caught:
        parse_sample(text, substances)
    for word in words:
        assert word in str(caught.value)


def test_mix_shares_what_is_left():
    assert mix([("urea", None), ("sucrose", 0.3)]) == (
        Component("urea", 0.7),
        Component("sucrose", 0.3),
    )
    assert parse_fraction("sucrose=0.3") == ("sucrose", 0.3)
    with pytest.raises(WorldError, match="write SUBSTANCE=FRACTION"):
        parse_fraction("sucrose")


# ------------------------------------------------------------------------------------- TOML tables


def test_a_spectrum_is_read_from_files_only(substances):
    for path in ("/dev/zero", "/dev/null", "/"):  # which never end, or hold nothing
        with pytest.raises(WorldError, match="is no file"):
            parse_sample(f"measured {path}", substances)
    with pytest.raises(WorldError, match="is not text"):
        parse_sample("measured a\0b", substances)


def test_measured_and_components_exclude_each_other(substances, tmp_path):
    (tmp_path / "a.csv").write_text("".join(f"{x},{x}\n" for x in range(300, 340)))
    measured = read_measured(tmp_path / "a.csv")
    with pytest.raises(WorldError, match="replayed alone"):
        check_sample(Sample((Component("urea", 1.0),), measured=measured), substances)


# ---------------------------------------------------------------------------------- measured files


def test_reads_files_with_and_without_header_and_clips(tmp_path):
    rows = "".join(f"{300 + i},{i - 2}\n" for i in range(20))
    for name, text in {
        "plain.csv": rows,
        "head.csv": "raman_shift_cm1,intensity\n" + rows,
        "bom.csv": "\ufeff# measured in spring\nshift,counts\n" + rows,
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        measured = read_measured(tmp_path / name)
        assert measured.name == name
        assert measured.shift_cm1[0] == 300.0
        assert measured.intensity[:3].tolist() == [0.0, 0.0, 0.0]
        assert measured.intensity.max() == 1.0


@pytest.mark.parametrize(
    "content, words",
    [
        (b"300,1\n301,2\n", "fewer than 8"),
        (b"", "fewer than 8"),
        (b"x,y\nx,y\n", "row 2 is"),
        (b"300,1\n301\n", "row 2 is"),
        (b"\xff\xfe\x00\x01", "not text"),
        (b'"' + b"x" * 200_000, "not text"),
        ("".join(f"{300 - i},{i}\n" for i in range(20)).encode(), "must increase"),
        ("".join(f"{300 + i},nan\n" for i in range(20)).encode(), "finite"),
        ("".join(f"{300 + i},-{i}\n" for i in range(20)).encode(), "no value above 0"),
        (b"0" * (8 * 1024 * 1024 + 1), "larger than"),
    ],
)
def test_bad_files_are_named(tmp_path, content, words):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(WorldError, match=words) as caught:
        read_measured(path)
    assert "bad.csv" in str(caught.value)


# ------------------------------------------------------------------------------------------ scenes


def test_the_library_is_the_projects_own(substances):
    library = load_library()
    assert substances.keys() == library.substances.keys()
    assert len(substances["urea"].bands) == len(library["urea"].bands)
    assert substances["aluminium_powder"].bands == ()


def test_a_weak_scatterer_gives_little_light(light):
    assert 0 < light("water", fluorescence=0.0).max() < 0.3 * light("urea").max()


def test_bands_stand_where_the_table_has_them(light, optics, substances):
    curve = light("ammonium_nitrate")
    axis_cm1 = optics.axis_cm1
    assert axis_cm1[curve.argmax()] == pytest.approx(1043, abs=4)
    assert height(curve, axis_cm1, 715) > 10 * abs(height(curve, axis_cm1, 850))


def test_a_real_sample_deviates_from_the_table_and_its_seed_repeats_it(light):
    first, again, other = (light("sucrose", seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert not np.allclose(first / first.max(), other / other.max(), atol=0.02)


def test_a_mixture_is_the_weighted_sum(light, optics):
    axis_cm1 = optics.axis_cm1
    pure = height(light("potassium_nitrate"), axis_cm1, 1050)
    mixed = height(light("potassium_nitrate=0.3 + sodium_chloride=0.7"), axis_cm1, 1050)
    # Coupling differs between samples by 12 % one sigma.
    assert mixed / pure == pytest.approx(0.3, rel=0.5)
    assert height(light("potassium_nitrate=0.5 + sulfur=0.5"), axis_cm1, 473) > 0.2 * pure


@pytest.mark.parametrize("name", ["sodium_chloride", "aluminium_powder", "magnesium_powder"])
def test_the_inactive_give_no_bands(light, optics, name):
    # The same seed and label apart, what differs from the empty holder is smooth.
    difference = light(name) - light("empty")
    assert np.abs(np.diff(difference, 2)).max() < 1e-3 * difference.max()


def test_an_empty_holder_gives_a_trace_of_optics_and_stray_light(substances, optics):
    empty = compose_scene(Sample(), optics, substances)
    full = compose_scene(parse_sample("sucrose", substances), optics, substances)
    assert 0 < empty.laser_rate.max() < 0.03 * full.laser_rate.max()
    assert empty.ambient_rate.max() > 0
    assert (empty.ambient_rate == full.ambient_rate).all()


@pytest.mark.parametrize(
    "container, shift_cm1", [("ldpe", 1129), ("ldpe", 1295), ("pp", 841), ("pet", 1727)]
)
def test_a_wall_takes_light_and_adds_its_own_bands(light, optics, container, shift_cm1):
    axis_cm1 = optics.axis_cm1
    assert height(light(f"empty in {container}"), axis_cm1, shift_cm1) > 20


@pytest.mark.parametrize("container", [name for name in CONTAINERS if name != "none"])
def test_a_wall_passes_its_part_of_the_light(light, optics, container):
    # How well the probe is held differs from sample to sample: the middle of many is the wall's.
    bare, packed = (
        np.median([height(light(text, seed=n), optics.axis_cm1, 1043) for n in range(25)])
        for text in ("ammonium_nitrate", f"ammonium_nitrate in {container}")
    )
    assert packed / bare == pytest.approx(CONTAINERS[container].transmission, rel=0.12)


def test_glass_adds_a_broad_hump_near_1390(light, optics):
    hump = light("empty in amber_glass") - light("empty")
    assert optics.axis_cm1[hump.argmax()] == pytest.approx(1390, abs=5)
    above = optics.axis_cm1[hump > hump.max() / 2]
    assert above[-1] - above[0] > 300


def test_fluorescence_lifts_the_background_not_the_bands(light, optics):
    clean, dirty = light("urea", fluorescence=0.0), light("urea", fluorescence=2.0)
    assert np.median(dirty) > np.median(clean) + 500
    axis_cm1 = optics.axis_cm1
    assert height(dirty, axis_cm1, 1011) == pytest.approx(height(clean, axis_cm1, 1011), rel=0.02)


def test_a_replayed_spectrum_comes_back_at_the_pixels(substances, optics, tmp_path):
    shift = np.arange(400.0, 1800.0)
    intensity = 100 + 900 * np.exp(-0.5 * ((shift - 1000) / 5) ** 2)
    path = tmp_path / "measured.csv"
    np.savetxt(path, np.column_stack([shift, intensity]), delimiter=",")
    sample = parse_sample(f"measured {path}", substances)
    scene = compose_scene(sample, optics, substances)
    background = compose_scene(Sample(), optics, substances).laser_rate
    seen = (scene.laser_rate - background) / optics.pixel_gain
    axis_cm1 = optics.axis_cm1
    assert axis_cm1[seen.argmax()] == pytest.approx(1000, abs=2)
    expected = np.interp(axis_cm1, shift, intensity) / 1000
    assert np.allclose(seen / seen.max(), expected / expected.max(), atol=1e-6)
    assert seen[0] == pytest.approx(seen.max() * 0.1, rel=0.01)
    assert len(scene.notes) == 1
    assert "measured.csv covers 400..1799" in scene.notes[0]
    assert "continued flat" in scene.notes[0]


def test_magnitudes_of_a_strong_organic(substances, optics):
    # 400 ms at 100 mW: a few 10^4 counts at the top band, far below saturation, over most seeds.
    model = MODELS["ventana_785"]
    tops = []
    for seed in range(12):
        sample = replace(parse_sample("acetone", substances), seed=seed)
        scene = compose_scene(sample, optics, substances)
        electrons = scene.laser_rate * model.laser_mw_max * 0.4
        tops.append(electrons.max() / model.detector.electrons_per_count)
    assert 15_000 < np.median(tops) < 50_000
