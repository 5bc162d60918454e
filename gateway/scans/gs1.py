"""GS1 element strings: application identifiers (AI) and their values.

Rules of this file
- What can be read is given, what is wrong is told beside it; nothing is raised.
- A value ends where its table says: of a fixed length where AI is one of GS1's predefined ones,
  else at a separator (GS) or the end. A value that is too long is never cut to fit, because what
  is left of it would be read as another AI.
- After a fixed value that is too short nothing more is read: where it ends is not known.

biip gives the table of AIs (541, with their forms), python-stdnum the check digits. biip's own
parsing is not used: it cuts a value that is too long and reads the rest as the next AI.

References: GS1 General Specifications, sections 3 (AIs, decimals), 7.8 (element strings), 7.9
(check digit), 7.12 (century); GS1 Syntax Dictionary.
"""

import calendar
import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Final

from biip import ParseError
from biip.gs1_application_identifiers import GS1ApplicationIdentifier

from gateway.scans.numbers import has_gs1_digit

GS: Final = "\x1d"
# In one code, right or wrong: so many are looked at. The densest that is printed has about ten.
ELEMENTS_MAX: Final = 64
# Of the value of an AI: how many characters, from its beginning, end in a check digit.
_CHECKED: Final = {
    "00": 18,
    "01": 14,
    "02": 14,
    "03": 14,
    "253": 13,
    "255": 13,
    "402": 17,
    **{f"41{number}": 13 for number in range(8)},
    "8003": 14,
    "8006": 14,
    "8017": 18,
    "8018": 18,
    "8026": 14,
}
_DATES: Final = {
    "11": "produced",
    "12": "due",
    "13": "packed",
    "15": "best_before",
    "16": "sell_by",
    "17": "expires",
    "7003": "expires",
}
_MEASURES: Final = {
    "310": "net_weight_kg",
    "320": "net_weight_lb",
    "330": "gross_weight_kg",
    "340": "gross_weight_lb",
}
_NAMES: Final = {
    "00": "sscc",
    "01": "gtin",
    "02": "contained_gtin",
    "10": "lot",
    "21": "serial",
    "37": "count",
    "422": "origin",
}
_SET_82: Final = re.compile(r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]*")  # of the International Standard
_FIXED: Final = re.compile(r"[NX]([0-9]+)")  # in the form of one whose length never varies
_LENGTH: Final = re.compile(r"\.\.([0-9]+)$")


@dataclass(slots=True)
class Elements:
    """What a code of element strings says.

    Attributes:
        values: by AI, in their order.
        titles: what each AI is, as GS1 abbreviates it.
        decoded: what some of them mean: numbers with their unit in the name, dates as YYYY-MM-DD,
            or YY-MM-DD where no year was given to tell the century by.
        faults: what is wrong, a sentence each, without the content.
        faulty: the AIs whose value is wrong.
    """

    values: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    decoded: dict[str, str | int | float | bool] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    faulty: list[str] = field(default_factory=list)

    def add(self, ai: GS1ApplicationIdentifier, value: str, year: int | None) -> None:
        """Take one element."""
        known = self.values.get(ai.ai)
        if known is not None:
            if known != value:
                self.faults.append(f"AI {ai.ai} twice, with different values")
            return
        self.values[ai.ai] = value
        self.titles[ai.ai] = ai.data_title or ai.description
        if is_right(ai.ai, value) is False:
            self.faults.append(f"bad check digit in AI {ai.ai}")
            self.faulty.append(ai.ai)
        self._decode(ai.ai, value, year)

    def _decode(self, ai: str, value: str, year: int | None) -> None:
        """Note what an element means."""
        if ai in _DATES:
            date = _date(value[:6], year)
            if date is None:
                self.faults.append(f"AI {ai} is no date")
                self.faulty.append(ai)
            else:
                self.decoded[_DATES[ai]] = date
        elif ai[:3] in _MEASURES and len(ai) == 4:
            self.decoded[_MEASURES[ai[:3]]] = int(value) / 10 ** int(ai[3])
        elif ai == "4321":
            self.decoded["dangerous_goods"] = value == "1"
        elif ai == "37":
            self.decoded["count"] = int(value)
        elif ai in _NAMES:
            self.decoded[_NAMES[ai]] = value

    def finish(self) -> None:
        """Tell what is wrong between the elements."""
        if "02" in self.values and "37" not in self.values:
            self.faults.append("AI 02 without AI 37: how many are contained is not stated")
        if "8200" in self.values and "01" not in self.values:
            self.faults.append("AI 8200 without AI 01")


