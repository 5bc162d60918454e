"""Numbers with a check digit: goods, pallets, containers, waybills.

python-stdnum computes GS1's digit and ISO 6346's; the waybill's it does not know.
"""

import re
from dataclasses import dataclass
from typing import Final

from stdnum import ean, iso6346

_DIGITS: Final = re.compile(r"[0-9]+")
# Owner and category, serial, check digit; then size and type where they stand beside it.
_CONTAINER: Final = re.compile(r"([A-Z]{3}[UJZ]) ?-?([0-9]{6}) ?-?([0-9])(?: ?([0-9A-Z]{4}))?")
# Length, height and width; group and kind. One is a digit: four letters are a name as well.
_SIZE_TYPE: Final = re.compile(
    r"(?=.*[0-9])[1-4A-HK-NP][0245689C-FL-NP][ABGHKNPRSTUV][0-9A-Z]"  # editions 1995 to 2022
)
_WAYBILL: Final = re.compile(r"([0-9]{3})(-?) ?([0-9]{4}) ?([0-9]{3})([0-9])")
_PIECE: Final = re.compile(r"([0-9]{3})([0-9]{7})([0-9])([0-9]{5})")
_GTIN_DIGITS: Final = (8, 12, 13, 14)
# What GS1 gives to no goods: each company's own numbers (loyalty and staff cards have them),
# coupons and refunds; of a GTIN-8 the first digit.
_NO_GOODS: Final = ("02", "04", "2", "05", "98", "99")
_NO_GOODS_8: Final = ("0", "2")


@dataclass(frozen=True, slots=True)
class Container:
    """A freight container's number, ISO 6346.

    Attributes:
        number: eleven characters.
        size_type: such as 22G1, empty when it is not stated.
        has_other: four characters stand there that are none.
        is_right: the check digit agrees.
        is_doubtful: it is 0 for a remainder of 10: owners are advised against such serials, because
            a remainder of 0 has the same digit.
    """

    number: str
    size_type: str
    has_other: bool
    is_right: bool
    is_doubtful: bool


@dataclass(frozen=True, slots=True)
class Waybill:
    """An air waybill's number, IATA.

    Attributes:
        number: with its hyphen.
        piece: number of the piece on a piece's label; None: it is the waybill's own.
        is_right: the check digit agrees.
    """

    number: str
    piece: int | None
    is_right: bool


def has_gs1_digit(number: str) -> bool:
    """Say whether the last digit of a GTIN, SSCC, GLN, GSIN or GSRN agrees with the others."""
    if len(number) < 2 or not _DIGITS.fullmatch(number):
        return False
    return ean.calc_check_digit(number[:-1]) == number[-1]


def is_gtin(number: str) -> bool:
    """Say whether a number is a GTIN by itself: of the right length, with a check digit."""
    return len(number) in _GTIN_DIGITS and has_gs1_digit(number)


def is_of_goods(gtin: str) -> bool:
    """Say whether a GTIN of 14 digits is right, and of a prefix that is given to goods."""
    if not is_gtin(gtin):
        return False
    if gtin.startswith("000000"):
        return not gtin[6:].startswith(_NO_GOODS_8)
    return not gtin[1:].startswith(_NO_GOODS)


def read_container(text: str) -> Container | None:
    """Return the container that a text names; None: it is no container's number."""
    found = _CONTAINER.fullmatch(text)
    if found is None:
        return None
    owner, serial, digit, behind = found.groups(default="")
    is_size_type = _SIZE_TYPE.fullmatch(behind) is not None
    total = weighted_sum(owner + serial) % 11
    return Container(
        owner + serial + digit,
        behind if is_size_type else "",
        behind != "" and not is_size_type,
        iso6346.calc_check_digit(owner + serial) == digit,
        total == 10,
    )


def weighted_sum(serial: str) -> int:
    """Return the weighted sum whose remainder by 11 is the check digit; 10 is written 0.

    python-stdnum gives the digit only. Letters count from 10 on and pass over multiples of 11.
    """
    values = [int(letter, 36) + max(int(letter, 36) - 1, 0) // 10 for letter in serial]
    return sum(value << place for place, value in enumerate(values))


def read_waybill(text: str) -> Waybill | None:
    """Return the air waybill that a text names; None: it is none.

    Without its hyphen any eleven digits look like one: then only a good check digit makes it one.
    """
    if found := _PIECE.fullmatch(text):
        prefix, serial, digit, piece = found.groups()
        if int(serial) % 7 != int(digit):
            return None
        return Waybill(f"{prefix}-{serial}{digit}", int(piece), is_right=True)
    found = _WAYBILL.fullmatch(text)
    if found is None:
        return None
    prefix, hyphen, first, last, digit = found.groups()
    is_right = int(first + last) % 7 == int(digit)
    if not is_right and not hyphen:
        return None
    return Waybill(f"{prefix}-{first}{last}{digit}", None, is_right)
