"""A journal that is damaged, and what must be there after a cut while it is set aside.

Not lost may be: the alerts that wait, the versions of the configs, and the damaged file itself.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import apsw

from gateway.journal.store import FILE_NAME
from tests.gateway.crash import clock
from tests.gateway.crash.players import NODES
from tests.gateway.crash.promises import Promised, config_faults, expected_alerts, insist
from tests.gateway.crash.recorder import Recorder
from tests.gateway.crash.stories import Post, delivered

RECORDS = 6  # of each node
PAGE_BYTES = 4_096


@functools.cache
def damaged(seed: int) -> bytes:
    """Return a journal with alerts that wait, whose counters have lost their first page."""
    from tests.gateway.crash.cuts import folder  # noqa: PLC0415 - it names this story

    with folder() as place:
        with Recorder(place), clock.runner() as runner:
            runner.run(Post(place, seed, lambda *_: None, RECORDS).fill())
        path = place / FILE_NAME
        connection = apsw.Connection(str(path))
        root = "SELECT rootpage FROM sqlite_schema WHERE name = 'counters'"
        ((page,),) = connection.execute(root).fetchall()
        connection.close()
        content = bytearray(path.read_bytes())
    content[(page - 1) * PAGE_BYTES : page * PAGE_BYTES] = bytes(PAGE_BYTES)
    return bytes(content)


def promised(seed: int) -> Promised:
    """Return what such a journal has promised and must still hold."""
    return Promised(records=RECORDS, alerts=expected_alerts(seed, RECORDS))


async def check_renewed(folder: Path, told: Promised, seed: int, *, finish: bool) -> None:
    """Start the gateway on a disk as a cut while it set a journal aside has left it.

    Args:
        folder: with the disk's files.
        told: promised by then.
        seed: of the journal.
        finish: deliver what waits, and look again.

    Raises:
        BrokenPromiseError: a promise is not kept.
    """
    post = Post(folder, seed, lambda *_: None, RECORDS)
    await post.open(delivers=False)
    try:
        insist(await post.read(lambda connection: _faults(connection, told)))
        if finish:
            post.begin_delivery()
            done = {alert_id for (alert_id,) in await post.read(delivered)}
            await post.deliver()
            waiting = set(told.alerts) - done
            sent = set(post.authority.kept)
            insist([f"lost: alerts {waiting - sent} are not sent"] if waiting - sent else [])
            insist([f"doubled: alerts {sent - waiting}"] if sent - waiting else [])
    finally:
        await post.close()
    insist([] if _is_kept(folder, damaged(seed)) else ["lost: the damaged file"])


def _is_kept(folder: Path, content: bytes) -> bool:
    return any(path.read_bytes() == content for path in folder.rglob(f"{FILE_NAME}*"))


def _faults(connection: apsw.Connection, told: Promised) -> list[str]:
    faults: list[str] = []
    if connection.pragma("integrity_check") != "ok":
        faults.append("corrupt: the fresh journal")
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT a.alert_id, a.body, a.receipt IS NOT NULL, length(r.frame) > 0"
        " FROM alerts a JOIN records r ON r.id = a.record_id"
    ).fetchall()
    found = {alert_id: body for alert_id, body, _, is_there in rows if is_there}
    done = {alert_id for alert_id, _, is_done, _ in rows if is_done}
    for alert_id, body in told.alerts.items():
        if alert_id not in told.delivered and found.get(alert_id) != body:
            faults.append(f"lost: alert {alert_id} or its reading")
    if told.delivered - done:
        faults.append(f"lost: receipts of {sorted(told.delivered - done)}")
    for node in NODES:
        faults += config_faults(connection, node, at_least=1)
    return faults
