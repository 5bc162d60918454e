"""Goal: a revocation holds from the moment it is written, and what is left to do is said.

Method: a post that `harmattan init` makes, in temporary folders; the broker's list is read back
with `cryptography`, and what the broker makes of it stands in tests/gateway/test_nodes_commands.py.
"""

import datetime as dt
import fcntl
import shutil
import threading

import msgspec
import pytest

from gateway import certificates, settings
from gateway.errors import KeysError, SettingsError
from gateway.fleet import nodes_file, revoking
from gateway.fleet.revoking import Crl
from gateway.starting.init import Answers, make_post
from hardware import keys

NOW = dt.datetime(2026, 11, 22, 7, 0, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(days=1)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good") / "p"
    make_post(folder, Answers("p", nodes=("lane-1", "lane-2"), listen="127.0.0.1"), NOW)
    return folder


@pytest.fixture
def folder(good, tmp_path):
    return shutil.copytree(good, tmp_path / "p")


@pytest.fixture
def loaded(folder):
    return settings.load(folder / "post.toml")


def listed(folder):
    return {f"{one.serial_number:x}" for one in certificates.load_crl(folder / "keys/crl.pem")}


def keep_key_elsewhere(folder):
    elsewhere = folder.parent / "stick.pem"
    (folder / "keys/ca-key.pem").rename(elsewhere)
    return elsewhere


def test_a_revoked_node_is_on_both_lists(folder, loaded):
    done = revoking.revoke(loaded, "lane-1", NOW)
    assert (done.crl, done.left, done.revoked) == (Crl.signed, (), NOW)
    assert listed(folder) == set(done.serials)
    assert len(done.serials) == 1
    assert nodes_file.read(folder / "state").revoked == {"lane-1"}
    again = revoking.revoke(loaded, "lane-1", LATER)
    assert again == done  # also the day it was revoked
    revoking.revoke(loaded, "lane-2", LATER)
    assert len(listed(folder)) == 2
    crl = certificates.load_crl(folder / "keys/crl.pem")
    authority = certificates.load_certificate(folder / "keys/ca.pem")
    assert crl.is_signature_valid(authority.public_key())
    assert certificates.crl_number(crl) == 3


def test_without_the_authoritys_key_the_gateway_refuses_and_the_rest_is_said(folder, loaded):
    stick = keep_key_elsewhere(folder)
    done = revoking.revoke(loaded, "lane-1", NOW)
    assert done.crl is Crl.unsigned
    assert "the authority's key is kept elsewhere" in done.left[0]
    assert nodes_file.read(folder / "state").revoked == {"lane-1"}
    assert listed(folder) == set()
    done = revoking.revoke(loaded, "lane-1", LATER, authority_key=stick)
    assert (done.crl, done.left) == (Crl.signed, ())
    assert listed(folder) == set(done.serials)


def test_a_wrong_key_changes_nothing(folder, loaded):
    stick = keep_key_elsewhere(folder)
    stick.write_bytes(certificates.make_authority("o", NOW).key_pem())
    for wrong in (stick, folder / "none.pem"):
        with pytest.raises(KeysError):
            revoking.revoke(loaded, "lane-1", NOW, authority_key=wrong)
    assert nodes_file.read(folder / "state").revoked == frozenset()


def test_a_certificate_that_is_not_known_here_can_be_given(folder, loaded):
    (node,) = (folder / "keys/issued").glob("lane-1.*")
    lost = node.rename(folder.parent / "lost.pem")
    shutil.rmtree(folder / "keys/nodes")
    done = revoking.revoke(loaded, "lane-1", NOW)
    assert (done.crl, done.serials) == (Crl.unknown, ())
    assert "--certificate FILE" in done.left[0]
    with pytest.raises(KeysError, match=r"is the certificate of 'gateway\.p', not"):
        revoking.revoke(loaded, "lane-1", NOW, lost=[folder / "keys/gateway.pem"])
    done = revoking.revoke(loaded, "lane-1", NOW, lost=[lost])
    assert done.crl is Crl.signed
    assert listed(folder) == set(done.serials) != set()


def test_a_file_that_is_no_certificate_keeps_no_node_in(folder, loaded):
    (folder / "keys/issued/lane-1.0.pem").write_text("half a ")
    done = revoking.revoke(loaded, "lane-1", NOW)
    assert done.revoked == NOW
    assert set(done.serials) == listed(folder)
    assert done.crl is Crl.signed
    (left,) = done.left
    assert "lane-1.0.pem is no certificate" in left
    assert left.endswith("give the command again")
    (folder / "keys/issued/lane-1.0.pem").unlink()
    assert revoking.revoke(loaded, "lane-1", NOW).left == ()


def test_what_somebody_else_has_put_on_the_list_stays(folder, loaded):
    pair = certificates.load_pair(folder / "keys/ca.pem", folder / "keys/ca-key.pem")
    certificates.write_crl(folder / "keys/crl.pem", pair, {0xABC: NOW}, NOW)
    revoking.revoke(loaded, "lane-1", LATER)
    assert "abc" in listed(folder)
    assert len(listed(folder)) == 2


def test_a_node_with_keys_is_revoked_though_the_settings_do_not_name_it(folder, loaded):
    """Stolen on its way, before it was in them, or taken out of them before it was lost."""
    assert keys.main([str(folder / "keys"), "--post", "p", "lane-3"]) == 0
    done = revoking.revoke(loaded, "lane-3", NOW)
    assert (done.crl, done.left) == (Crl.signed, ())
    assert listed(folder) == set(done.serials) != set()
    loaded = msgspec.structs.replace(loaded, nodes=loaded.nodes[1:])
    done = revoking.revoke(loaded, "lane-1", NOW)
    assert (done.crl, len(listed(folder))) == (Crl.signed, 2)
    assert nodes_file.read(folder / "state").revoked == {"lane-1", "lane-3"}
    with pytest.raises(SettingsError, match="did you mean lane-"):
        revoking.revoke(loaded, "lane3", NOW)


def test_a_node_that_is_known_by_its_certificate_alone_is_revoked(folder, loaded):
    pair = certificates.load_pair(folder / "keys/ca.pem", folder / "keys/ca-key.pem")
    lost = folder.parent / "node.der"
    lost.write_bytes(certificates.issue(pair, "lane-7", NOW).certificate_der())
    (folder / "keys/issued/A b.1f.pem").write_text("x")  # of somebody else
    with pytest.raises(SettingsError, match=r"lane-7' is not known.*with --certificate FILE"):
        revoking.revoke(loaded, "lane-7", NOW)
    with pytest.raises(SettingsError, match="is not known"):
        revoking.revoke(loaded, "A b", NOW, lost=[lost])
    with pytest.raises(KeysError, match="is the certificate of 'lane-7', not of 'lane-8'"):
        revoking.revoke(loaded, "lane-8", NOW, lost=[lost])
    done = revoking.revoke(loaded, "lane-7", NOW, lost=[lost])
    assert (done.crl, listed(folder)) == (Crl.signed, set(done.serials))


def test_a_list_that_is_none_is_made_anew(folder, loaded):
    (folder / "keys/crl.pem").write_text("x")
    assert revoking.revoke(loaded, "lane-1", NOW).crl is Crl.signed
    assert len(listed(folder)) == 1
    (folder / "keys/crl.pem").write_text("x")
    keep_key_elsewhere(folder)
    done = revoking.revoke(loaded, "lane-2", NOW)
    assert done.crl is Crl.unsigned
    assert "is no list of revoked certificates" in done.left[0]


def test_the_list_is_made_anew_without_revoking_anybody(folder, loaded):
    """It went missing, or is damaged; who was revoked stays so, and nobody else is."""
    done = revoking.revoke(loaded, "lane-1", NOW)
    for ruin in (
        (folder / "keys/crl.pem").unlink,
        lambda: (folder / "keys/crl.pem").write_text(""),
    ):
        ruin()
        assert revoking.renew(loaded, LATER) == 1
        assert listed(folder) == set(done.serials)
        assert nodes_file.read(folder / "state").revoked == {"lane-1"}
    key = keep_key_elsewhere(folder)
    with pytest.raises(KeysError, match="--authority-key FILE"):
        revoking.renew(loaded, LATER)
    assert revoking.renew(loaded, LATER, authority_key=key) == 1


def test_two_commands_at_once_lose_nothing(folder, loaded):
    threads = [
        threading.Thread(target=revoking.revoke, args=(loaded, name, NOW))
        for name in ("lane-1", "lane-2")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert nodes_file.read(folder / "state").revoked == {"lane-1", "lane-2"}
    assert len(listed(folder)) == 2


def test_a_node_comes_back_with_new_keys_and_its_old_ones_stay_barred(folder, loaded):
    with pytest.raises(SettingsError, match="is not revoked"):
        revoking.restore(loaded, "lane-1", NOW, same_keys=False)
    (old,) = revoking.revoke(loaded, "lane-1", NOW).serials
    done = revoking.restore(loaded, "lane-1", LATER, same_keys=False)
    assert done.revoked is None
    assert "harmattan keys" in done.left[0]
    assert nodes_file.read(folder / "state").revoked == frozenset()
    shutil.rmtree(folder / "keys/nodes/lane-1")
    assert keys.main([str(folder / "keys"), "--post", "p", "lane-1"]) == 0
    assert listed(folder) == {old}
    again = revoking.revoke(loaded, "lane-1", LATER)
    assert len(again.serials) == 2
    assert listed(folder) == set(again.serials)


def test_a_node_whose_keys_nobody_else_had_comes_back_as_it_was(folder, loaded):
    revoking.revoke(loaded, "lane-1", NOW)
    revoking.revoke(loaded, "lane-2", NOW)
    stick = keep_key_elsewhere(folder)
    with pytest.raises(KeysError, match="bars the old keys of 'lane-1' and has to be signed anew"):
        revoking.restore(loaded, "lane-1", LATER, same_keys=True)
    assert nodes_file.read(folder / "state").revoked == {"lane-1", "lane-2"}
    done = revoking.restore(loaded, "lane-1", LATER, same_keys=True, authority_key=stick)
    assert (done.serials, done.left) == ((), ())
    assert listed(folder) == set(nodes_file.read(folder / "state").nodes["lane-2"].serials)


def test_no_command_writes_the_list_while_another_does(folder, loaded, monkeypatch):
    """Each signs what it has read: without the lock one of the two would be lost."""
    write, seen = certificates.write_crl, []

    def look(*arguments):
        with (folder / "state" / nodes_file.LOCK_NAME).open() as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                seen.append(revoking.crl_path(loaded.broker.nodes) == arguments[0])
        write(*arguments)

    monkeypatch.setattr(certificates, "write_crl", look)
    revoking.revoke(loaded, "lane-1", NOW)
    revoking.restore(loaded, "lane-1", LATER, same_keys=True)
    revoking.renew(loaded, LATER)
    assert seen == [True, True, True]


def test_nobody_comes_back_whose_old_keys_are_not_barred(folder, loaded):
    keep_key_elsewhere(folder)
    revoking.revoke(loaded, "lane-1", NOW)
    with pytest.raises(SettingsError, match="whoever has its keys would speak as this node"):
        revoking.restore(loaded, "lane-1", LATER, same_keys=False)
    assert nodes_file.read(folder / "state").revoked == {"lane-1"}
    assert revoking.restore(loaded, "lane-1", LATER, same_keys=True).revoked is None


def plain(folder, more=""):
    (folder / "plain.toml").write_text(
        f'post = "p"\ndirectory = "state"\n[[nodes]]\nid = "x"\n{more}'
    )
    return settings.load(folder / "plain.toml")


def test_without_certificates_the_gateway_alone_refuses(folder):
    loaded = plain(folder)
    done = revoking.revoke(loaded, "x", NOW)
    assert (done.crl, done.left) == (Crl.none, ())
    assert revoking.restore(loaded, "x", NOW, same_keys=False).left == ()


def test_somebody_elses_broker_has_to_be_told_by_hand(folder):
    done = revoking.revoke(plain(folder, "[broker]\nexternal = true\n"), "x", NOW)
    assert done.crl is Crl.external
    assert "bar this node's certificate there too" in done.left[0]


def test_a_label_is_kept_beside_everything_else(folder, loaded):
    revoking.revoke(loaded, "lane-1", NOW)
    done = revoking.rename(loaded, "lane-1", "  Nord, voie 1 ")
    assert (done.label, done.revoked) == ("Nord, voie 1", NOW)
    assert len(listed(folder)) == 1
    for wrong in ("x" * 65, "a\nb", "\x1b[31m"):
        with pytest.raises(SettingsError, match="use at most 64 printable characters"):
            revoking.rename(loaded, "lane-1", wrong)
    with pytest.raises(SettingsError, match="'lane-2' is another node's id"):
        revoking.rename(loaded, "lane-1", "lane-2")
    assert revoking.rename(loaded, "lane-2", "شمال").label == "شمال"
    assert revoking.rename(loaded, "lane-2", "").label == ""
    assert "lane-2" not in nodes_file.read(folder / "state").nodes


@pytest.mark.parametrize(
    "name, said",
    [
        ("lane1", "did you mean lane-"),
        ("North", "did you mean lane-1?"),
        ("zzz", "known are: lane-1, lane-2"),
        ("x" * 99, "node 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is not known"),
    ],
)
def test_a_wrong_name_is_answered_with_near_ones(loaded, name, said):
    revoking.rename(loaded, "lane-1", "North")
    for change in (
        lambda: revoking.revoke(loaded, name, NOW),
        lambda: revoking.rename(loaded, name, "x"),
        lambda: revoking.restore(loaded, name, NOW, same_keys=True),
    ):
        with pytest.raises(SettingsError, match=said.replace("?", r"\?")):
            change()


def test_a_disk_that_takes_nothing_is_told(folder, loaded, monkeypatch):
    def fail(path, *_, **__):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(certificates, "write_whole", fail)
    done = revoking.revoke(loaded, "lane-1", NOW)  # the gateway refuses it all the same
    assert done.crl is Crl.unsigned
    assert "No space left on device; free space on its disk" in done.left[0]
    monkeypatch.setattr(nodes_file, "write_whole", fail)
    with pytest.raises(SettingsError, match="nothing is changed"):
        revoking.revoke(loaded, "lane-2", NOW)
