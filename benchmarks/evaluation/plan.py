"""Draw up the cases: which goods, under which conditions, how often.

Full counts are chosen so that "at least 99 % of one substance" and "at most 1 in 1,000" can be seen
at all: a hundred draws of every chemical, some thousands of benign samples.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.evaluation.cases import Case, Facts, Group
from benchmarks.evaluation.degrade import KINDS, OVERLAP_MIN, overlap
from benchmarks.evaluation.specimens import Specimen, read_kin, with_kin
from benchmarks.evaluation.split import SIDES, Side, side_seed
from gateway.screening.watchlists import Watchlists
from gateway.spectra.library import Library
from gateway.spectra.spectrum import Spectrum

SEED = 20_261_121
"""First word of every seed."""

WALLS: tuple[str, ...] = ("ldpe", "pp", "pet", "glass_borosilicate")
THIN_BELOW = 0.05
"""Below this share of the draws even one of each is too many for a test of the machinery."""

SNRS = (20.0, 50.0, 100.0, 300.0)
SNR_POOR = 12.0
FLUORESCENCES = (0.0, 1.0, 5.0, 20.0)
RESOLUTIONS_CM1 = (4.0, 6.0, 8.0, 10.0, 12.0)
AXIS_ERROR_CM1 = 2.0
AXIS_ERROR_POOR_CM1 = 4.0
FRACTIONS = (0.5, 0.3, 0.2, 0.1)

REFERRED = ("drug", "related")
"""Categories that the product refers to an expert: neither listed nor benign."""

PACKAGING = "packaging"


BESIDE_UNKNOWN = "beside_unknown"
"""Half of the light comes from a substance that is in no library, as most of what is traded is."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How many draws of each kind.

    Attributes:
        key: draws of each listed substance for each figure with a goal (pure, bag, 30 %).
        side: draws of each listed substance for the other figures.
        look_alike: draws of each look-alike.
        goods: draws of each harmless substance pure, with and without a container.
        mixtures: benign mixtures of two, and as many of three.
        unknowns: random patterns of bands.
        left_out: draws of each substance removed from the library.
        listed_degraded: draws of each kind for measured spectra of listed substances.
        degraded_share: share of the other measured spectra degraded, 0 to 1.
        thin: share of the cases kept where one draw of each would still be too many, 0 to 1; listed
            goods and clean spectra are always kept.
    """

    key: int = 100
    side: int = 30
    look_alike: int = 12
    goods: int = 6
    mixtures: int = 1000
    unknowns: int = 1000
    left_out: int = 3
    listed_degraded: int = 8
    degraded_share: float = 1.0
    thin: float = 1.0

    def scaled(self, share: float) -> Effort:
        """The same kinds with fewer draws, at least one of each."""

        def fewer(count: int) -> int:
            return max(1, round(count * share))

        return Effort(
            key=fewer(self.key),
            side=fewer(self.side),
            look_alike=fewer(self.look_alike),
            goods=fewer(self.goods),
            mixtures=fewer(self.mixtures),
            unknowns=fewer(self.unknowns),
            left_out=fewer(self.left_out),
            listed_degraded=fewer(self.listed_degraded),
            degraded_share=min(1.0, 3.0 * share * self.degraded_share),
            thin=min(1.0, share / THIN_BELOW),
        )


QUICK_SHARE = 0.2
"""`--quick`: about a minute."""


class Planner:
    """Draws up cases for one library and one set of lists.

    Args:
        library: the full library.
        watchlists: lists in force.
        effort: how many draws.
    """

    def __init__(self, library: Library, watchlists: Watchlists, effort: Effort) -> None:
        self.library = library
        self.effort = effort
        self.kin = read_kin()
        self.listed = frozenset(library.active_ids) & watchlists.substance_ids
        explosives = {key for key in self.listed if library[key].category == "explosive"}
        self.precursors = tuple(sorted(self.listed - explosives))
        self.explosives = tuple(sorted(explosives))
        self.harmless = tuple(
            key
            for key in dict.fromkeys(library.active_ids)
            if key not in self.listed and library[key].category not in REFERRED
        )
        self.goods = tuple(key for key in self.harmless if library[key].category != PACKAGING)

    # ------------------------------------------------------------------------------- measured

    def measured(
        self, specimens: tuple[Specimen, ...], spectra: dict[str, Spectrum], sides: tuple[Side, ...]
    ) -> Iterator[Case]:
        """Clean, left out and degraded cases of the measured spectra on these sides."""
        for entry in specimens:
            if entry.side not in sides:
                continue
            clean = self._of_file(entry, "measured", "clean")
            yield clean
            yield _changed(clean, "left_out", "left_out", removed=entry.truth)
            yield from self._degraded(entry, specimens, spectra)

    def _of_file(self, entry: Specimen, group: Group, kind: str) -> Case:
        return Case(
            case_id=f"{group}/{kind}/{entry.file}",
            group=group,
            kind=kind,
            side=entry.side,
            target=entry.name,
            right=entry.right,
            truth=entry.truth,
            file=entry.file,
        )

    def _degraded(
        self, entry: Specimen, specimens: tuple[Specimen, ...], spectra: dict[str, Spectrum]
    ) -> Iterator[Case]:
        listed = bool(entry.truth & self.listed)
        for kind in KINDS:
            for draw in range(self.effort.listed_degraded if listed else 1):
                base = self._of_file(entry, "degraded", kind)
                case_id = f"{base.case_id}/{draw}"
                if not listed and _chance(case_id) >= self.effort.degraded_share:
                    continue
                second = self._second(entry, kind, draw, specimens, spectra)
                if second is None and kind.startswith(("mixture", "hdpe", "pet")):
                    continue
                yield _changed(
                    base,
                    "degraded",
                    kind,
                    case_id=case_id,
                    seed=_seed(entry.side, case_id),
                    second=second.file if second else "",
                    truth=base.truth | (second.truth if second else frozenset()),
                )

    def _second(
        self,
        entry: Specimen,
        kind: str,
        draw: int,
        specimens: tuple[Specimen, ...],
        spectra: dict[str, Spectrum],
    ) -> Specimen | None:
        """The measured spectrum that a kind adds; containers serve both sides."""
        if kind in ("hdpe", "pet"):
            return next(
                (
                    other
                    for other in specimens
                    if kind in other.truth and not (other.truth & entry.truth)
                ),
                None,
            )
        if not kind.startswith("mixture"):
            return None
        fit = [
            other
            for other in specimens
            if other.side == entry.side
            and other.name != entry.name
            and not (other.truth & (entry.truth | self.listed))
            and not any(self.library[key].category == PACKAGING for key in other.truth)
            and overlap(spectra[entry.file], spectra[other.file]) >= OVERLAP_MIN
        ]
        # One partner for all fractions of a draw, so that fractions can be compared.
        rng = np.random.default_rng(_seed(entry.side, f"second/{entry.file}/{draw}"))
        return fit[int(rng.integers(len(fit)))] if fit else None

    # ------------------------------------------------------------------------------ synthetic

    def world(self, side: Side) -> Iterator[Case]:
        """Every synthetic case of one side."""
        yield from self.listed_goods(side)
        yield from self.benign_goods(side)
        yield from self.world_left_out(side)

    def listed_goods(self, side: Side) -> Iterator[Case]:
        """Listed substances: pure, in bags, in mixtures, and outside the promised conditions."""
        effort = self.effort
        counts = {"pure": effort.key, "bag": effort.key, "mixture_30": effort.key}
        counts |= {f"mixture_{round(100 * part)}": effort.side for part in FRACTIONS if part != 0.3}
        counts |= {BESIDE_UNKNOWN: effort.side, "snr_12": effort.side, "axis_4": effort.side}
        for target in self.precursors:
            for kind, count in counts.items():
                for draw in range(count):
                    yield self._listed_case(side, target, kind, draw)
        for target in self.explosives:
            for draw in range(effort.side):
                yield self._listed_case(side, target, "pure", draw)

    def _listed_case(self, side: Side, target: str, kind: str, draw: int) -> Case:
        fraction = float(kind.removeprefix("mixture_")) / 100.0 if "mixture" in kind else 1.0
        fraction = 0.5 if kind == BESIDE_UNKNOWN else fraction
        return self._synthetic(
            side,
            "listed",
            kind,
            target,
            draw,
            parts=1 if fraction == 1.0 else 2,
            fraction=fraction,
            container=WALLS[draw % len(WALLS)] if kind == "bag" else "none",
        )

    def benign_goods(self, side: Side) -> Iterator[Case]:
        """Look-alikes, harmless goods, their mixtures, and patterns that are no substance."""
        effort = self.effort
        pairs = self.library.confounders.items()
        alike = {other for _, known in pairs for other in known} | {key for key, _ in pairs}
        for target in sorted(alike & set(self.library.active_ids) - self.listed):
            referred = self.library[target].category in REFERRED
            kind = "look_alike_referred" if referred else "look_alike"
            for draw in range(effort.look_alike):
                yield self._synthetic(side, "benign", kind, target, draw)
        for target in self.goods:
            for draw in range(effort.goods):
                wall = ("none", *WALLS)[draw % (len(WALLS) + 1)]
                yield self._synthetic(side, "benign", "goods", target, draw, container=wall)
        for kind, parts in (("mixture_of_2", 2), ("mixture_of_3", 3)):
            for draw in range(effort.mixtures):
                target = self._drawn_goods(side, kind, draw)
                yield self._synthetic(
                    side, "benign", kind, target, draw, parts=parts, fraction=1.0 / parts
                )
        yield from self._unknown_goods(side)
        for kind in ("snr_12", "axis_4"):
            for draw in range(effort.mixtures // 2 + 1):
                target = self._drawn_goods(side, kind, draw)
                yield self._synthetic(side, "benign", kind, target, draw)

    def _unknown_goods(self, side: Side) -> Iterator[Case]:
        """What is in no library, by itself and beside harmless goods."""
        for draw in range(self.effort.unknowns):
            yield self._synthetic(side, "benign", "unknown", "", draw)
        for draw in range(self.effort.mixtures):
            target = self._drawn_goods(side, BESIDE_UNKNOWN, draw)
            yield self._synthetic(
                side, "benign", BESIDE_UNKNOWN, target, draw, parts=2, fraction=0.5
            )

    def _drawn_goods(self, side: Side, kind: str, draw: int) -> str:
        """The harmless substance of one draw of a kind."""
        return self.goods[zlib.crc32(f"{side}/{kind}/{draw}".encode()) % len(self.goods)]

    def world_left_out(self, side: Side) -> Iterator[Case]:
        """Each substance measured while the library lacks it and its kin."""
        for target in (*self.goods, *sorted(self.listed)):
            for draw in range(self.effort.left_out):
                kind = "listed" if target in self.listed else "harmless"
                case = self._synthetic(side, "world_left_out", kind, target, draw)
                yield _changed(case, case.group, kind, removed=case.right)

    def _synthetic(
        self,
        side: Side,
        group: Group,
        kind: str,
        target: str,
        draw: int,
        *,
        parts: int = 1,
        fraction: float = 1.0,
        container: str = "none",
    ) -> Case:
        """One synthetic case; conditions and companions come from its own seed."""
        case_id = f"{side}/{group}/{kind}/{target}/{draw}"
        seed = _seed(side, case_id)
        rng = np.random.default_rng((*seed, 1))
        facts = Facts(
            snr=SNR_POOR if kind == "snr_12" else float(rng.choice(SNRS)),
            fraction=fraction,
            container=container,
            fluorescence=float(rng.choice(FLUORESCENCES)),
            axis_error_cm1=AXIS_ERROR_POOR_CM1 if kind == "axis_4" else AXIS_ERROR_CM1,
            resolution_cm1=float(rng.choice(RESOLUTIONS_CM1)),
        )
        right = with_kin(frozenset({target} if target else ()), self.kin)
        mixture = [(target, fraction)] if target else []
        rest = [key for key in self.goods if key not in right]
        if kind == BESIDE_UNKNOWN:
            mixture.append(("", 1.0 - fraction))
            parts = 1
        for _ in range(parts - 1):
            other = rest[int(rng.integers(len(rest)))]
            rest.remove(other)
            mixture.append((other, (1.0 - fraction) / (parts - 1)))
        inside = ({key for key, _ in mixture} | {container}) - {"", "none"}
        return Case(
            case_id=case_id,
            group=group,
            kind=kind,
            side=side,
            target=target,
            right=right,
            truth=with_kin(frozenset(inside), self.kin),
            seed=seed,
            mixture=tuple(mixture),
            facts=facts,
        )


def draw_up(
    planner: Planner,
    specimens: tuple[Specimen, ...],
    spectra: dict[str, Spectrum],
    side: Side | None,
) -> list[Case]:
    """All cases: of one side, or (None) all measured ones and the synthetic reporting side."""
    sides = SIDES if side is None else (side,)
    cases = _thinned(
        [*planner.measured(specimens, spectra, sides), *planner.world(side or "reporting")],
        planner.effort.thin,
    )
    # Neighbours share library and line width, which the product keeps rendered.
    order = {name: place for place, name in enumerate(sorted({c.group for c in cases}))}
    return sorted(
        cases,
        key=lambda case: (
            bool(case.removed),
            tuple(sorted(case.removed)),
            case.facts.resolution_cm1 or 0.0,
            order[case.group],
            case.case_id,
        ),
    )


def _thinned(cases: list[Case], share: float) -> list[Case]:
    """A share of the cases, and at least one of every kind of every group."""
    kept, kinds = [], set()
    for case in cases:
        kind = (case.group, case.kind)
        whole = case.group in ("measured", "listed") or kind not in kinds
        if whole or _chance(case.case_id) < share:
            kept.append(case)
            kinds.add(kind)
    return kept


def _seed(side: Side, name: str) -> tuple[int, ...]:
    digest = hashlib.sha256(name.encode()).digest()
    return (SEED, side_seed(side), int.from_bytes(digest[:8], "big"))


def _chance(name: str) -> float:
    return zlib.crc32(name.encode()) / 2**32


def _changed(case: Case, group: Group, kind: str, **fields: object) -> Case:
    values = {name: getattr(case, name) for name in Case.__slots__}
    values |= {"group": group, "kind": kind, "case_id": f"{group}/{kind}/{case.case_id}"} | fields
    return Case(**values)
