"""Goal: no bytes on any topic harm the gateway, its journal or another node; all of it is counted.

Method: `fuzzing.py`, which can do it a million times (`make fuzz-ingest`), with a new seed in every
run: through `intake.take` alone, and through a real broker into the real gateway with its
quarantine told to bar nobody, beside a neighbour that keeps measuring. The quarantine as it is has
its own tests; that a broken promise is noticed is tried with a journal that lacks a reading.
"""

import asyncio
import random

import apsw
import pytest

from tests.gateway import fuzzing
from tests.gateway.fuzzing import REFUSALS, BrokenPromiseError, compare, run_pure, run_real

PURE, REAL = 20_000, 3_000
NAMED = {"topic_refused", "node_unknown", "frame_overlong", "frame_refused", "kind_refused"}


def draw_seed(messages):
    seed = random.SystemRandom().randrange(1, 1 << 32)
    print(f"python -m tests.gateway.fuzzing --messages {messages} --seed {seed}")  # noqa: T201
    return seed


def test_any_message_is_taken_or_refused():
    found = run_pure(PURE, draw_seed(PURE))
    assert sum(found.values()) == PURE
    assert set(found) == NAMED | {"taken"}, "each way of being refused is met"


def test_a_gateway_that_is_fuzzed_serves_its_neighbour(tmp_path, monkeypatch):
    kept = []
    judge = fuzzing._judge

    def spoil(post, neighbour, *rest):
        figures = judge(post, neighbour, *rest)
        connection = apsw.Connection(str(post.journal))
        connection.execute("DELETE FROM records WHERE node = 'neighbour' AND seq = 2")
        connection.close()
        with pytest.raises(BrokenPromiseError, match="not all there"):
            judge(post, neighbour, *rest)
        kept.append(figures)
        return figures

    monkeypatch.setattr(fuzzing, "_judge", spoil)
    seed = draw_seed(REAL)
    found = asyncio.run(run_real(tmp_path / "post", REAL, seed, is_open=True))
    compare(run_pure(REAL, seed), found["refused"])
    assert kept == [found]
    assert found["connections"] == 1, "the broker threw the sender out: fewer messages came"
    assert sum(found["refused"].values()) > REAL / 2
    assert set(found["refused"]) <= set(REFUSALS)
    assert set(found["refused"]) >= NAMED
    assert found["neighbour"] > 0
