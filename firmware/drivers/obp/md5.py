"""MD5 for boards whose MicroPython has none: rp2 and esp32 are built with SHA-1 and SHA-256 only.

About 2000 steps for a spectrum of 1024 pixels. Same results as hashlib.md5, which is used where it
exists; a test compares them.

Reference: R. Rivest, RFC 1321, The MD5 Message-Digest Algorithm, April 1992.
"""

import struct

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Bytes

# floor(2**32 * abs(sin(i))) for i = 1..64, packed: as integers they would be 64 objects on the
# heap, and a board's single-precision sine cannot compute them.
_SINES = bytes.fromhex(
    "78a46ad756b7c7e8db702024eecebdc1af0f7cf52ac68747134630a8019546fd"
    "d8988069aff7448bb15bffffbed75c892211906b937198fd8e4379a62108b449"
    "62251ef640b340c0515a5e26aac7b6e95d102fd65314440281e6a1d8c8fbd3e7"
    "e6cde121d60737c3870dd5f4ed145a4505e9e3a9f8a3effcd9026f678a4c2a8d"
    "4239faff81f6718722619d6d0c38e5fd44eabea4a9cfde4b604bbbf670bcbfbe"
    "c67e9b28fa27a1ea8530efd4051d880439d0d4d9e599dbe6f87ca21f6556acc4"
    "442229f497ff2a43a72394ab39a093fcc3595b6592cc0c8f7df4efffd15d8485"
    "4f7ea86fe0e62cfe144301a3a111084e827e53f735f23abdbbd2d72a91d386eb"
)
_SHIFTS = (7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21)
_MASK = 0xFFFFFFFF
_BLOCK_BYTES = 64


def md5(content: "Bytes") -> "_Digest":
    """Return an object whose `digest()` is the MD5 of `content`, as hashlib does."""
    state = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
    length = len(content)
    whole = length - length % _BLOCK_BYTES
    for at in range(0, whole, _BLOCK_BYTES):
        state = _mix(state, struct.unpack_from("<16I", content, at))
    rest = bytes(content[whole:]) + b"\x80"
    rest += b"\0" * ((56 - len(rest)) % _BLOCK_BYTES) + struct.pack("<Q", length * 8)
    for at in range(0, len(rest), _BLOCK_BYTES):
        state = _mix(state, struct.unpack_from("<16I", rest, at))
    return _Digest(state)


class _Digest:
    """What `md5` returns."""

    def __init__(self, state: "tuple[int, int, int, int]") -> None:
        self._state = state

    def digest(self) -> bytes:
        """Return the 16 bytes."""
        return struct.pack("<4I", *self._state)


def _mix(
    state: "tuple[int, int, int, int]", words: "tuple[int, ...]"
) -> "tuple[int, int, int, int]":
    """Return the state after one block of sixteen 32-bit words (RFC 1321, section 3.4)."""
    a, b, c, d = state
    for i in range(64):
        if i < 16:
            f, g = b & c | ~b & d, i
        elif i < 32:
            f, g = d & b | ~d & c, (5 * i + 1) & 15
        elif i < 48:
            f, g = b ^ c ^ d, (3 * i + 5) & 15
        else:
            f, g = c ^ (b | ~d & _MASK), 7 * i & 15
        f = (f + a + struct.unpack_from("<I", _SINES, 4 * i)[0] + words[g]) & _MASK
        shift = _SHIFTS[i >> 4 << 2 | i & 3]
        a, d, c, b = d, c, b, (b + (f << shift | f >> 32 - shift)) & _MASK
    return (
        (state[0] + a) & _MASK,
        (state[1] + b) & _MASK,
        (state[2] + c) & _MASK,
        (state[3] + d) & _MASK,
    )
