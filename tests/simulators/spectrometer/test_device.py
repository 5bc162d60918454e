"""Goal: the instrument answers everything it supports as the protocol says, and refuses the rest.

Method: a client with its own codec talks to the device directly and moves the time itself; every
message type of the table is asked or set at least once, every error number provoked once, and a
Hypothesis state machine mixes requests, garbage and waiting.
"""

import hashlib
import itertools
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.spectrometer.device import BAUDS, BOOT_S, REPLIES_MAX, Spectrometer
from simulators.spectrometer.messages import MESSAGES, Type
from simulators.spectrometer.models import MODELS
from simulators.world import Component, Sample

ACK, RESPONSE, NACK = 2, 1, 8


def u32(value):
    return struct.pack("<I", value)


@pytest.fixture
def client(connect):
    return connect()


@pytest.fixture
def sts(connect):
    return connect("sts_785")


# ------------------------------------------------------------------------------------------- facts


@pytest.mark.parametrize(
    "message_type, data, expected",
    [
        (0x80, b"", b"\x02"),
        (0x90, b"", struct.pack("<H", 0x0120)),
        (0x110001, b"", u32(22_000)),
        (0x110002, b"", u32(60_000_000)),
        (0x110003, b"", u32(1)),
        (0x110220, b"", u32(1024)),
        (0x180100, b"", b"\x04"),
        (0x181100, b"", b"\x08"),
        (0x400000, b"", b"\x02"),
        (0x800, b"", u32(9600)),
        (0x110000, b"", u32(100_000)),
        (0x120000, b"", struct.pack("<H", 1)),
        (0x121000, b"", b"\x00"),
        (0x110100, b"", b"\x00"),
        (0x110400, b"", b"\x00"),
        (0x810021, b"\x00\x00", b"\x00"),
        (0x810041, b"\x00\x00", struct.pack("<f", 1.0)),
        (0x200, b"", b""),
    ],
)
def test_facts_and_defaults_after_power_on(client, message_type, data, expected):
    answer = client.ask(message_type, data, regarding=0x1234)
    assert (answer.flags, answer.error, answer.data) == (RESPONSE, 0, expected)
    assert (answer.message_type, answer.regarding) == (message_type, 0x1234)


def test_serial_number_and_its_length(client):
    serial_number = client.ask(0x100).data
    assert serial_number.decode() == client.device.serial_number
    assert serial_number.startswith(b"VEN")
    assert client.ask(0x101).data == bytes([len(serial_number)])


def test_coefficients_are_those_of_the_unit(client):
    read = [struct.unpack("<f", client.ask(0x180101, bytes([index])).data)[0] for index in range(4)]
    assert tuple(read) == client.device.probe.unit.coefficients_nm
    first = struct.unpack("<f", client.ask(0x181101, b"\x00").data)[0]
    assert first == 1.0


def test_temperatures_are_plausible_and_rise_after_power_on(connect):
    client = connect(now_s=100.0)
    cold = struct.unpack("<2f", client.ask(0x400002).data)
    assert struct.unpack("<f", client.ask(0x400001, b"\x01").data)[0] == cold[1]
    client.now_s += 1200.0
    warm = struct.unpack("<2f", client.ask(0x400002).data)
    assert 15.0 < cold[0] < warm[0] < 45.0


def test_lists_exactly_the_types_it_answers(client, sts):
    for one in (client, sts):
        listed = set(
            struct.unpack(
                f"<{len(MESSAGES)}I", one.ask(0x82).data.ljust(4 * len(MESSAGES), b"\xff")
            )
        )
        for number in MESSAGES:
            if number not in (Type.RESET, Type.SPECTRUM_RAW, Type.SPECTRUM_CORRECTED):
                answer = one.ask(number, bytes(99), ack=True)
                assert (answer.error == 2) == (number not in listed), number
    assert 0x810031 not in listed
    assert 0x110290 in listed


