"""Goal: what is counted has a name that is listed and explained, and is never lost on its way.

Method: the counters alone; and a look through the gateway's sources for names that are used.
"""

import re

import pytest

from gateway.ingest.judging import UNUSABLE
from gateway.observe.counters import NAMES, Counters


def test_counts_are_handed_over_once_and_can_be_given_back():
    counters = Counters()
    counters.count("record_lost", "lane-1", 3)
    counters.count("record_lost", "lane-1")
    counters.count("task_fault", "link")
    taken = counters.take()
    assert taken == {("record_lost", "lane-1"): 4, ("task_fault", "link"): 1}
    assert counters.take() == {}
    counters.count("record_lost", "lane-1")
    counters.give_back(taken)
    assert counters.take()["record_lost", "lane-1"] == 5


def test_a_name_that_is_not_listed_is_refused():
    with pytest.raises(KeyError, match=r"'record_lots' is not listed in gateway/observe/counters"):
        Counters().count("record_lots")


def test_every_name_is_used_and_explained(repository_path):
    """Names in the code are in the list, names in the list are in the code and in the manual."""
    sources = [
        path.read_text()
        for path in (repository_path / "gateway").rglob("*.py")
        if path.name != "counters.py"
    ]
    used = "\n".join(sources)
    manual = (repository_path / "docs/gateway.md").read_text()
    verdicts = {f"verdict_{name}" for name in ("alarm", "inconclusive", "clear")}
    for name, meaning in NAMES.items():
        assert meaning
        assert f'"{name}"' in used or name in verdicts, f"{name} is counted nowhere"
        assert f"`{name}`" in manual, f"docs/gateway.md does not explain {name}"
    for name in re.findall(r'\.count\(\s*"([a-z_]+)"', used):
        assert name in NAMES
    assert set(UNUSABLE.values()) <= set(NAMES)
