"""Goal: the whole node keeps its promises towards officer and gateway.

Method: the firmware in a real MicroPython, a real mosquitto, the simulated spectrometer on a real
pseudo-terminal, and a client that plays the gateway. Programs are killed, ports are pulled, and
what counts is read off the node's signals and the messages that arrive.
"""

import asyncio
import signal
import struct

from protocol import messages
from tests.firmware.test_presence import ready, until

COMMAND_ID = b"command1"


def is_sample(reading):
    return reading.role == messages.ROLE_SAMPLE


def test_a_press_becomes_a_reading_that_only_a_receipt_frees(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            line = await bench.plug()
            node = await bench.start_node()
            await node.wait("ready", instrument=line.device.serial_number)
            await node.press()
            stored = await node.wait("stored", role="sample")
            shown = [name for name, _ in node.signals.items if name != "published"]
            assert shown == [
                "starting",
                "ready",
                "measuring",
                "stored",
                "measuring",
                "stored",
            ]
            dark = await gateway.wait("reading", lambda m: m.role == messages.ROLE_DARK)
            sample = await gateway.wait("reading", is_sample)
            birth = await gateway.wait("birth", lambda m: m.instrument_serial)
            assert (dark.seq, sample.seq) == (1, 2)
            assert dark.laser_mw == 0
            assert sample.laser_mw == 100
            assert sample.dark_seq == dark.seq
            assert stored["inspection"] == sample.inspection_id.hex() == dark.inspection_id.hex()
            assert stored["journal"] == sample.journal_id.hex() == birth.journal_id.hex()
            assert sample.axis_id == birth.axis_id
            assert len(sample.pixels_u16le) == 2 * birth.pixel_count == 2048
            coefficients = struct.unpack("<4f", birth.coefficients_f32le)
            assert coefficients == line.device.probe.unit.coefficients_nm
            assert birth.full_scale_counts == 65_535
            assert line.device.probe.laser_mw == 0
            # The laser lights the sample and not the dark frame.
            bright = sum(struct.unpack("<1024H", sample.pixels_u16le))
            assert bright > sum(struct.unpack("<1024H", dark.pixels_u16le))
            assert not [name for name, _ in node.signals.items if name == "sent"]

            await gateway.say(messages.Receipt(sample.journal_id, 1, ()))
            await node.wait("sent", seq=1)
            await gateway.say(messages.Receipt(sample.journal_id, 2, ()))
            await node.wait("sent", seq=2)

            assert await bench.take() == 3  # the dark frame of the first press still fits
            assert (await gateway.wait("reading", lambda m: m.seq == 3)).dark_seq == 1

    asyncio.run(story())


def test_what_no_receipt_covers_is_sent_again_after_a_power_cut(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node()
            await node.wait("ready")
            await bench.take()
            assert await bench.take() == 3
            second = await gateway.wait("reading", lambda m: m.seq == 2)
            third = await gateway.wait("reading", lambda m: m.seq == 3)
            receipt = messages.Receipt(third.journal_id, 1, (3, 3))
            await gateway.say(receipt)
            await node.wait("sent", seq=3)
            await node.end(signal.SIGKILL)
            offline = await gateway.wait("status", lambda m: not m.online)
            assert offline.boot_id == third.boot_id
            # The broker forgets what it had retained, too: the receipt follows the birth.
            await bench.kill_broker()
            await bench.start_broker()
            gateway = await bench.start_gateway(receipt)

            node = await bench.start_node()
            await node.wait("ready")
            assert await bench.take() == 5  # a dark frame first: the old one died with the boot
            again = await gateway.wait("reading", lambda m: m.seq == 5)
            assert again.journal_id == third.journal_id
            assert again.boot_id != third.boot_id
            heard = [m for channel, m, _ in gateway.heard.items if channel == "reading"]
            assert [m.seq for m in heard] == [2, 4, 5]
            assert heard[0].pack() == second.pack()  # SPEC 6.1

    asyncio.run(story())


def test_readings_taken_without_a_broker_are_delivered_when_it_is_back(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node()
            await node.wait("ready")
            await bench.take()
            await gateway.wait("reading", lambda m: m.seq == 2)
            await bench.kill_broker()
            await node.wait("fault", what="broker")
            assert await bench.take() == 3
            await bench.start_broker()
            gateway = await bench.start_gateway()
            last = await gateway.wait("reading", lambda m: m.seq == 3)
            # What the old broker had taken, and perhaps lost, comes again (SPEC 6.6).
            await gateway.wait("reading", lambda m: m.seq == 1)
            await gateway.wait("reading", lambda m: m.seq == 2)
            await gateway.say(messages.Receipt(last.journal_id, 3, ()))
            for seq in (1, 2, 3):
                await node.wait("sent", seq=seq)
            health = await gateway.wait("health", lambda m: not m.fault)
            assert health.reconnect_count == 1

    asyncio.run(story())


def test_an_unreceipted_reading_is_repeated_with_the_same_bytes(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node(resend_ms=300)
            await node.wait("ready")
            await bench.take()
            first = await gateway.wait("reading", is_sample)
            after = len(gateway.heard.items)
            second = await gateway.wait("reading", is_sample, after=after)
            assert second == first
            # A receipt of another journal, garbage and oversize change nothing.
            await gateway.say(messages.Receipt(bytes(8), 2, ()))
            await gateway.say_bytes("receipt", b"\xc1 no message")
            await gateway.say_bytes("config", bytes(9000))
            await gateway.say_bytes("command", messages.Receipt(first.journal_id, 2, ()).pack())
            await node.log.wait(lambda line: "/config is not used: it is longer than" in line)
            await node.log.wait(lambda line: "/command is not used" in line)
            after = len(gateway.heard.items)
            await gateway.wait("reading", is_sample, after=after)
            assert not [name for name, _ in node.signals.items if name == "sent"]

    asyncio.run(story())


def test_no_more_than_a_window_is_under_way(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node(window=2)
            await node.wait("ready")
            for seq in (2, 3, 4):
                assert await bench.take() == seq
            after = len(gateway.heard.items)
            await gateway.say(messages.Command(COMMAND_ID, messages.ACTION_BIRTH, None, b""))
            birth = await gateway.wait("birth", after=after)
            assert gateway.count("reading") == 2
            await gateway.say(messages.Receipt(birth.journal_id, 0, (2, 2)))  # SPEC 6.9
            await gateway.wait("reading", lambda m: m.seq == 3)
            assert gateway.count("reading", lambda m: m.seq == 4) == 0

    asyncio.run(story())


def test_a_missing_port_is_named_and_found_when_it_appears(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            node = await bench.start_node()
            fault = await node.wait("fault", what="instrument")
            assert str(bench.tty) in fault["text"]
            assert "does not exist" in fault["text"]
            assert "plug" in fault["text"]
            birth = await gateway.wait("birth")  # nothing else is stopped
            assert birth.instrument_serial == ""
            assert birth.axis_id is None
            after = len(node.signals.items)
            await node.press()
            await node.wait("fault", what="instrument", after=after)
            health = await gateway.wait("health", lambda m: m.failure_count > 0)
            assert health.fault.startswith("instrument: serial port")
            assert len(health.pack()) <= 200
            await bench.plug()
            await node.wait("ready")
            assert (await gateway.wait("birth", lambda m: m.axis_id)).pixel_count == 1024
            assert await bench.take() == 2

    asyncio.run(story())


def test_a_busy_port_is_named_and_used_when_it_is_free(bench, micropython_path):
    async def story():
        async with bench:
            line = await bench.plug()
            first = await bench.start_node()  # flock goes by program: this one holds it
            await first.wait("ready")
            second = await bench.start_node()
            fault = await second.wait("fault", what="instrument")
            assert f"serial port {bench.tty} is in use" in fault["text"]
            assert "close the other program" in fault["text"]
            await first.end(signal.SIGTERM)
            await second.wait("ready", instrument=line.device.serial_number)

    asyncio.run(story())


def test_a_path_that_is_no_serial_port_is_named(bench):
    async def story():
        async with bench:
            bench.tty.write_text("not a port")
            node = await bench.start_node()
            fault = await node.wait("fault", what="instrument")
            assert f"{bench.tty} is not a serial port" in fault["text"]
            assert "set its port in node.json" in fault["text"]

    asyncio.run(story())


def test_pulling_the_plug_in_an_exposure_loses_that_press_and_nothing_else(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            line = await bench.plug(faults=["unplug,at=2,on=spectrum,seconds=0.3"])
            node = await bench.start_node()
            await node.wait("ready")
            await node.press()
            await node.wait("stored", seq=1, role="dark")
            fault = await node.wait("fault", what="laser_on")
            assert "went away" in fault["text"]
            after = len(node.signals.items)
            await node.wait("ready", after=after)
            assert line.device.probe.laser_mw == 0
            assert await bench.take() == 3  # dark frame 2: the port was opened anew
            assert (await gateway.wait("reading", is_sample)).dark_seq is not None
            assert line.unplug_count == 1

    asyncio.run(story())


def test_a_silent_and_a_garbling_instrument_are_told_apart(bench):
    async def story():
        async with bench:
            await bench.plug(
                faults=[
                    "mute,at=1,on=spectrum",
                    "flip,at=2,on=spectrum",
                    "garbage,at=3,on=spectrum",
                ]
            )
            node = await bench.start_node()
            await node.wait("ready")
            for words in (("does not answer", "power"), ("none of them an answer", "baud rate")):
                after = len(node.signals.items)
                await node.press()
                fault = await node.wait("fault", what="instrument", after=after)
                assert all(word in fault["text"] for word in words), fault
                await node.wait("ready", after=after)
            # Bytes before a good frame cost nothing, and nothing bad was stored.
            assert await bench.take() == 2

    asyncio.run(story())


def test_a_config_is_used_confirmed_and_kept(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node()
            assert (await gateway.wait("birth")).config_version == 0
            await node.wait("ready")
            await gateway.say(messages.Config(7, 30_000, 2, 0, 60, 4, 1000))
            await gateway.wait("birth", lambda m: m.config_version == 7)
            await bench.take()
            sample = await gateway.wait("reading", is_sample)
            assert (sample.integration_us, sample.scans) == (30_000, 2)
            # 80 s x 1000 scans: nobody waits for that. Refused whole, the old one stays.
            await gateway.say(messages.Config(8, 80_000_000, 1000, 0, 60, 4, 1000))
            fault = await node.wait("fault", what="config")
            assert "80000000 us x 1000 scans" in fault["text"]
            await gateway.say_bytes("config", b"")  # the broker forgets it
            await node.end(signal.SIGKILL)
            after = len(gateway.heard.items)
            await bench.start_node()
            birth = await gateway.wait("birth", lambda m: m.oldest_seq, after=after)
            assert birth.config_version == 7

    asyncio.run(story())


def test_a_config_with_a_period_measures_by_itself(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node()
            await node.wait("ready")
            await gateway.say(messages.Config(1, 22_000, 1, 1, 60, 8, 5000))
            await node.wait("stored", seq=3)

    asyncio.run(story())


def test_closing_the_interlock_begins_no_period(bench):
    """Nothing is lit by itself until somebody has a sample measured."""

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            line = await bench.plug()
            line.present(bench.sample("sucrose"))
            node = await bench.start_node()
            await node.wait("ready")
            await gateway.say(messages.Config(1, 22_000, 1, 1, 60, 8, 5000))
            await node.wait("stored", seq=3)
            interlock = bench.folder / "interlock"
            interlock.write_text("the lid is open")
            fault = await node.wait("fault", what="period")
            assert "since interlock or key was open" in fault["text"]
            interlock.unlink()
            lit_s = line.device.probe.laser_on_s
            enough = line.device.counts.requests + 2  # several periods are over by then
            await until(lambda: line.device.counts.requests >= enough)
            assert line.device.probe.laser_on_s == lit_s
            after = len(node.signals.items)
            await ready(node)
            await node.press()
            await node.wait("stored", role="sample", after=after)
            await node.wait("stored", role="sample", after=len(node.signals.items))

    asyncio.run(story())


def test_commands_are_done_once_and_answered(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node()
            await node.wait("ready")
            boot = await gateway.wait("birth")
            capture = messages.Command(COMMAND_ID, messages.ACTION_CAPTURE, None, b"")
            await gateway.say(capture)
            result = await gateway.wait("result", lambda m: m.command_id == COMMAND_ID)
            assert (result.outcome, result.detail) == (messages.OUTCOME_DONE, "seq=2")
            after = len(gateway.heard.items)
            await gateway.say(capture)
            assert await gateway.wait("result", after=after) == result
            await gateway.say(messages.Time(1_000_000, messages.TIME_GATEWAY, boot.boot_id, None))
            births = len(gateway.heard.items)
            await gateway.say(messages.Command(b"command2", 1, 999_000, b""))
            expired = await gateway.wait("result", lambda m: m.command_id == b"command2")
            assert expired.outcome == messages.OUTCOME_EXPIRED
            await gateway.wait("birth", after=births)  # SPEC 8.3: it may be the clock that is wrong
            off = messages.Command(b"lightoff", messages.ACTION_LASER_OFF, 999_000, b"")
            await gateway.say(off)
            done = await gateway.wait("result", lambda m: m.command_id == b"lightoff")
            assert done.outcome == messages.OUTCOME_DONE
            await gateway.say(messages.Command(b"command3", 200, None, b""))
            refused = await gateway.wait("result", lambda m: m.command_id == b"command3")
            assert refused.outcome == messages.OUTCOME_REFUSED
            assert "200" in refused.detail
            after = len(gateway.heard.items)
            await gateway.say(messages.Command(b"command4", messages.ACTION_BIRTH, None, b""))
            await gateway.wait("birth", after=after)
            samples = [fields for name, fields in node.signals.items if name == "stored"]
            assert [fields["seq"] for fields in samples] == ["1", "2"]

    asyncio.run(story())


def test_a_command_that_cannot_be_done_says_why(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            node = await bench.start_node()
            await node.wait("fault", what="instrument")
            await gateway.wait("birth")
            await gateway.say(messages.Command(COMMAND_ID, messages.ACTION_CAPTURE, None, b""))
            result = await gateway.wait("result")
            assert result.outcome == messages.OUTCOME_REFUSED
            assert "does not exist" in result.detail
            await bench.plug(faults=["mute,at=1,on=spectrum"])
            await node.wait("ready")
            await gateway.say(messages.Command(b"command2", messages.ACTION_CAPTURE, None, b""))
            result = await gateway.wait("result", lambda m: m.command_id == b"command2")
            assert result.outcome == messages.OUTCOME_FAILED
            assert "does not answer" in result.detail

    asyncio.run(story())


def test_the_gateways_time_labels_what_is_measured_afterwards(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node()
            await node.wait("ready")
            await bench.take()
            untimed = await gateway.wait("reading", is_sample)
            assert (untimed.time_ms, untimed.time_quality) == (None, messages.TIME_NONE)
            birth = await gateway.wait("birth")
            time_ms = 1_795_000_000_000
            quality = messages.TIME_GATEWAY
            await gateway.say(messages.Time(time_ms + 1, quality, bytes(8), birth.uptime_ms))
            await gateway.say(messages.Time(time_ms, quality, birth.boot_id, None))
            await gateway.wait("reading", is_sample, after=len(gateway.heard.items))  # SPEC 7.5
            await bench.take()
            timed = await gateway.wait("reading", lambda m: m.seq == 3)
            assert timed.time_quality == quality
            assert 0 <= timed.time_ms - time_ms < 60_000

    asyncio.run(story())


def test_a_time_that_the_gateway_does_not_stand_for_is_not_kept(bench):
    """SPEC 7.3: kept, it would have the board take the broker's certificate for expired."""

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.start_node(options={"speed": 10})
            birth = await gateway.wait("birth")
            kept, right_ms = bench.folder / "time", 1_795_300_000_000
            wrong_ms = right_ms + 6 * 365 * 86_400_000
            for time_ms, quality in ((wrong_ms, 1), (right_ms, 2)):
                after = len(gateway.heard.items)
                await gateway.say(messages.Time(time_ms, quality, birth.boot_id, None))
                ask = messages.Command(bytes(7) + bytes([quality]), 1, None, b"")
                await gateway.say(ask)
                await gateway.wait("result", after=after)
                # Two turns of the node's pulse after it: a health each.
                for _ in range(2):
                    health = await gateway.wait("health", after=len(gateway.heard.items))
                assert health.time_quality == quality
                assert abs(health.time_ms - time_ms) < 60_000
                assert kept.exists() == (quality == 2)
            assert abs(int.from_bytes(kept.read_bytes(), "little") - right_ms) < 60_000

    asyncio.run(story())


def test_a_node_that_is_asked_to_stop_says_so_and_switches_the_laser_off(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            line = await bench.plug()
            node = await bench.start_node(integration_us=5_000_000)
            await node.wait("ready")
            # A dark frame of five seconds, too; the laser comes after it, so begin with it fresh.
            await gateway.say(messages.Config(1, 22_000, 1, 0, 60, 8, 5000))
            birth = await gateway.wait("birth", lambda m: m.config_version == 1)
            await node.press()
            await node.wait("measuring", role="sample")
            assert await node.end(signal.SIGTERM) == 0
            assert node.signals.items[-1][0] == "stopped"
            assert line.device.probe.laser_mw == 0
            status = await gateway.wait("status", lambda m: not m.online)
            assert status.uptime_ms > birth.uptime_ms  # its own word, not the will of the start

    asyncio.run(story())


def test_a_power_cut_in_an_exposure_leaves_the_laser_on_no_longer_than_the_next_start(bench):
    async def story():
        async with bench:
            line = await bench.plug()
            node = await bench.start_node()
            await node.wait("ready")
            await bench.take()
            after = len(node.signals.items)
            await node.press()
            await node.wait("measuring", role="sample", after=after)
            async with asyncio.timeout(30):
                while line.device.probe.laser_mw == 0:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.001)
            await node.end(signal.SIGKILL)
            assert line.device.probe.laser_mw > 0
            node = await bench.start_node()
            await node.wait("ready")
            assert line.device.probe.laser_mw == 0

    asyncio.run(story())


def test_a_node_nobody_listens_to_works_on(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node()
            await node.wait("ready")
            birth = await gateway.wait("birth")
            # Both pipes lose their reader, as when the terminal is closed.
            node.process._transport.get_pipe_transport(1).close()
            node.process._transport.get_pipe_transport(2).close()
            await gateway.say(messages.Command(COMMAND_ID, messages.ACTION_CAPTURE, None, b""))
            sample = await gateway.wait("reading", is_sample)
            assert sample.boot_id == birth.boot_id
            assert (await gateway.wait("result")).outcome == messages.OUTCOME_DONE
            health = await gateway.wait("health")
            assert health.failure_count == 0

    asyncio.run(story())


def test_a_journal_folder_with_something_else_in_it_is_set_aside(bench):
    async def story():
        async with bench:
            journal = bench.folder / "journal"
            journal.mkdir()
            (journal / "00000000000001.seg").write_bytes(b"not a segment of this firmware, surely")
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node()
            fault = await node.wait("fault", what="journal")
            assert "set aside" in fault["text"]
            assert (bench.folder / "journal.unusable0/00000000000001.seg").exists()
            await node.wait("ready")
            assert await bench.take() == 2
            health = await gateway.wait("health", lambda m: m.fault)
            assert health.fault.startswith("journal: ")

    asyncio.run(story())


def test_a_full_flash_gives_up_the_oldest_and_says_so(bench):
    """A file-size limit stands for the medium's end: writes fail for real, in the middle."""
    import resource  # noqa: PLC0415 - POSIX only, like this test

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node(options={"preexec_fn": limit})
            await node.wait("ready")
            # Two records of 2.1 kB fit below the limit; the third is torn and stored elsewhere.
            for seq in (2, 3, 4, 5):
                assert await bench.take() == seq
            for seq in (1, 2, 3, 4, 5):
                await gateway.wait("reading", lambda m, seq=seq: m.seq == seq)
            assert len(list((bench.folder / "journal").iterdir())) == 3

    asyncio.run(story())


def test_fifty_readings_fit_into_a_small_heap(bench):
    async def story():
        async with bench:
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node(heap="352k")
            await node.wait("ready")
            for seq in range(2, 52):
                assert await bench.take() == seq
                reading = await gateway.wait("reading", lambda m, seq=seq: m.seq == seq)
                await gateway.say(messages.Receipt(reading.journal_id, seq, ()))
            await node.wait("sent", seq=51)
            assert not [fields for name, fields in node.signals.items if name == "fault"]

    asyncio.run(story())
