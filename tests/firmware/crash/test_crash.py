"""Goal: a power cut at any write loses nothing that was called stored and asks for nothing twice.

Method: five stories on MicroPython's own littlefs, the power cut before and within every single
operation of the flash (`replay.py` says what is held against what); the same with a firmware that
breaks its promise on purpose, which must be found.
"""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.firmware.crash.__main__ import STORIES, PromiseBrokenError, replay, replay_many

CUTS = 2_500


def test_power_cuts_at_every_write_of_five_stories(micropython_path):
    """SPEC 6.3, SPEC 6.4: for each cut and story."""
    made = replay_many(str(micropython_path), CUTS, first_seed=1, jobs=2)
    assert made.total() >= CUTS
    assert sorted(made) == sorted(STORIES)
    assert min(made.values()) >= 200


@pytest.mark.parametrize(
    "story, spoil, told",
    [("append", "sync", "lost"), ("evict", "order", "lost"), ("config", "rename", "config")],
)
def test_a_promise_broken_on_purpose_is_found_and_can_be_repeated(
    micropython_path, story, spoil, told
):
    """Called stored before it is synced; removed before what takes its place is there."""
    with pytest.raises(PromiseBrokenError, match=told) as found:
        replay(str(micropython_path), story, 1, spoil=spoil)
    cut = int(re.search(rf"failed {story} 1 (\d+)", str(found.value))[1])
    with pytest.raises(PromiseBrokenError, match=f"{story} 1 {cut} "):
        replay(str(micropython_path), story, 1, cut, 1, spoil=spoil)
    assert replay(str(micropython_path), story, 1, cut, 1) == 1
