"""Goal: what stands in a document is in the journal, and in nothing else that a post writes.

Method: a real gateway commits a passport and a licence's barcode, whole and in lines, refuses
frames with the same in them, and is asked for all it tells; then every file of the post but the
journal is searched.
"""

import asyncio
import base64
import json
import subprocess
import sys
import zipfile

import msgspec
import pytest

from gateway import wire
from protocol import messages
from tests.gateway.ingest.test_judging import UREA
from tests.gateway.running import Command, write_settings
from tests.gateway.scripted import connected

LINES = (
    "P<UTOZZYXOVIC<<QUENTISSA<MARIA<<<<<<<<<<<<<<",
    "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
)
CONTENT = "\n".join(LINES).encode()
WORDS = ("ZZYXOVIC", "QUENTISSA", "L898902C3", "ZE184226B", "7408122", "QX1234562", "RUEVERNE")
LICENCE = (
    b"@\n\x1e\rANSI 636014040002DL00410278DLDAQQX1234562\n",
    b"DCSZZYXOVIC\nDACQUENTISSA\nDAGRUEVERNE\r",
)


def secrets():
    """Return what is searched for, as it is sent and as programs write bytes."""
    plain = [word.encode() for word in WORDS]
    coded = [
        base64.b64encode(content[at:]).rstrip(b"=")[4:-4]
        for content in (CONTENT, *LICENCE)
        for at in range(3)
    ]
    return [*plain, *coded, *(word.hex().encode() for word in plain)]


def harmattan(*arguments):
    """Return everything that the command printed."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *map(str, arguments)],
        capture_output=True,
        timeout=100,
        check=False,
    )
    return done.stdout + done.stderr


def document(node, seq, **changes):
    code = node.event(seq, CONTENT)
    values = dict(zip((field[0] for field in code.FIELDS), code.values(), strict=True))
    values |= {"event_type": messages.EVENT_DOCUMENT, "symbology": "TD3"} | changes
    return messages.Event(*values.values())


@pytest.mark.timeout(200)
def test_a_document_is_in_no_log_status_bundle_export_alert_or_file(tmp_path, free_port):
    path = write_settings(tmp_path, free_port)
    said = []

    async def story():
        async with Command(path) as post:
            await post.log.event("broker_connected")
            async with connected(free_port) as node:
                await node.be_born(next_seq=4)
                await node.measure_standard()
                await node.say(document(node, 1))
                await node.say(node.reading(2, pixels=UREA))  # the same act, an alarm
                await node.say(document(node, 3, symbology="TD3?"))
                codes = [("]L0", b"".join(LICENCE)), *[("", part) for part in LICENCE]]
                codes += [("]C1", LICENCE[1]), ("]E3", b"4006381333931ZZYXOVIC")]
                for seq, (symbology, content) in enumerate(codes, 5):
                    values = {"event_type": messages.EVENT_CODE, "symbology": symbology}
                    await node.say(document(node, seq, **values, content=content))
                await node.say(document(node, 4, symbology="TD3?"))
                await node.receipt(4 + len(codes))
                await post.log.event("alert")
                good = document(node, 20).pack()
                await node.publish("event", good[:-1])
                await node.publish("event", good + b"\0")
                await node.publish("reading", good)
                await node.publish("event", good.replace(b"TD3", b"\xff\xff\xff"))
                await post.log.event("kind_refused")
                code = document(node, 21, event_type=messages.EVENT_CODE, content=LICENCE[1]).pack()
                await node.publish("event", code[:-1])
                await post.log.event("frame_refused")
                said.append(await asyncio.to_thread(harmattan, "scans", "-s", path))
                said.append(await asyncio.to_thread(harmattan, "scans", "-s", path, "--json"))
                assert b"PDF417, 83 bytes, text" in said[0]
                for command in ("bundle", "export"):  # status and doctor are in the bundle
                    file = tmp_path / f"{command}.zip"
                    said.append(await asyncio.to_thread(harmattan, command, file, "-s", path))
        said.append(json.dumps(post.log.items).encode() + "\n".join(post.rest).encode())

    asyncio.run(story())
    for name in ("bundle.zip", "export.zip"):
        with zipfile.ZipFile(tmp_path / name) as file:
            said.extend(file.read(part) for part in file.namelist())
    with zipfile.ZipFile(tmp_path / "export.zip") as file:
        assert json.loads(file.read("manifest.json"))["withheld"] == 8
        assert b'"alert_id"' in file.read("alerts.jsonl")
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    journal = [file for file in files if file.name.startswith("journal.")]
    for secret in secrets():
        assert not [text for text in said if secret in text], secret
        others = set(files) - set(journal)
        assert not [file for file in others if secret in file.read_bytes()], secret
    assert [file for file in journal if CONTENT in file.read_bytes()]  # a search would find it


def test_an_event_shows_nothing_of_its_content_by_chance():
    values = (b"journal1", 7, b"bootboot", 5, None, 0, b"inspect1", 2, "TD3", CONTENT, None, None)
    event, struct = messages.Event(*values), wire.Event(*values)
    shown = [
        repr(event),
        str(struct),
        f"{struct!r} {[struct]}",
        repr(msgspec.structs.replace(struct)),
    ]
    for secret in secrets():
        assert not [text for text in shown if secret.decode() in text]
    assert "<89 bytes>" in shown[0]
    assert "89 bytes" in shown[1]
    assert wire.decode(event.pack()) == struct
