"""What is told from a spectrum and its axis without an evaluation, and the newest dark frames."""

from array import array
from hashlib import sha256

from node import limits
from protocol.limits import ID_BYTES

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Instrument

_BOX_MIN = 4  # pixels taken together, at least: so one of them alone makes no band
_AXIS_BOXES = 256  # of finer axes at least so many: a box is about a line's width on any of them
_PARTS = 4  # of a count: the unit of a box's level
_BOXES = 5  # a band, its shoulders, and what lies between
_CLEAR = 4  # times the mean step from box to box, 4.5 sigma; of 300 boxes chance lifts one to 3.5
_UNEVEN = 64  # boxes differ by 0.5 % in their response: three times that is no band
_OFF_MAX = 32_767  # of a box from the first one: two bytes each


class Look:
    """What a spectrum shows, taken in piece by piece so that the loop goes on meanwhile.

    A box is the mean of neighbouring pixels, each counting no more than the one before it: so a
    cosmic ray in one of them is no signal. The more pixels a spectrum has, the more are in a box.

    Args:
        full_scale_counts: counts at which a pixel is saturated.
        pixel_count: of the spectrum.
        dark: of its dark frame; None: it is one itself.
        boxes: for those of a dark frame, if there are as many: a kilobyte in one piece is rare.
    Attributes:
        high_counts: the brightest pixel; of two neighbours the lower counts.
        is_saturated: a pixel reaches full scale.
        first, boxes: of a dark frame, the first and all less that; empty where one is too far off.
    """

    def __init__(
        self,
        full_scale_counts: int,
        pixel_count: int,
        dark: "Look | None" = None,
        boxes: "array[int] | None" = None,
    ) -> None:
        self._full = full_scale_counts
        self._size = max(_BOX_MIN, pixel_count // _AXIS_BOXES)
        self._total = self._count = self._before = self._box = 0
        self._dark = dark
        self._box_count = self.first = 0
        self._window: list[int] = []
        self._rise = self._band = self._steps = 0  # in parts, as boxes are
        count = 0 if dark else pixel_count // self._size
        if boxes is None or len(boxes) != count:
            boxes = array("h", range(count))  # each is written over; bytes would be as much again
        self.boxes = boxes
        self.high_counts = 0
        self.is_saturated = False

    def take(self, pixels_u16le: memoryview, first: int, last: int) -> None:
        """Take pixels `first` up to `last`, without it; they follow those taken before."""
        before, high, box, full = self._before, self.high_counts, self._box, self._full
        total, size = 0, self._size
        left = size - self._count % size
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
                self._take_box(_PARTS * box // size)
                left, box = size, 0
        self._count += last - first
        self._total += total
        self._before, self.high_counts, self._box = before, high, box

    def _take_box(self, level: int) -> None:
        index, dark = self._box_count, self._dark
        self._box_count = index + 1
        if dark is None:
            self.first = self.first or level
            off = level - self.first
            if -_OFF_MAX <= off <= _OFF_MAX and index < len(self.boxes):
                self.boxes[index] = off
            else:
                self.boxes = self.boxes[:0]
        elif index < len(dark.boxes):
            self._compare(level - dark.boxes[index] - dark.first)

    def _compare(self, rise: int) -> None:
        window = self._window
        self._rise = max(self._rise, rise)
        if window:
            self._steps += abs(rise - window[-1])
        window.append(rise)
        if len(window) == _BOXES:
            self._band = max(self._band, window[2] - max(window[0], window[4]))
            window.pop(0)

    @property
    def mean_counts(self) -> int:
        """Return the mean of what was taken, 0 for nothing."""
        return self._total // max(self._count, 1)

    @property
    def rise_counts(self) -> int:
        """Return how far the brightest box is above the dark frame's, mean of its pixels."""
        return self._rise // _PARTS

    @property
    def band_counts(self) -> int:
        """Return how far the tallest band stands above both its shoulders, two boxes away."""
        return self._band // _PARTS

    @property
    def stands(self) -> bool:
        """Say whether that band is more than noise and uneven pixels; nobody knows: it is."""
        if self._dark is None or not self._dark.boxes:
            return True
        return self._band > _CLEAR * self._steps // self._box_count + self._rise // _UNEVEN


class Darks:
    """The newest dark frames of this boot, by their numbers.

    Rules
    - One fits a sample of the same axis and integration, of no more scans, while the detector's
      temperature is within DARK_CHANGE_MC_MAX of what it was and it is not DARK_AGE_MS_MAX old.
    - An instrument without thermometer goes by age alone.
    - One with a full pixel serves the sample it was taken for and no other: a cosmic ray's hole
      would be in all of them.

    Attributes:
        mean_counts: of the newest, None before the first.
        spare: boxes of the one that the newest displaced, for the next; None: it displaced none.
    """

    def __init__(self) -> None:
        # Each: number, integration time, scans, axis, temperature, uptime, what it shows.
        self._kept: list[tuple[int, int, int, bytes, int | None, int, Look]] = []
        self.mean_counts: int | None = None
        self.spare: array[int] | None = None

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
        self.mean_counts = look.mean_counts
        if not look.is_saturated:
            kept.append((seq,) + exposure + (axis_id, temperature_mc, uptime_ms, look))
        kept = kept[-limits.DARKS_MAX :]
        gone = [dark[-1] for dark in self._kept if dark not in kept]
        self.spare = gone[-1].boxes if gone else None
        self._kept = kept

    def forget(self) -> None:
        """Let no sample refer to them: the instrument may be another, or have become cold."""
        self._kept = []

    def find(
        self,
        exposure: "tuple[int, int]",
        axis_id: "bytes | None",
        temperature_mc: "int | None",
        uptime_ms: int,
    ) -> "tuple[int, Look] | None":
        """Return number and look of one that fits such a sample, None where there is none."""
        for seq, taken_us, scans, axis, was_mc, was_ms, look in self._kept:
            if taken_us != exposure[0] or scans < exposure[1] or axis != axis_id:
                continue
            if uptime_ms - was_ms >= limits.DARK_AGE_MS_MAX:
                continue
            if was_mc is None or temperature_mc is None:
                return seq, look
            if abs(was_mc - temperature_mc) <= limits.DARK_CHANGE_MC_MAX:
                return seq, look
        return None


def axis_id(instrument: "Instrument", excitation_pm: int) -> bytes:
    """Return the identity of a wavelength axis: the same coefficients give the same 8 bytes."""
    digest = sha256(instrument.coefficients_f32le)
    digest.update(b"%d %d " % (instrument.pixel_count, excitation_pm))
    digest.update(instrument.serial.encode())
    return digest.digest()[:ID_BYTES]  # type: ignore[no-any-return]  # untyped stub