# ---------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    "setter, getter, layout, good, bad",
    [
        (0x110010, 0x110000, "<I", [22_000, 400_000, 60_000_000], [0, 21_999, 60_000_001]),
        (0x120010, 0x120000, "<H", [1, 5000], [0, 5001, 65535]),
        (0x121010, 0x121000, "<B", [0, 15], [16, 255]),
        (0x110110, 0x110100, "<B", [0], [1, 2]),
        (0x110410, 0x110400, "<B", [1, 0], [2, 255]),
        (0x000810, 0x000800, "<I", list(BAUDS), [0, 1, 9601]),
    ],
)
def test_settings_are_kept_within_limits(client, setter, getter, layout, good, bad):
    for value in good:
        answer = client.ask(setter, struct.pack(layout, value), ack=True, regarding=value)
        assert (answer.flags, answer.data, answer.regarding) == (RESPONSE | ACK, b"", value)
        for reply in client.device.collect(client.now_s):  # what the line does with a new rate
            client.device.baud = reply.baud_after
        if setter != 0x810:
            assert struct.unpack(layout, client.ask(getter).data) == (value,)
    before = client.ask(getter).data
    for value in bad:
        answer = client.ask(setter, struct.pack(layout, value), ack=True)
        assert (answer.flags, answer.error) == (RESPONSE | NACK, 6)
        assert client.ask(getter).data == before


def test_a_setting_is_silent_unless_an_acknowledgement_is_requested(client, pack):
    assert client.send(pack(0x110010, u32(50_000))) == []
    assert client.ask(0x110000).data == u32(50_000)
    assert client.send(pack(0x110010, u32(1))) == []
    assert client.send(pack(0x110010, b"\x01")) == []
    assert client.ask(0x110000).data == u32(50_000)
    assert client.device.counts.refusals == 2


def test_short_data_may_come_as_payload(client):
    assert client.ask(0x110010, u32(70_000), ack=True, payload=True).error == 0
    assert client.ask(0x110000).data == u32(70_000)


def test_alias_holds_sixteen_printable_characters(client):
    assert client.ask(0x210, b"lane 4, east", ack=True).error == 0
    assert client.ask(0x200).data == b"lane 4, east"
    assert client.ask(0x210, b"x" * 17, ack=True).error == 5
    assert client.ask(0x210, b"\x07bell", ack=True).error == 6
    assert client.ask(0x200).data == b"lane 4, east"


def test_binning_halves_the_pixels(sts):
    assert sts.ask(0x110290, b"\x02", ack=True).error == 0
    assert sts.ask(0x110280).data == b"\x02"
    assert sts.ask(0x110220).data == u32(256)
    assert len(sts.pixels()) == 256
    assert sts.ask(0x110290, b"\x04", ack=True).error == 6


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    "message_type, data, error",
    [
        (0x00420004, b"", 2),  # a TE cooler is not aboard
        (0xFFFFFFFF, b"", 2),
        (0x110010, b"\x01\x02\x03", 5),
        (0x110010, b"", 5),
        (0x100, b"\x00", 5),
        (0x180101, b"", 5),
        (0x180101, b"\x04", 12),
        (0x181101, b"\x08", 12),
        (0x400001, b"\x02", 12),
        (0x810031, b"\x01\x00\x01", 6),
        (0x810031, b"\x00\x00\x02", 6),
        (0x810051, struct.pack("<BBf", 0, 0, 1.5), 6),
        (0x810051, struct.pack("<BBf", 0, 0, -0.1), 6),
        (0x810051, struct.pack("<BBf", 0, 0, math.nan), 6),
        (0x000010, b"\x02", 8),
    ],
)
def test_refuses_with_the_right_number(client, message_type, data, error):
    answer = client.ask(message_type, data, ack=True, regarding=77)
    assert (answer.flags, answer.error, answer.regarding) == (RESPONSE | NACK, error, 77)


