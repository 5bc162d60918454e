"""Goal: a package is accepted only as its issuer made it: every byte of it counts.

Method: packages of real specimens; every byte is changed in turn (in a small one all of them, each
in three ways); ordinary ZIP programs' archives, bombs among them; keys of strangers; Hypothesis for
the archive's form.
"""

import io
import zipfile

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.spectra.errors import PackageError
from gateway.spectra.package import (
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    SIGNATURE,
    Manifest,
    key_id_of,
    make_package,
    read_package,
    read_private_key,
    read_public_key,
    version_order,
    write_private_key,
    write_public_key,
)
from gateway.spectra.stored_zip import BYTES_MAX, FILES_MAX, read_zip, write_zip
from tests.gateway.library.national import SUBSTANCES, specimen

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
TRUSTED = {key_id_of(KEY.public_key()): KEY.public_key()}
SAID = Manifest(
    FORMAT, FORMAT_VERSION, "national", "1.0", "Test", "Issuer", "MIT", "2026-11-21", {}
)
AXIS = np.arange(300.0, 340.0)
SMALL = specimen(axis_cm1=AXIS, intensity=np.arange(40.0))


def package(**changes):
    return make_package(msgspec.structs.replace(SAID, **changes), [SMALL], SUBSTANCES, KEY)


def test_what_is_packed_is_read():
    found = read_package(package(), TRUSTED)
    assert found.manifest == msgspec.structs.replace(SAID, files=found.manifest.files)
    assert found.substances == SUBSTANCES
    (only,) = found.specimens
    assert only.specimen_id == SMALL.specimen_id
    np.testing.assert_array_equal(only.intensity, SMALL.intensity)
    assert found.label == f"national.1.0-{found.digest[:8]}"


def test_the_same_contents_give_the_same_bytes():
    many = [specimen(seed) for seed in range(3)]
    assert make_package(SAID, many, key=KEY) == make_package(SAID, many[::-1], key=KEY)


def test_other_programs_can_look_into_it():
    with zipfile.ZipFile(io.BytesIO(package())) as archive:
        assert archive.testzip() is None
        assert {MANIFEST, SIGNATURE} < set(archive.namelist())


def test_every_changed_byte_is_refused():
    whole = package()
    assert len(whole) < 10_000
    for place, old in enumerate(whole):
        for new in {old ^ 1, old ^ 0x80, 0x20} - {old}:
            changed = whole[:place] + bytes([new]) + whole[place + 1 :]
            with pytest.raises(PackageError):
                read_package(changed, TRUSTED)


def test_every_cut_and_every_addition_is_refused():
    whole = package()
    for size in range(0, len(whole), 7):
        with pytest.raises(PackageError):
            read_package(whole[:size], TRUSTED)
    for more in (b"\0", b"PK\x03\x04", whole):
        with pytest.raises(PackageError):
            read_package(whole + more, TRUSTED)


def test_contents_that_somebody_exchanged_and_packed_anew_are_refused():
    """Whoever changes a file can mend checksums, digests and manifest, but not the signature."""
    mine = read_zip(make_package(SAID, [specimen(5)], SUBSTANCES, STRANGER))
    theirs = read_zip(package())
    cases = {
        "does not fit the manifest": theirs | {"substances.csv": b"substance_id\n"},
        "does not fit its signature": mine | {SIGNATURE: theirs[SIGNATURE]},
        "which this post does not trust": mine,
        "is not signed": {k: v for k, v in mine.items() if k != SIGNATURE},
        "has no manifest.json": {k: v for k, v in theirs.items() if k != MANIFEST},
    }
    for words, contents in cases.items():
        with pytest.raises(PackageError, match=words):
            read_package(write_zip(contents), TRUSTED)


def test_a_stranger_cannot_take_a_trusted_name():
    contents = read_zip(make_package(SAID, [SMALL], key=STRANGER))
    forged = contents[SIGNATURE].replace(
        key_id_of(STRANGER.public_key()).encode(), next(iter(TRUSTED)).encode()
    )
    with pytest.raises(PackageError, match="does not fit its signature"):
        read_package(write_zip(contents | {SIGNATURE: forged}), TRUSTED)


