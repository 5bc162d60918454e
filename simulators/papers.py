"""What is printed on goods, containers and documents, made from what is true of them.

Check digits are computed here and nowhere else in the simulators, so that neither the node's nor
the gateway's arithmetic is tested against itself.

References: GS1 General Specifications (element strings, check digits); ISO 6346; ICAO Doc 9303
parts 4 to 6 (TD3, TD1, TD2).
"""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from simulators.errors import WorldError

GS: Final = b"\x1d"  # ends a field of variable length
SYMBOLOGIES: Final = ("]d2", "]C1", "]Q3", "]e0")  # those that carry element strings
DOCUMENT_TYPES: Final = {"TD1": (3, 30), "TD2": (2, 36), "TD3": (2, 44)}  # lines, characters
WRONG: Final = ("", "number", "birth", "expiry", "composite")  # digits that can be made wrong
NET_KG_MAX: Final = Decimal(1000)  # six digits behind 3103
NET_KG_STEP: Final = Decimal("0.001")
MRZ_NUMBER: Final = 9  # characters of a document number in its own field
_VALUES: Final = (10, *range(12, 22), *range(23, 33), *range(34, 39))  # none a multiple of 11
_CONTAINER = re.compile(r"[A-Z]{3}[UJZ][0-9]{7}")
_SET_82 = re.compile(r"[!\"%-?A-Z_a-z]{1,20}")  # what a lot or serial number may hold


def gtin_digit(digits: str) -> int:
    """Return the check digit of a GTIN, SSCC or GLN without it."""
    total = sum(int(digit) * (3, 1)[index % 2] for index, digit in enumerate(reversed(digits)))
    return -total % 10


def check_gtin(text: str) -> str:
    """Return a GTIN as the 14 digits of application identifier 01.

    Raises:
        WorldError: it is none.
    """
    if not re.fullmatch(r"[0-9]{8}|[0-9]{12,14}", text):
        raise WorldError("a GTIN has 8, 12, 13 or 14 digits")
    if int(text[-1]) != gtin_digit(text[:-1]):
        raise WorldError(f"its check digit must be {gtin_digit(text[:-1])}")
    return text.zfill(14)


def check_lot(text: str) -> str:
    """Return a lot or serial number if a code can carry it.

    Raises:
        WorldError: it cannot.
    """
    if not _SET_82.fullmatch(text):
        raise WorldError("1 to 20 letters, digits and -./_ are needed")
    return text


def element_string(gtin: str, lot: str, serial: str, net_kg: Decimal | None) -> bytes:
    """Return the code on a trade item: GTIN, net weight, lot, serial number.

    Args:
        gtin: 14 digits.
        lot: empty: the code has none.
        serial: empty: the code has none.
        net_kg: below 1000 kg, to the gram; None: the code has none.
    """
    code = b"01" + gtin.encode()
    if net_kg is not None:
        code += b"3103%06d" % int(net_kg * 1000)
    if lot:
        code += b"10" + lot.encode() + (GS if serial else b"")
    return code + (b"21" + serial.encode() if serial else b"")


def container_digit(text: str) -> int:
    """Return the check digit of a container number without it, by ISO 6346."""
    values = [_VALUES[ord(c) - ord("A")] if c.isalpha() else int(c) for c in text[:10]]
    return sum(value << place for place, value in enumerate(values)) % 11 % 10


def check_container(text: str, *, is_wrong: bool = False) -> str:
    """Return a container number if it is one.

    Args:
        text: four letters and seven digits.
        is_wrong: its check digit is wrong on purpose.
    Raises:
        WorldError: it is none, or its digit is right or wrong where it must not be.
    """
    if not _CONTAINER.fullmatch(text):
        raise WorldError("four letters, the last U, J or Z, and seven digits are needed")
    digit = container_digit(text)
    if (int(text[-1]) != digit) != is_wrong:
        what = "another one than" if is_wrong else "it is wrong on purpose with wrong = true, else"
        raise WorldError(f"check digit {text[-1]}: {what} {digit}")
    return text


