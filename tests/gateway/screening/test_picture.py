"""Goal: the picture shows what the verdict holds, in every language, also without colour.

Method: pictures of measured and made-up verdicts read back by an XML parser: curves against the
trace's numbers, names of bands against the verdict's, marks and dashes, direction of Arabic text,
size of the file, no forbidden characters. How it looks was checked by eye through a renderer, also
in shades of grey.
"""

from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalogue import LANGUAGES
from gateway.identify import judge_spectrum
from gateway.screening.account import library_line, quality_line
from gateway.screening.explain import explain, name_of
from gateway.screening.judge import unjudged
from gateway.screening.picture import (
    COLOURS,
    COMPONENTS_DRAWN_MAX,
    DASHES,
    LEFT_PX,
    NAME_PX,
    RIGHT_PX,
    _apart,
    draw,
)
from gateway.screening.svg import THINNED_PX, printable, thinned, wrapped
from gateway.screening.watchlists import load_watchlists
from gateway.spectra.identification import Trace
from gateway.spectra.library import load_library
from simulators.forward import World, measure

LIBRARY = load_library()
LISTS = load_watchlists()
SVG = "{http://www.w3.org/2000/svg}"
BYTES_MAX = 300_000
ISOLATES = str.maketrans("", "", "\u2066\u2067\u2068\u2069")


def judged(mixture, seed=1, snr=200.0, container="none", fluorescence=1.0):
    rng = np.random.default_rng([61, seed])
    world = World(fluorescence=fluorescence)
    spectrum = measure(LIBRARY, mixture, snr, rng, world, container)
    return judge_spectrum(spectrum, LIBRARY, LISTS)[:2]


def drawn(verdict, trace, language="en", title="sample 7.csv"):
    text = draw(verdict, trace, LIBRARY, language, title)
    assert len(text.encode()) < BYTES_MAX
    return ET.fromstring(text)


def texts(root):
    return [("".join(node.itertext())).translate(ISOLATES) for node in root.iter(f"{SVG}text")]


def points(root, name):
    [node] = [node for node in root.iter(f"{SVG}polyline") if node.get("id") == name]
    return np.array([[float(v) for v in pair.split(",")] for pair in node.get("points").split()])


MIXTURE = {"sucrose": 1.0, "ammonium_nitrate": 0.8}


def test_all_curves_are_there_and_follow_the_numbers():
    verdict, trace = judged(MIXTURE, seed=2, container="pp")
    root = drawn(verdict, trace)
    names = {node.get("id") for node in root.iter(f"{SVG}polyline")} - {None}
    parts = {f"component-{name}" for name in trace.components}
    assert names == {"spectrum", "background", "fit", "signal"} | parts
    assert parts >= {"component-sucrose", "component-ammonium_nitrate"}
    for name, light in (
        ("spectrum", trace.intensity),
        ("signal", trace.intensity - trace.background),
        ("component-sucrose", trace.components["sucrose"]),
    ):
        line = points(root, name)
        x = LEFT_PX + (RIGHT_PX - LEFT_PX) * (trace.axis_cm1 - trace.axis_cm1[0]) / np.ptp(
            trace.axis_cm1
        )
        shown = np.interp(x, line[:, 0], line[:, 1])
        # Up on the paper is down in numbers; the shape is the same to a fraction of a pixel.
        assert np.corrcoef(shown, -light)[0, 1] > 0.9999, name
        assert line[:, 0].min() == pytest.approx(LEFT_PX, abs=0.1)
        assert line[:, 0].max() == pytest.approx(RIGHT_PX, abs=0.1)


def test_bands_are_named_by_kind_and_component():
    verdict, trace = judged(MIXTURE, seed=4)
    root = drawn(verdict, trace)
    letters = dict(zip(trace.components, "ABCDEF", strict=False))
    wanted = {"found": [], "missing": [], "unexplained": []}
    for hit in verdict.hits:
        for band in hit.bands:
            if band.state in ("found", "missing"):
                shift = band.shift_cm1 if band.measured_cm1 is None else band.measured_cm1
                wanted[band.state].append(f"{shift:.0f}{letters[hit.substance_id]}")
    wanted["unexplained"] = [f"{shift:.0f}" for shift in verdict.unexplained_cm1]
    assert wanted["found"]
    for kind, names in wanted.items():
        shown = [
            node.text for node in root.iter(f"{SVG}text") if node.get("class") == f"band {kind}"
        ]
        assert sorted(shown) == sorted(names), kind
    legend = texts(root)
    for name, letter in letters.items():
        assert f"{letter}: {LIBRARY[name].names['en']}" in legend


