"""A scenario: what is in the world and what happens with it at the lane, described once.

A file `scenarios/NAME.toml` has the tables `[[sample]]`, `[[container]]`, `[[document]]`,
`[[consignment]]` and `[[act]]`; docs/simulators.md lists their keys. Instruments do not read it:
they are shown their side of an act (`sides.py`).

Rules of the file
- What is printed (codes, lines, check digits) is made from what is true, never written out.
- What cannot be right is refused before anything starts, with file, table, key, value and remedy.
"""

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, Protocol, TypeVar

from simulators import papers
from simulators.errors import FaultError, ScenarioError
from simulators.faults import FAULTS_MAX, LINE_KINDS, Fault, parse_fault
from simulators.order import refuse_act
from simulators.papers import Holder
from simulators.scenario_tables import Table
from simulators.world import Sample, Substance, WorldError, parse_sample

SCENARIOS: Final = Path(__file__).parent / "scenarios"
FILE_BYTES_MAX: Final = 262_144
EACH_MAX: Final = 100  # tables of one kind in one file
STEPS_MAX: Final = 40  # of one act
GOODS_MAX: Final = 20  # of one consignment
VERDICTS: Final = ("clear", "inconclusive", "alarm")
TRIGGERS: Final = ("button", "foot", "command", "present")
VERBS: Final = ("scan", "read", "weigh", "measure")
RAMAN_VARIABLE: Final = "HARMATTAN_RAMAN"


@dataclass(frozen=True, slots=True)
class Specimen:
    """What can be held to the probe, and what is right to say of it.

    Attributes:
        sample: of the simulated world.
        verdict: one of VERDICTS.
        names: the listed substance that has to be named; empty: none.
        is_measured: a measured spectrum is replayed.
    """

    name: str
    title: str
    sample: Sample
    verdict: str
    names: str
    is_measured: bool


@dataclass(frozen=True, slots=True)
class Freight:
    """A freight container: its number as painted on it, and its own mass."""

    name: str
    number: str
    tare_kg: Decimal | None


@dataclass(frozen=True, slots=True)
class Document:
    """A travel document: what it says and the lines a reader reads."""

    name: str
    holder: Holder
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Goods:
    """One kind of trade item.

    Attributes:
        symbology: AIM identifier of the code on it.
        code: element string.
        mass_kg: what a scale shows, which need not be what the label says.
    """

    title: str
    symbology: str
    code: bytes
    mass_kg: Decimal | None


@dataclass(frozen=True, slots=True)
class Consignment:
    """What comes to the lane together.

    Attributes:
        declared: what the papers say it is.
        truth: what it is, for the person who trains.
    """

    name: str
    declared: str
    truth: str
    freight: Freight | None
    documents: tuple[Document, ...]
    goods: tuple[Goods, ...]
    specimen: Specimen | None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the officer does.

    Attributes:
        number: from 1.
        verb: one of VERBS.
        what: its object: `container`, `goods`, `goods.2`, a document, or a trigger.
        faults: what goes wrong at the step's instrument, occasions counted from the step on.
    """

    number: int
    verb: str
    what: str
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Act:
    """One consignment at the lane, from the first step to the last."""

    name: str
    title: str
    consignment: Consignment
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What one file describes.

    Attributes:
        path: of the file.
        title, teaches: for the person who trains.
        specimens, acts: in the file's order, by name.
    """

    path: Path
    title: str
    teaches: str
    specimens: Mapping[str, Specimen]
    consignments: Mapping[str, Consignment]
    acts: Mapping[str, Act]

    def act(self, name: str) -> Act:
        """Return an act.

        Raises:
            ScenarioError: there is none of that name.
        """
        if name not in self.acts:
            known = ", ".join(self.acts) or "none"
            raise ScenarioError(f"{self.path}: there is no act '{name}': known are {known}")
        return self.acts[name]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_N = TypeVar("_N", bound=_Named)


