"""Goal: the page says which checks are left out when another one reports why they cannot tell.

Method: a post that is well is broken in every way that has such an effect, and asked everything;
who is not heard any more is held against the table in docs/doctor.md.
"""

import contextlib
import re

import pytest

from gateway import settings
from gateway.doctor.examine import every_check, examine
from gateway.doctor.scene import look_at
from gateway.journal.store import FILE_NAME
from tests.gateway.doctor.breaking import (
    hanging,
    nothing,
    other_program,
    spoil_page,
    take_key_away,
)
from tests.gateway.doctor.building import CHECKS, DAY_MS

ROW = re.compile(r"^\| `(?P<told>[a-z.]+)` \| (?P<why>[^|]*) \| (?P<out>[^|]*) \|$", re.MULTILINE)


def forget(post):
    (post.state / FILE_NAME).unlink()


def age(post):
    """A database of which this edition does not know what it holds."""
    post.say("ALTER TABLE nodes RENAME TO nodes_of_another_edition")
    post.say("ALTER TABLE tallies RENAME TO tallies_of_another_edition")
    post.say("PRAGMA user_version = 99")


def spoil(post):
    for name in ("ca.pem", "gateway.pem"):
        (post.keys / name).write_text("no certificate")


# What breaks it, how much later it is looked at, and whether the whole row is concerned.
BROKEN = {
    "database.opens": (forget, 0, True),
    "database.version": (age, 0, False),
    "certificates.expiry": (spoil, 0, True),
    "certificates.modes": (take_key_away, 0, False),
    "clock.ahead": (nothing, 11 * 365 * DAY_MS, True),
    "broker.ours": (lambda post: other_program(post.ports[0]), 0, False),
    "broker.port": (hanging, 0, True),
}


def heard(post, later_ms=0):
    loaded = settings.load(post.path)
    scene = look_at(
        loaded, post.path, now_ms=post.at_ms + later_ms, running=True, machine=post.machine
    )
    try:
        return {each.id: each.level for each in examine(scene, every_check())}
    finally:
        scene.journal.close()


@pytest.mark.parametrize("told", BROKEN)
def test_the_page_names_who_is_left_out(well, told, repository_path):
    assert set(heard(well)) == set(CHECKS)
    breaks, later_ms, is_whole = BROKEN[told]
    done = breaks(well)
    with done if hasattr(done, "__enter__") else contextlib.nullcontext():
        found = heard(well, later_ms)
    assert found[told] in {"bad", "look"}
    page = (repository_path / "docs/doctor.md").read_text()
    rows = {row["told"]: set(re.findall(r"`([a-z.]+)`", row["out"])) for row in ROW.finditer(page)}
    assert set(rows) == set(BROKEN)
    rows["database.version"] = rows["database.opens"]  # of the same those whose tables differ
    missing = set(CHECKS) - set(found)
    assert missing
    assert missing == rows[told] if is_whole else missing <= rows[told]


@pytest.mark.parametrize(
    "table", ["nodes", "calibrations", "tallies", "counters", "posture", "records", "healths"]
)
def test_a_damaged_page_is_told_once(well, table, repository_path):
    """By `database.opens`, whoever meets it; nobody points there while it is well."""
    spoil_page(table)(well)
    loaded = settings.load(well.path)
    for running in (True, False):
        scene = look_at(loaded, well.path, now_ms=well.at_ms, running=running, machine=well.machine)
        with contextlib.closing(scene.journal):
            found = examine(scene, every_check())
        (opens,) = [each for each in found if each.id == "database.opens"]
        assert opens.level == "bad"
        assert ("anew" in opens.remedy) == running
        assert [each.id for each in found if "malformed" in each.value] == ["database.opens"]
        page = (repository_path / "docs/doctor.md").read_text()
        rows = {row["told"]: row["out"] for row in ROW.finditer(page)}
        allowed = set(re.findall(r"`([a-z.]+)`", rows["database.opens"]))
        allowed |= set() if running else {"disk.state"}
        assert set(CHECKS) - {each.id for each in found} <= allowed


def test_damage_that_a_quick_look_does_not_see_is_told_as_well(well, monkeypatch):
    """Its time may be over before it comes to that page; who meets it later says so."""
    monkeypatch.setattr("gateway.journal.integrity.check_start", lambda *_, **__: "")
    assert heard(well)["database.opens"] == "ok"
    spoil_page("calibrations")(well)
    found = heard(well)
    assert found["database.opens"] == "bad"
    assert "nodes.calibration" not in found


def test_a_file_without_its_log_is_not_called_damaged(well):
    """It may be half of what was written: nothing is known of the rest."""
    spoil_page("calibrations")(well)
    (well.state / f"{FILE_NAME}-wal").write_bytes(bytes(33))
    (found,) = well.ask("database.opens")
    assert (found.level, "without its -wal" in found.value) == ("look", True), found
