"""Goal: whatever keeps a post from running is found before it runs, each in its own sentence.

Method: a post that the command made, spoilt in one thing at a time; the broker is the real one,
with the real files.
"""

import datetime as dt
import errno
import json
import os
import shutil
import socket
import subprocess
import sys

import apsw
import pytest
import trustme

from gateway import certificates, cli, people, settings
from gateway.certificates import issue, load_pair, make_authority
from gateway.errors import SettingsError
from gateway.lock import locked
from gateway.starting import check_broker
from gateway.starting.check import check
from gateway.starting.init import Answers, make_post
from tests.gateway.doctor.breaking import lay_folder, lay_link
from tests.gateway.starting.test_init import AS_NOBODY

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A post that is well; its listener for nodes is on."""
    folder = tmp_path_factory.mktemp("good") / "p"
    make_post(folder, Answers("p", nodes=("lane-1",), listen="127.0.0.1"), NOW)
    return folder


@pytest.fixture
def folder(good, tmp_path):
    return shutil.copytree(good, tmp_path / "p")


def authority_of(folder):
    return load_pair(folder / "keys/ca.pem", folder / "keys/ca-key.pem")


def replace_gateway(folder, pair):
    (folder / "keys/gateway.pem").write_bytes(pair.certificate_pem())
    (folder / "keys/gateway-key.pem").write_bytes(pair.key_pem())


def edit(folder, old, new):
    path = folder / "post.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def other_key(folder):
    other = issue(authority_of(folder), "x", NOW, hosts=("h",))
    (folder / "keys/gateway-key.pem").write_bytes(other.key_pem())


def foreign(folder):
    replace_gateway(folder, issue(make_authority("o", NOW), "g", NOW, hosts=("127.0.0.1",)))


def nameless(folder):
    """It is for the address, and not for the name that nodes may go by."""
    replace_gateway(folder, issue(authority_of(folder), "g", NOW, hosts=("127.0.0.1",)))


def external(folder, **files):
    """Have the post use a broker of somebody else's, with these files."""
    text = (folder / "post.toml").read_text()
    begin, end = text.index("[broker]"), text.index("[broker.nodes]")
    lines = [f'{name} = "{path}"\n' for name, path in files.items()]
    broker = f'[broker]\nexternal = true\nhost = "127.0.0.1"\n{"".join(lines)}\n'
    text = text[:begin] + broker + text[end:]
    listening = 'host = "127.0.0.1"           # empty'
    assert listening in text
    (folder / "post.toml").write_text(text.replace(listening, 'host = "" #'))


def external_with(key):
    return lambda folder: external(
        folder,
        ca_file="keys/ca.pem",
        certificate_file="keys/gateway.pem",
        key_file=f"keys/{key}",
    )


def expired(folder):
    old = NOW - dt.timedelta(days=90)
    pair = issue(authority_of(folder), "g", old, hosts=("127.0.0.1",), days=30)
    replace_gateway(folder, pair)


def not_yet(folder):
    later = NOW + dt.timedelta(days=3)
    replace_gateway(
        folder, issue(authority_of(folder), "g", NOW, hosts=("127.0.0.1",), since=later)
    )


def as_client(folder):
    replace_gateway(folder, issue(authority_of(folder), "g", NOW))


def foreign_crl(folder):
    (folder / "keys/crl.pem").unlink()
    certificates.write_crl(folder / "keys/crl.pem", make_authority("harmattan p", NOW), {}, NOW)


def crl_of_itself(folder):
    serial = certificates.load_certificate(folder / "keys/gateway.pem").serial_number
    certificates.write_crl(folder / "keys/crl.pem", authority_of(folder), {serial: NOW}, NOW)


def later_journal(folder):
    connection = apsw.Connection(str(folder / "state/journal.sqlite"))
    connection.pragma("user_version", 99)
    connection.close()


