"""Goal: a file whose brackets never end, or with a number of a thousand digits, is refused.

Method: such files before everything of the gateway that reads TOML or JSON of a disk.
"""

import pytest

from gateway import instruments, people, settings
from gateway.calibration_file import load_calibration
from gateway.errors import SettingsError
from gateway.fleet import nodes_file
from gateway.ingest import secret
from gateway.journal import backup, rejudgements, telling
from gateway.observe import state
from gateway.screening.thresholds import ThresholdsError, parse_thresholds
from gateway.screening.watchlists import WatchlistError, parse_watchlist
from gateway.spectra.errors import FormatError, ResponseError
from gateway.spectra.response import read_certificate

TOML = {
    "arrays": "x = " + "[" * 5_000 + "]" * 5_000,
    "tables": "x = " + "{a=" * 3_000 + "1" + "}" * 3_000,
    "number": "x = " + "9" * 5_000,
}
JSON = {
    "arrays": '{"x": ' + "[" * 20_000 + "]" * 20_000 + "}",
    "objects": '{"x": ' * 20_000 + "1" + "}" * 20_000,
    "bare": "[" * 20_000 + "]" * 20_000,
    "unended": "[" * 20_000,
}
REFUSED_TOML = {
    "settings": (SettingsError, settings.load),
    "about": (SettingsError, instruments.read),
    "calibration": (FormatError, load_calibration),
    "thresholds": (ThresholdsError, lambda path: parse_thresholds(path.read_text())),
    "watchlist": (WatchlistError, lambda path: parse_watchlist("x", path.read_text())),
    "certificate": (ResponseError, lambda path: read_certificate(path.read_text())),
    "nodes": (SettingsError, lambda path: nodes_file.read(path.parent)),
}
NAMES = {"nodes": nodes_file.NAME}


@pytest.mark.parametrize("text", TOML.values(), ids=TOML)
@pytest.mark.parametrize("kind", REFUSED_TOML)
def test_toml_is_refused(tmp_path, kind, text):
    path = tmp_path / NAMES.get(kind, "file.toml")
    path.write_text(text)
    error, read = REFUSED_TOML[kind]
    with pytest.raises(error):
        read(path)


@pytest.mark.parametrize("text", JSON.values(), ids=JSON)
def test_json_is_refused_or_passed_over(tmp_path, text):
    for name in (people.FILE_NAME, backup.LAST_NAME, secret.SECRET_NAME, state.FILE_NAME):
        (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError):
        people.load(tmp_path)
    assert backup.read_last(tmp_path) is None
    assert secret.read(tmp_path) is None
    assert state._newest([tmp_path], "post", 0.0) is None
    assert rejudgements.told(text.encode()) is None
    assert telling._parsed(text.encode()) == text
