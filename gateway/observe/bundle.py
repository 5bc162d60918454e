"""`harmattan bundle FILE.zip`: what somebody who helps from afar needs to see, and no secret.

Everything in it is named here, one by one; nothing is left out of a copy of something larger. What
cannot be told, because the post is broken, is told as the fault that it gives. Not in it: frames,
spectra, verdicts, what officers scanned, keys, certificates, passwords, people, environment. The
log is not in it either: it names consignments; whoever asks for it gets it by hand.
"""

import io
import json
import os
import re
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
from rich.console import Console

from gateway import interpreter
from gateway import settings as loading
from gateway.errors import GatewayError, SettingsError
from gateway.files import shown
from gateway.journal.opening import look_at, shut
from gateway.journal.store import FILE_NAME
from gateway.lock import is_running
from gateway.masking import mask_in, mask_url
from gateway.observe import machine
from gateway.observe import status as observing
from gateway.observe.figures import read_figures
from gateway.observe.screen import show
from gateway.observe.state import read_state
from gateway.observe.versions import versions
from gateway.settings import Settings
from gateway.settings_faults import UnreadError

FILES_MAX: Final = 200  # of the post's folder that are listed
DOCTOR_S_MAX: Final = 120.0  # a check may wait for a network
WIDTH: Final = 120
HIDDEN: Final = "(not shown)"
SETTINGS_SHOWN: Final = frozenset(
    """
    post directory language
    broker.external broker.host broker.port broker.program
    broker.ca_file broker.certificate_file broker.key_file
    broker.nodes.host broker.nodes.port broker.nodes.ca_file broker.nodes.certificate_file
    broker.nodes.key_file broker.nodes.crl_file
    nodes.id nodes.integration_ms nodes.scans nodes.exposure nodes.period_s nodes.health_s
    nodes.window nodes.resend_ms nodes.standard
    authority.url authority.ca_file authority.timeout_s authority.retry_s_min authority.retry_s_max
    spectra.axis_uncertainty_cm1 spectra.calibration_days_max spectra.response_days_max
    spectra.library_directory screening.lists_directory
    journal.bytes_max journal.days_max journal.reserve_bytes
    ingest.node_messages_per_s ingest.node_bytes_per_s observe.metrics_port
    """.split()
)
"""Settings whose values are no secret; of files their names. Others are named without a value."""
_NO_LETTERS: Final = re.compile("[\ud800-\udfff]")  # bytes of a path, as Python keeps them
_TIME: Final = (1980, 1, 1, 0, 0, 0)  # of every entry; the bundle says itself when it was made

ABOUT: Final = """\
A support bundle of a Harmattan post, made by `harmattan bundle`.

versions.json   what runs there
settings.json   the settings in force, the authority's address cut behind its host
status.txt      what `harmattan status` shows; status.json the same
doctor.json     what `harmattan doctor` found
state.json      what the running gateway says of itself
counters.json   what was counted, by name and subject
figures.json    counts, room and lasting states of the journal, newest health of each node
schema.sql      the tables of the journal
files.json      files of the post's folder: name, size, mode, age
machine.json    memory, temperature, supply, load, disk

NAME.fault.txt  why a part is missing

No frames, spectra, verdicts or scans, no keys, certificates, passwords or people, and no log. If a
log is asked for: journalctl -u harmattan -p warning --since -2d > log.txt. Read it before you send
it: it names consignments.
"""


def run_bundle(settings_path: Path, target: Path) -> None:
    """Write the bundle.

    Raises:
        SettingsError: the settings cannot be read, or the file exists or cannot be written;
            nothing of it is left then.
    """
    content = zipped(collect(settings_path))
    try:
        # Made anew and for nobody else: it may lie in a folder that all can read.
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # it is carried away on a stick as soon as we end
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    except FileExistsError:
        raise SettingsError(f"{target} exists; name another file") from None
    except OSError as error:
        raise SettingsError(f"{target}: {error.strerror}; choose another place") from error
    sys.stdout.write(f"wrote {target}: {len(content):,} bytes; it holds no secret\n")


