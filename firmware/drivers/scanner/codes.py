"""What a scanner's line comes to: a code, or the fault for which there is none."""

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Bytes

TOO_LONG, CONTROL, BROKEN, CUT, NO_AIM, NO_PREFIX, DIGITS, LINES, ENDING = range(1, 10)
AIM_BYTES = 3
_BRACKET = 0x5D


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


def is_aim(line: "Bytes", at: int, stop: int) -> bool:
    """Say whether an AIM identifier stands there, before `stop`."""
    if at + AIM_BYTES > stop or line[at] != _BRACKET:
        return False
    letter, more = line[at + 1] | 0x20, line[at + 2]
    return 0x61 <= letter <= 0x7A and (0x30 <= more <= 0x39 or 0x61 <= more | 0x20 <= 0x7A)


def find_aim(line: bytearray, begin: int, stop: int) -> int:
    """Return where the next AIM identifier of a line stands, or the line's end."""
    at = line.find(b"]", begin, stop)
    while at >= 0 and not is_aim(line, at, stop):
        at = line.find(b"]", at + 1, stop)
    return at if at >= 0 else stop
