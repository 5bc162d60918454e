"""Goal: what was answered for is there after a power cut at any moment, and nothing is doubled.

Method: stories of the real journal, told through an SQLite VFS that notes every operation on files.
At every operation disks are made as a power cut may leave them, and the gateway is started on each
(`cuts.py`). Killing a process cannot show this: the system still writes what it had not synced. A
journal that syncs too little and a disk that takes no heed of a sync must be found, or the checks
would prove nothing.
"""

import re

import pytest

from gateway.journal import beginning, integrity
from tests.gateway.crash.cuts import (
    BRIEF,
    DAMAGE,
    LIFE,
    OLD_AGE,
    STORIES,
    UPGRADES,
    cut_everywhere,
    record,
)
from tests.gateway.crash.images import HOWS
from tests.gateway.crash.promises import BrokenPromiseError

OPERATIONS = 300  # a story has at least so many, or it leaves something out
IMAGES = 1_000


@pytest.mark.parametrize("seed", [1, 2])
def test_power_cuts_at_every_operation_of_a_posts_life(seed):
    """Two seeds take what the other leaves out of one image per operation and kind."""
    recording = record(LIFE, seed)
    assert recording.operations >= OPERATIONS
    made = cut_everywhere(recording, drawn=1, every=4)
    assert made.total() >= IMAGES / 2
    assert min(made[how] for how in HOWS) >= 20


def test_power_cuts_at_every_operation_of_retention():
    """What is evicted is not taken for new again; what alerts stand on never goes."""
    recording = record(OLD_AGE, 1)
    made = cut_everywhere(recording, drawn=1, every=6)
    assert made.total() >= 200


def test_power_cuts_at_every_operation_of_setting_a_damaged_journal_aside():
    """The alerts that waited in it go out, and it is kept as it was."""
    recording = record(DAMAGE, 1)
    made = cut_everywhere(recording, drawn=1, every=2)
    assert made.total() >= recording.operations >= 200


@pytest.mark.parametrize("story", UPGRADES, ids=lambda story: story.name)
def test_power_cuts_at_every_operation_of_an_upgrade(story):
    """It is the old journal or the new one, with all that the old one held; one image of six."""
    recording = record(story, 1)
    made = cut_everywhere(recording, drawn=1, every=6)
    assert made.total() >= recording.operations / 4
    assert recording.operations >= 100


def test_what_a_killed_gateway_had_not_synced_is_synced_before_it_is_receipted():
    """A kill leaves it readable, so that the nodes' records seem to be safe already."""
    made = cut_everywhere(record(BRIEF, 1), drawn=1, every=6, killed_every=1)
    assert made.total() >= 100


def test_a_start_that_syncs_nothing_is_found(monkeypatch):
    recording = record(BRIEF, 1)
    monkeypatch.setattr(integrity, "note_open", lambda _: False)
    monkeypatch.setattr(beginning, "fold_in", lambda _: True)
    monkeypatch.setattr(beginning, "write_again", lambda _: None)
    with pytest.raises(BrokenPromiseError, match="lost: receipted"):
        cut_everywhere(recording, drawn=1, first=300, every=2, killed_every=1)


@pytest.mark.parametrize("weaker", [{"synchronous": "normal"}, {"deaf": True}])
def test_a_promise_broken_on_purpose_is_found_and_can_be_repeated(weaker):
    """A journal that syncs at checkpoints only; a disk that says it has synced and has not."""
    recording = record(LIFE, 1, **weaker)
    with pytest.raises(BrokenPromiseError, match=r"lost: |corrupt: ") as found:
        cut_everywhere(recording, drawn=1)
    number = int(re.match(r"--repeat life:1:1:(\d+) ", str(found.value))[1])
    with pytest.raises(BrokenPromiseError, match=f"life:1:1:{number} .*(lost: |corrupt: )"):
        cut_everywhere(recording, drawn=1, first=number, count=1)
    made = cut_everywhere(record(STORIES["life"], 1), drawn=1, first=number, count=1)
    assert made.total() == 1
