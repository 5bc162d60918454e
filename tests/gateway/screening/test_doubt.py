"""Goal: a bad measurement takes a clear away and never an alarm; no Raman spectrum is no alarm.

Method: verdicts of every kind beside findings of every kind, all pairs.
"""

import itertools

import msgspec
import pytest

from gateway.screening.doubt import MISLED, VAGUE, doubted, refusal
from gateway.screening.judge import unjudged
from gateway.screening.verdict import HitRecord
from gateway.spectra.library import load_library
from gateway.spectra.quality import QualityFinding

LIBRARY = load_library()
HIT = HitRecord("urea", "57-13-6", "Urea", 0.9, 1.0, ("pgs",), (), (), ())
FAULTS = (
    "saturated", "negative", "dark_missing", "dark_high", "fluorescence", "resolution_poor",
    "cosmic_rays", "weak_signal", "step", "dead_pixels",
)  # fmt: skip
SIGNS = ("not_separable", "listed_possible", "drug_found", "related_found", "packaging_only")


def verdict(word, reason_id):
    base = unjudged(reason_id, LIBRARY)
    return msgspec.structs.replace(base, verdict=word, hits=(HIT,), unexplained_cm1=(900.0,))


def finding(reason_id, *, forbids=False):
    return QualityFinding(reason_id, {"share_percent": 7}, forbids)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_clear_becomes_inconclusive_for_the_first_finding(fault):
    found = doubted(verdict("clear", "harmless_found"), (finding(fault), finding("saturated")))
    assert (found.verdict, found.reason_id) == ("inconclusive", fault)
    assert found.parameters == {"share_percent": 7}
    assert found.hits == (HIT,)


@pytest.mark.parametrize("fault", FAULTS)
def test_alarms_and_signs_of_listed_substances_stay(fault):
    kept = [verdict("alarm", "listed_found"), verdict("alarm", "listed_family")]
    kept += [verdict("inconclusive", reason_id) for reason_id in SIGNS]
    for before in kept:
        if fault == "saturated" and before.reason_id in MISLED:
            # "Measure longer" would be the wrong advice.
            assert doubted(before, (finding(fault),)).reason_id == "saturated"
            continue
        assert doubted(before, (finding(fault),)) is before


def test_a_vague_reason_gives_way_to_its_cause():
    for vague, fault in itertools.product(VAGUE, FAULTS):
        assert doubted(verdict("inconclusive", vague), (finding(fault),)).reason_id == fault


@pytest.mark.parametrize("refused", ["not_raman", "constant", "negative"])
def test_what_is_no_measurement_of_raman_light_is_not_judged(refused):
    findings = (finding("saturated"), finding(refused, forbids=True))
    assert refusal(findings) == findings[1]
    for word, reason_id in (("alarm", "listed_found"), ("clear", "harmless_found")):
        found = doubted(verdict(word, reason_id), findings)
        assert (found.verdict, found.reason_id) == ("inconclusive", refused)
        assert found.hits == ()
        assert found.unexplained_cm1 == ()


def test_nothing_wrong_changes_nothing():
    before = verdict("clear", "unknown_clear")
    assert doubted(before, ()) is before
    assert refusal((finding("saturated"),)) is None
