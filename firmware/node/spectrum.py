"""What is told from a spectrum and its axis without an evaluation, and the newest dark frames."""

from hashlib import sha256

from node import limits
from protocol.limits import ID_BYTES

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Instrument

_BOX = 4  # pixels taken together: about a line's width
_BOXES = 5  # a band, its shoulders, and what lies between


class Look:
    """What a spectrum shows, taken in piece by piece so that the loop goes on meanwhile.

    Args:
        full_scale_counts: counts at which a pixel is saturated.
    Attributes:
        high_counts: the brightest pixel; of two neighbours the lower counts, so that a cosmic ray
            in one is no signal.
        band_counts: how far the tallest band stands above both its shoulders, means of _BOX pixels
            two boxes apart,
            each pixel counting no more than the one before it.
        is_saturated: a pixel reaches full scale.
    """

    def __init__(self, full_scale_counts: int) -> None:
        self._full = full_scale_counts
        self._total = self._count = self._before = self._box = 0
        self._boxes: list[int] = []
        self.high_counts = self.band_counts = 0
        self.is_saturated = False

    def take(self, pixels_u16le: memoryview, first: int, last: int) -> None:
        """Take pixels `first` up to `last`, without it; they follow those taken before."""
        before, high, box, full = self._before, self.high_counts, self._box, self._full
        total = 0
        left = _BOX - self._count % _BOX
        for i in range(2 * first, 2 * last, 2):
            value = pixels_u16le[i + 1] << 8 | pixels_u16le[i]
            low = min(value, before)
            high = max(high, low)
            if value >= full:
                self.is_saturated = True
            before = value
            total += value
            box += low
            left -= 1
            if not left:
                self._take_box(box)
                left, box = _BOX, 0
        self._count += last - first
        self._total += total
        self._before, self.high_counts, self._box = before, high, box

    def _take_box(self, total: int) -> None:
        boxes = self._boxes
        boxes.append(total)
        if len(boxes) == _BOXES:
            stands = (boxes[2] - max(boxes[0], boxes[4])) // _BOX
            self.band_counts = max(self.band_counts, stands)
            boxes.pop(0)

    @property
    def mean_counts(self) -> int:
        """Return the mean of what was taken, 0 for nothing."""
        return self._total // max(self._count, 1)


class Darks:
    """The newest dark frames of this boot, by their numbers.

    Rules
    - One fits a sample of the same axis and integration, of no more scans, while the detector's
      temperature is within DARK_CHANGE_MC_MAX of what it was and it is not DARK_AGE_MS_MAX old.
    - An instrument without thermometer goes by age alone.

    Attributes:
        mean_counts: of the newest, None before the first.
    """

    def __init__(self) -> None:
        # Each: number, integration time, scans, axis, temperature, uptime, mean, band.
        self._kept: list[tuple[int, int, int, bytes, int | None, int, int, int]] = []
        self.mean_counts: int | None = None

    def keep(
        self,
        seq: int,
        exposure: "tuple[int, int]",
        axis_id: bytes,
        temperature_mc: "int | None",
        uptime_ms: int,
        look: Look,
    ) -> None:
        """Remember a dark frame.

        Args:
            seq: of its record.
            exposure: integration_us and scans.
            axis_id: identity of its axis.
            temperature_mc: of the detector, None where it has no thermometer.
            uptime_ms: when it was taken.
            look: what it shows.
        """
        kept = [dark for dark in self._kept if dark[1] != exposure[0]]
        mean = self.mean_counts = look.mean_counts
        kept.append(
            (seq,) + exposure + (axis_id, temperature_mc, uptime_ms, mean, look.band_counts)
        )
        self._kept = kept[-limits.DARKS_MAX :]

    def forget(self) -> None:
        """Let no sample refer to them: the instrument may be another, or have become cold."""
        self._kept = []

    def find(
        self,
        exposure: "tuple[int, int]",
        axis_id: "bytes | None",
        temperature_mc: "int | None",
        uptime_ms: int,
    ) -> "int | None":
        """Return the number of one that fits such a sample, None where there is none."""
        for seq, taken_us, scans, axis, was_mc, was_ms, _, _ in self._kept:
            if taken_us != exposure[0] or scans < exposure[1] or axis != axis_id:
                continue
            if uptime_ms - was_ms >= limits.DARK_AGE_MS_MAX:
                continue
            if was_mc is None or temperature_mc is None:
                return seq
            if abs(was_mc - temperature_mc) <= limits.DARK_CHANGE_MC_MAX:
                return seq
        return None

    def level(self, integration_us: int) -> "tuple[int, int]":
        """Return mean and band of the one nearest in integration time; 0, 0 without any."""
        nearest, least_us = (0, 0), -1
        for _, taken_us, _, _, _, _, mean, band in self._kept:
            away_us = abs(taken_us - integration_us)
            if least_us < 0 or away_us < least_us:
                nearest, least_us = (mean, band), away_us
        return nearest


def axis_id(instrument: "Instrument", excitation_pm: int) -> bytes:
    """Return the identity of a wavelength axis: the same coefficients give the same 8 bytes."""
    digest = sha256(instrument.coefficients_f32le)
    digest.update(b"%d %d " % (instrument.pixel_count, excitation_pm))
    digest.update(instrument.serial.encode())
    return digest.digest()[:ID_BYTES]  # type: ignore[no-any-return]  # untyped stub
