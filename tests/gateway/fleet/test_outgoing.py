"""Goal: a node hears the newest word per topic, and never an old time.

Method: the queue alone, with a clock that the test sets.
"""

import asyncio

from gateway import wire
from gateway.fleet.outgoing import SUBJECTS_MAX, Outgoing
from tests.gateway.seen import DEADLINE_S

BOOT = b"boot-one"
NOW_MS = 1_795_000_000_000


def receipt(seq):
    return wire.Receipt(b"journal1", seq, ())


async def take(outgoing):
    return await asyncio.wait_for(outgoing.take(), DEADLINE_S)


def test_the_newest_word_keeps_its_place_and_flags():
    async def story():
        outgoing = Outgoing("post-1", lambda: 0)
        outgoing.put("lane-1", "receipt", receipt(1))
        outgoing.put("lane-2", "receipt", receipt(1))
        outgoing.put("lane-1", "receipt", receipt(2))
        outgoing.put("lane-1", "command", wire.Command(b"command1", 2, None, b""))
        first, second, third = await take(outgoing)
        assert first.topic == "harmattan/v1/post-1/lane-1/receipt"
        assert (first.message, first.retain) == (receipt(2), True)
        assert second.topic == "harmattan/v1/post-1/lane-2/receipt"
        assert (third.topic.rsplit("/", 1)[1], third.retain) == ("command", False)

    asyncio.run(story())


def test_what_could_not_be_sent_comes_back_unless_there_is_a_newer_word():
    async def story():
        outgoing = Outgoing("post-1", lambda: 0)
        outgoing.put("lane-1", "receipt", receipt(1))
        (old,) = await take(outgoing)
        outgoing.put_back([old])
        assert await take(outgoing) == [old]
        outgoing.put("lane-1", "receipt", receipt(2))
        outgoing.put_back([old])
        (newer,) = await take(outgoing)
        assert newer.message == receipt(2)

    asyncio.run(story())


def test_a_time_that_had_to_wait_is_that_of_its_sending():
    async def story():
        clock = [NOW_MS]
        outgoing = Outgoing("post-1", lambda: clock[0])
        outgoing.put("lane-1", "time", wire.Time(NOW_MS, 2, BOOT, 77))
        clock[0] += 61_000
        (letter,) = await take(outgoing)
        assert letter.message == wire.Time(NOW_MS + 61_000, 2, BOOT, 77)
        outgoing.put_back([letter])
        clock[0] = 61_000  # 1970: and with what such a clock is worth
        (letter,) = await take(outgoing)
        assert letter.message == wire.Time(61_000, 1, BOOT, 77)

    asyncio.run(story())


def test_taking_waits_for_a_word():
    async def story():
        outgoing = Outgoing("post-1", lambda: 0)
        taking = asyncio.create_task(take(outgoing))
        await asyncio.sleep(0)
        assert not taking.done()
        outgoing.put("lane-1", "receipt", receipt(1))
        assert [letter.message for letter in await taking] == [receipt(1)]

    asyncio.run(story())


def test_verdicts_wait_side_by_side_the_newest_of_each_inspection_and_not_too_many():
    """SPEC 3.14."""

    def verdict(inspection, outcome):
        return wire.Verdict(b"%08d" % inspection, outcome, drill=False, detail="")

    async def story():
        outgoing = Outgoing("post-1", lambda: 0)
        for inspection in range(20):
            for outcome in (1, 2):
                told = verdict(inspection, outcome)
                outgoing.put("lane-1", "verdict", told, told.inspection_id)
        outgoing.put("lane-2", "verdict", verdict(1, 0), b"00000001")
        letters = await take(outgoing)
        assert [letter.message for letter in letters] == [
            *(verdict(inspection, 2) for inspection in range(20 - SUBJECTS_MAX, 20)),
            verdict(1, 0),
        ]
        assert not letters[0].retain
        outgoing.put("lane-1", "verdict", verdict(19, 0), b"00000019")
        outgoing.put_back(letters)
        again = [letter.message for letter in await take(outgoing)]
        assert verdict(19, 0) in again
        assert verdict(19, 2) not in again

    asyncio.run(story())


def test_letters_of_many_nodes_are_taken_in_parts_and_waiting_may_end():
    async def story():
        outgoing = Outgoing("post-1", lambda: 0)
        assert await outgoing.take(10, 0.0) == []
        for number in range(25):
            outgoing.put(f"lane-{number}", "receipt", receipt(number))
        parts = [await outgoing.take(10, 0.0) for _ in range(4)]
        assert [len(part) for part in parts] == [10, 10, 5, 0]
        taken = [letter.message.seq for part in parts for letter in part]
        assert taken == list(range(25))

    asyncio.run(story())


def test_a_verdict_that_comes_back_takes_no_place_of_a_newer_one():
    async def story():
        def verdict(number):
            return wire.Verdict(b"%08d" % number, 1, drill=False, detail="")

        outgoing = Outgoing("post-1", lambda: 0)
        outgoing.put("lane-1", "verdict", verdict(0), b"%08d" % 0)
        (old,) = await take(outgoing)
        for number in range(1, SUBJECTS_MAX + 1):
            outgoing.put("lane-1", "verdict", verdict(number), b"%08d" % number)
        outgoing.put_back([old])
        left = [letter.message for letter in await take(outgoing)]
        assert left == [verdict(number) for number in range(1, SUBJECTS_MAX + 1)]

    asyncio.run(story())
