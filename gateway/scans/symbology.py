"""AIM symbology identifiers: `]`, a letter for the kind of code, a modifier.

Reference: ISO/IEC 15424, as manuals of scanners list it.
"""

from typing import Final

_KINDS: Final = {
    "A": "Code 39",
    "B": "Telepen",
    "C": "Code 128",
    "D": "Code One",
    "E": "EAN/UPC",
    "F": "Codabar",
    "G": "Code 93",
    "H": "Code 11",
    "I": "Interleaved 2 of 5",
    "K": "Code 16K",
    "L": "PDF417",
    "M": "MSI",
    "N": "Anker",
    "O": "Codablock",
    "P": "Plessey",
    "Q": "QR",
    "R": "Straight 2 of 5",
    "S": "Straight 2 of 5",
    "T": "Code 49",
    "U": "MaxiCode",
    "X": "other",
    "Z": "no code",
    "d": "Data Matrix",
    "e": "GS1 DataBar",
    "z": "Aztec",
}
_SPECIAL: Final = {
    "]C1": "GS1-128",
    "]E4": "EAN-8",
    "]d2": "GS1 Data Matrix",
    "]Q3": "GS1 QR",
    "]J1": "GS1 DotCode",
}
# The content of these, and of no others, is element strings. Aztec's ]z1 says FNC1, too, but who
# prints it need not mean GS1.
GS1: Final = frozenset({"]C1", "]e0", "]d2", "]Q3", "]J1"})
GTIN: Final = frozenset({"]E0", "]E3", "]E4"})
ITF: Final = frozenset({"]I0", "]I1", "]I3"})


def name(identifier: str) -> str:
    """Return what kind of code an identifier means; of an unknown one, itself."""
    if identifier in _SPECIAL:
        return _SPECIAL[identifier]
    if len(identifier) == 3 and identifier[0] == "]" and identifier[1] in _KINDS:
        return _KINDS[identifier[1]]
    return identifier or "not told"
