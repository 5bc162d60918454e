"""The journal's file: what was receipted stands nowhere else."""

from pathlib import Path
from typing import Final

import msgspec

from gateway.doctor.finding import Found, bad, check, look, ok, unknown
from gateway.doctor.scene import Scene
from gateway.journal.backup import LAST_NAME, Backup
from gateway.journal.integrity import POSTURE as FRAMES_DAMAGED
from gateway.journal.log import named as named_readers
from gateway.journal.log import readers
from gateway.journal.opening import no_file
from gateway.journal.setting_aside import FOLDER_PREFIX
from gateway.journal.setting_aside import POSTURE as SET_ASIDE
from gateway.journal.store import SCHEMA_VERSION
from gateway.units import DAY_S, HOUR_S, MINUTE_S, age, named, size, span

WAL_BYTES_LOOK: Final = 64_000_000  # a reader that stays for minutes makes it that long
WAL_BYTES_BAD: Final = 1_000_000_000
CHECK_DAYS_LOOK: Final = 15  # a full check is due every seven days; two were missed
FULL_SHARE_LOOK: Final = 1.05  # of bytes_max: eviction goes on in small steps
FULL_SHARE_BAD: Final = 1.25
KEPT_DAYS_LOOK: Final = 7  # fewer are not enough to look at what passed last week
PENDING_S_LOOK: Final = 10 * MINUTE_S  # an inspection is over long before
PENDING_S_BAD: Final = 6 * HOUR_S
BACKUP_DAYS_LOOK: Final = 30
UNBEGUN: Final = "The gateway could not begin it: mostly its disk is full."
BEGIN: Final = (
    "Free space on its disk (`disk.free`). A gateway that runs goes on by itself; else start it."
)
ANEW: Final = (
    "Start the gateway anew: at its start it sets the file aside, keeps what can be read and goes"
    " on. Then test the disk."
)


@check(
    "database.opens",
    cause="It was never started here, the disk is failing, or the file was copied while in use.",
    remedy="Missing: start the gateway once, or mend `directory`. Damaged: start the gateway; it"
    " sets the file aside, keeps what can be read and goes on.",
)
def opens(scene: Scene) -> Found:
    """It can be read, and what every question needs of it is whole."""
    journal = scene.journal
    if not scene.directory.is_dir():
        return bad(
            f"{scene.directory} is no folder",
            cause="`directory` in the settings names another folder, or its disk is not mounted.",
            remedy=f"Mend `directory` in {scene.settings_path.name}, or mount the disk.",
        )
    if told := no_file(journal.path):
        text, _, remedy = told.partition("; ")
        cause = "Somebody made it so, or the disk that it leads to is not mounted."
        return bad(text, cause=cause, remedy=f"{remedy.capitalize()}.")
    if journal.is_empty:
        return bad(f"{journal.path.name}: {journal.fault}", cause=UNBEGUN, remedy=BEGIN)
    if journal.fault:
        return bad(f"{journal.path.name}: {journal.fault}")
    if journal.without_log:
        return look(
            f"{journal.path.name} was read without its -wal: the newest changes are not seen",
            cause="The -shm beside it is missing: the file was copied, or another user's.",
            remedy="Run the doctor as the user of the gateway, or start the gateway.",
        )
    if journal.damage:
        return bad(f"{journal.path.name}: {journal.damage}", remedy=ANEW if scene.running else "")
    return ok(f"{journal.path.name}, {size(journal.path.stat().st_size)}")


@check(
    "database.version",
    cause="Another edition of the gateway wrote it.",
    remedy="Older: start the gateway once, it brings the file up to date. Newer: install the"
    " edition that wrote it again.",
)
def version(scene: Scene) -> Found:
    """This edition knows its tables."""
    found = scene.journal.version
    if found > SCHEMA_VERSION:
        return bad(f"schema {found}, this edition knows {SCHEMA_VERSION}")
    if found < SCHEMA_VERSION:
        return look(f"schema {found}, this edition writes {SCHEMA_VERSION}")
    return ok(f"schema {found}")


@check(
    "database.log",
    cause="Another program holds the file open and reads for a long time: a copy, a browser.",
    remedy="End the program that it names, or find it (`fuser -v journal.sqlite`); the log then"
    " becomes short by itself.",
)
def log(scene: Scene) -> Found:
    """How long the write-ahead log is."""
    path = scene.journal.path.with_name(scene.journal.path.name + "-wal")
    count = path.stat().st_size if path.exists() else 0
    text = f"write-ahead log of {size(count)}"
    reading = named_readers(readers(scene.journal.path))
    if reading and count >= WAL_BYTES_LOOK:
        text += f"; {reading} reads the journal"
    if count >= WAL_BYTES_BAD:
        return bad(text)
    return look(text) if count >= WAL_BYTES_LOOK else ok(text)


@check(
    "database.damaged",
    cause="The file was damaged, by the disk, a power cut or a hand; the gateway began a new one.",
    remedy="Test the disk. Keep the folder as evidence until somebody has looked, then move it"
    " away.",
)
def damaged(scene: Scene) -> Found:
    """Whether damaged files were set aside."""
    folders = sorted(each.name for each in scene.directory.glob(f"{FOLDER_PREFIX}*"))
    if folders:
        told = "" if scene.journal.fault else scene.postures.get(SET_ASIDE, "")
        return look(f"set aside: {named(folders)}" + (f"; {told}" if told else ""))
    return ok("none was set aside")


