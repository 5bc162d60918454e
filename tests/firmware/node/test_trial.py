"""Goal: a config under which the gateway is not heard goes by itself, whatever happens meanwhile.

Method: the settings on a real folder, started again and again as a node would; what lies in the
folder is looked at, and spoilt.
"""

import pytest

from node import limits
from node.config import Settings
from node.errors import SettingsError
from protocol.messages import Config

PROVEN = Config(3, 30_000, 2, 0, 60, 4, 1_000)
NEW = Config(8, 50_000, 1, 0, 60, 4, 1_000)
NEWER = Config(9, 60_000, 1, 0, 60, 4, 1_000)


def start(folder):
    settings = Settings(str(folder / "config.bin"), 400_000, 1, 8, 5_000)
    settings.load()
    return settings


@pytest.fixture
def folder(tmp_path):
    """A folder with a proven config."""
    settings = start(tmp_path)
    settings.apply(PROVEN, 5)
    settings.heard(5, 6)
    assert names(tmp_path) == ["config.bin"]
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_trial_outlives_one_start_and_not_two(folder):
    start(folder).apply(NEW, 0)
    assert names(folder) == ["config.bin", "config.trial"]
    first = start(folder)
    assert (first.version, first.notice) == (8, "")
    second = start(folder)
    assert second.version == 3
    assert "config 8 was taken back: the node started twice" in second.notice
    third = start(folder)
    assert (third.version, third.notice) == (3, "")
    assert not third.apply(NEW, 0)
    assert third.apply(NEWER, 0)
    assert names(folder) == ["config.bin", "config.trial"]


def test_a_trial_is_won_after_a_restart_as_well(folder):
    start(folder).apply(NEW, 700_000)
    settings = start(folder)
    settings.heard(0, 10)
    assert names(folder) == ["config.bin"]
    assert start(folder).version == start(folder).version == start(folder).version == 8


def test_the_time_of_a_trial_begins_anew_with_a_start(folder):
    start(folder).apply(NEW, 0)
    settings = start(folder)
    assert not settings.take_back(limits.CONFIG_TRIAL_MS - 1)
    assert settings.take_back(limits.CONFIG_TRIAL_MS)
    assert (settings.version, start(folder).version) == (3, 3)
    assert not settings.take_back(10 * limits.CONFIG_TRIAL_MS)


def test_a_newer_config_takes_the_place_of_one_on_trial(folder):
    start(folder).apply(NEW, 0)
    settings = start(folder)
    settings.apply(NEWER, 100)
    assert names(folder) == ["config.bin", "config.trial"]
    settings.heard(99, 101)  # that was still the other one
    assert start(folder).version == 9
    assert start(folder).version == 3


def test_an_echo_from_the_future_proves_nothing(folder):
    settings = start(folder)
    settings.apply(NEW, 0)
    settings.heard(10_000, 9_999)
    assert settings.take_back(limits.CONFIG_TRIAL_MS)


def test_a_damaged_trial_leaves_the_proven_config(folder):
    start(folder).apply(NEW, 0)
    (folder / "config.trial").write_bytes(NEW.pack()[:-1])
    settings = Settings(str(folder / "config.bin"), 400_000, 1, 8, 5_000)
    with pytest.raises(SettingsError, match="damaged"):
        settings.load()
    assert settings.version == 3
    settings.heard(0, 1)
    assert start(folder).version == 3
    assert start(folder).apply(NEW, 0)


def test_a_trial_survives_a_damaged_proven_config(folder):
    start(folder).apply(NEW, 0)
    (folder / "config.bin").write_bytes(b"")
    settings = Settings(str(folder / "config.bin"), 400_000, 1, 8, 5_000)
    with pytest.raises(SettingsError, match="damaged"):
        settings.load()
    assert settings.version == 8


def test_no_flipped_bit_of_a_saved_config_is_taken_for_a_setting(folder):
    sealed = (folder / "config.bin").read_bytes()
    for bit in range(8 * len(sealed)):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        (folder / "config.bin").write_bytes(flipped)
        settings = Settings(str(folder / "config.bin"), 400_000, 1, 8, 5_000)
        with pytest.raises(SettingsError, match=r"config\.bin is (damaged|a message of another)"):
            settings.load()
        assert (settings.version, settings.integration_us) == (0, 400_000)


def test_a_config_saved_without_a_checksum_is_read(folder):
    """As firmware wrote it before there was one."""
    (folder / "config.bin").write_bytes(NEW.pack())
    assert start(folder).values() == list(NEW.values())


def test_what_was_damaged_is_not_called_config_0(folder):
    start(folder).apply(NEW, 0)
    (folder / "config.trial").rename(folder / "config.tried")
    (folder / "config.tried").write_bytes(b"\xff")
    settings = start(folder)
    assert settings.notice.startswith("a damaged config was taken back: the node started twice")


def test_two_damaged_configs_are_both_told(folder):
    start(folder).apply(NEW, 0)
    (folder / "config.trial").write_bytes(b"")
    (folder / "config.bin").write_bytes(b"")
    settings = Settings(str(folder / "config.bin"), 400_000, 1, 8, 5_000)
    with pytest.raises(SettingsError, match=r"config\.bin is damaged.*; saved config on trial is"):
        settings.load()
    assert settings.version == 0


@pytest.mark.parametrize("is_proven", [False, True])
def test_a_config_the_instrument_refuses_goes_proven_or_not(folder, is_proven):
    settings = start(folder)
    settings.apply(NEW, 0)
    if is_proven:
        settings.heard(0, 1)
    assert settings.refuse("integration_us is 50000")
    assert settings.notice.startswith("config 8 was taken back: integration_us is 50000;")
    assert settings.version == (0 if is_proven else 3)
    assert not start(folder).apply(NEW, 0)
