"""A table of a scenario file, read key by key: who asks for a key says what it must be.

Every complaint names the file, the table, the key, its value and what would do; a key that nobody
asked for is one, because a mistyped one would be its default without a word.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

from simulators.errors import ScenarioError

TEXT_CHARACTERS_MAX = 500
MASS_KG_MAX = Decimal(40_000)  # a loaded container; no scale at a lane takes more
MASS_KG_STEP = Decimal("0.000001")  # a milligram, the unit of the wire
VALUE_CHARACTERS_MAX = 80  # of a wrong value, as it is shown
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")

T = TypeVar("T")
REQUIRED: Any = object()
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE]-?[0-9]{1,2})?")  # also of text: "12.50"


def told(value: object) -> str:
    """Return a wrong value as it is shown: its beginning, on one line."""
    text = repr(value)
    return text if len(text) <= VALUE_CHARACTERS_MAX else text[: VALUE_CHARACTERS_MAX - 3] + "..."


class Table:
    """One table.

    Args:
        where: file and table, for complaints.
        content: as TOML gave it.

    Raises:
        ScenarioError: it is no table.
    """

    def __init__(self, where: str, content: object) -> None:
        if not isinstance(content, dict):
            raise ScenarioError(f"{where} = {told(content)}: a table {{ key = value }} is needed")
        self.where = where
        self._content: dict[str, object] = content
        self._asked: set[str] = set()

    def wrong(self, key: str, remedy: str) -> ScenarioError:
        """Return a complaint about a key."""
        return ScenarioError(f"{self.where}: {key} = {told(self._content.get(key))}: {remedy}")

    def has(self, key: str) -> bool:
        """Whether a key is given."""
        self._asked.add(key)
        return key in self._content

    def _get(self, key: str, default: object) -> object:
        if not self.has(key):
            if default is REQUIRED:
                raise ScenarioError(f"{self.where}: {key} is missing")
            return default
        return self._content[key]

    def text(self, key: str, default: str = REQUIRED) -> str:
        """Return a text of at most TEXT_CHARACTERS_MAX, printable but for ends of lines."""
        value = self._get(key, default)
        if (
            not isinstance(value, str)
            or len(value) > TEXT_CHARACTERS_MAX
            or not value.replace("\n", "").isprintable()
        ):
            remedy = f"text of at most {TEXT_CHARACTERS_MAX} printable characters is needed"
            raise self.wrong(key, remedy)
        return value

    def name(self, key: str, default: str = REQUIRED) -> str:
        """Return what others refer to this table by."""
        value = self.text(key, default)
        if not _NAME.fullmatch(value):
            raise self.wrong(key, "small letters, digits, - and _ are needed, at most 40")
        return value

    def one_of(self, key: str, known: Iterable[str], default: str = REQUIRED) -> str:
        """Return one of the known words."""
        value = self.text(key, default)
        names = list(known)
        if value not in names:
            near = difflib.get_close_matches(value, names, n=3, cutoff=0.5) or names[:12]
            raise self.wrong(key, f"use one of {', '.join(near)}" if near else "there is none yet")
        return value

    def refer(self, key: str, among: Mapping[str, T]) -> T:
        """Return what a key refers to by name."""
        return among[self.one_of(key, among)]

    def made(self, key: str, make: Callable[[str], T], default: str = REQUIRED) -> T:
        """Return what `make` makes of a text; its WorldError becomes a complaint about the key."""
        text = self.text(key, default)
        try:
            return make(text)
        except ValueError as error:
            raise self.wrong(key, str(error)) from None

    def day(self, key: str) -> date:
        """Return a date."""
        value = self._get(key, REQUIRED)
        if type(value) is not date:
            raise self.wrong(key, "a date such as 1974-08-12 is needed, without quotes")
        return value

    def flag(self, key: str) -> bool:
        """Return true or false, false when it is not given."""
        value = self._get(key, False)  # noqa: FBT003 - a default
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false is needed")
        return value

    def mass_kg(self, key: str, default: Decimal | None = REQUIRED) -> Decimal | None:
        """Return a mass in kilograms, whole milligrams."""
        value = self._get(key, default)
        if value is None:
            return None
        mass = Decimal(str(value) if _NUMBER.fullmatch(str(value)) else -1)  # no nan, no inf
        if not 0 <= mass <= MASS_KG_MAX or mass % MASS_KG_STEP:
            raise self.wrong(key, f"kilograms from 0 to {MASS_KG_MAX} are needed, to the milligram")
        return mass

    def tables(self, key: str, *, least: int = 0, most: int) -> "list[Table]":
        """Return the tables of a list."""
        value = self._get(key, [])
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise self.wrong(key, f"a list of {least} to {most} tables is needed")
        return [Table(f"{self.where}, {key} {i}", each) for i, each in enumerate(value, start=1)]

    def texts(self, key: str, *, most: int) -> list[str]:
        """Return a list of texts, one for a bare text."""
        value = self._get(key, [])
        found = [value] if isinstance(value, str) else value
        if (
            not isinstance(found, list)
            or len(found) > most
            or not all(isinstance(text, str) for text in found)
        ):
            raise self.wrong(key, f"a text, or a list of at most {most}, is needed")
        return found

    def close(self) -> None:
        """Refuse keys that mean nothing here.

        Raises:
            ScenarioError: there is one.
        """
        for key in self._content:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, n=1)
                remedy = f"did you mean {near[0]}?" if near else f"known: {sorted(self._asked)}"
                name = key if _NAME.fullmatch(key) else told(key)
                raise ScenarioError(f"{self.where}: {name} means nothing here: {remedy}")
