"""Goal: the simulated scanner sends what scanners send, errs as they err, and can be used alone.

Method: the device without a line; its codes against the published vectors; the program as a process
of its own, its port opened here.
"""

import json
import os
import select
import signal
import subprocess
import sys
import tty
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import WorldError
from simulators.faults import LINE_KINDS, Fault, FaultPlan, disturb
from simulators.scanner.__main__ import main
from simulators.scanner.codes import (
    CONTENT_BYTES_MAX,
    Code,
    check_digit,
    container_digit,
    draw,
    parse_code,
    unescape,
)
from simulators.scanner.device import BOOT_S, Scanner

VECTORS = json.loads((Path(__file__).parents[2] / "protocol/scanner_vectors.json").read_text())
DEADLINE_S = 60.0
COMMAND = [sys.executable, "-m", "simulators.scanner"]
EAN = Code("]E0", b"4006381333931", 12)


def sent(scanner, now_s=0.0):
    return b"".join(reply.data for reply in scanner.collect(now_s))


def test_check_digits_are_those_of_the_vectors():
    for vector in VECTORS["gtin"] + VECTORS["sscc"]:
        number = vector["value"].encode()
        assert (check_digit(number[:-1]) == number[-1:]) is vector["valid"]
    for vector in VECTORS["iso6346"]:
        number = vector["value"].encode()
        assert (container_digit(number[:-1]) == number[-1:]) is vector["valid"]


@pytest.mark.parametrize(
    "text, code",
    [
        ("]C1 0109501101530003", Code("]C1", b"0109501101530003", 15)),
        (r"]d2 10A\x1d21B", Code("]d2", b"10A\x1d21B")),
        (r"two words\\\r\n\t\xFF", Code("", b"two words\\\r\n\t\xff")),
        ("]E4 73513537", Code("]E4", b"73513537", 7)),
        ("]C1 00106141412345678908", Code("]C1", b"00106141412345678908", 19)),
    ],
)
def test_a_code_is_typed_with_escapes(text, code):
    assert parse_code(text) == code


@pytest.mark.parametrize(
    "text, fault",
    [
        ("", "scan what"),
        ("]C1 ", "scan what"),
        (r"a\q", r"'\q' is no escape: use \x1d for GS"),
        ("a\\", "is no escape"),
        (r"\x1", "is no escape"),
        ("7" * (CONTENT_BYTES_MAX + 1), "7090 bytes; the largest code holds 7089"),
    ],
)
def test_what_cannot_be_scanned_is_named(text, fault):
    with pytest.raises(WorldError) as caught:
        parse_code(text)
    assert fault in str(caught.value)


@given(st.binary())
def test_any_bytes_can_be_written_with_escapes(content):
    assert unescape("".join(f"\\x{byte:02x}" for byte in content)) == content


def test_prefix_suffix_and_identifier_are_sent_as_set():
    for settings, expected in (
        ({}, b"]E04006381333931\r\n"),
        ({"has_aim": False, "suffix": b""}, b"4006381333931"),
        ({"prefix": b"\x02", "suffix": b"\x03"}, b"\x02]E04006381333931\x03"),
    ):
        scanner = Scanner(**settings)
        scanner.scan(EAN)
        assert sent(scanner) == expected
        assert scanner.next_event_s() is None


def test_it_types_at_its_pace_and_one_after_the_other():
    scanner = Scanner(pace_s=0.5)
    for _ in range(2):
        scanner.scan(EAN, now_s=10.0)
    assert sent(scanner, 10.0) == b"]"
    assert scanner.next_event_s() == 10.5
    assert sent(scanner, 18.5) == b"E04006381333931\r\n"
    assert sent(scanner, 18.9) == b""
    assert sent(scanner, 100.0) == b"]E04006381333931\r\n"


def test_the_check_digit_is_where_the_fault_strikes():
    for settings in ({"prefix": b"\x02"}, {"has_aim": False}, {"pace_s": 0.1}):
        scanner = Scanner(**settings)
        scanner.scan(EAN)
        plan = FaultPlan([Fault("checksum", times=100)])
        data = b""
        for reply in scanner.collect(1_000.0):
            disturbed = disturb(reply.data, plan, reply.check_at)
            data += b"".join(piece for _, piece in disturbed.pieces)
        assert b"4006381333930" in data


