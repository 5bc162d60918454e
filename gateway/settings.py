"""The post's settings: one TOML file, every key with its range; see docs/post.example.toml.

Every complaint names the file, the line, the key, its value and what would do.
"""

import codecs
import ipaddress
import re
import tomllib
import urllib.parse
from pathlib import Path
from typing import Annotated

import msgspec

from gateway.errors import SettingsError
from gateway.masking import mask_any
from gateway.settings_faults import (
    VALUE_CHARS_MAX,
    SettingError,
    explain,
    placed,
    syntax,
    unread,
)
from protocol import limits, topics
from protocol.errors import TopicError

LANGUAGES = ("en", "fr", "ar", "es")
SETTINGS_BYTES_MAX = 1 << 20  # a post has tens of nodes; a file of 1 MiB is not a settings file
NAME_BYTES_MAX = 255  # of one file or folder; what Linux's file systems take
PATH_BYTES_MAX = 1_024  # of a whole path, with room for what is appended; the system takes 4,096
NODES_MAX = 1_000  # ledgers, queues and the broker's sessions of so many stay within 100 MB

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class NodeListenerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where our own broker listens for nodes with certificates; without a host, nowhere."""

    host: Annotated[str, msgspec.Meta(max_length=45)] = ""  # an address of this machine
    port: Port = 8883
    ca_file: str = ""  # that signed the nodes' certificates; all three come from `harmattan init`
    certificate_file: str = ""
    key_file: str = ""
    crl_file: str = ""  # revoked certificates; empty: crl.pem beside ca_file, where there is one


class BrokerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The MQTT broker: our own child on loopback, or an external one."""

    external: bool = False
    host: Annotated[str, msgspec.Meta(min_length=1, max_length=253)] = "127.0.0.1"
    port: Port = 18883
    program: str = "mosquitto"  # name on PATH, or a path
    ca_file: str = ""  # the three files are needed for an external broker beyond loopback
    certificate_file: str = ""
    key_file: str = ""
    nodes: NodeListenerSettings = NodeListenerSettings()


class NodeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node that may speak at this post, and how it measures."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.TOPIC_NAME_CHARS_MAX)]
    integration_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 400
    scans: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
    period_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 0
    health_s: Annotated[int, msgspec.Meta(ge=5, le=3_600)] = 300
    window: Annotated[int, msgspec.Meta(ge=1, le=limits.WINDOW_RECORDS_MAX)] = limits.WINDOW_RECORDS
    resend_ms: Annotated[int, msgspec.Meta(ge=limits.RESEND_MS_MIN, le=limits.RESEND_MS_MAX)] = (
        limits.RESEND_MS
    )
    # What lies before the probe when its button is held; gateway/spectra/tables/standards.csv.
    standard: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_CHARS_MAX)] = (
        "polystyrene"
    )


class AuthoritySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where alerts go. An empty url keeps them in the outbox."""

    url: Annotated[str, msgspec.Meta(max_length=2_048)] = ""
    ca_file: str = ""  # of the authority's own certification authority; empty: the system's
    timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=120)] = 20.0
    retry_s_min: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 1.0
    retry_s_max: Annotated[float, msgspec.Meta(ge=1, le=3_600)] = 300.0


class SpectraSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far the nodes' axes are trusted, and where the post's own library lies."""

    # How far an axis without calibration is searched for listed substances, only to name them.
    axis_uncertainty_cm1: Annotated[float, msgspec.Meta(ge=0.5, le=5.0)] = 4.0
    calibration_days_max: Annotated[int, msgspec.Meta(ge=1, le=365)] = 30
    response_days_max: Annotated[int, msgspec.Meta(ge=1, le=3_650)] = 365  # of intensities
    library_directory: str = "library"  # what is measured or installed here; may not exist


class ScreeningSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the post watches for beyond the shipped lists."""

    lists_directory: str = "lists"  # national watchlists, one TOML file each; may not exist


class JournalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much the journal keeps, and what of the disk stays free for alerts."""

    bytes_max: Annotated[int, msgspec.Meta(ge=100_000_000, le=10**13)] = 8_000_000_000
    days_max: Annotated[int, msgspec.Meta(ge=1, le=3_650)] = 365
    # Below so many free bytes no reading is taken in; verdicts and alerts still are.
    reserve_bytes: Annotated[int, msgspec.Meta(ge=1_000_000, le=10**12)] = 64_000_000


class IngestSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one node may send; more waits, and lasting excess puts it into quarantine."""

    node_messages_per_s: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    node_bytes_per_s: Annotated[int, msgspec.Meta(ge=10_000, le=100_000_000)] = 1_000_000


class ObserveSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the post is watched from outside."""

    metrics_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0  # on 127.0.0.1; 0: none


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a post needs to know; paths are relative to the settings file."""

    post: str
    directory: str = "."
    language: str = "en"
    broker: BrokerSettings = BrokerSettings()
    nodes: Annotated[tuple[NodeSettings, ...], msgspec.Meta(max_length=NODES_MAX)] = ()
    authority: AuthoritySettings = AuthoritySettings()
    spectra: SpectraSettings = SpectraSettings()
    screening: ScreeningSettings = ScreeningSettings()
    journal: JournalSettings = JournalSettings()
    ingest: IngestSettings = IngestSettings()
    observe: ObserveSettings = ObserveSettings()


def is_loopback(host: str) -> bool:
    """Say whether `host` names this machine and nothing else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
    except ValueError as error:  # a number of more digits than Python reads
        raise SettingsError(f"settings {path}: not valid TOML: {error}; mend that place") from error
    except RecursionError as error:
        raise SettingsError(
            f"settings {path}: not valid TOML: too many brackets within each other; this is another"
            " file"
        ) from error
    try:
        settings = msgspec.convert(table, Settings)
        _check(settings)
    except msgspec.ValidationError as error:
        raise placed(path, text, explain(str(error), table, Settings)) from error
    except SettingError as error:
        raise placed(path, text, error) from error
    return _absolute(settings, path.parent)


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


def _absolute(settings: Settings, folder: Path) -> Settings:
    """Return the settings with every path seen from the settings file's folder."""

    def resolve(name: str) -> str:
        return str((folder / name).resolve()) if name else ""

    broker, authority = settings.broker, settings.authority
    spectra, screening = settings.spectra, settings.screening
    return msgspec.structs.replace(
        settings,
        directory=resolve(settings.directory or "."),
        broker=msgspec.structs.replace(
            broker,
            ca_file=resolve(broker.ca_file),
            certificate_file=resolve(broker.certificate_file),
            key_file=resolve(broker.key_file),
            nodes=msgspec.structs.replace(
                broker.nodes,
                ca_file=resolve(broker.nodes.ca_file),
                certificate_file=resolve(broker.nodes.certificate_file),
                key_file=resolve(broker.nodes.key_file),
                crl_file=resolve(broker.nodes.crl_file),
            ),
        ),
        authority=msgspec.structs.replace(authority, ca_file=resolve(authority.ca_file)),
        spectra=msgspec.structs.replace(
            spectra, library_directory=resolve(spectra.library_directory)
        ),
        screening=msgspec.structs.replace(
            screening, lists_directory=resolve(screening.lists_directory)
        ),
    )


# -------------------------------------------------------------------- what types cannot say


def _check(settings: Settings) -> None:
    """Insist on what types cannot say.

    Raises:
        SettingError: names the key, its value and what would do.
    """
    _check_name("post", settings.post)
    ids = [node.id for node in settings.nodes]
    for index, name in enumerate(ids):
        _check_name(f"nodes[{index}].id", name)
        if name in ids[:index]:
            raise SettingError(
                f"nodes[{index}].id",
                f"nodes[{index}].id = {name!r} stands twice; every node needs an id of its own",
            )
    if settings.language not in LANGUAGES:
        raise SettingError(
            "language", f"language = {settings.language!r}: use one of {', '.join(LANGUAGES)}"
        )
    _check_paths(settings)
    _check_broker(settings.broker)
    _check_metrics_port(settings.observe.metrics_port, settings.broker)
    _check_authority(settings.authority)


def _check_name(key: str, name: str) -> None:
    try:
        topics.check_name(name)
    except TopicError:
        raise SettingError(
            key,
            f"{key} = {name[:VALUE_CHARS_MAX]!r}: use 1 to {limits.TOPIC_NAME_CHARS_MAX} of a-z,"
            " 0-9 and -, not beginning with -",
        ) from None


def _check_paths(settings: Settings) -> None:
    """Insist on what can be the name of a file; whether it is there is seen later."""
    broker, nodes = settings.broker, settings.broker.nodes
    paths = {
        "directory": settings.directory,
        "broker.program": broker.program,
        "spectra.library_directory": settings.spectra.library_directory,
        "screening.lists_directory": settings.screening.lists_directory,
        "authority.ca_file": settings.authority.ca_file,
    }
    for table, files in (("broker", broker), ("broker.nodes", nodes)):
        paths[f"{table}.ca_file"] = files.ca_file
        paths[f"{table}.certificate_file"] = files.certificate_file
        paths[f"{table}.key_file"] = files.key_file
    paths["broker.nodes.crl_file"] = nodes.crl_file
    for key, name in paths.items():
        parts = [part.encode(errors="surrogatepass") for part in name.split("/")]
        longest, whole = max(map(len, parts)), sum(map(len, parts)) + len(parts)
        if "\0" in name or longest > NAME_BYTES_MAX or whole > PATH_BYTES_MAX:
            shown = mask_any(name) if key.startswith("authority.") else name
            raise SettingError(
                key,
                f"{key} = {shown[:VALUE_CHARS_MAX]!r} can be no file's name: use at most"
                f" {PATH_BYTES_MAX} bytes, {NAME_BYTES_MAX} between two slashes, none of them zero",
            )
    if not broker.external and not broker.program.strip():
        raise SettingError(
            "broker.program",
            f"broker.program = {broker.program!r}: use the name of the broker on PATH, such as"
            " mosquitto, or its path",
        )


