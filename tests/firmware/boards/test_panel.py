"""Goal: a board shows ready, measuring, sent, stored at the post, each verdict and a fault apart.

Method: lamps, buzzer and display in a real MicroPython, driven by the node's own signals; `machine`
is a stand-in that records pins and what an SSD1306 would show, whose letters are read back.
"""

import ast

import pytest

from node.signals import LAMPS
from node.words import LANGUAGES, plain

STEPS = ("ready", "measuring", "published", "sent", "clear", "inconclusive")


@pytest.fixture
def told(run_story):
    """What the story says, by the first words of its lines."""
    return [line.partition(" ")[::2] for line in run_story("panel_story.py")]


def find(told, *first):
    name, *more = first
    start = "".join(f"{word} " for word in more)
    return next(
        rest.removeprefix(start) for n, rest in told if n == name and rest.startswith(start)
    )


def seen(text):
    """Return (what is lit and sounds in each second, rows of the display)."""
    return ast.literal_eval(text.replace("] [", "], ["))


def test_every_lamp_that_the_node_names_has_a_pattern(repository_path):
    tree = ast.parse((repository_path / "firmware/boards/panel.py").read_text())
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    values = {node.targets[0].id: node.value for node in assigned}
    assert tuple(ast.literal_eval(values["PATTERNS"])) == LAMPS


def test_each_step_of_a_reading_looks_different_and_has_its_word(told):
    for language in LANGUAGES:
        shown = [seen(find(told, language, step)) for step in STEPS]
        assert len({tuple(lamps[:2]) for lamps, _ in shown}) == len(STEPS)
        words = [" ".join(rows) for _, rows in shown]
        assert words == [plain(step, language) for step in STEPS]


def test_an_alarm_is_seen_and_heard_for_ten_seconds_whatever_comes(told):
    lamps, rows = seen(find(told, "alarm"))
    assert lamps == ["mf!", ""] * 4 + ["mf!"]
    assert rows == ["drill: alarm"]
    lamps, rows = seen(find(told, "after"))
    assert lamps[1:] == ["r", "r"]  # the newest of what came meanwhile
    assert rows == ["stored"]


def test_a_fault_says_itself_beeps_once_and_goes_when_it_is_over(told):
    lamps, rows = seen(find(told, "fault"))
    assert lamps == ["f!", "f", "f"]
    assert rows[0] == "averia"
    assert " ".join(rows[1:]).startswith("broker: 127.0.0.1:8883 cannot be reached; is the gateway")
    assert seen(find(told, "stands")) == (["f", "f"], rows)
    assert seen(find(told, "cleared")) == (["r", "r"], ["listo"])
    assert (find(told, "blink"), find(told, "again")) == ("rmf", "r")


def test_a_display_that_does_not_answer_is_told_once_and_found_again(told):
    lamp, _, log = find(told, "none").partition(" ")
    assert lamp == "m"
    assert len(ast.literal_eval(log)) == 1
    assert find(told, "found") == "['measuring']"
    assert find(told, "bare") == "[]"  # neither buzzer nor display: nothing to tell
    assert ("bus", "0 21 20 400000") in told
