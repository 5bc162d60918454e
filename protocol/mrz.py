"""Machine-readable zones of travel documents: kinds, fields, check digits. Pure.

Rules of the file
- A zone is its lines in one piece, without what separates them. Its length says what it is.
- Nothing is corrected: a digit that was read as a letter, or the reverse, is a zone to read again.
- What is said of a wrong zone are names of fields, never what stands in them.
- Check digits are mod 10: 6 and G, 1 and L, 0 and A are worth the same, and no digit guards the
  names. What reads as a right zone need not be what is printed.

Reference: ICAO Doc 9303, 8th edition: part 3 section 4.9 (check digits), parts 4 to 7.
"""

WIDTHS = {90: 30, 72: 36, 88: 44}  # of a line, by the length of the zone

_FILLER = 0x3C
_SEXES = b"MF<X"  # X is printed by some states for what Doc 9303 writes as a filler
_WEIGHTS = (7, 3, 1)
_VISA = 0x56  # first letter of a visa, MRV-A or MRV-B, whose lines are as long as those of others
_DATES = ("birth", "expiry")
_TD1 = (
    ("code", 0, 2),
    ("issuer", 2, 5),
    ("number", 5, 14),
    ("optional", 15, 30),
    ("birth", 30, 36),
    ("sex", 37, 38),
    ("expiry", 38, 44),
    ("nationality", 45, 48),
    ("optional2", 48, 59),
    ("names", 60, 90),
)


def kind_of(zone: bytes) -> str:
    """Return TD1, TD2, TD3, MRVA or MRVB; empty: no zone is so long."""
    width = WIDTHS.get(len(zone))
    if width is None:
        return ""
    if width == 30:
        return "TD1"
    if zone[0] == _VISA:
        return "MRVA" if width == 44 else "MRVB"
    return "TD3" if width == 44 else "TD2"


def fields(kind: str) -> tuple[tuple[str, int, int], ...]:
    """Return name, begin and end of each field; where one has a check digit, it follows at once."""
    if kind == "TD1":
        return _TD1
    at = 44 if kind in ("TD3", "MRVA") else 36
    end = 2 * at - {"TD3": 2, "TD2": 1}.get(kind, 0)
    return (
        ("code", 0, 2),
        ("issuer", 2, 5),
        ("names", 5, at),
        ("number", at, at + 9),
        ("nationality", at + 10, at + 13),
        ("birth", at + 13, at + 19),
        ("sex", at + 20, at + 21),
        ("expiry", at + 21, at + 27),
        ("optional", at + 28, end),
    )


def check_digit(text: bytes) -> int:
    """Return the check digit of characters out of A-Z, 0-9 and <, as the character's code."""
    total = 0
    for i in range(len(text)):
        code = text[i]
        value = 0 if code == _FILLER else code - 48 if code < 58 else code - 55
        total += value * _WEIGHTS[i % 3]
    return 48 + total % 10


def is_alphabet(zone: bytes) -> bool:
    """Say whether there are no characters but A-Z, 0-9 and <."""
    return all(_is_letter(code) or 48 <= code <= 57 for code in zone)


def number_of(kind: str, zone: bytes) -> tuple[bytes, int, bytes]:
    """Return the document's number, the code of its check digit, and the optional data.

    A number of more than nine characters goes on in the optional data of TD1 and TD2: its check
    digit's place has a filler, and the real one is the last character before the next filler.
    """
    at, optional = 5, zone[15:30]
    if kind != "TD1":
        at = 44 if kind in ("TD3", "MRVA") else 36
        _, begin, end = fields(kind)[-1]
        optional = zone[begin:end]
    number, digit = zone[at : at + 9], zone[at + 9]
    if digit == _FILLER and kind in ("TD1", "TD2"):
        rest = optional.split(b"<", 1)[0]
        if len(rest) > 1:
            return number + rest[:-1], rest[-1], optional[len(rest) + 1 :]
    return number.rstrip(b"<"), digit, optional


def wrong_fields(kind: str, zone: bytes) -> list[str]:
    """Return the names of fields that cannot be right, empty: every check digit is right.

    Args:
        kind: of the zone, see `kind_of`.
        zone: as read.

    Returns:
        Names out of `fields`; "composite" for the digit over all; "characters" alone where there
        are others than A-Z, 0-9 and <.
    """
    if not is_alphabet(zone):
        return ["characters"]
    found = []
    for name, begin, end in fields(kind):
        if not _is_right(kind, zone, name, begin, end):
            found.append(name)
    if not _is_composite_right(kind, zone):
        found.append("composite")
    return found


def _is_right(kind: str, zone: bytes, name: str, begin: int, end: int) -> bool:
    text = zone[begin:end]
    if name == "sex":
        return text in _SEXES
    if name in _DATES:  # a part that is not known is filled
        is_date = all(code == _FILLER or code < 58 for code in text)
        return is_date and zone[end] == check_digit(text)
    if name == "number":
        number, digit, _ = number_of(kind, zone)
        return digit == check_digit(number) and text[0] != _FILLER
    if name == "optional" and kind == "TD3":
        digit = zone[end]
        return digit == check_digit(text) or (digit == _FILLER and not text.strip(b"<"))
    if name in ("optional", "optional2"):
        return True
    # Code, issuer, nationality and names have no digits, in either sense.
    return text[0] != _FILLER and all(_is_letter(code) for code in text)


def _is_composite_right(kind: str, zone: bytes) -> bool:
    """Say whether the digit over all fields with digits is right; visas have none."""
    if kind == "TD1":
        return zone[59] == check_digit(zone[5:37] + zone[38:45] + zone[48:59])
    if kind not in ("TD2", "TD3"):
        return True
    at = len(zone) // 2
    text = zone[at : at + 10] + zone[at + 13 : at + 20] + zone[at + 21 : -1]
    return zone[-1] == check_digit(text)


def _is_letter(code: int) -> bool:
    return 65 <= code <= 90 or code == _FILLER
