"""Goal: a damaged partition costs what lay on it and nothing more, and nothing goes in silence.

Method: a story on MicroPython's own littlefs damages partitions in every way that was found
(structures, medium, an older superblock); the whole node is then run on a partition in a file.
Another fills a board's storage to see what its budget holds.
"""

import ast
import asyncio
import subprocess

import pytest

FORMAT = """
import os, sys
sys.path.insert(0, sys.argv[1])
from boards.image import BLOCK_BYTES, ImageBlocks
with open(sys.argv[2], "wb") as file:
    for _ in range(int(sys.argv[3])):
        file.write(bytes(BLOCK_BYTES))
os.VfsLfs2.mkfs(ImageBlocks(sys.argv[2]))
"""
BLOCK_BYTES = 4096


def test_partitions_are_mounted_counted_and_set_apart(run_story):
    """On littlefs-sized blocks in memory; the story insists by itself."""
    assert run_story("flash_story.py") == [
        "wear_is_counted",
        "damage_is_quarantined",
        "damage_while_running_is_noted",
        "nothing_sound_is_said",
        "silent_loss_is_noticed",
        "a_spoilt_superblock_is_noticed",
    ]


@pytest.fixture
def provision(micropython_path, repository_path, tmp_path):
    """Format a partition in a file, as a person does once."""

    def do(name, blocks):
        program = tmp_path / "format.py"
        program.write_text(FORMAT)
        path = tmp_path / f"{name}.img"
        subprocess.run(
            [micropython_path, program, repository_path / "firmware", path, str(blocks)],
            check=True,
            timeout=30,
        )
        return path

    return do


def read_budget(repository_path, board):
    tree = ast.parse((repository_path / f"firmware/boards/{board}.py").read_text())
    values = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "BUDGET"
    ]
    return ast.literal_eval(values[0])


def measure(run_story, budget, blocks, appends):
    given = [budget["journal_bytes_max"], budget["segment_bytes"], budget["record_bytes_max"]]
    lines = run_story("capacity_story.py", *map(str, [*given, blocks, appends]), heap="16m")
    return {name: int(value) for name, value in map(str.split, lines)}


@pytest.mark.parametrize("board, blocks, free", [("esp32_s3", 1024, 64), ("pico2_w", 640, 48)])
def test_a_full_board_holds_five_hundred_spectra_and_opens_cheaply(
    run_story, repository_path, board, blocks, free
):
    """Spectra of 2048 pixels on the board's whole storage, evicted over and over."""
    budget = read_budget(repository_path, board)
    found = measure(run_story, budget, blocks, 2_000)
    assert found["spectra"] >= 500
    assert found["scans"] == 67  # every one of them
    assert found["scans_evicted"] == 0
    assert found["free_blocks"] >= free
    assert found["segments"] < 64
    assert found["open_heap_bytes"] < 8_000
    assert found["open_read_bytes"] < budget["journal_bytes_max"] // 3


def test_wear_is_spread(run_story):
    """A small partition, written over and over: no block is erased much more than another."""
    budget = {"journal_bytes_max": 131_072, "segment_bytes": 16_384, "record_bytes_max": 4_448}
    found = measure(run_story, budget, 64, 3_000)
    assert found["erases_mean"] > 50
    assert found["erases_max"] < 2 * found["erases_mean"]


def test_a_node_measures_on_when_its_partition_is_damaged(bench, provision):
    async def story():
        async with bench:
            image = provision("journal", 64)
            provision("spare", 64)
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node()
            await node.wait("ready")
            assert await bench.take() == 2
            first = await gateway.wait("reading", lambda m: m.seq == 2)
            assert not (bench.folder / "journal").exists()
            await node.end()  # a power cut: the partition stays mounted

            node = await bench.start_node()
            await node.wait("ready")
            assert await bench.take() == 4
            again = await gateway.wait("reading", lambda m: m.seq == 4)
            assert again.journal_id == first.journal_id
            await node.end()

            image.write_bytes(b"\x5a" * 2 * BLOCK_BYTES + image.read_bytes()[2 * BLOCK_BYTES :])
            left = image.read_bytes()
            node = await bench.start_node()
            fault = await node.wait("fault", what="flash")
            assert "partition journal is damaged and kept for examination" in fault["text"]
            await node.wait("ready")
            assert await bench.take() == 2
            fresh = await gateway.wait("reading", lambda m: m.journal_id != first.journal_id)
            assert fresh.seq == 1
            assert image.read_bytes() == left

    asyncio.run(story())


def test_a_node_without_a_sound_partition_tells_the_gateway_and_measures_when_there_is_one(
    bench, provision
):
    async def story():
        async with bench:
            image = provision("journal", 64)
            sound = image.read_bytes()
            image.write_bytes(bytes(len(sound)))
            (bench.folder / "identity").write_text("0102030405060708 41 0")
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node(options={"speed": 5})
            fault = await node.wait("fault", what="journal")
            assert "no partition of the flash is sound" in fault["text"]
            birth = await gateway.wait("birth")
            assert birth.journal_id == bytes(range(1, 9))
            assert (birth.oldest_seq, birth.next_seq) == (1, 41)  # nothing is given up
            await gateway.wait("health", lambda m: m.fault.startswith("journal: no partition"))
            image.write_bytes(sound)
            (bench.folder / "quarantine.journal").unlink()
            await gateway.wait("birth", lambda m: m.journal_id != birth.journal_id)
            await node.wait("ready")

    asyncio.run(story())
