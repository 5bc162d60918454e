"""Goal: the instrument with one-letter commands answers as the manuals say, in both data modes.

Method: bytes go to the device directly and the test moves the time itself; every command is given
once, within and beyond its range; the maker's examples of compression and checksum; the order of
echo, answer and prompt as a program for a USB2000 expects it; Hypothesis for anything at all.
"""

import json
import os
import select
import struct
import subprocess
import sys
import threading
import tty

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.spectrometer.__main__ import main
from simulators.spectrometer.ascii_device import (
    BOOT_S,
    DEAF_S,
    GIVE_UP_S,
    REPLIES_MAX,
    TRIAL_S,
    AsciiSpectrometer,
)
from simulators.spectrometer.ascii_models import ASCII_MODELS
from simulators.spectrometer.ascii_spectrum import compress
from simulators.world import parse_sample

ACK, NAK, STX, ETX = b"\x06", b"\x15", b"\x02", b"\x03"
PROMPT = b"\n\r> "
DEADLINE_S = 60.0
# SAD500 manual, technical notes 1 and 3: pixels, bytes sent, checksum contributions.
NOTE = (
    (185, "8000b9", 0x0139),
    (2151, "800867", 0x08E7),
    (836, "800344", 0x03C4),
    (453, "8001c5", 0x0245),
    (210, "8000d2", 0x0152),
    (118, "a4", 0x00A4),
    (90, "e4", 0x00E4),
    (89, "ff", 0x00FF),
    (87, "fe", 0x00FE),
    (89, "02", 0x0002),
)


class Client:
    """Talks to a device without a line, at times of its choosing."""

    def __init__(self, device):
        self.device = device
        self.now_s = 100.0
        device.collect(self.now_s)

    def send(self, data):
        """Hand over bytes; return what is answered at once."""
        self.device.receive(data, self.now_s)
        return self.collect()

    def collect(self):
        return b"".join(reply.data for reply in self.device.collect(self.now_s))

    def wait(self, seconds):
        self.now_s += seconds
        return self.collect()

    def spectrum(self):
        """Take one and let its time pass."""
        assert self.send(b"S") == b""
        self.now_s = self.device.next_event_s()
        return self.collect()


@pytest.fixture
def build(substances):
    def build(model="flame_s", **options):
        return Client(AsciiSpectrometer(ASCII_MODELS[model], substances, seed=3, **options))

    return build


@pytest.fixture
def client(build):
    return build()


def word(value):
    return struct.pack(">H", value)


# --------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    "letter, default, good, bad",
    [
        (b"A", 1, (1, 5_000), (0, 5_001)),
        (b"B", 0, (0, 15), (16,)),
        (b"I", 10, (1, 65_000), (0, 65_001)),
        (b"J", 0, (1, 0), (2, 0x0D0D)),
        (b"T", 0, (4, 0), (5,)),
    ],
)
def test_numbers_are_kept_within_their_range_and_can_be_asked_for(
    client, letter, default, good, bad
):
    assert client.send(b"?" + letter) == ACK + word(default)
    for value in good:
        assert client.send(letter + word(value)) == ACK
        assert client.send(b"?" + letter) == ACK + word(value)
    for value in bad:
        assert client.send(letter + word(value)) == NAK
        assert client.send(b"?" + letter) == ACK + word(good[-1])


@pytest.mark.parametrize(
    "model, least_us, most_us", [("usb4000", 10, 65_535_000), ("flame_s", 1_000, 65_000_000)]
)
def test_integration_in_microseconds(build, model, least_us, most_us):
    client = build(model)
    for value in (least_us, most_us):
        assert client.send(b"i" + struct.pack(">I", value)) == ACK
        assert client.send(b"?i") == ACK + struct.pack(">I", value)
    for value in (least_us - 1, most_us + 1):
        assert client.send(b"i" + struct.pack(">I", value)) == NAK
    assert client.send(b"?i") == ACK + struct.pack(">I", most_us)


def test_commands_that_only_acknowledge(client):
    for command in (b"G\0\1", b"k\0\1", b"L\0\0", b"M\0\1", b"W\0\1\0\2", b"P\0\0"):
        assert client.send(command) == ACK, command
    assert client.send(b"v") == ACK + word(2_310)
    for command in (b"Y", b"L\0\2", b"M\0\2", b"?Z", b"aB", b"bA", b"?x\0\x20"):
        assert client.send(command).startswith((NAK, command[1:2] + NAK)), command
    assert client.send(b"\0\r\n") == b""  # between commands: passed over


