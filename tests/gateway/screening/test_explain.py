"""Goal: every reason has one sentence in each language with all its facts filled in.

Method: a verdict for every reason id with the parameters the rules give it, in all four languages,
and with any parameters by Hypothesis; the reasons that the code can give, read from its source, are
exactly those with a sentence; and the punctuation is that of the language.
"""

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway
from gateway import catalogue
from gateway.screening import rules
from gateway.screening.explain import REASONS, WORDS, explain, name_of
from gateway.screening.judge import unjudged
from gateway.screening.standing import INSTRUMENT_FAULTS, UNJUDGEABLE
from gateway.spectra.calibrate import FAULTS
from gateway.spectra.library import load_library
from tests.gateway.library.national import NAMES

LIBRARY = load_library()
PARAMETERS = {
    "listed_found": {"substance_ids": ("acetone",), "lists": ("List A (2026-11-01)",)},
    "listed_family": {"substance_ids": ("acetone", "urea"), "lists": ("List A (2026-11-01)",)},
    "not_separable": {"substance_ids": ("urea",), "lookalike_ids": ("gypsum", "quartz")},
    "listed_possible": {"substance_ids": ("urea",)},
    "exposure_listed": {
        "substance_ids": ("urea",),
        "lists": ("List A (2026-11-01)",),
        "exposure_number": 3,
    },
    "drug_found": {"substance_ids": ("cocaine_hcl",)},
    "related_found": {"substance_ids": ("barium_nitrate",)},
    "packaging_only": {"substance_ids": ("ldpe", "pp")},
    "weak_signal": {"snr": 7.5, "snr_min": 20},
    "could_hide": {"substance_ids": ("ammonium_nitrate",)},
    "fringes": {"share_percent": 2.1},
    "few_bands": {"band_count": 2},
    "saturated": {"share_percent": 4},
    "range_short": {"low_cm1": 700, "high_cm1": 1800, "substance_ids": ("acetic_anhydride",)},
    "wrong_pixel_count": {"pixel_count": 512, "expected_count": 1024},
    "harmless_found": {"substance_ids": ("sucrose", "starch")},
    "not_calibrated": {"instrument": "Ventana 785 no. 7", "standard": "polystyrene"},
    "calibration_expired": {"age_days": 41, "age_days_max": 30, "standard": "cyclohexane"},
    "calibration_failed": {"fault": "wrong_material"},
    "calibration_foreign": {
        "calibrated": "Ventana 785 no. 7",
        "measured": "Ventana 785 no. 8",
        "standard": "polystyrene",
    },
    "uncalibrated_listed": {
        "substance_ids": ("acetone",),
        "lists": ("List A (2026-11-01)",),
        "why": "calibration_expired",
    },
    "not_raman": {"why": "transmittance"},
    "negative": {"share_percent": 38},
    "dark_high": {"share_percent": 46},
    "fluorescence": {"share_percent": 97},
    "resolution_poor": {"resolution_cm1": 21, "resolution_max_cm1": 16},
    "cosmic_rays": {"spike_count": 44},
    "covered": {"substance_ids": ("ammonium_nitrate",)},
    "axis_off": {"offset_cm1": -6},
    "dead_pixels": {"pixel_count": 12},
    "step": {"shift_cm1": 1201},
    "unknown_clear": {"band_count": 9},
}


@pytest.mark.parametrize("language", catalogue.LANGUAGES)
@pytest.mark.parametrize("reason_id", REASONS)
def test_every_reason_is_one_filled_sentence(reason_id, language):
    parameters = PARAMETERS.get(reason_id, {})
    text = explain(unjudged(reason_id, LIBRARY, **parameters), language, LIBRARY)
    assert "{" not in text
    assert "_" not in text
    assert len(text) > 40
    for key, value in parameters.items():
        for part in value if isinstance(value, tuple) else (value,):
            named = key.endswith("_ids") or key == "standard"
            shown = name_of(part, language, LIBRARY) if named else str(part)
            if part in WORDS.get(key, {}):
                shown = catalogue.translate(WORDS[key][part], language)
            assert shown in text or key == "band_count", (shown, text)


def test_languages_differ_and_arabic_is_arabic():
    texts = {explain(unjudged("interrupted", LIBRARY), one, LIBRARY) for one in catalogue.LANGUAGES}
    assert len(texts) == 4
    assert re.search("[\u0600-\u06ff]", explain(unjudged("no_signal", LIBRARY), "ar", LIBRARY))
    family = unjudged("listed_family", LIBRARY, **PARAMETERS["listed_family"])
    assert "أسيتون، يوريا" in explain(family, "ar", LIBRARY)


def test_alarms_undecided_and_clear_begin_with_their_word():
    for reason_id, sentence in REASONS.items():
        word = sentence.split()[0].rstrip(":")
        kind = {"listed_found": "ALARM", "listed_family": "ALARM", "harmless_found": "CLEAR",
                "unknown_clear": "CLEAR"}.get(reason_id, "INCONCLUSIVE")  # fmt: skip
        assert word == kind, reason_id


OF_CALIBRATION = {
    "not_calibrated",
    "calibration_expired",
    "calibration_failed",
    "calibration_foreign",
    "uncalibrated_listed",
}
"""Given where a node's instrument is judged by its calibration."""


def test_the_code_gives_exactly_the_reasons_with_a_sentence():
    given = set()
    for path in Path(gateway.__file__).parent.rglob("*.py"):
        if path.name not in ("explain.py", "account.py", "picture.py"):
            given |= set(re.findall(r'"([a-z_]+)"', path.read_text("utf-8"))) & set(REASONS)
    given |= {f"{category}_found" for category in rules.REFER_CATEGORIES}
    assert given | OF_CALIBRATION == set(REASONS)


