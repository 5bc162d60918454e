"""Goal: what is scanned at a lane reaches the gateway as it is, with what else is read there.

Method: a node in a real MicroPython with a simulated scanner and a simulated spectrometer, and a
client that plays the gateway. Of codes with a person's data everything that the node said, and
every file beside the journal, is searched.
"""

import asyncio
import base64

from protocol import messages
from protocol.messages import ACTION_LOG_TAIL, Command, Receipt
from simulators.scanner.codes import parse_code
from simulators.scanner.device import Scanner, ScannerLine

BAUD = 115_200
LOT = r"]d2019841234567890810LOT-A1\x1d21SN0001"


def test_a_scan_belongs_to_the_act_and_a_spoilt_one_is_told(bench):
    async def play():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            device = Scanner(baud=BAUD)
            port = bench.folder / "scanner"
            reader = {"driver": "scanner", "port": str(port), "baud": BAUD, "content_max": 5_000}
            async with ScannerLine(device, link=port) as line:
                node = await bench.start_node(readers=[reader])
                await node.wait("ready")
                seq = await bench.take()
                sample = await gateway.wait("reading", lambda reading: reading.seq == seq)
                line.scan(parse_code(LOT))
                event = await gateway.wait("event")
                assert (event.event_type, event.symbology) == (1, "]d2")
                assert event.content == b"019841234567890810LOT-A1\x1d21SN0001"
                assert (event.mass_mg, event.stable) == (None, None)
                assert event.inspection_id == sample.inspection_id

                secret = "4711" * 1_200
                line.scan(parse_code("]Q1" + secret))
                long = await gateway.wait("event", lambda event: event.seq > seq + 1)
                assert long.content == secret.encode()
                line.scan(parse_code("]Q1" + secret + "x" * 500))
                fault = await node.wait("fault", what="scanner")
                await node.wait("reread", what="scanner")
                said = len(node.signals.items)
                assert fault["text"].startswith(f"a code on {port} has 5303 bytes")
                await gateway.wait("health", lambda health: "scanner: a code on" in health.fault)
                after = len(gateway.heard.items)
                line.scan(parse_code(LOT))
                last = await gateway.wait("event", after=after)
                assert last.content == event.content
                while not any(name == "ready" for name, _ in node.signals.items[said:]):
                    after = len(gateway.heard.items)
                    line.scan(device.draw())  # no longer of the burst that the spoilt one was in
                    scan = await gateway.wait("event", after=after)
                    await gateway.say(Receipt(scan.journal_id, scan.seq, ()))
            gone = await node.wait("fault", what="scanner", after=len(node.signals.items) - 3)
            assert "went away" in gone["text"] or "does not exist" in gone["text"]
            told = "\n".join(map(str, node.log.items + node.signals.items))
            assert "LOT-A1" not in told
            assert "4711" not in told

    asyncio.run(play())


def test_a_node_with_a_scanner_alone_takes_its_fault_back_by_itself(bench, monkeypatch):
    usual = bench.settings()
    del usual["instrument"]
    port = bench.folder / "scanner"
    reader = {"driver": "scanner", "port": str(port), "baud": BAUD, "aim": True}
    monkeypatch.setattr(bench, "settings", lambda: usual | {"readers": [reader]})

    async def play():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            device = Scanner(baud=BAUD)
            async with ScannerLine(device, link=port) as line:
                node = await bench.start_node(options={"speed": 20})
                await gateway.wait("birth")
                await node.log.wait(lambda text: "scanner: listens" in text)
                line.scan(parse_code("no identifier"))
                fault = await node.wait("fault", what="scanner")
                assert "has no AIM identifier" in fault["text"]
                await node.wait("reread", what="scanner")
                told = await gateway.wait("health", lambda health: "scanner" in health.fault)
                assert fault["text"] not in told.fault  # it is cut; the log says it all
                await gateway.say(Command(b"command1", ACTION_LOG_TAIL, None, b""))
                tail = (await gateway.wait("result")).tail.decode()
                assert f"fault of scanner: a code on {port} of " in tail  # in pieces, it may be
                assert "check baud rate, cable and the scanner's settings\n" in tail
                assert "no identifier" not in tail
                after = gateway.heard.items.index(("health", told, False)) + 1
                await gateway.wait("health", lambda health: not health.fault, after=after)
                line.scan(parse_code("]Q1" + "7" * 2_048))  # without pixels, its content alone
                event = await gateway.wait("event")
                assert event.content == b"7" * 2_048

    asyncio.run(play())


def test_of_a_persons_code_nothing_is_said_and_its_lines_are_no_codes(bench):
    reader = {"driver": "scanner", "port": str(bench.folder / "scanner"), "baud": BAUD}
    licence = "]L0" + "@\\n\\x1e\\rANSI 6360140\\nDAQQX1234562\\nDCSZZYXOVIC\\r"
    ticket = "]L0M1ZZYXOVIC/QUENTISSA  EQX1234 ARNFRASK 0123 326Y025C0027 100"

    async def story():
        device = Scanner(baud=BAUD)
        async with bench, ScannerLine(device, link=bench.folder / "scanner") as line:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node(readers=[reader])
            await node.log.wait(lambda text: "scanner: listens" in text)
            line.scan(parse_code(licence))
            fault = await node.wait("fault", what="scanner")
            assert "has lines behind its first 1 bytes" in fault["text"]
            await node.wait("reread", what="scanner")
            await gateway.wait("health", lambda health: "scanner" in health.fault)
            while not gateway.count("event"):  # the first may be taken for the rest of the licence
                line.scan(parse_code(ticket))
                await asyncio.sleep(0.5)
            event = await gateway.wait("event")
            assert event.content == ticket[3:].encode()
            command = messages.Command(b"command7", messages.ACTION_LOG_TAIL, None, b"")
            await gateway.say(command)
            tail = (await gateway.wait("result")).tail
            await node.end()
            assert {one.content for _, one, _ in gateway.heard.items if one.KIND == 4} == {
                event.content
            }
        others = [message for channel, message, _ in gateway.heard.items if channel != "event"]
        shown = [repr(node.signals.items).encode(), repr(node.log.items).encode(), tail]
        return [message.pack() for message in others] + shown

    said = asyncio.run(story())
    files = [path for path in bench.folder.rglob("*") if path.is_file()]
    journal = [path for path in files if "journal" in path.relative_to(bench.folder).parts]
    said += [path.read_bytes() for path in set(files) - set(journal)]
    coded = [base64.b64encode(ticket[at:].encode())[4:28] for at in range(3, 6)]
    for secret in (
        b"ZZYXOVIC",
        b"QUENTISSA",
        b"QX1234",
        *coded,
        ticket[5:15].encode().hex().encode(),
    ):
        assert not [text for text in said if secret in text], secret
    assert [path for path in journal if ticket[3:].encode() in path.read_bytes()]
    assert not [path for path in journal if b"ANSI" in path.read_bytes()]
