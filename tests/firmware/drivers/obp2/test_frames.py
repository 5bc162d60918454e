"""Goal: requests are packed as the one program that drives these instruments packs them.

Method: frames written here with its format string; no document at hand prints one. The parser is
that of `drivers/obp`; it has its ten thousand streams of this version, too.
"""

import struct
from hashlib import md5

import pytest

from drivers.obp import frames
from drivers.obp2 import driver


def pack(message_type, data, flags):
    """A request as python-seabreeze packs it, with the checksum that this driver asks for."""
    fields = (b"\xc1\xc0", 0x2000, flags, 0, message_type, 7, b"", 1, len(data), data, 20)
    head = struct.pack("<2sHHHLL6sBB16sL", *fields)
    return head + md5(head).digest() + b"\xc5\xc4\xc3\xc2"


@pytest.mark.parametrize(
    "message_type, data, flags",
    [
        (driver.SERIAL_NUMBER, b"", 0),
        (driver.WAVELENGTHS, b"", 0),
        (driver.NONLINEARITIES, b"", 0),
        (driver.SPECTRUM, b"", 0),
        (driver.INTEGRATION_SET, struct.pack("<L", 100_000), 4),
    ],
)
def test_requests_are_those_of_python_seabreeze(message_type, data, flags):
    built = frames.build(message_type, 7, data, flags, version=driver.VERSION)
    assert built == pack(message_type, data, flags)


def test_ten_thousand_streams_harm_nothing(run_story):
    lines = run_story("obp_streams_story.py", "10000", str(driver.VERSION), heap="512k")
    assert lines == ["streams 10000 verified True unverified True"]
