"""What a scanner's line comes to: a code, or the fault for which there is none."""

TOO_LONG, CONTROL, BROKEN, CUT, NO_AIM, NO_PREFIX, DIGITS, LINES = range(1, 9)


class Code:
    """One code, or the `fault` for which there is none, with the `number` that it is about.

    Attributes:
        symbology: AIM identifier, empty when the scanner sends none.
        content: the bytes of the code.
    """

    def __init__(self, fault: int, number: int, symbology: str = "", content: bytes = b"") -> None:
        self.fault = fault
        self.number = number
        self.symbology = symbology
        self.content = content


def is_ean(content: bytes, count: int) -> bool:
    """Say whether `content` is `count` digits, the last of which agrees with the others."""
    if len(content) != count or not content.isdigit():
        return False
    weighed = [(content[-1 - at] - 0x30) * (3 if at % 2 else 1) for at in range(count)]
    return sum(weighed) % 10 == 0
