"""Goal: gateway, broker and node may be killed at any moment; nothing is lost and nothing doubled.

Method: `killing.py`, which can do it a thousand times (`make kill`), does it twenty times, with a
new seed in every run; it is shown when something fails and repeats it. Then the journal and the
headquarters that came of it are spoilt, and the same check must say so each time: it is no proof
otherwise.
"""

import asyncio
import random
import shutil

import apsw
import pytest

from tests.gateway.killing import (
    HEADQUARTERS,
    JOURNAL,
    VICTIMS,
    BrokenPromiseError,
    check,
    kill_often,
)

KILLS = 20
SPOILT = {
    "a record is lost": (
        JOURNAL,
        "DELETE FROM records WHERE node = 'crowd-2' AND seq = 3",
        "1 missing",
    ),
    "a record is doubled": (
        JOURNAL,
        """INSERT INTO records (node, journal_id, seq, kind, received_ms, frame)
        SELECT node, x'0102030405060708', seq, kind, received_ms, frame FROM records
        WHERE node = 'crowd-0' AND seq = 2""",
        "1 too many",
    ),
    "a record has other bytes": (
        JOURNAL,
        """UPDATE records SET frame = CAST(substr(frame, 2) || x'00' AS BLOB)
        WHERE node = 'crowd-1' AND seq = 4""",
        "not as it was sent",
    ),
    "a reading of the real node is lost": (
        JOURNAL,
        # Of what it called stored; a kill may come between the last record and that word.
        "DELETE FROM records WHERE node = 'lane-1' AND seq = {last}",
        "lane-1",
    ),
    "an alert is lost": (
        HEADQUARTERS,
        "DELETE FROM alerts WHERE id = (SELECT max(id) FROM alerts)",
        "1 missing",
    ),
    "an alert is doubled": (
        HEADQUARTERS,
        "UPDATE alerts SET alert_id = alert_id || '.again' WHERE id = 1",
        "1 too many",
    ),
}


@pytest.mark.timeout(300)
def test_killed_at_random_moments_under_load(tmp_path):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}: python -m tests.gateway.killing --kills {KILLS} --seed {seed}")  # noqa: T201 - shown with a failure
    folder = tmp_path / "lane"
    promised = asyncio.run(kill_often(folder, KILLS, seed))
    found = check(folder, promised)
    assert sum(found["kills"].values()) == KILLS
    assert set(found["kills"]) <= set(VICTIMS)
    assert found["records"] > KILLS, "there was no load"
    assert found["alerts"]
    assert found["readings_of_the_real_node"]
    for why, (file, change, told) in SPOILT.items():
        spoilt = tmp_path / "spoilt"
        shutil.copytree(folder, spoilt, ignore=shutil.ignore_patterns("spectrometer"))
        connection = apsw.Connection(str(spoilt / file))
        connection.execute(change.format(last=promised.stored[-1].seq))
        assert connection.changes() == 1, why
        connection.close()
        with pytest.raises(BrokenPromiseError, match=told):
            check(spoilt, promised)
        shutil.rmtree(spoilt)
