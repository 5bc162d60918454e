"""What is told from a spectrum and its axis without an evaluation, and the newest dark frame."""

from hashlib import sha256

from node import limits
from protocol.limits import ID_BYTES

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Instrument, Taken


class Dark:
    """The newest dark frame of this boot.

    Attributes:
        seq: of its record, None before the first.
        mean_counts: of its pixels, None before the first.
    """

    def __init__(self) -> None:
        self._taken: Taken | None = None  # integration_us, scans, axis_id
        self._uptime_ms = 0
        self.seq: int | None = None
        self.mean_counts: int | None = None

    def keep(self, seq: int, pixels_u16le: memoryview, taken: "Taken", uptime_ms: int) -> None:
        """Take a dark frame; `taken` is integration_us, scans and axis_id."""
        self._taken, self._uptime_ms = taken, uptime_ms
        self.seq = seq
        self.mean_counts = mean_counts(pixels_u16le)

    def forget(self) -> None:
        """Let no sample refer to it: the instrument may be another, or have become cold."""
        self._taken = self.seq = None

    def fits(self, taken: "Taken", uptime_ms: int) -> bool:
        """Say whether it is one for such a sample: this axis, this exposure, not too old."""
        return taken == self._taken and uptime_ms - self._uptime_ms < limits.DARK_AGE_MS_MAX


def axis_id(instrument: "Instrument", excitation_pm: int) -> bytes:
    """Return the identity of a wavelength axis: the same coefficients give the same 8 bytes."""
    digest = sha256(instrument.coefficients_f32le)
    digest.update(b"%d %d " % (instrument.pixel_count, excitation_pm))
    digest.update(instrument.serial.encode())
    return digest.digest()[:ID_BYTES]  # type: ignore[no-any-return]  # untyped stub


def mean_counts(pixels_u16le: memoryview) -> int:
    """Return the mean of little-endian u16 pixels, at least one."""
    total = 0
    for i in range(0, len(pixels_u16le), 2):
        total += pixels_u16le[i + 1] << 8 | pixels_u16le[i]
    return total // (len(pixels_u16le) // 2)


def is_saturated(pixels_u16le: memoryview, full_scale_counts: int) -> bool:
    """Say whether any pixel reaches full scale.

    Args:
        pixels_u16le: little-endian u16 each.
        full_scale_counts: counts at which the converter ends.
    """
    high = full_scale_counts >> 8
    for i in range(1, len(pixels_u16le), 2):
        if (
            pixels_u16le[i] >= high
            and (pixels_u16le[i] << 8 | pixels_u16le[i - 1]) >= full_scale_counts
        ):
            return True
    return False