def test_nothing_of_a_package_is_parsed_before_its_signature_is_good():
    bad = read_zip(package()) | {"specimens/odd.csv": b"no specimen"}
    manifest = msgspec.json.decode(bad[MANIFEST])
    assert "specimens/odd.csv" not in manifest["files"]
    with pytest.raises(PackageError, match=r"odd\.csv' does not fit the manifest"):
        read_package(write_zip(bad), TRUSTED)
    unsigned = make_package(SAID, [SMALL])
    assert read_package(unsigned).signature is None
    with pytest.raises(PackageError, match="is not signed; ask its issuer"):
        read_package(unsigned, {})


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"format": "something else"}, "is a 'something else'"),
        ({"format_version": 2}, "format version 2, this program knows 1; update the gateway"),
        ({"package_id": "Up"}, "package id 'Up'"),
        ({"package_id": "../up"}, "package id"),
        ({"version": "1.2.3.4.5"}, "version '1.2.3.4.5'"),
        ({"version": "01"}, "version '01'"),
        ({"version": "one"}, "version 'one'"),
        ({"issuer": " "}, "issuer ' ' is empty"),
        ({"licence": "a\nb"}, "not one line"),
        ({"made_on": "yesterday"}, "made_on 'yesterday' is not a date"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_neither_made_nor_read(changes, words):
    with pytest.raises(PackageError, match=words):
        package(**changes)


def test_an_empty_package_is_not_made():
    with pytest.raises(PackageError, match="would be empty"):
        make_package(SAID, [], "", KEY)


def deflated(contents, level=zipfile.ZIP_DEFLATED):
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", level) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return output.getvalue()


def test_a_bomb_is_refused_before_it_goes_off():
    bomb = deflated({MANIFEST: b"0" * 50_000_000})
    assert len(bomb) < 100_000
    with pytest.raises(PackageError, match="compressed files"):
        read_package(bomb, TRUSTED)


def test_archives_of_other_programs_are_refused():
    contents = read_zip(package())
    with pytest.raises(PackageError, match="was not written by this program"):
        read_package(deflated(contents, zipfile.ZIP_STORED), TRUSTED)


def test_what_is_too_large_or_too_much_is_refused():
    with pytest.raises(PackageError, match="larger than"):
        read_zip(b"PK\x03\x04" + bytes(BYTES_MAX))
    with pytest.raises(PackageError, match=f"{FILES_MAX + 1} files"):
        write_zip({f"f{number}": b"" for number in range(FILES_MAX + 1)})


names = st.from_regex(r"[a-z0-9][a-z0-9_/-]{0,20}", fullmatch=True)


@given(st.dictionaries(names, st.binary(max_size=60), min_size=1, max_size=6))
def test_the_archive_gives_back_what_it_was_given(contents):
    content = write_zip(contents)
    assert read_zip(content) == contents
    assert write_zip(dict(reversed(contents.items()))) == content


@pytest.mark.parametrize("name", ["../up", "/root", "Up", "a..b", "", "a" * 121, "ü"])
def test_a_name_that_could_lead_elsewhere_is_refused(name):
    with pytest.raises(PackageError, match="file name"):
        write_zip({name: b""})


@given(st.binary(max_size=200))
def test_any_bytes_give_a_package_error(content):
    for head in (b"", b"PK\x03\x04"):
        with pytest.raises(PackageError):
            read_zip(head + content)


@pytest.mark.parametrize(
    "lower,higher", [("1", "2"), ("1.9", "1.10"), ("2026.9", "2026.11.1"), ("0", "0.0.0.1")]
)
def test_versions_are_compared_as_numbers(lower, higher):
    assert version_order(lower) < version_order(higher)
    assert version_order("1.0") == version_order("1")


def test_keys_survive_their_files():
    content = write_private_key(KEY, b"secret")
    assert b"ENCRYPTED" in content
    again = read_private_key("k", content, b"secret")
    assert again.public_key() == KEY.public_key()
    assert read_public_key("k", write_public_key(KEY.public_key())) == KEY.public_key()
    for wrong in (b"", b"guess"):
        with pytest.raises(PackageError, match="passphrase is missing or wrong"):
            read_private_key("k", content, wrong)


def test_other_keys_are_refused():
    rsa = generate_private_key(65537, 2048)
    content = rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(PackageError, match="no Ed25519 key"):
        read_private_key("k", content)
    with pytest.raises(PackageError, match="no Ed25519 public key"):
        read_public_key("k", content)
    with pytest.raises(PackageError, match="no Ed25519 public key"):
        read_public_key("k", b"nothing")
