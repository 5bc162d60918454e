"""MD5 for boards whose MicroPython has none: rp2 and esp32 are built with SHA-1 and SHA-256 only.

Same results as hashlib.md5, which is used where it exists; a test compares them. 4,160 steps for a
spectrum of 2048 pixels: as bytecode with long integers they would hold up the event loop of a
board for some hundred milliseconds, so they are machine code, 27 times as fast on a host. It counts
in machine words of 32 or 64 bits; pointers to words are only to buffers of its own, which are
aligned. Tried with 64 bits only.

Reference: R. Rivest, RFC 1321, The MD5 Message-Digest Algorithm, April 1992.
"""

import struct

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Any, Bytes

try:
    import micropython
except ImportError:  # CPython, in the tests

    class micropython:  # type: ignore[no-redef]  # noqa: N801 - the decorator is known to the compiler by this name
        """Stands for MicroPython's module."""

        viper = staticmethod(lambda function: function)

    def ptr8(buffer: "Any") -> "Any":
        """Stand for the type of a pointer to bytes."""
        return buffer

    def ptr32(buffer: "Any") -> "Any":
        """Stand for the type of a pointer to words."""
        return memoryview(buffer).cast("I")


# floor(2**32 * abs(sin(i))) for i = 1..64, packed: as integers they would be 64 objects on the
# heap, and a board's single-precision sine cannot compute them.
_SINES = bytearray(
    bytes.fromhex(
        "78a46ad756b7c7e8db702024eecebdc1af0f7cf52ac68747134630a8019546fd"
        "d8988069aff7448bb15bffffbed75c892211906b937198fd8e4379a62108b449"
        "62251ef640b340c0515a5e26aac7b6e95d102fd65314440281e6a1d8c8fbd3e7"
        "e6cde121d60737c3870dd5f4ed145a4505e9e3a9f8a3effcd9026f678a4c2a8d"
        "4239faff81f6718722619d6d0c38e5fd44eabea4a9cfde4b604bbbf670bcbfbe"
        "c67e9b28fa27a1ea8530efd4051d880439d0d4d9e599dbe6f87ca21f6556acc4"
        "442229f497ff2a43a72394ab39a093fcc3595b6592cc0c8f7df4efffd15d8485"
        "4f7ea86fe0e62cfe144301a3a111084e827e53f735f23abdbbd2d72a91d386eb"
    )
)
_SHIFTS = bytearray(b"\x07\x0c\x11\x16\x05\x09\x0e\x14\x04\x0b\x10\x17\x06\x0a\x0f\x15")
_BEGIN = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_MASK = 0xFFFFFFFF
_BLOCK_BYTES = 64


def md5(content: "Bytes") -> "_Digest":
    """Return an object whose `digest()` is the MD5 of `content`, as hashlib does."""
    state = bytearray(struct.pack("<4I", *_BEGIN))
    length = len(content)
    whole = length - length % _BLOCK_BYTES
    for at in range(0, whole, _BLOCK_BYTES):
        _mix(state, content, at, _MASK)
    rest = bytes(content[whole:]) + b"\x80"
    rest += b"\0" * ((56 - len(rest)) % _BLOCK_BYTES) + struct.pack("<Q", length * 8)
    for at in range(0, len(rest), _BLOCK_BYTES):
        _mix(state, rest, at, _MASK)
    return _Digest(bytes(state))


class _Digest:
    """What `md5` returns."""

    def __init__(self, state: bytes) -> None:
        self._state = state

    def digest(self) -> bytes:
        """Return the 16 bytes."""
        return self._state


@micropython.viper  # type: ignore[untyped-decorator,unused-ignore]  # untyped on unix
def _mix(state: object, content: object, at: int, mask: int):  # type: ignore[no-untyped-def]  # noqa: ANN202 - None is no type of viper's
    """Take one block of 64 bytes from `at` into the state (RFC 1321, section 3.4)."""
    sums = ptr32(state)
    sines = ptr32(_SINES)
    shifts = ptr8(_SHIFTS)
    block = ptr8(content)
    a = int(sums[0])
    b = int(sums[1])
    c = int(sums[2])
    d = int(sums[3])
    for i in range(64):
        if i < 16:
            f = (b & c) | ((b ^ mask) & d)
            g = i
        elif i < 32:
            f = (d & b) | ((d ^ mask) & c)
            g = (5 * i + 1) & 15
        elif i < 48:
            f = b ^ c ^ d
            g = (3 * i + 5) & 15
        else:
            f = c ^ (b | (d ^ mask))
            g = (7 * i) & 15
        k = at + 4 * g
        word = int(block[k]) | int(block[k + 1]) << 8 | int(block[k + 2]) << 16
        word = word | int(block[k + 3]) << 24
        f = (f + a + int(sines[i]) + word) & mask
        shift = int(shifts[((i >> 4) << 2) | (i & 3)])
        f = ((f << shift) | ((f >> (32 - shift)) & ((1 << shift) - 1))) & mask
        a = d
        d = c
        c = b
        b = (b + f) & mask
    sums[0] = (int(sums[0]) + a) & mask
    sums[1] = (int(sums[1]) + b) & mask
    sums[2] = (int(sums[2]) + c) & mask
    sums[3] = (int(sums[3]) + d) & mask
