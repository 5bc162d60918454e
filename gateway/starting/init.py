"""Make a post: settings, authority and certificates, the broker's files, database, administrator.

Rules of the file
- All or nothing. Everything is made in a folder of another name, on the disk before it gets its
  own: a power cut leaves a whole post or none.
- Nothing that exists is overwritten; an empty folder is taken.
- Secrets are closed from their first moment, and the password is said once and kept nowhere.
"""

import contextlib
import datetime as dt
import errno
import ipaddress
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from gateway import certificates, people, settings
from gateway.errors import SettingsError
from gateway.files import SECRET, sync_folder, write_new
from gateway.fleet.revocation import broker_lines
from gateway.ingest import door, secret
from gateway.ingest.mosquitto import access_list, configuration
from gateway.journal.store import FILE_NAME as JOURNAL_NAME
from gateway.journal.store import connect
from gateway.people import Person, Role
from gateway.settings import Settings
from gateway.starting import template
from protocol import topics
from protocol.errors import TopicError

SETTINGS_NAME: Final = "post.toml"
KEYS: Final = "keys"
STATE: Final = "state"
FOLDER_MODE: Final = 0o700
_PART: Final = ".harmattan-init-"  # an init that was killed leaves it behind


class Answers(msgspec.Struct, frozen=True):
    """What a new post is to be.

    Attributes:
        post: its name in topics and alerts.
        language: of the sentences in its log.
        listen: address of this machine on which nodes connect; empty: nobody but this machine.
        hosts: further names and addresses that the nodes find the broker by.
        nodes: that may speak; keys are made for each.
        administrator: name of the first person.
        port: of the broker on loopback.
        nodes_port: of its listener for nodes.
    """

    post: str
    language: str = "en"
    listen: str = ""
    hosts: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    administrator: str = "administrator"
    port: int = settings.BrokerSettings().port
    nodes_port: int = settings.NodeListenerSettings().port


class Made(msgspec.Struct, frozen=True):
    """A post that was made.

    Attributes:
        folder: of the post.
        files: in it, by their names within.
        broker_names: that its certificate is for; a node's `broker.name` must be one of them.
        administrator: name of the first person.
        password: of that person; it is kept nowhere.
    """

    folder: str
    post: str
    files: tuple[str, ...]
    broker_names: tuple[str, ...]
    administrator: str
    password: str


def make_post(folder: Path, answers: Answers, now: dt.datetime) -> Made:
    """Make a post in `folder`, whole or not at all.

    Args:
        folder: does not exist, or is empty.
        answers: what it is to be.
        now: when it is made.

    Raises:
        SettingsError: an answer will not do, or the folder cannot be made or is in use.
    """
    folder = folder.absolute()
    if folder.is_symlink():
        folder = folder.resolve()
    _check(answers)
    _check_folder(folder)
    password = people.draw_password()
    try:
        with _growing(folder) as part:
            _fill(part, folder, answers, password, now)
            made = sorted(path for path in part.rglob("*") if path.is_file())
            files = tuple(str(path.relative_to(part)) for path in made)
            _sync(part)
    except OSError as error:
        raise SettingsError(
            f"{folder}: {error.strerror}; nothing is made. Give this user the right to write there,"
            " free space on its disk, or choose another folder"
        ) from error
    names = _broker_names(answers)
    return Made(str(folder), answers.post, files, names, answers.administrator, password)


def _check(answers: Answers) -> None:
    """Insist on answers that will do.

    Raises:
        SettingsError: one will not; the option is named.
    """
    for option, name in (("--post", answers.post), *(("--node", node) for node in answers.nodes)):
        try:
            topics.check_name(name)
        except TopicError as error:
            raise SettingsError(f"{option}: {error}") from error
    if len(set(answers.nodes)) < len(answers.nodes):
        raise SettingsError("--node: a name stands twice; every node needs one of its own")
    name = answers.administrator
    if not 1 <= len(name) <= people.NAME_CHARS_MAX or not name.isprintable():
        raise SettingsError(
            f"--administrator {name[:80]!r}: use 1 to {people.NAME_CHARS_MAX} printable characters"
        )
    if answers.listen:
        try:
            ipaddress.ip_address(answers.listen)
        except ValueError:
            raise SettingsError(
                f"--listen {answers.listen[:80]!r}: use an IP address of this machine, or 0.0.0.0"
                " for all of them; names go to --host"
            ) from None
    for host in answers.hosts:
        if not 1 <= len(host) <= 253 or not host.isascii() or not host.isprintable() or " " in host:
            raise SettingsError(f"--host {host[:80]!r}: use a host's name or an IP address")


def _check_folder(folder: Path) -> None:
    if not folder.exists():
        if not folder.parent.is_dir():
            raise SettingsError(f"{folder.parent} is no folder; make it first, or choose another")
        return
    if not folder.is_dir():
        raise SettingsError(f"{folder} is a file; give a folder that does not exist or is empty")
    if (folder / SETTINGS_NAME).exists():
        raise SettingsError(
            f"{folder} holds a post already, which is never overwritten; `harmattan init --check"
            f" {folder}` looks at it"
        )
    left = sorted(path.name for path in folder.iterdir())
    if left:
        remedy = (
            "remove what an init that was cut short has left there"
            if left[0].startswith(_PART)
            else "give a folder that does not exist or is empty"
        )
        raise SettingsError(f"{folder} is not empty, it holds {left[0]!r}; {remedy}")


