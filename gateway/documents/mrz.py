"""The machine-readable zone of a travel document, as a value that screening can ask. Pure.

Rules of the file
- A document is personal data: neither `repr` nor an error says anything of one but its kind.
- Check digits are verified here again: a node's word is a name on a wire.
- Nothing is made nicer. Letters stay as they are transcribed in the zone (Ä is AE there, and a name
  with AE may be either), a filler becomes a blank, and a date that cannot be is no date.

Reference: ICAO Doc 9303, 8th edition: part 3 sections 3 and 4, parts 4 to 7.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

import msgspec

from gateway.errors import GatewayError
from protocol import mrz

WRONG: Final = "?"  # ends the symbology of a zone whose digits stayed wrong (SPEC.md 3.7)
EXPIRY_YEARS_AHEAD: Final = 49  # documents last ten years; most of the window is for expired ones


class DocumentError(GatewayError):
    """An event of a document that cannot be read; its text says nothing of the document."""


class Day(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A date of a document; a part that its issuer did not know is None.

    Attributes:
        year: with its century, which is inferred.
        month, day: as printed.
    """

    year: int | None = None
    month: int | None = None
    day: int | None = None

    @property
    def date(self) -> dt.date | None:
        """The calendar's date, None where a part is not known."""
        if self.year is None or self.month is None or self.day is None:
            return None
        return dt.date(self.year, self.month, self.day)


class Document(msgspec.Struct, frozen=True):
    """One document as its zone tells it.

    Attributes:
        kind: TD1, TD2, TD3, MRVA or MRVB.
        code: what the issuer calls it: P, ID, AC, V and so on.
        issuer, nationality: three letters of ISO 3166 or Doc 9303 (UTO, EUE, XXA), or D.
        number: without fillers; of a long one all of it.
        surname, given_names: as transcribed, blanks for fillers.
        is_cut: the name fills its field: what is missing cannot be told.
        birth, expiry: see `Day`.
        sex: F, M or empty.
        optional: what the issuer adds, a personal number for example.
        wrong: fields whose check digit or letters are wrong, "composite" for the digit over all,
            and dates that no calendar has.
    """

    kind: str
    code: str
    issuer: str
    nationality: str
    number: str
    surname: str
    given_names: str
    is_cut: bool
    birth: Day
    expiry: Day
    sex: str
    optional: str
    wrong: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Document {self.kind}>"

    def is_expired(self, day: dt.date) -> bool:
        """Say whether it had expired before a day; one without a date has not."""
        last = self.expiry.date
        return last is not None and last < day


def read_document(symbology: str, content: bytes, day: dt.date) -> Document:
    """Return what a document's event says.

    Args:
        symbology: of the event.
        content: of the event, lines with a line feed between.
        day: on which it was read; the centuries of its dates are inferred from that.

    Raises:
        DocumentError: it is no zone, or not of the kind that its symbology says.
    """
    zone = content.replace(b"\n", b"")
    kind = mrz.kind_of(zone)
    width = mrz.WIDTHS.get(len(zone), 0)
    lines = content.split(b"\n")
    if not kind or any(len(line) != width for line in lines):
        raise DocumentError(
            f"a document of {len(content)} bytes in {len(lines)} lines is no machine-readable zone;"
            " update the node's firmware"
        )
    if symbology.removesuffix(WRONG) != kind:
        raise DocumentError(
            f"a document of kind {kind} is said to be of another; update the node's firmware"
        )
    wrong = mrz.wrong_fields(kind, zone)
    if "characters" in wrong:
        raise DocumentError(
            f"a document of kind {kind} has characters that no zone has; update the node's firmware"
        )
    return _told(kind, zone, wrong, day)


def _told(kind: str, zone: bytes, wrong: list[str], day: dt.date) -> Document:
    text = {name: zone[begin:end].decode() for name, begin, end in mrz.fields(kind)}
    number, _, optional = mrz.number_of(kind, zone)
    surname, given_names = _names(text["names"])
    birth = _birth(text["birth"], day)
    expiry = _expiry(text["expiry"], day)
    dates = {"birth": birth, "expiry": expiry}
    wrong += [name for name, found in dates.items() if found is None and name not in wrong]
    more = optional.decode() + text.get("optional2", "")
    return Document(
        kind=kind,
        code=text["code"].rstrip("<"),
        issuer=text["issuer"].rstrip("<"),
        nationality=text["nationality"].rstrip("<"),
        number=number.decode().replace("<", " ").strip(),
        surname=surname,
        given_names=given_names,
        is_cut=not text["names"].endswith("<"),
        birth=birth or Day(),
        expiry=expiry or Day(),
        sex=text["sex"] if text["sex"] in "FM" else "",
        optional=" ".join(more.replace("<", " ").split()),
        wrong=tuple(wrong),
    )


def _names(text: str) -> tuple[str, str]:
    """Return surname and given names: two fillers stand between, one between parts."""
    surname, _, given_names = text.strip("<").partition("<<")
    return " ".join(surname.split("<")), " ".join(given_names.replace("<", " ").split())


def _birth(text: str, day: dt.date) -> Day | None:
    """Return the newest date that is not in the future; who is a hundred counts as a child."""
    found = _day(text, day.year - day.year % 100)
    if found is None or found.year is None:
        return found
    first = (found.year, found.month or 1, found.day or 1)
    if first > (day.year, day.month, day.day):
        return _day(text, day.year - day.year % 100 - 100)
    return found


def _expiry(text: str, day: dt.date) -> Day | None:
    """Return the date whose year is nearest: at most EXPIRY_YEARS_AHEAD, else in the past."""
    if not text[:2].isdigit():
        return _day(text, 0)
    ahead = (int(text[:2]) - day.year) % 100
    year = day.year + ahead - (100 if ahead > EXPIRY_YEARS_AHEAD else 0)
    return _day(text, year - year % 100)


def _day(text: str, century: int) -> Day | None:
    """Return YYMMDD with its century, fillers for what is not known; None: no calendar has it."""
    parts = [text[at : at + 2] for at in (0, 2, 4)]
    if any(part != "<<" and not part.isdigit() for part in parts):
        return None
    year, month, day = (None if part == "<<" else int(part) for part in parts)
    try:  # 29 February is in a leap year only where the year is known
        dt.date(2000 if year is None else century + year, month or 1, day or 1)
    except ValueError:
        return None
    if 0 in (month, day):
        return None
    return Day(None if year is None else century + year, month, day)
