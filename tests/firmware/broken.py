"""The firmware, mostly by links, with drivers that break a node in every way a driver can."""

import shutil
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

_HEAD = """
import asyncio


class Driver:
    KIND = "spectrometer"

    def __init__(self, board, settings):
        pass

    async def open(self):
        pass

    async def close(self):
        pass

    async def identify(self):
"""

DRIVERS = {
    # The module cannot be loaded.
    "raises": "raise ZeroDivisionError('no such unit')\n",
    # It never ends loading.
    "loads": "while True:\n    pass\n",
    # The loop itself hangs: no other task runs again.
    "holds": _HEAD + "        while True:\n            pass\n",
    # Only this task hangs; the others go on.
    "waits": _HEAD + "        await asyncio.Event().wait()\n",
    # It fails each time, which a node lives with.
    "fails": _HEAD + "        raise ValueError('a bug')\n",
}


def make_firmware(folder: Path) -> Path:
    """Lay out the firmware in `folder` with the drivers above beside its own; return main.py."""
    firmware = folder / "firmware"
    drivers = firmware / "drivers"
    drivers.mkdir(parents=True)
    (folder / "simulators").mkdir()
    # MicroPython looks for modules beside the program it was told, links resolved.
    for name in ("firmware/main.py", "simulators/fast_node.py"):
        shutil.copy(REPOSITORY / name, folder / name)
    for name in ("protocol", "firmware/node", "firmware/boards"):
        (folder / name).symlink_to(REPOSITORY / name)
    for path in (REPOSITORY / "firmware/drivers").iterdir():
        (drivers / path.name).symlink_to(path)
    for name, source in DRIVERS.items():
        (drivers / name).mkdir()
        (drivers / name / "__init__.py").write_text("")
        (drivers / name / "driver.py").write_text(source)
    return firmware / "main.py"
