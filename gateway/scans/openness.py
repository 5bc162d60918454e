"""What of a code is told to anybody. Pure.

Rules of this file
- A scanner reads licences, boarding passes and contact cards, too, whole or in parts, and no list
  of their forms is complete. So it goes the other way: told is what has a form that is made for
  goods and was verified, value by value; everything else may be somebody's data.
- Of what is withheld are told: the kind of code, its length, its form, the names of its values,
  what is wrong and what to note. None of these has a character of the content.
- Verified is: a check digit that agrees, in a number that cannot well be another. Free text, such
  as a lot, is told beside such a number of goods only: GS1 allows it nowhere else.
"""

from typing import Final

import msgspec

from gateway.scans import gs1, numbers
from gateway.scans.reading import Scan, read_scan

# Of a code with one of these, its check digit right, the others are about goods, too.
_GOODS: Final = ("00", "01", "02", "03", "402", "8003", "8006", "8026")
# Made for goods, their freight and their origin. Not here: who gets or returns them and where (420,
# 421, 43nn), orders, routes and references (400, 403, 251, 254), documents and coupons (253, 255),
# certificates and approvals (703n, 723n), persons (725n, 8017 to 8019), phones (8002, 804n),
# accounts and amounts (39nn, 8007, 8020), addresses in the web (8200), and what companies agree on
# among themselves (90 to 99).
_OPEN: Final = frozenset(
    "00 01 02 03 10 11 12 13 15 16 17 20 21 22 235 240 241 242 243 250 30 37 401 402"
    " 410 411 412 413 414 415 416 417 422 423 424 425 426 427 4321 4330 4331 4332 4333"
    " 7001 7002 7003 7004 7005 7006 7007 7008 7009 7010 7011 7020 7021 7022 7040 7041"
    " 710 711 712 713 714 715 716 717"
    " 8001 8003 8004 8005 8006 8008 8010 8011 8012 8013 8026".split()
)
_MEASURES: Final = ("31", "32", "33", "34", "35", "36")  # of four digits
_PLAIN_NUMBER: Final = "digits alone: it may be a number of something else"
_OWN_NUMBER: Final = "a number of a shop's or company's own, or of a coupon: it may be on a card"


def read_openly(identifier: str, content: bytes, *, year: int | None = None) -> Scan:
    """Return what a code says to anybody; arguments as of `read_scan`."""
    scan = read_scan(identifier, content, year=year)
    if scan.form in ("gs1", "link"):
        return _open_elements(scan, content.decode(), year)
    if scan.form == "gtin":
        return _open_gtin(scan, identifier)
    if scan.form == "container" and not scan.faulty:
        return _keep_rest(scan) if scan.faults else scan
    if scan.form == "waybill" and not scan.faulty:
        return scan if b"-" in content else _withhold(scan, tuple(scan.values), _PLAIN_NUMBER)
    return _withhold(scan, ("content",)) if content else scan


def _open_elements(scan: Scan, text: str, year: int | None) -> Scan:
    """Tell of element strings what is about goods."""
    is_of_goods = any(_is_goods(ai, value) for ai, value in scan.values.items())
    found = gs1.Elements()
    withheld = []
    for name, value in scan.values.items():
        ai = gs1.find(name)
        if (
            ai is not None
            and name not in scan.faulty
            and _is_open(name, value, is_of_goods=is_of_goods)
        ):
            found.add(ai, value, year)
        else:
            withheld.append(name)
    said = "".join(name + value for name, value in scan.values.items())
    if said != text.replace(gs1.GS, ""):
        withheld.append("content")
    if not withheld:
        return scan
    return msgspec.structs.replace(
        scan, values=found.values, decoded=found.decoded, text=None, withheld=tuple(withheld)
    )


def _is_goods(ai: str, value: str) -> bool:
    if ai in ("01", "02", "03"):
        return numbers.is_of_goods(value)
    return ai in _GOODS and gs1.is_right(ai, value) is True


def _is_open(ai: str, value: str, *, is_of_goods: bool) -> bool:
    if ai in ("01", "02", "03"):
        return numbers.is_of_goods(value)
    is_listed = ai in _OPEN or (len(ai) == 4 and ai.startswith(_MEASURES))
    return is_listed and (is_of_goods or gs1.is_right(ai, value) is True)


def _open_gtin(scan: Scan, identifier: str) -> Scan:
    """Tell a GTIN where the kind of code says that it is one."""
    number = scan.values.get("gtin", "")
    if not number or (scan.faults and not numbers.is_of_goods(number)):
        return _withhold(scan, ("content",))
    if not identifier:
        return _withhold(scan, ("gtin",), _PLAIN_NUMBER)
    if not numbers.is_of_goods(number):
        return _withhold(scan, tuple(scan.values), _OWN_NUMBER)
    return _keep_rest(scan) if scan.faults else scan


def _keep_rest(scan: Scan) -> Scan:
    """Return a scan with the values of it only: something else stands behind them."""
    return msgspec.structs.replace(scan, text=None, withheld=("content",))


def _withhold(scan: Scan, names: tuple[str, ...], note: str = "") -> Scan:
    """Return a scan without what it says."""
    return msgspec.structs.replace(
        scan,
        values={},
        titles={},
        decoded={},
        notes=(*scan.notes, note) if note else scan.notes,
        text=None,
        withheld=names,
    )