def test_constants_are_texts_and_can_be_written(client):
    unit = client.device.probe.unit
    assert client.send(b"?x\0\0") == ACK + unit.serial_number.encode() + b"\r"
    for index, value in enumerate(unit.coefficients_nm, 1):
        text = client.send(b"?x" + word(index))[1:-1]
        assert len(text) <= 15
        assert struct.pack("<f", float(text)) == struct.pack("<f", value)
    order = int(client.send(b"?x\0\x0e")[1:])
    read = [float(client.send(b"?x" + word(6 + index))[1:]) for index in range(order + 1)]
    assert read == pytest.approx(client.device.model.detector.nonlinearity)
    assert client.send(b"x\0\5" + b"0.125\r") == ACK
    client.device.reset_unexpectedly(client.now_s)
    client.wait(BOOT_S)
    assert client.send(b"?x\0\5") == ACK + b"0.125\r"
    assert client.send(b"x\0\5" + b"1" * 16 + b"\r") == NAK


def test_half_a_command_is_given_up(client):
    assert client.send(b"I\x12") == b""
    assert client.wait(GIVE_UP_S + 0.01) == b""
    assert client.send(b"?I") == ACK + word(10)


# -------------------------------------------------------------------------------------- data modes


def test_echo_answers_and_prompt_of_the_ascii_data_mode(client):
    assert client.send(b"aA") == b"A" + ACK + PROMPT
    assert client.send(b"aA") == b"aA" + ACK + PROMPT
    assert client.send(b"A5\n") == b"A5\n\r" + ACK + PROMPT
    assert client.send(b"A99999\r") == b"A99999\n\r" + NAK + PROMPT
    assert client.send(b"Ax\r") == b"Ax\n\r" + NAK + PROMPT
    assert client.send(b"?A") == b"?A" + ACK + b"5 " + PROMPT
    assert client.send(b"v") == b"v" + ACK + b"2310 " + PROMPT
    serial = client.device.serial_number.encode()
    assert client.send(b"?x0\r") == b"?x0\n\r" + ACK + serial + b"\r" + PROMPT
    assert client.send(b"bB") == b"bB" + ACK + PROMPT
    assert client.send(b"bB") == b"B" + ACK + PROMPT
    assert client.send(b"?A") == ACK + word(5)


def test_a_spectrum_in_the_ascii_data_mode(client):
    client.send(b"aA")
    client.send(b"k1\r")
    client.send(b"P3\r10\r12\r1\r")
    assert client.send(b"S") == b"S"
    client.now_s = client.device.next_event_s()
    told = client.collect()
    assert told.startswith(STX)
    assert told.endswith(PROMPT)
    values = [int(text) for text in told[1:-4].split()]
    assert values[:10] == [65_535, 0, 1, 10, 0, 0, 3, 10, 12, 1]
    assert len(values[10:-2]) == 3
    assert values[-2:] == [65_533, 0]


# ----------------------------------------------------------------------------------------- spectra


@pytest.mark.parametrize("model, pixel_count", [("usb4000", 3_648), ("flame_s", 2_048)])
def test_a_spectrum(build, model, pixel_count):
    client = build(model)
    client.device.present(parse_sample("urea", client.device.probe._substances))
    assert client.send(b"k\0\1" + b"J\0\1" + b"i" + struct.pack(">I", 100_000)) == 3 * ACK
    told = client.spectrum()
    assert told[:1] == STX
    words = struct.unpack(f">{(len(told) - 1) // 2}H", told[1:])
    assert words[:7] == (0xFFFF, 0, 1, 100, 0, 0, 0)
    pixels = words[7:-2]
    assert len(pixels) == pixel_count
    assert max(pixels) > 3_000
    assert words[-2:] == (0xFFFD, sum(pixels) & 0xFFFF)


