"""Goal: an export holds what was asked for, whole, and can be read with nothing but ZIP and JSON.

Method: the journal of a story, read out by the standard library alone; a journal with evicted,
changed and unreadable rows; while a writer commits.
"""

import base64
import hashlib
import json
import os
import random
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import msgspec
import pytest

from gateway import wire
from gateway.errors import JournalError
from gateway.journal import export
from gateway.journal.store import FILE_NAME, SCHEMA_VERSION, connect
from gateway.journal.telling import Wanted
from tests.gateway.crash import clock, players
from tests.gateway.crash.players import AXIS, JOURNAL, NODES, NOW_MS
from tests.gateway.crash.promises import expected_alerts
from tests.gateway.crash.stories import RECORDS, Post


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """Return the journal of a post that has lived; nobody changes it."""
    folder = tmp_path_factory.mktemp("lived")
    with clock.runner() as runner:
        runner.run(Post(folder, 1, lambda *_: None).live())
    return folder / FILE_NAME


@pytest.fixture
def journal(tmp_path, lived):
    """Return a copy of it."""
    (tmp_path / "state").mkdir()
    return Path(shutil.copy(lived, tmp_path / "state"))


def make(journal, target, reserve_bytes=0, **wanted):
    """Export everything, codes and documents whole, unless something else is wanted."""
    wanted = {"documents": True} | wanted
    return export.make(journal, target, Wanted(**wanted), reserve_bytes=reserve_bytes, now_ms=7)


def lines(file, prefix):
    """Return the objects of all files whose names begin so."""
    names = sorted(name for name in file.namelist() if name.startswith(prefix))
    return [json.loads(line) for name in names for line in file.read(name).splitlines()]


def frame_in(file, record):
    where = record["frame"]
    content = file.read(where["file"])
    return content[where["offset"] : where["offset"] + where["bytes"]]


