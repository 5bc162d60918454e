"""Goal: the golden vectors mean the same to every implementation, byte for byte.

Method: the files are read by CPython's and MicroPython's `protocol`, by `gateway.wire` and by the
msgpack package, which has nothing of ours in it.
"""

import msgpack
import msgspec
import pytest

from gateway import wire
from protocol import errors, fields, messages
from protocol.errors import ProtocolError
from tests.protocol import make_vectors
from tests.protocol.specification import clauses


def plain(value):
    """Return a field's value as the vectors write it."""
    if isinstance(value, bytes):
        return value.hex()
    return list(value) if isinstance(value, tuple) else value


def test_files_are_those_of_the_generator(repository_path):
    """SPEC 1.3: nobody edits the vectors by hand."""
    folder = repository_path / "protocol/vectors"
    accepted = (folder / "messages.json").read_text()
    assert accepted == make_vectors.text(make_vectors.accepted())
    refused = (folder / "refused.json").read_text()
    assert refused == make_vectors.text(make_vectors.refused())


def test_vectors_have_names_of_their_own(accepted, refused):
    """SPEC 1.3: a name or a reason points at one vector."""
    names = [(vector["kind"], vector["name"]) for vector in accepted]
    assert len(set(names)) == len(names) >= 80
    frames = [vector["frame"] for vector in refused]
    assert len(set(frames)) == len(frames) >= 130


def test_vectors_reach_every_bound(accepted):
    """SPEC 3.4, SPEC 3.5, SPEC 3.6, SPEC 3.7, SPEC 3.8, SPEC 3.9, SPEC 3.10, SPEC 3.11, SPEC 3.12.

    SPEC 3.13, SPEC 3.14: each kind is there at its smallest and at its largest.
    """
    for kind in messages.KINDS.values():
        sizes = [
            len(vector["frame"]) // 2
            for vector in accepted
            if vector["kind"] == kind.__name__ and "appended" not in vector
        ]
        assert max(sizes) == fields.frame_bytes_max(kind), kind
        smallest = next(
            vector
            for vector in accepted
            if vector["kind"] == kind.__name__ and vector["name"] == "smallest"
        )
        assert min(sizes) == len(smallest["frame"]) // 2, kind


def test_cpython_reads_and_writes_the_vectors(accepted):
    """SPEC 1.3, SPEC 4.1."""
    for vector in accepted:
        frame = bytes.fromhex(vector["frame"])
        message = messages.unpack(frame)
        assert type(message).__name__ == vector["kind"]
        names = [field[0] for field in message.FIELDS]
        read = dict(zip(names, map(plain, message.values()), strict=True))
        assert read == vector["values"], vector["name"]
        if not {"appended", "missing"} & set(vector):
            assert message.pack() == frame, vector["name"]


def test_micropython_reads_and_writes_the_vectors(on_micropython, accepted):
    """SPEC 1.3, SPEC 4.1."""
    assert on_micropython("read_accepted") == {"read": len(accepted), "wrong": []}


def test_the_gateway_reads_and_writes_the_vectors(accepted):
    """SPEC 1.3, SPEC 4.1."""
    for vector in accepted:
        frame = bytes.fromhex(vector["frame"])
        message = wire.decode(frame)
        assert type(message).__name__ == vector["kind"]
        read = {name: plain(value) for name, value in msgspec.structs.asdict(message).items()}
        assert read == vector["values"], vector["name"]
        if not {"appended", "missing"} & set(vector):
            assert wire.encode(message) == frame, vector["name"]


def test_the_msgpack_package_reads_and_writes_the_vectors(accepted):
    """SPEC 2.1, SPEC 2.2: the frames are plain MessagePack, appended fields included."""
    for vector in accepted:
        frame = bytes.fromhex(vector["frame"])
        kind, *values = msgpack.unpackb(frame)
        names = [field[0] for field in messages.KINDS[kind].FIELDS]
        missing = vector.get("missing", 0)
        read = dict(zip(names, map(plain, values), strict=False))
        assert read == dict(list(vector["values"].items())[: len(names) - missing])
        assert len(values) == len(names) + vector.get("appended", 0) - missing
        assert msgpack.packb([kind, *values], use_bin_type=True) == frame, vector["name"]


@pytest.mark.parametrize("read", [messages.unpack, wire.decode])
def test_refused_vectors_are_refused_by_the_stated_class(refused, read):
    """SPEC 1.3, SPEC 2.8, SPEC 4.5."""
    for vector in refused:
        with pytest.raises(ProtocolError) as caught:
            read(bytes.fromhex(vector["frame"]))
        assert type(caught.value) is getattr(errors, vector["error"]), vector["why"]


def test_micropython_refuses_the_refused_vectors(on_micropython, refused):
    """SPEC 1.3, SPEC 2.8, SPEC 4.5."""
    assert on_micropython("read_refused") == [vector["error"] for vector in refused]


def test_refused_vectors_point_at_a_clause(refused):
    """SPEC 1.3: each says which clause it breaks, and the clauses on bytes all have one."""
    named = {vector["clause"] for vector in refused}
    assert named <= set(clauses())
    assert {"2.1", "2.2", "2.3", "2.4", "2.6", "2.7", "2.8", "3.1", "3.2", "4.4", "4.5"} <= named
