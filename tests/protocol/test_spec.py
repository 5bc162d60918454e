"""Goal: SPEC.md, the code and the tests say the same.

Method: the clauses, the tables and the quoted limits are read out of SPEC.md and held against
`messages.FIELDS`, `topics` and `limits.py`; clause numbers are looked up in the docstrings of all
tests.
"""

import re

import pytest

from protocol import fields, limits, messages, topics
from protocol.fields import BINARY, BOOLEAN, INTEGER, RANGES, TEXT
from tests.protocol import specification

FORMS = {
    "uint": INTEGER,
    "int": INTEGER,
    "bool": BOOLEAN,
    "text": TEXT,
    "bin": BINARY,
    "ranges": RANGES,
}
UNITS = {
    "ms": "ms",
    "us": "µs",
    "s": "s",
    "h": "h",
    "mw": "mW",
    "mc": "m°C",
    "mv": "mV",
    "mg": "mg",
    "pm": "pm",
    "mcm1": "10⁻³ cm⁻¹",
    "bytes": "bytes",
    "counts": "counts",
}
CLAUSE_OF_KIND = {number: f"3.{number + 3}" for number in messages.KINDS}


def test_clauses_are_numbered_without_gaps():
    """SPEC 1.3: a number, once given, is how tests and vectors point at a rule."""
    numbers = specification.numbers()
    by_section = {}
    for number in numbers:
        section, place = map(int, number.split("."))
        by_section.setdefault(section, []).append(place)
    assert list(by_section) == list(range(1, 11))
    for section, places in by_section.items():
        assert places == list(range(1, len(places) + 1)), section


def test_every_clause_is_named_by_a_test():
    """SPEC 1.3."""
    named = {number for number, _ in specification.named_by_tests()}
    assert sorted(set(specification.numbers()) - named) == []


def test_no_test_names_a_clause_that_does_not_exist():
    """SPEC 1.3."""
    known = set(specification.numbers())
    assert [place for place in specification.named_by_tests() if place[0] not in known] == []


@pytest.mark.parametrize("number", sorted(messages.KINDS))
def test_field_tables_are_the_layout(number):
    """SPEC 3.1, SPEC 3.2: position, name, form, range."""
    kind = messages.KINDS[number]
    rows = specification.table(CLAUSE_OF_KIND[number])
    assert [row[1] for row in rows] == [field[0] for field in kind.FIELDS]
    for place, (row, field) in enumerate(zip(rows, kind.FIELDS, strict=True), 1):
        name, form, low, high, optional = field
        written = row[2].removesuffix(" or nil")
        assert (int(row[0]), FORMS[written]) == (place, form), name
        assert (row[2] != written) == optional, name
        if form == INTEGER:
            assert (written == "int") == (low < 0), name
        if form != BOOLEAN:
            bounds = row[3].split("..") if ".." in row[3] else [row[3], row[3]]
            assert [specification.value_of(bound) for bound in bounds] == [low, high], name
        assert row[5], f"{name} has no meaning"


@pytest.mark.parametrize("number", sorted(messages.KINDS))
def test_field_tables_state_the_unit_of_the_name(number):
    """SPEC 3.2."""
    for _, name, form, _, unit, _ in specification.table(CLAUSE_OF_KIND[number]):
        suffix = name.rpartition("_")[2] if "_" in name else ""
        is_number = form.split()[0] in ("uint", "int")
        assert unit == (UNITS.get(suffix, "-") if is_number else "-"), name


def test_every_kind_has_its_clause():
    """SPEC 3.4, SPEC 3.5, SPEC 3.6, SPEC 3.7, SPEC 3.8, SPEC 3.9, SPEC 3.10, SPEC 3.11, SPEC 3.12.

    SPEC 3.13, SPEC 3.14: kind and channel are those of the code.
    """
    text = specification.clauses()
    for number, kind in messages.KINDS.items():
        heading = f"{kind.__name__}, kind {number}, channel `{kind.CHANNEL}`:"
        assert text[CLAUSE_OF_KIND[number]].startswith(heading)
    assert f"3.{len(messages.KINDS) + 4}" not in text


