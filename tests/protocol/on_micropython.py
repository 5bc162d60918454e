"""Run one task of the protocol tests on MicroPython: a JSON request on stdin, the answer on stdout.

Start it with the root of the project as its argument. It reads the same vectors and runs the same
seeded files as CPython does; the tests compare the answers.
"""

import json
import sys
from binascii import hexlify, unhexlify

ROOT = sys.argv[1]
sys.path.insert(0, ROOT)
sys.path.insert(0, ROOT + "/tests/protocol")

import frames  # noqa: E402 - beside this file, where MicroPython finds it
import micropython  # noqa: E402
import model  # noqa: E402

from protocol import fields, messages, mrz, packing, topics  # noqa: E402
from protocol.errors import ProtocolError  # noqa: E402


def _vectors(name):
    with open(ROOT + "/protocol/vectors/" + name) as file:  # noqa: PTH123 - no pathlib there
        return json.load(file)


def _plain(value):
    """Return a field's value as the vectors write it."""
    if isinstance(value, bytes):
        return hexlify(value).decode()
    return list(value) if isinstance(value, tuple) else value


def read_accepted(_):
    """Read messages.json; return the names of vectors that come out otherwise."""
    wrong = []
    vectors = _vectors("messages.json")
    for vector in vectors:
        frame = unhexlify(vector["frame"])
        message = messages.unpack(frame)
        kind = messages.KINDS[message.KIND]
        read = {}
        for field in kind.FIELDS:
            name = fields.name_of(field)
            read[name] = _plain(getattr(message, name))
        again = message.pack()
        if kind.__name__ != vector["kind"] or read != vector["values"]:
            wrong.append(vector["name"] + ": values")
        if again != frame and not vector.get("appended") and not vector.get("missing"):
            wrong.append(vector["name"] + ": frame")
        if len(again) > fields.frame_bytes_max(kind):
            wrong.append(vector["name"] + ": length")
    return {"read": len(vectors), "wrong": wrong}


def read_refused(_):
    """Read refused.json; return the class by which each frame is refused, "" if it is not."""
    answers = []
    for vector in _vectors("refused.json"):
        try:
            messages.unpack(unhexlify(vector["frame"]))
            answers.append("")
        except ProtocolError as error:
            answers.append(error.__class__.__name__)
    return answers


def fuzz(request):
    """Return digests over seeded frames and what becomes of them."""
    seeds = [frames.pieces(unhexlify(vector["frame"])) for vector in _vectors("messages.json")]
    return frames.digest(messages.unpack, seeds, request["seed"], request["count"])


def story(request):
    """Return the trace of a seeded delivery story."""
    return model.story(frames.Random(request["seed"]), request["steps"])


def parse_topics(request):
    """Return what each topic parses to, or the error's name."""
    answers = []
    for topic in request["topics"]:
        try:
            answers.append(list(topics.parse(topic)))
        except ProtocolError as error:
            answers.append(error.__class__.__name__)
    return answers


def pack_without_heap(request):
    """Pack a reading around pixels that are in place already, with the heap locked."""
    pixel_bytes = request["pixel_bytes"]
    pixels = bytes([i * 7 & 0xFF for i in range(pixel_bytes)])
    eight = bytes(8)
    reading = messages.Reading(
        *(eight, 9_007, eight, 86_400_000, 1_798_761_600_123, 2, eight, 0, eight, 400_000, 3, 100),
        *(-1_250, 16_383, 1, None, pixels),
    )
    whole = reading.pack()
    reading.pixels_u16le = b""
    buffer = bytearray(fields.frame_bytes_max(messages.Reading))
    packer = packing.Packer(buffer)
    micropython.heap_lock()
    try:
        at = reading.pack_header_with(packer, pixel_bytes)
        for i in range(pixel_bytes):
            buffer[at + i] = pixels[i]
        packer.rewind()
        reading.pack_header_with(packer, pixel_bytes)
    finally:
        micropython.heap_unlock()
    return {"same": bytes(buffer[: packer.end]) == whole, "bytes": packer.end}


def wrong_fields(request):
    """Return the kind of each zone and its wrong fields."""
    answers = []
    for zone in request["zones"]:
        kind = mrz.kind_of(zone.encode())
        answers.append([kind, mrz.wrong_fields(kind, zone.encode()) if kind else None])
    return answers


TASKS = {
    "read_accepted": read_accepted,
    "read_refused": read_refused,
    "fuzz": fuzz,
    "story": story,
    "parse_topics": parse_topics,
    "pack_without_heap": pack_without_heap,
    "wrong_fields": wrong_fields,
}

request = json.loads(sys.stdin.read())
print(json.dumps(TASKS[request["task"]](request)))  # noqa: T201 - this is the answer