def test_a_query_is_refused_without_asking_for_it(client):
    assert client.ask(0x00420004).error == 2
    assert client.ask(0x180101, b"\x09").error == 12


def test_broken_frames_are_refused(client, pack):
    damaged = bytearray(pack(0x100, md5=True, regarding=5))
    damaged[30] ^= 1
    assert [(a.error, a.regarding) for a in client.send(bytes(damaged))] == [(3, 5)]
    foreign = pack(0x100, version=0x2000)
    assert client.send(foreign)[0].error == 1
    large = bytearray(pack(0x100))
    large[40:44] = u32(5000)
    assert client.send(bytes(large))[0].error == 4
    client.now_s += 5.0
    client.collect()
    assert client.ask(0x100).error == 0


def test_does_not_answer_its_own_echo(client, pack):
    echoed = bytearray(pack(0x100))
    echoed[4] |= RESPONSE
    assert client.send(bytes(echoed)) == []


# --------------------------------------------------------------------------- version and checksums


@pytest.mark.parametrize("version", [0x1000, 0x1100])
def test_answers_in_the_version_of_the_request(client, version):
    assert client.ask(0x100, version=version).version == version


def test_checksum_follows_the_request_or_the_setting(client):
    assert client.ask(0x100).checksum_type == 0
    assert client.ask(0x100, md5=True).checksum_type == 1
    assert client.ask(0x10, b"\x01", ack=True).error == 0
    assert client.ask(0x100).checksum_type == 1
    assert client.ask(0x10, b"\x00", ack=True).error == 0
    assert client.ask(0x100).checksum_type == 0


# ----------------------------------------------------------------------------------------- spectra


def test_a_spectrum_takes_integration_times_scans(client, pack):
    client.ask(0x110010, u32(200_000), ack=True)
    client.ask(0x120010, struct.pack("<H", 3), ack=True)
    start_s = client.now_s
    assert client.send(pack(0x101100, regarding=9, md5=True)) == []
    assert client.device.next_event_s() == pytest.approx(start_s + 0.6)
    client.now_s = start_s + 0.599
    assert client.collect() == []
    client.now_s = start_s + 0.6
    (answer,) = client.collect()
    assert (answer.flags, answer.regarding, len(answer.data)) == (RESPONSE, 9, 2048)
    assert client.device.next_event_s() is None


def test_light_only_while_the_laser_is_on(client):
    client.ask(0x110010, u32(400_000), ack=True)
    client.device.present(Sample((Component("sucrose", 1.0),)))
    dark = client.pixels()
    client.ask(0x810031, b"\x00\x00\x01", ack=True)
    assert client.ask(0x810021, b"\x00\x00").data == b"\x01"
    lit = client.pixels()
    client.ask(0x810031, b"\x00\x00\x00", ack=True)
    dark_again = client.pixels()
    assert max(dark) < 2500
    assert max(dark_again) < 2500
    assert max(lit) > 15_000


def test_half_the_power_gives_half_the_light(client):
    client.device.present(Sample(fluorescence=2.0))
    client.ask(0x810031, b"\x00\x00\x01", ack=True)
    full = sum(client.pixels())
    client.ask(0x810051, struct.pack("<BBf", 0, 0, 0.5), ack=True)
    half = sum(client.pixels())
    client.ask(0x810031, b"\x00\x00\x00", ack=True)
    dark = sum(client.pixels())
    assert (half - dark) / (full - dark) == pytest.approx(0.5, abs=0.01)


def test_laser_off_in_the_middle_of_an_exposure_counts_half(client, pack):
    client.device.present(Sample(fluorescence=2.0))
    client.ask(0x110010, u32(1_000_000), ack=True)
    client.ask(0x810051, struct.pack("<BBf", 0, 0, 0.2), ack=True)
    client.ask(0x810031, b"\x00\x00\x01", ack=True)
    full = sum(client.pixels())
    assert client.send(pack(0x101100)) == []
    client.now_s += 0.5
    assert client.ask(0x810031, b"\x00\x00\x00", ack=True).error == 0
    client.now_s = client.device.next_event_s()
    (answer,) = client.collect()
    half = sum(struct.unpack("<1024H", answer.data))
    dark = sum(client.pixels())
    assert (half - dark) / (full - dark) == pytest.approx(0.5, abs=0.01)