FAULTS = {
    "settings": (lambda p: edit(p, "port = 18883", "port = 0"), "settings", "broker.port = 0: use"),
    "a standard that is none": (
        lambda p: edit(p, '"polystyrene"', '"chalk"'),
        "settings",
        "nodes[0].standard = 'chalk' is none",
    ),
    "an open key": (
        lambda p: (p / "keys/gateway-key.pem").chmod(0o640),
        "modes",
        "gateway-key.pem can be read by others (mode 0640); chmod 0600",
    ),
    "an open authority": (
        lambda p: (p / "keys/ca-key.pem").chmod(0o604),
        "modes",
        "ca-key.pem can be read by others (mode 0604)",
    ),
    "open people": (
        lambda p: (p / "state/people.json").chmod(0o644),
        "modes",
        "people.json can be read by others",
    ),
    "an open folder": (lambda p: p.chmod(0o777), "modes", "can be written by others (mode 0777)"),
    "a key of another": (other_key, "certificates", "gateway-key.pem does not belong to"),
    "no key": (
        lambda p: (p / "keys/gateway-key.pem").unlink(),
        "certificates",
        "gateway-key.pem: No such file or directory; put it back",
    ),
    "a foreign certificate": (foreign, "certificates", "is not signed by the authority beside it"),
    "a certificate without the post's name": (
        nameless,
        "certificates",
        "gateway.pem is not for gateway.p, so nodes that go by this name",
    ),
    "no key for an external broker": (
        external_with("none.pem"),
        "certificates",
        "key_file",
    ),
    "another key for an external broker": (
        external_with("ca-key.pem"),
        "certificates",
        "key values mismatch",
    ),
    "an old certificate": (expired, "certificates", "gateway.pem has expired on"),
    "an early certificate": (not_yet, "certificates", "gateway.pem is valid from"),
    "a client's certificate": (as_client, "certificates", "names no host, so no node accepts it"),
    "another authority's key": (
        lambda p: (p / "keys/ca-key.pem").write_bytes(make_authority("o", NOW).key_pem()),
        "certificates",
        "ca-key.pem does not belong to",
    ),
    "no list": (
        lambda p: (p / "keys/crl.pem").unlink(),
        "certificates",
        "crl.pem: No such file or directory",
    ),
    "no such list": (
        lambda p: (p / "keys/crl.pem").write_text("x"),
        "certificates",
        "is no list of revoked certificates",
    ),
    "a foreign list": (
        foreign_crl,
        "certificates",
        "crl.pem is not signed by this post's authority",
    ),
    "a list with itself": (crl_of_itself, "certificates", "revokes the broker's own certificate"),
    "a file of another authority": (
        lambda p: edit(p, '\n[authority]\nurl = ""', '\n[authority]\nca_file = "x.pem"\nurl = ""'),
        "settings",
        "not valid TOML",
    ),
    "a database of tomorrow": (later_journal, "database", "has schema version 99"),
    "a database that is none": (
        lambda p: (p / "state/journal.sqlite").write_bytes(b"x" * 9_999),
        "database",
        "the file is damaged",
    ),
    "a folder for a database": (
        lambda p: lay_folder(p / "state/journal.sqlite"),
        "database",
        "is no file; move it away",
    ),
    "a database on a disk that is away": (
        lambda p: lay_link(p / "state/journal.sqlite"),
        "database",
        "which is not there; mount its disk",
    ),
    "people that are none": (
        lambda p: (p / "state/people.json").write_text("[]"),
        "people",
        "people.json: ",
    ),
    "people without administrator": (
        lambda p: (p / "state/people.json").write_bytes(people.encode(())),
        "people",
        "names no administrator",
    ),
    "a list of nodes that is none": (
        lambda p: (p / "state/nodes.toml").write_text("[nodes"),
        "nodes",
        "nodes.toml: ",
    ),
    "an address that is not ours": (
        lambda p: edit(p, 'host = "127.0.0.1"           # empty', 'host = "192.0.2.10" #'),
        "broker",
        "broker.nodes.host = '192.0.2.10' is no address of this computer now: ",
    ),
    "no broker": (
        lambda p: edit(p, 'program = "mosquitto"', 'program = "mosquito"'),
        "broker",
        "broker program 'mosquito' is not on PATH",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found(folder, name, monkeypatch):
    spoil, subject, words = FAULTS[name]
    spoil(folder)
    # The broker's own part has its own tests below; it takes most of the time.
    if subject != "broker":
        monkeypatch.setattr("gateway.starting.check.check_broker", lambda *_: iter(()))
    found = [one for one in check(folder, NOW).found if one.is_fault]
    assert any(one.subject == subject and words in one.text for one in found), found
    for one in found:
        assert "\n" not in one.text


def test_advice_is_no_fault(folder, monkeypatch):
    monkeypatch.setattr("gateway.starting.check.check_broker", lambda *_: iter(()))
    (folder / "state/journal.sqlite").unlink()
    (folder / "state/people.json").unlink()
    edit(folder, 'host = "127.0.0.1"           # empty', 'host = "127.0.0.2" #')
    edit(folder, "[[nodes]]                    # one", "[x] #")
    report = check(folder, NOW)
    assert not report.is_well  # [x] is no setting
    edit(folder, "[x] #", "[[nodes]] #")
    report = check(folder, NOW + dt.timedelta(days=1_800))
    assert report.is_well
    said = "\n".join(one.text for one in report.found)
    for words in (
        "gateway.pem expires on",
        "is not for broker.nodes.host = '127.0.0.2'",
        "journal.sqlite does not exist; `harmattan run` makes a new one",
        "nobody administers this post",
        "ca-key.pem makes any node: keep it apart",
    ):
        assert words in said


def test_an_external_broker_is_not_asked(folder):
    """Nothing is started, and that is said."""
    text = (folder / "post.toml").read_text()
    begin, end = text.index("[broker]"), text.index("[[nodes]]")
    broker = '[broker]\nexternal = true\nhost = "127.0.0.1"\n\n'
    (folder / "post.toml").write_text(text[:begin] + broker + text[end:])
    report = check(folder, NOW)
    assert report.is_well
    (told,) = [one.text for one in report.found if one.subject == "broker"]
    assert "is external and was not asked" in told


def test_an_external_broker_may_have_any_kind_of_key_and_another_authority(folder, tmp_path):
    """Whoever runs it has made them; what lies there for a broker of our own does not matter."""
    leaf = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert("client")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "key.pem").chmod(0o600)
    names = {"ca_file": "ca", "certificate_file": "certificate", "key_file": "key"}
    external(folder, **{key: tmp_path / f"{name}.pem" for key, name in names.items()})
    (folder / "keys/gateway-key.pem").write_text("x")
    told = [one for one in check(folder, NOW).found if one.is_fault]
    assert told == []
    told = check(folder, NOW + dt.timedelta(days=365_000)).found
    assert any("have it made anew by who runs the broker" in one.text for one in told)


def test_a_port_that_another_program_has_is_told(folder):
    """It may have gone when the post starts; while the post runs its own broker has it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        edit(folder, "port = 18883", f"port = {port}")
        (found,) = check_broker._check_ports(settings.load(folder / "post.toml"))
        assert f"broker.port {port} on 127.0.0.1 cannot be used: Address already" in found.text
        assert not found.is_fault
        with locked(folder / "state"):
            assert not list(check_broker._check_ports(settings.load(folder / "post.toml")))


def test_nobody_blames_root_for_a_broker_that_was_not_started(folder, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    edit(folder, 'program = "mosquitto"', 'program = "mosquito"')
    (found,) = check_broker.check_broker(settings.load(folder / "post.toml"))
    assert "is not on PATH" in found.text
    assert "nobody" not in found.text


def test_what_a_killed_init_has_left_is_named(folder, monkeypatch):
    monkeypatch.setattr("gateway.starting.check.check_broker", lambda *_: iter(()))
    left = folder.with_name(".harmattan-init-x")
    left.mkdir()
    report = check(folder, NOW)
    assert report.is_well
    assert any(one.text.startswith(f"{left} was left by an init") for one in report.found)


def test_a_post_of_another_user_is_not_called_none(folder, monkeypatch):
    def refuse(path, *_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(SettingsError, match=r"post\.toml: Permission denied; ") as caught:
        check(folder, NOW)
    assert "init" not in str(caught.value)


def run_check(folder, *arguments):
    done = subprocess.run(
        [*AS_NOBODY, sys.executable, "-m", "gateway", "init", "--check", folder, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_looking_changes_nothing(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    check(folder, NOW)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_directory_that_is_a_file_is_named(folder):
    edit(folder, 'directory = "state"', 'directory = "post.toml"')
    told = [one.text for one in check(folder, NOW).found if one.is_fault]
    assert f"directory = {folder}/post.toml is a file; name a folder in the settings" in told


def test_the_command_says_so_by_its_status(folder):
    code, printed, said = run_check(folder, "--json")
    report = json.loads(printed)
    assert (code, said, report["is_well"]) == (0, "", True)
    assert "broker" in report["checked"]
    assert {one["is_fault"] for one in report["found"]} == {False}
    foreign_crl(folder)
    (folder / "keys/gateway-key.pem").chmod(0o644)
    code, printed, _ = run_check(folder)
    assert code == 1
    assert "modes: " in printed
    assert printed.splitlines()[-1].endswith(": 2 to mend")
    shutil.rmtree(folder)
    code, _, said = run_check(folder)
    assert code == 2
    assert f"{folder}/post.toml does not exist, so {folder} is no post" in said
    assert "Traceback" not in said


def test_what_the_broker_itself_cannot_use_is_told(folder):
    """Nothing else here reads them as OpenSSL within the broker does."""
    (folder / "keys/crl.pem").write_text("x")
    code, printed, _ = run_check(folder)
    assert code == 1
    assert "broker: broker on 127.0.0.1:" in printed
    assert (
        f"the broker cannot use {folder}/keys/crl.pem (broker.nodes.crl_file): it is damaged"
        in printed
    )
    assert "`harmattan nodes crl` writes it anew" in printed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's broker becomes another user")
def test_root_is_told_why_its_broker_reads_nothing(folder):
    (broker,) = [one for one in check(folder, NOW).found if one.subject == "broker"]
    assert "started by root it became `nobody`" in broker.text


def test_a_folder_without_settings_is_no_post(tmp_path):
    with pytest.raises(SettingsError, match="is no post; `harmattan init"):
        check(tmp_path, NOW)


def test_the_command_is_at_hand(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["harmattan", "init", "--help"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert "--check" in capsys.readouterr().out
