"""Goal: `harmattan doctor` tells how a post is, in every state it may be in, and changes nothing.

Method: the real command and a real gateway: running, stopped, killed, with a database that is
missing or damaged. What lies in the folder before and after is compared byte by byte.
"""

import asyncio
import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import time

import msgspec
import pytest
from rich.console import Console

from gateway import cli, settings
from gateway.doctor.command import EXIT_STATUS, run
from gateway.doctor.examine import examine
from gateway.doctor.finding import Check, Found, Level, UntoldError, check, worst
from gateway.doctor.redaction import Redaction
from gateway.doctor.scene import look_at
from gateway.doctor.showing import SHOWN_MAX, report, show
from gateway.errors import SettingsError
from gateway.journal.store import FILE_NAME
from gateway.lock import is_running
from protocol.messages import Config
from simulators.headquarters import Headquarters
from tests.gateway.doctor.building import CHECKS, KEPT, say_alert
from tests.gateway.running import NODE, Command, write_settings
from tests.gateway.scripted import connected


def call(path, *options):
    """Return exit status, standard output and standard error of `harmattan doctor`."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "doctor", "--settings", str(path), *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def call_here(path, *options):
    """Do the same in this process, which has everything loaded."""
    printed, said, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["harmattan", "doctor", "--settings", str(path), *options]
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
            cli.main()
    except SystemExit as ended:
        return ended.code, printed.getvalue(), said.getvalue()
    finally:
        sys.argv = before
    raise AssertionError("typer always exits")


def told(post, **changes):
    """Return everything that is found, by check."""
    scene = look_at(
        settings.load(post.path),
        post.path,
        now_ms=post.at_ms,
        running=changes.get("running", False),
        machine=post.machine,
    )
    try:
        return examine(scene)
    finally:
        scene.journal.close()


def picture(folder):
    """Return name, size, time and digest of everything in a folder."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        entry = path.stat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (entry.st_size, entry.st_mtime_ns, entry.st_mode, digest)
    return found


def drawn(findings, **options):
    console = Console(file=io.StringIO(), width=120)
    show(report("post-1", 0, findings), console, **options)
    return console.file.getvalue()


def test_a_post_that_runs_well_is_told_to_be_well(tmp_path, free_port, make_machine):
    """Everything that was asked of a post at rest is asked again of one that works."""

    async def story():
        async with Headquarters(tmp_path / "headquarters") as headquarters:
            path = write_settings(tmp_path, free_port, url=headquarters.url)
            async with Command(path) as command, contextlib.AsyncExitStack() as stack:
                await command.log.event("broker_connected")
                for name in (NODE, "lane-2"):
                    node = await stack.enter_async_context(connected(free_port, name))
                    await node.heard.wait(lambda each: isinstance(each, Config))
                    await node.be_born()
                    await node.say_status(online=True)
                    await node.say_health()
                    await node.measure_standard()
                await command.log.event("calibration_made", 2)
                await command.log.event("library_noted")
                scene = look_at(
                    settings.load(path),
                    path,
                    now_ms=time.time_ns() // 1_000_000,
                    running=is_running(tmp_path / "state"),
                    machine=make_machine(tmp_path),
                )
                with contextlib.closing(scene.journal):
                    findings = await asyncio.to_thread(examine, scene)
                code, printed, said = await asyncio.to_thread(call, path, "--json")
                assert not command.log.events("broker_log")  # to look disturbs nobody
            return findings, code, json.loads(printed), said

    findings, code, printed, said = asyncio.run(story())
    unwell = {each.id: each.value for each in findings if each.level != Level.ok}
    # A scripted node confirms no config; nothing else is to be seen.
    assert set(unwell) == {"nodes.config"}, unwell
    assert {each.id for each in findings} == set(CHECKS)
    assert not said
    assert {each["id"] for each in printed["findings"]} == set(CHECKS)
    assert code == EXIT_STATUS[Level(printed["level"])] > 0
    found = {each["id"]: each for each in printed["findings"]}
    assert found["gateway.running"]["level"] == found["broker.ours"]["level"] == "ok"
    assert found["nodes.config"]["page"] == "harmattan docs doctor#nodes-config"
    assert sum(printed["counts"].values()) == len(printed["findings"])


@pytest.fixture(name="make_machine")
def _make_machine():
    from tests.gateway.doctor.conftest import make_machine  # noqa: PLC0415 - a fixture's module

    return make_machine


def kill(post):
    """Leave the journal as a killed gateway does: with its log."""
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom gateway.journal.store import connect\n"
        "c = connect(Path(sys.argv[1]))\n"
        "c.execute(\"INSERT INTO counters VALUES ('clock_set', '', 5)\")\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(post.state / FILE_NAME)], check=False)
    assert (post.state / f"{FILE_NAME}-wal").stat().st_size


def damage(post):
    (post.state / FILE_NAME).write_bytes(os.urandom(8_192))


def lose(post):
    (post.state / FILE_NAME).unlink()


def lose_folder(post):
    shutil.rmtree(post.state)


def rest(post):
    """Nothing happened to it."""


@pytest.mark.parametrize("happened", [rest, kill, damage, lose, lose_folder])
def test_nothing_is_written_whatever_is_found(well, happened):
    happened(well)
    before = picture(well.folder)
    found = {each.id: each for each in told(well)}
    assert picture(well.folder) == before
    assert set(found) <= set(CHECKS)
    assert (set(found) == set(CHECKS)) == (happened in {rest, kill})
    is_readable = happened in {rest, kill}
    assert (found["database.opens"].level == Level.ok) == is_readable
    assert ("nodes.calibration" in found) == is_readable  # else `database.opens` says it
    assert not [each for each in found.values() if "Error" in each.value]
    if happened is kill:  # what stands in the log only is seen
        assert found["clock.steps"].value == "set 5 times since the start"


