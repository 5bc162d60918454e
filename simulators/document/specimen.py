"""Travel documents of nobody: drawn from a seed, issued by Utopia, with the right check digits.

UTO is the state of the specimens in ICAO Doc 9303, which no real document names. The digits are
computed here, not by the code that is tried against them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulators.errors import WorldError

STATE: Final = "UTO"
WIDTHS: Final = {"TD1": (3, 30), "TD2": (2, 36), "TD3": (2, 44), "MRVA": (2, 44), "MRVB": (2, 36)}
CODES: Final = {"TD1": "I<", "TD2": "I<", "TD3": "P<", "MRVA": "V<", "MRVB": "V<"}
SURNAMES: Final = (
    *("ADEYEMI", "BARROW", "DIALLO", "ERIKSSON", "FARAH", "GARCIA<LOPEZ", "HADDAD", "IBRAHIM"),
    *("KOUASSI", "LINDQVIST", "MENSAH", "NDIAYE", "OUEDRAOGO", "PETIT", "TRAORE", "VAN<DER<MEER"),
)
GIVEN: Final = (
    *("AMINATA", "ANNA<MARIA", "BAKARY", "CHANTAL", "FATOU", "IDRISSA", "JEAN<PIERRE", "KOFI"),
    *("LEILA", "MARIAM", "OMAR", "PILAR", "RASHID", "SALIF", "YACINE", "ZOE"),
)
LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ALPHABET: Final = "0123456789" + LETTERS  # of numbers; their place is their worth
LONG_NUMBER_PART: Final = 0.2  # of TD1 and TD2 cards; chosen
TEXT_CHARACTERS_MAX: Final = 200  # of lines that a person gives


@dataclass(frozen=True, slots=True)
class Document:
    """What is printed: its kind and its lines."""

    kind: str
    lines: tuple[str, ...]


def digit(text: str) -> str:
    """Return the check digit of text: the places of its characters, weighed 7, 3, 1."""
    worth = [0 if one == "<" else ALPHABET.index(one) for one in text]
    return str(sum(value * (7, 3, 1)[i % 3] for i, value in enumerate(worth)) % 10)


def draw(kind: str, rng: np.random.Generator) -> Document:
    """Return a document of somebody who does not exist.

    Raises:
        WorldError: there is no such kind.
    """
    if kind not in WIDTHS:
        raise WorldError(f"document '{kind[:20]}': known are {', '.join(WIDTHS)}")
    _, width = WIDTHS[kind]
    names = f"{rng.choice(SURNAMES)}<<{rng.choice(GIVEN)}"
    birth = f"{rng.integers(100):02}{rng.integers(1, 13):02}{rng.integers(1, 29):02}"
    expiry = f"{rng.integers(24, 36):02}{rng.integers(1, 13):02}{rng.integers(1, 29):02}"
    sex = str(rng.choice(["F", "M", "<"]))
    number, more = _number(kind, rng)
    head = CODES[kind] + STATE
    if kind == "TD1":
        first = (head + number + more).ljust(width, "<")
        second = birth + digit(birth) + sex + expiry + digit(expiry) + STATE + "<" * 11
        whole = first[5:] + second[:7] + second[8:15] + second[18:29]
        return Document(kind, (first, second + digit(whole), names.ljust(width, "<")))
    first = (head + names).ljust(width, "<")
    second = number + STATE + birth + digit(birth) + sex + expiry + digit(expiry)
    if kind in ("MRVA", "MRVB"):
        return Document(kind, (first, second.ljust(width, "<")))
    if kind == "TD3":
        personal = _text(rng, 9).ljust(14, "<")
        second += personal + digit(personal)
    else:
        second += more.ljust(7, "<")
    return Document(kind, (first, second + digit(second[:10] + second[13:20] + second[21:])))


def _text(rng: np.random.Generator, count: int) -> str:
    return "".join(rng.choice(list(ALPHABET), count))


def _number(kind: str, rng: np.random.Generator) -> tuple[str, str]:
    """Return a number with its check digit's place, and what of it is in the optional data."""
    number = str(rng.choice(list(LETTERS))) + _text(rng, 8)
    if kind not in ("TD1", "TD2") or rng.random() >= LONG_NUMBER_PART:
        return number + digit(number), ""
    rest = _text(rng, 3)
    return number + "<", rest + digit(number + rest) + "<"


def forge(document: Document, rng: np.random.Generator) -> Document:
    """Return a document of which one digit of the date of birth was changed, and nothing else."""
    lines = list(document.lines)
    row, at = (1, 0) if document.kind == "TD1" else (1, 13)
    place = at + int(rng.integers(6))
    other = ALPHABET[(ALPHABET.index(lines[row][place]) + int(rng.integers(1, 10))) % 10]
    lines[row] = lines[row][:place] + other + lines[row][place + 1 :]
    return Document(document.kind, tuple(lines))


def parse(text: str, rng: np.random.Generator) -> Document:
    """Return the document that a line of text describes.

    Args:
        text: a kind, perhaps followed by `forged`; or the lines themselves with `|` between.
        rng: draws the rest.

    Raises:
        WorldError: it describes none.
    """
    if "|" in text:
        lines = tuple(text.upper().split("|"))
        if len(text) > TEXT_CHARACTERS_MAX or not text.isascii():
            raise WorldError(f"document: give lines of ASCII, {TEXT_CHARACTERS_MAX} characters")
        return Document("as given", lines)
    kind, _, how = text.strip().partition(" ")
    document = draw(kind.upper(), rng)
    if how.strip() not in ("", "forged"):
        raise WorldError(f"document '{text[:40]}': after the kind only 'forged' may follow")
    return forge(document, rng) if how else document