def parse(text: str, year: int | None = None) -> Elements:
    """Read a code of element strings.

    Args:
        text: without AIM identifier; a leading separator is passed over.
        year: when it was read, for the century of dates.
    """
    found = Elements()
    rest = text[1:] if text.startswith(GS) else text
    if not rest:
        found.faults.append("nothing in it")
    count = 0
    while rest:
        if count == ELEMENTS_MAX:
            found.faults.append(f"more than {ELEMENTS_MAX} elements")
            break
        count += 1
        ai = find(rest)
        if ai is None:
            found.faults.append(f"no AI at character {len(text) - len(rest) + 1}")
            break
        size = _take(found, ai, rest, year)
        if not size:
            break
        rest = rest[size:].removeprefix(GS)
    found.finish()
    return found


def is_right(ai: str, value: str) -> bool | None:
    """Say whether the check digit in a value agrees; None: there is none in values of this AI."""
    size = _CHECKED.get(ai)
    return None if size is None else has_gs1_digit(value[:size])


def find(text: str) -> GS1ApplicationIdentifier | None:
    """Return the AI that a text begins with; None: it begins with none."""
    if not text[:4].isascii():  # digits of other alphabets are none here
        return None
    try:
        return GS1ApplicationIdentifier.extract(text[:4])
    except ParseError:
        return None


def _take(found: Elements, ai: GS1ApplicationIdentifier, rest: str, year: int | None) -> int:
    """Take the element that `rest` begins with; return its length, 0: what follows is lost."""
    end = rest.find(GS)
    whole = rest[:end] if end >= 0 else rest
    if ai.separator_required:
        fault = misfit(ai, whole[len(ai.ai) :])
        if fault:
            found.faults.append(fault)
        else:
            found.add(ai, whole[len(ai.ai) :], year)
        return len(whole)
    size = sum(int(count) for count in _FIXED.findall(ai.format))
    if len(whole) < size:
        found.faults.append(f"AI {ai.ai} has not the form {ai.format}")
        return 0
    fault = misfit(ai, whole[len(ai.ai) : size])
    if fault:
        found.faults.append(fault)
    else:
        found.add(ai, whole[len(ai.ai) : size], year)
    return size


def misfit(ai: GS1ApplicationIdentifier, value: str) -> str:
    """Return in which way a value is not one of its AI; empty: it is one."""
    if re.fullmatch(ai.pattern, ai.ai + value, re.ASCII):
        return ""
    if ai.ai in _DATES and value.isascii() and value.isdigit():
        return f"AI {ai.ai} is no date"
    most = _LENGTH.search(ai.format)
    if most is not None and "+" not in ai.format[3:] and len(value) > int(most.group(1)):
        return f"AI {ai.ai} longer than {most.group(1)}"
    if not _SET_82.fullmatch(value):
        return f"AI {ai.ai} has a character that GS1 does not allow"
    return f"AI {ai.ai} has not the form {ai.format}"


def _date(text: str, year: int | None) -> str | None:
    """Return a date YYMMDD as people write it; None: it is none. Day 00 is the month's last."""
    short, month, day = int(text[:2]), int(text[2:4]), int(text[4:6])
    # Without a year to compare with, that of the century is taken: 2000 was a leap year.
    full = 2000 + short if year is None else year - year % 100 + short
    if year is not None:
        ahead = short - year % 100
        full += 100 if ahead <= -50 else -100 if ahead >= 51 else 0
    try:
        last = calendar.monthrange(full, month)[1]
        date = dt.date(full, month, day or last)
    except ValueError:
        return None
    return date.isoformat()[2 if year is None else 0 :]