def test_the_command_tells_a_damaged_database_without_a_traceback(well):
    damage(well)
    before = picture(well.folder)
    code, printed, said = call_here(well.path)
    assert (code, said) == (2, "")
    assert "database.opens: journal.sqlite: file is not a database" in printed
    assert "harmattan docs doctor#database-opens" in printed
    assert picture(well.folder) == before


def test_settings_that_are_wrong_are_one_sentence(tmp_path):
    code, printed, said = call_here(tmp_path / "post.toml")
    assert (code, printed) == (2, "")
    assert said.startswith("harmattan: settings ")


@pytest.mark.parametrize("name", ["state", "state/gateway.lock"])
def test_a_user_who_may_not_look_is_told_so(well, name):
    """Nothing is missing only because somebody else may not see it."""
    loaded = settings.load(well.path)
    (well.state / "gateway.lock").touch()
    (well.folder / name).chmod(0o000)
    opened = [each for each in well.folder.parents if each.stat().st_uid == os.geteuid()]
    modes = {each: each.stat().st_mode for each in opened}
    user = os.geteuid()
    for each, mode in modes.items():
        each.chmod(mode | 0o055)
    try:
        if user == 0:
            os.seteuid(65_534)
        with pytest.raises(SettingsError, match="this user may not look there; run the doctor as"):
            run(
                loaded,
                well.path,
                as_json=True,
                everything=False,
                rehearse=False,
                console=Console(),
            )
    finally:
        os.seteuid(user)
        for each, mode in modes.items():
            each.chmod(mode)
        (well.folder / name).chmod(0o700)


SECRETS = ("s3cretPath", "t0ken-of-the-query", "people-marker", "broker-marker")


def test_no_secret_is_told(well):
    url = f"http://127.0.0.1:{well.ports[2]}/hooks/{SECRETS[0]}?key={SECRETS[1]}"
    well.write_settings(url=url)
    for name, text in (("people.json", SECRETS[2]), ("broker.secret", SECRETS[3])):
        (well.state / name).write_text(text)
        (well.state / name).chmod(0o644)
    well.state.chmod(0o755)
    fault = f"authority {url} is not reached: no route; key {SECRETS[1]}\x1b[31m"
    well.change(lambda c: say_alert(c, well.at_ms, attempts=3, fault=fault))
    findings = told(well)
    text = msgspec.json.encode(findings).decode() + drawn(findings, everything=True)
    code, printed, said = call_here(well.path, "--json")
    text += printed + said
    assert code == 2
    assert f"http://127.0.0.1:{well.ports[2]}/... is not reached" in text
    keys = [line for path in well.keys.rglob("*key*.pem") for line in path.read_text().split("\n")]
    for secret in (*SECRETS, *(line for line in keys if len(line) > 30 and "-----" not in line)):
        assert secret not in text
    assert "\x1b" not in msgspec.json.encode(findings).decode()


def test_a_text_without_secrets_stays_as_it_is(well):
    redact = Redaction(settings.load(well.path))
    assert redact("1 alerts wait at a/b?c") == "1 alerts wait at a/b?c"
    assert redact("x" * 5_000) == "x" * 597 + "..."


def test_the_exit_status_is_that_of_the_worst():
    def level(*names):
        return EXIT_STATUS[worst([finding(name) for name in names])]

    assert [level("ok"), level("ok", "look"), level("look", "unknown"), level("bad")] == [
        0,
        1,
        2,
        2,
    ]
    assert level("unknown", "bad") == 2
    assert worst([finding("unknown"), finding("bad")]) == Level.bad


def finding(level, name="nodes.fault", about=""):
    from gateway.doctor.finding import Finding  # noqa: PLC0415 - one test's

    subject = name.partition(".")[0]
    return Finding(name, subject, about, level, "value", "cause", "remedy", "page")


def test_the_screen_is_short_when_all_is_well_and_bounded_when_nothing_is(well):
    findings = [finding("ok", name) for name in CHECKS]
    assert len(drawn(findings).splitlines()) == 11  # a head, and a line for each subject
    assert len(drawn(findings, everything=True).splitlines()) == 11 + len(CHECKS)
    many = [finding("bad", about=f"lane-{number}") for number in range(500)]
    text = drawn(many)
    assert text.count("remedy") == SHOWN_MAX
    assert "nodes.fault: 492 more; --json has all" in text
    same = [finding("unknown", name) for name in ("clock.nodes", "clock.steps")]
    assert "clock.nodes, clock.steps: " in " ".join(drawn(same).split())
    lose(well)
    text = " ".join(drawn(told(well)).split())
    assert text.count("there is no such file") == 1  # not for each check that needs it
    assert "database.opens: journal.sqlite: there is no such file" in text


def test_a_check_that_fails_itself_stops_no_other(well):
    def untold(_):
        raise UntoldError("it is not there", "put it there")

    def broken(_):
        raise PermissionError(13, "Permission denied", "/x")

    scene = look_at(settings.load(well.path), well.path, now_ms=0, running=False, machine=KEPT)
    with contextlib.closing(scene.journal):
        found = examine(
            scene,
            [
                Check("clock.a", "cause", "remedy", untold),
                Check("clock.b", "cause", "remedy", broken),
                Check("clock.c", "cause", "remedy", lambda _: Found(Level.ok, "well")),
            ],
        )
    assert [each.level for each in found] == ["unknown", "unknown", "ok"]
    assert (found[0].value, found[0].remedy) == ("it is not there", "put it there")
    assert "Permission denied" in found[1].value


def test_two_checks_cannot_have_one_name():
    with pytest.raises(ValueError, match="there twice"):
        check("clock.edition", cause="", remedy="")(lambda _: [])
