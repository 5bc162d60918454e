"""How long and how often to expose, from what the shots before showed. Pure.

Rules of the file
- Aim: the brightest pixel at 57 to 80 % of what the dark level leaves of full scale. Above 85 % a
  hand that moves fills the detector, and its response bends; below 50 % a scan costs as much time
  and says less. A shot within 50 to 85 % is kept.
- Times are rungs of a ladder, each 1.41 times the one below, so that dark frames fit again.
- Four shots at most. A full detector says only that less is needed, so the time is cut to a
  thirty-second, then to the shortest; no signal at all asks for the longest.
- Scans: as many as lift the tallest band over TARGET times its noise, within the time allowed.
  Where no band stands out, whatever time allows: more scans are the only thing that can help.
- Noise is taken as in the least of the instruments supported, of the USB4000's class: 300:1 at full
  signal by shot noise, 1300:1 between full scale and read noise; chosen after what its maker states
  of the kind (Flame manual 225-00000-000-11: 160,000 electrons, 275:1). A better one is exposed a
  little longer than it needs.
"""

SHOTS_MAX = 4
START_US = 100_000  # a strong scatterer at 100 mW fills a third of the detector
AIM_PERCENT = 80
KEPT_PERCENT_MIN, KEPT_PERCENT_MAX = 50, 85
FULL_PERCENT = 95  # of full scale, dark level and all: what is above may be cut off
DARK_PERCENT = 60  # of full scale: beyond, dark current is most of what is measured
EMPTY_PERCENT = 12  # of room at the longest time: a probe's own glass gives 4
CUT = 32  # full at 100 ms and at 3 ms: only sunlight is, and the shortest time is next
TARGET = 200  # tallest band over its noise: bands of 5 % of it are still ten times their own
SCANS_MAX = 50  # averages in the instrument; beyond, its drift is not averaged out
SHOT_RATIO, READ_RATIO = 300, 1_300  # full scale over its noise
CLEAR_SIGMA = 6  # of the largest among 2,000 pixels: noise reaches 4
_ROUGH = 32  # pixels differ by about 1 % in their response: three times that is no band


def rung(time_us: int) -> int:
    """Return the longest time of the ladder that is not above `time_us`, 10 at least."""
    step = 10
    while 2 * step <= time_us:
        step *= 2
    half = step * 141 // 100
    return half if half <= time_us else step


def noise_counts(signal_counts: int, full_scale_counts: int) -> int:
    """Return one standard deviation of a pixel in one scan, counts, 1 at least."""
    read = full_scale_counts // READ_RATIO
    variance = read * read + signal_counts * full_scale_counts // (SHOT_RATIO * SHOT_RATIO)
    return max(int(variance**0.5), 1)


class Plan:
    """The exposures of one measurement.

    Args:
        range_us: shortest and longest integration of the instrument.
        full_scale_counts: counts at which a pixel is saturated.
        measure_ms_max: integration x scans of one shot.
        scans_max: that the instrument averages.
    Attributes:
        integration_us, scans: of the shot to take next, and of the newest once it is kept.
        shots: taken so far.
        is_empty: the shot that is kept shows nothing at the longest time.
    """

    def __init__(
        self,
        range_us: "tuple[int, ...]",
        full_scale_counts: int,
        measure_ms_max: int,
        scans_max: int = SCANS_MAX,
    ) -> None:
        self._scans_max = min(scans_max, SCANS_MAX)
        self._low_us = max(range_us[0], 10)
        self._high_us = max(self._low_us, rung(min(range_us[1], measure_ms_max * 500)))
        self._full = full_scale_counts
        self._measure_us = measure_ms_max * 1000
        self.integration_us = self._within(START_US)
        self.scans = 1
        self.shots = 0
        self.is_empty = False
        self._is_aimed = False  # the next shot's time follows from a signal that was seen

    def is_meant(self) -> bool:
        """Say whether the next shot is likely to be kept: a dark frame is worth its time."""
        return not self.shots or self._is_aimed or self.shots == SHOTS_MAX - 1

    def shorten(self, dark_counts: int) -> bool:
        """Say whether a dark frame of the next shot leaves too little room; it is shorter then."""
        time_us = self.integration_us
        if dark_counts * 100 <= self._full * DARK_PERCENT or time_us == self._low_us:
            return False
        self._high_us = self._within(time_us // 4 if dark_counts >= self._full else time_us // 2)
        self._next(self._high_us, self._most(self._high_us), True)
        return True

    def judge(self, high_counts: int, band_counts: int, dark_counts: int, rough: int) -> bool:
        """Take a shot into account; True: it is the one to keep.

        Args:
            high_counts: brightest pixel.
            band_counts: tallest band over its shoulders, mean of four pixels.
            dark_counts: dark level at this exposure, or the nearest that is known.
            rough: `band_counts` of that dark frame.
        """
        self.shots += 1
        time_us = self.integration_us
        is_last = self.shots == SHOTS_MAX
        room = max(self._full - dark_counts, 1)
        signal = max(high_counts - dark_counts, 0)
        if high_counts * 100 > self._full * FULL_PERCENT:
            if is_last or time_us == self._low_us:
                return True
            is_first = self.shots == 1 or self._is_aimed
            self._next(time_us // CUT if is_first else self._low_us, 1, False)
            return False
        if signal < CLEAR_SIGMA * noise_counts(0, self._full):
            if is_last or time_us == self._high_us:
                self.is_empty = time_us == self._high_us
                return True
            self._next(self._high_us, 1, True)
            return False
        stands = self._stands(band_counts, signal, rough)
        percent = 100 * signal // room
        wanted_us = self._within(time_us * (room * AIM_PERCENT // 100) // signal)
        if KEPT_PERCENT_MIN <= percent <= KEPT_PERCENT_MAX:
            wanted_us = time_us
        is_longest = wanted_us == time_us == self._high_us
        if is_longest and percent < EMPTY_PERCENT and not stands:
            self.is_empty = True
            return True
        scans = self._scans(wanted_us, signal * wanted_us // time_us, band_counts, time_us, stands)
        if is_last or (wanted_us == time_us and 2 * scans <= 3 * self.scans):
            return True
        self._next(wanted_us, scans, True)
        return False

    def _next(self, time_us: int, scans: int, is_aimed: bool) -> None:
        self.integration_us = self._within(time_us)
        self.scans = scans
        self._is_aimed = is_aimed

    def _within(self, time_us: int) -> int:
        return min(max(rung(time_us), self._low_us), self._high_us)

    def _stands(self, band_counts: int, signal: int, rough: int) -> bool:
        """Say whether a band is more than noise, uneven pixels and the dark frame's own pattern."""
        noise = noise_counts(signal, self._full) // int(self.scans**0.5)
        return band_counts > CLEAR_SIGMA * noise // 2 + signal // _ROUGH + rough

    def _most(self, time_us: int) -> int:
        return min(max(self._measure_us // time_us, 1), self._scans_max)

    def _scans(self, time_us: int, signal: int, band: int, taken_us: int, stands: bool) -> int:
        most = self._most(time_us)
        band = band * time_us // taken_us
        if not stands or not band:
            return most
        wanted = TARGET * noise_counts(signal, self._full)
        return min(max((wanted * wanted + band * band - 1) // (band * band), 1), most)
