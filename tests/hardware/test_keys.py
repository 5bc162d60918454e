"""Goal: the keys of a post are made in one step, fit together, and are never overwritten.

Method: the program itself in temporary folders; the certificates are verified by another library's
rules (OpenSSL through `ssl`) over a socket pair, and read back with `cryptography`.
"""

import datetime as dt
import os
import re
import shutil
import socket
import ssl
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway import certificates, cli
from hardware import keys

CALENDAR = Path(__file__).resolve().parents[2] / "firmware/node/calendar.py"

BUILT_MS = int(re.search(r"BUILT_MS = ([\d_]+)", CALENDAR.read_text())[1])
NOW = dt.datetime.now(dt.UTC)


def make(folder, *arguments):
    return keys.main([str(folder), "--post", "post1", *arguments])


def shake_hands(folder, certificate, key, name):
    """Connect a client with `certificate` to the gateway's; return the client's common name."""
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
    served.load_cert_chain(folder / "gateway.pem", folder / "gateway-key.pem")
    served.verify_mode = ssl.CERT_REQUIRED
    asking = ssl.create_default_context(cafile=folder / "ca.pem")
    asking.load_cert_chain(certificate, key)
    left, right = socket.socketpair()
    seen = []

    def serve():
        try:
            with served.wrap_socket(left, server_side=True) as stream:
                seen.append(stream.getpeercert()["subject"][0][0][1])
                stream.sendall(b"x")
        except ssl.SSLError as error:
            seen.append(error)
            left.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with asking.wrap_socket(right, server_hostname=name) as stream:
            stream.recv(1)
    finally:
        right.close()
        thread.join(timeout=10)
    return seen[0]


def as_pem(folder, place):
    """Return paths of a node's certificate and key as PEM, which `ssl` wants."""
    certificate = place / "node.der"
    paths = folder / "node.pem", folder / "node-key.pem"
    paths[0].write_text(ssl.DER_cert_to_PEM_cert(certificate.read_bytes()))
    key = serialization.load_der_private_key((place / "node-key.der").read_bytes(), None)
    paths[1].write_bytes(keys.Pair(None, key).key_pem())
    return paths


def test_node_and_gateway_know_each_other(tmp_path, capsys):
    folder = tmp_path / "keys"
    assert make(folder, "--host", "127.0.0.1", "lane1") == 0
    assert "copy to the folder `keys`" in capsys.readouterr().out
    pem = as_pem(tmp_path, folder / "nodes" / "lane1")
    assert shake_hands(folder, *pem, "127.0.0.1") == "lane1"
    assert shake_hands(folder, *pem, "gateway.post1") == "lane1"
    with pytest.raises(ssl.SSLCertVerificationError, match=r"doesn't match|mismatch"):
        shake_hands(folder, *pem, "other.post1")


def test_a_renewed_certificate_is_still_for_the_name_that_nodes_go_by(tmp_path):
    """As docs/gateway.md has it done: moved away, and made again with an address only."""
    folder = tmp_path / "keys"
    assert make(folder, "--host", "10.0.0.1", "lane1") == 0
    for name in ("gateway.pem", "gateway-key.pem"):
        (folder / name).rename(tmp_path / name)
    assert make(folder, "--host", "127.0.0.1", "--host", "gateway.post1") == 0
    pem = as_pem(tmp_path, folder / "nodes" / "lane1")
    for name in ("gateway.post1", "127.0.0.1"):
        assert shake_hands(folder, *pem, name) == "lane1"
    certificate = certificates.load_certificate(folder / "gateway.pem")
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["gateway.post1", "127.0.0.1"]


def hosts(folder):
    return certificates.hosts_of(certificates.load_certificate(folder / "gateway.pem"))


