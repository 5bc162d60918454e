"""The mechanical half of a scale: what lies on it, how it swings, what the display would show.

Everything is computed for the moment that is asked for: no step is missed and none is taken. The
same seed and the same questions at the same times give the same weights.

Chosen to be plausible and marked so: swing, noise, drift and the limits of stability. The display
counts by the readability; overload is nine counts above capacity (OIML R 76-1, 4.2.3).
"""

import math
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

import numpy as np

from simulators.errors import WorldError

# Exact, grams. NIST SP 811, appendix B.
UNITS = {
    "kg": Decimal(1000),
    "g": Decimal(1),
    "mg": Decimal("0.001"),
    "t": Decimal(1_000_000),
    "lb": Decimal("453.59237"),
    "oz": Decimal("28.349523125"),
    "ozt": Decimal("31.1034768"),
    "ct": Decimal("0.2"),
    "GN": Decimal("0.06479891"),
    "dwt": Decimal("1.55517384"),
}
PIECES = "pcs"  # what a person sets by mistake; one piece is a gram
MASS_G_MAX = Decimal(100_000_000)  # a hundred tonnes: a weighbridge with a lorry
SWING_HZ = 4.0  # chosen: a platform of some kilograms
STABLE_COUNTS = 1.0  # what still swings when the scale calls the weight stable; chosen
UNDERLOAD = Decimal("-0.02")  # of capacity: a pan that is missing; chosen
OVERLOAD_COUNTS = 9
SHAKE_COUNTS = 40.0  # somebody bumps into the table; chosen
SHAKE_S_MAX = 3_600.0


@dataclass(frozen=True, slots=True)
class Build:
    """What a scale is.

    Attributes:
        model: as it answers to I2.
        capacity_g: most it weighs.
        readability_g: one count of the display.
        settle_s: time constant of its swing.
        noise_counts: standard deviation of the last digit.
        drift_counts_min: by which the zero creeps in a minute.
    """

    model: str = "SB60001"
    capacity_g: Decimal = Decimal(60_000)
    readability_g: Decimal = Decimal(1)
    settle_s: float = 0.25
    noise_counts: float = 0.3
    drift_counts_min: float = 0.2


@dataclass(frozen=True, slots=True)
class Weight:
    """What the scale would show.

    Attributes:
        status: "S" stable, "D" dynamic, "+" overload, "-" underload.
        text: number and unit, empty when there is none.
        counts: of the display, net.
    """

    status: str
    text: str = ""
    counts: int = 0


