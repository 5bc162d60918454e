"""Goal: node.json and configs are taken whole and correct, or refused with the key and the remedy.

Method: a good file spoilt key by key; configs applied, saved, damaged and loaded again.
"""

import copy
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from node import settings
from node.config import NAMES, Settings
from node.errors import SettingsError
from node.limits import EVENT_HEAD_BYTES
from protocol.messages import Config, Event, Time

FIRMWARE = Path(settings.__file__).parents[1]
GOOD = {
    "post": "post1",
    "node": "lane1",
    "broker": {"host": "127.0.0.1"},
    "instrument": {"port": "/dev/ttyUSB0"},
}
# An event's fields before its type, each as long as it can be.
ITEM = (bytes(8), (1 << 53) - 1, bytes(8), (1 << 53) - 1, (1 << 53) - 1, 3, bytes(8), 3)
CONFIG = Config(3, 100_000, 2, 60, 30, 4, 500)


def test_tls_has_a_port_of_its_own_and_is_true_or_false():
    given = copy.deepcopy(GOOD)
    given["broker"]["tls"] = True
    assert settings.check(given)["broker"]["port"] == 8883
    given["broker"]["tls"] = 1
    with pytest.raises(SettingsError, match=r"broker\.tls is 1; true or false is needed"):
        settings.check(given)


def test_defaults_are_filled_in():
    checked = settings.check(copy.deepcopy(GOOD))
    assert checked["broker"] == {
        "host": "127.0.0.1",
        "port": 1883,
        "tls": False,
        "name": "",
        "user": "",
        "password": "",
    }
    assert checked["instrument"]["driver"] == "obp"
    assert checked["instrument"]["baud"] == 9600
    assert (checked["board"], checked["language"], checked["wifi"]["ssid"]) == ("unix", "en", "")
    assert (checked["window"], checked["resend_ms"]) == (8, 5000)
    assert checked["triggers"] == {"sample": "off", "look_s": 5, "rise_counts": 0}


@pytest.mark.parametrize(
    "triggers, text",
    [
        ({"sample": "on"}, "triggers.sample is 'on'; use one of off, ambient, laser"),
        ({"look_s": 0}, "triggers.look_s is 0; use 1 to 3600"),
        ({"rise_counts": "5"}, "triggers.rise_counts is '5'; a whole number is needed"),
        ({"looks": 3}, "triggers.looks is not a setting"),
        ([], '"triggers" must be an object'),
    ],
)
def test_a_wrong_trigger_is_named(triggers, text):
    given = copy.deepcopy(GOOD) | {"triggers": triggers}
    with pytest.raises(SettingsError) as told:
        settings.check(given)
    assert text in str(told.value)


def with_readers(*readers, is_instrument=True):
    given = copy.deepcopy(GOOD)
    if not is_instrument:
        del given["instrument"]
    given["readers"] = copy.deepcopy(list(readers))
    return given


SCANNER = {"driver": "scanner", "port": "/dev/ttyUSB1"}
SCALE = {"driver": "mt_sics", "port": "/dev/ttyUSB2", "baud": 4800}


def test_readers_stand_beside_the_spectrometer_with_their_defaults():
    checked = settings.check(with_readers(SCANNER, SCALE))
    assert checked["instrument"]["driver"] == "obp"
    assert [each["driver"] for each in checked["readers"]] == ["scanner", "mt_sics"]
    assert [each["baud"] for each in checked["readers"]] == [9600, 4800]
    assert checked["readers"][0]["aim"] is True  # never guessed from what a label begins with
    assert settings.check(copy.deepcopy(GOOD))["readers"] == []


def test_a_node_may_have_readers_and_no_spectrometer():
    checked = settings.check(with_readers(SCANNER, is_instrument=False))
    assert checked["instrument"]["driver"] == ""
    assert checked["instrument"]["excitation_pm"] == 0  # which the birth tells the gateway


def test_a_node_with_nothing_to_read_is_refused():
    given = with_readers(is_instrument=False)
    with pytest.raises(SettingsError, match=r'node\.json: "instrument" must be an object'):
        settings.check(given)


