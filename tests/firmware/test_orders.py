"""Goal: a node does what it is told from afar: once, answered, and safely.

Method: the firmware in a real MicroPython, a real mosquitto, the simulated spectrometer on a real
pseudo-terminal, and a client that plays the gateway.
"""

import asyncio
import contextlib
import signal

from protocol import messages
from simulators.board import HARD_RESET, WATCHDOG
from tests.firmware.conftest import DEADLINE_S, BoardProgram


def command(number, action, expires_ms=None, argument=b""):
    return messages.Command(b"%08d" % number, action, expires_ms, argument)


async def peer(port, words):
    """Listen at `port` and answer whoever comes with `words`, as something that is no broker."""

    async def serve(reader, writer):
        with contextlib.suppress(OSError):
            await reader.read(100)
            writer.write(words)
            await writer.drain()
            while await reader.read(100):
                pass
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", port)


async def answer(gateway, number, after=0):
    """Wait for what became of a command."""
    return await gateway.wait("result", lambda m: m.command_id == b"%08d" % number, after=after)


def test_a_node_says_where_it_is_how_its_journal_is_and_what_it_logged(bench):
    """SPEC 8.6, SPEC 8.9."""

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            node = await bench.start_node()
            birth = await gateway.wait("birth")
            await gateway.say(command(1, messages.ACTION_IDENTIFY))
            assert (await answer(gateway, 1)).outcome == messages.OUTCOME_DONE
            await node.wait("identify", seconds=10)
            await node.log.wait(lambda line: line == "lamps on")
            await node.log.wait(lambda line: line == "lamps off")
            await gateway.say(command(2, messages.ACTION_JOURNAL_REPORT))
            told = (await answer(gateway, 2)).tail.decode()
            assert f"journal {birth.journal_id.hex()}: records 1 to 0" in told
            assert "erasures" in told
            await gateway.say(command(3, messages.ACTION_LOG_TAIL))
            told = (await answer(gateway, 3)).tail.decode()
            assert "erasures" in told  # what it says at its start
            assert len(told) <= 1_024
            assert told.split()[0].replace(".", "").isdigit()

    asyncio.run(story())


def test_a_node_restarts_once_and_answers_before(bench):
    """SPEC 8.7, SPEC 8.3: the command comes again after the restart, and is not done again."""

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            node = await bench.start_node()
            first = await gateway.wait("birth")
            await gateway.say(command(1, messages.ACTION_REBOOT, expires_ms=10**12))
            refused = await answer(gateway, 1)
            assert refused.outcome == messages.OUTCOME_REFUSED
            assert "no time yet" in refused.detail
            await gateway.say(command(2, messages.ACTION_REBOOT))
            done = await answer(gateway, 2)
            assert (done.outcome, done.detail) == (messages.OUTCOME_DONE, "restarting")
            async with asyncio.timeout(DEADLINE_S):
                assert await node.process.wait() == 3
            assert node.signals.items[-1][0] == "stopped"
            await gateway.wait("status", lambda m: not m.online)
            await bench.start_node()
            second = await gateway.wait("birth", lambda m: m.boot_id != first.boot_id)
            after = len(gateway.heard.items)
            await gateway.say(command(2, messages.ACTION_REBOOT))
            assert await answer(gateway, 2, after=after) == done
            await gateway.say(command(3, messages.ACTION_BIRTH))
            again = await gateway.wait("birth", after=after)
            assert again.boot_id == second.boot_id

    asyncio.run(story())


