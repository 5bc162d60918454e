"""What goes wrong, in words: one vocabulary for every simulator, seeded and counted.

A fault is written `KIND[,key=value...]`, for example `stall,at=3,seconds=2` or
`garbage,every=5,bytes=40,on=spectrum`. An *occasion* is one reply of an instrument or one request
to an authority; a fault strikes on occasion `at`, for `times` occasions in a row, and again every
`every` occasions if that is given. The plan is pure: it says what to do, others do it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simulators.errors import FaultError
from simulators.helping import set_rows

BYTES_MAX = 65_536  # of garbage at once: twenty seconds of a line at 38400 baud
SECONDS_MAX = 3_600.0
OCCASIONS_MAX = 1_000_000
FAULTS_MAX = 16  # in one plan
TEXT_CHARACTERS_MAX = 200  # of one as it is written

LINE_KINDS: Mapping[str, str] = {
    "garbage": "random bytes before the reply",
    "drop": "bytes missing from the reply",
    "flip": "one bit of the reply inverted",
    "checksum": "checksum or check digit of the reply wrong, where it has one",
    "stall": "a pause in the middle of the reply",
    "mute": "the reply never comes",
    "reset": "the instrument loses power for a moment instead of answering",
    "unplug": "the cable is pulled instead of the answer and put back later",
    "baud": "the instrument speaks at another rate, from this reply on",
}
AUTHORITY_KINDS: Mapping[str, str] = {
    "unavailable": "answers 503, stores nothing",
    "lose_before": "drops the connection before storing",
    "lose_after": "drops the connection after storing: the receipt is lost",
    "digest": "receipt with another sha256",
    "malformed": "receipt that is not JSON",
    "delay": "answers late",
}
ON_KINDS = ("any", "spectrum")
SHORT_REPLY_BYTES = 64  # a reply without payload; longer ones are spectra and lists


class Key(NamedTuple):
    """A key of a fault's text.

    Attributes:
        meaning: for the person who writes it.
        least, most: of a number.
        kinds: faults that it changes; empty: all.
    """

    meaning: str
    least: int = 0
    most: float = 0
    kinds: tuple[str, ...] = ()


KEYS: Mapping[str, Key] = {
    "at": Key("the first one it strikes", 1, OCCASIONS_MAX),
    "times": Key("how many in a row", 1, OCCASIONS_MAX),
    "every": Key("again after so many, counted from the first; 0: never", 0, OCCASIONS_MAX),
    "bytes": Key("how many", 1, BYTES_MAX, ("garbage", "drop")),
    "seconds": Key("how long", 0, SECONDS_MAX, ("stall", "unplug", "baud", "delay")),
    "on": Key(
        f"any, or spectrum: only replies of more than {SHORT_REPLY_BYTES} bytes count: spectra, "
        "lists, long codes",
        kinds=tuple(LINE_KINDS),
    ),
}


def explain_faults(kinds: Mapping[str, str], what: str) -> str:
    """Return what a fault can be and how it is written, for `--help`.

    Args:
        kinds: what this simulator can do, `LINE_KINDS` or `AUTHORITY_KINDS`.
        what: is counted: replies, deliveries.
    """
    usual = Fault("")
    keys: dict[str, str] = {}
    for name, key in KEYS.items():
        some = [kind for kind in key.kinds if kind in kinds]
        if key.kinds and not some:
            continue
        of = f" ({', '.join(some)})" if some and len(some) < len(kinds) else ""
        bounds = f"{key.least} to {key.most:,.0f}, " if key.most else ""
        default = getattr(usual, name)
        keys[f"{name}="] = f"{key.meaning}{of}; {bounds}default {default:{'g' if key.most else ''}}"
    return (
        f"faults, KIND[,KEY=VALUE]...; {what} are counted from 1, for each fault by itself:\n"
        f"{set_rows(kinds)}\nkeys of a fault:\n{set_rows(keys)}"
    )


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, and when.

    Attributes:
        kind: key of `LINE_KINDS` or `AUTHORITY_KINDS`.
        at: first occasion, from 1.
        times: occasions in a row.
        every: repeats after so many occasions; 0 = never.
        bytes: how many are inserted or lost.
        seconds: how long it lasts (stall, unplug, baud, delay).
        on: "spectrum" counts only replies with a payload.
    """

    kind: str
    at: int = 1
    times: int = 1
    every: int = 0
    bytes: int = 8
    seconds: float = 1.0
    on: str = "any"

    def strikes(self, occasion: int) -> bool:
        """Whether it strikes on an occasion, counted from 1."""
        since = occasion - self.at
        if self.every:
            since = since % self.every if since >= 0 else since
        return 0 <= since < self.times