def test_scans_are_added_up_in_double_words(client):
    client.send(b"k\0\1" + b"A\0\3")
    told = client.spectrum()
    assert struct.unpack(">7H", told[1:15])[1:3] == (1, 3)
    sums = struct.unpack(">2048I", told[15:-4])
    assert struct.unpack(">2H", told[-4:]) == (0xFFFD, sum(sums) & 0xFFFF)
    assert 3 * 1_000 < min(sums) < max(sums) < 3 * 2_000


def test_without_checksum_the_end_is_the_last(client):
    assert client.spectrum()[-2:] == word(0xFFFD)


@pytest.mark.parametrize(
    "mode, arguments, count",
    [
        ((1, 100), (100,), 21),
        ((3, 10, 20, 5), (10, 20, 5), 3),
        ((4, 2, 7, 2_047), (2, 7, 2_047), 2),
    ],
)
def test_pixel_modes(client, mode, arguments, count):
    assert client.send(b"P" + b"".join(map(word, mode))) == ACK
    told = client.spectrum()
    words = struct.unpack(f">{(len(told) - 1) // 2}H", told[1:])
    assert words[6 : 7 + len(arguments)] == (mode[0], *arguments)
    assert len(words) == 7 + len(arguments) + count + 1


@pytest.mark.parametrize("mode", [(1, 0), (2,), (3, 20, 10, 1), (3, 0, 2_048, 1), (4, 1, 2_048)])
def test_pixels_it_does_not_have_are_refused(client, mode):
    assert client.send(b"P" + b"".join(map(word, mode))) == NAK
    assert len(client.spectrum()) == 15 + 2 * 2_048 + 2


def test_compression_and_its_checksum_are_those_of_the_makers_notes():
    data, total = compress([pixel for pixel, _, _ in NOTE])
    assert data.hex() == "".join(sent for _, sent, _ in NOTE)
    assert total == sum(part for _, _, part in NOTE)


def test_compression_and_boxcar_act_on_what_is_sent(client):
    plain = client.spectrum()
    client.send(b"B\0\x0f")
    smooth = struct.unpack(">2048H", client.spectrum()[15:-2])
    rough = struct.unpack(">2048H", plain[15:-2])
    assert max(smooth) - min(smooth) < max(rough) - min(rough)
    client.send(b"G\0\1")
    assert len(client.spectrum()) < len(plain) * 0.7


def test_a_stored_spectrum_is_not_sent(client):
    client.send(b"M\0\1")
    assert client.spectrum() == STX


def test_an_external_trigger_never_comes(client):
    client.send(b"T\0\2")
    assert client.send(b"S") == b""
    assert client.device.next_event_s() is None


def test_while_exposing_only_what_disturbs_nothing_is_obeyed(client):
    client.send(b"J\0\1" + b"i" + struct.pack(">I", 1_000_000))
    assert client.send(b"S") == b""
    for command in (
        *(b"A\0\2", b"B\0\1", b"G\0\1", b"I\0\1", b"i\0\0\x10\0", b"K\0\6", b"L\0\0", b"M\0\1"),
        *(b"P\0\0", b"T\0\0", b"W\0\0\0\0", b"k\0\1", b"x\0\0XYZ\r", b"J\0\1"),
    ):
        assert client.send(command) == NAK, command
    assert client.send(b"S") == ETX
    assert client.send(b"v?J") == ACK + word(2_310) + ACK + word(1)
    assert client.send(b"J\0\0") == ACK
    assert client.device.probe.laser_mw == 0.0
    client.now_s = client.device.next_event_s()
    assert len(client.collect()) == 15 + 2 * 2_048 + 2


def test_a_reset_forgets_everything_and_is_deaf_for_a_while(client):
    client.send(b"J\0\1" + b"k\0\1" + b"A\0\3" + b"aA")
    client.send(b"S")
    client.device.reset_unexpectedly(client.now_s)
    assert client.device.probe.laser_mw == 0.0
    assert client.device.next_event_s() is None
    assert client.send(b"?A") == b""
    client.wait(BOOT_S)
    assert client.send(b"?A") == ACK + word(1)


# --------------------------------------------------------------------------------------- baud rate


def change(client, code=6):
    """Ask for another rate, at the first one."""
    client.device.receive(b"K" + word(code), client.now_s)
    acknowledgement, reply = client.device.collect(client.now_s)
    assert acknowledgement.data == ACK
    assert acknowledgement.baud_after is None
    client.device.baud = reply.baud_after
    return reply.baud_after