def test_the_laser_is_off_until_somebody_presses_the_button(bench):
    """SPEC 8.8: the exposure ends, what waits is not begun, and a restart allows nothing."""

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            line = await bench.plug()
            node = await bench.start_node()
            await node.wait("ready")
            await bench.take()
            # A long exposure with a dark frame that fits: one sample first, then 0.9 s of it.
            await gateway.say(messages.Config(1, 22_000, 40, 0, 60, 8, 60_000))
            await gateway.wait("birth", lambda m: m.config_version == 1)
            after = len(node.signals.items)
            await gateway.say(command(1, messages.ACTION_CAPTURE))
            await node.wait("measuring", role="dark", after=after)
            await gateway.say(command(2, messages.ACTION_CAPTURE))
            await node.wait("measuring", role="sample", after=after)
            await gateway.say(command(3, messages.ACTION_LASER_OFF))
            off = await answer(gateway, 3)
            assert off.outcome == messages.OUTCOME_DONE
            assert line.device.probe.laser_mw == 0
            for number in (1, 2):
                cut = await answer(gateway, number)
                assert cut.outcome == messages.OUTCOME_FAILED
                assert "barred" in cut.detail
            await gateway.say(command(4, messages.ACTION_CAPTURE))
            barred = await answer(gateway, 4)
            assert barred.outcome == messages.OUTCOME_REFUSED
            assert "press the node's button" in barred.detail
            told = "laser: barred by order; press the node's button "
            await gateway.wait("health", lambda m: m.fault == told)
            await node.end(signal.SIGKILL)
            after = len(gateway.heard.items)
            node = await bench.start_node(language="fr")
            fault = await node.wait("fault", what="laser")
            assert "press the node's button to allow it again" in fault["text"]
            assert ("fault", "panne") in node.words
            await node.wait("ready")
            await gateway.wait("health", lambda m: m.fault == told, after=after)
            await gateway.say(messages.Config(2, 22_000, 1, 0, 60, 8, 60_000))
            await gateway.wait("birth", lambda m: m.config_version == 2)
            await gateway.say(command(5, messages.ACTION_CAPTURE))
            assert (await answer(gateway, 5)).outcome == messages.OUTCOME_REFUSED
            await gateway.say(command(6, messages.ACTION_CAPTURE, argument=bytes([1])))
            assert (await answer(gateway, 6)).outcome == messages.OUTCOME_DONE
            assert not [
                m for c, m, _ in gateway.heard.items if c == "reading" and m.seq > 3 and m.laser_mw
            ]
            after = len(gateway.heard.items)
            await bench.take()
            await gateway.wait("health", lambda m: not m.fault, after=after)
            await gateway.say(command(7, messages.ACTION_CAPTURE))
            assert (await answer(gateway, 7)).outcome == messages.OUTCOME_DONE

    asyncio.run(story())


def test_the_bar_holds_without_an_instrument_and_says_what_is_not_known(bench):
    """SPEC 8.8."""

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            node = await bench.start_node()
            await node.wait("fault", what="instrument")
            await gateway.wait("birth")
            await gateway.say(command(1, messages.ACTION_LASER_OFF))
            failed = await answer(gateway, 1)
            assert failed.outcome == messages.OUTCOME_FAILED
            assert "key switch" in failed.detail
            await bench.plug()
            await node.wait("ready")
            await gateway.say(command(2, messages.ACTION_CAPTURE))
            assert (await answer(gateway, 2)).outcome == messages.OUTCOME_REFUSED

    asyncio.run(story())