def test_each_fault_of_a_line_can_strike_a_code():
    for kind in LINE_KINDS:
        scanner = Scanner()
        scanner.scan(EAN)
        (reply,) = scanner.collect(0.0)
        plan = FaultPlan([Fault(kind)], seed=1)
        disturb(reply.data, plan, reply.check_at)
        assert plan.struck == {kind: 1}


def test_a_reset_loses_what_was_not_sent_and_is_deaf_for_a_moment():
    scanner = Scanner(pace_s=0.1)
    scanner.scan(EAN, 0.0)
    scanner.reset_unexpectedly(0.05)
    scanner.scan(EAN, 0.1)
    assert scanner.next_event_s() is None
    scanner.scan(EAN, 0.05 + BOOT_S)
    assert (scanner.counts.scans, scanner.counts.unread, scanner.counts.resets) == (2, 1, 1)


def test_what_comes_in_means_nothing_to_it():
    scanner = Scanner()
    scanner.receive(b"\xc1\xc0?\r\n", 0.0)
    assert sent(scanner, 10.0) == b""


def test_by_itself_it_scans_what_its_seed_says():
    def play(**settings):
        scanner = Scanner(every_s=2.0, **settings)
        assert sent(scanner, 0.0) == b""
        assert scanner.next_event_s() == 2.0
        return [sent(scanner, 2.0 * nth) for nth in range(1, 50)]

    assert play(seed=3) == play(seed=3)
    assert play(seed=3) != play(seed=4)
    assert all(line.endswith(b"\r\n") for line in play(seed=3, bad_part=1.0))


def test_a_seed_gives_the_same_codes_of_every_kind():
    drawn = [draw(np.random.default_rng(5)) for _ in range(2)]
    assert drawn[0] == drawn[1]
    rng = np.random.default_rng(5)
    assert {code.symbology for code in (draw(rng) for _ in range(200))} == {
        *("]E0", "]E4", "]C1", "]d2", "]I1", "]A0", "]C0", "]Q1"),
    }


def take(descriptor, size):
    """Return `size` bytes of a port."""
    data = b""
    while len(data) < size:
        ready, _, _ = select.select([descriptor], [], [], DEADLINE_S)
        assert ready, data
        data += os.read(descriptor, size - len(data))
    return data


def test_the_program_scans_what_it_is_told_and_says_what_is_wrong():
    with subprocess.Popen(
        [*COMMAND, "--baud", "115200", "--seed", "2", "--suffix", r"\n", "--prefix", r"\x02"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            path = process.stdout.readline().decode().strip()
            port = os.open(path, os.O_RDWR | os.O_NOCTTY)
            tty.setraw(port)
            asked = [
                b"again",
                rb"scan ]C1 10A\x1d21B",
                b"again",
                b"random worse",
                b"what",
                b"status",
            ]
            process.stdin.write(b"\n".join([*asked, b"status"]) + b"\n")
            process.stdin.flush()
            line = b"\x02]C110A\x1d21B\n"
            assert take(port, 2 * len(line)) == line * 2
            status = json.loads(process.stdout.readline())
            assert (status["scans"], status["newest"]) == (2, "]C1 10A\x1d21B")
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=DEADLINE_S)
            os.close(port)
        finally:
            process.kill()
    assert (process.returncode, out) == (0, b"")
    for told in (
        b"115200 baud",
        b"again: nothing was scanned yet",
        b"random 'worse': give nothing, good or bad",
        b"unknown command 'what'",
    ):
        assert told in err


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--pace", "11"], "--pace 11: give 0 to 10"),
        (["--bad", "2"], "--bad 2: give 0 to 1"),
        (["--every", "-1"], "--every -1: give 0 to 86400"),
        (["--suffix", "123456789"], "--suffix has 9 bytes; give at most 8"),
        (["--prefix", r"\q"], "is no escape"),
        (["--fault", "fire"], "unknown fault 'fire'"),
    ],
)
def test_what_cannot_be_is_a_sentence(capsys, arguments, told):
    assert main(arguments) == 2
    assert told in capsys.readouterr().err
