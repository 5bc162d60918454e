"""Write the golden vectors: `python -m tests.protocol.make_vectors`.

The frames are packed by the msgpack package and the refusals are stated by hand, so that nothing in
the vectors comes from the code they test. The same run always gives the same files.

A vector that was released stays as it is (SPEC.md 4.1): add new ones at the end of their kind.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import msgpack

from protocol import limits, messages
from protocol.fields import BINARY, BOOLEAN, INTEGER, RANGES, TEXT
from tests.protocol.frames import Random
from tests.protocol.refusals import BYTES_REFUSED, VALUES_REFUSED

VECTORS = Path(__file__).resolve().parents[2] / "protocol/vectors"

JOURNAL = bytes.fromhex("a1b2c3d4e5f60718")
BOOT = bytes.fromhex("0badc0de5eed1e55")
INSPECTION = bytes.fromhex("1122334455667788")
AXIS = bytes.fromhex("f00dfacecafe4242")
COMMAND = bytes.fromhex("c0ffee0000000001")

RECORD = {
    "journal_id": JOURNAL,
    "seq": 22,
    "boot_id": BOOT,
    "uptime_ms": 61_250,
    "time_ms": 1_798_761_660_169,
    "time_quality": 2,
    "inspection_id": INSPECTION,
}

TYPICAL = {
    "Birth": {
        "boot_id": BOOT,
        "uptime_ms": 1_204,
        "time_ms": 1_798_761_600_123,
        "time_quality": 2,
        "journal_id": JOURNAL,
        "oldest_seq": 17,
        "next_seq": 23,
        "firmware": "harmattan 0.1.0",
        "board": "unix",
        "config_version": 3,
        "instrument_model": "STS-NIR",
        "instrument_serial": "S10824",
        "axis_id": AXIS,
        "pixel_count": 1024,
        "excitation_pm": 785_000,
        "resolution_mcm1": 8_000,
        "coefficients_f32le": struct.pack("<4f", 785.5, 0.2712, -1.9e-5, -1.1e-9),
        "full_scale_counts": 16_383,
    },
    "Status": {"boot_id": BOOT, "online": True, "uptime_ms": 1_204},
    "Reading": {
        **RECORD,
        "role": 0,
        "axis_id": AXIS,
        "integration_us": 400_000,
        "scans": 3,
        "laser_mw": 100,
        "temperature_mc": 24_875,
        "full_scale_counts": 16_383,
        "flags": 1,
        "dark_seq": 21,
        "pixels_u16le": struct.pack("<5H", 1000, 1010, 16_383, 0, 1500),
    },
    "Event": {
        **RECORD,
        "seq": 23,
        "time_ms": None,
        "time_quality": 0,
        "event_type": 1,
        "symbology": "]d2",
        "content": b"\x1d0104012345678901",
        "mass_mg": None,
        "stable": None,
    },
    "Health": {
        "boot_id": BOOT,
        "uptime_ms": 301_204,
        "time_ms": 1_798_761_900_123,
        "time_quality": 2,
        "supply_mv": 4_987,
        "temperature_mc": -7_250,
        "heap_free_bytes": 181_344,
        "journal_id": JOURNAL,
        "oldest_seq": 24,
        "next_seq": 24,
        "journal_bytes": 18_432,
        "evicted_count": 0,
        "damaged_count": 1,
        "reconnect_count": 2,
        "failure_count": 0,
        "laser_on_s": 95,
        "reset_cause": 1,
        "fault": "serial port /dev/ttyS1 did not answer",
        "dark_counts": None,
        "calibration_age_h": None,
        "round_trip_ms": None,
    },
    "Time": {
        "time_ms": 1_798_761_600_200,
        "time_quality": 2,
        "boot_id": BOOT,
        "echo_uptime_ms": 1_204,
    },
    "Receipt": {"journal_id": JOURNAL, "seq": 17, "beyond": [19, 20, 23, 23]},
    "Command": {
        "command_id": COMMAND,
        "action": 1,
        "expires_ms": 1_798_761_700_000,
        "argument": b"",
    },
    "Result": {
        "command_id": COMMAND,
        "outcome": 1,
        "detail": "a measurement is under way",
        "tail": b"",
    },
    "Config": {
        "version": 3,
        "integration_us": 400_000,
        "scans": 3,
        "period_s": 0,
        "health_s": 300,
        "window": 8,
        "resend_ms": 5_000,
        "exposure_mode": 0,
    },
    "Verdict": {
        "inspection_id": INSPECTION,
        "outcome": 2,
        "drill": False,
        "detail": "ammonium_nitrate, potassium_chlorate",
    },
}

# Kinds that have grown, and the fields they had before: their first vectors stay as they are.
GROWN = {"Health": 18, "Result": 3, "Config": 7}

# Around every form of an integer (SPEC.md 2.2, 2.3).
UNSIGNED = (
    *(0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000, 0xFFFFFFFF, 0x100000000),
    *(limits.INTEGER_MAX - 1, limits.INTEGER_MAX),
)
SIGNED = (
    *(-1, -32, -33, -0x80, -0x81, -0x8000, -0x8001, -0x80000000, -0x80000001),
    *(1 - limits.INTEGER_MAX, -limits.INTEGER_MAX),
)

# Fields that a newer sender might append (SPEC.md 4.3).
APPENDED = {
    "nil": [None],
    "a truth value": [True],
    "two integers": [-33, 2**53 - 1],
    "long text": ["x" * 255],
    "a long byte string": [b"\x00" * 300],
    "nested arrays": [[], [1, [2, -3]]],
    "as many as there can be": [None] * (limits.ARRAY_ELEMENTS_MAX - 4),
}


def pixels(count: int) -> bytes:
    """Return `count` seeded pixels, u16 little-endian."""
    return Random(785).bytes(2 * count)


def low(field: tuple) -> object:
    """Return the smallest value a field can have."""
    _, form, lowest, _, optional = field
    if optional:
        return None
    if form == INTEGER:
        return lowest
    return {BOOLEAN: False, TEXT: "", BINARY: bytes(min(lowest, 8)), RANGES: []}[form]


def high(field: tuple) -> object:
    """Return the value of a field that takes the most bytes."""
    _, form, lowest, highest, _ = field
    if form == INTEGER:
        return lowest if lowest < 0 else highest
    if form == TEXT:
        return "~" * highest
    if form == BINARY:
        return b"\xff" * highest
    if form == RANGES:
        return [limits.INTEGER_MAX - 2 * i for i in range(highest)][::-1]
    return True


def extremes(kind: str) -> Iterator[tuple]:
    """Yield the smallest and the largest message of a kind."""
    fields = getattr(messages, kind).FIELDS
    smallest = {field[0]: low(field) for field in fields}
    largest = {field[0]: high(field) for field in fields}
    if kind == "Birth":
        largest["oldest_seq"] = largest["next_seq"]
    if kind == "Receipt":
        largest["seq"] = 2**33  # below its ranges, and still of the longest form
    if kind == "Reading":
        largest["pixels_u16le"] = pixels(limits.PIXELS_BYTES_MAX // 2)
    yield "smallest", kind, smallest
    yield "largest", kind, largest


def sizes() -> Iterator[tuple]:
    """Yield messages at the boundaries of every form."""
    for value in UNSIGNED:
        yield f"uptime_ms {value}", "Status", {"uptime_ms": value}
    for value in SIGNED:
        yield f"mass_mg {value}", "Event", {"event_type": 3, "mass_mg": value}
    for size in (0, 1, 31, 32, 127, 128):
        detail = "".join(chr(0x20 + i % 95) for i in range(size))
        yield f"detail of {size} characters", "Result", {"detail": detail}
    for size in (0, 1, 255, 256):
        yield f"argument of {size} bytes", "Command", {"argument": bytes(size)}
    for size in (0, 255, 256):
        yield f"content of {size} bytes", "Event", {"content": b"\xff" * size}
    for count in (1, 127, 128, 1024):
        yield f"{count} pixels", "Reading", {"pixels_u16le": pixels(count)}
    for count in (0, 1, 7, 8, 16):
        beyond = [10 * (i // 2) + 100 + i % 2 for i in range(2 * count)]
        yield f"{count} ranges", "Receipt", {"beyond": beyond}


def meanings() -> Iterator[tuple]:
    """Yield messages that a decoder might be tempted to refuse."""
    yield "a range of one, two above seq", "Receipt", {"beyond": [19, 19]}
    yield "flags without a meaning", "Reading", {"flags": 0xFFF8}
    yield "action without a meaning", "Command", {"action": 255}
    yield "offline, as in the will", "Status", {"online": False}
    yield "no axis", "Birth", {"coefficients_f32le": b"", "axis_id": None}
    yield "capture of a standard", "Command", {"argument": b"\x02polystyrene"}


def grown() -> Iterator[tuple]:
    """Yield messages of the kinds in GROWN with all the fields they have now."""
    later = {"dark_counts": 1_012, "calibration_age_h": 23, "round_trip_ms": 640}
    yield "typical, grown", "Health", later
    yield "typical, grown", "Config", {"exposure_mode": 1}
    yield "typical, grown", "Result", {"tail": "12.5 sensor at 24 °C\n".encode()}
    for kind in GROWN:
        for name, _, values in extremes(kind):
            yield f"{name}, grown", kind, values
    yield "capture of a dark frame", "Command", {"argument": b"\x01"}
    for action in range(3, 8):
        yield f"action {action}", "Command", {"action": action}


def row(name: str, kind: str, changes: dict, appended: list, count: int | None = None) -> dict:
    """Return one vector: the typical message of its kind with `changes`.

    With `count` the frame has that many fields, and the values of the others are their defaults.
    """
    values = {**TYPICAL[kind], **changes}
    missing = len(values) - count if count else 0
    fields = getattr(messages, kind).FIELDS
    defaults = getattr(messages, kind).DEFAULTS
    for i in range(1, missing + 1):
        values[fields[-i][0]] = defaults[-i]
    number = getattr(messages, kind).KIND
    sent = list(values.values())[:count]
    frame = msgpack.packb([number, *sent, *appended], use_bin_type=True)
    named = {key: v.hex() if isinstance(v, bytes) else v for key, v in values.items()}
    vector = {"name": name, "kind": kind, "values": named, "frame": frame.hex()}
    if missing:
        return {**vector, "missing": missing}
    return {**vector, "appended": len(appended)} if appended else vector


def accepted() -> list[dict]:
    """Return the vectors of messages.json."""
    new = ("Verdict",)
    first = [kind for kind in TYPICAL if kind not in new]
    rows = [row("typical", kind, {}, [], GROWN.get(kind)) for kind in first]
    for kind in first:
        rows += [row(*vector, [], GROWN.get(kind)) for vector in extremes(kind)]
    rows += [row(*vector, [], GROWN.get(vector[1])) for vector in (*sizes(), *meanings())]
    rows += [row(f"appended {name}", "Status", {}, more) for name, more in APPENDED.items()]
    rows.append(row("appended to a long header", "Birth", {}, [b"\x01", "new"]))
    rows.append(row("grows beyond 15 elements", "Event", {}, [None, 0, ""]))
    rows += [row(*vector, []) for vector in grown()]
    for kind in new:
        rows.append(row("typical", kind, {}, []))
        rows += [row(*vector, []) for vector in extremes(kind)]
    return rows


def refused() -> list[dict]:
    """Return the vectors of refused.json: clause of SPEC.md, error class, reason, frame."""
    rows = []
    for clause, error, why, frame in BYTES_REFUSED:
        rows.append({"clause": clause, "error": error, "why": why, "frame": frame.hex()})
    for clause, error, why, kind, changes in VALUES_REFUSED:
        is_old = kind in GROWN and set(changes) <= set(list(TYPICAL[kind])[: GROWN[kind]])
        frame = row("", kind, changes, [], GROWN[kind] if is_old else None)["frame"]
        rows.append({"clause": clause, "error": error, "why": why, "frame": frame})
    for kind, values in TYPICAL.items():
        needed = len(values) - len(getattr(messages, kind).DEFAULTS)
        fewer = [getattr(messages, kind).KIND, *list(values.values())[: needed - 1]]
        frame = msgpack.packb(fewer, use_bin_type=True).hex()
        why = f"{kind} without its last field"
        rows.append({"clause": "4.4", "error": "MalformedError", "why": why, "frame": frame})
    return rows


def text(rows: list[dict]) -> str:
    """Return one vector per line, so that a change of one is a change of one line."""
    return "[\n" + ",\n".join(json.dumps(vector) for vector in rows) + "\n]\n"


def main() -> None:
    """Write both files."""
    VECTORS.mkdir(exist_ok=True)
    (VECTORS / "messages.json").write_text(text(accepted()))
    (VECTORS / "refused.json").write_text(text(refused()))


if __name__ == "__main__":
    main()