@pytest.mark.parametrize(
    "readers, text",
    [
        ({"driver": "scanner"}, "readers must be a list of at most 3"),
        ([SCANNER] * 4, "readers must be a list of at most 3"),
        ([SCANNER, "scanner"], '"readers[1]" must be an object'),
        ([{"port": "/dev/ttyUSB1"}], "readers[0].driver is missing"),
        ([SCALE, {"driver": "scanner"}], "readers[1].port is missing"),
        ([{**SCANNER, "suffx": ""}], "readers[0].suffx is not a setting"),
        ([{**SCANNER, "baud": "9600"}], "readers[0].baud is '9600'; a whole number is needed"),
        ([SCANNER, {**SCALE, "port": "/dev/ttyUSB1"}], "two instruments have the port"),
        ([{**SCANNER, "port": "/dev/ttyUSB0"}], "two instruments have the port '/dev/ttyUSB0'"),
    ],
)
def test_a_wrong_reader_is_named(readers, text):
    given = copy.deepcopy(GOOD)
    given["readers"] = copy.deepcopy(readers)
    with pytest.raises(SettingsError, match=r"node\.json") as caught:
        settings.check(given)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "section, key, value, text",
    [
        (None, "post", "Post 1", "post"),
        (None, "node", None, "node"),
        (None, "node", 5, "node"),
        (None, "broker", [], '"broker"'),
        (None, "language", "de", "en, fr, ar, es"),
        (None, "integration_us", 0, "integration_us is 0"),
        (None, "integration_us", True, "integration_us is True"),
        (None, "scans", "1", "scans is '1'"),
        (None, "window", 33, "use 1 to 32"),
        ("broker", "host", None, "broker.host is missing"),
        ("broker", "port", 70_000, "broker.port is 70000"),
        ("instrument", "port", 3, "instrument.port is 3"),
        ("instrument", "laser_mw", -1, "instrument.laser_mw is -1"),
        ("instrument", "laser_nw", 5, "instrument.laser_nw is not a setting"),
        (None, "brokr", {}, "brokr is not a setting"),
    ],
)
def test_a_wrong_value_is_named(section, key, value, text):
    spoilt = copy.deepcopy(GOOD)
    (spoilt[section] if section else spoilt)[key] = value
    with pytest.raises(SettingsError, match=r"node\.json") as caught:
        settings.check(spoilt)
    assert text in str(caught.value)


