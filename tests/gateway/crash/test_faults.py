"""Goal: a disk that is full, fails or takes a part of a write, at any operation, breaks no promise.

Method: one operation of a short story fails, or all from there on (`faults.py`): no room, an I/O
error, half a write. Here one of SHARE faults, spread over all operations; `make crash-gateway` has
every one. A gateway that promises too early must be found.
"""

import pytest

from gateway.journal import beginning
from tests.gateway.crash.cuts import BRIEF, Story
from tests.gateway.crash.faults import count, fail
from tests.gateway.crash.promises import BrokenPromiseError, Promised
from tests.gateway.crash.recorder import KINDS, Fault
from tests.gateway.crash.stories import Post

SHARE = 11
PARTS = 3


@pytest.mark.parametrize("part", range(PARTS))
def test_no_fault_breaks_a_promise(part):
    numbers = count(BRIEF, 1)
    assert min(numbers.met.values()) > 300
    faults = numbers.faults()[3 * part :: PARTS * SHARE]  # odd steps: once and for ever in turn
    for fault in faults:
        fail(BRIEF, 1, fault)
    assert {(fault.kind, fault.lasts) for fault in faults} == {
        (kind, lasts) for kind in KINDS for lasts in (False, True)
    }


def fail_for_long(share):
    """Let the second half of a story meet a dead disk, and cut the power often once it is back."""
    for at in range(count(BRIEF, 1).met["eio"] * 2 // 5, count(BRIEF, 1).met["eio"], share):
        fail(BRIEF, 1, Fault("eio", at, lasts=True), 60)


def test_what_a_sync_that_failed_has_lost_is_written_again():
    fail_for_long(49)


def test_a_log_that_is_folded_in_as_it_was_found_is_noticed(monkeypatch):
    """The system holds it for written; a power cut in the middle leaves half of it in the file."""
    monkeypatch.setattr(beginning, "write_again", lambda _: None)
    with pytest.raises(BrokenPromiseError, match=r"brief:1:eio:\d+:ever: .*corrupt: "):
        fail_for_long(8)


class Hasty(Post):
    """Receipts what it has not committed yet."""

    async def take(self, node, up_to):
        self._say("receipt", node, up_to, ())
        await super().take(node, up_to)


async def tell_hastily(post):
    post.__class__ = Hasty
    await post.pass_by()


def test_a_gateway_that_promises_too_early_is_found():
    hasty = Story("hasty", tell_hastily, promised=lambda _: Promised(records=6))
    total = count(hasty, 1).met["eio"]

    def fail_everywhere():
        for at in range(total // 3, total, 3):
            fail(hasty, 1, Fault("eio", at, lasts=True))

    with pytest.raises(BrokenPromiseError, match=r"hasty:1:eio:.*lost: receipted"):
        fail_everywhere()
