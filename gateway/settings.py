"""The post's settings: one TOML file, every key with its range; see docs/post.example.toml."""

import ipaddress
import re
import tomllib
import urllib.parse
from pathlib import Path
from typing import Annotated

import msgspec

from gateway.errors import SettingsError
from protocol import limits, topics
from protocol.errors import TopicError

LANGUAGES = ("en", "fr", "ar", "es")
SETTINGS_BYTES_MAX = 1 << 20  # a post has tens of nodes; a file of 1 MiB is not a settings file
NODES_MAX = 64  # bounds what one small computer can judge; a larger post needs a second gateway

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class BrokerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The MQTT broker: our own child on loopback, or an external one."""

    external: bool = False
    host: Annotated[str, msgspec.Meta(min_length=1, max_length=253)] = "127.0.0.1"
    port: Port = 18883
    program: str = "mosquitto"  # name on PATH, or a path
    ca_file: str = ""  # the three files are needed for an external broker beyond loopback
    certificate_file: str = ""
    key_file: str = ""


class NodeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node that may speak at this post, and how it measures."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.TOPIC_NAME_CHARS_MAX)]
    integration_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 400
    scans: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
    period_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 0
    health_s: Annotated[int, msgspec.Meta(ge=5, le=3_600)] = 300
    window: Annotated[int, msgspec.Meta(ge=1, le=limits.WINDOW_RECORDS_MAX)] = limits.WINDOW_RECORDS
    resend_ms: Annotated[int, msgspec.Meta(ge=100, le=limits.RESEND_MS_MAX)] = limits.RESEND_MS


class AuthoritySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where alerts go. An empty url keeps them in the outbox."""

    url: Annotated[str, msgspec.Meta(max_length=2_048)] = ""
    timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=120)] = 20.0
    retry_s_min: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 1.0
    retry_s_max: Annotated[float, msgspec.Meta(ge=1, le=3_600)] = 300.0


class SpectraSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far the nodes' axes are trusted."""

    axis_uncertainty_cm1: Annotated[float, msgspec.Meta(ge=0.5, le=5.0)] = 2.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a post needs to know; paths are relative to the settings file."""

    post: str
    directory: str = "."
    language: str = "en"
    broker: BrokerSettings = BrokerSettings()
    nodes: Annotated[tuple[NodeSettings, ...], msgspec.Meta(max_length=NODES_MAX)] = ()
    authority: AuthoritySettings = AuthoritySettings()
    spectra: SpectraSettings = SpectraSettings()


def is_loopback(host: str) -> bool:
    """Say whether `host` names this machine and nothing else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load(path: Path) -> Settings:
    """Return the settings in `path`, with `directory` made absolute.

    Raises:
        SettingsError: names the file, the key, the value or range, and the remedy.
    """
    try:
        with path.open("rb") as file:
            text = file.read(SETTINGS_BYTES_MAX + 1)
    except OSError as error:
        raise SettingsError(
            f"settings {path}: {error.strerror}; copy docs/post.example.toml there and edit it"
        ) from error
    if len(text) > SETTINGS_BYTES_MAX:
        raise SettingsError(f"settings {path}: larger than {SETTINGS_BYTES_MAX} bytes")
    try:
        table = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings {path}: not valid TOML: {error}") from error
    try:
        settings = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"settings {path}: {_explain(str(error), table)}") from error
    try:
        _check(settings)
    except (SettingsError, TopicError) as error:
        raise SettingsError(f"settings {path}: {error}") from error
    directory = (path.parent / settings.directory).resolve()
    return msgspec.structs.replace(settings, directory=str(directory))


def _explain(message: str, table: dict[str, object]) -> str:
    """Add the value that is wrong to msgspec's sentence, which names only the key."""
    key = re.search(r"at `\$\.?([^`]*)`", message)
    if key is None:
        return message
    found: object = table
    for part in re.findall(r"[^.\[\]]+", key[1]):
        if isinstance(found, list) and part.isdigit():
            found = found[int(part)]
        elif isinstance(found, dict):
            found = found.get(part)
    return f"{key[1] or 'top level'} = {found!r}: {message}"


def _check(settings: Settings) -> None:
    """Insist on what types cannot say."""
    topics.check_name(settings.post)
    names = [topics.check_name(node.id) for node in settings.nodes]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"nodes: id {name!r} stands twice; every node needs its own")
    if settings.language not in LANGUAGES:
        raise SettingsError(f"language = {settings.language!r}: use one of {', '.join(LANGUAGES)}")
    broker = settings.broker
    if not is_loopback(broker.host):
        if not broker.external:
            raise SettingsError(
                f"broker.host = {broker.host!r}: the post's own broker listens on loopback only;"
                " use 127.0.0.1, or external = true"
            )
        if not (broker.ca_file and broker.certificate_file and broker.key_file):
            raise SettingsError(
                f"broker.host = {broker.host!r}: a broker beyond loopback needs ca_file,"
                " certificate_file and key_file"
            )
    url = urllib.parse.urlsplit(settings.authority.url)
    if settings.authority.url:
        plain = url.scheme == "http" and is_loopback(url.hostname or "")
        if not url.hostname or not (url.scheme == "https" or plain):
            raise SettingsError(
                f"authority.url = {settings.authority.url!r}: use https://..., or"
                " http:// to loopback"
            )
        if url.username or url.password:
            raise SettingsError("authority.url: no user or password in the address")
