"""Goal: ten times what a post can sustain costs readings that nobody can keep, and nothing else.

Method: `benchmarks/overload.py` for some seconds: fifty nodes with real windows and bounded
journals, a quiet node that raises alarms. Order and bounds are held to, times are not; those and
the memory over ten minutes are shown by `make overload`.
"""

import asyncio

import pytest

from benchmarks import overload
from simulators.lane import read_rows

SECONDS = 4.0
# Readings per second. Ten times are measured: that costs the crowd little, for most are given up,
# and is more than five times what two cores take, 1,000 to 3,500.
SUSTAINABLE = 4_000.0
KEPT_MAX = 80  # so that what is delivered afterwards takes seconds


@pytest.mark.timeout(300)
def test_overloaded_tenfold_a_post_loses_nothing_and_keeps_the_order(tmp_path):
    run = overload.overload(
        tmp_path,
        SECONDS,
        sustainable=SUSTAINABLE,
        sample_share=0.05,
        kept_max=KEPT_MAX,
        loaded_s=(0.5, 1.0),
    )
    found = asyncio.run(run)
    assert found["measured_per_s"] > 5 * found["receipted_per_s"], "there was no overload"
    assert found["given_up_by_nodes"] > 0
    assert found["held_by_nodes_afterwards"] == 0
    assert found["receipted_and_missing"] == 0
    assert found["quiet_alarms"] > 2
    assert found["quiet_alerts_missing"] == 0
    assert found["memory_growth"] <= overload.MEMORY_GROWTH_MAX
    assert set(found["broken"]) <= {"latency"}, "only this depends on the machine's other work"
    # Whatever waits of the fifty: none of them passes the quiet node twice.
    assert found["waiting_for_a_verdict_at_the_end"] > 0
    assert found["quiet_overtaken_max"] <= 2 * overload.NODES
    journal = tmp_path / "state" / "journal.sqlite"
    assert read_rows(journal, "SELECT count(*) FROM pending") == [(0,)]
    counted = dict(read_rows(journal, "SELECT name, sum(count) FROM counters GROUP BY name"))
    assert "quarantined" not in counted, "honest nodes were not listened to"
    assert "message_dropped" not in counted