def zipped(parts: dict[str, str]) -> bytes:
    """Return a zip file with these texts."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            content = text.encode(errors="backslashreplace")  # of a path that is no letters
            archive.writestr(zipfile.ZipInfo(name, _TIME), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def collect(settings_path: Path) -> dict[str, str]:
    """Return the parts of the bundle by the name of their file."""
    parts = {"README.txt": ABOUT}
    always: dict[str, Callable[[], str]] = {
        "versions.json": lambda: _json({**versions(), "made_ms": _now_ms()}),
        "machine.json": _machine,
    }
    try:
        settings = loading.load(settings_path)
    except UnreadError:
        raise  # another user's post, or none: there is nothing to tell
    except GatewayError:  # its sentence repeats what stands there, whatever that is
        parts["settings.json.fault.txt"] = "`harmattan status` at the post says what is wrong\n"
        return parts | _told(always, "")
    directory = Path(settings.directory)
    return parts | _told(
        {
            **always,
            "settings.json": lambda: _json(shown_settings(settings)),
            "status.txt": lambda: _status_text(settings),
            "status.json": lambda: _json(_status(settings)),
            "doctor.json": lambda: _doctor(settings_path),
            "state.json": lambda: _json(read_state(directory)),
            "counters.json": lambda: _of_journal(directory, _counters),
            "figures.json": lambda: _of_journal(directory, lambda it: read_figures(it, directory)),
            "schema.sql": lambda: _of_journal(directory, _schema),
            "files.json": lambda: _json(_files(directory)),
        },
        settings.authority.url,
    )


def _told(parts: dict[str, Callable[[], str]], url: str) -> dict[str, str]:
    """Return each part, or the fault that it gives."""
    told = {}
    for name, tell in parts.items():
        try:
            told[name] = mask_in(tell(), url)
        except (
            *(GatewayError, OSError, UnicodeError),
            *(apsw.Error, subprocess.SubprocessError),
        ) as error:
            told[f"{name}.fault.txt"] = mask_in(f"{error}\n", url)
    return told


def shown_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings in force; the authority's address without what may be a token."""
    authority = msgspec.structs.replace(settings.authority, url=mask_url(settings.authority.url))
    shown: dict[str, Any] = _shown(
        msgspec.to_builtins(msgspec.structs.replace(settings, authority=authority)), ""
    )
    return shown


def _shown(found: Any, key: str) -> Any:  # noqa: ANN401 - whatever JSON can be
    """Return a part of the settings with only the values that are in SETTINGS_SHOWN."""
    if isinstance(found, dict):
        return {name: _shown(value, f"{key}.{name}".strip(".")) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return [_shown(value, key) for value in found]
    return found if key in SETTINGS_SHOWN else HIDDEN


def _status(settings: Settings) -> observing.Status:
    directory = Path(settings.directory)
    return observing.read(
        settings, directory / FILE_NAME, running=is_running(directory), now_ms=_now_ms()
    )


def _status_text(settings: Settings) -> str:
    stream = io.StringIO()
    show(_status(settings), Console(file=stream, width=WIDTH), _now_ms())
    return stream.getvalue()


def _doctor(settings_path: Path) -> str:
    """Return what the doctor says, by its own command, so that its end is not ours."""
    done = subprocess.run(
        interpreter.command("gateway", "doctor", "--json", "--settings", str(settings_path)),
        env=interpreter.environment(),
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=DOCTOR_S_MAX,
        check=False,
    )
    return done.stdout or done.stderr


def _of_journal(directory: Path, question: Callable[[apsw.Connection], object]) -> str:
    connection = look_at(directory / FILE_NAME)
    try:
        found = question(connection)
    finally:
        shut(connection)
    return found if isinstance(found, str) else _json(found)


def _counters(connection: apsw.Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT name, subject, count FROM counters").fetchall()


def _schema(connection: apsw.Connection) -> str:
    rows = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")
    return "\n".join(f"{sql};" for (sql,) in rows.fetchall()) + "\n"


def _files(directory: Path) -> list[dict[str, Any]]:
    """Return the files of the post's folder by their outside."""
    found = []
    for path in sorted(directory.iterdir())[:FILES_MAX]:
        try:
            outside = path.lstat()
        except FileNotFoundError:  # the post runs: a log that was folded in, say
            continue
        found.append(
            {
                "name": shown(Path(path.name)),
                "bytes": outside.st_size,
                "mode": stat.filemode(outside.st_mode),
                "owner": outside.st_uid,
                "age_s": round(time.time() - outside.st_mtime),
            }
        )
    return found


def _machine() -> str:
    return _json(
        {
            **msgspec.to_builtins(machine.look()),
            "load": os.getloadavg(),
            "cpus": os.cpu_count(),
            "user": os.geteuid(),
        }
    )


def _json(found: object) -> str:
    try:
        body = msgspec.json.encode(found, enc_hook=repr, order="sorted")
    except UnicodeEncodeError:  # the bytes of a path are no letters
        plain = msgspec.to_builtins(found, enc_hook=repr)
        text = json.dumps(plain, sort_keys=True, ensure_ascii=False)
        body = _NO_LETTERS.sub(lambda one: f"\\\\x{ord(one[0]) & 0xFF:02x}", text).encode()
    return msgspec.json.format(body, indent=1).decode() + "\n"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
