"""Goal: a folder's library is what it says it is: checked, versioned, never half written.

Method: real folders, keys and packages; every rule of installing broken once; tampering with what
is installed.
"""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.library.changes import confirm, install, keep_specimen, remove, trust
from gateway.library.folder import load
from gateway.library.substances import merge_substances, shipped_texts
from gateway.library.writing import write_whole
from gateway.spectra.errors import LibraryError, PackageError, SpectraError
from gateway.spectra.library import load_library
from tests.gateway.library.national import (
    KEY,
    SUBSTANCE_ID,
    SUBSTANCES,
    packed,
    specimen,
    write_library,
)


@pytest.fixture
def folder(tmp_path):
    trust(tmp_path, KEY.public_key())
    return tmp_path


def test_without_a_folder_the_library_is_the_shipped_one(tmp_path):
    for directory in (None, tmp_path / "absent", tmp_path):
        loaded = load(directory)
        assert loaded.library.version == load_library().version
        assert loaded.faults == ()


def test_own_specimens_give_a_new_substance_its_bands(tmp_path):
    found = write_library(tmp_path)
    loaded = load(tmp_path)
    assert set(loaded.library.substances) - set(load_library().substances) == {SUBSTANCE_ID}
    assert loaded.library[SUBSTANCE_ID].bands
    assert loaded.specimens == {found.specimen_id: (loaded.specimens[found.specimen_id][0], "own")}
    assert loaded.library.version.startswith(f"{load_library().version}+own-")


def test_every_addition_changes_the_version(folder):
    versions = [load(folder).library.version]
    write_library(folder)
    versions.append(load(folder).library.version)
    keep_specimen(folder, specimen(2))
    versions.append(load(folder).library.version)
    install(folder, packed([specimen(3)]))
    versions.append(load(folder).library.version)
    install(folder, packed([specimen(3)], version="1.1"))
    versions.append(load(folder).library.version)
    assert len(set(versions)) == len(versions)
    assert "+national.1.1-" in versions[-1]


def test_a_signed_package_is_installed_once(folder):
    package, is_new = install(folder, packed())
    assert (package.manifest.version, is_new) == ("1.0", True)
    assert install(folder, packed())[1] is False
    loaded = load(folder)
    assert loaded.origins == {SUBSTANCE_ID: "national"}
    assert [origin for _, origin in loaded.specimens.values()] == ["national"]


@pytest.mark.parametrize(
    "content,words",
    [
        (packed(key=None), "is not signed"),
        (packed(key=Ed25519PrivateKey.from_private_bytes(bytes(32))), "does not trust"),
        (packed(substances=""), "of no known substance"),
        (
            packed(substances=SUBSTANCES.replace("name_es", "name_it")),
            "column 'name_it' is unknown",
        ),
        (packed(substances=SUBSTANCES.replace(",XY,", ",X\0Y,")), "holds unprintable characters"),
        (
            packed([], substances="substance_id,cas\nacetone,64-17-5\n"),
            "acetone has CAS number '64-17-5', but '67-64-1'",
        ),
    ],
)
def test_what_must_not_be_installed_is_refused_and_leaves_no_trace(folder, content, words):
    with pytest.raises(SpectraError, match=words):
        install(folder, content)
    assert not list(folder.glob("packages/*"))


def test_an_older_package_is_refused_unless_asked(folder):
    install(folder, packed(version="1.10"))
    with pytest.raises(PackageError, match=r"1\.9 is older than the installed 1\.10; --downgrade"):
        install(folder, packed(version="1.9"))
    assert install(folder, packed(version="1.9"), downgrade=True)[1]
    assert install(folder, packed(version="1.10"))[1]


def test_a_version_has_one_content(folder):
    install(folder, packed())
    with pytest.raises(PackageError, match="installed already with other contents"):
        install(folder, packed([specimen(9)]))
    with pytest.raises(PackageError, match="installed already with other contents"):
        install(folder, packed([specimen(9)], version="1.0.0"), downgrade=True)


def test_what_was_changed_after_its_installation_is_not_used(folder):
    install(folder, packed())
    path = folder / "packages" / "national.hlp"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(PackageError, match=r"national\.hlp"):
        load(folder)
    loaded = load(folder, strict=False)
    assert SUBSTANCE_ID not in loaded.library.substances
    assert len(loaded.faults) == 1


def test_a_key_that_is_no_longer_trusted_takes_its_packages_along(folder):
    install(folder, packed())
    (key,) = folder.glob("trusted/*.pub")
    key.unlink()
    assert "does not trust" in load(folder, strict=False).faults[0]


def test_an_edited_or_renamed_specimen_is_not_used(tmp_path):
    found = write_library(tmp_path)
    path = tmp_path / "specimens" / f"{found.specimen_id}.csv"
    path.rename(path.with_name("other.csv"))
    assert "give it its name back" in load(tmp_path, strict=False).faults[0]
    other = tmp_path / "specimens" / "other.csv"
    path.write_text(other.read_text().replace("\n300.000,", "\n300.0,"))
    other.unlink()
    assert "was edited by hand" in load(tmp_path, strict=False).faults[0]


def test_a_specimen_in_doubt_is_used_once_it_is_confirmed(tmp_path):
    write_library(tmp_path)
    found = specimen(2, substance_id="calcite", doubt="looks like infrared")
    keep_specimen(tmp_path, found)
    before = load(tmp_path)
    assert found.specimen_id in before.specimens
    confirmed = confirm(tmp_path, found.specimen_id, "A. Person: measured twice")
    assert confirmed.is_usable
    after = load(tmp_path)
    assert after.library.version != before.library.version
    assert after.specimens[found.specimen_id][0].confirmed == "A. Person: measured twice"
    for name, words in {
        found.specimen_id.replace("calcite", "quartz"): "is no specimen imported",
        "../packages/x": "is no specimen imported",
    }.items():
        with pytest.raises(LibraryError, match=words):
            confirm(tmp_path, name, "x")


def test_packages_and_specimens_can_be_removed(folder):
    found = write_library(folder)
    install(folder, packed([specimen(4)]))
    assert remove(folder, "national").name == "national.hlp"
    remove(folder, found.specimen_id)
    assert load(folder).specimens == {}
    with pytest.raises(LibraryError, match="no specimen imported"):
        remove(folder, "national")


def test_known_substances_of_a_package_add_nothing():
    table = shipped_texts()["substances"]
    same = "substance_id,name_en,cas\nacetone,Aceton,67-64-1\n"
    longer, _, _ = merge_substances(table, same, "x")
    assert longer.splitlines() == table.splitlines()


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"old")
    (tmp_path / ".file.part").mkdir()  # in the way of the new one
    with pytest.raises(LibraryError, match="choose a folder you may write"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
