"""Journals of every released version, each written by the gateway of its time.

    python tests/gateway/journal/released/make.py

takes the code of each commit of RELEASED out of the project's history, lets it tell one story into
a fresh journal, and writes that as SQL beside this file. What is there is not made again by the
tests: a released journal does not change. A version that is released gets its line here, and its
file, before SCHEMA_VERSION is raised.

Rules of the story
- It uses only what its gateway has: a table that is not there yet is passed over.
- There is something in every table, and something is left to do: readings that are pending, an
  alert that waits, a run that has not ended.
"""
# ruff: noqa: PLC0415, T201 - the imports are those of another time; a program for people

import importlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RELEASED = {  # file: commit
    "v1": "8747359",
    "v2": "64ae3db",  # judges again, has no calibrations
    "v2_calibrations": "bc3dc2b",  # has calibrations, does not judge again
    "v2_both": "5b53839",
    "v3": "82cd002",
    "v3_responses": "14420dd",
    "v4": "3329742",
    "v5": "89912b7",
}
NODES = ("lane-8", "lane-9")
JOURNAL, BOOT, AXIS = b"journal8", b"boot-old", b"axis-old"
NOW_MS = 1_794_000_000_000
RECORDS = 9


def find(module):
    """Return a module of the gateway of that time, None when it had none such."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        return None


def frame_of(seq):
    """Return a record's frame."""
    from protocol import messages

    stamp = (JOURNAL, seq, BOOT, seq * 1_000, NOW_MS + seq * 1_000, 2)
    if seq == 5:
        return messages.Event(*stamp, b"inspec05", 1, "QR", b"AB-123", None, None).pack()
    role = {1: messages.ROLE_DARK, 6: messages.ROLE_STANDARD, 9: messages.ROLE_STANDARD}.get(seq, 0)
    return messages.Reading(
        *(*stamp, b"inspec%02d" % seq, role, AXIS, 400_000, 1, 100, None, 65_535, 0),
        *(None if role else 1, bytes(range(seq, seq + 64))),
    ).pack()


def judgement_of(records, node, seq, record_id, verdict):
    """Return what was said of a reading, with its alert."""
    told = {"verdict": verdict, "reason_id": "listed_found", "library_version": "1", "hits": []}
    if verdict == "inconclusive":
        told["reason_id"] = "no_axis"
    if find("gateway.journal.calibrations") is not None and seq != 2:
        told["calibration"] = {"state": "valid"}
    alert = ()
    if verdict == "alarm":
        name = f"post-1.{node}.{JOURNAL.hex()}.{seq}"
        alert = (name, json.dumps({"alert_id": name}).encode())
    explanation = json.dumps(told).encode()
    return records.Judgement(record_id, verdict, told["reason_id"], explanation, NOW_MS, *alert)


def tell(path):
    """Tell the story with the gateway that is on the path of imports."""
    from gateway.journal import records, store

    connection = store.connect(path)
    for node in NODES:
        with connection:
            introduce(connection, records, node)
        with connection:
            ids = keep(connection, records, node)
        with connection:
            judge(connection, records, node, ids)
    with connection:
        records.save_counters(connection, {("record_repeated", NODES[0]): 3, ("clock_set", ""): 1})
        rejudge(connection, records)
    connection.close()