def test_every_reason_id_in_the_code_has_a_sentence():
    """Findings, decisions and unjudged readings name their reason as the first word."""
    calls = re.compile(
        r'(?:QualityFinding|unjudged)\(\s*"([a-z_]+)"|"(?:alarm|inconclusive|clear)", "([a-z_]+)"'
        r'|reason = "([a-z_]+)"|reason, facts = "([a-z_]+)"'
    )
    found = set()
    for path in Path(gateway.__file__).parent.rglob("*.py"):
        for match in calls.finditer(path.read_text("utf-8")):
            found |= {word for word in match.groups() if word} - {"inconclusive", "clear"}
    assert len(found) > 20
    assert found <= set(REASONS), found - set(REASONS)


facts = st.one_of(
    st.integers(-(10**9), 10**9),
    st.floats(),
    st.text(max_size=40),
    st.lists(st.text(max_size=12), max_size=4).map(tuple),
    st.sampled_from(sorted(LIBRARY.substances)),
)


@given(st.data(), st.sampled_from(sorted(REASONS)), st.sampled_from(catalogue.LANGUAGES))
def test_any_facts_make_a_sentence(data, reason_id, language):
    parameters = {key: data.draw(facts) for key in PARAMETERS.get(reason_id, {})}
    text = explain(unjudged(reason_id, LIBRARY, **parameters), language, LIBRARY)
    assert len(text) > 40


def test_every_fault_of_a_calibration_has_words():
    """Those of a standard, of its reading, and of what became of either at the post."""
    given = set(FAULTS) | INSTRUMENT_FAULTS | UNJUDGEABLE - {"judgement_failed"}
    for path in (Path(gateway.__file__).parent / "ingest").glob("*.py"):
        given |= set(re.findall(r'failed\(case, "(\w+)"', path.read_text("utf-8")))
    assert {"unknown_standard", "evaluation_failed", "unreadable", "bad_reading"} <= given
    assert given <= set(WORDS["fault"])


@pytest.mark.parametrize("language", catalogue.LANGUAGES)
@pytest.mark.parametrize("fault", sorted(WORDS["fault"]))
def test_a_failed_calibration_says_why_in_words(fault, language):
    text = explain(unjudged("calibration_failed", LIBRARY, fault=fault), language, LIBRARY)
    assert catalogue.translate(WORDS["fault"][fault], language) in text
    assert "_" not in text


NEXT_STEPS = (
    "measure", "check", "call", "compare", "send", "use", "calibrat", "restart", "hold", "ask",
    "take", "report",
)  # fmt: skip


def test_every_sentence_says_what_to_do():
    for reason_id, sentence in REASONS.items():
        steps = sentence.split(":", 1)[1].lower()
        assert any(step in steps for step in NEXT_STEPS), reason_id


def test_metal_powder_is_never_called_absent():
    for reason_id in ("packaging_only", "no_signal", "harmless_found", "unknown_clear"):
        for language, word in (
            ("en", "etal powder"),
            ("fr", "oudre"),
            ("es", "olvo"),
            ("ar", "معدني"),
        ):
            parameters = PARAMETERS.get(reason_id, {})
            assert word in explain(unjudged(reason_id, LIBRARY, **parameters), language, LIBRARY)


def with_testing_salt(**names):
    """The shipped library and a substance that a package brings."""
    fields = {"substance_id": "testing_salt", "names": NAMES | names, "cas": "", "bands": ()}
    added = dataclasses.replace(LIBRARY["urea"], **fields)
    return dataclasses.replace(LIBRARY, substances={**LIBRARY.substances, "testing_salt": added})


@pytest.mark.parametrize("language", catalogue.LANGUAGES)
@pytest.mark.parametrize("reason_id", [key for key in REASONS if "{substances}" in REASONS[key]])
def test_names_come_from_the_library_in_force(reason_id, language):
    facts = PARAMETERS[reason_id] | {"substance_ids": ("urea", "testing_salt")}
    text = explain(unjudged(reason_id, LIBRARY, **facts), language, with_testing_salt())
    assert NAMES[language] in text
    assert "testing_salt" not in text


def test_a_missing_name_is_the_english_one_and_in_arabic_kept_together():
    found = unjudged("harmless_found", LIBRARY, substance_ids=("testing_salt",))
    library = with_testing_salt(fr="", ar="")
    assert "Testing salt" in explain(found, "fr", library)
    assert "\u2068Testing salt\u2069" in explain(found, "ar", library)
    assert "\u2068testing_salt\u2069" in explain(found, "ar", with_testing_salt(en="", ar=""))
    assert "testing_salt" in explain(found, "es", LIBRARY)  # of a library that lost it


def test_foreign_words_are_kept_together_in_arabic():
    found = unjudged("listed_found", LIBRARY, **PARAMETERS["listed_found"])
    assert "\u2068List A (2026-11-01)\u2069" in explain(found, "ar", LIBRARY)
    assert "\u2068" not in explain(found, "en", LIBRARY)


def test_an_unknown_language_is_named():
    with pytest.raises(catalogue.CatalogueError, match="'tlh'"):
        explain(unjudged("interrupted", LIBRARY), "tlh", LIBRARY)


def test_no_sentence_claims_a_limit():
    for sentence in REASONS.values():
        assert not re.search("limit|above|exceed", sentence)
