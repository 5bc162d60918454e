"""Make a post: settings, authority and certificates, the broker's files, database, administrator.

Rules of the file
- All or nothing. Everything is made in a folder of another name, on the disk before it gets its
  own: a power cut leaves a whole post or none.
- Nothing that exists is overwritten. An empty folder is filled where it is: it may be a disk's, or
  somebody's terminal stands in it. The settings come last: without them it is no post.
- Who makes a post holds its folder locked. One that nobody holds was left behind by a kill; it is
  named, and removed by people.
- Secrets are closed from their first moment, and the password is said once and kept nowhere.
"""

import contextlib
import datetime as dt
import errno
import fcntl
import ipaddress
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from gateway import certificates, people, settings
from gateway.errors import JournalError, KeysError, SettingsError
from gateway.files import SECRET, is_looped, not_utf8, sync_folder, write_new
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
_DISKS_OWN: Final = "lost+found"  # in the top folder of a disk, which is empty otherwise
_FILLED: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST})
_RIGHTS: Final = frozenset({errno.EACCES, errno.EPERM})


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
        left: folders that inits which were killed have left beside it.
    """

    folder: str
    post: str
    files: tuple[str, ...]
    broker_names: tuple[str, ...]
    administrator: str
    password: str
    left: tuple[str, ...] = ()


def make_post(folder: Path, answers: Answers, now: dt.datetime) -> Made:
    """Make a post in `folder`, whole or not at all.

    Args:
        folder: does not exist, or is empty.
        answers: what it is to be.
        now: when it is made.

    Raises:
        SettingsError: an answer will not do, or the folder cannot be made or is in use.
    """
    folder = whole_path(folder)
    _check(answers)
    password = people.draw_password()
    try:
        _check_folder(folder)
        with _growing(folder) as part:
            _fill(part, folder, answers, password, now)
            made = sorted(path for path in part.rglob("*") if path.is_file())
            files = tuple(str(path.relative_to(part)) for path in made)
            _sync(part)
    except JournalError as error:
        raise SettingsError(
            f"{folder}: its database cannot be made: {error.__cause__ or error}; nothing is made."
            " Free space on its disk, or choose another folder"
        ) from error
    except OSError as error:
        if error.errno in _FILLED:
            _check_folder(folder)  # which says by what, as a rule
        raise SettingsError(
            f"{folder}: {error.strerror}; nothing is made. {_remedy(error)}, or choose another"
            " folder"
        ) from error
    names, left = _broker_names(answers), tuple(map(str, left_behind(folder)))
    return Made(str(folder), answers.post, files, names, answers.administrator, password, left)


def unmake(folder: Path, *, is_new: bool) -> None:
    """Take away a post that was just made, of which nobody was told.

    Args:
        folder: of the post.
        is_new: it was not there before, and goes too.

    Raises:
        SettingsError: it cannot be.
    """
    try:
        (folder / SETTINGS_NAME).unlink()  # from now on it is none
        for path in folder.iterdir():
            if path.name != _DISKS_OWN:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if is_new:
            folder.rmdir()
    except OSError as error:
        raise SettingsError(
            f"{folder}: a post was made there and its password could not be shown; remove what is"
            f" in it, which failed: {error.strerror}"
        ) from error


def _remedy(error: OSError) -> str:
    if error.errno in _FILLED:
        return "Another `harmattan init` was quicker: look at what it has made there"
    if error.errno in _RIGHTS:
        return "Give this user the right to write there"
    if error.errno == errno.EROFS:
        return "Have its disk mounted for writing"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "Free space on its disk"
    return "See that its disk is well"


def whole_path(folder: Path) -> Path:
    """Return the path of a folder from the root.

    Raises:
        SettingsError: it is seen from a folder that has been removed, links lead in a circle, or
            its name is not UTF-8.
    """
    try:
        found = folder.absolute()
        if is_looped(found):
            raise SettingsError(f"{folder}: links lead in a circle; choose another folder")
        whole = found.resolve() if found.is_symlink() or ".." in found.parts else found
    except FileNotFoundError as error:
        raise SettingsError(
            "the folder that this terminal stands in has been removed; change to one that exists"
        ) from error
    except OSError as error:
        raise SettingsError(f"{folder}: {error.strerror}; choose another folder") from error
    if told := not_utf8(whole):
        raise SettingsError(told)
    return whole


def left_behind(folder: Path) -> list[Path]:
    """Return what inits that were killed have left in a post's folder and beside it."""
    found: list[Path] = []
    for place in (folder, folder.parent):
        with contextlib.suppress(OSError):
            found += [path for path in sorted(place.glob(f"{_PART}*")) if not _is_held(path)]
    return found


def _hold(part: Path) -> int:
    """Lock a folder for as long as the descriptor is open; it is returned."""
    descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _is_held(part: Path) -> bool:
    """Say whether a running init fills this folder."""
    try:
        descriptor = os.open(part, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


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
    is_long = len(name) > people.NAME_CHARS_MAX
    if is_long or not name or not name.isprintable() or name != name.strip():
        raise SettingsError(
            f"--administrator {name[:80]!r}: use 1 to {people.NAME_CHARS_MAX} printable characters"
            " without outer blanks"
        )
    if answers.port == answers.nodes_port:
        raise SettingsError(
            f"--nodes-port {answers.nodes_port} is --port too; nodes need a port of their own"
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
        try:
            certificates.check_host(host)
        except KeysError as error:
            raise SettingsError(str(error)) from error


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
    left = sorted(path for path in folder.iterdir() if path.name != _DISKS_OWN)
    if left:
        remedy = "give a folder that does not exist or is empty"
        if left[0].name.startswith(_PART):
            remedy = (
                "another `harmattan init` is making a post there, wait for it"
                if _is_held(left[0])
                else "remove what an init that was cut short has left there"
            )
        raise SettingsError(f"{folder} is not empty, it holds {left[0].name!r}; {remedy}")


@contextlib.contextmanager
def _growing(folder: Path) -> Iterator[Path]:
    """Give a folder to be filled, and let it become `folder` when nothing went wrong.

    Where `folder` exists, its content is moved in.
    """
    is_new = not folder.exists()
    part = Path(tempfile.mkdtemp(prefix=_PART, dir=folder.parent if is_new else folder))
    held = _hold(part)
    try:
        part.chmod(FOLDER_MODE)
        yield part
        if is_new:
            part.rename(folder)  # refused by the system when somebody has filled it meanwhile
        else:
            _move(part, folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    finally:
        os.close(held)
    # It is made. If this disk loses the new name after all, there is nothing, as before.
    with contextlib.suppress(OSError):
        sync_folder(folder.parent if is_new else folder)


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
    names = (certificates.broker_name(answers.post), *answers.hosts, *((listen,) if is_one else ()))
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
    names = _broker_names(answers)
    gateway = certificates.issue(authority, names[0], now, hosts=names)
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
    own = door.path_in(final)
    text = configuration(
        loaded.broker,
        final / "mosquitto.acl" if is_open or own else None,
        passwords=final / secret.HASHED_NAME if is_open else None,
        nodes_count=len(loaded.nodes),
        node_lines=broker_lines(loaded.broker),
        own=own,
    )
    mode = 0o644 if os.geteuid() == 0 else SECRET  # as Broker writes them
    write_new(state / "mosquitto.conf", text.encode(), mode=mode)
    access = access_list(loaded.post, [node.id for node in loaded.nodes], is_local=not is_open)
    write_new(state / "mosquitto.acl", access.encode(), mode=mode)


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