@check(
    "database.integrity",
    cause="The disk loses or changes what was written.",
    remedy="A fault: test and replace the disk, and keep a copy of the folder. Long ago: let the"
    " gateway run; it checks everything in the background every seven days.",
)
def integrity(scene: Scene) -> Found:
    """What the last full check found, and when."""
    damaged_frames = scene.postures.get(FRAMES_DAMAGED, "")
    if damaged_frames:
        return bad(damaged_frames)
    rows = scene.journal.rows("SELECT checked_ms, fault FROM integrity")
    checked_ms, fault = rows[0] if rows else (None, "")
    if fault:
        return bad(fault)
    if checked_ms is None:
        return ok("not yet checked as a whole: the first check is still to come")
    text = f"checked as a whole {age(checked_ms, scene.now_ms)}, no fault"
    overdue = scene.now_ms - checked_ms > 1_000 * CHECK_DAYS_LOOK * DAY_S
    return look(text) if overdue else ok(text)


@check(
    "database.size",
    cause="What may not be evicted (readings behind alerts, unjudged ones) takes all the room.",
    remedy="Raise `journal.bytes_max` if the disk has room; look at `outbox` and"
    " `database.pending`.",
)
def used(scene: Scene) -> Found:
    """How much of what the settings allow is used."""
    pages, free, page = (
        scene.journal.one(f"PRAGMA {name}")
        for name in ("page_count", "freelist_count", "page_size")
    )
    count, allowed = (pages - free) * page, scene.settings.journal.bytes_max
    text = f"{size(count)} of {size(allowed)}"
    if count > FULL_SHARE_BAD * allowed:
        return bad(text)
    return look(text) if count > FULL_SHARE_LOOK * allowed else ok(text)


@check(
    "database.evictions",
    cause="`journal.bytes_max` is small for what is measured here, so that old readings go early.",
    remedy="Raise `journal.bytes_max`, take a larger disk, or export regularly.",
)
def evictions(scene: Scene) -> Found:
    """What was evicted, and how far back readings still go."""
    rows = scene.journal.rows("SELECT evicted, bytes FROM retention")
    evicted, count = rows[0] if rows else (0, 0)
    if not evicted:
        return ok("nothing was evicted")
    text = f"{evicted} readings ({size(count)}) evicted since the journal began"
    oldest = scene.journal.rows(
        "SELECT r.received_ms FROM evictable e JOIN records r ON r.id = e.record_id"
        " ORDER BY e.record_id LIMIT 1"
    )
    kept_s = (scene.now_ms - oldest[0][0]) / 1_000 if oldest else 0.0
    days_min = min(KEPT_DAYS_LOOK, scene.settings.journal.days_max)
    if kept_s < days_min * DAY_S:
        return look(f"{text}; what may be evicted goes back {span(kept_s)} only")
    return ok(f"{text}; kept are {span(kept_s)}")


@check(
    "database.pending",
    cause="Readings come faster than they are judged, the judges met a fault, or all had to be"
    " judged again.",
    remedy="Look at `machine.load` and `gateway.faults`; it catches up by itself when it can.",
)
def pending(scene: Scene) -> Found:
    """How many readings await their verdict, and for how long."""
    count = scene.journal.one("SELECT coalesce(sum(count), 0) FROM tallies WHERE name = 'pending'")
    if not count:
        return ok("no reading awaits its verdict")
    rows = scene.journal.rows(
        "SELECT received_ms FROM records WHERE id = (SELECT min(record_id) FROM pending)"
    )
    waited_s = (scene.now_ms - rows[0][0]) / 1_000 if rows else 0.0
    text = f"{count} readings await their verdict, the oldest for {span(max(waited_s, 0.0))}"
    if waited_s >= PENDING_S_BAD:
        return bad(text)
    return look(text) if waited_s >= PENDING_S_LOOK else ok(text)


@check(
    "database.backup",
    cause="Nobody has made one for a long time; a disk takes everything with it when it fails.",
    remedy="`harmattan backup FILE` onto another disk, while the gateway runs.",
)
def backup(scene: Scene) -> Found:
    """How old the last backup is."""
    path = scene.directory / LAST_NAME
    days = BACKUP_DAYS_LOOK * 1_000 * DAY_S
    if not path.exists():
        rows = scene.journal.rows("SELECT received_ms FROM records ORDER BY id LIMIT 1")
        if rows and scene.now_ms - rows[0][0] > days:
            return look(
                f"none was ever made; the first record came {age(rows[0][0], scene.now_ms)}"
            )
        return ok("none was made; the journal is young")
    try:
        made = msgspec.json.decode(path.read_bytes(), type=Backup)
    except (ValueError, RecursionError) as error:
        return unknown(f"{LAST_NAME}: {error}")
    text = f"{Path(made.file).name}, made {age(made.made_ms, scene.now_ms)}"
    return look(text) if scene.now_ms - made.made_ms > days else ok(text)


@check(
    "database.private",
    cause="The files were made or copied with the rights of another user's folder.",
    remedy="`chmod -R go= FOLDER` on the post's folder: it holds spectra, verdicts and alerts.",
)
def private(scene: Scene) -> Found:
    """Nobody but the owner reads journal and people."""
    if not scene.folder.stat().st_mode & 0o077:
        return ok("the folder is its owner's alone")
    paths = [scene.directory / name for name in ("people.json", "broker.secret")]
    paths += sorted(scene.directory.glob(f"{scene.journal.path.name}*"))
    open_ones = [each.name for each in paths if _is_open(each)]
    if open_ones:
        return bad(f"other users can read {named(open_ones)}")
    return ok("its files are their owner's alone")


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o077)
    except FileNotFoundError:
        return False