def test_an_ending_certificate_of_the_broker_is_renewed(tmp_path, capsys):
    """The key stays: one file changes, so no kill leaves a certificate without its key."""
    folder = tmp_path / "keys"
    assert make(folder, "--host", "10.0.0.1", "--host", "127.0.0.1", "lane1") == 0
    path, key = folder / "gateway.pem", (folder / "gateway-key.pem").read_bytes()
    authority = certificates.load_pair(folder / "ca.pem", folder / "ca-key.pem")
    pair = certificates.load_pair(path, folder / "gateway-key.pem")
    ending = certificates.issue(
        authority, "gateway.post1", NOW, hosts=hosts(folder), days=20, key=pair.key
    )
    path.write_bytes(ending.certificate_pem())
    capsys.readouterr()
    assert make(folder) == 0  # as it was until it is asked for, and says so
    assert path.read_bytes() == ending.certificate_pem()
    assert "is as it was; --renew" in capsys.readouterr().out
    assert make(folder, "--renew") == 0
    assert "new; restart the gateway" in capsys.readouterr().out
    renewed = certificates.load_certificate(path)
    assert renewed.not_valid_after_utc - NOW > dt.timedelta(days=1_800)
    assert hosts(folder) == ("gateway.post1", "10.0.0.1", "127.0.0.1")
    assert (folder / "gateway-key.pem").read_bytes() == key
    pem = as_pem(tmp_path, folder / "nodes" / "lane1")
    assert shake_hands(folder, *pem, "127.0.0.1") == "lane1"


def test_a_host_that_the_certificate_is_not_for_is_never_dropped_silently(tmp_path, capsys):
    folder = tmp_path / "keys"
    assert make(folder, "--host", "10.0.0.1") == 0
    before = (folder / "gateway.pem").read_bytes()
    assert make(folder, "--host", "10.0.0.2", "lane1") == 2
    assert "is for gateway.post1, 10.0.0.1, not for 10.0.0.2; --renew" in capsys.readouterr().err
    assert (folder / "gateway.pem").read_bytes() == before
    assert not (folder / "nodes").exists()
    assert make(folder, "--host", "10.0.0.1", "--host", "Gateway.post1", "lane1") == 0
    assert make(folder, "--host", "fd00::2", "--renew") == 0
    assert hosts(folder) == ("gateway.post1", "fd00::2")
    assert make(folder, "--host", "fd00:0::2") == 0


def test_a_damaged_pair_of_the_broker_is_renewed_with_a_new_key(tmp_path, capsys):
    folder = tmp_path / "keys"
    assert make(folder, "--host", "127.0.0.1", "lane1") == 0
    pem = as_pem(tmp_path, folder / "nodes" / "lane1")
    (folder / "gateway-key.pem").write_bytes(b"no key")
    assert make(folder, "--renew") == 0
    assert shake_hands(folder, *pem, "127.0.0.1") == "lane1"
    assert (folder / "gateway-key.pem").stat().st_mode & 0o777 == 0o600
    (folder / "gateway.pem").write_bytes(b"no certificate")
    assert make(folder, "--renew") == 2
    assert "give every --host" in capsys.readouterr().err
    assert make(folder, "--renew", "--host", "127.0.0.1") == 0
    assert shake_hands(folder, *pem, "127.0.0.1") == "lane1"


def test_a_node_of_another_post_is_not_known(tmp_path):
    assert make(tmp_path / "a", "--host", "127.0.0.1", "lane1") == 0
    assert make(tmp_path / "b", "--host", "127.0.0.1", "lane1") == 0
    foreign = as_pem(tmp_path, tmp_path / "b" / "nodes" / "lane1")
    try:
        seen = shake_hands(tmp_path / "a", *foreign, "127.0.0.1")
    except (ssl.SSLError, ConnectionError):
        return
    assert isinstance(seen, ssl.SSLError)


def test_secrets_are_readable_by_their_owner_only(tmp_path):
    assert make(tmp_path / "keys", "--host", "127.0.0.1", "lane1") == 0
    secrets = list((tmp_path / "keys").rglob("*-key.*"))
    assert len(secrets) == 3
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}


def test_more_nodes_come_under_the_same_authority_and_nothing_is_overwritten(tmp_path, capsys):
    folder = tmp_path / "keys"
    assert make(folder, "--host", "127.0.0.1", "lane1") == 0
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert make(folder, "lane2") == 0
    assert make(folder, "lane1") == 2
    assert "lane1 exists; remove it" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before
    pem = as_pem(tmp_path, folder / "nodes" / "lane2")
    assert shake_hands(folder, *pem, "127.0.0.1") == "lane2"