def test_sample_changed_in_the_middle_counts_for_its_part(client, pack):
    client.device.present(Sample(fluorescence=1.0))
    client.ask(0x810031, b"\x00\x00\x01", ack=True)
    full = sum(client.pixels())
    assert client.send(pack(0x101100)) == []
    client.device.present(Sample(), client.now_s + 0.025)
    client.now_s = client.device.next_event_s()
    quarter = sum(struct.unpack("<1024H", client.collect()[0].data))
    empty = sum(client.pixels())
    assert (quarter - empty) / (full - empty) == pytest.approx(0.25, abs=0.02)


def test_what_comes_after_an_exposure_does_not_count(client, pack):
    client.ask(0x810031, b"\x00\x00\x01", ack=True)
    client.device.present(Sample(fluorescence=1.0))
    full = sum(client.pixels())
    assert client.send(pack(0x101100)) == []
    client.now_s += 60.0
    client.device.present(Sample(), client.now_s)
    late = sum(struct.unpack("<1024H", client.collect()[0].data))
    assert late == pytest.approx(full, rel=0.005)


def test_dark_current_has_the_pattern_of_the_unit(connect):
    # Sixty seconds: what differs from pixel to pixel repeats, and is another unit's otherwise.
    # Differences of neighbours leave out stray light, which is smooth; clipping leaves out cosmic
    # particles. Pixel gain and shot noise alone would spread by some 260 counts.
    darks = []
    for client in (connect(seed=1), connect(seed=2)):
        client.ask(0x110010, u32(60_000_000), ack=True)
        darks += [np.clip(np.diff(client.pixels()), -3000, 3000) for _ in range(2)]
    same, other = np.corrcoef(darks)[0, 1:3]
    assert same > 0.85
    assert abs(other) < 0.2
    assert np.std(darks[0]) / np.sqrt(2) > 400


def test_counts_how_long_the_laser_was_on(client):
    client.ask(0x810031, b"\x00\x00\x01", ack=True)
    client.now_s += 7.5
    client.ask(0x810031, b"\x00\x00\x00", ack=True)
    client.now_s += 5.0
    client.ask(0x810031, b"\x00\x00\x00", ack=True)
    assert client.device.probe.laser_on_s == pytest.approx(7.5)


def test_the_strobe_line_drives_the_laser_of_an_sts(sts):
    sts.device.present(Sample((Component("sucrose", 1.0),)))
    dark = sts.pixels()
    assert sts.ask(0x110410, b"\x01", ack=True).error == 0
    lit = sts.pixels()
    assert max(lit) > max(dark) + 1000
    assert max(lit) <= 16_383


def test_corrected_spectrum_is_smoothed_raw_is_not(client):
    client.ask(0x121010, b"\x05", ack=True)
    roughness = {
        kind: sum(abs(b - a) for a, b in itertools.pairwise(pixels))
        for kind in (0x101100, 0x101000)
        if (pixels := client.pixels(kind))
    }
    assert roughness[0x101000] < roughness[0x101100] / 4


def test_corrected_spectrum_is_linear_raw_is_compressed(client):
    # Two exposures whose light differs tenfold: only the corrected counts keep the ratio.
    client.device.present(Sample(fluorescence=1.0))
    client.ask(0x120010, struct.pack("<H", 20), ack=True)
    client.ask(0x810031, b"\x00\x00\x01", ack=True)
    errors = {}
    for kind in (0x101100, 0x101000):
        above = []
        for integration_us in (30_000, 300_000):
            client.ask(0x110010, u32(integration_us), ack=True)
            above.append(sum(client.pixels(kind)) - 1500 * 1024)
        errors[kind] = abs(above[1] / above[0] / 10 - 1)
    assert errors[0x101000] < 0.001
    assert errors[0x101100] > 0.003


