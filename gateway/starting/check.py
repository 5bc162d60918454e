"""Look at a post before it runs: settings, modes, certificates, database, people, broker.

Each fault is one sentence with its remedy. Nothing in the post's folder is changed.
"""

import datetime as dt
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from gateway import certificates, people, settings
from gateway.errors import JournalError, SettingsError
from gateway.fleet import nodes_file
from gateway.ingest.secret import SECRET_NAME
from gateway.journal.opening import FILE_NAME as JOURNAL_NAME
from gateway.journal.opening import connect_immutable, look_at, no_file, shut
from gateway.settings import Settings
from gateway.settings_faults import SettingError, UnreadError
from gateway.starting.check_broker import check_broker
from gateway.starting.check_certificates import check_certificates
from gateway.starting.findings import Found, Report
from gateway.starting.init import SETTINGS_NAME, left_behind, whole_path

OTHERS: Final = 0o077  # whatever group and others may do


def check(folder: Path, now: dt.datetime) -> Report:
    """Look at the post in `folder`.

    Args:
        folder: of the post.
        now: to judge dates by.

    Raises:
        SettingsError: there is no post.
    """
    path = folder / SETTINGS_NAME
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise SettingsError(
            f"{path} does not exist, so {folder} is no post; `harmattan init {folder}` makes one"
        ) from None
    except OSError:
        pass  # reading it says why
    try:
        loaded = settings.load(path)
        _check_standards(loaded, path)
    except UnreadError:
        raise
    except SettingsError as error:
        return Report(str(folder), ("settings",), (Found("settings", str(error)),))
    subjects: dict[str, Callable[[], Iterator[Found]]] = {
        "modes": lambda: check_modes(folder, loaded),
        "certificates": lambda: check_certificates(loaded, now),
        "database": lambda: check_database(loaded),
        "people": lambda: check_people(loaded),
        "nodes": lambda: check_nodes(loaded),
        "broker": lambda: check_broker(loaded),
    }
    found = [one for look in subjects.values() for one in look()]
    return Report(str(folder), ("settings", *subjects), tuple(found))


def _check_standards(loaded: Settings, path: Path) -> None:
    from gateway.post import check_standards  # noqa: PLC0415 - numpy; see gateway/cli.py

    try:
        check_standards(loaded)
    except SettingError as error:
        raise settings.place(path, error) from error


# ------------------------------------------------------------------------------------- modes


def check_modes(folder: Path, loaded: Settings) -> Iterator[Found]:
    """Look at who may read what."""
    directory = Path(loaded.directory)
    if directory.exists() and not directory.is_dir():
        yield Found("modes", f"directory = {directory} is a file; name a folder in the settings")
        return
    for place in dict.fromkeys((folder, directory)):
        if place.is_dir() and _mode(place) & 0o022:
            yield Found(
                "modes",
                f"{place} can be written by others (mode {_mode(place):04o}); chmod 0700 {place}",
            )
    for path in left_behind(whole_path(folder)):
        text = f"{path} was left by an init that was killed; its keys are of no post: remove it"
        yield Found("modes", text, is_fault=False)
    nodes = loaded.broker.nodes
    named = [Path(name) for name in (nodes.key_file, loaded.broker.key_file) if name]
    keys = [Path(nodes.ca_file).with_name(certificates.CA_KEY)] if nodes.ca_file else []
    own = [directory / name for name in (people.FILE_NAME, JOURNAL_NAME, SECRET_NAME)]
    for path in dict.fromkeys((*named, *keys, *own)):
        if path.exists() and _mode(path) & OTHERS:
            yield Found(
                "modes",
                f"{path} can be read by others (mode {_mode(path):04o}); chmod 0600 {path}",
            )
        if path.exists() and not os.access(path, os.R_OK):
            yield Found("modes", f"{path} may not be read by this user; chown it to the gateway's")
    if keys and keys[0].exists():
        yield Found(
            "modes",
            f"{keys[0]} makes any node: keep it apart from the post, and give it to `harmattan"
            " nodes revoke --authority-key` when it is needed",
            is_fault=False,
        )


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ------------------------------------------------------------------ database, people, nodes


def check_database(loaded: Settings) -> Iterator[Found]:
    """Look whether the journal can be opened by this gateway."""
    path = Path(loaded.directory) / JOURNAL_NAME
    if told := no_file(path):
        yield Found("database", told)
        return
    if not path.exists():
        yield Found(
            "database", f"{path} does not exist; `harmattan run` makes a new one", is_fault=False
        )
        return
    try:
        # Without a log there is nothing that SQLite's own files would be needed for, and looking
        # in the ordinary way would leave them behind, which changes the post.
        has_log = path.with_name(path.name + "-wal").exists()
        shut(look_at(path) if has_log else connect_immutable(path))
    except JournalError as error:
        yield Found("database", str(error), is_fault="start the gateway once" not in str(error))


def check_people(loaded: Settings) -> Iterator[Found]:
    """Look whether somebody may administer the post."""
    directory = Path(loaded.directory)
    if not (directory / people.FILE_NAME).exists():
        yield Found(
            "people",
            f"{directory / people.FILE_NAME} does not exist, so nobody administers this post;"
            " put it back from a copy",
            is_fault=False,
        )
        return
    try:
        known = people.load(directory)
    except SettingsError as error:
        yield Found("people", str(error))
        return
    if not any(person.role is people.Role.administrator for person in known):
        yield Found(
            "people",
            f"{directory / people.FILE_NAME} names no administrator; put it back from a copy",
        )


def check_nodes(loaded: Settings) -> Iterator[Found]:
    """Look at what people have said of the nodes."""
    try:
        kept = nodes_file.read(Path(loaded.directory))
    except SettingsError as error:
        yield Found("nodes", str(error))
        return
    if not loaded.nodes:
        yield Found(
            "nodes",
            "the settings name no node, so nothing is measured here; add [[nodes]] for each",
            is_fault=False,
        )
    for name in sorted(kept.revoked - {node.id for node in loaded.nodes}):
        yield Found(
            "nodes",
            f"node {name!r} is revoked and not in the settings, which is right if it is gone",
            is_fault=False,
        )