def test_certificates_are_bounded_in_time_size_and_use(tmp_path):
    authority = keys.make_authority("a", NOW)
    pair = keys.issue(authority, "lane1", NOW)
    assert len(pair.certificate_der()) < 700  # a node takes 2048 bytes
    assert len(pair.key_der()) < 200
    assert pair.certificate.not_valid_before_utc.timestamp() * 1_000 < BUILT_MS
    lasts = pair.certificate.not_valid_after_utc - NOW
    assert dt.timedelta(days=1_800) < lasts < dt.timedelta(days=1_830)
    usage = pair.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_clock_that_has_lost_its_time_finds_every_certificate_valid(tmp_path):
    """Or neither the broker nor a node would take a connection until somebody sets the clock."""
    folder = tmp_path / "keys"
    assert make(folder, "--host", "127.0.0.1", "lane1") == 0
    crl = certificates.load_crl(folder / "crl.pem")
    begins = [
        certificates.load_certificate(folder / name).not_valid_before_utc
        for name in ("ca.pem", "gateway.pem", "nodes/lane1/node.der")
    ]
    assert {moment.timestamp() for moment in (*begins, crl.last_update_utc)} == {0}


def test_keys_made_by_such_a_clock_are_still_valid_when_it_is_set(tmp_path, monkeypatch):
    lost = SimpleNamespace(now=lambda zone: dt.datetime(2000, 1, 31, tzinfo=zone))
    monkeypatch.setattr(keys, "dt", SimpleNamespace(datetime=lost, UTC=dt.UTC))
    assert make(tmp_path, "--host", "127.0.0.1", "lane1") == 0
    monkeypatch.undo()
    for name in ("ca.pem", "gateway.pem", "nodes/lane1/node.der"):
        ends = certificates.load_certificate(tmp_path / name).not_valid_after_utc
        assert ends.timestamp() * 1_000 > BUILT_MS
    pem = as_pem(tmp_path, tmp_path / "nodes" / "lane1")
    assert shake_hands(tmp_path, *pem, "127.0.0.1") == "lane1"


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["lane1"], "--host is missing"),
        (["--host", "127.0.0.1", "Lane 1"], "a-z, 0-9 and -"),
        (["--host", "127.0.0.1", "../lane1"], "a-z, 0-9 and -"),
        (["--host", "1.2.3.4:8883", "lane1"], "--host '1.2.3.4:8883': use one host's name"),
        (["--host", "a,b", "lane1"], "give --host again"),
        (["--host", "*", "lane1"], "use one host's name"),
        (["--host", "256.1.1.1", "lane1"], "use one host's name"),
        (["--host", "gw-", "lane1"], "use one host's name"),
        (["--host", "gw..hut", "lane1"], "use one host's name"),
    ],
)
def test_what_cannot_be_made_is_named(tmp_path, capsys, arguments, said):
    assert make(tmp_path / "keys", *arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("host", ["gw", "GW-1.hut.example", "10.0.0.1", "fd00::1", "3com.example"])
def test_a_host_is_a_name_or_an_address(host):
    certificates.check_host(host)


def test_an_authority_that_is_not_whole_is_named(tmp_path, capsys):
    folder = tmp_path / "keys"
    assert make(folder, "--host", "127.0.0.1", "lane1") == 0
    (folder / "ca-key.pem").write_bytes(keys.make_authority("b", NOW).key_pem())
    assert make(folder, "lane2") == 2
    assert "does not belong to" in capsys.readouterr().err
    (folder / "ca-key.pem").unlink()
    assert make(folder, "lane2") == 2
    assert "put the authority's key back" in capsys.readouterr().err


@pytest.mark.parametrize("left", ["crl.pem", "gateway.pem", "issued", "nodes", "ca-key.pem"])
def test_no_second_authority_is_made_over_a_living_post(tmp_path, capsys, left):
    """A pair that was put away together would lock every node out, and forget whom it revoked."""
    folder = tmp_path / "keys"
    assert make(folder, "--host", "127.0.0.1", "lane1") == 0
    for path in sorted(folder.iterdir()):
        if path.name != left:
            path.rename(tmp_path / path.name)
    before = sorted(folder.rglob("*"))
    capsys.readouterr()
    assert make(folder, "--host", "127.0.0.1", "lane2") == 2
    said = capsys.readouterr().err
    assert f"ca.pem is missing, and {left} is there: put back ca.pem" in said
    assert sorted(folder.rglob("*")) == before
    for name in ("ca.pem", "ca-key.pem"):
        if not (folder / name).exists():
            (tmp_path / name).rename(folder / name)
    assert make(folder, "--host", "127.0.0.1", "lane2") == 0


def test_the_name_of_another_post_changes_nothing(tmp_path, capsys):
    folder = tmp_path / "keys"
    assert make(folder, "--host", "10.0.0.1") == 0
    before = (folder / "gateway.pem").read_bytes()
    assert keys.main([str(folder), "--post", "post2", "--renew", "--host", "10.0.0.1"]) == 2
    assert "is the authority of post1; give that post's name" in capsys.readouterr().err
    assert (folder / "gateway.pem").read_bytes() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_keys_made_by_root_are_of_whom_the_folder_is(tmp_path):
    folder = tmp_path / "keys"
    folder.mkdir()
    os.chown(folder, 4_242, 4_242)
    assert make(folder, "--host", "127.0.0.1", "lane1") == 0
    assert {path.stat().st_uid for path in folder.rglob("*")} == {4_242}


def test_what_was_issued_can_be_revoked_later(tmp_path):
    """The node's folder is moved to the node; what a revocation needs stays."""
    assert make(tmp_path, "--host", "127.0.0.1", "lane1", "lane2") == 0
    given = certificates.load_certificate(tmp_path / "nodes" / "lane1" / "node.der")
    assert certificates.issued_to(tmp_path, "lane1") == ([given], [])
    shutil.rmtree(tmp_path / "nodes")
    assert certificates.issued_to(tmp_path, "lane1") == ([given], [])
    assert make(tmp_path, "lane1") == 0
    assert len(certificates.issued_to(tmp_path, "lane1")[0]) == 2
    assert len(certificates.issued_to(tmp_path, "lane2")[0]) == 1
    assert certificates.issued_to(tmp_path, "lane") == ([], [])


def test_a_new_authority_has_revoked_nobody(tmp_path):
    assert make(tmp_path, "--host", "127.0.0.1") == 0
    crl = certificates.load_crl(tmp_path / "crl.pem")
    authority = certificates.load_certificate(tmp_path / "ca.pem")
    assert len(crl) == 0
    assert crl.is_signature_valid(authority.public_key())
    assert crl.next_update_utc == authority.not_valid_after_utc  # or all nodes were out one day
    assert crl.last_update_utc.timestamp() * 1_000 < BUILT_MS  # by a clock that lost its time


def test_each_list_has_a_higher_number(tmp_path):
    assert make(tmp_path, "--host", "127.0.0.1") == 0
    path, pair = tmp_path / "crl.pem", keys._authority(tmp_path, "post1", NOW)
    for number in (2, 3):
        certificates.write_crl(path, pair, {17: NOW}, NOW)
        found = certificates.load_crl(path)
        assert certificates.crl_number(found) == number
        assert [entry.serial_number for entry in found] == [17]
    path.write_text("none")
    with pytest.raises(keys.KeysError, match="no list of revoked certificates"):
        certificates.write_crl(path, pair, {}, NOW)


@pytest.mark.parametrize("name", ["ca.pem", "gateway.pem", "gateway-key.pem"])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN X", b"0" * (5 << 20)])
def test_a_file_that_cannot_be_used_is_named(tmp_path, name, content):
    assert make(tmp_path, "--host", "127.0.0.1") == 0
    path = tmp_path / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(keys.KeysError, match=str(path)):
        certificates.load_pair(
            path if name == "ca.pem" else tmp_path / "gateway.pem", tmp_path / "gateway-key.pem"
        )


def test_the_command_makes_keys_wherever_it_is_installed(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "keys"
    given = ["harmattan", "keys", str(folder), "--post", "post1", "--host", "192.0.2.1", "lane1"]
    monkeypatch.setattr("sys.argv", given)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert (folder / "nodes/lane1/node.der").exists()
    monkeypatch.setattr("sys.argv", ["harmattan", "keys", "--help"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert "usage: harmattan keys" in capsys.readouterr().out
