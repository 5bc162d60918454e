"""The families of drivers, each with its simulator: one entry makes a driver keep the contract."""

import asyncio
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np

from drivers.document.driver import PAUSE_MS
from drivers.obp.driver import ABORT
from drivers.obp.frames import FRAME_BYTES_MIN
from drivers.obp2.driver import _LOOK_MS
from drivers.ocean_ascii.exchange import ATTEMPTS
from drivers.ocean_ascii.frames import TEXT_BYTES_MAX
from drivers.port import QUIET_MS
from drivers.scanner.driver import BROKEN_MS
from protocol.limits import NAME_CHARS_MAX, PIXELS_BYTES_MAX
from simulators.document.device import DocumentReader
from simulators.document.specimen import draw
from simulators.faults import FaultPlan
from simulators.line import Line
from simulators.scale.device import Scale
from simulators.scale.pan import Build
from simulators.scanner.codes import parse_code
from simulators.scanner.device import Scanner, ScannerLine
from simulators.spectrometer.ascii_device import AsciiSpectrometer
from simulators.spectrometer.ascii_models import ASCII_MODELS
from simulators.spectrometer.device import Spectrometer
from simulators.spectrometer.line import AsciiLine, SpectrometerLine
from simulators.spectrometer.models import MODELS, Model
from simulators.spectrometer.obp2_device import LaterSpectrometer
from simulators.spectrometer.obp2_models import OBP2_MODELS
from simulators.spectrometer.probe import ROOM_C
from simulators.world import load_substances, parse_sample
from tests.firmware.drivers.contract.expected import ASKED, HEARD, LASTING, LOST, wait_s

BAUD = 460_800
ASCII_BAUD = 115_200  # the fastest it has
HASTE = 8  # no fault here depends on the rate, and a spectrum would take 0.4 s
INTEGRATION_S = 0.022  # what the story asks for
SUBSTANCES = cache(load_substances)  # loaded anew it would hold up the runs side by side


