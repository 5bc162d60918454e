"""`harmattan backup` and `harmattan export`: copy or read out a journal while the post runs."""

import datetime as dt
import time
from pathlib import Path

import msgspec
from rich.console import Console

from gateway.errors import SettingsError
from gateway.files import not_utf8, shown
from gateway.journal import backup, export
from gateway.journal.logged import misfit
from gateway.journal.opening import FILE_NAME
from gateway.journal.telling import Wanted, utc
from gateway.settings import Settings


def run_backup(settings: Settings, target: Path, *, as_json: bool, console: Console) -> None:
    """Copy the post's journal into a new file, and say so.

    Raises:
        JournalError: there is no good copy, and no file of that name.
    """
    _check_name(target)
    begun_s = time.monotonic()
    made = backup.make(
        Path(settings.directory),
        target,
        reserve_bytes=settings.journal.reserve_bytes,
        now_ms=time.time_ns() // 1_000_000,
    )
    if as_json:
        console.file.write(msgspec.json.encode(made).decode() + "\n")
        return
    console.print(
        f"{made.file}: {made.records} records, {made.bytes / 1e6:.1f} MB, checked, in"
        f" {time.monotonic() - begun_s:.1f} s. Keep it on another machine; `harmattan docs"
        " gateway#backup` says how to go back to it.",
        soft_wrap=True,
        highlight=False,
    )


def run_export(
    settings: Settings | None,
    journal: Path | None,
    target: Path,
    wanted: Wanted,
    *,
    as_json: bool,
    console: Console,
) -> None:
    """Write records into a new ZIP file, and say how many.

    Args:
        settings: of the post; None: `journal` is given.
        journal: a backup, or a file that was set aside, instead of the post's.
        target: the new file.
        wanted: which records.
        as_json: one JSON object instead of a sentence.
        console: where to.

    Raises:
        JournalError: it cannot be read, or the file not be written.
    """
    _check_name(target)
    path = journal
    reserve_bytes = 0
    if settings is not None:
        path = Path(settings.directory) / FILE_NAME
        reserve_bytes = settings.journal.reserve_bytes
    if path is None:
        raise SettingsError("give the settings of a post, or --journal FILE")
    if settings is None:
        _insist_on_file(path)
    since_ms, until_ms = wanted.since_ms, wanted.until_ms
    if since_ms is not None and until_ms is not None and since_ms >= until_ms:
        raise SettingsError(
            f"--since {utc(since_ms)} is not before --until {utc(until_ms)}: nothing lies between"
        )
    made = export.make(
        path,
        target,
        wanted,
        reserve_bytes=reserve_bytes,
        now_ms=time.time_ns() // 1_000_000,
        nodes=tuple(node.id for node in settings.nodes) if settings is not None else (),
    )
    if as_json:
        console.file.write(msgspec.json.encode(made).decode() + "\n")
        return
    lost = f", {made.unreadable} could not be read" if made.unreadable else ""
    if made.incomplete:
        lost += f", of {made.incomplete} records not all that is known of them"
    if made.withheld:
        lost += f", of {made.withheld} documents and codes not what they say (--documents gives it)"
    console.print(
        f"{target.absolute()}: {made.records} records, {made.alerts} alerts{lost}. README.txt in it"
        " says what is where.",
        soft_wrap=True,
        highlight=False,
    )


def _insist_on_file(path: Path) -> None:
    """Insist that there is something to be read; nothing is made under the name that was given.

    Raises:
        SettingsError: there is not.
    """
    if not_utf8(path.absolute()):
        raise SettingsError(
            f"--journal {shown(path)}: SQLite opens no file whose name or folder is not UTF-8; copy"
            " it, together with what lies beside it under the same name"
        )
    if path.is_dir():
        raise SettingsError(f"--journal {path}: it is a folder; name the file in it ({FILE_NAME})")
    try:  # of a journal whose file is missing, the log beside it can be read
        if not path.exists() and not misfit(path, is_alone=True):
            raise SettingsError(
                f"--journal {path}: there is no such file; name a backup, or a journal that was set"
                " aside"
            )
    except OSError as error:
        raise SettingsError(f"--journal {path}: {error.strerror}") from error


def _check_name(target: Path) -> None:
    """Insist on a name that can be told afterwards, before anything is written.

    Raises:
        SettingsError: it is not UTF-8.
    """
    if told := not_utf8(target.absolute()):
        raise SettingsError(told)


def moment_ms(text: str, *, is_end: bool = False) -> int | None:
    """Return the Unix milliseconds of a date or a moment; None when nothing is given.

    Args:
        text: like 2026-11-22, or 2026-11-22T08:30 with or without a zone; without one it is UTC.
        is_end: a date means the end of that day.

    Raises:
        SettingsError: it is neither.
    """
    if not text:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"{text!r} is no date: give one like 2026-11-22 or 2026-11-22T08:30+00:00"
        ) from None
    if len(text) <= len("2026-11-22") and is_end:
        try:
            moment += dt.timedelta(days=1)
        except OverflowError:  # the last day that a calendar has
            return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return round(moment.timestamp() * 1_000)
