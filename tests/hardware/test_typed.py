"""The check of the firmware's types finds what it is for.

Method: the real check with the real stubs on a copy of the firmware, first as it is, then with one
mistake of each sort that it must tell.
"""

import shutil

from hardware import typed
from hardware.image import BESIDE

MISTAKES = (
    ("boards/bare.py", "machine.unique_id()", "machine.uniqe_id()", '"uniqe_id"'),
    ("boards/pico2_w.py", "-> int:", "-> str:", "temperature_mc(self) -> str"),
    ("node/clock.py", "echo_ms = message.echo_uptime_ms", "echo_ms = message.echo", '"echo"'),
    ("node/pulse.py", "node.boot.proven()", "node.boot.proven(1)", '"proven" of "Boot"'),
    ("drivers/obp/driver.py", "async def laser_off", "async def laser_of", "node.typed.Driver"),
    ("drivers/mt_sics/driver.py", "async def next(", "async def nex(", 'following "Reader"'),
)


def test_it_passes_the_firmware_and_tells_every_mistake(tmp_path, repository_path, capfd):
    for name in ("firmware", "protocol"):
        shutil.copytree(repository_path / name, tmp_path / name)
    assert typed.check("pico2_w", tmp_path) == 0, capfd.readouterr().out
    for name, right, wrong, _ in MISTAKES:
        path = tmp_path / "firmware" / name
        source = path.read_text()
        assert right in source, f"{name} no longer says {right}"
        path.write_text(source.replace(right, wrong, 1))
    capfd.readouterr()
    assert typed.check("pico2_w", tmp_path) == 1
    told = capfd.readouterr().out
    for name, _, _, named in MISTAKES:
        assert named in told, f"{name}: {told}"


def test_every_board_is_checked_with_all_it_runs(repository_path):
    modules = {name for board in typed.BOARDS for name in (board, *BESIDE[board])}
    found = {path.stem for path in (repository_path / "firmware/boards").glob("*.py")}
    assert modules == found - {"__init__"}
