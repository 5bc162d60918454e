"""The partition the records lie on: mounted, watched, never formatted.

Rules of the file
- A partition whose file system is damaged goes into quarantine: a file beside node.json names it,
  and nothing writes to it until a person has looked at it, formatted it and removed that file. The
  node goes on with the next partition.
- Erasures are counted, because they are what wears the flash out. The count is saved from time to
  time, so a power cut may cost those since the last segment was begun.
"""

import os

from node import shelf
from node.errors import FLASH_DAMAGED, FlashRefused
from node.segment import append

if False:  # for the type checker: nothing of it is compiled
    from node.typed import AnyJournal, BlockDevice, Bytes

_BLOCK_ERASE = 6
_FILE_BYTES_MAX = 200
# Of a partition for the journal: littlefs copies on write and spreads wear over what is free.
_USED_NUMERATOR, _USED_DENOMINATOR = 7, 8


class CountedBlocks:
    """A block device that counts its erasures.

    Attributes:
        erase_count: of all blocks.
    """

    def __init__(self, device: "BlockDevice", erase_count: int) -> None:
        self._device = device
        self.erase_count = erase_count

    def readblocks(self, block: int, buffer: bytearray, offset: int = 0) -> object:
        """Read; see MicroPython's block devices."""
        return self._device.readblocks(block, buffer, offset)

    def writeblocks(self, block: int, buffer: "Bytes", offset: int = 0) -> object:
        """Write without erasing."""
        return self._device.writeblocks(block, buffer, offset)

    def ioctl(self, operation: int, argument: int) -> "int | None":
        """Control; operation 6 erases a block."""
        if operation == _BLOCK_ERASE:
            self.erase_count += 1
        return self._device.ioctl(operation, argument)


class Flash:
    """The partitions of a board, of which one is in use.

    Args:
        devices: (name, block device), the preferred one first; none: `folder` holds everything.
        folder: of node.json, on another file system; marks and counts lie there.
        point: where a partition is mounted.
    Attributes:
        path: folder that journal and config lie in.
        name: of the partition in use, empty for none.
        notice: which partitions are in quarantine, one sentence, else empty.
        bytes_max: what the journal may take of it; 0: no bound of its own.
        doubt: why the partition in use takes no record, though it can be read; None: it does.
    """

    def __init__(
        self, devices: "list[tuple[str, BlockDevice]]", folder: str, point: str = "/flash"
    ) -> None:
        self._devices = devices
        self._folder = folder
        self._blocks: CountedBlocks | None = None
        self.path = point if devices else folder
        self.name = ""
        self.notice = ""
        self.bytes_max = 0
        self.doubt: FlashRefused | None = None

    @property
    def erase_count(self) -> int:
        """Erasures of the partition in use since it was formatted."""
        return self._blocks.erase_count if self._blocks else 0

    def open(self, journal: "AnyJournal") -> None:
        """Mount a sound partition and open the journal on it; what is damaged is set apart.

        Raises:
            FlashRefused: none is left, or the medium refuses.
        """
        while True:
            if self._devices and not self.name:
                self._mount()
                if self.doubt is None:
                    journal.limit(self.bytes_max)
            try:
                journal.open()
            except FlashRefused as error:
                if not self.condemn(error):
                    raise
                self.close()
            else:
                return

    def close(self) -> None:
        """Unmount the partition in use."""
        if self.name:
            self.name = ""
            self._blocks = None
            os.umount(self.path)

    def condemn(self, error: FlashRefused) -> bool:
        """Put the partition in use into quarantine if `error` says that it is damaged.

        It takes effect at the next start; nothing is unmounted here.
        """
        if not self.suspect(error):
            return False
        self._quarantine(self.name, str(error))
        return True

    def suspect(self, error: FlashRefused) -> bool:
        """Take note that nothing shall be written any more if `error` says that it is damaged."""
        if not self.name or error.number not in FLASH_DAMAGED:
            return False
        self.doubt = self.doubt or error  # the first one tells most
        return True

    def save_wear(self) -> None:
        """Save the count of erasures.

        Raises:
            OSError: the main file system refuses.
        """
        if self._blocks:
            self._write("wear." + self.name, b"%d" % self._blocks.erase_count)

    def _mount(self) -> None:
        for name, device in self._devices:
            if shelf.exists(self._marker(name)):
                self._tell(name)
                continue
            blocks = CountedBlocks(device, self._read_wear(name))
            try:
                os.mount(os.VfsLfs2(blocks), self.path)  # type: ignore[attr-defined]  # the stub has it in vfs
            except OSError as error:
                self._quarantine(name, "it cannot be mounted: %s" % error)
                continue
            self._blocks = blocks
            self.name = name
            self.doubt = None
            self._measure()
            return
        raise FlashRefused("no partition of the flash is sound: " + self.notice)

    def _measure(self) -> None:
        """Learn the partition's size; littlefs looks at every block in use for that."""
        try:
            found = os.statvfs(self.path)
        except OSError as error:
            if error.errno not in FLASH_DAMAGED:
                raise FlashRefused("partition %s: %s; check the flash" % (self.name, error))
            text = "its file system is spoilt: %s" % error
            self.doubt = FlashRefused(text, error.errno)
            return
        self.bytes_max = found[1] * found[2] * _USED_NUMERATOR // _USED_DENOMINATOR

    def _quarantine(self, name: str, text: str) -> None:
        try:
            self._write("quarantine." + name, text.encode()[:_FILE_BYTES_MAX])
        except OSError as error:
            raise FlashRefused("partition %s is damaged (%s): %s" % (name, text, error))
        self._tell(name)

    def _tell(self, name: str) -> None:
        with open(self._marker(name), "rb") as file:
            text = file.read(_FILE_BYTES_MAX).decode()
        told = "partition %s is damaged and kept for examination, provision the board again (%s)"
        told = told % (name, text)
        if told not in self.notice:
            self.notice = self.notice + "; " + told if self.notice else told

    def _marker(self, name: str) -> str:
        return "%s/quarantine.%s" % (self._folder, name)

    def _read_wear(self, name: str) -> int:
        try:
            with open("%s/wear.%s" % (self._folder, name), "rb") as file:
                return int(file.read(20))
        except (OSError, ValueError):
            return 0

    def _write(self, name: str, content: bytes) -> None:
        path = self._folder + "/" + name
        append(path + shelf.NEW_SUFFIX, content, "wb")
        os.rename(path + shelf.NEW_SUFFIX, path)
