"""How long and how often to expose, from what the shots before showed. Pure.

Rules of the file
- Aim: the brightest pixel at 57 to 80 % of what the dark level leaves of full scale. Above 85 % a
  hand that moves fills the detector, and its response bends; below 50 % a scan costs as much time
  and says less. A shot within 50 to 85 % is kept.
- Times are rungs of a ladder, each 1.41 times the one below, so that dark frames fit again; each is
  made shorter to the next that the instrument can be set to.
- Four shots at most. A shot tells the signal where it is between the noise and full, which is a
  range of 200 times. A full detector says only that less is needed, no signal only that more is:
  so the steps from 100 ms to the shortest time or the longest leave no gap wider than that, and
  what was full once is not tried again.
- Before each shot comes its dark frame: it tells the room, and at which times there is none.
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
EMPTY_PERCENT = 12  # of full scale after EMPTY_US: a probe's own glass gives 4
EMPTY_US = 3_700_000  # the longest time where MEASURE_S_MAX is what it is
CUT = 64  # first step down from a full detector, where the shortest time is further than the next
STEP = 128  # of times that leaves no gap: what is at 95 % after it was seen at 0.7 %, 10 sigma
TARGET = 200  # tallest band over its noise: bands of 5 % of it are still ten times their own
SCANS_MAX = 50  # averages in the instrument; beyond, its drift is not averaged out
SHOT_RATIO, READ_RATIO = 300, 1_300  # full scale over its noise
CLEAR_SIGMA = 6  # of the largest among 2,000 pixels: noise reaches 4


def rung(time_us: int, unit_us: int = 1) -> int:
    """Return the longest time of the ladder that is not above `time_us`, 10 at least.

    Args:
        time_us: microseconds.
        unit_us: of which every time is a multiple; above 10, the result may be 0.
    """
    step = 10
    while 2 * step // unit_us * unit_us <= time_us:
        step *= 2
    half = step * 141 // 100 // unit_us * unit_us
    return half if half <= time_us else step // unit_us * unit_us


def settable(time_us: int, range_us: "tuple[int, ...]", unit_us: int) -> int:
    """Return the time next to `time_us` that an instrument can be set to, longer rather than not.

    Args:
        time_us: microseconds.
        range_us: shortest and longest integration of the instrument.
        unit_us: of which each is a multiple; one lies within the range.
    """
    time_us = min(max(time_us, range_us[0]), range_us[1])
    longer_us = time_us + -time_us % unit_us
    return longer_us if longer_us <= range_us[1] else longer_us - unit_us


def noise_counts(signal_counts: int, full_scale_counts: int) -> int:
    """Return one standard deviation of a pixel in one scan, counts, 1 at least."""
    read = full_scale_counts // READ_RATIO
    variance = read * read + signal_counts * full_scale_counts // (SHOT_RATIO * SHOT_RATIO)
    return max(int(variance**0.5), 1)


def clear_counts(full_scale_counts: int) -> int:
    """Return what the noise of one dark scan does not reach, counts."""
    return CLEAR_SIGMA * noise_counts(0, full_scale_counts)


def is_nothing(rise_counts: int, stands: bool, full_scale_counts: int, time_us: int) -> bool:
    """Say whether a spectrum shows no more than noise and the probe's own glass.

    Args:
        rise_counts: of its brightest pixels above the dark level.
        stands: a band does, above noise and uneven pixels.
        full_scale_counts: counts at which a pixel is saturated.
        time_us: integration.
    """
    glass_counts = full_scale_counts * EMPTY_PERCENT * time_us // (100 * EMPTY_US)
    return not stands and rise_counts < max(glass_counts, clear_counts(full_scale_counts))


class Plan:
    """The exposures of one measurement.

    Before each shot its dark frame goes through `shorten`, and is taken anew while that says True.

    Args:
        range_us: shortest and longest integration of the instrument.
        full_scale_counts: counts at which a pixel is saturated.
        measure_ms_max: integration x scans of one shot.
        scans_max: that the instrument averages.
        unit_us: of which its integration is a multiple.
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
        unit_us: int = 1,
    ) -> None:
        self._unit_us = unit_us
        self._scans_max = min(scans_max, SCANS_MAX)
        self._low_us = settable(10, range_us, unit_us)
        self._high_us = max(self._low_us, rung(min(range_us[1], measure_ms_max * 500), unit_us))
        self._full = full_scale_counts
        self._measure_us = measure_ms_max * 1000
        self._seen = (0, 1)  # signal of the newest shot that was neither full nor nothing, and time
        self._dark = 0  # of the next shot
        self._darks: list[tuple[int, int]] = []  # times and levels, the two that tell its growth
        self.integration_us = self._within(START_US)
        self.scans = 1
        self.shots = 0
        self.is_empty = False

    def shorten(self, dark_counts: int) -> bool:
        """Take the next shot's dark frame into account; True: the shot is shorter now.

        Args:
            dark_counts: its mean.
        """
        time_us = self.integration_us
        self._dark = dark_counts
        is_full = dark_counts * 100 > self._full * FULL_PERCENT
        if not is_full:
            self._darks = [dark for dark in self._darks if dark[0] < time_us][:1]
            self._darks.append((time_us, dark_counts))
        if time_us == self._low_us or not (is_full or self._is_beyond(KEPT_PERCENT_MAX, time_us)):
            return False
        self._high_us = self._below(time_us)
        if is_full:
            self._high_us = self._within(time_us // 4) if self._darks else self._high_us
            self._next(self._high_us if self._darks else self._down(time_us), 1)
            return True
        while self._high_us > self._low_us and self._is_dark(self._high_us):
            self._high_us = self._below(self._high_us)
        self._next(self._aim(), self.scans)
        return True

    def judge(
        self, high_counts: int, band_counts: int, stands: bool, is_saturated: bool = False
    ) -> bool:
        """Take a shot into account; True: it is the one to keep.

        Args:
            high_counts: brightest pixel.
            band_counts: tallest band over its shoulders, mean of a box of pixels.
            stands: that band is more than noise and uneven pixels.
            is_saturated: a pixel is, and be it one alone.
        """
        self.shots += 1
        time_us = self.integration_us
        is_last = self.shots == SHOTS_MAX
        if high_counts * 100 > self._full * FULL_PERCENT:
            if is_last or time_us == self._low_us:
                return True
            self._high_us = self._below(time_us)
            # A signal that was seen has grown a little since; else nothing is known of it.
            self._next(time_us // 2 if self._seen[0] else self._down(time_us), 1)
            return False
        if is_saturated and time_us > self._low_us:  # the tip of a sharp band, or a cosmic ray
            self._high_us = self._below(time_us)
        signal = max(high_counts - self._dark, 0)
        is_longest = time_us >= self._high_us
        if signal < clear_counts(self._full):
            if is_last or is_longest:
                self.is_empty = is_longest and not stands
                return True
            self._next(time_us * STEP, 1)
            return False
        self._seen = (signal, time_us)
        percent = 100 * signal // max(self._full - self._dark, 1)
        is_within = KEPT_PERCENT_MIN <= percent <= KEPT_PERCENT_MAX and time_us <= self._high_us
        wanted_us = time_us if is_within else self._aim()
        if wanted_us == time_us == self._high_us and is_nothing(
            signal, stands, self._full, time_us
        ):
            self.is_empty = True
            return True
        scans = self._scans(wanted_us, signal * wanted_us // time_us, band_counts, time_us, stands)
        if is_last or (wanted_us == time_us and 2 * scans <= 3 * self.scans):
            return True
        self._next(wanted_us, scans)
        return False

    def _next(self, time_us: int, scans: int) -> None:
        self.integration_us = self._within(time_us)
        self.scans = scans

    def _within(self, time_us: int) -> int:
        return min(max(rung(time_us, self._unit_us), self._low_us), self._high_us)

    def _below(self, time_us: int) -> int:
        """Return the next shorter time."""
        return max(rung(time_us - 1, self._unit_us), self._low_us)

    def _down(self, time_us: int) -> int:
        """Return the time after one at which the detector is full."""
        return self._low_us if time_us <= STEP * self._low_us else time_us // CUT

    def _aim(self) -> int:
        """Return the longest time at which signal and dark level leave what they should."""
        time_us = self._high_us
        while time_us > self._low_us and self._is_beyond(AIM_PERCENT, time_us):
            time_us = self._below(time_us)
        return time_us

    def _is_beyond(self, percent: int, time_us: int) -> bool:
        """Say whether the signal would be above so much of the room, or the dark level too high."""
        signal, taken_us = self._seen
        room = self._full - self._dark_at(time_us)
        return self._is_dark(time_us) or signal * time_us * 100 > room * percent * taken_us

    def _is_dark(self, time_us: int) -> bool:
        return self._dark_at(time_us) * 100 > self._full * DARK_PERCENT

    def _dark_at(self, time_us: int) -> int:
        """Return the dark level to be expected."""
        if not self._darks:
            return 0
        (taken_us, dark), (other_us, other) = self._darks[0], self._darks[-1]
        if other_us > taken_us:
            return dark + (other - dark) * (time_us - taken_us) // (other_us - taken_us)
        if dark * 100 > self._full * DARK_PERCENT:  # most of it is dark current
            return dark * time_us // taken_us
        return dark

    def _most(self, time_us: int) -> int:
        return min(max(self._measure_us // time_us, 1), self._scans_max)

    def _scans(self, time_us: int, signal: int, band: int, taken_us: int, stands: bool) -> int:
        most = self._most(time_us)
        band = band * time_us // taken_us
        if not stands or not band:
            return most
        wanted = TARGET * noise_counts(signal, self._full)
        return min(max((wanted * wanted + band * band - 1) // (band * band), 1), most)