def test_a_dark_frame_can_be_ordered_and_health_tells_its_level(bench):
    """SPEC 8.5, SPEC 3.8: also laser hours, the age of the last standard and the round trip."""

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            line = await bench.plug()
            line.present(bench.sample("polystyrene"))
            node = await bench.start_node()
            await node.wait("ready")
            first = await gateway.wait("health")
            assert (first.dark_counts, first.calibration_age_h) == (None, None)
            await gateway.say(command(1, messages.ACTION_CAPTURE, argument=bytes([1])))
            assert (await answer(gateway, 1)).detail == "seq=1"
            dark = await gateway.wait("reading")
            assert (dark.role, dark.laser_mw, dark.inspection_id) == (1, 0, b"00000001")
            await gateway.say(command(2, messages.ACTION_CAPTURE, argument=bytes([2])))
            assert (await answer(gateway, 2)).detail == "seq=2"  # the dark frame fits
            birth = await gateway.wait("birth")
            await gateway.say(messages.Time(10**12, 2, birth.boot_id, birth.uptime_ms))
            await gateway.say(messages.Config(1, 22_000, 1, 0, 2, 8, 60_000))
            health = await gateway.wait("health", lambda m: m.round_trip_ms is not None)
            pixels = memoryview(dark.pixels_u16le).cast("H")
            assert health.dark_counts == sum(pixels) // len(pixels)
            assert health.calibration_age_h == 0
            assert len(health.pack()) <= 200
            await node.end(signal.SIGTERM)
            after = len(gateway.heard.items)
            await bench.start_node()
            await node.wait("ready")
            birth = await gateway.wait("birth", lambda m: m.boot_id != birth.boot_id, after=after)
            day_ms = 24 * 3_600_000
            await gateway.say(messages.Time(10**12 + 2 * day_ms, 2, birth.boot_id, birth.uptime_ms))
            known = await gateway.wait("health", lambda m: m.calibration_age_h, after=after)
            assert 47 <= known.calibration_age_h <= 48

    asyncio.run(story())


def test_the_officer_sees_each_step_of_a_reading_and_its_verdict(bench):
    """SPEC 3.14, SPEC 6.7: measuring, stored, sent, stored at the post, verdict; a drill is named.

    The records of an alarm go last on the flash, those of a drill as all others.
    """

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node()
            await node.wait("ready")
            seq = await bench.take()
            stored = await node.wait("stored", seq=seq)
            await node.wait("published", seq=seq)
            assert not [name for name, _ in node.signals.items if name == "sent"]
            await gateway.say(messages.Receipt(bytes.fromhex(stored["journal"]), seq, ()))
            await node.wait("sent", seq=seq)
            inspection = bytes.fromhex(stored["inspection"])
            for number, (outcome, name) in enumerate(((2, "alarm"), (1, "inconclusive"))):
                drill = bool(number)
                await gateway.say(messages.Verdict(inspection, outcome, drill, "urea, x"))
                found = await node.wait("verdict", outcome=name)
                assert found == {
                    "outcome": name,
                    "inspection": inspection.hex(),
                    "drill": str(number),
                    "detail": "urea, x",
                }
            await gateway.say(messages.Verdict(*(b"drilling", 2, True, "")))
            await node.wait("verdict", inspection=b"drilling".hex())
            assert (bench.folder / "journal/alarms").read_bytes() == inspection
            names = [name for name, fields in node.signals.items if fields.get("seq") == str(seq)]
            assert names == ["stored", "published", "sent"]

    asyncio.run(story())


def test_receipts_for_another_journal_free_nothing_and_are_told_in_words(bench):
    """SPEC 6.12: one may be an old word; three in a row are a name that is used twice."""

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node()
            await node.wait("ready")
            seq = await bench.take()
            own = (await gateway.wait("reading", lambda m: m.seq == seq)).journal_id
            for _ in range(2):
                await gateway.say(messages.Receipt(b"stranger", 9, ()))
            await node.log.wait(lambda line: b"stranger".hex() in line)
            await gateway.say(command(1, messages.ACTION_JOURNAL_REPORT))
            await answer(gateway, 1)
            assert not [fields for name, fields in node.signals.items if name == "fault"]
            await gateway.say(messages.Receipt(b"stranger", 9, ()))
            fault = await node.wait("fault", what="receipts")
            assert b"stranger".hex() in fault["text"]
            assert "give each its own name" in fault["text"]
            assert not [name for name, _ in node.signals.items if name == "sent"]
            health = await gateway.wait("health", lambda m: m.fault)
            assert health.fault.startswith("receipts: they are for journal")
            assert health.oldest_seq == 1
            await gateway.say(messages.Receipt(own, seq, ()))
            await node.wait("sent", seq=seq)
            await gateway.wait("health", lambda m: not m.fault and m.oldest_seq == seq + 1)

    asyncio.run(story())