def parse_fault(text: str, kinds: Mapping[str, str]) -> Fault:
    """Read one fault from its text.

    Args:
        text: `KIND[,key=value...]`.
        kinds: what this simulator can do, `LINE_KINDS` or `AUTHORITY_KINDS`.

    Raises:
        FaultError: unknown kind or key, or a value out of range.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        raise FaultError(f"fault '{text[:40]}...': at most {TEXT_CHARACTERS_MAX} characters")
    kind, *options = text.strip().split(",")
    if kind not in kinds:
        raise FaultError(f"unknown fault '{kind}': known are {', '.join(kinds)}")
    values: dict[str, str] = {}
    for option in options:
        name, _, value = option.partition("=")
        if name not in KEYS:
            raise FaultError(f"fault '{text}': unknown key '{name}': known are {', '.join(KEYS)}")
        if name in values:
            raise FaultError(f"fault '{text}': {name} is given twice; give it once")
        values[name] = value
    try:
        fault = Fault(
            kind=kind,
            at=int(values.get("at", "1")),
            times=int(values.get("times", "1")),
            every=int(values.get("every", "0")),
            bytes=int(values.get("bytes", "8")),
            seconds=float(values.get("seconds", "1")),
            on=values.get("on", "any"),
        )
    except ValueError:
        raise FaultError(f"fault '{text}': {', '.join(values)} must be numbers") from None
    return check_fault(fault)


def check_fault(fault: Fault) -> Fault:
    """Return the fault if its numbers make sense.

    Raises:
        FaultError: one is out of range.
    """
    for name, key in KEYS.items():
        value = getattr(fault, name)
        if key.most and not key.least <= value <= key.most:
            raise FaultError(
                f"fault {fault.kind}: {name}={value:g} is outside {key.least}..{key.most:g}"
            )
    if fault.on not in ON_KINDS:
        raise FaultError(f"fault {fault.kind}: on={fault.on}: known are {', '.join(ON_KINDS)}")
    return fault


class FaultPlan:
    """Several faults, each counting its own occasions.

    Args:
        faults: what goes wrong.
        seed: of the randomness inside the faults.

    Attributes:
        occasions: how many there were.
        struck: how often each kind has struck.
    """

    def __init__(self, faults: Sequence[Fault] = (), seed: int = 0) -> None:
        if len(faults) > FAULTS_MAX:
            raise FaultError(f"{len(faults)} faults in one plan; at most {FAULTS_MAX}")
        self._faults = [check_fault(fault) for fault in faults]
        self._counted = [0] * len(faults)
        self.rng = np.random.default_rng(seed)
        self.occasions = 0
        self.struck: dict[str, int] = {}

    def next(self, *, is_spectrum: bool = False) -> list[Fault]:
        """Count one occasion and return what strikes on it."""
        self.occasions += 1
        striking: list[Fault] = []
        for index, fault in enumerate(self._faults):
            if fault.on == "spectrum" and not is_spectrum:
                continue
            self._counted[index] += 1
            if fault.strikes(self._counted[index]):
                striking.append(fault)
                self.struck[fault.kind] = self.struck.get(fault.kind, 0) + 1
        return striking


@dataclass(frozen=True, slots=True)
class Disturbed:
    """What is left of a reply: pieces with the pause before each, and what else happens."""

    pieces: tuple[tuple[float, bytes], ...]
    is_reset: bool = False
    unplug_s: float | None = None
    other_baud_s: float | None = None


def disturb(reply: bytes, plan: FaultPlan, check_at: int | None = None) -> Disturbed:
    """Apply a plan to one reply of an instrument.

    Args:
        reply: one whole frame or line.
        plan: what goes wrong; counts this reply.
        check_at: index of a byte of its checksum or check digit; None: it has none.
    """
    pieces: list[tuple[float, bytes]] = [(0.0, reply)]
    is_reset, unplug_s, other_baud_s = False, None, None
    for fault in plan.next(is_spectrum=len(reply) > SHORT_REPLY_BYTES):
        match fault.kind:
            case "mute":
                pieces = []
            case "reset":
                pieces, is_reset = [], True
            case "unplug":
                pieces, unplug_s = [], fault.seconds
            case "baud":
                other_baud_s = fault.seconds
            case _:
                pieces = _spoil(b"".join(piece for _, piece in pieces), fault, plan.rng, check_at)
    told = tuple(piece for piece in pieces if piece[1])
    return Disturbed(told, is_reset, unplug_s, other_baud_s)


def _spoil(
    data: bytes, fault: Fault, rng: np.random.Generator, check_at: int | None
) -> list[tuple[float, bytes]]:
    """What a fault of the line makes of bytes: pieces with the pause before each."""
    match fault.kind:
        case "garbage":
            return [(0.0, rng.bytes(fault.bytes)), (0.0, data)]
        case "drop":
            start = int(rng.integers(max(len(data) - fault.bytes, 0) + 1))
            return [(0.0, data[:start] + data[start + fault.bytes :])]
        case "flip":
            return [(0.0, _invert_bit(data, int(rng.integers(len(data) * 8 or 1))))]
        case "checksum":
            return [(0.0, data if check_at is None else _invert_bit(data, check_at * 8))]
        case "stall":
            cut = int(rng.integers(1, max(len(data), 2)))
            return [(0.0, data[:cut]), (fault.seconds, data[cut:])]
    raise FaultError(f"fault {fault.kind} is not one of a line")


def misread(data: bytes, rng: np.random.Generator) -> bytes:
    """Return what a receiver at another rate makes of bytes: others, and not as many.

    Args:
        data: as they were sent.
        rng: of the garbage.
    """
    return rng.bytes(int(rng.integers(len(data) // 2, len(data) + 1)))


def _invert_bit(data: bytes, bit: int) -> bytes:
    """A copy with one bit inverted; unchanged when there is no such bit."""
    if not 0 <= bit < len(data) * 8:
        return data
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)
