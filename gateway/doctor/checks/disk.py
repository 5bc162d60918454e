"""The disk under the post's folder."""

import errno
import os
import time
from typing import Final

from gateway.doctor.finding import Found, bad, check, look, ok, unknown
from gateway.doctor.scene import Scene
from gateway.journal.log import TIGHT_BYTES, named, readers, size_of_log
from gateway.units import size

RESERVES_LOOK: Final = 3  # so many reserves free: a day's warning at a reading every second
INODES_SHARE_LOOK: Final = 0.05
INODES_BAD: Final = 100  # the journal needs three at a time, a backup and a log some more
SYNCS: Final = 5
SYNC_BYTES: Final = 4_096  # a page of the journal
SYNC_MS_LOOK: Final = 200.0  # each commit waits for one; a good card takes 5 to 30 ms
SYNC_MS_BAD: Final = 2_000.0


@check(
    "disk.free",
    cause="Something else fills the disk: logs, copies, another program; or it is too small.",
    remedy="Find what is large (`du -xh / | sort -h | tail`) and remove it; readings that were"
    " refused come again from the nodes by themselves.",
)
def free(scene: Scene) -> Found:
    """How much is free, against the reserve below which no reading is taken in."""
    found = os.statvfs(scene.folder)
    count = found.f_bavail * found.f_frsize
    reserve = scene.settings.journal.reserve_bytes
    text = f"{size(count)} free, reserve {size(reserve)}"
    if count >= RESERVES_LOOK * reserve:
        return ok(text)
    found_so = bad if count < reserve else look
    text += ": no reading is taken in" if count < reserve else ""
    logged = size_of_log(scene.journal.path)
    reading = named(readers(scene.journal.path)) if logged > TIGHT_BYTES else ""
    if not reading:
        return found_so(text)
    return found_so(
        f"{text}; the journal's log takes {size(logged)}",
        cause=f"It cannot be folded into the file while {reading} reads the journal.",
        remedy="End that program: the log becomes short and readings go on, by themselves.",
    )


@check(
    "disk.room",
    cause="`journal.bytes_max` allows the journal more than this disk has.",
    remedy="Lower `journal.bytes_max`, so that old readings are evicted before the disk is full.",
)
def room(scene: Scene) -> Found:
    """Whether the journal may grow as far as the settings let it."""
    found = os.statvfs(scene.folder)
    used = scene.journal.path.stat().st_size if scene.journal.path.exists() else 0
    can = found.f_bavail * found.f_frsize + used - scene.settings.journal.reserve_bytes
    allowed = scene.settings.journal.bytes_max
    text = f"the journal may take {size(allowed)}, the disk has room for {size(max(can, 0))}"
    return look(text) if can < allowed else ok(text)


@check(
    "disk.inodes",
    cause="A program leaves very many small files behind.",
    remedy="Find them (`du -x --inodes / | sort -n | tail`) and remove them.",
)
def inodes(scene: Scene) -> Found:
    """Whether new files can be made."""
    found = os.statvfs(scene.folder)
    if not found.f_files:
        return ok("this file system has no fixed number of files")
    text = f"{found.f_favail} of {found.f_files} inodes free"
    if found.f_favail < INODES_BAD:
        return bad(text)
    return look(text) if found.f_favail < INODES_SHARE_LOOK * found.f_files else ok(text)


@check(
    "disk.writable",
    cause="The kernel made it read-only after errors, it was mounted so, or the folder is another"
    " user's.",
    remedy="Read `dmesg`; after errors copy the folder away and replace the disk. Else mount it"
    " writable, and give the gateway's user the folder.",
)
def writable(scene: Scene) -> Found:
    """Whether it may be written to."""
    if os.statvfs(scene.folder).f_flag & os.ST_RDONLY:
        return bad("the disk is mounted read-only")
    owner = scene.folder.stat().st_uid
    if os.geteuid() not in {0, owner}:
        return ok(f"mounted writable; the folder is that of user {owner}")
    if not os.access(scene.folder, os.W_OK | os.X_OK):
        return bad("its owner may not write into the post's folder")
    return ok("may be written to")


@check(
    "disk.latency",
    cause="The card is worn out or of a slow kind, or another program writes without end.",
    remedy="Replace the card or disk by one made for many small writes; move other writers away.",
)
def latency(scene: Scene) -> Found:
    """How long a page takes to be safe: measured in a file without a name, which leaves nothing."""
    way = getattr(os, "O_TMPFILE", None)
    if way is None:
        return ok("not measured: this system has no files without names")
    try:
        descriptor = os.open(scene.folder, way | os.O_RDWR, 0o600)
    except OSError as error:
        return ok(f"not measured: {error.strerror}")
    times_ms = []
    try:
        for _ in range(SYNCS):
            began_s = time.perf_counter()
            os.write(descriptor, bytes(SYNC_BYTES))
            os.fsync(descriptor)
            times_ms.append(1_000 * (time.perf_counter() - began_s))
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return unknown(
                f"not measured: {error.strerror}",
                cause="The disk is full.",
                remedy="See disk.free.",
            )
        return bad(f"a page cannot be written: {error.strerror}")
    finally:
        os.close(descriptor)
    return of_latency(sorted(times_ms)[SYNCS // 2])


def of_latency(median_ms: float) -> Found:
    """Return what a time to write a page safely means."""
    text = f"{median_ms:.1f} ms to write a page safely"
    if median_ms >= SYNC_MS_BAD:
        return bad(text)
    return look(text) if median_ms >= SYNC_MS_LOOK else ok(text)


@check(
    "disk.state",
    cause="The gateway found the disk full, nearly full, read-only or failing when it wrote.",
    remedy="Its sentence says what to do; it goes on by itself when the disk is well.",
)
def state(scene: Scene) -> Found:
    """What the gateway reports."""
    if scene.state is not None:  # a disk that takes nothing keeps no posture either
        disk = scene.state.disk
        return bad(disk.text) if disk.text else ok(f"the gateway finds it {disk.state.value}")
    told = scene.postures.get("disk", "")
    if not told:
        return ok("the gateway reports nothing")
    return bad(told) if scene.running else look(f"reported before it ended: {told}")
