"""Plans and darks on numbers: runs unchanged on both interpreters, one line per case."""
# ruff: noqa: T201, UP031, E402, FBT003

import sys

REPOSITORY = sys.argv[1]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from node.exposure import Plan, is_nothing, noise_counts, rung
from node.spectrum import Darks, Look

FULL = 65_535


def plan(rate, dark_rate, span_us, measure_ms, band_share):
    """Return what a plan does on a detector that counts `rate` in a second of light."""
    made = Plan(span_us, FULL, measure_ms)
    shots = []
    while True:
        time_us = made.integration_us
        dark = min(FULL, 1_500 + dark_rate * time_us // 1_000_000)
        if made.shorten(dark):
            continue
        light = rate * time_us // 1_000_000
        high = min(FULL, dark + light)
        shots.append("%d*%d" % (time_us, made.scans))
        band = (high - dark) * band_share // 100
        stands = band > 3 * noise_counts(light, FULL) + light // 32
        if made.judge(high, band, stands, high >= FULL):
            return (
                " ".join(shots),
                100 * (high - dark) // max(FULL - dark, 1),
                high >= FULL,
                made.is_empty,
            )


def content(pixels):
    """Return pixels as they come."""
    found = bytearray()
    for value in pixels:
        found += bytes([value & 0xFF, value >> 8])
    return memoryview(found)


def look(pixels, step, dark=None, full=60_000):
    """Return what a spectrum shows that is taken in pieces of `step` pixels."""
    made = Look(full, len(pixels), dark)
    for first in range(0, len(pixels), step):
        made.take(content(pixels), first, min(first + step, len(pixels)))
    return made


def looks():
    """Print what a spectrum shows, whichever pieces it is taken in."""
    ground = [1_000 + 10 * (i * i % 7) for i in range(61)]
    pixels = ground[:]
    for i, value in enumerate([1_000, 8_000, 19_000, 20_000, 8_000, 1_000]):
        pixels[20 + i] += value
    pixels[50] = 60_000  # a cosmic ray
    for step in (1, 7, 61):
        dark = look(ground, step)
        made = look(pixels, step, dark)
        print(step, dark.mean_counts, dark.stands, made.high_counts, made.rise_counts, end=" ")
        print(made.band_counts, made.stands, made.is_saturated, made.mean_counts)
    dark = look(ground, 7)
    nothing = look([value + i * 5 % 3 for i, value in enumerate(ground)], 7, dark)
    print(nothing.rise_counts, nothing.band_counts, nothing.stands, nothing.is_saturated)
    lit = look([1_000] * 30 + [40_000] * 31, 7)  # further apart than what is kept of it
    print(len(dark.boxes), len(lit.boxes), look(ground, 7, lit).stands)
    for case in ((0, False, 400_000), (300, False, 400_000), (300, True, 400_000)):
        print(case, is_nothing(case[0], case[1], FULL, case[2]))
    for rise in (849, 850, 7_863, 7_864):
        print(
            rise, is_nothing(rise, False, FULL, 400_000), is_nothing(rise, False, FULL, 3_700_000)
        )


def found(kept, case):
    """Return the number of the dark frame that fits."""
    fits = kept.find(*case)
    return fits and fits[0]


def darks():
    """Print which dark frames fit."""
    kept = Darks()
    taken = look([1_000] * 8, 8)
    print(kept.mean_counts, kept.find((100, 1), b"axis", 20_000, 0))
    for seq, exposure in enumerate(((100, 1), (200, 4), (400, 1), (800, 1), (1_600, 1))):
        kept.keep(seq + 1, exposure, b"axis", 20_000, 1_000, taken)
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
        print(case[0], case[2], case[3], found(kept, case))
    kept.keep(6, (200, 4), b"axis", 20_000, 1_000, look([1_000] * 7 + [60_000], 8))
    print("full", kept.mean_counts, found(kept, ((200, 4), b"axis", 20_000, 1_000)))
    kept.forget()
    print(found(kept, ((400, 1), b"axis", 20_000, 1_000)))


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