def test_a_receipt_from_the_future_is_told_and_no_number_is_given_twice(bench):
    """SPEC 6.16: nothing is freed by it, and what is measured next has a number above it."""

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node()
            await node.wait("ready")
            seq = await bench.take()
            sample = await gateway.wait("reading", lambda m: m.seq == seq)
            await gateway.say(messages.Receipt(sample.journal_id, 500, ()))
            fault = await node.wait("fault", what="restored")
            assert "gateway has record 500" in fault["text"]
            assert "restored from an old copy" in fault["text"]
            assert await bench.take() == 501
            health = await gateway.wait("health", lambda m: m.fault)
            assert health.fault.startswith("restored: gateway has record 500")

    asyncio.run(story())


def test_a_broker_that_talks_nonsense_is_named_and_measuring_goes_on(bench):
    async def story():
        async with bench:
            await bench.plug()
            server = await peer(bench.port, b"HTTP/1.1 400 Bad Request\r\n\r\n")
            node = await bench.start_node()
            fault = await node.wait("fault", what="broker")
            assert f"127.0.0.1:{bench.port} speaks no MQTT 3.1.1" in fault["text"]
            assert "check broker.host, port and tls" in fault["text"]
            await node.wait("ready")
            assert await bench.take() == 2
            server.close()
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await gateway.wait("reading", lambda m: m.seq == 2)
            for payload in (b"", b"\xc1", b"\x91\x63", bytes(3_000)):
                await gateway.say_bytes("command", payload)
                await gateway.say_bytes("verdict", payload)
            await node.log.wait(lambda line: "message on" in line and "longer than" in line)
            await gateway.say(command(1, 200))
            refused = await answer(gateway, 1)
            assert "action 200 is not known here; known are 1, 2, 3, 4, 5, 6, 7" in refused.detail
            assert await bench.take() == 3
            health = await gateway.wait("health", lambda m: not m.fault)
            assert health.failure_count == 0

    asyncio.run(story())


def test_a_broker_that_refuses_the_subscriptions_is_told_with_the_remedy(bench):
    async def story():
        async with bench:
            await bench.plug()
            server = await peer(bench.port, b"\x20\x02\x00\x00\x90\x03\x00\x01\x80")
            node = await bench.start_node()
            fault = await node.wait("fault", what="broker")
            assert fault["text"].endswith(
                f"127.0.0.1:{bench.port} refuses the subscriptions; do its access list and "
                "node.json name the same post and node?"
            )
            server.close()

    asyncio.run(story())


def test_in_safe_mode_a_node_still_reports_and_a_reboot_leaves_it(bench):
    """SPEC 8.7, SPEC 8.9: nothing that needs instrument or flash is done there."""

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            (bench.folder / "boots").write_text("4 3 -\nacquire: hangs")
            node = await bench.start_node(program=BoardProgram, options={"cause": WATCHDOG})
            await node.wait("safe", crashes=5)
            await gateway.wait("birth")
            await gateway.say(command(1, messages.ACTION_LASER_OFF))
            assert "safe mode" in (await answer(gateway, 1)).detail
            await gateway.say(command(2, messages.ACTION_JOURNAL_REPORT))
            assert b"journal" in (await answer(gateway, 2)).tail
            await gateway.say(command(3, messages.ACTION_LOG_TAIL))
            assert (await answer(gateway, 3)).outcome == messages.OUTCOME_DONE
            await gateway.say(command(4, messages.ACTION_REBOOT))
            assert (await answer(gateway, 4)).outcome == messages.OUTCOME_DONE
            await node.wait("ready")
            assert node.causes == [WATCHDOG, HARD_RESET]
            assert [name for name, _ in node.signals.items].count("safe") == 1

    asyncio.run(story())