def test_every_record_is_there_with_its_bytes_and_what_was_said_of_it(journal, tmp_path):
    target = tmp_path / "out.zip"
    made = make(journal, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with zipfile.ZipFile(target) as file:
        found = lines(file, "records/")
        assert made.records == len(found) == len(NODES) * RECORDS
        assert [record["id"] for record in found] == sorted(record["id"] for record in found)
        for record in found:
            frame = players.frame_of(record["node"], record["seq"], 1)
            assert frame_in(file, record) == frame
            assert record["crc32"] == f"{zlib.crc32(frame):08x}"
            assert record["is_whole"] is True
            assert (record["journal"], record["received_ms"]) == (JOURNAL.hex(), NOW_MS)
            assert record["measured"]["time_ms"] == NOW_MS + 1_000 * record["seq"]
            assert record["measured"]["time"].endswith("+00:00")
            check_message(record["message"], wire.decode(frame))
        by_seq = {record["seq"]: record for record in found if record["node"] == NODES[0]}
        assert by_seq[1]["kind"] == "reading"
        assert by_seq[1]["message"]["role"] == "dark"
        assert by_seq[2]["kind"] == "event"
        assert by_seq[5]["calibration"]["standard_id"] == "silicon"
        assert by_seq[6]["verdict"]["verdict"] == "alarm"
        assert by_seq[6]["verdict"]["explanation"]["reason_id"] == "listed"
        assert by_seq[10]["rejudged"][0]["verdict_after"] == "alarm"
        assert by_seq[10]["rejudged"][0]["after"]["verdict"] == "alarm"


def check_message(told, message):
    if isinstance(message, wire.Event):
        assert base64.b64decode(told["content"]) == message.content
        return
    assert struct.pack(f"<{len(told['counts'])}H", *told["counts"]) == message.pixels_u16le
    assert told["inspection_id"] == message.inspection_id.hex()


def test_alerts_are_the_bytes_that_were_sent(journal, tmp_path):
    made = make(journal, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        found = {alert["alert_id"]: alert for alert in lines(file, "alerts")}
        axes = lines(file, "axes")
    assert made.alerts == len(found)
    assert {name: alert["body"].encode() for name, alert in found.items()} == expected_alerts(1)
    for alert in found.values():
        assert alert["body_sha256"] == hashlib.sha256(alert["body"].encode()).hexdigest()
        assert json.loads(alert["receipt"])["alert_id"] == alert["alert_id"]
        assert alert["receipt_ms"] == NOW_MS
    assert [(axis["node"], axis["axis_id"]) for axis in axes] == [
        (node, AXIS.hex()) for node in NODES
    ]
    assert axes[0]["birth"]["coefficients"] == [0.0, 0.0]
    assert axes[0]["birth"]["excitation_nm"] == 785.0


def test_the_manifest_names_every_file_and_its_digest(journal, tmp_path):
    make(journal, tmp_path / "out.zip", nodes=NODES[:1])
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        assert file.testzip() is None
        manifest = json.loads(file.read("manifest.json"))
        assert (manifest["format"], manifest["schema"]) == (export.FORMAT, SCHEMA_VERSION)
        assert manifest["nodes"] == [NODES[0]]
        assert (manifest["made_ms"], manifest["made"]) == (7, "1970-01-01T00:00:00.007+00:00")
        told = {entry["name"]: entry for entry in manifest["files"]}
        assert set(told) == set(file.namelist()) - {"manifest.json"}
        for name, entry in told.items():
            content = file.read(name)
            assert entry["bytes"] == len(content)
            assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        readme = file.read("README.txt").decode()
        assert all(
            name.split("/")[0].split(".")[0] in readme for name in set(told) - {"README.txt"}
        )


@pytest.mark.parametrize(
    "wanted, expected",
    [
        ({"nodes": (NODES[1],)}, {(NODES[1], seq) for seq in range(1, RECORDS + 1)}),
        ({"since_ms": NOW_MS + 1}, set()),
        ({"until_ms": NOW_MS}, set()),
        (
            {"since_ms": NOW_MS, "until_ms": NOW_MS + 1, "nodes": NODES[:1]},
            {(NODES[0], seq) for seq in range(1, RECORDS + 1)},
        ),
        # what alerts stand on, with the dark frame that their readings name
        ({"only_alerts": True}, {(node, seq) for node in NODES for seq in (1, 3, 6, 9, 10)}),
    ],
)
def test_only_what_was_asked_for_is_there(journal, tmp_path, wanted, expected):
    made = make(journal, tmp_path / "out.zip", **wanted)
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        found = {(record["node"], record["seq"]) for record in lines(file, "records/")}
        alerts = {alert["node"] for alert in lines(file, "alerts")}
    assert found == expected
    assert made.records == len(expected)
    assert alerts == {node for node, _ in expected}


def test_it_goes_page_by_page(journal, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "PAGE_IDS", 3)
    make(journal, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        names = [name for name in file.namelist() if name.startswith("frames/")]
        found = lines(file, "records/")
        assert len(names) > 5
        assert len(found) == len({record["id"] for record in found}) == len(NODES) * RECORDS
        for record in found:
            frame = players.frame_of(record["node"], record["seq"], 1)
            assert frame_in(file, record) == frame


def test_evicted_and_changed_bytes_are_named(journal, tmp_path):
    connection = connect(journal)
    connection.execute("UPDATE records SET frame = x'' WHERE seq = 4")
    connection.execute("UPDATE records SET frame = CAST(frame || x'00' AS BLOB) WHERE seq = 7")
    connection.close()
    made = make(journal, tmp_path / "out.zip")
    assert (made.evicted, made.changed, made.unreadable) == (len(NODES), len(NODES), 0)
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        by_seq = {record["seq"]: record for record in lines(file, "records/")}
    assert by_seq[4]["frame"] is None
    assert by_seq[4]["message"] is None
    assert by_seq[4]["verdict"]["verdict"] == "clear"
    assert by_seq[7]["is_whole"] is False
    assert by_seq[7]["frame"] is not None


def test_a_damaged_journal_gives_what_can_be_read_of_it(journal, tmp_path):
    """Any one page: the rest is there, and what is not is counted."""
    whole = journal.read_bytes()
    connection = connect(journal)
    question = "SELECT pageno FROM dbstat WHERE name = 'records' AND pagetype = 'leaf' ORDER BY 1"
    leaves = [page for (page,) in connection.execute(question)]
    connection.close()
    lost = journal.with_name("lost.sqlite")
    lost.write_bytes(whole[: (leaves[0] - 1) * 4_096] + bytes(4_096) + whole[leaves[0] * 4_096 :])
    made = make(lost, tmp_path / "out.zip")
    assert 0 < made.records < len(NODES) * RECORDS
    assert made.records + made.unreadable >= len(NODES) * RECORDS
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        for record in lines(file, "records/"):
            frame = players.frame_of(record["node"], record["seq"], 1)
            assert frame_in(file, record) == frame


def pages_of(journal):
    """Return of which table or index each page of a journal is."""
    connection = connect(journal, read_only=True)
    pages = dict(connection.execute("SELECT pageno, name FROM dbstat"))
    connection.close()
    return pages


def spoil(journal, page):
    content = bytearray(journal.read_bytes())
    content[(page - 1) * 4_096 : page * 4_096] = random.Random(page).randbytes(4_096)
    journal.write_bytes(content)


@pytest.mark.parametrize("table", ["tallies", "boots", "verdicts", "calibrations"])
def test_a_record_that_is_whole_is_there_whatever_else_cannot_be_read(journal, tmp_path, table):
    """When it was measured, and what was said of it, stands in other tables."""
    lost = {"tallies": "measured", "boots": "measured", "verdicts": "verdict"}
    spoil(journal, min(page for page, name in pages_of(journal).items() if name == table))
    made = make(journal, tmp_path / "out.zip")
    assert (made.records, made.unreadable) == (len(NODES) * RECORDS, 0)
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        found = lines(file, "records/")
        assert json.loads(file.read("manifest.json"))["incomplete"] == made.incomplete > 0
    assert sum("unreadable" in record for record in found) == made.incomplete
    for record in found:
        assert record["is_whole"]
        assert record["frame"]
        for name in record.get("unreadable", ()):
            assert name == lost.get(table, "calibration")
            assert name not in record
        if "verdict" in record and record["verdict"]["verdict"] == "alarm":
            assert record["alert_id"]


def test_what_alerts_stand_on_is_exported_whichever_page_is_damaged(journal, tmp_path):
    """Alerts, their readings and the dark frames; without what lay on that page, and no more."""
    whole = journal.read_bytes()
    readings = {(node, seq) for node in NODES for seq in (1, 3, 6, 9, 10)}
    pages = {page: name for page, name in pages_of(journal).items() if page > 1}
    leaves = 0
    for page, name in pages.items():
        journal.write_bytes(whole)
        spoil(journal, page)
        target = tmp_path / f"{page}.zip"
        made = make(journal, target, only_alerts=True)
        with zipfile.ZipFile(target) as file:
            found = {(record["node"], record["seq"]) for record in lines(file, "records/")}
            alerts = {alert["alert_id"]: alert["body"].encode() for alert in lines(file, "alerts")}
        assert found <= readings
        if name != "alerts":
            assert alerts == expected_alerts(1), name
        if name != "records":  # an alert that is lost is still listed by its index
            assert found == readings, name
        if name == "records":
            leaves += bool(found)
            assert found == readings or made.unreadable
    assert leaves > 1


@pytest.mark.parametrize(
    "letter", [b"CREATE TRIGGER tally_verdict ", b"CREATE TABLE healths", None]
)
def test_a_letter_or_the_last_page_hides_nothing(journal, tmp_path, letter):
    """SQLite refuses the whole file for that; what it holds is all there."""
    whole = journal.read_bytes()
    damaged = whole[:-4_096] if letter is None else whole.replace(letter, b"CRE@" + letter[4:])
    journal.write_bytes(damaged)
    made = make(journal, tmp_path / "out.zip")
    assert made.records + made.unreadable >= len(NODES) * RECORDS
    assert made.records >= len(NODES) * RECORDS - 2
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        found = {alert["alert_id"]: alert["body"].encode() for alert in lines(file, "alerts")}
    assert found == expected_alerts(1)


def test_a_file_of_which_nothing_can_be_read_is_told(journal, tmp_path):
    journal.write_bytes(b"this is a letter " * 1_000)
    with pytest.raises(JournalError, match="no record of it can be read"):
        make(journal, tmp_path / "out.zip")


@pytest.mark.parametrize("seed", range(12))
def test_whatever_a_damaged_file_holds_is_read_or_counted(journal, tmp_path, seed):
    rng, content = random.Random(seed), bytearray(journal.read_bytes())
    for _ in range(40):
        content[rng.randrange(4_096, len(content))] ^= 1 << rng.randrange(8)
    for _ in range(2):
        one, two = (place * 4_096 for place in rng.sample(range(1, len(content) // 4_096), 2))
        content[one : one + 4_096] = content[two : two + 4_096]
    journal.write_bytes(content)
    try:
        made = make(journal, tmp_path / "out.zip")
    except JournalError:
        return
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        assert len(lines(file, "records/")) == made.records


def test_an_id_far_away_costs_nothing_and_rows_that_stand_in_are_no_records(journal, tmp_path):
    connection = connect(journal)
    connection.execute(
        "INSERT INTO records (id, node, journal_id, seq, kind, received_ms, frame)"
        " VALUES (1 << 40, '', x'', 0, 0, 0, x'')"
    )
    connection.close()
    asked = []
    made = make(journal, tmp_path / "out.zip")
    assert (made.records, made.evicted) == (len(NODES) * RECORDS, 0)
    looked = connect(journal, read_only=True)
    looked.exec_trace = lambda *words: asked.append(words) is None
    pages = list(export._pages(looked, Wanted(), 1 << 40, made))
    looked.close()
    assert sum(map(len, pages)) == len(NODES) * RECORDS
    assert len(asked) <= 2 + len(NODES) * RECORDS // export.PAGE_IDS


def test_what_lies_behind_a_long_damage_is_found(journal, tmp_path):
    """From the last id that can be read to the first one after it, without asking for each."""
    connection = connect(journal)
    connection.execute("UPDATE records SET id = id + (1 << 40) WHERE id > 60")
    pages = "SELECT pageno FROM dbstat WHERE name = 'records' AND pagetype = 'leaf' ORDER BY path"
    leaves = [page for (page,) in connection.execute(pages)]
    connection.close()
    content = bytearray(journal.read_bytes())
    page = leaves[len(leaves) // 2]
    content[(page - 1) * 4_096 : page * 4_096] = bytes(4_096)
    journal.write_bytes(content)
    made = make(journal, tmp_path / "out.zip")
    assert len(NODES) * RECORDS - 20 < made.records < len(NODES) * RECORDS


def test_a_name_that_is_no_letters_is_told_as_it_is(journal, tmp_path):
    made = make(journal, tmp_path / os.fsdecode(b"out-\xff.zip"))
    assert made.file == f"{tmp_path}/out-\\xff.zip"
    assert json.loads(msgspec.json.encode(made))["records"] == len(NODES) * RECORDS


def test_a_file_that_is_there_and_a_disk_without_room_are_told(journal, tmp_path):
    (tmp_path / "mine.zip").write_text("mine")
    with pytest.raises(JournalError, match="exists already"):
        make(journal, tmp_path / "mine.zip")
    assert (tmp_path / "mine.zip").read_text() == "mine"
    with pytest.raises(JournalError, match=r"reserve_bytes would be left .*--since"):
        make(journal, tmp_path / "out.zip", reserve_bytes=1 << 60)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.zip", "state"]


def plant_document(journal):
    """Make the event of number 2 a document's, and spoil the bytes of the other node's."""
    lines = ("P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L898902C36UTO7408122F1204159<<<")
    content = "\n".join(lines).encode()
    connection = connect(journal)
    for node, spoilt in ((NODES[0], b""), (NODES[1], b"\xc1")):
        message = wire.decode(players.frame_of(node, 2, 1))
        document = msgspec.structs.replace(message, event_type=2, symbology="TD3", content=content)
        frame = spoilt + wire.encode(document)
        connection.execute(
            "UPDATE records SET frame = ?, crc = ? WHERE node = ? AND seq = 2",
            (frame, zlib.crc32(frame), node),
        )
    connection.close()
    return content


def test_a_document_is_told_of_and_what_it_says_only_if_asked_for(journal, tmp_path):
    content = plant_document(journal)
    secrets = (
        b"ERIKSSON",
        b"L898902C3",
        base64.b64encode(content)[:40],
        content.hex()[:40].encode(),
    )
    made = make(journal, tmp_path / "out.zip", documents=False)
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        for name in file.namelist():
            assert not [secret for secret in secrets if secret in file.read(name)], name
        told = [record for record in lines(file, "records/") if record["seq"] == 2]
        manifest = json.loads(file.read("manifest.json"))
    assert (made.withheld, manifest["withheld"]) == (4, 4)  # the story's other codes, too
    assert manifest["documents"] is False
    assert {record["withheld"] for record in told} == {"document"}
    assert [(record["frame"], record["crc32"]) for record in told] == [(None, None)] * 2
    assert told[0]["message"]["symbology"] == "TD3"
    assert told[0]["message"]["content"] is None
    assert told[1]["message"] is None

    made = make(journal, tmp_path / "whole.zip", documents=True)
    with zipfile.ZipFile(tmp_path / "whole.zip") as file:
        told = [record for record in lines(file, "records/") if record["seq"] == 2]
        assert [content in frame_in(file, record) for record in told] == [True, True]
        assert json.loads(file.read("manifest.json"))["documents"] is True
    assert base64.b64decode(told[0]["message"]["content"]) == content
    assert (made.withheld, "withheld" in told[0]) == (0, False)