@dataclass(frozen=True)
class Family:
    """A driver and what it is tried on.

    Attributes:
        name: folder of drivers/, and what to call a variant behind a colon.
        kind: "spectrometer" or "reader".
        settings: of node.json, without the port.
        make: from a plan of faults, an instrument on its line, not yet entered.
        deadline_s: longest time from this fault to the error that names it, as the driver states
            it; what it does before it asks again, included.
        errors: by fault, the errors that name it.
        lost: by fault, why an item can go without a trace.
        is_sampled: every step has one fault only, in turn: the steps are those of another family,
            but for some.
        act: what happens at the lane once a reader is ready; a spectrometer needs nothing.
        is_right: whether what the driver gave (the words after `data`) is what the instrument sent;
            gets the line, the replies before any fault, and the words.
        unseen: faults that no receiver of this protocol can tell from the truth, with the reason:
            only the next turn is looked at.
        is_checked: whether a reply has a checksum that the driver must compare.
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    make: Callable[[FaultPlan], Line[Any]]
    is_right: Callable[[Line[Any], list[bytes], list[str]], bool]
    deadline_s: Callable[[str], float]
    errors: Mapping[str, frozenset[str]] = field(default_factory=lambda: ASKED)
    lost: Mapping[str, str] = field(default_factory=dict)
    is_sampled: bool = False
    act: Callable[[Line[Any]], None] = lambda _: None
    unseen: Mapping[str, str] = field(default_factory=dict)
    is_checked: Callable[[bytes], bool] = lambda _: True


def spectrometer(model: Model) -> Callable[[FaultPlan], Line[Any]]:
    """Return what makes a spectrometer of this model with urea before its probe."""

    def make(plan: FaultPlan) -> Line[Any]:
        substances = SUBSTANCES()
        now_s = asyncio.get_running_loop().time()
        device = Spectrometer(model, substances, seed=1, now_s=now_s, baud=BAUD)
        device.present(parse_sample("urea", substances))
        return SpectrometerLine(device, faults=plan)

    return make


def ascii_spectrometer(plan: FaultPlan) -> AsciiLine:
    """Return a spectrometer with one-letter commands, with urea before its probe."""
    substances = SUBSTANCES()
    now_s = asyncio.get_running_loop().time()
    model = ASCII_MODELS["flame_s"]
    device = AsciiSpectrometer(model, substances, seed=1, now_s=now_s, baud=ASCII_BAUD)
    device.present(parse_sample("urea", substances))
    device.constants[14] = b"0"  # one coefficient of nonlinearity: the others are asked for alike
    line = AsciiLine(device, faults=plan)
    line.haste = HASTE
    return line


def later_spectrometer(model: str) -> Callable[[FaultPlan], Line[Any]]:
    """Return what makes a spectrometer of version 2 with urea before its probe."""

    def make(plan: FaultPlan) -> Line[Any]:
        substances = SUBSTANCES()
        now_s = asyncio.get_running_loop().time()
        device = LaterSpectrometer(OBP2_MODELS[model], substances, seed=1, now_s=now_s, baud=BAUD)
        device.present(parse_sample("urea", substances))
        return SpectrometerLine(device, faults=plan)

    return make


def sent_the_other_way_round(line: Line[Any], replies: list[bytes], words: list[str]) -> bool:
    """Say the same where the instrument sends the most significant byte of a pixel first."""
    pixels = [array("H", bytes.fromhex(word)) for word in words]
    for counts in pixels:
        counts.byteswap()
    return sent_as_they_are(line, replies, [counts.tobytes().hex() for counts in pixels])


def sent_as_they_are(_: Line[Any], replies: list[bytes], words: list[str]) -> bool:
    """Say whether dark and sample are the pixels of two spectra, in order, as they were sent."""
    sent = [reply for reply in replies if len(reply) > 1_000]  # nothing else is as long
    at = [
        next((i for i, reply in enumerate(sent) if bytes.fromhex(pixels) in reply), -1)
        for pixels in words
    ]
    return len(words) == 2 and 0 <= at[0] < at[1]


def sent_with_eighteen_bits(line: Line[Any], replies: list[bytes], words: list[str]) -> bool:
    """Say the same of pixels of 32 bits behind metadata, of which the node keeps the upper 16."""
    narrowed = []
    for reply in replies:
        if len(reply) > 1_000:
            counts = np.frombuffer(reply[44 + 32 : -20], "<u4") >> 2
            narrowed.append(counts.astype("<u2").tobytes())
    return sent_as_they_are(line, narrowed, words)


def is_needed(reply: bytes) -> bool:
    """Say whether the driver makes anything of a frame: not of "aborted", which mends nothing."""
    return int.from_bytes(reply[8:12], "little") != ABORT


def is_spectrum(reply: bytes) -> bool:
    """Say whether it is one: of answers to one-letter commands no other has a checksum."""
    return len(reply) > 1_000


OBP = {
    "baud": BAUD,
    "model": "",
    "laser_percent": 0,
    "corrected": False,
    "cooler": False,
    "cooler_c": -10,
    "baud_save": False,
}


def scanner(plan: FaultPlan) -> Line[Any]:
    """Return a scanner."""
    return ScannerLine(Scanner(baud=BAUD), faults=plan)


def scan(*codes: str) -> Callable[[Line[Any]], None]:
    """Return what scans one of these codes, another one each time."""

    def act(line: Line[Any]) -> None:
        at = line.device.counts.scans + line.device.counts.unread
        line.scan(parse_code(codes[at % len(codes)]))  # type: ignore[attr-defined]  # a ScannerLine

    return act


def read_as_it_is(_: Line[Any], replies: list[bytes], words: list[str]) -> bool:
    """Say whether the code is the line that was sent last, all of it."""
    event_type, symbology, content, mass_mg, stable = words
    line = symbology.encode() + bytes.fromhex(content) + b"\r\n"
    return (event_type, mass_mg, stable) == ("1", "None", "None") and [line] == replies[-1:]


SCANNER = {
    "baud": BAUD,
    "prefix": "",
    "suffix": "\r\n",
    "aim": True,
    "content_max": 2_048,
    "repeat_ms": 1_000,
}
UNCHECKED = "a scanner's line has no checksum, and this code's content none that is always right"


def documents(framing: str) -> Callable[[FaultPlan], Line[Any]]:
    """Return what makes a document reader that frames its lines so."""

    def make(plan: FaultPlan) -> Line[Any]:
        return Line(DocumentReader(framing=framing, baud=BAUD), faults=plan)

    return make


def read_document(line: Line[DocumentReader]) -> None:
    """Lay a document on the reader: another one each time."""
    count = line.device.counts.read
    line.device.present(draw(("TD3", "TD1", "TD2")[count % 3], np.random.default_rng(count)))
    line.speak()


def as_printed(line: Line[DocumentReader], _: list[bytes], words: list[str]) -> bool:
    """Say whether a document is as it was printed, but for what no check digit guards."""
    document = line.device.document
    assert document is not None
    event_type, symbology, content, mass_mg, stable = words
    given = bytes.fromhex(content).decode().split("\n")
    printed = list(document.lines)
    names = len(printed) - 1 if document.kind == "TD1" else 0
    given[names] = printed[names] = ""
    told = (event_type, symbology, mass_mg, stable)
    return told == ("2", document.kind, "None", "None") and given == printed


# A look is taken every 250 ms. This one swings for 370 ms: how many looks a turn has is certain.
SCALE = Build(settle_s=0.06)
SCALE_BAUD = 57_600
BAG_G = Decimal(500)


def scale(plan: FaultPlan) -> Line[Any]:
    """Return an empty scale."""
    now_s = asyncio.get_running_loop().time()
    return Line(Scale(SCALE, seed=1, now_s=now_s, baud=SCALE_BAUD), faults=plan)


def place_bag(line: Line[Any]) -> None:
    """Put one more bag on: a weight is told when it is another than before."""
    line.device.place(BAG_G, asyncio.get_running_loop().time())


def lies_there(line: Line[Any], replies: list[bytes], words: list[str]) -> bool:
    """Say whether it is the weight of what lies there, in the words of the scale."""
    _, _, content, mass_mg, stable = words
    truth_mg = int(line.device.pan.load_g * 1000)
    off_mg = abs(int(mass_mg) - truth_mg)
    sent = bytes.fromhex(content) + b"\r\n"
    return stable == "True" and off_mg <= 2 * SCALE.readability_g * 1000 and sent in replies


def obp_deadline_s(pixels_bytes: int, busy_s: float = 0.0) -> Callable[[str], float]:
    """Return the deadlines of obp/exchange.py: an exposure once, a question twice.

    What spoils one reply only is mended by the second question.
    """
    asked_s = 2 * wait_s(BAUD, 2 * FRAME_BYTES_MIN + NAME_CHARS_MAX)
    exposed_s = wait_s(BAUD, 2 * FRAME_BYTES_MIN + pixels_bytes, INTEGRATION_S + busy_s)
    return lambda kind: max(asked_s, exposed_s) if kind in LASTING else exposed_s


def ascii_deadline_s(kind: str) -> float:
    """Return the deadlines of ocean_ascii/exchange.py: a question ATTEMPTS times, or an exposure.

    After a reset both: that the checksum is off again is seen when a spectrum comes without.
    """
    asked_s = ATTEMPTS * (wait_s(ASCII_BAUD, TEXT_BYTES_MAX + 5) + QUIET_MS / 1000)
    exposed_s = wait_s(ASCII_BAUD, 2 * 2_048 + 19, 2 * INTEGRATION_S)
    return asked_s + exposed_s if kind == "reset" else max(asked_s, exposed_s)


def scale_deadline_s(_: str) -> float:
    """Return the deadline of mt_sics/exchange.py: a command twice."""
    return 2 * wait_s(SCALE_BAUD, 64)


def scanner_deadline_s(_: str) -> float:
    """Return the deadline of scanner/driver.py: what broke off is waited for."""
    return BROKEN_MS / 1000


def document_deadline_s(_: str) -> float:
    """Return the deadline of document/driver.py: a pause ends a zone."""
    return PAUSE_MS / 1000


# A detector that is to be as warm as the room is cold enough at the first look.
COOLED = {"cooler": True, "cooler_c": round(ROOM_C)}

FAMILIES = (
    Family(
        "obp",
        "spectrometer",
        OBP,
        spectrometer(MODELS["ventana_785"]),
        sent_as_they_are,
        obp_deadline_s(2 * 1_024),
        is_checked=is_needed,
    ),
    Family(
        "obp:hdx",
        "spectrometer",
        OBP,
        spectrometer(MODELS["hdx"]),
        sent_as_they_are,
        obp_deadline_s(2 * 2_068),
        is_sampled=True,
        is_checked=is_needed,
    ),
    Family(
        "obp:qe_pro",
        "spectrometer",
        OBP | COOLED,
        spectrometer(MODELS["qe_pro"]),
        sent_with_eighteen_bits,
        obp_deadline_s(4 * 1_044),
        is_sampled=True,
        is_checked=is_needed,
    ),
    Family(
        "obp2",
        "spectrometer",
        {"baud": BAUD, "model": "", "laser_mw": 0},
        later_spectrometer("sr2"),
        sent_as_they_are,
        # The look that tells the model asks for as much as the board has room for.
        obp_deadline_s(PIXELS_BYTES_MAX, _LOOK_MS / 1000),
    ),
    Family(
        "ocean_ascii",
        "spectrometer",
        {"baud": ASCII_BAUD, "model": ""},
        ascii_spectrometer,
        sent_the_other_way_round,
        ascii_deadline_s,
        is_checked=is_spectrum,
    ),
    Family(
        "scanner",
        "reader",
        SCANNER,
        scanner,
        read_as_it_is,
        scanner_deadline_s,
        errors=HEARD,
        lost=LOST,
        act=scan("]E0 4006381333931", "]E0 9780201379624"),
    ),
    Family(
        "scanner:any code",
        "reader",
        SCANNER,
        scanner,
        read_as_it_is,
        scanner_deadline_s,
        errors=HEARD,
        lost=LOST,
        act=scan("]C1 01095011015300031725123110A1", "]Q1 two words"),
        unseen={"drop": UNCHECKED, "flip": UNCHECKED, "checksum": UNCHECKED},
    ),
    *(
        Family(
            f"document:{framing}",
            "reader",
            {"baud": BAUD, "prefix": "", "suffix": "", "repeat_ms": 1_000},
            documents(framing),
            as_printed,
            document_deadline_s,
            errors=HEARD,
            lost=LOST,
            act=read_document,
        )
        for framing in ("cr", "stx")
    ),
    Family(
        "mt_sics",
        "reader",
        {"baud": SCALE_BAUD},
        scale,
        lies_there,
        scale_deadline_s,
        act=place_bag,
    ),
)
