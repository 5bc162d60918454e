"""Goal: whatever is read of one consignment carries one inspection, on a real node.

Method: the firmware in a real MicroPython with spectrometer, scanner, document reader and scale,
each simulated on a real pseudo-terminal, and a client that plays the gateway. An officer reads two
consignments after each other; headquarters orders a third.
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
DOCUMENT = load_scenario(SCENARIOS / "good_morning.toml", load_substances()).act("sugar")


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


def test_codes_documents_weights_dark_and_sample_of_one_act_carry_one_inspection(bench):
    async def story():
        async with bench, Readers(bench.folder / "ports", seed=1) as readers:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            line = await bench.plug()
            line.present(bench.sample("sucrose"))
            node = await bench.start_node(readers=readers.settings, window=32)
            await node.wait("ready")
            for name in ("scanner", "document", "mt_sics"):
                await node.log.wait(lambda line, name=name: line.startswith(f"{name}:"))
            officer = Officer(node, readers)
            papers = Lines("TD3", DOCUMENT.consignment.documents[0].lines)

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

            # Headquarters names the act that it orders; what is read then belongs to it.
            order = messages.Command(COMMAND_ID, messages.ACTION_CAPTURE, None, b"")
            await gateway.say(order)
            ordered = await gateway.wait("reading", lambda m: m.inspection_id == COMMAND_ID)
            assert ordered.role == messages.ROLE_SAMPLE
            assert await officer.show(papers) == COMMAND_ID.hex()
            event = await gateway.wait("event", lambda m: m.inspection_id == COMMAND_ID)
            assert event.content.decode().split("\n") == list(papers.lines)

    asyncio.run(story())