def test_codes_are_those_of_the_code():
    """SPEC 3.4, SPEC 3.6, SPEC 3.7, SPEC 3.11, SPEC 3.12, SPEC 3.14: `0 none, 1 rtc ...`."""
    codes = {
        ("3.4", "time_quality"): "TIME",
        ("3.6", "role"): "ROLE",
        ("3.6", "flags"): "FLAG",
        ("3.7", "event_type"): "EVENT",
        ("3.11", "action"): "ACTION",
        ("3.12", "outcome"): "OUTCOME",
        ("3.14", "outcome"): "VERDICT",
    }
    for (clause, name), prefix in codes.items():
        meaning = next(row[5] for row in specification.table(clause) if row[1] == name)
        written = {int(number): word for number, word in re.findall(r"(\d+) (\w+)", meaning)}
        constants = {
            value: key.removeprefix(prefix + "_").lower()
            for key, value in vars(messages).items()
            if key.startswith(prefix + "_")
        }
        assert written == constants, name


def test_channels_are_those_of_the_code():
    """SPEC 5.3."""
    rows = specification.table("5.3")
    assert {row[0] for row in rows if row[1] == "up"} == set(topics.UP)
    assert {row[0] for row in rows if row[1] == "down"} == set(topics.DOWN)
    assert {row[0] for row in rows if row[2] == "yes"} == set(topics.RETAINED)
    assert {row[2] for row in rows} == {"yes", "no"}
    assert {row[0] for row in rows} == {kind.CHANNEL for kind in messages.KINDS.values()}


def test_the_table_of_limits_is_limits_py():
    """SPEC 10.1."""
    written = {row[0]: int(row[1]) for row in specification.table("10.1")}
    assert written == {name: value for name, value in vars(limits).items() if name.isupper()}


def test_limits_are_quoted_as_they_are():
    """SPEC 10.1: wherever the text gives a value with a name."""
    quoted = re.findall(r"`([A-Z0-9_]+)`\s+\((\d+)\)", specification.SPEC.read_text())
    assert len(quoted) >= 15
    for name, value in quoted:
        assert getattr(limits, name) == int(value), name


def test_names_in_capitals_are_limits():
    """SPEC 10.1."""
    names = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", specification.SPEC.read_text()))
    assert names - {"CAPITALS"} <= {name for name in vars(limits) if name.isupper()}


def test_every_limit_has_its_reason(repository_path):
    """SPEC 10.1: value, unit, reason."""
    lines = (repository_path / "protocol/limits.py").read_text().splitlines()
    for line in lines:
        if re.match(r"[A-Z0-9_]+ = ", line) and not re.match(r"U\d\d_MAX", line):
            assert "  # " in line, line


def test_limits_fit_each_other():
    """SPEC 10.1."""
    assert fields.frame_bytes_max(messages.Reading) < limits.MESSAGE_BYTES_MAX
    assert limits.BINARY_BYTES_MAX >= limits.PIXELS_BYTES_MAX > 2 * 2_068
    assert limits.TEXT_CHARS_MAX >= limits.DETAIL_CHARS_MAX >= limits.NAME_CHARS_MAX
    assert limits.WINDOW_RECORDS <= limits.WINDOW_RECORDS_MAX <= 2 * limits.RECEIPT_RANGES_MAX
    assert 2 * limits.RECEIPT_RANGES_MAX <= limits.ARRAY_ELEMENTS_MAX
    assert limits.RESEND_MS_MIN <= limits.RESEND_MS <= limits.RESEND_MS_MAX
    longest = max(len(channel) for channel in topics.UP + topics.DOWN)
    topic = len(topics.PREFIX) + 2 * (limits.TOPIC_NAME_CHARS_MAX + 1) + longest
    assert topic <= limits.TOPIC_CHARS_MAX


def test_the_version_is_in_the_topics():
    """SPEC 1.1."""
    assert f"harmattan/v{limits.PROTOCOL_VERSION}/" == topics.PREFIX
    assert specification.SPEC.read_text().startswith(
        f"# Harmattan protocol, version {limits.PROTOCOL_VERSION}\n"
    )
