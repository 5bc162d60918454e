"""The end of the log, kept for whoever asks from afar (SPEC 8.9).

A fixed buffer: the oldest bytes make room. Lines carry the uptime in seconds.
"""

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Log, TicksMs


class LogRing:
    """Stands before the board's log and remembers its newest lines.

    Args:
        log: function of one line, which shows it.
        uptime_ms: function, milliseconds since the start.
        size: bytes kept.
    """

    def __init__(self, log: "Log", uptime_ms: "TicksMs", size: int) -> None:
        self._log = log
        self._uptime_ms = uptime_ms
        self._buffer = bytearray(size)
        self._count = 0  # bytes ever written

    def write(self, line: str) -> None:
        """Show a line and remember it."""
        self._log(line)
        uptime_ms = self._uptime_ms()
        kept = ("%d.%d %s\n" % (uptime_ms // 1000, uptime_ms % 1000 // 100, line)).encode()
        size = len(self._buffer)
        if len(kept) > size:
            kept = _whole(kept[-size:])  # of a line longer than the ring its end
        at = self._count % size
        first = min(size - at, len(kept))
        self._buffer[at : at + first] = kept[:first]
        self._buffer[: len(kept) - first] = kept[first:]
        self._count += len(kept)

    def tail(self) -> bytes:
        """Return the newest lines, oldest first; a line that has lost its beginning is left out."""
        size = len(self._buffer)
        if self._count <= size:
            return bytes(self._buffer[: self._count])
        at = self._count % size
        text = bytes(self._buffer[at:]) + bytes(self._buffer[:at])
        begin = text.find(b"\n") + 1
        if begin < len(text):
            return text[begin:]
        return _whole(text)  # one line fills it all: its end is better than nothing


def _whole(text: bytes) -> bytes:
    """Return UTF-8 without what is left of a cut character at its beginning."""
    begin = 0
    while begin < len(text) and text[begin] & 0xC0 == 0x80:
        begin += 1
    return text[begin:]