def test_a_file_that_was_cut_off_is_refused_on_micropython_too(tmp_path, micropython_path):
    """Its json takes unfinished text: a number cut short would be taken for a smaller one."""
    whole = json.dumps(GOOD | {"integration_us": 400_000, "language": "a}"}).encode()
    outcomes = set()
    for length in range(1, len(whole)):
        (tmp_path / f"{length}.json").write_bytes(whole[:length])
        outcomes.add(length)
    program = (
        "import sys\n"
        f"sys.path[:0] = [{str(FIRMWARE)!r}, {str(FIRMWARE.parent)!r}]\n"
        "from node import settings\n"
        "from node.errors import SettingsError\n"
        f"for length in range(1, {len(whole)}):\n"
        "    try:\n"
        f"        settings.load({str(tmp_path)!r} + '/%d.json' % length)\n"
        "    except SettingsError as error:\n"
        "        if 'too early' in str(error) or 'not JSON' in str(error):\n"
        "            print(length)\n"
    )
    done = subprocess.run(
        [micropython_path, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert {int(line) for line in done.stdout.split()} == outcomes


def test_an_exposure_nobody_waits_for_is_refused():
    with pytest.raises(SettingsError, match="longer than 600 s"):
        settings.check(copy.deepcopy(GOOD) | {"integration_us": 10_000_000, "scans": 100})


@pytest.mark.parametrize(
    "content, text",
    [
        (None, "cannot be read"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "one object"),
        (json.dumps(GOOD).encode() + b" " * 5000, "more than 4096 bytes"),
    ],
)
def test_an_unusable_file_is_named(tmp_path, content, text):
    path = tmp_path / "node.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=text) as caught:
        settings.load(str(path))
    assert str(path) in str(caught.value)


def in_force(path):
    return Settings(str(path), 400_000, 1, 8, 5000)


def test_a_config_is_kept_across_restarts(tmp_path):
    path = tmp_path / "config.bin"
    first = in_force(path)
    first.load()
    assert first.version == 0
    assert first.apply(CONFIG, 0)
    assert not first.apply(CONFIG, 0)  # SPEC 9.2: the same version is passed over
    second = in_force(path)
    second.load()
    assert second.values() == CONFIG.values()
    assert [getattr(CONFIG, name) for name in NAMES] == CONFIG.values()
    lower = Config(2, 100_000, 2, 60, 30, 4, 500)
    assert second.apply(lower, 0)  # SPEC 9.2: higher or lower


def test_a_refused_config_changes_nothing(tmp_path):
    path = tmp_path / "config.bin"
    kept = in_force(path)
    with pytest.raises(SettingsError, match="integration_us is 90000000"):
        kept.apply(Config(3, 90_000_000, 1, 60, 30, 4, 500), 0)
    assert (kept.version, kept.integration_us) == (0, 400_000)
    assert not path.exists()


def test_a_config_that_cannot_be_saved_is_not_confirmed(tmp_path):
    kept = in_force(tmp_path / "missing/config.bin")
    with pytest.raises(OSError, match="missing"):
        kept.apply(CONFIG, 0)  # SPEC 9.3
    assert kept.version == 0


@pytest.mark.parametrize(
    "content, text",
    [
        (b"", "damaged"),
        (CONFIG.pack()[:-1], "damaged"),
        (Time(1, 1, bytes(8), None).pack(), "another kind"),
    ],
)
def test_a_damaged_saved_config_leaves_the_settings_of_node_json(tmp_path, content, text):
    path = tmp_path / "config.bin"
    path.write_bytes(content)
    kept = in_force(path)
    with pytest.raises(SettingsError, match=text) as caught:
        kept.load()
    assert str(path) in str(caught.value)
    assert kept.version == 0


def test_buffers_fit_the_instrument_and_never_exceed_the_board():
    budget = {"pixels_bytes_max": 4_136, "record_bytes_max": 4_448, "segment_bytes": 65_536}
    given = {"instrument": {"port": "x", "pixels_max": 1_024}, "readers": []}
    fitted = settings.fit(SimpleNamespace(BUDGET=budget), given)
    assert fitted == budget | {"pixels_bytes_max": 2_048, "record_bytes_max": 2_360}
    given["instrument"]["pixels_max"] = 4_096
    assert settings.fit(SimpleNamespace(BUDGET=budget), given) == budget


def test_buffers_take_the_longest_code_that_a_reader_may_give():
    budget = {"pixels_bytes_max": 4_136, "record_bytes_max": 4_448, "segment_bytes": 65_536}
    given = copy.deepcopy(GOOD)
    del given["instrument"]
    given["readers"] = [{"driver": "scanner", "port": "a"}, {"driver": "scanner", "port": "b"}]
    given["readers"][1]["content_max"] = 7_168
    checked = settings.check(copy.deepcopy(given))
    assert [reader["content_max"] for reader in checked["readers"]] == [2_048, 7_168]
    fitted = settings.fit(SimpleNamespace(BUDGET=budget), checked)
    assert fitted["record_bytes_max"] == 7_168 + EVENT_HEAD_BYTES
    whole = Event(*ITEM, "]Q1-----", bytes(7_168), -(1 << 31), *[True])
    assert len(whole.pack()) <= 7_168 + EVENT_HEAD_BYTES
    given["readers"][1]["content_max"] = 7_169
    with pytest.raises(SettingsError, match=r"readers\[1\]\.content_max is 7169; use 1 to 7168"):
        settings.check(given)


# A board of two serial ports: what bare boards have, without their pins.
SMALL = """
import sys
sys.path[:0] = sys.argv[1:3]
import main
class Board:
    NAME, UARTS = "esp32_s3", {"uart1": (1, 17, 18), "uart2": (2, 15, 16)}
    BUDGET = {"pixels_bytes_max": 4136, "record_bytes_max": 4448}
main.load_board = lambda name, folder: Board
try:
    main.prepare(sys.argv[3])
    print("taken")
except main.SettingsError as error:
    print(error)
"""
TOO_MANY = (
    "node.json: port %r is none of esp32_s3, which carries 2 instruments, on uart1 and uart2; "
    "put further ones on another node"
)


@pytest.mark.parametrize(
    "ports, told",
    [
        (("uart1",), "taken"),
        (("uart1", "uart2"), "taken"),
        ((None, "uart2", "uart1"), "taken"),
        (("uart1", "uart2", "uart3"), TOO_MANY % "uart3"),
        (("uart1", "uart2", "uart0", "uart3"), TOO_MANY % "uart0"),
        (("/dev/ttyUSB0",), TOO_MANY % "/dev/ttyUSB0"),
    ],
)
def test_more_instruments_than_a_board_has_ports_for_are_refused_at_the_start(
    tmp_path, micropython_path, ports, told
):
    given = {"post": "p", "node": "n", "board": "esp32_s3", "broker": {"host": "h"}}
    if ports[0]:
        given["instrument"] = {"port": ports[0]}
    given["readers"] = [{"driver": "scanner", "port": port} for port in ports[1:]]
    (tmp_path / "node.json").write_text(json.dumps(given))
    command = [micropython_path, "-c", SMALL, FIRMWARE, FIRMWARE.parent, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout.strip(), done.stderr) == (told, "")


@pytest.mark.parametrize("name", ["tty", "bare", "nowhere"])
def test_a_board_that_is_none_is_refused_in_words(
    tmp_path, micropython_path, repository_path, name
):
    """Some modules of boards/ are shared by boards and are none."""
    given = {"post": "p", "node": "n", "board": name, "broker": {"host": "h"}}
    (tmp_path / "node.json").write_text(json.dumps(given | {"instrument": {"port": "x"}}))
    command = [micropython_path, repository_path / "firmware/main.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    told = f"error: node.json: board is {name!r}; use unix, esp32_s3 or pico2_w\n"
    assert done.stderr == told