def _check_metrics_port(port: int, broker: BrokerSettings) -> None:
    taken = {} if broker.external and not is_loopback(broker.host) else {"broker.port": broker.port}
    if broker.nodes.host:
        taken["broker.nodes.port"] = broker.nodes.port
    for name, other in taken.items():
        if port == other:
            raise SettingError(
                "observe.metrics_port",
                f"observe.metrics_port = {port} is {name} too; give each a port of its own",
            )


def _check_broker(broker: BrokerSettings) -> None:
    files = (broker.ca_file, broker.certificate_file, broker.key_file)
    if any(files) and not all(files):
        raise SettingError(
            "broker." + ("ca_file" if files[0] else "certificate_file" if files[1] else "key_file"),
            "broker: ca_file, certificate_file and key_file belong together; give all three or"
            " none",
        )
    if any(files) and not broker.external:
        raise SettingError(
            "broker.ca_file",
            "broker.ca_file: the post's own broker listens on loopback without certificates; leave"
            " the three files out, or set external = true",
        )
    _check_listener(broker)
    if is_loopback(broker.host):
        return
    if not broker.external:
        raise SettingError(
            "broker.host",
            f"broker.host = {broker.host!r}: the post's own broker listens on loopback only;"
            " use 127.0.0.1, or external = true",
        )
    if not all(files):
        raise SettingError(
            "broker.host",
            f"broker.host = {broker.host!r}: a broker beyond loopback needs ca_file,"
            " certificate_file and key_file",
        )


def _check_listener(broker: BrokerSettings) -> None:
    nodes = broker.nodes
    files = (nodes.ca_file, nodes.certificate_file, nodes.key_file)
    if not nodes.host:
        return  # the files may be ready before somebody lets nodes in
    if broker.external:
        raise SettingError(
            "broker.nodes.host",
            f"broker.nodes.host = {nodes.host!r}: an external broker has listeners of its own;"
            " leave [broker.nodes] out, or set external = false",
        )
    try:
        ipaddress.ip_address(nodes.host)
    except ValueError:
        raise SettingError(
            "broker.nodes.host",
            f"broker.nodes.host = {nodes.host[:VALUE_CHARS_MAX]!r}: use an IP address of this"
            " machine, or 0.0.0.0 for all of them",
        ) from None
    if not all(files):
        raise SettingError(
            "broker.nodes.host",
            f"broker.nodes.host = {nodes.host!r}: nodes with certificates need ca_file,"
            " certificate_file and key_file; `harmattan init` makes them",
        )
    paths = dict(zip(("ca_file", "certificate_file", "key_file"), files, strict=True))
    for name, path in (paths | {"crl_file": nodes.crl_file or nodes.ca_file}).items():
        if not re.fullmatch(r"[^\x00-\x1f]{1,1024}", path) or path != path.strip():
            raise SettingError(
                f"broker.nodes.{name}",
                f"broker.nodes.{name} = {path[:VALUE_CHARS_MAX]!r} cannot be told to the broker;"
                " choose a path without control characters and outer blanks",
            )
    if nodes.port == broker.port:
        raise SettingError(
            "broker.nodes.port",
            f"broker.nodes.port = {nodes.port} is broker.port too; nodes need a port of their own",
        )


def _check_authority(authority: AuthoritySettings) -> None:
    if authority.retry_s_min > authority.retry_s_max:
        raise SettingError(
            "authority.retry_s_min",
            f"authority.retry_s_min = {authority.retry_s_min:g} is above retry_s_max ="
            f" {authority.retry_s_max:g}; the first wait must not be the longest",
        )
    if not authority.url:
        return
    key, shown = "authority.url", mask_any(authority.url)  # no password, no token
    wrong = f"{key} = {shown[:VALUE_CHARS_MAX]!r}"
    advice = "use https://host/path, or http:// to loopback (127.0.0.1, localhost)"
    if not re.fullmatch(r"[!-\[\]-~]+", authority.url):
        raise SettingError(
            key, f"{wrong} has a blank, a backslash or a letter beyond ASCII; {advice}"
        )
    try:
        url = urllib.parse.urlsplit(authority.url)
        host, _ = url.hostname or "", url.port
    except ValueError as error:
        raise SettingError(key, f"{wrong}: {error}; {advice}") from error
    is_plain = url.scheme == "http" and is_loopback(host)
    if not host or not (url.scheme == "https" or is_plain):
        raise SettingError(key, f"{wrong}: {advice}")
    if url.username is not None or url.password is not None:
        raise SettingError(
            key,
            "authority.url holds a user or password, which would be logged; leave them out",
        )
