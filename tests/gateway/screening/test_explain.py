"""Goal: every reason has one sentence in each language with all its facts filled in.

Method: a verdict for every reason id with the parameters the rules give it, in all four languages;
and the reasons that the code can give, read from its source, are exactly those with a sentence.
"""

import re
from pathlib import Path

import pytest

from gateway import catalogue
from gateway.screening import judge, rules
from gateway.screening.explain import REASONS, explain, name_of
from gateway.screening.judge import unjudged
from gateway.spectra.library import load_library

LIBRARY = load_library()
PARAMETERS = {
    "listed_found": {"substance_ids": ("acetone",), "lists": ("List A (2026-11-01)",)},
    "listed_family": {"substance_ids": ("acetone", "urea"), "lists": ("List A (2026-11-01)",)},
    "not_separable": {"substance_ids": ("urea",), "lookalike_ids": ("gypsum", "quartz")},
    "listed_possible": {"substance_ids": ("urea",)},
    "drug_found": {"substance_ids": ("cocaine_hcl",)},
    "related_found": {"substance_ids": ("barium_nitrate",)},
    "packaging_only": {"substance_ids": ("ldpe", "pp")},
    "weak_signal": {"snr": 7.5, "snr_min": 20},
    "could_hide": {"substance_ids": ("ammonium_nitrate",)},
    "few_bands": {"band_count": 2},
    "saturated": {"share_percent": 4},
    "range_short": {"low_cm1": 700, "high_cm1": 1800, "substance_ids": ("acetic_anhydride",)},
    "wrong_pixel_count": {"pixel_count": 512, "expected_count": 1024},
    "harmless_found": {"substance_ids": ("sucrose", "starch")},
    "unknown_clear": {"band_count": 9},
}


@pytest.mark.parametrize("language", catalogue.LANGUAGES)
@pytest.mark.parametrize("reason_id", REASONS)
def test_every_reason_is_one_filled_sentence(reason_id, language):
    parameters = PARAMETERS.get(reason_id, {})
    text = explain(unjudged(reason_id, LIBRARY, **parameters), language)
    assert "{" not in text
    assert "_" not in text
    assert len(text) > 40
    for key, value in parameters.items():
        for part in value if isinstance(value, tuple) else (value,):
            shown = name_of(part, language, LIBRARY) if key.endswith("_ids") else str(part)
            assert shown in text or key == "band_count", (shown, text)


def test_languages_differ_and_arabic_is_arabic():
    texts = {explain(unjudged("interrupted", LIBRARY), one) for one in catalogue.LANGUAGES}
    assert len(texts) == 4
    assert re.search("[\u0600-\u06ff]", explain(unjudged("no_signal", LIBRARY), "ar"))
    family = unjudged("listed_family", LIBRARY, **PARAMETERS["listed_family"])
    assert "أسيتون، يوريا" in explain(family, "ar")


def test_alarms_undecided_and_clear_begin_with_their_word():
    for reason_id, sentence in REASONS.items():
        word = sentence.split()[0].rstrip(":")
        kind = {"listed_found": "ALARM", "listed_family": "ALARM", "harmless_found": "CLEAR",
                "unknown_clear": "CLEAR"}.get(reason_id, "INCONCLUSIVE")  # fmt: skip
        assert word == kind, reason_id


def test_the_code_gives_exactly_the_reasons_with_a_sentence():
    given = set()
    for module in (rules, judge):
        source = Path(module.__file__).read_text("utf-8")
        given |= set(re.findall(r'"([a-z_]+)"', source)) & set(REASONS)
    given |= {f"{category}_found" for category in rules.REFER_CATEGORIES}
    # Given by the post when the judge itself fails.
    assert given | {"judgement_failed"} == set(REASONS)


def test_an_unknown_language_is_named():
    with pytest.raises(catalogue.CatalogueError, match="'tlh'"):
        explain(unjudged("interrupted", LIBRARY), "tlh")


def test_no_sentence_claims_a_limit():
    for sentence in REASONS.values():
        assert not re.search("limit|above|exceed", sentence)
