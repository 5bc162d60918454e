"""A NOR flash in memory that notes every write and erasure, and what a power cut leaves of it.

littlefs writes in pieces of 32 bytes and more and erases blocks: each is one operation, and the
power may go before it (clean) or within it (torn).
"""

BLOCK_BYTES = 512
BLOCKS = 48
BYTES = BLOCK_BYTES * BLOCKS
ERASED = b"\xff" * BLOCK_BYTES
VARIANTS = 4  # of a cut at one operation: clean, torn in the middle, torn anywhere twice


class Device:
    """The block device.

    Attributes:
        content: bytearray of BYTES.
        log: operations as (where, bytes written, or None for an erasure); None: not noted.
    """

    def __init__(self, content, log=None):
        self.content = content
        self.log = log

    def readblocks(self, block, buffer, offset=0):
        at = block * BLOCK_BYTES + offset
        buffer[:] = memoryview(self.content)[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        at = block * BLOCK_BYTES + offset
        self.content[at : at + len(buffer)] = buffer
        if self.log is not None:
            self.log.append((at, bytes(buffer)))

    def ioctl(self, operation, argument):
        if operation == 4:
            return BLOCKS
        if operation == 5:
            return BLOCK_BYTES
        if operation == 6:
            at = argument * BLOCK_BYTES
            self.content[at : at + BLOCK_BYTES] = ERASED
            if self.log is not None:
                self.log.append((at, None))
        return 0


def do(content, operation):
    """Apply one whole operation."""
    at, written = operation
    written = ERASED if written is None else written
    content[at : at + len(written)] = written


def tear(content, operation, variant, chance):
    """Apply the part of an operation that was done when the power went; variant 0: nothing.

    `chance` is a function of n that draws 0..n-1.
    """
    if not variant:
        return
    at, written = operation
    whole = ERASED if written is None else written
    done = len(whole) // 2 if variant == 1 else chance(len(whole))
    content[at : at + done] = whole[:done]
    if variant == 3:  # cells that were being programmed have some of their bits
        content[at + done] = (whole[done] | chance(256)) & 0xFF


class Chance:
    """Numbers that are the same for the same seed on every interpreter."""

    def __init__(self, seed):
        self._state = (seed * 2_654_435_761 + 12_345) & 0x7FFFFFFF

    def __call__(self, limit):
        """Draw 0..limit-1."""
        self._state = (self._state * 1_103_515_245 + 12_345) & 0x7FFFFFFF
        return (self._state >> 8) % limit
