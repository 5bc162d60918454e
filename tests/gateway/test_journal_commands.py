"""Goal: a technician copies and reads out the journal of a running post with two commands.

Method: the real commands in processes of their own, beside a real gateway that takes readings in.
"""

import asyncio
import io
import json
import os
import sys
import zipfile

import pytest
from rich.console import Console
from typer.testing import CliRunner

from gateway.cli import app
from gateway.errors import JournalError, SettingsError
from gateway.journal.store import FILE_NAME, connect
from gateway.journal.telling import Wanted
from gateway.journal_commands import moment_ms, run_export
from tests.gateway.doctor.breaking import lay_folder, lay_link
from tests.gateway.running import NODE, running, write_settings
from tests.gateway.scripted import connected

DAY_MS = 86_400_000


async def call(*arguments):
    """Run `harmattan`; return its exit status, standard output and standard error."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    return child.returncode, out.decode(), err.decode()


def test_a_running_post_is_copied_and_read_out_while_readings_come(tmp_path, free_port):
    path = write_settings(tmp_path, free_port)
    copy, archive = tmp_path / "copy.sqlite", tmp_path / "out.zip"

    async def send(node, begun):
        seq = 0
        while True:
            seq += 1
            await node.say(node.dark(seq))
            await node.receipt(seq)
            begun.set()

    async def story():
        async with running(path), connected(free_port) as node:
            begun = asyncio.Event()
            sending = asyncio.create_task(send(node, begun))
            await begun.wait()
            before = max(node.covered())
            status, out, err = await call("backup", "-s", path, "--json", copy)
            assert (status, err) == (0, "")
            made = json.loads(out)
            assert before <= made["records"] <= max(node.covered()) + 1
            before = max(node.covered())
            status, out, err = await call("export", "-s", path, "--node", NODE, archive)
            assert (status, err) == (0, "")
            assert f"{archive}: " in out
            with zipfile.ZipFile(archive) as file:
                exported = json.loads(file.read("manifest.json"))["records"]
            assert before <= exported
            covered = max(node.covered())
            assert covered > before  # receipts came all the while
            sending.cancel()
            status, _, err = await call("backup", "-s", path, copy)
            assert status == 2
            assert f"{copy} exists already" in err
        # the backup alone, without the post's settings, is enough to read
        status, out, _ = await call("export", "--journal", copy, "--json", tmp_path / "old.zip")
        assert (status, json.loads(out)["records"]) == (0, made["records"])

    asyncio.run(story())


def test_a_span_or_a_node_in_which_nothing_can_be_is_refused(tmp_path):
    connection = connect(tmp_path / "journal.sqlite")
    connection.execute("INSERT INTO nodes (node) VALUES ('lane-1')")
    connection.close()

    def export(**wanted):
        run_export(
            None,
            tmp_path / "journal.sqlite",
            tmp_path / "out.zip",
            Wanted(**wanted),
            as_json=True,
            console=Console(file=io.StringIO()),
        )

    with pytest.raises(JournalError, match="nothing of a node 'lane-l'"):
        export(nodes=("lane-1", "lane-l"))
    with pytest.raises(SettingsError, match=r"--since 1970-01-01T00:00:00.009.* is not before"):
        export(since_ms=9, until_ms=9)
    assert not (tmp_path / "out.zip").exists()
    export(nodes=("lane-1",), since_ms=8, until_ms=9)
    assert (tmp_path / "out.zip").exists()


def test_a_journal_that_is_not_there_is_told_and_none_is_made(tmp_path):
    def export(journal):
        console = Console(file=io.StringIO())
        run_export(None, journal, tmp_path / "out.zip", Wanted(), as_json=True, console=console)

    with pytest.raises(
        SettingsError, match=r"--journal .*nope: there is no such file; name a backup"
    ):
        export(tmp_path / "nope")
    with pytest.raises(SettingsError, match=r"it is a folder; name the file .*journal.sqlite"):
        export(tmp_path)
    (tmp_path / "letter").write_text("a letter")
    with pytest.raises(SettingsError, match="Not a directory"):
        export(tmp_path / "letter" / "nope")
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]
    (tmp_path / os.fsdecode(b"odd-\xff")).touch()
    with pytest.raises(SettingsError, match=r"odd-\\xff: SQLite opens no file .* copy it"):
        export(tmp_path / os.fsdecode(b"odd-\xff"))


def test_days_and_moments_are_understood_and_anything_else_is_refused():
    day = moment_ms("2026-11-22")
    assert moment_ms("2026-11-22", is_end=True) == day + DAY_MS
    assert moment_ms("2026-11-22T01:00", is_end=True) == day + DAY_MS // 24
    assert moment_ms("2026-11-22T01:00+01:00") == day
    assert moment_ms("") is None
    assert moment_ms("9999-12-31", is_end=True) is None  # no later day: to the end
    with pytest.raises(SettingsError, match="'yesterday' is no date"):
        moment_ms("yesterday")


@pytest.mark.parametrize("command", [["status"], ["export", "out.zip"], ["backup", "out.sqlite"]])
@pytest.mark.parametrize(
    "lay, said",
    [(lay_folder, "is no file; move it away"), (lay_link, "is not there; mount its disk")],
)
def test_what_is_no_file_is_told_as_what_it_is(tmp_path, command, lay, said):
    path = write_settings(tmp_path, 1883)
    journal = tmp_path / "state" / FILE_NAME
    journal.parent.mkdir(exist_ok=True)
    journal.touch()
    lay(journal)
    name, *rest = command
    arguments = [name, *(str(tmp_path / one) for one in rest), "--settings", str(path)]
    found = CliRunner().invoke(app, arguments)
    assert isinstance(found.exception, JournalError | SettingsError)
    assert said in str(found.exception)
