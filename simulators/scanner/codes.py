"""Codes to be scanned: typed by a person, or drawn.

A drawn code is one of those that a border post meets: goods, pallets, containers, waybills, links.
A bad one is a label that is wrong, as no scanner can see: it reads the label as it is printed.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from simulators.errors import WorldError

CONTENT_BYTES_MAX: Final = 7_089  # a QR code of digits
GS: Final = b"\x1d"
_ESCAPE: Final = re.compile(rb"\\(x[0-9A-Fa-f]{2}|[\\rnt]|$|.)", re.DOTALL)
_SHORT: Final = {b"\\": b"\\", b"r": b"\r", b"n": b"\n", b"t": b"\t"}
_AIM: Final = re.compile(r"\][A-Za-z][0-9A-Za-z]")
# ISO 6346: letters count from 10 on, and no multiple of 11.
_VALUES: Final = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        [n for n in range(39) if n < 10 or n % 11],
        strict=True,
    )
)


class Code(NamedTuple):
    """What a label says.

    Attributes:
        symbology: AIM identifier, such as ]C1.
        content: its bytes.
        check_at: index of a check digit in the content; None: it has none.
    """

    symbology: str
    content: bytes
    check_at: int | None = None


def parse_code(text: str) -> Code:
    r"""Read `[]cm] TEXT`; in the text \x1d is GS, \xNN any byte, \\ a backslash, and \r \n \t.

    Raises:
        WorldError: there is nothing to scan, or it is more than any code holds.
    """
    found = _AIM.match(text)
    symbology = found.group() if found else ""
    rest = text[len(symbology) :].strip(" ") if symbology else text
    content = unescape(rest)
    if not content:
        raise WorldError("scan what? give `scan ]C1 0109501101530003` or `scan TEXT`")
    if len(content) > CONTENT_BYTES_MAX:
        raise WorldError(
            f"scan: {len(content)} bytes; the largest code holds {CONTENT_BYTES_MAX} (QR, digits)"
        )
    return Code(symbology, content, _check_at(symbology, content))


def unescape(text: str) -> bytes:
    r"""Return the bytes of a text with \xNN and the like in it.

    Raises:
        WorldError: an escape that is none.
    """

    def byte(found: re.Match[bytes]) -> bytes:
        name = found.group(1)
        if name[:1] == b"x" and len(name) == 3:
            return bytes([int(name[1:], 16)])
        if name not in _SHORT:
            raise WorldError(
                f"'\\{name.decode(errors='replace')}' is no escape: use \\x1d for GS, \\xNN for any"
                " byte, \\r, \\n, \\t, \\\\"
            )
        return _SHORT[name]

    return _ESCAPE.sub(byte, text.encode("utf-8", "surrogateescape"))


def check_digit(digits: bytes) -> bytes:
    """Return the check digit of a GTIN, SSCC or the like without it (GS1: weights 3, 1, 3, ...)."""
    total = sum(
        (digit - 0x30) * (1 if place % 2 else 3) for place, digit in enumerate(reversed(digits))
    )
    return b"%d" % (-total % 10)


def container_digit(serial: bytes) -> bytes:
    """Return the check digit of four letters and six digits (ISO 6346)."""
    total = sum(_VALUES[letter] << place for place, letter in enumerate(serial.decode()))
    return b"%d" % (total % 11 % 10)


def _check_at(symbology: str, content: bytes) -> int | None:
    """Return where the check digit of a code stands whose kind is plain from its symbology."""
    if symbology in ("]E0", "]E4", "]I1"):
        return len(content) - 1
    if symbology in ("]C1", "]d2", "]e0", "]Q3"):
        return {b"01": 15, b"02": 15, b"00": 19}.get(content[:2])
    return None


def draw(rng: np.random.Generator, *, is_good: bool = True) -> Code:
    """Draw a code.

    Args:
        rng: of everything in it.
        is_good: False: the label is wrong.
    """
    kinds = _KINDS if is_good else _BAD_KINDS
    return kinds[int(rng.integers(len(kinds)))](rng)


def _digits(rng: np.random.Generator, count: int) -> bytes:
    return bytes(rng.integers(0x30, 0x3A, count, dtype=np.uint8))


def _gtin(rng: np.random.Generator, count: int = 14) -> bytes:
    body = _digits(rng, count - 1)
    return body + check_digit(body)


def _wrong(number: bytes) -> bytes:
    """Return a number with another last digit."""
    return number[:-1] + b"%d" % ((number[-1] - 0x30 + 1) % 10)


def _date(rng: np.random.Generator) -> bytes:
    return b"%02d%02d%02d" % (rng.integers(24, 30), rng.integers(1, 13), rng.integers(1, 29))


def _ean13(rng: np.random.Generator) -> Code:
    return made("]E0", _gtin(rng, 13))


def _ean8(rng: np.random.Generator) -> Code:
    return made("]E4", _gtin(rng, 8))


def _case(rng: np.random.Generator) -> Code:
    return made("]C1", b"01" + _gtin(rng) + b"17" + _date(rng) + b"10LOT-" + _digits(rng, 4))


def _drum(rng: np.random.Generator) -> Code:
    gtin, lot, serial = _gtin(rng), b"10LOT-" + _digits(rng, 3), b"21SN" + _digits(rng, 6)
    return made("]d2", b"01" + gtin + lot + GS + serial)


def _pallet(rng: np.random.Generator) -> Code:
    return made("]C1", b"00" + _gtin(rng, 18))


def _weighed(rng: np.random.Generator) -> Code:
    return made("]C1", b"01" + _gtin(rng) + b"3103" + _digits(rng, 6))


def _carton(rng: np.random.Generator) -> Code:
    return made("]I1", _gtin(rng))


def _container_number(rng: np.random.Generator) -> bytes:
    owner = bytes(rng.integers(0x41, 0x5B, 3, dtype=np.uint8))
    serial = owner + b"U" + _digits(rng, 6)
    return serial + container_digit(serial)


def _container(rng: np.random.Generator) -> Code:
    return Code("]A0", _container_number(rng), 10)


def _waybill_number(rng: np.random.Generator) -> bytes:
    serial = _digits(rng, 7)
    return _digits(rng, 3) + b"-" + serial + b"%d" % (int(serial) % 7)


def _waybill(rng: np.random.Generator) -> Code:
    return Code("]C0", _waybill_number(rng), 11)


def _link(rng: np.random.Generator) -> Code:
    return Code("]Q1", b"https://id.gs1.org/01/" + _gtin(rng) + b"/10/LOT-" + _digits(rng, 3))


def _bytes(rng: np.random.Generator) -> Code:
    """Bytes that are no UTF-8, as a code of pictures or of another alphabet has them."""
    return Code("]Q1", bytes(rng.integers(0x80, 0x100, int(rng.integers(8, 64)), dtype=np.uint8)))


def _bad_case(rng: np.random.Generator) -> Code:
    return made("]C1", b"01" + _wrong(_gtin(rng)))


def _long_lot(rng: np.random.Generator) -> Code:
    return Code("]C1", b"10" + b"L" * int(rng.integers(21, 40)))


def _twice(rng: np.random.Generator) -> Code:
    return made("]d2", b"01" + _gtin(rng) + b"01" + _gtin(rng))


def _bad_container(rng: np.random.Generator) -> Code:
    return Code("]A0", _wrong(_container_number(rng)), 10)


def _bad_waybill(rng: np.random.Generator) -> Code:
    return Code("]C0", _wrong(_waybill_number(rng)), 11)


def made(symbology: str, content: bytes) -> Code:
    """Return the code of a label, with the place of its check digit."""
    return Code(symbology, content, _check_at(symbology, content))


_Draw = Callable[[np.random.Generator], Code]
_KINDS: tuple[_Draw, ...] = (
    *(_ean13, _ean8, _case, _drum, _pallet, _weighed, _carton),
    *(_container, _waybill, _link, _bytes),
)
_BAD_KINDS: tuple[_Draw, ...] = (_bad_case, _long_lot, _twice, _bad_container, _bad_waybill)
