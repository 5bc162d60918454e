"""Goal: what a finding points at is there: a section for each check, and none that is of no check.

Method: docs/doctor.md held against the registry; causes and remedies stand in both, word for word.
"""

import re

import pytest

from gateway.doctor.finding import Subject
from gateway.doctor.rehearsal import play
from tests.gateway.doctor.building import CHECKS

SECTION = re.compile(r'^### <a id="(?P<anchor>[a-z-]+)"></a>(?P<name>[a-z.]+)$', re.MULTILINE)


@pytest.fixture(scope="module")
def page(repository_path):
    return (repository_path / "docs/doctor.md").read_text()


@pytest.fixture(scope="module")
def sections(page):
    """Return the text of each section by the name of its check, its lines joined."""
    pieces = SECTION.split(page)
    triples = zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True)
    return {name: (anchor, " ".join(text.split())) for anchor, name, text in triples}


def test_every_check_has_its_section_and_no_other_is_there(sections):
    assert list(sections) == list(CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_a_section_says_what_the_finding_says(sections, name):
    anchor, text = sections[name]
    assert CHECKS[name].page == f"harmattan docs doctor#{anchor}"
    assert f"*Cause.* {CHECKS[name].cause}" in text
    assert f"*Do.* {CHECKS[name].remedy}" in text
    meaning = text.partition("*Cause.*")[0]
    assert "*look*" in meaning or "*bad*" in meaning  # when it is not well


def test_every_step_of_the_rehearsal_is_explained(page):
    table = page.partition("## The rehearsal")[2]
    for step in play.STEPS:
        assert f"| {step} |" in table


def test_names_are_a_subject_and_one_word():
    for name in CHECKS:
        subject, word = name.split(".")
        assert subject in set(Subject)
        assert word.isalpha()