@contextlib.contextmanager
def _growing(folder: Path) -> Iterator[Path]:
    """Give a folder to be filled, and let it become `folder` when nothing went wrong.

    Where this user may write in `folder` but not beside it, as a service may, its content is moved
    in, the settings last: without them it is no post.
    """
    is_beside = True
    try:
        part = Path(tempfile.mkdtemp(prefix=_PART, dir=folder.parent))
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS} or not folder.exists():
            raise
        is_beside = False
        part = Path(tempfile.mkdtemp(prefix=_PART, dir=folder))
    try:
        part.chmod(FOLDER_MODE)
        yield part
        if is_beside:
            part.rename(folder)  # refused by the system when it is not empty
        else:
            _move(part, folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    # It is made. If this disk loses the new name after all, there is nothing, as before.
    with contextlib.suppress(OSError):
        sync_folder(folder.parent if is_beside else folder)


def _move(part: Path, folder: Path) -> None:
    folder.chmod(FOLDER_MODE)
    moved: list[Path] = []
    try:
        for path in sorted(part.iterdir(), key=lambda path: path.name == SETTINGS_NAME):
            sync_folder(folder)
            moved.append(path.rename(folder / path.name))
    except BaseException:
        for path in moved:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
        raise
    part.rmdir()


def _broker_names(answers: Answers) -> tuple[str, ...]:
    """Return what the broker's certificate is for: always a name that no address can change."""
    listen = answers.listen
    is_one = bool(listen) and not ipaddress.ip_address(listen).is_unspecified
    names = (f"gateway.{answers.post}", *answers.hosts, *((listen,) if is_one else ()))
    return tuple(dict.fromkeys(names))


def _fill(part: Path, folder: Path, answers: Answers, password: str, now: dt.datetime) -> None:
    """Make the post in `part`; it will be called `folder`."""
    text = _settings(answers)
    loaded = settings.parse(text.encode(), folder / SETTINGS_NAME)
    keys, state = part / KEYS, part / STATE
    now = certificates.made_on(now)
    for place in (keys, state):
        place.mkdir(mode=FOLDER_MODE)
    authority = certificates.make_authority(f"harmattan {answers.post}", now)
    certificates.write_authority(keys, authority, now)
    gateway = certificates.issue(
        authority, f"gateway.{answers.post}", now, hosts=_broker_names(answers)
    )
    certificates.write_gateway(keys, gateway)
    for node in answers.nodes:
        certificates.add_node(keys, authority, node, now)
    connect(state / JOURNAL_NAME).close()
    (state / JOURNAL_NAME).chmod(SECRET)
    _write_broker(state, loaded)
    first = Person(answers.administrator, Role.administrator, people.make_hash(password))
    write_new(state / people.FILE_NAME, people.encode((first,)), mode=SECRET)
    write_new(part / SETTINGS_NAME, text.encode(), mode=SECRET)


def _settings(answers: Answers) -> str:
    return template.fill(
        template.example(),
        {
            ("post",): answers.post,
            ("directory",): STATE,
            ("language",): answers.language,
            ("broker", "port"): answers.port,
            ("broker", "nodes", "host"): answers.listen,
            ("broker", "nodes", "port"): answers.nodes_port,
            ("broker", "nodes", "ca_file"): f"{KEYS}/{certificates.CA}",
            ("broker", "nodes", "certificate_file"): f"{KEYS}/{certificates.GATEWAY}",
            ("broker", "nodes", "key_file"): f"{KEYS}/{certificates.GATEWAY_KEY}",
            ("broker", "nodes", "crl_file"): f"{KEYS}/{certificates.CRL}",
        },
        answers.nodes,
    )


def _write_broker(state: Path, loaded: Settings) -> None:
    """Write what the broker is told, as each start of the gateway does, for people to read."""
    final = Path(loaded.directory)
    is_open = bool(loaded.broker.nodes.host)
    text = configuration(
        loaded.broker,
        final / "mosquitto.acl",
        passwords=final / secret.HASHED_NAME if is_open else None,
        nodes_count=len(loaded.nodes),
        node_lines=broker_lines(loaded.broker),
        own=door.path_in(final),
    )
    mode = 0o644 if os.geteuid() == 0 else SECRET  # as Broker writes them
    write_new(state / "mosquitto.conf", text.encode(), mode=mode)
    write_new(state / "mosquitto.acl", access_list(loaded.post).encode(), mode=mode)


def _sync(part: Path) -> None:
    """Put every name in the folder on the disk, and the database too."""
    for place, _, names in os.walk(part, topdown=False):
        for name in names:
            descriptor = os.open(Path(place) / name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(place))