def test_same_seed_same_instrument_same_noise(connect):
    first, again, other = (connect(seed=seed) for seed in (4, 4, 5))
    assert first.device.serial_number == again.device.serial_number
    assert first.device.serial_number != other.device.serial_number
    assert first.pixels() == again.pixels()
    assert first.pixels() != other.pixels()


# ------------------------------------------------------------------- busy, abort, reset, baud rate


def test_while_exposing_only_what_disturbs_nothing_is_obeyed(client, pack):
    assert client.send(pack(0x101100)) == []
    for message_type, data in [
        (0x101100, b""),
        (0x101000, b""),
        (0x110010, u32(50_000)),
        (0x120010, b"\x02\x00"),
        (0x121010, b"\x01"),
        (0x810031, b"\x00\x00\x01"),
        (0x810051, struct.pack("<BBf", 0, 0, 0.5)),
        (0x110410, b"\x01"),
        (0x000810, u32(115_200)),
        (0x000001, b""),
    ]:
        assert client.ask(message_type, data, ack=True).error == 7, hex(message_type)
    assert client.ask(0x100).error == 0
    assert client.ask(0x400002).error == 0
    assert client.ask(0x810031, b"\x00\x00\x00", ack=True).error == 0
    client.now_s = client.device.next_event_s()
    assert len(client.collect()[0].data) == 2048
    assert client.ask(0x110000).data == u32(100_000)


def test_abort_ends_the_exposure(client, pack):
    client.ask(0x110010, u32(60_000_000), ack=True)
    assert client.send(pack(0x101100, regarding=1)) == []
    client.now_s += 3.0
    spectrum, acknowledgement = client.send(pack(0x100000, ack=True, regarding=2))
    assert (spectrum.message_type, spectrum.error, spectrum.regarding) == (0x101100, 12, 1)
    assert (acknowledgement.flags, acknowledgement.regarding) == (RESPONSE | ACK, 2)
    assert client.device.next_event_s() is None
    client.ask(0x110010, u32(22_000), ack=True)
    assert len(client.pixels()) == 1024
    assert (client.device.counts.spectra, client.device.counts.aborted) == (1, 1)


def test_abort_without_exposure_is_acknowledged(client):
    assert client.ask(0x100000, ack=True).error == 0
    assert client.device.counts.aborted == 0


def test_reset_forgets_everything_and_is_deaf_for_a_while(client, pack):
    client.ask(0x110010, u32(50_000), ack=True)
    client.ask(0x810031, b"\x00\x00\x01", ack=True)
    assert client.send(pack(0x101100)) == []
    assert client.send(pack(0x0, ack=True) + pack(0x100)) == []
    assert client.device.probe.laser_mw == 0.0
    client.now_s += BOOT_S / 2
    assert client.send(pack(0x100)) == []
    client.now_s += BOOT_S
    assert client.collect() == []
    assert client.ask(0x110000).data == u32(100_000)


def test_restore_defaults_answers_and_switches_the_laser_off(client):
    client.ask(0x110010, u32(50_000), ack=True)
    client.ask(0x810031, b"\x00\x00\x01", ack=True)
    assert client.ask(0x1, ack=True).error == 0
    assert client.device.probe.laser_mw == 0.0
    assert client.ask(0x110000).data == u32(100_000)


def test_an_unexpected_reset_is_reported_once(client, pack):
    client.device.reset_unexpectedly(client.now_s)
    client.now_s += BOOT_S
    # A silent setting is obeyed and does not use the report up.
    assert client.send(pack(0x110010, u32(50_000))) == []
    assert client.ask(0x100).error == 9
    assert client.ask(0x100).error == 0
    assert client.ask(0x110000).data == u32(50_000)


