"""Goal: an alarm from a quiet lane waits for no backlog, neither another's nor its own node's.

Method: the whole gateway in this process on a journal with a backlog, and scripted nodes. What lies
between a reading's commit and its verdict is counted in the log, never timed.
"""

import asyncio

from gateway import wire
from gateway.journal import records
from gateway.journal.store import FILE_NAME, connect
from protocol.messages import ROLE_SAMPLE, Reading
from tests.gateway.running import running, write_settings
from tests.gateway.scripted import AXIS, FLAT, connected, polystyrene

NODES, BACKLOG = 24, 4  # more nodes than the judges once looked at together

BETWEEN_MAX = 2  # the judgement that was under way, and one that was chosen before the commit


def nodes_of(count):
    return "".join(f'[[nodes]]\nid = "n{number}"\n' for number in range(count))


def leave_backlog(folder):
    """Have readings of many nodes await their verdicts, as after an outage."""
    (folder / "state").mkdir()
    connection = connect(folder / "state" / FILE_NAME)
    with connection:
        for seq in range(1, BACKLOG + 1):
            for number in range(NODES):
                frame = Reading(
                    *(b"journal1", seq, b"boot-one", 5_000 + seq, None, 0, b"inspect1"),
                    *(ROLE_SAMPLE, AXIS, 400_000, 1, 100, None, 65_535, 0, None, FLAT),
                ).pack()
                records.insert_record(
                    connection, f"n{number}", wire.decode(frame, "reading"), frame, 1_000
                )
    connection.close()


def between(log, node, seq):
    """Return how many verdicts were given between a reading's commit and its own."""
    (committed,) = log.events("record_committed", node=node, seq=seq)
    verdict = log.events("verdict", node=node, seq=seq)[0]
    lines = log.items[log.items.index(committed) : log.items.index(verdict)]
    return sum(
        line["event"] in {"verdict", "verdict_changed", "calibration_made"} for line in lines
    )


def test_a_backlog_of_many_nodes_does_not_delay_a_quiet_one(tmp_path, free_port):
    async def story():
        path = write_settings(tmp_path, free_port, more=nodes_of(NODES))
        leave_backlog(tmp_path)
        async with running(path) as log, connected(free_port) as quiet:
            await quiet.say(quiet.reading(1))
            await log.event("verdict", node=quiet.name, seq=1)
            assert between(log, quiet.name, 1) <= BETWEEN_MAX
            await log.event("verdict", NODES * BACKLOG + 1)
            for number in range(NODES):
                judged = [line["seq"] for line in log.events("verdict", node=f"n{number}")]
                assert judged == list(range(1, BACKLOG + 1))  # each node's in order

    asyncio.run(story())


def test_a_burst_of_one_node_does_not_delay_a_quiet_one(tmp_path, free_port):
    async def story():
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as busy,
            connected(free_port, "lane-2") as quiet,
        ):
            await asyncio.gather(*(busy.say(busy.reading(seq)) for seq in range(1, 31)))
            await quiet.say(quiet.reading(1))
            await log.event("verdict", node="lane-2", seq=1)
            assert between(log, "lane-2", 1) <= BETWEEN_MAX
            await log.event("verdict", 31)

    asyncio.run(story())


def test_what_is_judged_again_does_not_delay_what_has_no_verdict(tmp_path, free_port):
    """A calibration has the node's earlier readings judged again: after the one in the lane now."""

    async def story():
        count = 6
        async with (
            running(write_settings(tmp_path, free_port)) as log,
            connected(free_port) as node,
        ):
            await node.be_born(next_seq=count + 2)
            for seq in range(1, count + 1):
                await node.say(node.reading(seq, pixels=polystyrene()))
            await log.event("verdict", count, reason="not_calibrated")
            await node.measure_standard()
            await log.event("calibration_made")
            await node.say(node.reading(count + 1))
            await log.event("verdict", node=node.name, seq=count + 1)
            assert between(log, node.name, count + 1) <= BETWEEN_MAX
            await log.event("verdict", 2 * count + 1)

    asyncio.run(story())
