"""Lines of a barcode scanner: bytes in, codes out. No port, no clock.

Rules of the file
- A code is given whole or refused with a reason, never cut. What is refused is not kept.
- Where no suffix is set, CR LF, CR, LF and Tab end a code; where one is set only that does, and CR,
  LF and Tab are content (2D codes hold lines). Before a prefix or an AIM identifier they are none:
  scanners add them behind the suffix. GS, RS and EOT are content always; another control byte
  spoils the line. Bytes from 0x80 on are content as they are.
- The prefix may hold what a code ends with: no line ends within it.
- A scanner either sends a suffix or does not: what it did once it is held to, until `reset`.
  Whether it sends AIM identifiers is a setting, never guessed: a label may begin like one.
- A line is not yet a whole code: bursts.py says.
- Where a symbology cannot hold a `]`, one that begins an AIM identifier begins another code.
- Fed whole or byte by byte, the same bytes give the same codes.

References: AIM identifiers ISO/IEC 15424; check digit of EAN, GS1 General Specifications 7.9.
"""

from drivers.scanner import codes

if False:  # for the type checker: nothing of it is compiled
    from drivers.scanner.codes import Code
    from node.typed import Bytes

_SEPARATORS = b"\x1d\x1e\x04"  # GS, RS, EOT
_ENDS = b"\r\n\t"
# Digits, or GS1's invariant set 82: no `]` among them.
_NO_BRACKETS = b"]E0 ]E3 ]E4 ]e0 ]C1 ]d2 ]Q3 ]J1 ]I0 ]I1 ]I3 ]F0"
_EAN_DIGITS = {b"]E0": 13, b"]E4": 8}  # a scanner tests their check digit itself before it sends


