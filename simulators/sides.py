"""The instruments' sides of an act: what each is shown, in which order, and what then goes wrong.

One description in a scenario file becomes light at the probe, a code before the scanner, lines in
the document reader and a mass on the scale. What the journal of the post must hold afterwards is
told here as well, from the same description.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from protocol.messages import EVENT_CODE, EVENT_DOCUMENT, EVENT_WEIGHT
from simulators.errors import ScenarioError
from simulators.faults import FaultPlan
from simulators.line import Line
from simulators.scenario import Act, Step, pick_goods
from simulators.world import Sample

KINDS: Final = {  # of instruments, and the verb of the steps at them
    "spectrometer": "measure",
    "scanner": "scan",
    "document": "read",
    "scale": "weigh",
}
FREIGHT_SYMBOLOGY: Final = "]C0"  # container numbers are Code 128 on the papers of a lorry
WRONG: Final = "?"  # behind the kind of a document whose digits stay wrong
MG_PER_KG: Final = 1_000_000
G_PER_KG: Final = 1_000


@dataclass(frozen=True, slots=True)
class Code:
    """A code before the scanner.

    Attributes:
        symbology: AIM identifier, `]C1`.
        content: bytes, separators included.
    """

    symbology: str
    content: bytes

    def __str__(self) -> str:
        """Return it as one types it: a separator is `<GS>`."""
        return self.symbology + self.content.decode("latin-1").replace("\x1d", "<GS>")


@dataclass(frozen=True, slots=True)
class Lines:
    """The machine-readable zone of a document."""

    kind: str
    lines: tuple[str, ...]
    is_wrong: bool = False  # a check digit is, on purpose

    def __str__(self) -> str:
        """Return its kind: what a document says is nobody's business."""
        return f"a document {self.kind}"


@dataclass(frozen=True, slots=True)
class Mass:
    """What stands on the scale."""

    kg: Decimal

    @property
    def g(self) -> Decimal:
        """Return it in grams."""
        return self.kg * G_PER_KG

    def __str__(self) -> str:
        """Return it with its unit."""
        return f"{self.kg.normalize():f} kg"


Shown = Sample | Code | Lines | Mass


@dataclass(frozen=True, slots=True)
class Record:
    """What a step has to leave in the journal of the post.

    Attributes:
        event_type: of the event; None: a reading of the sample.
        verdict, names: on the reading: what it is judged, and the substance that is named.
    """

    event_type: int | None
    symbology: str = ""
    content: bytes = b""
    mass_mg: int | None = None
    verdict: str = ""
    names: str = ""


def shown(act: Act, step: Step) -> Shown:
    """Return what the step's instrument is shown."""
    load = act.consignment
    if step.verb == "measure" and load.specimen is not None:
        return load.specimen.sample
    if step.verb == "read":
        document = next(each for each in load.documents if each.name == step.what)
        return Lines(document.holder.kind, document.lines, document.holder.wrong != "")
    if step.what == "container" and load.freight is not None:
        return Code(FREIGHT_SYMBOLOGY, load.freight.number.encode())
    goods = pick_goods(load, step.what)
    if step.verb == "weigh":
        return Mass(goods.mass_kg or Decimal(0))
    return Code(goods.symbology, goods.code)


def expected(act: Act, step: Step) -> Record:
    """Return what the step has to leave in the journal."""
    thing = shown(act, step)
    if isinstance(thing, Code):
        return Record(EVENT_CODE, thing.symbology, thing.content)
    if isinstance(thing, Lines):
        symbology = thing.kind + (WRONG if thing.is_wrong else "")
        return Record(EVENT_DOCUMENT, symbology, "\n".join(thing.lines).encode())
    if isinstance(thing, Mass):
        return Record(EVENT_WEIGHT, mass_mg=int(thing.kg * MG_PER_KG))
    specimen = act.consignment.specimen
    if specimen is None:
        raise ScenarioError(f"act {act.name}: step {step.number} has no sample to measure")
    return Record(None, verdict=specimen.verdict, names=specimen.names)


def steps_of(act: Act, kind: str) -> list[Step]:
    """Return the steps at one kind of instrument, a key of KINDS, in order."""
    return [step for step in act.steps if step.verb == KINDS[kind]]


class Side:
    """Shows one instrument its side of an act, a step at each call.

    Args:
        act: what happens.
        kind: of the instrument, a key of KINDS.
        line: it hangs on; its faults are those of the newest step.
        show: what shows it a thing.
        seed: of the randomness inside the faults.
    """

    def __init__(
        self, act: Act, kind: str, line: Line[Any], show: Callable[[Any], None], seed: int = 0
    ) -> None:
        self._act = act
        self._steps: Sequence[Step] = steps_of(act, kind)
        self._line = line
        self._show = show
        self._seed = seed
        self._done = 0

    def next(self) -> str:
        """Do the next step; return what it is, for the person at the terminal.

        Raises:
            ScenarioError: there is none left.
        """
        if self._done == len(self._steps):
            raise ScenarioError(
                f"act {self._act.name} has no further step for this instrument: "
                f"it had {len(self._steps)}"
            )
        step = self._steps[self._done]
        self._done += 1
        thing = shown(self._act, step)
        self._line.trouble(FaultPlan(step.faults, self._seed + step.number))
        self._show(thing)
        told = thing.label if isinstance(thing, Sample) else str(thing)
        wrong = ", ".join(fault.kind for fault in step.faults)
        return f"step {step.number}: {told}" + (f", with {wrong}" if wrong else "")
