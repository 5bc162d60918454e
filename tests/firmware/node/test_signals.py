"""Goal: signals are lines a program can split, faults are told once, words are the catalogue's.

Method: a board that keeps what it is given; the lines are split again with `shlex`.
"""

import shlex

import pytest

from gateway import catalogue
from node.signals import Signals, ascii_text
from node.words import LANGUAGES, NAMES, word
from protocol.limits import FAULT_CHARS_MAX


class Console:
    """A board that only shows."""

    def __init__(self):
        self.lamps = []
        self.lines = []
        self.words = []

    def signal(self, lamp, line, shown):
        self.lamps.append(lamp)
        self.lines.append(line)
        self.words.append(shown)


@pytest.fixture
def console():
    return Console()


def test_fields_keep_their_order_and_text_is_quoted(console):
    signals = Signals(console, "fr")
    signals.show("stored", ("seq", 7), ("journal", b"\x01\xab"), ("inspection", ""))
    signals.show("fault", ("what", "x"), ("text", 'port "a b"\nis = gone'))
    assert console.lines[0] == 'signal stored seq=7 journal=01ab inspection=""'
    assert shlex.split(console.lines[1]) == [
        "signal",
        "fault",
        "what=x",
        "text=port 'a b' is = gone",
    ]
    assert console.words == ["enregistré", "panne"]


def test_a_display_shows_the_verdict_itself_and_what_is_only_a_drill(console):
    signals = Signals(console, "es")
    signals.show("verdict", ("outcome", "alarm"), words=("alarm",))
    signals.show("verdict", ("outcome", "alarm"), words=("drill", "alarm"))
    assert console.lines == ["signal verdict outcome=alarm"] * 2
    assert console.words == ["alarma", "simulacro: alarma"]


def test_a_state_comes_back_after_a_moment(console):
    signals = Signals(console, "en")
    signals.again()
    signals.show("ready")
    signals.show("identify")
    signals.again()
    assert console.words == ["ready", "here it is", "ready"]


def test_a_lamp_stands_for_a_state_and_outlasts_the_moments(console):
    signals = Signals(console, "en")
    for name in ("starting", "ready", "measuring", "stored", "published", "sent", "verdict"):
        signals.show(name)
    assert console.lamps == ["", "ready", "measuring", "ready", "ready", "ready", "ready"]
    signals.fault("broker", "away")
    signals.show("measuring")
    signals.show("stored")
    signals.show("stopped")
    assert console.lamps[7:] == ["fault", "measuring", "fault", ""]


def test_a_signal_that_does_not_exist_is_a_fault_of_the_caller(console):
    with pytest.raises(ValueError, match="jubilant"):
        Signals(console, "en").show("jubilant")


def test_a_standing_fault_is_shown_once_and_again_when_somebody_asks(console):
    changes = []
    signals = Signals(console, "en")
    signals.changed = lambda: changes.append(signals.newest())
    signals.fault("broker", "away")
    signals.fault("broker", "away")
    assert len(console.lines) == 1
    signals.fault("broker", "away", repeat=True)
    assert len(console.lines) == 2
    signals.fault("instrument", "gone")
    signals.fault("broker", "still away")
    assert signals.standing("instrument") == "gone"
    signals.clear("broker")
    signals.clear("broker")
    signals.clear("instrument")
    assert changes == [
        "broker: away",
        "instrument: gone",
        "broker: still away",
        "instrument: gone",
        "",
    ]


def test_the_fault_in_a_health_message_is_short_printable_ascii(console):
    signals = Signals(console, "en")
    signals.fault("instrument", "é" * 300)
    assert signals.newest() == "instrument: " + "?" * (FAULT_CHARS_MAX - 12)
    assert ascii_text("a\tb", 2) == "a?"
    assert len(console.lines[0]) < 300


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_are_those_of_the_catalogue(language):
    assert NAMES == catalogue.SIGNALS
    assert LANGUAGES == catalogue.LANGUAGES
    assert [word(name, language) for name in NAMES] == [
        catalogue.translate(name, language) for name in NAMES
    ]


def test_an_unknown_language_gets_english():
    assert word("ready", "xx") == "ready"
