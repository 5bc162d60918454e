"""Goal: a settings file is taken whole or refused in a sentence that a technician can act on.

Method: files on disk, each with one fault; the sentence must name file, key, value and what would
do. Hypothesis draws tables that are nearly settings.
"""

import errno
import inspect
import os
import re
import tomllib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import cli, settings
from gateway.errors import SettingsError
from gateway.screening.standing import DAYS_MAX, RESPONSE_DAYS_MAX
from gateway.settings import (
    AuthoritySettings,
    BrokerSettings,
    NodeListenerSettings,
    NodeSettings,
    ScreeningSettings,
    Settings,
    SpectraSettings,
    is_loopback,
    load,
)

NODE = '[[nodes]]\nid = "lane-1"\n'
TLS = 'ca_file = "a"\ncertificate_file = "b"\nkey_file = "c"\n'


def write(folder, text):
    path = folder / "post.toml"
    path.write_text(text)
    return path


def sentence(path):
    with pytest.raises(SettingsError) as caught:
        load(path)
    return str(caught.value)


def test_the_example_holds_every_key_with_its_default(repository_path, tmp_path):
    text = (repository_path / "docs/post.example.toml").read_text()
    whole = text.replace("# ca_file", "ca_file").replace("# certificate_file", "certificate_file")
    whole = whole.replace("# key_file", "key_file").replace("# crl_file", "crl_file")
    table = tomllib.loads(whole.replace('"..."', '""'))
    for kind, found in (
        (Settings, table),
        (BrokerSettings, table["broker"]),
        (NodeListenerSettings, table["broker"]["nodes"]),
        (NodeSettings, table["nodes"][0]),
        (AuthoritySettings, table["authority"]),
        (SpectraSettings, table["spectra"]),
        (ScreeningSettings, table["screening"]),
    ):
        assert set(found) == set(kind.__struct_fields__), kind
    loaded = load(write(tmp_path, text))
    # Where the key is absent the time that is written counts; who begins lets the node choose.
    assert loaded.nodes == (NodeSettings("lane-1", exposure="automatic"),)
    assert loaded.broker == BrokerSettings()
    assert loaded.authority == AuthoritySettings()
    assert loaded.spectra == SpectraSettings(library_directory=str(tmp_path / "library"))
    assert loaded.screening == ScreeningSettings(lists_directory=str(tmp_path / "lists"))
    assert loaded.language == "en"


def test_the_example_states_every_range(repository_path):
    """What the comments promise is what is accepted."""
    text = (repository_path / "docs/post.example.toml").read_text()
    for key, low, high in (
        ("integration_ms", 1, 60_000),
        ("scans", 1, 1_000),
        ("health_s", 5, 3_600),
        ("window", 1, 32),
    ):
        line = next(line for line in text.splitlines() if line.startswith(key))
        assert f"{low} to {high}" in line


def test_paths_are_seen_from_the_file(tmp_path):
    path = write(
        tmp_path,
        'post = "p"\ndirectory = "state"\n[broker]\nexternal = true\n'
        + TLS
        + '[authority]\nca_file = "../hq.pem"\n',
    )
    loaded = load(path)
    assert loaded.directory == str(tmp_path / "state")
    assert loaded.broker.key_file == str(tmp_path / "c")
    assert loaded.authority.ca_file == str(tmp_path.parent / "hq.pem")
    assert load(write(tmp_path, 'post = "p"')).directory == str(tmp_path)