def test_nothing_is_told_by_colour_alone():
    assert len(set(DASHES)) == len(DASHES) == len(COLOURS) == COMPONENTS_DRAWN_MAX
    verdict, trace = judged(MIXTURE)
    root = drawn(verdict, trace)
    dashes = {
        node.get("stroke-dasharray")
        for node in root.iter(f"{SVG}polyline")
        if (node.get("id") or "").startswith("component-")
    }
    assert len(dashes) == len(trace.components)
    # Marks of the kinds differ by shape: triangle, diamond; a missing band is crossed out.
    shapes = {
        node.get("class"): len(node.get("points").split()) for node in root.iter(f"{SVG}polygon")
    }
    assert shapes["mark found"] == 3
    assert shapes["mark unexplained"] == 4


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_are_those_of_the_language(language):
    verdict, trace = judged({"urea": 1.0})
    root = drawn(verdict, trace, language)
    assert root.get("lang") == language
    whole = " ".join(" ".join(texts(root)).split())
    for words in (
        explain(verdict, language, LIBRARY),
        quality_line(verdict, language),
        library_line(verdict, language),
    ):
        assert " ".join(words.translate(ISOLATES).split()) in whole
    assert name_of("urea", language, LIBRARY) in whole
    assert "sample 7.csv" in whole
    description = root.find(f"{SVG}desc")
    assert description is not None
    assert description.text == explain(verdict, language, LIBRARY)


def test_arabic_runs_from_the_right():
    verdict, trace = judged({"urea": 1.0})
    for language in ("ar", "fr"):
        root = drawn(verdict, trace, language)
        for node in root.iter(f"{SVG}text"):
            text = node.text
            assert (text[0] == "\u2067" and text[-1] == "\u2069") == (language == "ar")
            # Whatever is opened in a line is closed in it.
            assert sum(text.count(mark) for mark in "\u2066\u2067\u2068") == text.count("\u2069")
        sentence = [node for node in root.iter(f"{SVG}text") if node.get("font-size") == "16"]
        assert {node.get("text-anchor") for node in sentence} == {
            "end" if language == "ar" else "start"
        }


@pytest.mark.parametrize("verdict_of", [
    lambda: judged({}, snr=30.0),
    lambda: judged({"urea": 1.0}, snr=12.0, fluorescence=20.0),
    lambda: judged(dict.fromkeys(("sucrose", "paracetamol", "calcite", "lactose_h2o"), 1.0)),
])  # fmt: skip
def test_empty_noisy_and_crowded_pictures_stay_light_and_whole(verdict_of):
    verdict, trace = verdict_of()
    root = drawn(verdict, trace)
    height = float(root.get("height"))
    for node in root.iter(f"{SVG}text"):
        assert 0.0 <= float(node.get("x")) <= 1000.0
        assert 0.0 <= float(node.get("y")) <= height
    for node in root.iter(f"{SVG}polyline"):
        pairs = np.array([[float(v) for v in p.split(",")] for p in node.get("points").split()])
        assert (pairs >= 0.0).all()
        assert (pairs[:, 1] <= height).all()


def test_what_was_refused_is_drawn_as_it_is():
    axis = np.linspace(400.0, 4000.0, 1868)
    light = np.full(axis.shape, 98.0)
    trace = Trace(axis, light, light, np.zeros_like(light), {})
    root = drawn(unjudged("not_raman", LIBRARY, why="transmittance"), trace)
    assert "fit" not in {node.get("id") for node in root.iter(f"{SVG}polyline")}


def test_a_hundred_thousand_noisy_points_stay_a_light_file():
    rng = np.random.default_rng(1)
    axis = np.linspace(200.0, 2400.0, 1101)
    light = rng.normal(0.0, 1.0, axis.size)
    many = {name: rng.normal(0.0, 1.0, axis.size) for name in LIBRARY.active_ids[:9]}
    verdict, _ = judged({"urea": 1.0})
    drawn(verdict, Trace(axis, light, light, light, many))


@given(st.text(max_size=60))
def test_any_file_name_gives_readable_xml(title):
    root = drawn(*DRAWN_ONCE, title=title)
    assert root.tag == f"{SVG}svg"


DRAWN_ONCE = judged({"urea": 1.0})


@given(st.lists(st.floats(0.0, 800.0), max_size=90))
def test_names_never_touch_and_stay_inside(places):
    moved = _apart(sorted(LEFT_PX + place for place in places))
    assert all(b - a >= NAME_PX - 1e-9 for a, b in pairwise(moved))
    assert all(LEFT_PX - 4.0 <= place <= RIGHT_PX for place in moved)


@given(st.lists(st.floats(-50.0, 50.0), min_size=2, max_size=80))
def test_left_out_points_are_not_seen(heights):
    y = np.array(heights)
    x = np.arange(y.size, dtype=float)
    keep = thinned(x, y)
    assert keep[0] == 0
    assert keep[-1] == y.size - 1
    assert np.abs(np.interp(x, x[keep], y[keep]) - y).max() <= 2.0 * THINNED_PX + 1e-9


def test_a_straight_line_needs_two_points():
    x = np.arange(1000.0)
    assert thinned(x, 3.0 + 0.5 * x).tolist() == [0, 999]


@given(st.text(max_size=300), st.floats(100.0, 900.0))
def test_wrapping_loses_no_word(words, width):
    rows = wrapped(words, width, 12.0)
    joined = " ".join(rows).replace("\u00a0", " ")
    assert joined.split() == printable(words).split()
