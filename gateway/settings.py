"""The post's settings: one TOML file, every key with its range; see docs/post.example.toml.

Every complaint names the file, the line, the key, its value and what would do. The keys are in
settings_keys.py, what their types cannot say in settings_checks.py.
"""

import codecs
import sys
import tomllib
from pathlib import Path

import msgspec

from gateway.errors import SettingsError
from gateway.files import is_looped, not_utf8
from gateway.settings_checks import LANGUAGES, check, is_loopback
from gateway.settings_faults import SettingError, explain, placed, syntax, unread
from gateway.settings_keys import (
    NODES_MAX,
    AuthoritySettings,
    BrokerSettings,
    IngestSettings,
    JournalSettings,
    NodeListenerSettings,
    NodeSettings,
    ObserveSettings,
    ScreeningSettings,
    Settings,
    SpectraSettings,
)

__all__ = [
    "LANGUAGES",
    "NODES_MAX",
    "SETTINGS_BYTES_MAX",
    "AuthoritySettings",
    "BrokerSettings",
    "IngestSettings",
    "JournalSettings",
    "NodeListenerSettings",
    "NodeSettings",
    "ObserveSettings",
    "ScreeningSettings",
    "Settings",
    "SpectraSettings",
    "is_loopback",
    "load",
    "parse",
    "place",
]

SETTINGS_BYTES_MAX = 1 << 20  # a post has tens of nodes; a file of 1 MiB is not a settings file


def load(path: Path) -> Settings:
    """Return the settings in `path`, its folders and files made absolute.

    Raises:
        SettingsError: names the file, the key, the value and what would do.
    """
    return parse(_read(path), path)


def parse(content: bytes, path: Path) -> Settings:
    """Return the settings that `content` holds, as if it were the file `path`.

    Raises:
        SettingsError: as for `load`.
    """
    if content.startswith(codecs.BOM_UTF8):
        raise SettingsError(
            f"settings {path}, line 1: it begins with a byte order mark, which TOML does not have;"
            " save the file as UTF-8 without BOM"
        )
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(
            f"settings {path}, line {line}: not valid TOML: byte 0x{content[error.start]:02x} is"
            " not UTF-8; save the file as UTF-8"
        ) from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"settings {path}, {syntax(str(error), text)}") from error
    except ValueError as error:  # of Python, which reads no more digits
        raise SettingsError(
            f"settings {path}: not valid TOML: a number of more than {sys.get_int_max_str_digits()}"
            " digits; shorten it"
        ) from error
    except RecursionError as error:
        raise SettingsError(
            f"settings {path}: not valid TOML: too many brackets within each other; this is another"
            " file"
        ) from error
    try:
        settings = msgspec.convert(table, Settings)
        check(settings)
    except msgspec.ValidationError as error:
        raise placed(path, text, explain(str(error), table, Settings)) from error
    except SettingError as error:
        raise placed(path, text, error) from error
    try:
        return _absolute(settings, path.parent)
    except SettingError as error:
        raise placed(path, text, error) from error


def place(path: Path, error: SettingError) -> SettingsError:
    """Return the fault of a setting with the file and the line where it stands."""
    try:
        text = _read(path).decode()
    except (SettingsError, UnicodeDecodeError):  # gone since it was read
        text = ""
    return placed(path, text, error)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(SETTINGS_BYTES_MAX + 1)
    except OSError as error:
        raise unread(path, error) from error
    if len(content) > SETTINGS_BYTES_MAX:
        raise SettingsError(
            f"settings {path}: larger than {SETTINGS_BYTES_MAX} bytes; this is another file"
        )
    return content


def _resolve(folder: Path, key: str, name: str) -> str:
    """Return a path from the root.

    Raises:
        SettingError: links on the way lead in a circle, or to a name that is not UTF-8.
    """
    path = folder / name
    if told := not_utf8(folder.absolute()):
        raise SettingsError(told)
    try:
        if is_looped(path):
            raise SettingError(key, f"{key} = {name!r}: links lead in a circle; name a real place")
        found = str(path.resolve())
    except FileNotFoundError as error:
        raise SettingsError(
            "the folder that this terminal stands in has been removed; change to one that exists"
        ) from error
    if told := not_utf8(found):
        raise SettingError(key, f"{key} = {name!r} leads to {told}")
    return found


def _absolute(settings: Settings, folder: Path) -> Settings:
    """Return the settings with every path seen from the settings file's folder."""

    def resolve(key: str, name: str) -> str:
        return _resolve(folder, key, name) if name else ""

    broker, authority = settings.broker, settings.authority
    spectra, screening = settings.spectra, settings.screening
    return msgspec.structs.replace(
        settings,
        directory=resolve("directory", settings.directory or "."),
        broker=msgspec.structs.replace(
            broker,
            ca_file=resolve("broker.ca_file", broker.ca_file),
            certificate_file=resolve("broker.certificate_file", broker.certificate_file),
            key_file=resolve("broker.key_file", broker.key_file),
            nodes=msgspec.structs.replace(
                broker.nodes,
                ca_file=resolve("broker.nodes.ca_file", broker.nodes.ca_file),
                certificate_file=resolve(
                    "broker.nodes.certificate_file", broker.nodes.certificate_file
                ),
                key_file=resolve("broker.nodes.key_file", broker.nodes.key_file),
                crl_file=resolve("broker.nodes.crl_file", broker.nodes.crl_file),
            ),
        ),
        authority=msgspec.structs.replace(
            authority, ca_file=resolve("authority.ca_file", authority.ca_file)
        ),
        spectra=msgspec.structs.replace(
            spectra,
            library_directory=resolve("spectra.library_directory", spectra.library_directory),
        ),
        screening=msgspec.structs.replace(
            screening,
            lists_directory=resolve("screening.lists_directory", screening.lists_directory),
        ),
    )
