"""What types cannot say of the settings: how keys must fit each other, names, paths, addresses."""

import ipaddress
import re
import urllib.parse

from gateway.masking import mask_any
from gateway.settings_faults import VALUE_CHARS_MAX, SettingError
from gateway.settings_keys import AuthoritySettings, BrokerSettings, Settings
from protocol import limits, topics
from protocol.errors import TopicError

LANGUAGES = ("en", "fr", "ar", "es")
NAME_BYTES_MAX = 255  # of one file or folder; what Linux's file systems take
PATH_BYTES_MAX = 1_024  # of a whole path, with room for what is appended; the system takes 4,096


def check(settings: Settings) -> None:
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


def is_loopback(host: str) -> bool:
    """Say whether `host` names this machine and nothing else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
