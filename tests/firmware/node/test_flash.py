"""Goal: a damaged partition costs what lay on it and nothing more, and nothing goes in silence.

Method: a story on MicroPython's own littlefs damages partitions in every way that was found
(structures, medium, an older superblock); the whole node is then run on a partition in a file.
Another fills a board's storage to see what its budget holds.
"""

import ast
import asyncio
import subprocess

import pytest

from protocol import messages
from simulators.board import HARD_RESET, POWER_ON
from tests.firmware.conftest import BoardProgram

FORMAT = """
import os, sys
sys.path.insert(0, sys.argv[1])
from boards.image import BLOCK_BYTES, ImageBlocks
with open(sys.argv[2], "wb") as file:
    for _ in range(int(sys.argv[3])):
        file.write(bytes(BLOCK_BYTES))
os.VfsLfs2.mkfs(ImageBlocks(sys.argv[2]))
"""
# Three segments of records, each of whose pixels all are its number.
FILL = """
import os, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/firmware"]
from boards.image import ImageBlocks
from node.identity import Identity
from node.journal import Journal
from protocol.messages import Reading
BUDGET = {"journal_bytes_max": 200_000, "segment_bytes": 65_536, "record_bytes_max": 8_448}
os.mount(os.VfsLfs2(ImageBlocks(sys.argv[2] + "/journal.img")), "/flash")
journal = Journal("/flash/journal", BUDGET, os.urandom, lambda _: None)
journal.open()
for seq in range(1, 81):
    pixels = bytes([seq]) * 2048
    journal.append(Reading(journal.journal_id, seq, bytes(8), seq, None, 0, bytes(8), 0, bytes(8),
                           400_000, 1, 100, None, 65_535, 0, None, pixels))
Identity(sys.argv[2] + "/identity").note(journal)
os.umount("/flash")
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


@pytest.fixture
def spoil(provision, micropython_path, repository_path, tmp_path):
    """Fill a partition and erase the blocks, in its middle, of records 42 and 43."""

    def do():
        image = provision("journal", 64)
        provision("spare", 64)
        program = tmp_path / "fill.py"
        program.write_text(FILL)
        command = [micropython_path, "-X", "heapsize=2m", program, repository_path, tmp_path]
        subprocess.run(command, check=True, timeout=30)
        content = image.read_bytes()
        blocks = [content[at : at + BLOCK_BYTES] for at in range(0, len(content), BLOCK_BYTES)]
        spoilt = [max(block.count(42), block.count(43)) > 1000 for block in blocks]
        assert sum(spoilt) in (2, 3)
        erased = b"\xff" * BLOCK_BYTES
        image.write_bytes(
            b"".join(erased if bad else block for bad, block in zip(spoilt, blocks, strict=True))
        )

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


def test_what_a_damaged_partition_still_gives_is_sent_before_the_node_goes_on(bench, spoil):
    """A press meanwhile is in vain, and each is told."""

    async def story():
        async with bench:
            spoil()
            await bench.start_broker()
            gateway = await bench.start_gateway()
            await bench.plug()
            node = await bench.start_node(program=BoardProgram, window=32)
            fault = await node.wait("fault", what="flash")
            assert "what can be read is sent, then the node restarts" in fault["text"]
            old = (await gateway.wait("birth")).journal_id
            after = 0
            for _ in range(2):
                await node.wait("ready", after=after)
                after = len(node.signals.items)
                await node.press()
                # Meanwhile it may tell of records that it finds damaged while it sends.
                _, fault = await node.signals.wait(
                    lambda item: item[0] == "fault" and item[1]["text"].startswith("not stored: "),
                    after=after,
                )
                assert fault["text"].startswith("not stored: its file system is spoilt"), fault
                assert "measure again when the node has started anew" in fault["text"]
            for seq in (30, 60, 80):  # more than a window at once is not sent
                await gateway.wait("reading", lambda m, seq=seq: m.seq == seq)
                await gateway.say(messages.Receipt(old, seq, ()))
            came = {m.seq for channel, m, _ in gateway.heard.items if channel == "reading"}
            missing = set(range(1, 81)) - came
            assert 42 in missing
            assert len(missing) <= 12, missing  # around what the erased blocks held
            await gateway.wait("birth", lambda m: m.journal_id != old)
            assert node.causes == [POWER_ON, HARD_RESET]
            after = next(i for i, item in enumerate(node.signals.items) if item[0] == "stopped")
            fault = await node.wait("fault", what="flash", after=after)
            assert "damaged and kept" in fault["text"]
            await node.wait("ready", after=after)
            assert await bench.take() == 2
            await gateway.wait("reading", lambda m: m.seq == 2 and m.journal_id != old)
            assert node.causes == [POWER_ON, HARD_RESET]

    asyncio.run(story())
