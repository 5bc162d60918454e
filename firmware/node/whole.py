"""Whether a JSON text is whole. Pure; needed once, for node.json."""


def is_whole(text: bytes) -> bool:
    """Say whether every brace is closed: MicroPython's json takes a file that was cut off."""
    depth, quoted, escaped = 0, False, False
    for code in text:
        if quoted:
            quoted = escaped or code != 0x22
            escaped = not escaped and code == 0x5C
        elif code == 0x22:
            quoted = True
        elif code == 0x7B:
            depth += 1
        elif code == 0x7D:
            depth -= 1
    return not depth and not quoted
