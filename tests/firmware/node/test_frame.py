"""Goal: a node's encoder packs readings as the protocol says and takes nothing from the heap.

Method: the same story on both interpreters packs the golden vectors, thousands of seeded random
readings and spoilt ones with the encoder and with `protocol.messages.Reading`, and compares; on
MicroPython the heap is locked while a reading of 2048 pixels is packed.
"""

import json
import re

import pytest

COUNT = 2_000


@pytest.fixture
def told(run_story, interpreter, repository_path):
    vectors = repository_path / "protocol/vectors/messages.json"
    lines = run_story(
        "encoding_story.py", str(vectors), "7", str(COUNT), interpreter=interpreter, heap="8m"
    )
    return dict(line.split(": ", 1) for line in lines)


def test_the_encoder_packs_what_the_protocol_packs(told, repository_path, interpreter):
    vectors = json.loads((repository_path / "protocol/vectors/messages.json").read_text())
    readings = [vector for vector in vectors if vector["kind"] == "Reading"]
    equal, unlike, left = map(int, re.findall(r"\d+", told["vectors"]))
    assert (equal + left, unlike) == (len(readings), 0)
    assert equal >= len(readings) - 2  # a temperature of 53 bits is left to the message
    assert told["random"] == f"{COUNT} equal, 0 unlike, 0 left"
    assert told["sizes"] == "2 equal, 0 unlike, 0 left"
    assert told["refused"] == "27"
    if interpreter == "micropython":
        assert told["allocated"] == "0"
        assert told["locked"]
