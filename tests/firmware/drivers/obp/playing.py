"""A spectrometer that the test plays: each request is answered as the case wants it."""

import os
import select
import struct
import threading
import tty
from hashlib import md5

BAUD = 115_200
PIXELS = struct.pack("<8H", 1500, 1501, 1502, 65535, 1504, 0, 1, 2)
COEFFICIENTS = (800.0, 0.25)
CURVE = (1.0, -2.5e-7)
UNKNOWN, NOT_READY, DEFERRED = 2, 7, 255
SERIAL, ABORT, SPECTRUM, INTEGRATION, PIXEL_COUNT = 0x100, 0x100000, 0x101100, 0x110010, 0x110220
LAMP, SCANS, COUNT, COEFFICIENT, TEMPERATURE = 0x110410, 0x120010, 0x180100, 0x180101, 0x400001
LIGHT, LIGHT_SET = 0x810021, 0x810031
NONLINEARITY_COUNT, NONLINEARITY, COOLER_TEMPERATURE = 0x181100, 0x181101, 0x420004
SET_POINT_SET = 0x420011
LEVEL_SET, INTEGRATION_NOW, BUFFER_CLEAR, BUFFERED = 0x810051, 0x110000, 0x100830, 0x100928
BAUD_SET, BAUD_SAVE = 0x810, 0x8F0
INTEGRATION_MIN, INTEGRATION_MAX, INTEGRATION_STEP = 0x110001, 0x110002, 0x110003
LASER_ON, LASER_OFF = (LIGHT_SET, b"\0\0\1"), (LIGHT_SET, b"\0\0\0")


def pack(kind, regarding, data=b"", *, flags=1, error=0, checked=True):
    short = data if len(data) <= 16 else b""
    payload = b"" if short else data
    head = struct.pack("<2sHHHII", b"\xc1\xc0", 0x1100, flags, error, kind, regarding)
    body = head + bytes(6) + bytes([checked, len(short)]) + short.ljust(16, b"\0")
    body += struct.pack("<I", len(payload) + 20) + payload
    return body + (md5(body).digest() if checked else bytes(16)) + b"\xc5\xc4\xc3\xc2"


class Instrument:
    """Plays a spectrometer with 8 pixels; `odd` maps a request's kind to another way to answer.

    An odd answer is a function of (kind, tag, data, nth time) that returns bytes for the line, or
    None for the usual answer.
    """

    def __init__(self, odd):
        self._odd = odd
        self._times = {}
        self.requests = []
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self._slave = slave  # held open, so that the line outlives the driver
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        held = b""
        while True:
            ready, _, _ = select.select([self._master, self._stop_read], [], [], 60)
            if self._stop_read in ready or not ready:
                return
            held += os.read(self._master, 4096)
            while len(held) >= 64:
                self._serve(held[:64])
                held = held[64:]

    def _serve(self, frame):
        flags, _, kind, tag = struct.unpack_from("<HHII", frame, 4)
        assert frame[:2] == b"\xc1\xc0"
        assert md5(frame[:44]).digest() == frame[44:60]
        data = frame[24 : 24 + frame[23]]
        self.requests.append((kind, data))
        self._times[kind] = nth = self._times.get(kind, 0) + 1
        odd = self._odd.get(kind)
        answer = odd(kind, tag, data, nth) if odd else None
        if answer is None:
            answer = self._usual(kind, tag, data, flags)
        os.write(self._master, answer)

    @staticmethod
    def _usual(kind, tag, data, flags):
        answers = {
            SERIAL: b"VEN00042",
            PIXEL_COUNT: struct.pack("<I", 8),
            COUNT: b"\x02",
            TEMPERATURE: struct.pack("<f", -5.25),
            SPECTRUM: PIXELS,
            LIGHT: b"\0",
            NONLINEARITY_COUNT: b"\x02",
            INTEGRATION_MIN: struct.pack("<I", 22_000),
            INTEGRATION_MAX: struct.pack("<I", 60_000_000),
            INTEGRATION_STEP: struct.pack("<I", 1),
        }
        if kind == COOLER_TEMPERATURE:  # it has none
            return pack(kind, tag, flags=9, error=UNKNOWN)
        if kind == NONLINEARITY:
            return pack(kind, tag, struct.pack("<f", CURVE[data[0]]))
        if kind == COEFFICIENT:
            return pack(kind, tag, struct.pack("<f", COEFFICIENTS[data[0]]))
        if kind in answers:
            return pack(kind, tag, answers[kind])
        assert flags & 4, "a setting must ask for an acknowledgement"
        return pack(kind, tag, flags=3)

    def end(self):
        os.write(self._stop_write, b"x")
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()
        for descriptor in (self._master, self._slave, self._stop_read, self._stop_write):
            os.close(descriptor)


def nack(number):
    return lambda kind, tag, _data, _nth: pack(kind, tag, flags=9, error=number)


def nothing(_kind, _tag, _data, _nth):
    return b""


def laser_is_off(instrument):
    switched = [request for request in instrument.requests if request in (LASER_ON, LASER_OFF)]
    return switched[-1] == LASER_OFF