def measured_folder() -> Path | None:
    """Return the folder of measured spectra, or None where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "raman"
    folder = Path(os.environ.get(RAMAN_VARIABLE, beside))
    return folder if folder.is_dir() else None


def load_scenario(path: Path, substances: Mapping[str, Substance]) -> Scenario:
    """Read a scenario file; a bare name is one of those that come with the project.

    Raises:
        ScenarioError: it cannot be used.
    """
    if not path.suffix and not path.exists():
        path = SCENARIOS / f"{path.name}.toml"
    file = Table(str(path), _read(path))
    title, teaches = file.text("title", ""), file.text("teaches", "")
    specimens = _by_name(file, "sample", partial(_specimen, substances, count(1)))
    freights = _by_name(file, "container", _freight)
    documents = _by_name(file, "document", _document)
    consignments = _by_name(
        file, "consignment", partial(_consignment, specimens, freights, documents)
    )
    acts = _by_name(file, "act", partial(_act, consignments))
    file.close()
    return Scenario(path, title or path.stem, teaches, specimens, consignments, acts)


def _read(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
        if len(text) > FILE_BYTES_MAX:
            raise ScenarioError(f"{path} has more than {FILE_BYTES_MAX} bytes; split it")
        return tomllib.loads(text.decode())
    except OSError as error:
        known = ", ".join(sorted(each.stem for each in SCENARIOS.glob("*.toml")))
        raise ScenarioError(
            f"{path} cannot be read ({error.strerror}); scenarios of the project: {known}"
        ) from None
    except RecursionError:
        raise ScenarioError(
            f"{path} is not TOML: too many brackets within each other; this is another file"
        ) from None
    except ValueError as error:  # TOML's own, text that is not UTF-8, a number of 5000 digits
        if isinstance(error, ScenarioError):
            raise
        why = "a number is too long" if "integer string conversion" in str(error) else error
        raise ScenarioError(f"{path} is not TOML: {why}; mend that place") from None


def _by_name(file: Table, key: str, build: Callable[[Table], _N]) -> dict[str, _N]:
    """Return the things that the tables `[[key]]` describe, in order."""
    found: dict[str, _N] = {}
    for table in file.tables(key, most=EACH_MAX):
        thing = build(table)
        table.close()
        if thing.name in found:
            raise table.wrong("name", "it is taken by a table before")
        found[thing.name] = thing
    return found


def _specimen(substances: Mapping[str, Substance], seeds: Iterator[int], table: Table) -> Specimen:
    title = table.text("title")
    name = table.name("name", re.sub("[^a-z0-9]+", "-", title.lower())[:40].strip("-"))
    file = _measured_file(table)
    sample = table.made("sample", lambda text: parse_sample(text, substances))
    if file is not None:
        sample = parse_sample(f"measured {file}", substances)
    seed = next(seeds)
    verdict = table.one_of("verdict", VERDICTS)
    names = table.one_of("names", substances) if table.has("names") else ""
    if names and verdict == "clear":
        raise table.wrong("names", "a clear verdict names nothing")
    return Specimen(
        name, title, replace(sample, seed=sample.seed or seed), verdict, names, file is not None
    )


def _measured_file(table: Table) -> Path | None:
    """Return the measured spectrum to replay, None where there is none or no collection."""
    folder = measured_folder()
    if not table.has("measured") or folder is None:
        return None
    file = folder / table.text("measured")
    return file if file.is_file() else None


def _freight(table: Table) -> Freight:
    is_wrong = table.flag("wrong")
    number = table.made("number", partial(papers.check_container, is_wrong=is_wrong))
    return Freight(table.name("name"), number, table.mass_kg("tare_kg", None))


def _document(table: Table) -> Document:
    holder = Holder(
        kind=table.one_of("type", papers.DOCUMENT_TYPES),
        code=table.text("code", "P" if table.text("type") == "TD3" else "I"),
        issuer=table.text("issuer"),
        surname=table.text("surname"),
        given=table.text("given", ""),
        number=table.text("number"),
        nationality=table.text("nationality", table.text("issuer")),
        birth=table.day("birth"),
        sex=table.one_of("sex", ("F", "M", "<"), "<"),
        expiry=table.day("expiry"),
        optional=table.text("optional", ""),
        wrong=table.one_of("wrong", papers.WRONG, ""),
    )
    name = table.name("name")
    try:
        return Document(name, holder, papers.mrz_lines(holder))
    except WorldError as error:
        raise ScenarioError(f"{table.where}: {error}") from None


def _goods(table: Table) -> Goods:
    net_kg = table.mass_kg("net_kg", None)
    if net_kg is not None and (net_kg >= papers.NET_KG_MAX or net_kg % papers.NET_KG_STEP):
        raise table.wrong("net_kg", "a code carries less than 1000 kg, to the gram")
    code = papers.element_string(
        table.made("gtin", papers.check_gtin),
        table.made("lot", papers.check_lot) if table.has("lot") else "",
        table.made("serial", papers.check_lot) if table.has("serial") else "",
        net_kg,
    )
    symbology = table.one_of("symbology", papers.SYMBOLOGIES, "]d2")
    goods = Goods(table.text("title"), symbology, code, table.mass_kg("mass_kg", net_kg))
    table.close()
    return goods


def _consignment(
    specimens: Mapping[str, Specimen],
    freights: Mapping[str, Freight],
    documents: Mapping[str, Document],
    table: Table,
) -> Consignment:
    papers_shown = []
    for name in table.texts("documents", most=GOODS_MAX):
        if name not in documents:
            raise table.wrong("documents", f"there is no document '{name}'")
        papers_shown.append(documents[name])
    return Consignment(
        name=table.name("name"),
        declared=table.text("declared"),
        truth=table.text("truth", ""),
        freight=table.refer("container", freights) if table.has("container") else None,
        documents=tuple(papers_shown),
        goods=tuple(_goods(each) for each in table.tables("goods", most=GOODS_MAX)),
        specimen=table.refer("sample", specimens) if table.has("sample") else None,
    )


def _act(consignments: Mapping[str, Consignment], table: Table) -> Act:
    name = table.name("name")
    consignment = table.refer("consignment", consignments)
    tables = table.tables("steps", least=1, most=STEPS_MAX)
    steps = tuple(_step(number, each, consignment) for number, each in enumerate(tables, start=1))
    refused = refuse_act([step.verb for step in steps])
    if refused is not None:
        number, why = refused
        step = steps[number - 1]
        raise ScenarioError(f"{table.where}, steps {number}: {step.verb} = '{step.what}': {why}")
    return Act(name, table.text("title", name), consignment, steps)


def _step(number: int, table: Table, consignment: Consignment) -> Step:
    verbs = [verb for verb in VERBS if table.has(verb)]
    if len(verbs) != 1:
        raise ScenarioError(f"{table.where}: one of {', '.join(VERBS)} is needed")
    (verb,) = verbs
    what = table.one_of(verb, _objects(verb, consignment))
    try:
        faults = [parse_fault(text, LINE_KINDS) for text in table.texts("fault", most=FAULTS_MAX)]
    except FaultError as error:
        raise table.wrong("fault", str(error)) from None
    table.close()
    return Step(number, verb, what, tuple(faults))


def _objects(verb: str, consignment: Consignment) -> list[str]:
    """Return what a verb can be done to in a consignment."""
    goods = [f"goods.{i}" for i in range(1, len(consignment.goods) + 1)]
    if len(goods) == 1:
        goods.append("goods")
    if verb == "measure":
        return list(TRIGGERS) if consignment.specimen else []
    if verb == "read":
        return [document.name for document in consignment.documents]
    if verb == "weigh":
        return [name for name in goods if pick_goods(consignment, name).mass_kg]
    return goods + (["container"] if consignment.freight else [])


def pick_goods(consignment: Consignment, name: str) -> Goods:
    """Return the goods that `goods` or `goods.N` means."""
    return consignment.goods[int(name.partition(".")[2] or "1") - 1]