def introduce(connection, records, node):
    """Have a node born, healthy, connected and configured."""
    from gateway import wire
    from protocol import messages

    birth = messages.Birth(
        *(BOOT, 1_000, NOW_MS + 1_000, 2, JOURNAL, 1, 1, "old 1", "unix", 0, "instrument", "1"),
        *(AXIS, 32, 785_000, 8_000, bytes(8), 65_535),
    ).pack()
    records.save_birth(connection, node, wire.decode(birth), birth, NOW_MS)
    health = messages.Health(
        *(BOOT, 2_000, NOW_MS + 2_000, 2, None, None, 100_000, JOURNAL, 1, 1, 4_096),
        *(0, 0, 0, 0, 0, 0, ""),
    ).pack()
    records.save_health(connection, node, health, NOW_MS)
    wanted = wire.Config(1, 400_000, 1, 0, 30, 8, 1_000)
    try:
        records.save_config(connection, node, wanted, now_s=NOW_MS // 1_000)
    except TypeError:  # version 1 counted
        records.save_config(connection, node, wanted)
    dating = find("gateway.journal.dating")
    if dating is not None:
        for frame in (birth, health):
            dating.learn_boot(connection, node, dating.stamp_of(wire.decode(frame)), NOW_MS)
    calibrations = find("gateway.journal.calibrations")
    if calibrations is not None:
        argument = bytes([messages.ROLE_STANDARD]) + b"silicon"
        for name in (b"inspec06", b"inspec00"):
            command = wire.Command(name, messages.ACTION_CAPTURE, None, argument)
            calibrations.save_order(connection, node, command, NOW_MS)


def keep(connection, records, node):
    """Have its records committed; return their ids by number."""
    from gateway import wire

    for seq in range(1, RECORDS + 1):
        frame = frame_of(seq)
        record = wire.decode(frame)
        records.insert_record(connection, node, record, frame, NOW_MS + seq)
        darks = find("gateway.journal.darks")
        if darks is not None and seq == 1:
            darks.save_dark(connection, node, record, NOW_MS)
    records.save_floor(connection, node, JOURNAL, RECORDS - 2)
    rows = connection.execute("SELECT seq, id FROM records WHERE node = ?", (node,))
    return dict(rows.fetchall())


def judge(connection, records, node, ids):
    """Have what can be judged; number 8 is left pending."""
    for seq, verdict in ((2, "clear"), (3, "inconclusive"), (4, "alarm"), (7, "alarm")):
        told = judgement_of(records, node, seq, ids[seq], verdict)
        records.insert_judgement(connection, told)
    alert = judgement_of(records, node, 4, ids[4], "alarm").alert_id
    records.save_attempt(connection, alert, "no line")
    records.save_receipt(connection, alert, b'{"receipt_id":"1"}', NOW_MS)
    late = judgement_of(records, node, 7, ids[7], "alarm").alert_id
    records.save_attempt(connection, late, "no line")
    calibrations = find("gateway.journal.calibrations")
    if calibrations is not None:
        kept = calibrations.Kept(ids[6], NOW_MS, "silicon", "", "", b'{"offset_cm1":0.5}')
        calibrations.insert_calibration(connection, node, AXIS, kept, again_from_ms=1 << 50)
    responses = find("gateway.journal.responses")
    if responses is not None:
        kept = calibrations.Kept(ids[9], NOW_MS, "glass", "", "", b'{"factors":[1]}')
        responses.insert_response(connection, node, AXIS, kept)
    upgrade = find("gateway.journal.upgrade")
    if upgrade is not None and hasattr(upgrade, "_note_unrecorded"):
        upgrade._note_unrecorded(connection)


def rejudge(connection, records):
    """Have a run that ended, and one that is under way."""
    rejudgements = find("gateway.journal.rejudgements")
    if rejudgements is None:
        return
    rows = connection.execute("SELECT id FROM records WHERE node = ? AND seq = 2", NODES[:1])
    ((record_id,),) = rows.fetchall()
    for library in ("2", "3"):
        run = rejudgements.begin_run(
            connection, library, "a", since_ms=0, now_ms=NOW_MS, faults=["one is left out"]
        )
        if library == "3":
            return
        after = judgement_of(records, NODES[0], 2, record_id, "alarm")
        changed = rejudgements.Changed(b'{"verdict":"clear"}', "clear", after)
        step = rejudgements.Step(record_id, 1, 0)
        rejudgements.save_step(connection, run.run_id, step, changed)
        rejudgements.end_run(connection, run.run_id, rejudgements.Step(0, 0, 0), NOW_MS)


def main():
    """Make every file, or tell one story (with the path of its journal as argument)."""
    if len(sys.argv) > 1:
        tell(Path(sys.argv[1]))
        return
    for name, commit in RELEASED.items():
        with tempfile.TemporaryDirectory() as folder:
            told = ["git", "-C", str(HERE), "rev-parse", "--show-toplevel"]
            top = subprocess.run(told, check=True, capture_output=True, text=True).stdout.strip()
            told = ["git", "-C", top, "archive", commit, "gateway", "protocol"]
            code = subprocess.run(told, check=True, capture_output=True).stdout
            with tarfile.open(fileobj=io.BytesIO(code)) as archive:
                archive.extractall(folder)
            path = Path(folder) / "journal.sqlite"
            subprocess.run(
                [sys.executable, "-P", __file__, str(path)],
                check=True,
                cwd=folder,
                env=os.environ | {"PYTHONPATH": folder},
            )
            connection = sqlite3.connect(path)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            text = "\n".join(connection.iterdump())
            connection.close()
            (HERE / f"{name}.sql").write_text(f"{text}\nPRAGMA user_version = {version};\n")
            print(name, commit, version, len(text))


if __name__ == "__main__":
    main()
