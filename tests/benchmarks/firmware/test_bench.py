"""Goal: a node runs in a small heap, does not grow, and the bench that says so can say otherwise.

Method: the bench itself, with a few readings: the whole firmware from a mapped ROMFS image in a
real MicroPython, TLS to a real mosquitto that cuts the connection, a simulated spectrometer of 2048
pixels; once with a heap that does, with a margin, once with one that cannot. Then the fullest node
there is: the spectrometers of 3648 pixels, and a reader of each kind beside them.

Whether it grows: up to five waits that have ended are still held by asyncio's queue, 544 bytes
each, sometimes for thirty readings. So no two readings are compared but all pairs of them, and the
middle of their slopes is taken (Theil and Sen), which a few steps up and down do not move.
"""

import asyncio
import itertools
import statistics

import pytest

from benchmarks.firmware import bench
from benchmarks.firmware.__main__ import encode
from hardware import image
from simulators.spectrometer.models import MODELS

HEAP_BYTES = 248 << 10  # `make bench-firmware` finds what is really needed; docs/node.md says it
FULLEST_HEAP_BYTES = 312 << 10  # with 64-bit objects; a Pico 2 W has 520 KiB for objects of 32
# 64 bytes of each reading that stay are 2,048; steps up and down come to none mostly, or to 800.
GROWTH_BYTES, GROWTH_READINGS = 1_024, 32
FIRST_READINGS = 20  # meanwhile each part begins its first wait


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    built = tmp_path_factory.mktemp("code") / "unix"
    image.compile_tree("unix", built / "tree")
    image.make_romfs(built / "tree", built / "code.romfs")
    return built / "code.romfs"


def play(folder, code, heap_bytes, readings, hangs=bench.WIDE, **options):
    async def story():
        async with bench.start_bench(folder, hangs) as post:
            return await bench.run(post, code, heap_bytes, readings, **options)

    return asyncio.run(story())


def test_readings_and_reconnects_with_tls_fit_into_a_small_heap(tmp_path, code):
    play(tmp_path, code, HEAP_BYTES, 8, cuts=2)


@pytest.mark.parametrize("name", bench.FULLEST)
def test_the_fullest_node_fits_into_the_heap_of_every_board(tmp_path, code, name):
    """More descriptors wait beside TLS, too, than MicroPython's poll has room for at first."""
    play(tmp_path, code, FULLEST_HEAP_BYTES, 4, bench.FULLEST[name], cuts=1)


def slope(values):
    """Return the median of the slopes of all pairs.

    Reference: P. K. Sen, Estimates of the regression coefficient based on Kendall's tau, Journal of
    the American Statistical Association, 1968.
    """
    pairs = itertools.combinations(enumerate(values), 2)
    return statistics.median((after - before) / (j - i) for (i, before), (j, after) in pairs)


def test_what_is_in_use_does_not_grow_with_the_readings(tmp_path, code, monkeypatch):
    monkeypatch.setattr(bench, "MODEL", MODELS["sts_785"])  # 1024 pixels take half the time
    readings = FIRST_READINGS + 2 * GROWTH_READINGS
    told = play(tmp_path, code, 4 << 20, readings, cuts=4, count=True)
    used = [each["used"] for each in told]
    assert len(used) == readings
    assert slope(used[FIRST_READINGS:]) * GROWTH_READINGS <= GROWTH_BYTES, used
    assert told[-1]["taken"] > told[5]["taken"]


def test_a_heap_that_is_too_small_is_found_out(tmp_path, code):
    with pytest.raises(bench.NodeFailedError, match=r"[Mm]emory"):
        play(tmp_path, code, 96 << 10, 1)


def test_the_encoder_is_timed_with_the_heap_locked():
    found = encode()
    assert found["heap_locked_bytes"] == 0
    assert found["frame_bytes"] > 2 * bench.PIXELS
    assert found["ratio"] > 0
