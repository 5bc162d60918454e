"""Goal: what is copied to a board is the firmware, whole, within its budget, and starts.

Method: the real mpy-cross compiles everything for each board; the real MicroPython runs a node from
the compiled tree and mounts the formatted partitions; budgets are made smaller to see excess found.
"""

import ast
import dataclasses
import json
import subprocess

import pytest

from hardware import families, folding, image, sizes
from hardware.families import FamilyError

SETTINGS = {
    "post": "post1",
    "node": "lane1",
    "broker": {"host": "127.0.0.1", "port": 9},
    "instrument": {"port": "no-port"},
}

LIST = """
import os, sys
sys.path.insert(0, sys.argv[1])
from boards.image import ImageBlocks
os.mount(os.VfsLfs2(ImageBlocks(sys.argv[2])), "/p")
print(os.listdir("/p"))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The image of the unix board, made once."""
    out = tmp_path_factory.mktemp("image") / "unix"
    assert image.main(["unix", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def measured():
    return sizes.measure()


@pytest.mark.parametrize("board", image.BOARDS)
def test_the_firmware_keeps_within_every_budget(measured, board):
    sums = sizes.add_up(board, measured[board])
    assert sizes.find_excesses(measured[board], image.read_budget(board), sums) == []
    kinds = [families.kind_of(family) for family in sums.fullest]
    assert len(set(kinds)) == len(kinds) > 1
    for family in families.find():  # none is larger than the one that was chosen of its kind
        chosen = sums.fullest[kinds.index(families.kind_of(family))]
        assert 0 < sums.driver_bytes[family] <= sums.driver_bytes[chosen]
    assert sums.base_bytes < sums.fullest_bytes <= sum(measured[board].values())
    assert {"node/node", "protocol/packing", f"boards/{board}"} <= measured[board].keys()
    others = {f"boards/{other}" for other in image.BOARDS if other != board}
    assert not others & measured[board].keys()


def test_an_excess_is_named_and_fails(measured, monkeypatch, capsys):
    budget = image.read_budget("unix")
    largest = max(measured["unix"], key=measured["unix"].get)
    tight = dataclasses.replace(budget, module_bytes_max=measured["unix"][largest] - 1)
    sums = sizes.add_up("unix", measured["unix"])
    excesses = sizes.find_excesses(measured["unix"], tight, sums)
    assert [largest in text for text in excesses] == [True]
    tight = dataclasses.replace(budget, total_bytes_max=sums.fullest_bytes - 7)
    (excess,) = sizes.find_excesses(measured["unix"], tight, sums)
    assert "7 more than the board gives" in excess
    assert all(family in excess for family in sums.fullest)

    monkeypatch.setattr(sizes, "measure", lambda: measured)
    assert sizes.main() == 0
    monkeypatch.setattr(sizes, "read_budget", lambda _: tight)
    assert sizes.main() == 1
    told = capsys.readouterr()
    assert json.loads(told.out.splitlines()[-1])["excesses"] > 0
    assert "more than the board gives them" in told.err


def test_a_node_runs_from_the_compiled_tree(built, micropython_path, tmp_path):
    """Its journal lies in the partition that the image formatted."""
    (tmp_path / "node.json").write_text(json.dumps(SETTINGS))
    (built / "journal.img").rename(tmp_path / "journal.img")
    command = [micropython_path, "-X", "heapsize=512k", built / "tree/main.py", tmp_path]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "what=instrument" in line:
                break
        process.terminate()
        assert process.wait(timeout=30) == 0, process.stderr.read()
        log = process.stderr.read()
    assert lines[0].startswith("signal starting node=lane1"), (lines, log)
    assert "no-port does not exist" in lines[-1]
    assert not list(tmp_path.glob("quarantine.*"))
    assert not (tmp_path / "journal").exists()


def test_partitions_are_formatted_and_empty(built, micropython_path):
    budget = image.read_budget("unix")
    for name in ("spare",):
        path = built / f"{name}.img"
        assert path.stat().st_size == budget.partition_bytes[name]
        done = subprocess.run(
            [
                micropython_path,
                "-c",
                LIST,
                image.FIRMWARE,
                path,
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        assert done.stdout.strip() == "[]"


def test_what_cannot_be_made_is_refused_in_words(built, capsys, tmp_path, monkeypatch):
    assert image.main(["nano", str(tmp_path / "out")]) == 2
    assert "use one of unix, esp32_s3, pico2_w" in capsys.readouterr().err
    assert image.main(["unix", str(built)]) == 2
    assert "name a new folder" in capsys.readouterr().err
    monkeypatch.setattr(image.importlib.util, "find_spec", lambda _: None)
    assert image.main(["unix", str(tmp_path / "out")]) == 2
    assert "make setup" in capsys.readouterr().err


def test_a_board_gets_the_drivers_that_its_node_names(tmp_path):
    """And what they import; a protocol module that nothing imports stays away, too."""
    path = tmp_path / "node.json"

    def chosen(**changes):
        path.write_text(json.dumps({"board": "pico2_w", **changes}))
        return families.named_by(path, "pico2_w")

    scale = {"driver": "mt_sics", "port": "uart1"}
    assert chosen(instrument={"port": "uart0"}) == ("obp",)
    assert chosen() == ("obp",)
    assert chosen(readers=[scale, {**scale, "port": "uart0"}]) == ("mt_sics",)
    assert chosen(instrument={"driver": "obp"}, readers=[scale]) == ("mt_sics", "obp")
    modules = image.find_modules("pico2_w", ("mt_sics",))
    assert {name for name in modules if name.startswith("drivers/")} == {
        "drivers/__init__",
        "drivers/port",
        *(f"drivers/mt_sics/{name}" for name in "__init__ driver exchange frames settling".split()),
    }
    assert {"node/node", "protocol/messages"} < modules.keys()


@pytest.mark.parametrize(
    "settings, what",
    [
        ("{", "cannot be used"),
        ("[]", "must hold one object"),
        ("[" * 20_000 + "]" * 20_000, "cannot be used"),
        ('{"board": "unix"}', "is for board 'unix'"),
        ('{"board": "pico2_w", "instrument": {"driver": "abacus"}}', "no driver 'abacus'; drivers"),
        ('{"board": "pico2_w", "readers": [7]}', "no driver 'None'"),
        (
            '{"board": "pico2_w", "instrument": {"port": "uart2"}}',
            "port 'uart2' is none of pico2_w, which carries 2 instruments, on uart0 and uart1; put",
        ),
        ('{"board": "pico2_w", "readers": [{"driver": "obp/driver"}]}', "no driver 'obp/driver'"),
    ],
)
def test_a_node_that_cannot_be_served_is_named(tmp_path, capsys, settings, what):
    path = tmp_path / "node.json"
    path.write_text(settings)
    with pytest.raises(FamilyError, match=what):
        families.named_by(path, "pico2_w")
    assert image.main(["pico2_w", str(tmp_path / "out"), "--node", str(path)]) == 2
    assert what in capsys.readouterr().err


def test_an_image_without_a_driver_says_so_when_it_is_needed(micropython_path, tmp_path):
    out = tmp_path / "image"
    assert image.main(["unix", str(out), "--drivers", "mt_sics"]) == 0
    folder = tmp_path / "node"
    folder.mkdir()
    (folder / "node.json").write_text(json.dumps(SETTINGS))
    done = subprocess.run(
        [micropython_path, "-X", "heapsize=512k", out / "tree/main.py", folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert "driver is 'obp'; this board has none of that name" in done.stdout + done.stderr


def test_folding_keeps_lines_and_meaning():
    sources = {
        "a.limits": '"""Bounds."""\nFIVE = 5\nTEN, BIG = 2 * FIVE, 1 << 40\n',
        "a.use": (
            '"""Use."""\n'
            "from a import limits\n"
            "from a.limits import (\n    BIG,\n    TEN,\n)\n"
            "_OWN, NAME = 3, 4\n"
            "SIZES = {}\n"
            "def f(x, y=_OWN):\n"
            "    return (x + limits.FIVE +\n"
            "            TEN), f'{BIG} {y}', NAME\n"
        ),
        "a.late": "from a import other\ntry:\n    pass\nexcept OSError:\n    other = None\n",
        "a.other": "KEPT = 1\n",
    }
    folded = folding.fold(sources)
    assert set(folded) == {"a.use", "a.late", "a.other"}
    text = folded["a.use"]
    assert text.count("\n") == sources["a.use"].count("\n")
    for name in ("limits", "TEN", "BIG", "_OWN", "NAME", "SIZES"):
        assert name not in text
    assert "KEPT" in folded["a.other"]  # asked for as an attribute of what may be None
    space: dict = {}
    exec(compile(ast.parse(text), "a.use", "exec"), space)
    assert space["f"](1) == (16, f"{1 << 40} 3", 4)