def test_baud_rate_changes_after_the_acknowledgement(client, pack):
    client.device.receive(pack(0x810, u32(115_200), ack=True), client.now_s)
    acknowledgement, change = client.device.collect(client.now_s)
    assert (len(acknowledgement.data), acknowledgement.baud_after) == (64, None)
    assert (change.data, change.baud_after) == (b"", 115_200)
    assert client.device.baud == 9600


def test_only_a_saved_baud_rate_survives_a_reset(client, pack):
    for is_saved, expected in ((False, 9600), (True, 57_600)):
        client.device.baud = 57_600
        if is_saved:
            assert client.ask(0x8F0, ack=True).error == 0
        client.send(pack(0x0))
        client.now_s += BOOT_S
        assert client.ask(0x800).data == u32(expected)


def test_a_baud_rate_it_does_not_have_is_an_error(build_device):
    with pytest.raises(ValueError, match="baud rate 1234 is not one of 2400"):
        build_device(baud=1234)


def test_replies_that_find_no_room_are_counted(client, pack):
    client.device.receive(pack(0x100) * (REPLIES_MAX + 5), client.now_s)
    assert len(client.collect()) == REPLIES_MAX
    assert client.device.counts.replies_lost == 5


# ------------------------------------------------------ 32-bit pixels, buffer, cooler, broken parts


def spectrum_of(client, pack, message_type):
    assert client.send(pack(message_type)) == []
    client.now_s = client.device.next_event_s()
    (answer,) = client.collect()
    return answer


@pytest.mark.parametrize("message_type, beside", [(0x101100, 0), (0x101000, 0), (0x100928, 32)])
def test_a_qe_pro_sends_eighteen_bits_in_words_of_thirty_two(connect, pack, message_type, beside):
    qe_pro = connect("qe_pro")
    qe_pro.device.present(Sample(fluorescence=5.0))
    qe_pro.ask(0x110410, b"\x01", ack=True)
    qe_pro.ask(0x110010, u32(10_000_000), ack=True)
    answer = spectrum_of(qe_pro, pack, message_type)
    pixels = struct.unpack("<1044I", answer.data[beside:])
    assert max(pixels) == 262_143
    assert min(pixels) > 0


def test_a_buffer_holds_nothing_that_was_not_asked_for(connect):
    qe_pro = connect("qe_pro")
    assert qe_pro.ask(0x100830, ack=True).error == 0
    assert qe_pro.ask(0x100900).data == u32(0)
    assert connect("hdx").ask(0x100830, ack=True).error == 2


def test_an_hdx_rounds_an_integration_down_to_its_step(connect):
    hdx = connect("hdx")
    assert hdx.ask(0x110003).data == u32(10)
    hdx.ask(0x110010, u32(400_005), ack=True)
    assert hdx.ask(0x110000).data == u32(400_000)


def test_an_hdx_has_2068_pixels_of_sixteen_bits(connect):
    hdx = connect("hdx")
    assert hdx.ask(0x110220).data == u32(2068)
    assert len(hdx.pixels()) == 2068


def test_a_cooler_takes_its_time_and_lets_go(connect):
    qe_pro = connect("qe_pro")
    told = lambda: struct.unpack("<f", qe_pro.ask(0x420004).data)[0]  # noqa: E731
    warm = told()
    assert qe_pro.ask(0x420011, struct.pack("<f", -10.0), ack=True).error == 0
    assert told() == warm
    assert qe_pro.ask(0x420010, b"\x01", ack=True).error == 0
    assert qe_pro.ask(0x420003).data == b"\0"
    seen = []
    for _ in range(60):
        qe_pro.now_s += 1.0
        seen.append(told())
    assert seen == sorted(seen, reverse=True)
    assert seen[2] > 0.0
    assert seen[-1] == pytest.approx(-10.0, abs=0.2)
    assert qe_pro.ask(0x420003).data == b"\1"
    assert struct.unpack("<f", qe_pro.ask(0x400001, b"\0").data)[0] == seen[-1]
    qe_pro.device.reset_unexpectedly(qe_pro.now_s)
    qe_pro.now_s += 60.0
    assert qe_pro.ask(0x100).error == 9
    assert told() > 15.0


