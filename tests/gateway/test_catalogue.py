"""Goal: every sentence and every word of a node exists in all four languages, facts and all.

Method: read the .po files as they are and compare msgids and placeholders; load them as the gateway
does and compare with the code that asks for them.
"""

import re
import string
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

import gateway
from gateway.catalogue import DOMAIN, LANGUAGES, SIGNALS, CatalogueError, translate, translations
from gateway.identify import WORDS as TABLE_WORDS
from gateway.screening.account import LINES, NOTES
from gateway.screening.explain import REASONS, WORDS
from gateway.screening.picture import LABELS

MSGIDS = (
    set(REASONS.values())
    | {msgid for words in WORDS.values() for msgid in words.values()}
    | set(LINES.values())
    | set(NOTES.values())
    | set(TABLE_WORDS.values())
    | set(LABELS.values())
    | set(SIGNALS)
)
FOLDER = Path(gateway.__file__).parent / "locale"


def entries(language):
    with (FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.po").open("rb") as source:
        catalogue = read_po(source, locale=language, abort_invalid=True)
    assert str(catalogue.locale) == language
    return {message.id: message.string for message in catalogue if message.id}


def placeholders(text):
    return sorted(field for _, field, _, _ in string.Formatter().parse(text) if field)


def test_there_are_four_languages_and_no_compiled_files():
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(LANGUAGES)
    assert not list(FOLDER.rglob("*.mo"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_msgid_is_translated_with_its_placeholders(language):
    found = entries(language)
    assert set(found) == MSGIDS
    for msgid, text in found.items():
        assert text.strip(), msgid
        assert placeholders(text) == placeholders(msgid), msgid
        if language != "en" and msgid not in SIGNALS:
            assert text != msgid


def test_arabic_has_its_own_letters_and_punctuation():
    for msgid, text in entries("ar").items():
        bare = re.sub(r"\{\w+\}|--[a-z-]+(?: nm)?|cm-1|1064 nm|0\.9", "", text)
        assert re.search("[\u0600-\u06ff]", bare), msgid
        assert not re.search("[,;?a-zA-Z]", bare), text
        assert text.endswith(".") == msgid.endswith("."), text


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_end_like_their_msgids_and_have_no_stray_blanks(language):
    for msgid, text in entries(language).items():
        assert text.endswith(".") == msgid.endswith("."), text
        assert text == text.strip()
        assert "  " not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_gateway_reads_what_the_translator_wrote(language):
    for msgid, text in entries(language).items():
        assert translate(msgid, language) == text
    assert translate("a sentence nobody wrote", language) == "a sentence nobody wrote"


def test_the_words_of_a_node():
    assert translate("sent", "en") == "stored at the post"  # only then is it safe from the node
    assert len({translate("fault", language) for language in LANGUAGES}) == 4


def test_catalogues_are_read_once():
    assert translations("fr") is translations("fr")


@pytest.mark.parametrize("language", ["de", "", "../en", "EN"])
def test_an_unknown_language_is_refused(language):
    with pytest.raises(CatalogueError, match="choose one of en, fr, ar, es"):
        translations(language)