@dataclass(frozen=True, slots=True)
class Holder:
    """What a travel document says.

    Attributes:
        kind: a key of `DOCUMENT_TYPES`.
        code: first letters of the first line, such as `P` or `I`.
        issuer, nationality: of three letters or fewer.
        sex: F, M or <.
        optional: data of the issuer.
        wrong: which check digit is wrong on purpose, one of `WRONG`.
    """

    kind: str
    code: str
    issuer: str
    surname: str
    given: str
    number: str
    nationality: str
    birth: date
    sex: str
    expiry: date
    optional: str = ""
    wrong: str = ""


def mrz_digit(text: str) -> str:
    """Return the check digit of characters of a machine-readable zone."""
    total = sum(int(c, 36) * (7, 3, 1)[i % 3] if c != "<" else 0 for i, c in enumerate(text))
    return str(total % 10)


def mrz_lines(holder: Holder) -> tuple[str, ...]:
    """Return the lines of a document's machine-readable zone, with right digits.

    Raises:
        WorldError: something does not fit into its field.
    """
    _, width = DOCUMENT_TYPES[holder.kind]
    names = f"{_printed(holder.surname, 'surname')}<<{_printed(holder.given, 'given')}"
    head = _fill(_printed(holder.code, "code"), 2, "code") + _nation(holder.issuer, "issuer")
    number, optional = _number(holder)
    birth, expiry = (f"{day:%y%m%d}" for day in (holder.birth, holder.expiry))
    birth += _digit(birth, holder, "birth")
    expiry += _digit(expiry, holder, "expiry")
    nationality = _nation(holder.nationality, "nationality")
    if holder.kind == "TD1":
        first = head + number + _fill(optional, 15, "optional")
        second = birth + holder.sex + expiry + nationality + "<" * 11
        composite = first[5:30] + second[:7] + second[8:15] + second[18:29]
        lines: tuple[str, ...] = (first, second + _digit(composite, holder, "composite"))
        return (*lines, names[:width].ljust(width, "<"))
    first = (head + names)[:width].ljust(width, "<")
    second = number + nationality + birth + holder.sex + expiry
    if holder.kind == "TD3":
        own = _fill(optional, 14, "optional")
        second += own + (mrz_digit(own) if optional else "<")
    else:
        second += _fill(optional, 7, "optional")
    composite = second[:10] + second[13:20] + second[21:]
    return first, second + _digit(composite, holder, "composite")


def _number(holder: Holder) -> tuple[str, str]:
    """Return number with check digit, and the optional data, which takes what is too long."""
    number = _printed(holder.number, "number")
    optional = _printed(holder.optional, "optional")
    digit = _digit(_fill(number, max(MRZ_NUMBER, len(number)), "number"), holder, "number")
    if len(number) <= MRZ_NUMBER:
        return number.ljust(MRZ_NUMBER, "<") + digit, optional
    if holder.kind == "TD3":
        raise WorldError(f"number '{number}': a TD3 has room for {MRZ_NUMBER} characters")
    return number[:MRZ_NUMBER] + "<", f"{number[MRZ_NUMBER:]}{digit}<{optional}".rstrip("<")


def _digit(text: str, holder: Holder, field: str) -> str:
    digit = mrz_digit(text)
    return str((int(digit) + 1) % 10) if holder.wrong == field else digit


def _printed(text: str, field: str) -> str:
    """Return text as it is printed: letters and digits, all else a filler."""
    if not re.fullmatch(r"[A-Z0-9 '<-]*", text):
        raise WorldError(
            f"{field} '{text}': write capital letters A to Z as the document prints them"
        )
    return text.replace("'", "").replace(" ", "<").replace("-", "<")


def _fill(text: str, width: int, field: str) -> str:
    if len(text) > width:
        raise WorldError(f"{field} '{text}' is longer than its {width} characters")
    return text.ljust(width, "<")


def _nation(text: str, field: str) -> str:
    return _fill(_printed(text, field), 3, field)