class Parser:
    """Cuts a stream of bytes into codes.

    Args:
        content_max: longest content of a code, bytes.
        chunk_bytes: longest piece given to `feed` at once, bytes.
        prefix, suffix: what the scanner sends before and after a code; empty: see above.
        has_aim: every code has an AIM identifier; False: none has.
    Attributes:
        ends: whether the scanner sends a suffix; None: it has not sent a code yet.
        dropped_bytes: bytes that belonged to no code.
        refused_count: codes that were refused.
    """

    def __init__(
        self,
        content_max: int,
        chunk_bytes: int,
        prefix: bytes = b"",
        suffix: bytes = b"",
        has_aim: bool = False,
    ) -> None:
        self.content_max = content_max
        self._prefix, self._suffix = prefix, suffix
        self._kept = _SEPARATORS + prefix + suffix + (_ENDS if suffix else b"")
        self._first = prefix[0] if prefix else -1
        self._restart = self._first if self._first < 0x20 else -1
        self._last = suffix[-1] if suffix else -1
        self._has_aim = has_aim
        is_free = not suffix or prefix or has_aim
        self._between = bytes([code for code in _ENDS if is_free and code != self._first])
        self._line_max = len(prefix) + codes.AIM_BYTES + content_max + len(suffix)
        self._buffer = bytearray(self._line_max + chunk_bytes)
        self._view = memoryview(self._buffer)
        self.dropped_bytes = 0
        self.refused_count = 0
        self.reset()

    @property
    def pending_bytes(self) -> int:
        """Bytes of a line that has begun and not ended."""
        return self._end - self._start + self._passed_bytes

    def reset(self) -> None:
        """Forget what is held, and what was learnt of the scanner: the port was opened."""
        self._start = self._end = 0
        self._seen = 0  # looked at up to here
        self._stop = self._resume = -1  # of a line that is being cut: its end, and the next line
        self._passed_bytes = 0  # of a line that is too long
        self._spoilt = -1  # control byte in the line
        self.ends: bool | None = True if self._suffix else None

    def feed(self, piece: "Bytes", count: int) -> None:
        """Take the first `count` bytes of `piece`; call `next` until None before feeding again.

        Raises:
            ValueError: more than `chunk_bytes`, or codes were not taken out.
        """
        if self._start:
            held = self._end - self._start
            self._view[:held] = self._view[self._start : self._end]
            self._seen -= self._start
            self._start, self._end = 0, held
        if self._end + count > len(self._buffer):
            raise ValueError("%d bytes do not fit" % count)
        self._view[self._end : self._end + count] = memoryview(piece)[:count]
        self._end += count

    def next(self) -> "Code | None":
        """Return the next code, or None when more bytes are needed."""
        if self._stop >= 0 or self._find_end():
            return self._cut()
        if self._end - self._start > self._line_max:
            self._pass_over()
        return None

    def end(self) -> "Code | None":
        """Return what a line comes to that nothing followed for long; call it after `next`."""
        if not self.pending_bytes:
            return None
        if self.ends:
            is_ended = self._suffix and self._buffer[self._end - 1] in _ENDS
            return self._refuse(codes.ENDING if is_ended else codes.BROKEN, self.pending_bytes)
        self.ends = False
        self._stop = self._resume = self._end
        return self._cut()

    def may_begin(self) -> bool:
        """Say whether the line that has begun may be a code's: without a sign of one it may not."""
        head = self._prefix + b"]"[: self._has_aim]
        begun = bytes(self._view[self._start : min(self._end, self._start + len(head))])
        return begun != b"" and head.startswith(begun) and not self._passed_bytes

    def forget(self) -> None:
        """Let go of a line that has begun, and of what lines before it told of suffixes."""
        if self.pending_bytes:
            self._refuse(codes.BROKEN, 0)
        if not self._suffix:
            self.ends = None

    def _find_end(self) -> bool:
        """Look for the end of the line in what has not been looked at."""
        buffer, suffix, last, kept = self._buffer, self._suffix, self._last, self._kept
        for at in range(self._seen, self._end):
            code = buffer[at]
            is_text = code >= 0x20 and code != 0x7F
            if is_text and code != last:
                continue
            if at == self._start and code in self._between and not self._passed_bytes:
                self._start = at + 1
                continue
            stop = max(at + 1 - len(suffix), self._start)
            if code == last and buffer[stop : at + 1] == suffix:
                if self._is_in_prefix(stop, at + 1):
                    continue
            elif not suffix and code in _ENDS:
                stop = at
            else:
                if code == self._restart and not self._is_in_prefix(at, at + 1):
                    # What stands before it has lost its end.
                    self.refused_count += at > self._start
                    self._drop(at - self._start)
                elif not is_text and code not in kept and self._spoilt < 0:
                    self._spoilt = code
                continue
            if stop > self._start or self._passed_bytes:
                self._stop, self._resume = stop, at + 1
                return True
            self._start = at + 1  # nothing before it
        self._seen = self._end
        return False

    def _is_in_prefix(self, at: int, end: int) -> bool:
        """Say whether the line up to `end` began as the prefix does, and `at` lies in that."""
        start = self._start
        begun = min(end - start, len(self._prefix))
        if at - start >= begun or self._passed_bytes:
            return False
        return self._buffer[start : start + begun] == self._prefix[:begun]

    def _drop(self, count: int) -> None:
        """Let go of `count` bytes at the beginning of the line."""
        self.dropped_bytes += count + self._passed_bytes
        self._start += count
        self._passed_bytes, self._spoilt = 0, -1

    def _pass_over(self) -> None:
        """Let go of a line that is too long already, but for what its suffix may begin in."""
        kept = len(self._suffix)
        self._passed_bytes += self._end - kept - self._start
        self._start = self._end - kept

    def _leave(self) -> None:
        """Go on behind the line that was cut."""
        self._start = self._seen = self._resume
        self._stop = self._resume = -1
        self._spoilt = -1

    def _cut(self) -> "Code":
        """Return the first code of the line that ended; what is left of it comes next."""
        if self._resume > self._stop:
            self.ends = True
        line_bytes = self._passed_bytes + self._stop - self._start
        if line_bytes > self._line_max - len(self._suffix):
            return self._refuse(codes.TOO_LONG, line_bytes)
        if self._spoilt >= 0:
            return self._refuse(codes.CONTROL, self._spoilt)
        if self._prefix:
            at = self._buffer.find(self._prefix, self._start, self._stop)
            if at < 0:
                return self._refuse(codes.NO_PREFIX, line_bytes)
            self._drop(at - self._start)
            self._start += len(self._prefix)
        begin = self._start
        if self._has_aim:
            if not codes.is_aim(self._buffer, begin, self._stop):
                return self._refuse(codes.NO_AIM, line_bytes)
            begin += codes.AIM_BYTES
        if begin == self._stop:
            return self._refuse(codes.BROKEN, line_bytes)
        return self._piece(bytes(self._view[self._start : begin]), begin)

    def _piece(self, symbology: bytes, begin: int) -> "Code":
        """Return the code whose content begins there; others may follow it in the same line."""
        after = self._stop
        if symbology and symbology in _NO_BRACKETS:
            after = codes.find_aim(self._buffer, begin, after)
        if after - begin > self.content_max:
            return self._refuse(codes.TOO_LONG, after - begin)
        content = bytes(self._view[begin:after])
        count = _EAN_DIGITS.get(symbology, 0)
        is_sure = count > 0 and codes.is_ean(content, count)
        if after == self._stop:
            if count and not is_sure:
                return self._refuse(codes.DIGITS, count)
            self._leave()
        elif self._prefix:
            return self._refuse(codes.CUT, after - begin)  # the other's prefix is in it
        else:
            self._start = after
            if not is_sure and (self.ends or count):
                self.refused_count += 1
                self.dropped_bytes += codes.AIM_BYTES + after - begin
                return codes.Code(codes.CUT, after - begin)
        return codes.Code(0, 0, symbology.decode(), content)

    def _refuse(self, fault: int, number: int) -> "Code":
        """Let go of the line and return why."""
        stop = self._stop if self._stop >= 0 else self._end
        self.refused_count += 1
        self._drop(stop - self._start)
        if self._stop < 0:
            self._resume = self._end
        self._leave()
        return codes.Code(fault, number)
