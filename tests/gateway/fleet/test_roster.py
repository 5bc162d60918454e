"""Goal: a post of a thousand nodes starts and answers at the cost of what has changed.

Method: the real roster and journal; the journal counts its transactions.
"""

import asyncio
import contextlib

from gateway import wire
from gateway.fleet.outgoing import Outgoing
from gateway.fleet.roster import LEDGERS_PER_NODE_MAX, Roster
from gateway.journal import records
from gateway.journal.store import Journal
from gateway.settings import NODES_MAX, NodeSettings, Settings
from protocol.delivery import Ledger

JOURNAL = b"journal1"


class Counting(Journal):
    """A journal that counts what is written."""

    writes = 0

    async def write(self, operation, **keywords):
        self.writes += 1
        return await super().write(operation, **keywords)


@contextlib.asynccontextmanager
async def roster_of(folder, count):
    journal = Counting(folder / "journal.sqlite")
    await journal.open()
    settings = Settings("p", nodes=tuple(NodeSettings(f"n{n}") for n in range(count)))
    outgoing = Outgoing("p", lambda: 9_000)
    try:
        yield Roster(settings, journal, outgoing, now_ms=lambda: 9_000), journal, outgoing
    finally:
        await journal.close()


def birth(config_version=0):
    return wire.Birth(
        *(b"boot-one", 5, None, 0, JOURNAL, 1, 9, "firmware", "unix", config_version, "", ""),
        *(None, 0, 785_000, 8_000, b"", 65_535),
    )


def test_a_thousand_nodes_cost_one_commit_and_each_is_told_of_its_own(tmp_path):
    async def story():
        async with roster_of(tmp_path, NODES_MAX) as (roster, journal, outgoing):
            for number in range(0, NODES_MAX, 2):
                said = birth()

                def keep(connection, node=f"n{number}", said=said):
                    records.save_birth(connection, node, said, wire.encode(said), 1)

                await Journal.write(journal, keep)
            await roster.load()
            assert journal.writes == 1
            await roster.announce()
            assert journal.writes == 2
            letters = await outgoing.take()
            channels = {}
            for letter in letters:
                _, node, channel = letter.topic.rsplit("/", 2)
                channels.setdefault(channel, set()).add(node)
            assert len(channels["config"]) == NODES_MAX
            assert (
                channels["receipt"]
                == channels["time"]
                == {f"n{number}" for number in range(0, NODES_MAX, 2)}
            )

    asyncio.run(story())


def test_receipts_concern_the_nodes_of_the_batch_only(tmp_path):
    async def story():
        async with roster_of(tmp_path, 3) as (roster, _, outgoing):
            journals = [b"jrnl-%03d" % number for number in range(2 * LEDGERS_PER_NODE_MAX)]
            for node in ("n0", "n1"):
                for journal_id in journals:
                    roster.adopt((node, journal_id), Ledger(4))
            roster.send_receipts([("n0", journals[0])])
            (letter,) = await outgoing.take()
            assert letter.message == wire.Receipt(journals[0], 4, ())
            assert len(roster._ledgers["n0"]) == LEDGERS_PER_NODE_MAX
            assert len(roster._ledgers["n1"]) == len(journals)  # nobody looked at it
            assert roster.at_hand([("n0", journals[0]), ("n0", journals[1]), ("n2", b"-")]) == [
                ("n0", journals[0])
            ]

    asyncio.run(story())


def test_a_birth_that_comes_while_the_gateway_announces_itself_is_answered_all_the_same(tmp_path):
    """It is asked for what it keeps as well; neither word takes the place of the other."""

    async def story():
        async with roster_of(tmp_path, 1) as (roster, _, outgoing):
            await roster.load()
            roster.greet("n0", birth(), retained=False)
            await roster.announce()
            letters = await outgoing.take()
            times = [each.message for each in letters if isinstance(each.message, wire.Time)]
            assert [said.echo_uptime_ms for said in times] == [5, None]

    asyncio.run(story())