SENTENCES = {
    "missing post": ("", "line 1: post is missing; add it: text in quotes"),
    "unknown key": (
        'post = "p"\nbrokr = 1',
        "line 2: brokr is not a setting; did you mean broker?",
    ),
    "unknown key in a node": (
        'post = "p"\n[[nodes]]\nid = "a"\n[[nodes]]\nid = "b"\nintegration_us = 5',
        "line 6: nodes[1].integration_us is not a setting; did you mean integration_ms?",
    ),
    "unknown key like none": (
        'post = "p"\n[spectra]\nzzz = 1',
        "line 3: spectra.zzz is not a setting; known here: axis_uncertainty_cm1",
    ),
    "below the range": (
        'post = "p"\n[[nodes]]\nid = "a"\nhealth_s = 2',
        "nodes[0].health_s = 2: use a whole number from 5 to 3600",
    ),
    "above the range": (
        'post = "p"\n[broker]\nport = 70000',
        "broker.port = 70000: use a whole number from 1 to 65535",
    ),
    "a number as text": (
        'post = "p"\n[broker]\nport = "1883"',
        "broker.port = '1883': use a whole number from 1 to 65535",
    ),
    "a truth value as number": (
        'post = "p"\n[broker]\nport = true',
        "broker.port = true: use a whole number from 1 to 65535",
    ),
    "a fraction": (
        'post = "p"\n[[nodes]]\nid = "a"\nscans = 1.5',
        "nodes[0].scans = 1.5: use a whole number from 1 to 1000",
    ),
    "not a number": (
        'post = "p"\n[authority]\ntimeout_s = nan',
        "authority.timeout_s = nan: use a number from 0.1 to 120",
    ),
    "text as truth value": (
        'post = "p"\n[broker]\nexternal = "yes"',
        "broker.external = 'yes': use true or false",
    ),
    "number as text": ("post = 7", 'post = 7: use text in quotes ("...")'),
    "one table where many belong": (
        'post = "p"\n[nodes]\nid = "a"',
        "use at most 1000 tables, each headed [[nodes]]",
    ),
    "no table": ('post = "p"\nbroker = 1883', "broker = 1883: use a table headed [broker]"),
    "too many nodes": (
        'post = "p"\n' + "".join(f'[[nodes]]\nid = "n{n}"\n' for n in range(1_001)),
        "use at most 1000 tables, each headed [[nodes]]",
    ),
    "node without id": ('post = "p"\n[[nodes]]\nscans = 1', "nodes[0].id is missing; add it"),
    "bad post name": (
        'post = "My Post"',
        "post = 'My Post': use 1 to 32 of a-z, 0-9 and -, not beginning with -",
    ),
    "bad node name": (
        'post = "p"\n[[nodes]]\nid = "-a"',
        "nodes[0].id = '-a': use 1 to 32 of a-z, 0-9 and -, not beginning with -",
    ),
    "node twice": (
        'post = "p"\n' + 2 * NODE,
        "nodes[1].id = 'lane-1' stands twice; every node needs an id of its own",
    ),
    "metrics on the broker's port": (
        'post = "p"\n[observe]\nmetrics_port = 18883',
        "line 3: observe.metrics_port = 18883 is broker.port too; give each a port of its own",
    ),
    "metrics on the nodes' port": (
        'post = "p"\n[observe]\nmetrics_port = 8883\n[broker.nodes]\nhost = "127.0.0.1"\n' + TLS,
        "line 3: observe.metrics_port = 8883 is broker.nodes.port too",
    ),
    "a folder with a zero": (
        'post = "p"\ndirectory = "a\\u0000b"',
        "line 2: directory = 'a\\x00b' can be no file's name",
    ),
    "a library with a zero": (
        'post = "p"\n[spectra]\nlibrary_directory = "a\\u0000b"',
        "line 3: spectra.library_directory = 'a\\x00b' can be no file's name",
    ),
    "a folder of 5,000 letters": (
        f'post = "p"\ndirectory = "{"d" * 5_000}"',
        f"directory = '{'d' * 80}' can be no file's name: use at most 1024 bytes",
    ),
    "a path of 5,000 letters": (
        f'post = "p"\n[screening]\nlists_directory = "{"d/" * 2_500}"',
        "can be no file's name: use at most 1024 bytes",
    ),
    "no broker program": (
        'post = "p"\n[broker]\nprogram = ""',
        "line 3: broker.program = '': use the name of the broker on PATH",
    ),
    "a number of 5,000 digits": (
        'post = "p"\n[broker]\nport = 0x' + "f" * 5_000,
        "line 3: broker.port = a number of 20000 bits: use a whole number from 1 to 65535",
    ),
    "language": (
        'post = "p"\nlanguage = "de"',
        "language = 'de': use one of en, fr, ar, es",
    ),
    "own broker for all the world": (
        'post = "p"\n[broker]\nhost = "0.0.0.0"',
        "broker.host = '0.0.0.0': the post's own broker listens on loopback only; use 127.0.0.1",
    ),
    "plain broker beyond loopback": (
        'post = "p"\n[broker]\nexternal = true\nhost = "broker.example"',
        "a broker beyond loopback needs ca_file, certificate_file and key_file",
    ),
    "half the certificates": (
        'post = "p"\n[broker]\nexternal = true\nca_file = "a"',
        "ca_file, certificate_file and key_file belong together; give all three or none",
    ),
    "certificates for our own": (
        'post = "p"\n[broker]\n' + TLS,
        "leave the three files out, or set external = true",
    ),
    "a listener by name": (
        'post = "p"\n[broker.nodes]\nhost = "gateway"\n' + TLS,
        "broker.nodes.host = 'gateway': use an IP address of this machine",
    ),
    "a listener without certificates": (
        'post = "p"\n[broker.nodes]\nhost = "0.0.0.0"',
        "`harmattan init` makes them",
    ),
    "a listener whose key would be another line": (
        'post = "p"\n[broker.nodes]\nhost = "0.0.0.0"\n'
        + TLS.replace('"c"', '"c\\nallow_anonymous true"'),
        "cannot be told to the broker",
    ),
    "a listener on the port of the other": (
        'post = "p"\n[broker.nodes]\nhost = "127.0.0.1"\nport = 18883\n' + TLS,
        "broker.nodes.port = 18883 is broker.port too",
    ),
    "a listener of somebody else's broker": (
        'post = "p"\n[broker]\nexternal = true\n[broker.nodes]\nhost = "127.0.0.1"\n' + TLS,
        "an external broker has listeners of its own",
    ),
    "plain http beyond loopback": (
        'post = "p"\n[authority]\nurl = "http://hq.example/alerts"',
        "authority.url = 'http://hq.example/...': use https://host/path, or http:// to loopback",
    ),
    "a loopback that is none": (
        'post = "p"\n[authority]\nurl = "http://127.0.0.1.example/"',
        "or http:// to loopback",
    ),
    "a loopback before an @": (
        'post = "p"\n[authority]\nurl = "https://127.0.0.1@hq.example/"',
        "authority.url holds a user or password, which would be logged; leave them out",
    ),
    "a backslash": (
        "post = 'p'\n[authority]\nurl = 'http://127.0.0.1\\@hq.example/'",
        "has a blank, a backslash or a letter beyond ASCII",
    ),
    "another scheme": ('post = "p"\n[authority]\nurl = "ftp://hq/"', "use https://host/path"),
    "no host": ('post = "p"\n[authority]\nurl = "https:///alerts"', "use https://host/path"),
    "a bad port": ('post = "p"\n[authority]\nurl = "https://hq:x/"', "use https://host/path"),
    "a bad bracket": ('post = "p"\n[authority]\nurl = "https://[hq/"', "use https://host/path"),
    "waits the wrong way round": (
        'post = "p"\n[authority]\nretry_s_min = 9\nretry_s_max = 3',
        "authority.retry_s_min = 9 is above retry_s_max = 3",
    ),
    "no TOML": ("\n\npost = ", "line 3: not valid TOML: "),
    "no TOML in the middle": ("post = 'p'\nx = = 1\n", "line 2, column 5: not valid TOML: "),
    "twice": ('post = "p"\npost = "q"', "line 2: not valid TOML: "),
    "a password in a url that is refused anyway": (
        'post = "p"\n[authority]\nurl = "https://user:secret@hq .example/"',
        "line 3: authority.url = 'https://...@hq .example/' has a blank",
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_each_fault_has_its_sentence(tmp_path, name):
    text, expected = SENTENCES[name]
    path = write(tmp_path, text)
    found = sentence(path)
    assert re.match(rf"settings {re.escape(str(path))}, line \d+[:,] ", found)
    assert expected in found
    assert "\n" not in found


def test_a_byte_order_mark_is_named(tmp_path):
    (tmp_path / "post.toml").write_bytes(b'\xef\xbb\xbfpost = "p"\n')
    assert "line 1: it begins with a byte order mark" in sentence(tmp_path / "post.toml")


def test_a_number_that_python_does_not_read_is_a_sentence_too(tmp_path):
    path = write(tmp_path, 'post = "p"\n[broker]\nport = ' + "9" * 5_000)
    assert "not valid TOML" in sentence(path)


@pytest.mark.parametrize(
    "fault",
    [
        'urI = "https://u:HUNTER2@hq/?token=HUNTER2"',
        'password = "HUNTER2"',
        'url = ["https://u:HUNTER2@hq/HUNTER2"]',
        'url = { address = "https://hq/HUNTER2" }',
        'timeout_s = "HUNTER2"',
        'ca_file = ["HUNTER2"]',
        f'ca_file = "x/{"HUNTER2" * 99}"',
        'url = "ftp://u:HUNTER2@hq/HUNTER2?token=HUNTER2"',
    ],
)
def test_no_secret_that_stands_in_the_wrong_place_is_repeated(tmp_path, fault):
    assert "HUNTER2" not in sentence(write(tmp_path, f'post = "p"\n[authority]\n{fault}\n'))


@pytest.mark.parametrize(
    "fault", ['authority = "https://u:HUNTER2@hq/"', '[broker]\nport = "https://u:HUNTER2@hq/x"']
)
def test_nor_is_one_that_stands_for_a_table_or_a_number(tmp_path, fault):
    assert "HUNTER2" not in sentence(write(tmp_path, f'post = "p"\n{fault}\n'))


@pytest.mark.parametrize("is_own", [True, False])
def test_another_users_post_is_not_to_be_made_again(tmp_path, monkeypatch, is_own):
    """The gateway's user is the owner of the folder."""

    def refuse(path, *_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    path = tmp_path / "post.toml"
    monkeypatch.setattr("pathlib.Path.open", refuse)
    if not is_own:
        monkeypatch.setattr(os, "geteuid", lambda: 64_001)
    remedy = (
        f"give it to this user: as root `chown --reference={tmp_path} {path}`"
        if is_own
        else f"run this as the user of the gateway, {tmp_path.owner()}"
    )
    assert sentence(path) == f"settings {path}: Permission denied; {remedy}"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    missing = tmp_path / "missing.toml"
    assert sentence(missing) == (
        f"settings {missing}: No such file or directory; `harmattan init DIR` makes a post with"
        " its settings, --settings FILE names others"
    )
    assert sentence(tmp_path) == (
        f"settings {tmp_path}: Is a directory; name the file in this folder: --settings"
        f" {tmp_path}/post.toml"
    )
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "line 1: not valid TOML: byte 0xff is not UTF-8" in sentence(binary)
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (settings.SETTINGS_BYTES_MAX + 1))
    assert "this is another file" in sentence(large)
    deep = tmp_path / "deep.toml"
    deep.write_text("x = " + "[" * 20_000)
    assert "not valid TOML" in sentence(deep)


@pytest.mark.parametrize(
    "host, expected",
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("localhost", True),
        ("localhost.example", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("2130706433", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine_and_nothing_else(host, expected):
    assert is_loopback(host) == expected


value = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
key = st.sampled_from(["id", "port", "host", "scans", "url", "external", "timeout_s", "x"])
part = st.sampled_from(["post", "directory", "language", "broker", "nodes", "authority", "x"])
table = st.dictionaries(part, value | st.dictionaries(key, value) | st.lists(value, max_size=2))


@given(drawn=table | table.map(lambda found: {**found, "post": "p"}))
def test_every_wrong_table_is_explained(drawn):
    """Whatever stands there: settings, or one sentence; never another error."""
    text = "good"
    try:
        settings.check(msgspec.convert(drawn, Settings))
    except msgspec.ValidationError as error:
        text = str(settings.explain(str(error), drawn, Settings))
    except SettingsError as error:
        text = str(error)
    assert text
    assert "\n" not in text


def test_files_and_nodes_have_the_same_limits_unless_somebody_says_otherwise():
    assert SpectraSettings().calibration_days_max == DAYS_MAX
    assert SpectraSettings().response_days_max == RESPONSE_DAYS_MAX
    options = inspect.signature(cli.identify).parameters
    assert options["calibration_days_max"].default == DAYS_MAX


LINES = {
    "nodes[0].window": 'post = "p"\n\n[[nodes]]\nid = "a"\nwindow = 99\n',
    "nodes[1].id": 'post = "p"\n[[nodes]]\nid = "a"\n[[nodes]]\n\nid = "a"\n',
    "broker.nodes.port": 'post = "p"\nbroker.nodes.port = 0\n',
    "nodes[1].scans": 'post = "p"\nnodes = [\n  { id = "a" },\n\n  { id = "b", scans = 0 },\n]\n',
    "language": 'post = "p"\n# language = "fr"\n\nlanguage = "de"\n',
    "authority.url": 'post = "p"\n[authority]\ntimeout_s = 1\nurl = "ftp://hq/"\n',
    "authority.retry_s_min": 'post = "p"\n[authority]\nretry_s_max = 3\nretry_s_min = 9\n',
    "broker.host": 'post = "p"\n[broker]\nport = 1\nhost = "10.0.0.1"\n',
    "broker.nodes.host": 'post = "p"\n[broker]\n[broker.nodes]\nport = 1\nhost = "gateway"\n',
    "broker.certificate_file": 'post = "p"\n[broker]\nport = 1\ncertificate_file = "x"\n',
}
"""The key at fault; it stands on the line that begins with its last name, comments apart."""


@pytest.mark.parametrize("key", LINES)
def test_each_fault_names_the_line_of_its_key(tmp_path, key):
    text = LINES[key]
    last = key.rpartition(".")[2]
    rows = [row for row in text.splitlines() if not row.startswith("#")]
    ((number, _),) = [
        (number, row)
        for number, row in enumerate(text.splitlines(), 1)
        if row in rows and re.search(rf"\b{last} = ", row)
    ][-1:]
    assert f", line {number}: " in sentence(write(tmp_path, text))


def test_files_for_nodes_may_be_ready_before_nodes_are_let_in(tmp_path):
    assert not load(write(tmp_path, 'post = "p"\n[broker.nodes]\n' + TLS)).broker.nodes.host
