"""Prints what the frame codec makes of the vectors, whole and byte by byte, and the boards' MD5."""
# ruff: noqa: T201, PTH123 - it runs on MicroPython

import json
import sys
from hashlib import sha256

REPOSITORY = sys.argv[1]
sys.path.insert(0, REPOSITORY + "/firmware")

from drivers.obp import frames  # noqa: E402
from drivers.obp.md5 import md5  # noqa: E402

with open(sys.argv[3]) as file:
    vectors = json.load(file)["vectors"]
for vector in vectors:
    if "hex" not in vector:
        pixels = b"".join([(1500 + i % 7).to_bytes(2, "little") for i in range(1024)])
        built = frames.build(0x101100, 0, pixels, frames.RESPONSE)
        print("built", vector["name"], sha256(built).digest() == bytes.fromhex(vector["sha256"]))
        continue
    stream = bytes.fromhex(vector["hex"]) * 2
    for step in (1, 7, 64):
        parser = frames.Parser(2048, 64)
        for at in range(0, len(stream), step):
            piece = stream[at : at + step]
            parser.feed(piece, len(piece))
            frame = parser.next()
            while frame is not None:
                fields = (frame.message_type, frame.flags, frame.error, frame.regarding)
                print(vector["name"], step, fields, frame.verified, list(frame.data))
                again = frames.build(
                    fields[0], fields[3], bytes(frame.data), fields[1], frame.verified
                )
                print("built", vector["name"], again.hex() == vector["hex"])
                frame = parser.next()
        print(parser.dropped_bytes, parser.rejected_frames, parser.pending_bytes)
for length in (0, 1, 55, 56, 63, 64, 65, 2092):
    content = bytes([i * 7 & 0xFF for i in range(length)])
    print(length, md5(content).digest().hex(), md5(memoryview(content)).digest().hex())
