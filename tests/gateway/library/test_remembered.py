"""Goal: remembered bands make a library load faster, and never make it another library.

Method: a real folder; fitting is counted, what is remembered is damaged, forged and made stale.
"""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.library import folder, remembered
from gateway.library.changes import install, keep_specimen, remove, trust
from gateway.library.checking import verify
from gateway.library.folder import load
from gateway.library.remembered import FILE_NAME
from gateway.spectra.fitted import fit_bands
from gateway.spectra.package import FORMAT, FORMAT_VERSION, Manifest, make_package
from tests.gateway.library.national import SUBSTANCES, specimen, write_library
from tests.gateway.screening.test_watchlists import DAY

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def fitted(monkeypatch):
    """Ids of the specimens that were fitted."""
    done = []

    def fit(found):
        done.append(found.specimen_id)
        return fit_bands(found)

    monkeypatch.setattr(folder, "fit_bands", fit)
    return done


def install_package(directory, seeds=(7, 8), version="1.0"):
    said = Manifest(FORMAT, FORMAT_VERSION, "national", version, "T", "I", "MIT", "2026-11-21", {})
    trust(directory, KEY.public_key())
    found = [specimen(seed) for seed in seeds]
    install(directory, make_package(said, found, SUBSTANCES, KEY))
    return found


def test_the_library_of_remembered_bands_is_the_same(tmp_path, fitted):
    own = write_library(tmp_path)
    packed = install_package(tmp_path)
    first = load(tmp_path)
    assert {own.specimen_id, *(each.specimen_id for each in packed)} <= set(fitted)
    fitted.clear()
    second = load(tmp_path)
    assert fitted == []
    assert second.library.entries == first.library.entries
    assert second.library.version == first.library.version
    (tmp_path / FILE_NAME).unlink()
    assert load(tmp_path).library.entries == first.library.entries
    assert len(fitted) == 3


def test_only_what_is_new_is_fitted_and_what_is_gone_is_forgotten(tmp_path, fitted):
    first = write_library(tmp_path)
    load(tmp_path)
    second = specimen(2)
    keep_specimen(tmp_path, second)
    load(tmp_path)
    assert fitted == [first.specimen_id, second.specimen_id]
    remove(tmp_path, first.specimen_id)
    load(tmp_path)
    assert fitted == [first.specimen_id, second.specimen_id]
    assert len(bands_in(tmp_path)) == 1


def bands_in(directory):
    return json.loads((directory / FILE_NAME).read_text())["bands"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"engine":"', '"engine":"0'),
        lambda text: text.replace("771", "772"),
        lambda _: "[]",
        lambda _: "",
        lambda _: '{"engine":1}',
        lambda text: text.replace("771", "9e9"),
    ],
)
def test_what_is_damaged_or_stale_is_fitted_again(tmp_path, fitted, damage):
    write_library(tmp_path)
    good = load(tmp_path).library.entries
    path = tmp_path / FILE_NAME
    text = path.read_text()
    assert "771" in text
    path.write_text(damage(text))
    fitted.clear()
    assert load(tmp_path).library.entries == good
    assert len(fitted) == 1
    assert path.read_text() == text


def test_another_program_fits_again(tmp_path, fitted, monkeypatch):
    write_library(tmp_path)
    load(tmp_path)
    monkeypatch.setattr(remembered, "engine", lambda: "another")
    load(tmp_path)
    assert len(fitted) == 2


def test_the_engine_is_all_that_decides_what_is_found(tmp_path, monkeypatch):
    before = remembered.engine.__wrapped__()
    (tmp_path / "bands.py").write_text("# another way to find bands\n")
    monkeypatch.setattr(remembered.resources, "files", lambda _: tmp_path)
    assert remembered.engine.__wrapped__() != before
    monkeypatch.undo()
    monkeypatch.setattr(remembered.np, "__version__", "99")
    assert remembered.engine.__wrapped__() != before


def test_a_changed_specimen_has_nothing_remembered(tmp_path, fitted):
    """Another version of a package, other numbers: the digest is of the text that was checked."""
    install_package(tmp_path)
    before = load(tmp_path).library.entries
    install_package(tmp_path, seeds=(7, 9), version="1.1")
    fitted.clear()
    after = load(tmp_path).library.entries
    assert fitted == []  # installing has fitted the new one, and remembered the old
    assert len(after) == len(before)
    assert set(after) - set(before)
    content = (tmp_path / "packages" / "national.hlp").read_bytes()
    place = content.index(b"specimens/") + 4_000
    (tmp_path / "packages" / "national.hlp").write_bytes(
        content[:place] + b"7" + content[place + 1 :]
    )
    assert load(tmp_path, strict=False).faults


def test_verify_finds_forged_bands(tmp_path):
    write_library(tmp_path)
    load(tmp_path)
    assert verify(tmp_path, [], None, DAY).faults == []
    found = remembered.Remembered(tmp_path)
    (digest,) = bands_in(tmp_path)
    known = found.find(digest)
    found.keep(digest, [known[0]._replace(shift_cm1=known[0].shift_cm1 + 5.0), *known[1:]])
    found.save()
    (fault,) = verify(tmp_path, [], None, DAY).faults
    assert "are not those of its spectrum; delete" in fault


def test_a_folder_that_cannot_be_written_is_loaded_all_the_same(tmp_path, fitted):
    write_library(tmp_path)
    (tmp_path / f".{FILE_NAME}.part").mkdir()  # in the way, also of one who may write everything
    for _ in range(2):
        assert load(tmp_path).faults == ()
    assert len(fitted) == 2
    assert not (tmp_path / FILE_NAME).exists()
