"""The frame of a reading, packed without taking anything from the heap.

Rules of the file
- The bytes are those of `protocol.messages.Reading.pack_into` (SPEC 3.6); tests compare them.
- The pixels always lie at `PIXELS_AT` and the header directly before them, so the frame begins
  where its length says. They are copied by `struct`, which is memcpy: no loop of ours, and no
  pointer to words, at which cores such as the M0+ and the ESP32's fault when it is not aligned.
- What is unusual (a value out of its range) is not packed here but left to `pack_into`, which
  says what is wrong. Types are the caller's promise.
- One source for both interpreters: `viper` code counts in machine words, so numbers that need
  more than 30 bits are only ever looked at byte by byte.
"""

import struct

from protocol.limits import PIXELS_BYTES_MAX
from protocol.messages import ROLE_STANDARD

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Any, Reading

try:
    import micropython
except ImportError:  # CPython, in the tests

    class micropython:  # type: ignore[no-redef]  # noqa: N801 - the decorators are known to the compiler by this name
        """Stands for MicroPython's module."""

        viper = staticmethod(lambda function: function)

    def ptr8(buffer: "Any") -> "Any":
        """Stand for the type of a pointer."""
        return buffer

    _IS_SWIFT = False
else:
    _IS_SWIFT = True

HEADER_BYTES_MAX = 114  # 4 for array and kind, 4 identities of 10, 11 numbers, 3 for the pixels
FRAME_AT = 22  # in front of any frame is room for the head of a record
PIXELS_AT = FRAME_AT + HEADER_BYTES_MAX

# Every field but the pixels in a cell of eight bytes, big-endian.
_CELLS = ">8sQ8sQQQ8sQ8sQQQqQQQ"
# Of each cell: 0 an identity, 1 a signed number, else the bits that an unsigned number may have.
_PLAN = b"\x00\x35\x00\x35\x35\x02\x00\x02\x00\x20\x10\x10\x01\x20\x10\x35"
_HEAD_AT = 128  # behind the cells
_work = bytearray(_HEAD_AT + HEADER_BYTES_MAX)
_pixels: "list[Any]" = [0, ""]  # bytes of the newest pixels, and the form that copies so many
_pack_into = struct.pack_into
# What a value of a wrong type or beyond 64 bits raises.
UNUSUAL = (TypeError, ValueError, OverflowError, getattr(struct, "error", TypeError))


@micropython.viper  # type: ignore[untyped-decorator,unused-ignore]  # untyped on unix
# One function, because a call would cost as much as a field.
def _write_header(work: object, plan: object, nils: int, pixel_bytes: int) -> int:  # noqa: C901, PLR0912, PLR0915
    """Write the header from the cells of `work` behind them; return its bytes, 0: out of range."""
    cells = ptr8(work)
    bits_of = ptr8(plan)
    at = 128
    cells[at] = 0xDC
    cells[at + 1] = 0
    cells[at + 2] = 18
    cells[at + 3] = 3
    at += 4
    cell = 0
    for i in range(16):
        bits = int(bits_of[i])
        if bits == 0:
            cells[at] = 0xC4
            cells[at + 1] = 8
            at += 2
            for k in range(8):
                cells[at + k] = cells[cell + k]
            at += 8
        elif (nils >> i) & 1:
            cells[at] = 0xC0
            at += 1
        else:
            filler = 0
            if bits == 1 and cells[cell] == 0xFF:
                filler = 0xFF
            first = 0
            while first < 8 and cells[cell + first] == filler:
                first += 1
            width = 8 - first  # bytes that say something
            if bits == 1:
                # The sign needs a bit, too; what has more than four bytes is no temperature.
                if filler and (not width or cells[cell + first] < 0x80):
                    width += 1
                if width > 4:
                    return 0
                lead = 0xD0 if filler else 0xCC
            else:
                if width > (bits + 7) >> 3:
                    return 0
                partly = bits & 7
                if partly and width == (bits + 7) >> 3 and cells[cell + first] >> partly:
                    return 0
                lead = 0xCC
            low = int(cells[cell + 7])
            if width < 2 and ((filler and low >= 0xE0) or (not filler and low < 0x80)):
                cells[at] = low
                at += 1
            else:
                size = 1
                while size < width:
                    size += size
                    lead += 1
                cells[at] = lead
                at += 1
                for k in range(size):
                    cells[at + k] = cells[cell + 8 - size + k]
                at += size
        cell += 8
    if pixel_bytes < 0x100:
        cells[at] = 0xC4
        cells[at + 1] = pixel_bytes
        return at + 2 - 128
    cells[at] = 0xC5
    cells[at + 1] = pixel_bytes >> 8
    cells[at + 2] = pixel_bytes & 0xFF
    return at + 3 - 128


@micropython.viper  # type: ignore[untyped-decorator,unused-ignore]  # untyped on unix
def _place(buffer: object, end: int, work: object, count: int) -> int:
    """Copy the header so that it ends at `end`; return where it begins."""
    to, source = ptr8(buffer), ptr8(work)
    begin = end - count
    for i in range(count):
        to[begin + i] = source[128 + i]
    return begin


def pack_reading(reading: "Reading", buffer: bytearray) -> int:
    """Pack a reading around PIXELS_AT and return where its frame begins.

    It ends at PIXELS_AT plus the bytes of the pixels.

    Args:
        reading: a `protocol.messages.Reading`.
        buffer: as long as PIXELS_AT and the pixels, or longer.
    Returns:
        Index of the first byte, at least PIXELS_AT - HEADER_BYTES_MAX; 0 when this reading is
        none for here: use `pack_into`.
    Raises:
        UNUSUAL: likewise.
    """
    pixels = reading.pixels_u16le
    count = len(pixels)
    time_ms, temperature_mc, dark_seq = reading.time_ms, reading.temperature_mc, reading.dark_seq
    seq, scans, role = reading.seq, reading.scans, reading.role
    nils = 0
    if time_ms is None:
        nils, time_ms = 0x10, 0
    if temperature_mc is None:
        nils, temperature_mc = nils | 0x1000, 0
    if dark_seq is None:
        nils, dark_seq = nils | 0x8000, 1
    if (
        count & 1
        or not 2 <= count <= PIXELS_BYTES_MAX
        or PIXELS_AT + count > len(buffer)
        or len(reading.journal_id) != 8
        or len(reading.boot_id) != 8
        or len(reading.inspection_id) != 8
        or len(reading.axis_id) != 8
        or not seq
        or not scans
        or not dark_seq
        or role > ROLE_STANDARD
    ):
        return 0
    _pack_into(
        _CELLS,
        _work,
        0,
        reading.journal_id,
        seq,
        reading.boot_id,
        reading.uptime_ms,
        time_ms,
        reading.time_quality,
        reading.inspection_id,
        role,
        reading.axis_id,
        reading.integration_us,
        scans,
        reading.laser_mw,
        temperature_mc,
        reading.full_scale_counts,
        reading.flags,
        dark_seq,
    )
    size = _write_header(_work, _PLAN, nils, count)
    if not size:
        return 0
    if not _IS_SWIFT:
        buffer[PIXELS_AT : PIXELS_AT + count] = pixels
    else:
        if _pixels[0] != count:
            _pixels[0], _pixels[1] = count, "%ds" % count
        _pack_into(_pixels[1], buffer, PIXELS_AT, pixels)  # memcpy, whatever their addresses
    return _place(buffer, PIXELS_AT, _work, size)  # type: ignore[no-any-return,unused-ignore]
