"""Goal: a support bundle helps, also of a post that is broken, and no secret is in it or elsewhere.

Method: a real gateway with words planted wherever a post keeps secrets: keys, people, passwords,
the way behind the authority's host, the environment, what officers scanned. Log, status, metrics
and bundle are then searched for each of them, plain and as they would look encoded.
"""

import asyncio
import base64
import json
import os
import subprocess
import sys
import urllib.parse
import zipfile

import msgspec
import pytest
import trustme

from gateway import settings
from gateway.errors import SettingsError
from gateway.observe import bundle
from gateway.observe.bundle import (
    ABOUT,
    FILES_MAX,
    HIDDEN,
    SETTINGS_SHOWN,
    collect,
    shown_settings,
)
from gateway.settings import Settings
from tests.gateway.ingest.test_judging import UREA
from tests.gateway.observe.test_metrics import another_port, scrape
from tests.gateway.running import NODE, Command, write_settings
from tests.gateway.scripted import connected

PLANTED = {
    place: f"s3cret-{place}-7d1f"
    for place in ("path", "query", "key", "authority", "people", "password", "environment", "scan")
}


def harmattan(*arguments):
    """Return exit status and everything that the command printed."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def unpack(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def betrayed(text):
    """Return the places whose words can be found in a text."""
    found = []
    for place, word in PLANTED.items():
        forms = (word, urllib.parse.quote(word), word.encode().hex(), repr(word)[1:-1])
        forms += (base64.b64encode(word.encode()).decode()[:-4],)
        if any(form in text for form in forms):
            found.append(place)
    return found


def plant(folder):
    """Write words into the files where a post keeps what nobody else may see."""
    state = folder / "state"
    state.mkdir()
    (state / "people.json").write_text(json.dumps([{"name": "x", "scrypt": PLANTED["people"]}]))
    (state / "broker.secret").write_text(json.dumps(["gateway", PLANTED["password"]]))
    authority = trustme.CA()
    leaf = authority.issue_cert("gateway")
    files = {
        "ca.pem": authority.cert_pem.bytes(),
        "ca-key.pem": PLANTED["authority"].encode() + b"\n",
        "gateway.pem": leaf.cert_chain_pems[0].bytes(),
        "gateway-key.pem": leaf.private_key_pem.bytes() + PLANTED["key"].encode() + b"\n",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.mark.timeout(200)
def test_no_secret_is_in_log_status_metrics_or_bundle(tmp_path, free_port, monkeypatch):
    monkeypatch.setenv("HARMATTAN_TOKEN", PLANTED["environment"])
    plant(tmp_path)
    metrics_port = another_port()
    url = f"http://127.0.0.1:1/{PLANTED['path']}?token={PLANTED['query']}"
    path = write_settings(
        tmp_path, free_port, url=url, more=f"[observe]\nmetrics_port = {metrics_port}\n"
    )

    async def story():
        async with Command(path) as post:
            await post.log.event("broker_connected")
            async with connected(free_port) as node:
                await node.be_born(next_seq=3)
                await node.measure_standard()
                await node.say(node.reading(1, pixels=UREA))
                await node.say(node.event(2, PLANTED["scan"].encode()))
                await post.log.event("alert_delivery_failed")
                await post.log.event("record_committed", seq=2)
                _, metrics = await scrape(metrics_port)
                status = await asyncio.to_thread(harmattan, "status", "-s", path)
                as_json = await asyncio.to_thread(harmattan, "status", "-s", path, "--json")
                bundle = tmp_path / "bundle.zip"
                code, printed = await asyncio.to_thread(harmattan, "bundle", "-s", path, bundle)
                assert code == 0, printed
            log = json.dumps(post.log.items) + "\n".join(post.rest)
        return log, metrics, status[1], as_json[1], printed, unpack(bundle)

    *others, parts = asyncio.run(story())
    for text in (*others, *parts.values()):
        assert not betrayed(text)
    # They would have been there: this is where the sentences with the address stand.
    log, _, status, *_ = others
    assert "authority http://127.0.0.1:1/... is not reached" in log
    assert "authority http://127.0.0.1:1/... is not reached" in status
    assert "authority http://127.0.0.1:1/... is not reached" in parts["status.txt"]
    assert json.loads(parts["settings.json"])["authority"]["url"] == "http://127.0.0.1:1/..."
    assert not [name for name in parts if "fault" in name and "doctor" not in name]
    assert json.loads(parts["figures.json"])["tallies"]["record"] == {NODE: 3}
    assert json.loads(parts["state.json"])["disk"]["state"] == "well"
    assert {"people.json", "broker.secret"} <= {
        entry["name"] for entry in json.loads(parts["files.json"])
    }
    assert "CREATE TABLE records" in parts["schema.sql"]
    for name in set(parts) - {"README.txt"}:
        assert name.removesuffix(".fault.txt") in ABOUT, f"{name} is not explained in README.txt"


def test_certificates_are_named_and_their_keys_are_not_read(tmp_path):
    plant(tmp_path)
    files = (
        'host = "127.0.0.1"\nca_file = "ca.pem"\ncertificate_file = "gateway.pem"\n'
        'key_file = "gateway-key.pem"\n'
    )
    path = write_settings(tmp_path, 18_883, more=f"[broker.nodes]\n{files}")
    told = collect(path)
    assert not betrayed("".join(told.values()))
    assert "PRIVATE KEY" not in "".join(told.values())
    nodes = json.loads(told["settings.json"])["broker"]["nodes"]
    assert nodes["key_file"] == str(tmp_path / "gateway-key.pem")
    # There is no journal yet: each part that needs it says so, the others are there.
    assert "does not exist" in told["counters.json.fault.txt"]
    assert "does not exist" in told["status.txt.fault.txt"]
    assert "python" in json.loads(told["versions.json"])


def test_a_post_with_wrong_settings_gives_what_there_is(tmp_path):
    path = tmp_path / "post.toml"
    path.write_text(f'post = "p"\n[authority]\nurl = ["{PLANTED["path"]}"]\n')
    told = collect(path)
    assert set(told) == {"README.txt", "versions.json", "machine.json", "settings.json.fault.txt"}
    assert not betrayed("".join(told.values()))


def test_a_post_that_cannot_be_read_gives_no_bundle(tmp_path):
    """It would be empty, and whoever helps would wait for another."""
    for path in (tmp_path, tmp_path / "none.toml"):
        with pytest.raises(SettingsError, match=f"settings {path}: "):
            bundle.run_bundle(path, tmp_path / "support.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_overwrites_nothing_and_is_for_nobody_else(tmp_path):
    path = write_settings(tmp_path, 18_883)
    target = tmp_path / "bundle.zip"
    assert harmattan("bundle", "-s", path, target)[0] == 0
    assert target.stat().st_mode & 0o777 == 0o600
    code, said = harmattan("bundle", "-s", path, target)
    assert (code, said) == (2, f"harmattan: {target} exists; name another file\n")


def leaves(found, key=""):
    """Yield every setting by its path."""
    if isinstance(found, dict):
        for name, value in found.items():
            yield from leaves(value, f"{key}.{name}".strip("."))
    elif isinstance(found, list | tuple):
        for value in found:
            yield from leaves(value, key)
    else:
        yield key


def test_a_setting_that_nobody_has_judged_is_not_shown(tmp_path):
    """Settings that come later may be secrets: they are named, and their values are not there."""
    loaded = settings.load(write_settings(tmp_path, 18_883))
    assert set(leaves(msgspec.to_builtins(loaded))) == SETTINGS_SHOWN

    class Later(Settings, frozen=True):
        token: str = PLANTED["key"]

    later = msgspec.convert(msgspec.to_builtins(loaded), Later)
    assert shown_settings(later)["token"] == HIDDEN
    assert shown_settings(later)["post"] == loaded.post


def test_a_folder_full_of_files_is_bounded(tmp_path):
    path = write_settings(tmp_path, 18_883)
    (tmp_path / "state").mkdir()
    for number in range(FILES_MAX + 50):
        (tmp_path / "state" / f"{number:04}").touch()
    assert len(json.loads(collect(path)["files.json"])) == FILES_MAX


def test_a_name_that_is_no_letters_costs_nothing(tmp_path, free_port):
    path = write_settings(tmp_path, free_port)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / os.fsdecode(b"odd-\xfe")).touch()
    code, said = harmattan("bundle", tmp_path / "b.zip", "-s", path)
    assert (code, "it holds no secret" in said) == (0, True), said
    parts = unpack(tmp_path / "b.zip")
    assert "odd-\\xfe" in {each["name"] for each in json.loads(parts["files.json"])}
    names = {name.removesuffix(".fault.txt") for name in parts}
    assert names >= {"settings.json", "status.json", "doctor.json", "machine.json", "figures.json"}


def test_a_disk_that_fills_leaves_no_bundle_that_is_none(tmp_path, free_port):
    path = write_settings(tmp_path, free_port)
    target = tmp_path / "b.zip"
    line = 'ulimit -f 1; exec "$0" -m gateway bundle "$1" -s "$2"'  # no file is longer than that
    done = subprocess.run(
        ["/bin/sh", "-c", line, sys.executable, str(target), str(path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"harmattan: {target}: File too large; choose another place\n"
    assert not target.exists()
    status, told = harmattan("bundle", target, "-s", path)
    assert status == 0, told
    assert unpack(target)
