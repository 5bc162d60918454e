"""What the simulators' suites share: the substances, and a client with its own codec.

The client packs and reads frames with a few lines of `struct`, so that the simulator's codec is not
tested against itself.
"""

import hashlib
import os
import select
import struct
import time
import tty
from dataclasses import dataclass

import pytest

from simulators.spectrometer.device import Spectrometer
from simulators.spectrometer.models import MODELS
from simulators.world import load_substances

ANSWER_S_MAX = 20.0  # on a busy machine; far beyond any exposure in the tests


@dataclass(frozen=True)
class Answer:
    """A reply as the client read it."""

    version: int
    flags: int
    error: int
    message_type: int
    regarding: int
    checksum_type: int
    data: bytes

    @property
    def is_nack(self) -> bool:
        return bool(self.flags & 8)


def pack_request(
    message_type, data=b"", *, ack=False, md5=False, regarding=0, version=0x1100, payload=False
):
    """Build a request; `payload` puts short data behind the header, which the protocol allows."""
    immediate = b"" if payload or len(data) > 16 else data
    rest = b"" if immediate else data
    head = struct.pack(
        "<2sHHHII6xBB16sI",
        b"\xc1\xc0",
        version,
        4 if ack else 0,
        0,
        message_type,
        regarding,
        1 if md5 else 0,
        len(immediate),
        immediate,
        len(rest) + 20,
    )
    body = head + rest
    return body + (hashlib.md5(body).digest() if md5 else bytes(16)) + b"\xc5\xc4\xc3\xc2"


def read_answers(stream):
    """Split whole replies; anything that is not one fails."""
    answers = []
    while stream:
        assert stream[:2] == b"\xc1\xc0", f"reply begins with {stream[:4].hex()}"
        version, flags, error, kind, regarding, checksum_type, length, immediate, remaining = (
            struct.unpack_from("<2xHHHII6xBB16sI", stream)
        )
        frame, stream = stream[: 44 + remaining], stream[44 + remaining :]
        assert frame[-4:] == b"\xc5\xc4\xc3\xc2"
        md5 = hashlib.md5(frame[:-20]).digest() if checksum_type else bytes(16)
        assert frame[-20:-4] == md5
        assert not (length and len(frame) > 64)
        data = frame[44:-20] or immediate[:length]
        answers.append(Answer(version, flags, error, kind, regarding, checksum_type, data))
    return answers


class DirectClient:
    """Talks to a device without a line, at times of its choosing."""

    def __init__(self, device):
        self.device = device
        self.now_s = 100.0

    def send(self, request):
        """Hand over bytes; return what is answered at once."""
        self.device.receive(request, self.now_s)
        return self.collect()

    def collect(self):
        return read_answers(b"".join(reply.data for reply in self.device.collect(self.now_s)))

    def ask(self, message_type, data=b"", **options):
        """Send one request and return its only answer."""
        answers = self.send(pack_request(message_type, data, **options))
        assert len(answers) == 1, answers
        return answers[0]

    def pixels(self, message_type=0x00101100):
        """Take a spectrum and let its time pass."""
        assert self.send(pack_request(message_type)) == []
        self.now_s = self.device.next_event_s()
        (answer,) = self.collect()
        assert answer.error == 0
        return list(struct.unpack(f"<{len(answer.data) // 2}H", answer.data))


class PortClient:
    """Opens a port as a program would and speaks frames; every wait has a deadline."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def send(self, data):
        os.write(self.fd, data)

    def read(self, size):
        """Exactly `size` bytes."""
        data, deadline_s = b"", time.monotonic() + ANSWER_S_MAX
        while len(data) < size:
            left_s = deadline_s - time.monotonic()
            ready, _, _ = select.select([self.fd], [], [], max(left_s, 0))
            assert ready, f"{len(data)} of {size} bytes came in {ANSWER_S_MAX} s: {data[:80].hex()}"
            data += os.read(self.fd, size - len(data))
        return data

    def read_answer(self):
        head = self.read(44)
        (answer,) = read_answers(head + self.read(struct.unpack_from("<I", head, 40)[0]))
        return answer

    def ask(self, message_type, data=b"", **options):
        self.send(pack_request(message_type, data, **options))
        return self.read_answer()


@pytest.fixture(scope="session")
def substances():
    return load_substances()


@pytest.fixture
def build_device(substances):
    def build(model="ventana_785", **options):
        return Spectrometer(MODELS[model], substances, **options)

    return build


@pytest.fixture
def connect(build_device):
    """A client of a new device."""

    def connect(model="ventana_785", **options):
        return DirectClient(build_device(model, **options))

    return connect


@pytest.fixture(scope="session")
def pack():
    return pack_request


@pytest.fixture(scope="session")
def unpack():
    return read_answers


@pytest.fixture
def open_port():
    """Opens ports and closes them after the test."""
    clients = []

    def open_port(path):
        clients.append(PortClient(path))
        return clients[-1]

    yield open_port
    for client in clients:
        client.close()
