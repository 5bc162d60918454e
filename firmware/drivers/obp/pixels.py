"""Pixels of 32 bits made pixels of 16, where they lie."""

import asyncio

_PIXELS_AT_ONCE = 128  # some 5 ms on a board; the loop runs in between


async def narrow(pixels: memoryview, shift: int) -> memoryview:
    """Return little-endian u32 pixels as u16, the lowest `shift` bits left out.

    Args:
        pixels: bytes that may be changed: the result takes their place.
        shift: 1 to 8. What does not fit into 16 bits then is 65,535.
    """
    count = len(pixels) // 4
    for begin in range(0, count, _PIXELS_AT_ONCE):
        for pixel in range(begin, min(begin + _PIXELS_AT_ONCE, count)):
            at = 4 * pixel
            value = (pixels[at] | pixels[at + 1] << 8 | pixels[at + 2] << 16) >> shift
            if pixels[at + 3] or value > 0xFFFF:
                value = 0xFFFF
            pixels[2 * pixel] = value & 0xFF
            pixels[2 * pixel + 1] = value >> 8
        await asyncio.sleep_ms(0)
    return pixels[: 2 * count]
