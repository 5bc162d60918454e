"""What one scanned code is, and what is wrong with it. Pure.

Rules of this file
- Application identifiers are read of GS1 symbologies only, even where another's text looks like
  them.
- Nothing is corrected. What is wrong is told in `faults`, without the content.
- Whatever the bytes, there is a Scan.
- Here a code is read whole. What of it may be told to anybody, openness.py says.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from gateway.scans import gs1, links, numbers, symbology

_AIM: Final = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_ADD_ON: Final = re.compile(r"[0-9]{2}|[0-9]{5}")


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """What one code says.

    Attributes:
        symbology: kind of code, such as GS1-128.
        length_bytes: of its content.
        form: gs1, gtin, container, waybill, link, text, bytes, or empty.
        values: what was read, by application identifier or by name.
        titles: what each application identifier is.
        decoded: what values mean: numbers with their unit in the name, dates as YYYY-MM-DD.
        faults: what is wrong, a sentence each, without the content.
        faulty: the names of wrong values.
        notes: what to know besides.
        text: all of it as one line of printable characters; None: not all of it may be told.
        withheld: what is not told: names of values, and `content` for what no value says.
        is_claim: anybody can print it: nothing but the code itself stands behind it.
    """

    symbology: str
    length_bytes: int = 0
    form: str
    values: dict[str, str] = {}
    titles: dict[str, str] = {}
    decoded: dict[str, str | int | float | bool] = {}
    faults: tuple[str, ...] = ()
    faulty: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    text: str | None = None
    withheld: tuple[str, ...] = ()
    is_claim: bool = False


def read_scan(identifier: str, content: bytes, *, year: int | None = None) -> Scan:
    """Return what a code says, whole.

    Args:
        identifier: AIM identifier, such as ]C1; empty: the scanner sends none.
        content: the bytes of the code.
        year: when it was read, for the century of dates; None: they stay without one.
    """
    return msgspec.structs.replace(
        _read(identifier, content, year),
        length_bytes=len(content),
        text=shown(content.decode(errors="backslashreplace")),
    )


def _read(identifier: str, content: bytes, year: int | None) -> Scan:
    kind = symbology.name(identifier)
    if not content:
        return Scan(symbology=kind, form="", faults=("nothing in it",))
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return _not_text(kind, identifier, len(content))
    if identifier in symbology.GS1:
        return _read_gs1(kind, text, year)
    if identifier in symbology.GTIN:
        return _read_gtin(kind, identifier, text)
    for read in _READERS:
        found = read(kind, identifier, text, year)
        if found is not None:
            return found
    return _read_text(kind, identifier, text)


def _not_text(kind: str, identifier: str, count: int) -> Scan:
    note = f"{count} bytes that are no UTF-8"
    if identifier in symbology.GS1 or identifier in symbology.GTIN:
        return Scan(symbology=kind, form="bytes", faults=(note,))
    return Scan(symbology=kind, form="bytes", notes=(note,))


def _read_gs1(kind: str, text: str, year: int | None) -> Scan:
    found = gs1.parse(text, year)
    return Scan(
        symbology=kind,
        form="gs1",
        values=found.values,
        titles=found.titles,
        decoded=found.decoded,
        faults=tuple(found.faults),
        faulty=tuple(found.faulty),
    )


def _read_gtin(kind: str, identifier: str, text: str) -> Scan:
    """Read an EAN or UPC; behind it may stand an add-on of two or five digits."""
    number, add_on = text, ""
    if identifier == "]E3":
        number, add_on = text[:13], text[13:]
    if not numbers.is_gtin(number):
        return Scan(symbology=kind, form="gtin", faults=("bad check digit or length of a GTIN",))
    values = {"gtin": number.zfill(14)}
    if add_on:
        if not _ADD_ON.fullmatch(add_on):
            fault = "what stands behind the GTIN is no add-on of two or five digits"
            return Scan(symbology=kind, form="gtin", values=values, faults=(fault,))
        values["add_on"] = add_on
    return Scan(symbology=kind, form="gtin", values=values)


def _read_carton(kind: str, identifier: str, text: str, _: int | None) -> Scan | None:
    """Read the GTIN-14 of a carton: fourteen digits of Interleaved 2 of 5, or digits of anything.

    Where the symbology does not say so, only a good check digit makes digits a GTIN.
    """
    is_itf = identifier in symbology.ITF and len(text) == 14 and text.isascii() and text.isdigit()
    if is_itf and not numbers.is_gtin(text):
        return Scan(symbology=kind, form="gtin", faults=("bad check digit or length of a GTIN",))
    if is_itf or (not identifier and len(text) >= 12 and numbers.is_gtin(text)):
        return Scan(symbology=kind, form="gtin", values={"gtin": text.zfill(14)})
    return None


def _read_container(kind: str, _: str, text: str, __: int | None) -> Scan | None:
    found = numbers.read_container(text.strip())
    if found is None:
        return None
    values = {"container": found.number}
    if found.size_type:
        values["size_type"] = found.size_type
    faults = [] if found.is_right else ["bad check digit in a container's number"]
    if found.has_other:
        faults.append("what stands behind the container's number is no size and type")
    doubt = "its check digit 0 stands for a remainder of 10: another serial may have the same"
    return Scan(
        symbology=kind,
        form="container",
        values=values,
        faults=tuple(faults),
        faulty=() if found.is_right else tuple(values),
        notes=(doubt,) if found.is_doubtful and found.is_right else (),
    )


def _read_waybill(kind: str, _: str, text: str, __: int | None) -> Scan | None:
    found = numbers.read_waybill(text.strip())
    if found is None:
        return None
    return Scan(
        symbology=kind,
        form="waybill",
        values={"waybill": found.number},
        decoded={} if found.piece is None else {"piece": found.piece},
        faults=() if found.is_right else ("bad check digit in an air waybill's number",),
        faulty=() if found.is_right else ("waybill",),
    )


def _read_link(kind: str, _: str, text: str, year: int | None) -> Scan | None:
    if not links.is_link(text):
        return None
    found = links.parse(text, year) or gs1.Elements()
    return Scan(
        symbology=kind,
        form="link",
        values=found.values,
        titles=found.titles,
        decoded=found.decoded,
        faults=tuple(found.faults),
        faulty=tuple(found.faulty),
        notes=("a web address: do not open it",),
        is_claim=True,
    )


_Read = Callable[[str, str, str, int | None], Scan | None]
_READERS: Final[tuple[_Read, ...]] = (_read_container, _read_waybill, _read_link, _read_carton)


def _read_text(kind: str, identifier: str, text: str) -> Scan:
    notes = []
    if not identifier and _AIM.match(text):
        notes.append("it begins like an AIM identifier: if the scanner sends them, set aim true")
    elif _AIM.search(text):
        notes.append("it may be two codes: an AIM identifier stands in it")
    return Scan(symbology=kind, form="text", notes=tuple(notes))


def shown(text: str) -> str:
    """Return a text as one line of printable characters, GS and the like named."""
    return "".join(map(_shown, text))


_SEPARATORS: Final = {"\x1d": "<GS>", "\x1e": "<RS>", "\x04": "<EOT>"}


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return _SEPARATORS.get(character) or character.encode("unicode_escape").decode()
