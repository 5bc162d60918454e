"""Goal: an export says what a code is; what may be a person's data is kept as a document's is.

Method: the journal of a story whose scans are replaced by codes of our own.
"""

import base64
import json
import shutil
import zipfile
import zlib
from pathlib import Path

import msgspec
import pytest

from gateway import wire
from gateway.journal import export, scanned
from gateway.journal.store import FILE_NAME, connect
from gateway.journal.telling import Wanted
from tests.gateway.crash import clock, players
from tests.gateway.crash.players import NODES
from tests.gateway.crash.stories import Post

CASE = ("]C1", b"0198412345678908" + b"17261100" + b"10A")
PASS = ("]L0", b"M1ERIKSSON/ANNA       EABC123 ARNFRASK 0123 326Y025C0027 100")


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lived")
    with clock.runner() as runner:
        runner.run(Post(folder, 1, lambda *_: None).live())
    return folder / FILE_NAME


@pytest.fixture
def journal(tmp_path, lived):
    """Return its copy, in which number 2 of each node is a scan of ours."""
    (tmp_path / "state").mkdir()
    path = Path(shutil.copy(lived, tmp_path / "state"))
    for node, code in zip(NODES, (CASE, PASS), strict=False):
        put(path, node, *code)
    return path


def put(journal, node, symbology, content):
    """Make number 2 of a node a scan."""
    message = wire.decode(players.frame_of(node, 2, 1))
    code = msgspec.structs.replace(message, event_type=1, symbology=symbology, content=content)
    frame = wire.encode(code)
    connection = connect(journal)
    connection.execute(
        "UPDATE records SET frame = ?, crc = ? WHERE node = ? AND seq = 2",
        (frame, zlib.crc32(frame), node),
    )
    connection.close()


def records(journal, target, **wanted):
    """Return the records of number 2 by node, and all bytes of the export."""
    export.make(journal, target, Wanted(**wanted), reserve_bytes=0, now_ms=7)
    with zipfile.ZipFile(target) as file:
        names = [name for name in file.namelist() if name.startswith("records/")]
        told = [json.loads(line) for name in names for line in file.read(name).splitlines()]
        whole = b"".join(file.read(name) for name in file.namelist())
    return {record["node"]: record for record in told if record["seq"] == 2}, whole


def test_an_export_says_what_a_code_is(journal, tmp_path):
    told, _ = records(journal, tmp_path / "out.zip")
    scan = told[NODES[0]]["scan"]
    assert (scan["symbology"], scan["form"], scan["faults"]) == ("GS1-128", "gs1", [])
    assert scan["values"] == {"01": "98412345678908", "17": "261100", "10": "A"}
    assert scan["decoded"]["expires"] == "2026-11-30"
    assert base64.b64decode(told[NODES[0]]["message"]["content"]) == CASE[1]


def test_a_persons_data_in_a_code_is_given_only_if_asked_for(journal, tmp_path):
    told, whole = records(journal, tmp_path / "out.zip")
    scan = told[NODES[1]]["scan"]
    assert (scan["symbology"], scan["form"], scan["length_bytes"]) == ("PDF417", "text", 60)
    assert (scan["text"], scan["withheld"]) == (None, ["content"])
    assert told[NODES[1]]["withheld"] == "code"
    assert (told[NODES[1]]["frame"], told[NODES[1]]["crc32"]) == (None, None)
    assert told[NODES[1]]["message"]["content"] is None
    for secret in (b"ERIKSSON", base64.b64encode(PASS[1])[:40], PASS[1].hex().encode()):
        assert secret not in whole
    told, whole = records(journal, tmp_path / "whole.zip", documents=True)
    assert PASS[1] in whole
    assert base64.b64decode(told[NODES[1]]["message"]["content"]) == PASS[1]
    assert told[NODES[1]]["scan"]["text"] == PASS[1].decode()


def test_of_a_label_with_an_address_the_goods_are_told_and_the_address_is_not(journal, tmp_path):
    content = CASE[1] + b"\x1d4301ANNA+ERIKSSON\x1d90STAFF-77"
    put(journal, NODES[0], CASE[0], content)
    told, whole = records(journal, tmp_path / "out.zip")
    assert told[NODES[0]]["withheld"] == "code"
    assert told[NODES[0]]["scan"]["withheld"] == ["4301", "90"]
    assert told[NODES[0]]["scan"]["values"] == {"01": "98412345678908", "17": "261100", "10": "A"}
    for secret in (b"ERIKSSON", b"STAFF-77", base64.b64encode(content)[:40]):
        assert secret not in whole
    told, whole = records(journal, tmp_path / "whole.zip", documents=True)
    assert content in whole
    assert told[NODES[0]]["scan"]["values"]["4301"] == "ANNA+ERIKSSON"


def test_a_moment_that_no_calendar_has_leaves_dates_without_their_century():
    event = wire.decode(players.frame_of(NODES[0], 2, 1))
    code = msgspec.structs.replace(event, event_type=1, symbology=CASE[0], content=CASE[1])
    assert scanned.read(code, 1 << 62).decoded["expires"] == "26-11-30"
    assert scanned.read(msgspec.structs.replace(code, event_type=3), 7) is None
    assert scanned.read(None, 7) is None
