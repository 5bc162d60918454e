"""Goal: signals are lines a program can split, faults are told once, words are the catalogue's.

Method: a board that keeps what it is given; the lines are split again with `shlex`.
"""

import shlex

import pytest

from gateway import catalogue
from node.signals import Signals, ascii_text
from node.words import LANGUAGES, NAMES, plain, word
from protocol.limits import FAULT_CHARS_MAX


class Console:
    """A board that only shows."""

    def __init__(self):
        self.lamps = []
        self.lines = []
        self.words = []
        self.texts = []
        self.logged = []
        self.log = self.logged.append

    def signal(self, lamp, line, shown, text):
        self.lamps.append(lamp)
        self.lines.append(line)
        self.words.append(shown)
        self.texts.append(text)


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
    assert console.words == ["", "ready", "here it is", "ready"]
    assert console.lines[0] == ""  # nothing to tell
    signals.show("measuring")
    signals.show("stored")
    signals.again()
    assert console.words[-1] == "ready"  # the exposure is over


def test_the_lamps_follow_a_reading_to_its_verdict(console):
    signals = Signals(console, "en")
    for name in ("starting", "ready", "measuring", "stored", "published", "sent"):
        signals.show(name)
    assert console.lamps == ["", "ready", "measuring", "ready", "published", "sent"]
    assert console.texts[-2:] == ["sent", "stored at the post"]
    signals.show("verdict", words=("inconclusive",))
    signals.show("measuring")
    signals.show("stored")
    assert console.lamps[6:] == ["inconclusive", "measuring", "ready"]
    signals.fault("broker", "away")
    signals.show("measuring")
    signals.show("stored")
    signals.show("stopped")
    assert console.lamps[9:] == ["fault", "measuring", "fault", ""]


def test_an_alarm_is_lit_until_the_next_exposure_whatever_comes_between(console):
    signals = Signals(console, "en")
    signals.show("ready")
    signals.show("measuring")
    signals.show("verdict", words=("alarm",))  # of the one before
    for name in ("stored", "published", "sent", "ready"):
        signals.show(name)
    signals.fault("broker", "away")
    signals.clear("broker")
    assert set(console.lamps[2:]) == {"alarm"}
    assert set(console.texts[2:]) == {"alarm"}
    signals.show("measuring")
    assert console.lamps[-1] == "measuring"
    signals.show("verdict", words=("drill", "alarm"))
    assert (console.lamps[-1], console.texts[-1]) == ("alarm", "drill: alarm")


def test_a_fault_that_is_over_is_shown_no_more(console):
    signals = Signals(console, "en")
    signals.show("ready", ("instrument", "X"))
    signals.fault("broker", "away")
    signals.fault("journal", "full")
    signals.clear("journal")
    assert (console.lamps[-1], console.lines[-1]) == ("fault", "")
    assert console.texts[-1] == "fault\nbroker: away"
    signals.clear("broker")
    assert (console.lamps[-1], console.lines[-1]) == ("ready", "signal ready instrument=X")
    signals.show("identify", ("seconds", 10))
    signals.again()
    assert (console.lamps[-1], console.texts[-1]) == ("ready", "ready")
    assert sum("fault" in line for line in console.lines) == 2


def test_ready_is_not_lit_over_a_standing_fault(console):
    signals = Signals(console, "fr")
    signals.fault("journal", "full; see to the link")
    signals.show("ready", ("instrument", "X"))
    assert console.lamps == ["fault", "fault"]
    assert console.texts[-1] == "panne\njournal: full; see to the link"
    signals.show("identify")
    assert console.texts[-1] == "c'est ici"
    signals.again()
    assert console.lamps[-1] == "fault"


def test_an_instrument_that_fails_is_neither_measuring_nor_ready(console):
    signals = Signals(console, "en")
    signals.show("ready")
    signals.show("measuring")
    signals.fault("instrument", "gone")
    assert console.lamps[-1] == "fault"
    signals.clear("instrument")
    assert console.lamps[-1] == console.lines[-1] == ""  # until it is identified
    signals.show("ready")
    assert console.lamps[-1] == "ready"


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
    assert len(console.lines) == 2  # and the word, for all to see
    assert console.words == ["fault", "fault"]
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


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_display_of_ascii_letters_shows_every_word(language):
    for name in NAMES:
        shown = plain(name, language)
        assert shown.isascii()
        assert len(shown) == len(word(name, "en" if language == "ar" else language))
    assert plain("measuring", "fr") == "mesure en cours"
    assert plain("fault", "es") == "averia"
    assert plain("alarm", "ar") == "alarm"  # no letters for it: told in docs/node.md


def test_an_unknown_language_gets_english():
    assert word("ready", "xx") == "ready"


def test_a_misread_is_shown_over_faults_until_something_is_read(console):
    signals = Signals(console, "fr")
    signals.fault("broker", "away")
    signals.show("reread", ("what", "document"))
    assert (console.lamps[-1], console.texts[-1]) == ("reread", "relisez")
    signals.show("sent", ("seq", 1))  # of an earlier record
    assert (console.lamps[-1], console.texts[-1]) == ("reread", "relisez")
    signals.show("reread", ("what", "document"))
    assert console.lamps[-2:] == ["", "reread"]  # a buzzer sounds anew
    signals.show("measuring")  # meanwhile
    assert console.lamps[-1] == "measuring"
    signals.show("stored", ("seq", 2))
    assert (console.lamps[-1], console.texts[-1]) == ("reread", "relisez")
    signals.forget("published")
    assert console.lamps[-1] == "reread"
    signals.forget("reread")
    assert console.lamps[-1] == "fault"


def test_an_alarm_gives_way_to_no_misread(console):
    signals = Signals(console, "en")
    signals.show("verdict", words=("alarm",))
    signals.show("reread", ("what", "document"))
    assert (console.lamps[-1], console.texts[-1]) == ("alarm", "alarm")
    assert console.lines[-1] == "signal reread what=document"


def test_a_fault_that_is_shown_is_in_the_log_in_whole_and_again_when_the_log_forgot_it(console):
    signals = Signals(console, "en")
    text = "overload: too much lies on the scale on /dev/ttyUSB1; " * 6
    signals.fault("mt_sics", text)
    signals.fault("mt_sics", text, repeat=True)
    signals.fault("acquire", "the log has it", is_logged=True)
    line = "fault of mt_sics: " + text
    assert console.logged == [line]
    signals.remind(b"1.5 %s\n2.5 task acquire failed: the log has it\n" % line.encode())
    assert console.logged == [line]
    signals.remind(b"9.5 something else\n")
    assert console.logged[1:] == [line, "fault of acquire: the log has it"]
    signals.clear("mt_sics")
    signals.clear("acquire")
    signals.remind(b"")
    assert len(console.logged) == 3