def test_a_cooler_cannot_do_everything(connect):
    qe_pro = connect("qe_pro")
    for set_c in (-31.0, 26.0, math.nan):
        assert qe_pro.ask(0x420011, struct.pack("<f", set_c), ack=True).error == 6
    assert qe_pro.ask(0x420010, b"\x02", ack=True).error == 6


def test_a_cold_detector_is_a_dark_one(connect, pack):
    qe_pro = connect("qe_pro")
    qe_pro.ask(0x110010, u32(20_000_000), ack=True)
    above = []
    for _ in range(2):
        answer = spectrum_of(qe_pro, pack, 0x101100)
        above.append(np.median(np.frombuffer(answer.data, "<u4")) - 2500)
        qe_pro.ask(0x420011, struct.pack("<f", -10.0), ack=True)
        qe_pro.ask(0x420010, b"\x01", ack=True)
        qe_pro.now_s += 100.0
    # 20 s of 1,500 e-/s at 0.8 e- a count; what is left is the light of the lane.
    assert above[0] - above[1] > 30_000


def test_a_broken_detector_is_told_by_the_hardware_flag(client, pack):
    client.device.is_broken = True
    answer = spectrum_of(client, pack, 0x101100)
    assert (answer.flags, answer.error, answer.data) == (RESPONSE | NACK | 16, 13, b"")
    client.device.is_broken = False
    assert len(client.pixels()) == 1024


# ---------------------------------------------------------------------------------- anything at all

_requests = st.one_of(
    st.binary(max_size=200),
    st.tuples(
        st.one_of(st.sampled_from(sorted(MESSAGES)), st.integers(0, 2**32 - 1)),
        st.one_of(st.binary(max_size=8), st.binary(max_size=300)),
        st.booleans(),
        st.booleans(),
    ),
    st.floats(0.0, 2.0),
)


@settings(max_examples=150)
@given(st.lists(_requests, max_size=12), st.sampled_from(sorted(MODELS)))
def test_whatever_comes_it_answers_the_next_good_request(substances, pack, unpack, steps, model):
    device, now_s = Spectrometer(MODELS[model], substances), 0.0
    replies = []
    for step in steps:
        if isinstance(step, float):
            now_s += step
        elif isinstance(step, bytes):
            device.receive(step, now_s)
        else:
            message_type, data, ack, md5 = step
            device.receive(pack(message_type, data, ack=ack, md5=md5), now_s)
        replies += device.collect(now_s)
    # Wait until it is neither deaf nor lost in half a frame, then end whatever is being exposed.
    now_s += 5.0
    replies += device.collect(now_s)
    device.receive(pack(0x100000, regarding=0xA0), now_s)
    replies += device.collect(now_s)
    device.receive(pack(0x100, regarding=0xB0), now_s)
    answers = unpack(b"".join(reply.data for reply in device.collect(now_s)))
    assert [(a.message_type, a.error, a.regarding) for a in answers] == [(0x100, 0, 0xB0)]
    assert answers[0].data.decode() == device.serial_number
    for answer in unpack(b"".join(reply.data for reply in replies)):
        assert answer.flags & RESPONSE
        assert bool(answer.flags & NACK) == (answer.error != 0)


def test_md5_of_a_spectrum_is_over_header_and_payload(client, pack):
    client.send(pack(0x101100, md5=True))
    client.now_s = client.device.next_event_s()
    (reply,) = client.device.collect(client.now_s)
    assert reply.data[-20:-4] == hashlib.md5(reply.data[:-20]).digest()
    assert reply.data[40:44] == u32(2068)
