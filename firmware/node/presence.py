"""Whether a sample is before the probe, told from looks at long intervals. Pure.

Rules of the file
- A look has a level, in 1/PART counts: with the laser what it adds to the mean of the pixels,
  without it how dark it is. Either way it rises when a sample comes.
- The level of the empty holder is learned: it falls at once, and follows noise and a slow rise.
  What stands there at the start counts as empty until it is taken away: it may have been measured.
- A sample is there after STEADY looks above the rise, and gone after STEADY looks below half of it.
  So one sample gives one reading, and an empty holder none.
- A sample that somebody had measured before the look saw it is not measured again.
"""

PART = 16  # levels in parts of a count: the mean of a thousand pixels knows them to a quarter
STEADY = 2
FULL_SCALE_PARTS = 6_000  # half of what the faintest listed goods give, some times the noise
_PARTICLE_PARTS = 24  # of full scale; a thousandth of it, in the mean, is below half the rise
_QUICK = 4  # looks in which the empty level follows a small fall
_SLOW = 8  # looks in which the empty level follows a rise by about two thirds

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Bytes


def rise(given_counts: int, full_scale_counts: int) -> int:
    """Return by how much the level has to rise, 1/PART counts.

    Args:
        given_counts: of node.json; 0: by the instrument.
        full_scale_counts: of the instrument.
    """
    return PART * given_counts or max(PART * full_scale_counts // FULL_SCALE_PARTS, PART)


def cap(dark_mean_counts: int, full_scale_counts: int) -> int:
    """Return what a pixel counts at most: so a cosmic particle, which fills one, moves no level."""
    return dark_mean_counts + full_scale_counts // _PARTICLE_PARTS


def total(pixels_u16le: "Bytes", begin: int, end: int, cap_counts: int) -> int:
    """Return the sum of little-endian u16 pixels, each cut off at `cap_counts`.

    Args:
        pixels_u16le: of the whole spectrum.
        begin: first byte.
        end: behind the last byte.
        cap_counts: see `cap`.
    """
    counts = 0
    for i in range(begin, end, 2):
        counts += min(pixels_u16le[i + 1] << 8 | pixels_u16le[i], cap_counts)
    return counts


class Presence:
    """Sees samples come and go."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: the instrument may be another, or was moved."""
        self._empty: int | None = None
        self._is_present = False
        self._steady = 0  # looks in a row that differ from what holds
        self._sample_count = 0  # measured until the newest look at an empty holder

    def handled(self, sample_count: int) -> None:
        """Note that somebody was at the holder: what is there now may be another sample.

        Args:
            sample_count: measured so far.
        """
        self._is_present, self._steady, self._sample_count = False, 0, sample_count

    def look(self, level: int, rise: int, sample_count: int) -> bool:
        """Take the level of a look; return whether a sample has come that nobody has measured.

        Args:
            level: 1/PART counts.
            rise: by which a sample raises it, the same unit.
            sample_count: samples measured so far.
        """
        if self._empty is None:
            self._empty, self._sample_count = level, sample_count
            return False
        above = level - self._empty
        if above < 0:
            self._empty = level if above < -rise else self._empty + above // _QUICK
        if self._is_present:
            self._steady = self._steady + 1 if above < rise // 2 else 0
            if self._steady == STEADY:
                self._is_present, self._steady = False, 0
                self._sample_count = sample_count
            return False
        if above < rise:
            self._steady, self._sample_count = 0, sample_count
            if above < rise // 2:
                self._empty += max(above, 0) // _SLOW
            return False
        self._steady += 1
        if self._steady < STEADY:
            return False
        self._is_present, self._steady = True, 0
        return sample_count == self._sample_count
