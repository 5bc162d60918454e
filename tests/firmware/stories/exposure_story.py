"""Plans and darks on numbers: runs unchanged on both interpreters, one line per case."""
# ruff: noqa: T201, UP031, E402

import sys

REPOSITORY = sys.argv[1]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from node.exposure import Plan, rung
from node.spectrum import Darks, Look

FULL = 65_535


def plan_is_shortened(made, dark):
    return made.is_meant() and made.shorten(min(dark, FULL))


def plan(rate, dark_rate, span_us, measure_ms, band_share):
    """Return what a plan does on a detector that counts `rate` in a second of light."""
    made = Plan(span_us, FULL, measure_ms)
    shots = []
    while True:
        time_us = made.integration_us
        dark = 1_500 + dark_rate * time_us // 1_000_000
        if plan_is_shortened(made, dark):
            continue
        high = min(FULL, dark + rate * time_us // 1_000_000)
        shots.append("%d*%d" % (time_us, made.scans))
        if made.judge(high, (high - dark) * band_share // 100, dark, 0):
            return (
                " ".join(shots),
                100 * (high - dark) // (FULL - dark),
                high >= FULL,
                made.is_empty,
            )


def looks():
    """Print what a spectrum shows, whichever pieces it is taken in."""
    pixels = [1_000] * 61
    pixels[20:26] = [2_000, 9_000, 20_000, 21_000, 9_000, 2_000]
    pixels[50] = 60_000  # a cosmic ray
    content = bytearray()
    for value in pixels:
        content += bytes([value & 0xFF, value >> 8])
    for step in (1, 7, 61):
        look = Look(60_000)
        for first in range(0, 61, step):
            look.take(memoryview(content), first, min(first + step, 61))
        print(step, look.high_counts, look.band_counts, look.mean_counts, look.is_saturated)


def darks():
    """Print which dark frames fit."""
    kept = Darks()
    look = Look(FULL)
    print(kept.level(1), kept.find((100, 1), b"axis", 20_000, 0))
    for seq, exposure in enumerate(((100, 1), (200, 4), (400, 1), (800, 1), (1_600, 1))):
        kept.keep(seq + 1, exposure, b"axis", 20_000, 1_000, look)
    for case in (
        ((100, 1), b"axis", 20_000, 1_000),  # five are too many: the first went
        ((200, 4), b"axis", 20_000, 1_000),
        ((200, 1), b"axis", 20_300, 600_999),
        ((200, 5), b"axis", 20_000, 1_000),
        ((200, 4), b"else", 20_000, 1_000),
        ((200, 4), b"axis", 20_301, 1_000),
        ((200, 4), b"axis", 19_699, 1_000),
        ((200, 4), b"axis", None, 1_000),
        ((200, 4), b"axis", 20_000, 601_000),
    ):
        print(case[0], case[2], case[3], kept.find(*case))
    kept.forget()
    print(kept.find((200, 4), b"axis", 20_000, 1_000))


def main():
    print([rung(time_us) for time_us in (1, 10, 14, 15, 21_999, 100_000, 400_000, 85_000_000)])
    for rate in [10**power * digit for power in range(10) for digit in (1, 3)]:
        for dark_rate in (40, 4_000):
            for span_us in ((22_000, 60_000_000), (10, 85_000_000), (3_800, 10_000_000)):
                for measure_ms, band_share in ((10_000, 60), (2_000, 3), (60_000, 100)):
                    shots, percent, is_full, is_empty = plan(
                        rate, dark_rate, span_us, measure_ms, band_share
                    )
                    print(
                        rate, dark_rate, span_us[0], measure_ms, is_full, is_empty, percent, shots
                    )
    print("looks")
    looks()
    print("darks")
    darks()


main()
