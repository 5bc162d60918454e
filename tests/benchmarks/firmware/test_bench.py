"""Goal: a node runs in a small heap, does not grow, and the bench that says so can say otherwise.

Method: the bench itself, with a few readings: the whole firmware from a mapped ROMFS image in a
real MicroPython, TLS to a real mosquitto that cuts the connection, a simulated spectrometer of 2048
pixels; once with a heap that does, with a margin, once with one that cannot.
"""

import asyncio
import statistics

import pytest

from benchmarks.firmware import bench
from benchmarks.firmware.__main__ import encode
from hardware import image

HEAP_BYTES = 216 << 10  # `make bench-firmware` finds what is really needed; docs/node.md says it
GROWTH_BYTES = 1_024  # of the mean over eight readings; single ones differ by what is under way


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    built = tmp_path_factory.mktemp("code") / "unix"
    image.compile_tree("unix", built / "tree")
    image.make_romfs(built / "tree", built / "code.romfs")
    return built / "code.romfs"


def play(folder, code, heap_bytes, readings, **options):
    async def story():
        async with bench.start_bench(folder) as post:
            return await bench.run(post, code, heap_bytes, readings, **options)

    return asyncio.run(story())


def test_readings_and_reconnects_with_tls_fit_into_a_small_heap(tmp_path, code):
    play(tmp_path, code, HEAP_BYTES, 8, cuts=2)


def test_what_is_in_use_does_not_grow_with_the_readings(tmp_path, code):
    told = play(tmp_path, code, 4 << 20, 24, cuts=2, count=True)
    used = [each["used"] for each in told]
    assert len(used) == 24
    # Of each eight the middle: one may be counted while a message is under way.
    assert statistics.median(used[-8:]) - statistics.median(used[4:12]) <= GROWTH_BYTES
    assert told[-1]["taken"] > told[5]["taken"]


def test_a_heap_that_is_too_small_is_found_out(tmp_path, code):
    with pytest.raises(bench.NodeFailedError, match=r"[Mm]emory"):
        play(tmp_path, code, 96 << 10, 1)


def test_the_encoder_is_timed_with_the_heap_locked():
    found = encode()
    assert found["heap_locked_bytes"] == 0
    assert found["frame_bytes"] > 2 * bench.PIXELS
    assert found["ratio"] > 0
