"""Goal: whatever is read of one consignment carries one inspection, on a real node.

Method: the firmware in a real MicroPython with spectrometer, scanner, document reader and scale,
each simulated on a real pseudo-terminal, and a client that plays the gateway. An officer reads
consignments one after the other; headquarters orders some; a lane where the probe comes first.
"""

import asyncio
from decimal import Decimal

from protocol import messages
from simulators.readers import Readers
from simulators.scenario import SCENARIOS, load_scenario
from simulators.sides import Code, Lines, Mass
from simulators.world import load_substances

COMMAND_ID = b"command1"
ROLES = {Code: "code", Lines: "document", Mass: "weight"}
SCENARIO = load_scenario(SCENARIOS / "good_morning.toml", load_substances())


def papers_of(act):
    """Return what the first document of an act shows its reader."""
    lines = SCENARIO.act(act).consignment.documents[0].lines
    return Lines("TD1" if len(lines) == 3 else "TD3", lines)


class Officer:
    """Shows things to the readers of a node and waits until each is stored."""

    def __init__(self, node, readers):
        self._node, self._readers = node, readers

    async def show(self, thing):
        """Return the inspection that a thing was stored with."""
        after = len(self._node.signals.items)
        self._readers.show(thing)
        stored = await self._node.wait("stored", after=after, role=ROLES[type(thing)])
        if isinstance(thing, Mass):
            self._readers.clear()
        return stored["inspection"]

    async def press(self):
        """Return the inspections of what a press at the button leaves."""
        after = len(self._node.signals.items)
        await self._node.press()
        await self._node.wait("stored", after=after, role="sample")
        stored = [fields for name, fields in self._node.signals.items[after:] if name == "stored"]
        return {fields["role"]: fields["inspection"] for fields in stored}


async def start(bench, readers, **settings):
    """Return gateway, node and officer, once everything at the lane is ready."""
    await bench.start_broker()
    gateway = await bench.start_gateway()
    line = await bench.plug()
    line.present(bench.sample("sucrose"))  # nothing before the probe would be no sample
    node = await bench.start_node(readers=readers.settings, window=32, **settings)
    await node.wait("ready")
    for name in ("scanner", "document", "mt_sics"):
        await node.log.wait(lambda line, name=name: line.startswith(f"{name}:"))
    return gateway, node, Officer(node, readers)


async def order(gateway, command_id, argument=b""):
    """Have the node measure; return the reading that its answer names (SPEC 8.5)."""
    await gateway.say(messages.Command(command_id, messages.ACTION_CAPTURE, None, argument))
    result = await gateway.wait("result", lambda m: m.command_id == command_id)
    assert result.outcome == messages.OUTCOME_DONE
    return await gateway.wait("reading", lambda m: f"seq={m.seq}" == result.detail)


def test_codes_documents_weights_dark_and_sample_of_one_act_carry_one_inspection(bench):
    """SPEC 8.5: the act of an ordered sample, standard."""

    async def story():
        async with bench, Readers(bench.folder / "ports", seed=1) as readers:
            gateway, _, officer = await start(bench, readers)
            papers = papers_of("sugar")

            first = {
                await officer.show(Code("]C0", b"CSQU3054383")),
                await officer.show(Code("]d2", b"019841234567890810A1\x1d21B2")),
                await officer.show(papers),
                await officer.show(Mass(Decimal("25.08"))),
            }
            pressed = await officer.press()
            assert set(pressed) == {"dark", "sample"}
            assert first == set(pressed.values())

            # The next lorry: a code, as the act before had in front of its sample, begins another.
            second = {await officer.show(Code("]C0", b"MWCU6059784"))}
            assert not first & second
            pressed = await officer.press()
            assert set(pressed) == {"sample"}  # the dark frame still fits
            assert second == set(pressed.values())

            # A second sample begins one, too; what is read afterwards belongs to it.
            third = set((await officer.press()).values())
            assert not (first | second) & third
            assert {await officer.show(Code("]C0", b"TASU1170000"))} == third
            assert {await officer.show(Mass(Decimal("12.5")))} == third

            # Headquarters names the act that its order begins; codes read then belong to it.
            ordered = await order(gateway, COMMAND_ID)
            assert ordered.inspection_id == COMMAND_ID
            assert await officer.show(Code("]C0", b"CSQU3054383")) == COMMAND_ID.hex()

            # Papers do not: they are the next lorry's, and what is ordered then is measured of it.
            fourth = await officer.show(papers_of("bakery"))
            assert fourth != COMMAND_ID.hex()
            ordered = await order(gateway, b"command2")
            assert ordered.inspection_id.hex() == fourth
            event = await gateway.wait("event", lambda m: m.inspection_id.hex() == fourth)
            assert event.event_type == messages.EVENT_DOCUMENT

            # A standard that headquarters wants is between two acts, and ends none.
            fifth = await officer.show(papers)
            measured = await order(gateway, b"command3", bytes([messages.ROLE_STANDARD]))
            assert measured.inspection_id == b"command3"
            assert set((await officer.press()).values()) == {fifth}

    asyncio.run(story())


def test_where_the_probe_comes_first_papers_belong_to_the_sample_before_them(bench):
    async def story():
        async with bench, Readers(bench.folder / "ports", seed=1) as readers:
            gateway, _, officer = await start(bench, readers, papers_first=False)
            first = set((await officer.press()).values())
            assert {await officer.show(papers_of("sugar"))} == first
            assert {await officer.show(papers_of("bakery"))} == first
            ordered = await order(gateway, COMMAND_ID)
            assert ordered.inspection_id == COMMAND_ID
            assert await officer.show(papers_of("sugar")) == COMMAND_ID.hex()

    asyncio.run(story())
