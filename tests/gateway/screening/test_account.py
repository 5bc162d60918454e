"""Goal: the long explanation tells each band's fate, the next explanation, quality and editions.

Method: a made-up verdict whose every number must come back in the right line, in four languages;
and verdicts on spectra of the forward model, whose lines must hold what the record holds.
"""

import math
import re

import msgspec
import numpy as np
import pytest

from gateway.catalogue import LANGUAGES, translate
from gateway.identify import judge_spectrum
from gateway.screening.account import BANDS_SHOWN_MAX, NOTES, account, calibration_line, listed
from gateway.screening.explain import explain, name_of
from gateway.screening.judge import unjudged
from gateway.screening.verdict import (
    BandRecord,
    CalibrationRecord,
    HitRecord,
    ListRecord,
    LookAlikeRecord,
    QualityRecord,
    Verdict,
)
from gateway.screening.watchlists import load_watchlists
from gateway.spectra.library import load_library
from simulators.forward import measure

LIBRARY = load_library()
LISTS = load_watchlists()


def band(shift, state, measured=None):
    return BandRecord(shift, measured, state, 12.0, "A")


def made(deficit=5.0, rivals=()):
    bands = (
        band(1012.0, "found", 1013.4),
        band(548.0, "missing"),
        band(1541.0, "hidden"),
        band(1649.0, "faint"),
        band(90.0, "outside"),
    )
    alike = (LookAlikeRecord("gypsum", deficit, (413.0, 618.0), (413.0,)),)
    hit = HitRecord("urea", "57-13-6", "Urea", 0.87, 0.8, ("pgs",), rivals, bands, alike)
    return Verdict(
        verdict="alarm",
        reason_id="listed_found",
        parameters={"substance_ids": ("urea",), "lists": ("List A (2026-11-01)",)},
        hits=(hit,),
        unexplained_cm1=(777.7, 1234.5),
        quality=QualityRecord(88.4, 250.0, 2000.0, 8.0, 0.0, 0.31, 3, 9),
        library_version="2026.11-abcdef12",
        lists=(ListRecord("pgs", "2026-11-01"),),
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_fact_has_its_line(language):
    lines = account(made(), language, LIBRARY)
    assert lines[0] == explain(made(), language, LIBRARY)
    wanted = [
        ("0.87", "1", "2", name_of("urea", language, LIBRARY)),
        ("1013",),
        ("548",),
        ("1541",),
        ("1649",),
        (name_of("gypsum", language, LIBRARY), "100", "413", "618"),
        ("778", "1234"),
        ("88", "250", "2000", "8", "31", "3"),
        ("2026.11-abcdef12", "pgs 2026-11-01"),
    ]
    for facts in wanted:
        assert any(all(fact in line for fact in facts) for line in lines[1:]), facts
    assert all("{" not in line for line in lines)
    assert not any(re.search(r"\b90\b", line) for line in lines[1:])


def test_what_fits_as_well_is_not_the_next_but_a_rival():
    lines = account(made(rivals=("gypsum",)), "en", LIBRARY)
    assert "Fits as well: Gypsum." in lines
    assert not any(line.startswith("Next:") for line in lines)


@pytest.mark.parametrize("deficit,factor", [
    (0.0, "1 times"), (math.log(3.2), "3 times"), (math.log(250.0), "200 times"),
    (math.log(1000.0), "1000 times"), (40.0, ">1000000 times"), (-2.0, "1 times"),
])  # fmt: skip
def test_the_margin_is_told_as_odds_to_one_figure(deficit, factor):
    [line] = [row for row in account(made(deficit), "en", LIBRARY) if row.startswith("Next:")]
    assert f" {factor} less likely" in line


def test_a_reading_that_was_not_evaluated_has_no_numbers():
    lines = account(unjudged("no_axis", LIBRARY), "en", LIBRARY)
    assert "Measurement: not evaluated." in lines
    assert not any("score" in line for line in lines)


def test_a_calibration_on_record_is_told():
    def line(age_s, state):
        record = CalibrationRecord("polystyrene", "x", age_s, 0.3, 0.84, 6.0, state)
        return calibration_line(msgspec.structs.replace(made(), calibration=record), "en", LIBRARY)

    told = "Calibration: Polystyrene, 3 days old, axis right to within 0.8 cm-1."
    assert line(3.0 * 86_400.0, "valid") == told
    assert "of unknown age" in line(None, "valid")
    assert "none that is valid" in line(90.0 * 86_400.0, "expired")
    assert "none that is valid" in line(0.0, "failed")
    assert "none on record" in line(None, "assumed")
    assert "none on record" in calibration_line(made(), "en", LIBRARY)


@pytest.mark.parametrize("language", LANGUAGES)
def test_calibration_instrument_and_correction_are_told_in_the_language(language):
    record = CalibrationRecord(
        *("toluene_acetonitrile", "VEN 7", 86_400.0, 0.3, 0.84, 6.0, "valid"),
        response_id="SRM 2241 12",
        response_age_s=40.0 * 86_400.0,
        notes=tuple(NOTES),
    )
    verdict = msgspec.structs.replace(made(), calibration=record)
    lines = account(verdict, language, LIBRARY)
    assert any("VEN 7" in line for line in lines)
    assert any("SRM 2241 12" in line and "40" in line for line in lines)
    for msgid in NOTES.values():
        assert translate(msgid, language) in lines
    assert not any("toluene_acetonitrile" in line for line in lines)
    # Of a calibration that does not count nothing more is told.
    for state in ("expired", "failed", "foreign", "absent"):
        without = msgspec.structs.replace(verdict, calibration=msgspec.structs.replace(
            record, state=state
        ))  # fmt: skip
        assert not any("SRM 2241" in line for line in account(without, language, LIBRARY))


def test_real_verdicts_are_explained_in_every_language():
    for number, mixture in enumerate(({"urea": 1.0}, {"sucrose": 1.0, "urea": 0.4}, {})):
        spectrum = measure(LIBRARY, mixture, 150.0, np.random.default_rng(number))
        verdict = judge_spectrum(spectrum, LIBRARY, LISTS).verdict
        lengths = {len(account(verdict, language, LIBRARY)) for language in LANGUAGES}
        assert len(lengths) == 1
        text = " ".join(account(verdict, "en", LIBRARY))
        for hit in verdict.hits:
            for entry in hit.bands:
                if entry.state == "found":
                    assert f"{entry.measured_cm1:.0f}" in text


def test_long_lists_are_cut():
    text = listed([float(i) for i in range(100, 100 + BANDS_SHOWN_MAX + 5)], "en")
    assert text.endswith(", …")
    assert text.count(",") == BANDS_SHOWN_MAX