def test_a_confirmed_baud_rate_is_kept(client):
    assert change(client) == 115_200
    client.wait(DEAF_S)
    assert client.send(b"K\0\6") == ACK
    client.wait(2 * TRIAL_S)
    assert client.device.baud == 115_200
    assert client.send(b"?K") == ACK + word(6)
    client.device.reset_unexpectedly(client.now_s)
    assert client.device.baud == 9_600


@pytest.mark.parametrize("next_bytes", [b"K\0\4", b"?K", b"\xff"])
def test_a_deviation_brings_the_first_rate_back(client, next_bytes):
    change(client)
    client.wait(DEAF_S)
    client.send(next_bytes)
    assert client.device.baud == 9_600


def test_a_rate_that_is_confirmed_too_early_or_never_is_given_up(client):
    change(client)
    assert client.send(b"K\0\6") == b""  # before the 50 ms are over
    assert client.device.next_event_s() == pytest.approx(client.now_s + TRIAL_S)
    client.wait(TRIAL_S)
    assert client.device.baud == 9_600


@pytest.mark.parametrize("code", [5, 7, 65_535])
def test_codes_it_does_not_have_are_refused(client, code):
    assert client.send(b"K" + word(code)) == NAK
    assert client.device.baud == 9_600


def test_rates_it_does_not_have_are_errors(build, capsys):
    with pytest.raises(ValueError, match="baud rate 57600 is not one of 2400"):
        build(baud=57_600)
    assert main(["--model", "usb4000", "--baud", "57600"]) == 2
    assert "usb4000 at 57600 baud: it has 2400, 4800" in capsys.readouterr().err


# -------------------------------------------------------------------------------- the command line


def test_it_runs_from_the_command_line():
    process = subprocess.Popen(
        [sys.executable, "-m", "simulators.spectrometer", "--model", "usb4000", "--sample", "urea"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # A child that says nothing is killed, so that no read waits for ever.
    watch = threading.Timer(DEADLINE_S, process.kill)
    watch.start()
    try:
        port = os.open(process.stdout.readline().strip(), os.O_RDWR | os.O_NOCTTY)
        tty.setraw(port)
        os.write(port, b"v")
        told = b""
        while len(told) < 3 and select.select([port], [], [], DEADLINE_S)[0]:
            told += os.read(port, 3)
        os.close(port)
        assert told == ACK + word(3_010)
        process.stdin.write("break\nstatus\n")
        process.stdin.flush()
        status = json.loads(process.stdout.readline())
        assert (status["model"], status["sample"], status["requests"]) == ("usb4000", "urea", 1)
        assert status["is_broken"]
    finally:
        watch.cancel()
        process.kill()
        process.communicate()


# ---------------------------------------------------------------------------------- anything at all


def test_replies_that_find_no_room_are_counted(client):
    client.device.receive(b"v" * (REPLIES_MAX + 5), client.now_s)
    assert len(client.device.collect(client.now_s)) == REPLIES_MAX
    assert client.device.counts.replies_lost == 5


_LETTERS = st.sampled_from(b"AaBbGIiJKkLMPSTWvx?\r\n\0\1\xff0123456789")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60), st.lists(_LETTERS, max_size=60).map(bytes), st.floats(0.0, 2.0)
        ),
        max_size=10,
    ),
    st.sampled_from(sorted(ASCII_MODELS)),
)
def test_whatever_comes_it_answers_the_next_good_command(substances, steps, model):
    device, now_s = AsciiSpectrometer(ASCII_MODELS[model], substances), 0.0
    for each in steps:
        if isinstance(each, float):
            now_s += each
        else:
            device.receive(each, now_s)
        device.collect(now_s)
    device.probe.abort()  # whatever is exposed takes up to an hour
    device._exposed = None
    now_s += GIVE_UP_S + TRIAL_S
    device.collect(now_s)
    device.receive(b"\0\0\0\0\rbB", now_s)
    assert ACK in b"".join(reply.data for reply in device.collect(now_s))
    device.receive(b"v", now_s)
    told = b"".join(reply.data for reply in device.collect(now_s))
    assert told == ACK + word(ASCII_MODELS[model].version)