class Pan:
    """The load of one scale.

    Args:
        build: what it is.
        seed: of noise and drift.
        now_s: the caller's clock at power-on.
    Attributes:
        load_g: what lies on it in truth.
        unit: of the display.
        wind_counts: how much the air moves it.
    """

    def __init__(self, build: Build, seed: int, now_s: float) -> None:
        self.build = build
        self.load_g = Decimal(0)
        self.unit = "kg" if build.readability_g >= 1 else "g"
        self.wind_counts = 0.0
        self.has_pan = True
        self._rng = np.random.default_rng([seed, 0x5CA1E])
        self._drift = build.drift_counts_min * float(self._rng.uniform(-1.0, 1.0))
        self._zeroed_s = now_s
        self._zero_counts = 0.0
        self.tare_counts = 0
        self._swings: list[tuple[float, float]] = []  # since when, by how many counts
        self._shaken_until_s = now_s

    def put(self, mass_g: Decimal, now_s: float) -> None:
        """Put something on top of what lies there, or take so much off when it is negative.

        Raises:
            WorldError: more than that does not lie there, or it is too much for any scale.
        """
        load_g = self.load_g + mass_g
        if not 0 <= load_g <= MASS_G_MAX:
            raise WorldError(
                f"{mass_g:f} g on top of {self.load_g:f} g: what lies on a scale is 0 to "
                f"{MASS_G_MAX:,} g"
            )
        self._swing(float(mass_g / self.build.readability_g), now_s)
        self.load_g = load_g

    def shake(self, seconds: float, now_s: float) -> None:
        """Bump into the table for a while."""
        self._shaken_until_s = max(self._shaken_until_s, now_s + seconds)
        self._swing(SHAKE_COUNTS, self._shaken_until_s)

    def lift(self, has_pan: bool, now_s: float) -> None:  # noqa: FBT001 - the pan is there or not
        """Take the pan away, or lay it on again."""
        self.has_pan = has_pan
        self._swing(SHAKE_COUNTS, now_s)

    def forget_tare(self) -> None:
        """Show the whole weight again."""
        self.tare_counts = 0

    def tare(self, now_s: float) -> None:
        """Call what lies there packaging."""
        self.tare_counts = round(self._gross(now_s))

    def zero(self, now_s: float) -> None:
        """Call what lies there nothing."""
        self._zero_counts += self._gross(now_s)
        self.tare_counts = 0

    def can_zero(self, now_s: float) -> str:
        """Return "" when zeroing is allowed, else "+" or "-": it takes 2 % of capacity at most."""
        limit = 0.02 * float(self.build.capacity_g / self.build.readability_g)
        total = self._zero_counts + self._gross(now_s)
        return "" if abs(total) <= limit else "+" if total > 0 else "-"

    def is_stable(self, now_s: float) -> bool:
        """Whether the scale would call its weight stable."""
        return self._motion(now_s) <= STABLE_COUNTS

    def weigh(self, now_s: float) -> Weight:
        """Return what the scale shows now."""
        build, gross = self.build, self._gross(now_s)
        capacity = float(build.capacity_g / build.readability_g)
        if gross > capacity + OVERLOAD_COUNTS:
            return Weight("+")
        if not self.has_pan or gross < capacity * float(UNDERLOAD):
            return Weight("-")
        motion = self._motion(now_s)
        swung = motion * math.cos(2.0 * math.pi * SWING_HZ * now_s) if motion else 0.0
        shown = gross + swung + float(self._rng.normal(0.0, build.noise_counts))
        counts = round(shown) - self.tare_counts
        return Weight("S" if motion <= STABLE_COUNTS else "D", self.show(counts), counts)

    def show(self, counts: int) -> str:
        """Return counts as number and unit, as the display has them."""
        mass_g = counts * self.build.readability_g
        if self.unit == PIECES:
            return f"{int(mass_g)} {PIECES}"
        step = self.build.readability_g / UNITS[self.unit]
        decimals = max(-(step.adjusted()), 0)
        shown = (mass_g / UNITS[self.unit]).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN)
        return f"{shown:f} {self.unit}"

    def _gross(self, now_s: float) -> float:
        """Counts of the load above zero, at rest."""
        drift = self._drift * (now_s - self._zeroed_s) / 60.0
        return float(self.load_g / self.build.readability_g) + drift - self._zero_counts

    def _motion(self, now_s: float) -> float:
        """By how many counts it swings."""
        if now_s < self._shaken_until_s:
            return SHAKE_COUNTS + self.wind_counts
        left = [
            abs(size) * math.exp(-(now_s - since_s) / self.build.settle_s)
            for since_s, size in self._swings
            if now_s >= since_s
        ]
        return sum(left) + self.wind_counts

    def _swing(self, counts: float, now_s: float) -> None:
        """Begin to swing; what has died away is forgotten."""
        self._swings = [
            swing for swing in self._swings if now_s - swing[0] < 30.0 * self.build.settle_s
        ]
        self._swings.append((now_s, counts))


def parse_mass(text: str) -> Decimal:
    """Return grams of a mass as people write it, such as `12.5 kg`.

    Raises:
        WorldError: it is none.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)", text.strip())
    if found is None or found[2] not in UNITS:
        raise WorldError(
            f"mass '{text[:40]}': write a number and a unit, as 12.5 kg; units are "
            f"{', '.join(UNITS)}"
        )
    try:
        mass_g = Decimal(found[1]) * UNITS[found[2]]
    except InvalidOperation:
        mass_g = MASS_G_MAX + 1
    if mass_g > MASS_G_MAX:
        raise WorldError(f"mass '{text[:40]}' is more than {MASS_G_MAX:,} g")
    return mass_g
