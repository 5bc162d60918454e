"""A spectrum as one-letter commands have it sent: pixel modes, words, compression, checksum. Pure.

References: Flame manual 225-00000-000-11-201604, chapter 8; SAD500 manual, technical notes 1 and 3.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulators.photons import CountArray, FloatArray

STX = b"\x02"
START, END = 0xFFFF, 0xFFFD
STEP_MAX = 127  # between neighbours, sent in one byte
ABSOLUTE = 0x80  # instead of a step: two bytes of value follow
PROMPT = b"\n\r> "


@dataclass(slots=True)
class Settings:
    """What a client may change, as the numbers it sends; a reset brings the defaults back."""

    integration_us: int
    scans: int = 1
    boxcar: int = 0
    is_compressed: int = 0
    lamp_on: int = 0
    is_stored: int = 0
    pixel_mode: int = 0
    pixel_arguments: Sequence[int] = ()
    trigger: int = 0
    has_checksum: int = 0
    is_ascii: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """Bytes of a spectrum, and where a byte of its checksum is; None: it has none."""

    data: bytes
    check_at: int | None


def has_pixels(mode: int, arguments: Sequence[int], pixel_count: int) -> bool:
    """Whether a pixel mode lets any of the instrument's pixels through."""
    last = pixel_count - 1
    match mode, arguments:
        case 0, []:
            return True
        case 1, [step]:
            return 1 <= step <= last
        case 3, [first, final, step]:
            return first <= final <= last and 1 <= step <= last
        case 4, [_, *chosen]:
            return bool(chosen) and all(index <= last for index in chosen)
    return False


def choose(counts: Sequence[int], settings: Settings) -> list[int]:
    """Return the pixels that the pixel mode lets through."""
    arguments = settings.pixel_arguments
    match settings.pixel_mode:
        case 1:
            return list(counts[:: arguments[0]])
        case 3:
            first, last, step = arguments
            return list(counts[first : last + 1 : step])
        case 4:
            return [counts[index] for index in arguments[1:]]
    return list(counts)


def smooth(counts: CountArray, half_width: int) -> FloatArray:
    """Mean over `half_width` pixels to each side, shape (n_pixel,); the ends repeat themselves."""
    width = 2 * half_width + 1
    padded = np.pad(counts.astype(np.float64), half_width, mode="edge")
    result: FloatArray = np.convolve(padded, np.full(width, 1.0 / width), mode="valid")
    return result


def encode(mean_counts: CountArray, settings: Settings) -> Sent:
    """Return everything from STX to the end.

    Args:
        mean_counts: shape (n_pixel,), averages over the scans, which are sent as sums.
        settings: how it was taken and is to be sent.
    """
    sums = smooth(mean_counts, settings.boxcar).astype(np.int64) * settings.scans
    values = choose(sums.tolist(), settings)
    is_wide = settings.scans > 1
    head = [
        START,
        int(is_wide),
        settings.scans,
        min(settings.integration_us // 1_000, 0xFFFF),
        *(0, 0),  # no baseline is taken off
        settings.pixel_mode,
        *settings.pixel_arguments,
    ]
    if settings.is_ascii:
        words = [*head, *values, END, *([0] if settings.has_checksum else [])]
        return Sent(STX + b"".join(b"%d " % word for word in words) + PROMPT, None)
    if settings.is_compressed and not is_wide:
        pixels, total = compress(values)
    else:
        pixels, total = (
            struct.pack(f">{len(values)}{'I' if is_wide else 'H'}", *values),
            sum(values),
        )
    data = STX + struct.pack(f">{len(head)}H", *head) + pixels + struct.pack(">H", END)
    if not settings.has_checksum:
        return Sent(data, None)
    return Sent(data + struct.pack(">H", total & 0xFFFF), len(data))


def compress(values: Sequence[int]) -> tuple[bytes, int]:
    """Return 16-bit pixels as steps between neighbours, and what their checksum adds up to."""
    data, total, before = bytearray(), 0, 0
    for index, value in enumerate(values):
        step = value - before
        if index and -STEP_MAX <= step <= STEP_MAX:
            data.append(step & 0xFF)
            total += step & 0xFF
        else:
            data += struct.pack(">BH", ABSOLUTE, value)
            total += ABSOLUTE + value
        before = value
    return bytes(data), total
