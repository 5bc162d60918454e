"""Runs a node with its programs where asked; for MicroPython: `mapped.py CODE DIR [count]`.

CODE is a folder with main.py beside the packages, or a ROMFS image. The image is mapped into memory
as the flash of a board is: programs run from where they lie, which on a host stands in for frozen
code. With `count` the node tells after each reading that is receipted the bytes in use after a
collection and all bytes taken from the heap so far.
"""

import gc
import os
import sys


def map_image(path: str) -> None:
    """Mount a ROMFS image that stays in its file."""
    import ffi  # type: ignore[import-not-found]  # noqa: PLC0415
    import uctypes  # type: ignore[import-not-found]  # noqa: PLC0415
    import vfs  # type: ignore[import-not-found]  # noqa: PLC0415

    libc = ffi.open(None)
    size = os.stat(path)[6]  # noqa: PTH116
    descriptor = libc.func("i", "open", "sii")(path, 0, 0)
    address = libc.func("p", "mmap", "pLiiiL")(None, size, 1, 2, descriptor, 0)
    vfs.mount(vfs.VfsRom(uctypes.bytearray_at(address, size)), "/rom")


class Count:
    """Stands for the module `gc` and counts what is taken; without pressure it is the only one."""

    def __init__(self) -> None:
        self.taken = 0
        self._after = gc.mem_alloc()  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        """Return what the real module has."""
        return getattr(gc, name)

    def collect(self) -> None:
        """Collect, and note what was taken since the last time."""
        self.taken += gc.mem_alloc() - self._after  # type: ignore[attr-defined]
        gc.collect()
        self._after = gc.mem_alloc()  # type: ignore[attr-defined]

    def threshold(self, _: int) -> None:
        """Leave it: collections in between would hide what was taken."""

    def tell(self) -> None:
        """Print the bytes in use and the bytes taken so far."""
        self.collect()
        print("signal heap used=%d taken=%d" % (self._after, self.taken))  # noqa: UP031


def _count() -> None:
    count = Count()
    sys.modules["gc"] = count  # type: ignore[assignment]
    from boards import unix  # type: ignore[import-not-found]  # noqa: PLC0415

    show = unix.Board.signal

    def signal(board: object, lamp: str, line: str, word: str, text: str) -> None:
        show(board, lamp, line, word, text)
        if line.startswith("signal sent "):
            count.tell()

    unix.Board.signal = signal


def run(code: str, folder: str) -> None:
    """Run the node that lies in `folder`."""
    if os.stat(code)[0] & 0x4000:  # noqa: PTH116 - a folder
        sys.path[:] = [code, code + "/..", ".frozen"]
    else:
        map_image(code)
        sys.path[:] = ["/rom", ".frozen"]
    if sys.argv[3:] == ["count"]:
        _count()
    main = code.rsplit("/", 1)[0] + "/tree" if "/rom" in sys.path else code
    sys.path.append(main)
    sys.exit(__import__("main").start(folder))


run(sys.argv[1], sys.argv[2])
