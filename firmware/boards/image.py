"""A file as a block device, for the unix board: the real littlefs where there is no flash chip."""

import os

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Bytes, Scratch

_READY, _SYNC, _COUNT, _SIZE, _ERASE = 1, 3, 4, 5, 6
BLOCK_BYTES = 4096  # as the boards' flash
_ERASED = b"\xff" * BLOCK_BYTES


class ImageBlocks:
    """Block device over the file at `path`, whose length is a multiple of BLOCK_BYTES.

    Every write reaches the operating system at once: what ends the program is a power cut to the
    flash and no more.
    """

    def __init__(self, path: str) -> None:
        self._file = open(path, "r+b")  # noqa: SIM115 - open for as long as it is mounted
        self._blocks = os.stat(path)[6] // BLOCK_BYTES

    def readblocks(self, block: int, buffer: "Scratch", offset: int = 0) -> None:
        """Fill `buffer`."""
        self._file.seek(block * BLOCK_BYTES + offset)
        self._file.readinto(buffer)

    def writeblocks(self, block: int, buffer: "Bytes", offset: int = 0) -> None:
        """Write `buffer`."""
        self._file.seek(block * BLOCK_BYTES + offset)
        self._file.write(buffer)

    def ioctl(self, operation: int, argument: int) -> int:
        """Control; see MicroPython's block devices."""
        if operation == _COUNT:
            return self._blocks
        if operation == _SIZE:
            return BLOCK_BYTES
        if operation == _SYNC:
            self._file.flush()
        elif operation == _ERASE:
            self.writeblocks(argument, _ERASED)
        return 0
