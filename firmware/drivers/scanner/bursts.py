"""Codes out of lines: a code counts as whole only when nothing that belongs to it comes behind it.

Rules of the file
- 2D codes hold lines of their own, which look like the ends of codes. So each code is held until
  the next one begins, or until nothing came for a pause. What comes behind it at once and does not
  begin like a code is the rest of it: both are refused, and neither is a code by itself.
- Kinds of code that hold digits and a few signs only have no lines: those are given at once.
- Without prefix and AIM identifiers nothing says where a code begins. Lines of one burst are then
  taken for one code, unless they are the same again.
"""

from drivers.scanner.codes import CONTROL, LINES, NO_AIM, NO_PREFIX, TOO_LONG, Code

if False:  # for the type checker: nothing of it is compiled
    from drivers.scanner.frames import Parser

_NO_LINES = ("]E", "]I", "]F")  # EAN and UPC, Interleaved 2 of 5, Codabar
_RESTS = (TOO_LONG, CONTROL, NO_AIM, NO_PREFIX)  # of such lines it is not known that a code began


class Codes:
    """The whole codes of a parser's lines.

    Args:
        parser: cuts what comes into lines.
        has_starts: prefix or AIM identifiers say where a code begins.
    """

    def __init__(self, parser: "Parser", has_starts: bool) -> None:
        self._parser = parser
        self._has_starts = has_starts
        self.reset()

    def reset(self) -> None:
        """Forget everything: the port was opened."""
        self._held: Code | None = None  # may not be whole yet
        self._refused_count = 0  # the parser's when it was held
        self._ready: Code | None = None  # comes next
        self._is_torn = False  # a code with lines was refused; the rest of it may still come

    @property
    def is_quick(self) -> bool:
        """Whether a short pause tells something."""
        return self._held is not None or self._is_torn or self._parser.ends is False

    @property
    def is_open(self) -> bool:
        """Whether a pause tells anything."""
        return self._held is not None or self._is_torn or self._parser.pending_bytes > 0

    def next(self) -> "Code | None":
        """Return the next code, or None when more bytes, or a pause, are needed."""
        while True:
            code = self._ready or self._parser.next()
            self._ready = None
            if code is None:
                return None
            held, self._held = self._held, None
            is_rest = self._is_rest(code, held)
            if held is not None:
                if is_rest:
                    self._is_torn = True
                    return self._refuse(held)
                self._ready = code
                # What the parser has passed over since then was no code, so it was of this one.
                lost = self._parser.refused_count - self._refused_count - (code.fault != 0)
                return self._refuse(held) if lost else held
            if is_rest and self._is_torn:
                self._parser.refused_count += not code.fault
                continue
            self._is_torn = code.fault != 0 and not self._has_starts
            if code.fault or code.symbology[:2] in _NO_LINES:
                return code
            self._held, self._refused_count = code, self._parser.refused_count

    def end(self) -> "Code | None":
        """Return what is held when nothing came for a pause; call it after `next`."""
        held, self._held = self._held, None
        if held is not None:
            pending = self._parser.pending_bytes
            self._is_torn = pending > 0 and not self._parser.may_begin()
            lost = self._parser.refused_count != self._refused_count
            return self._refuse(held) if lost or self._is_torn else held
        if self._is_torn:
            self._is_torn = False
            self._parser.forget()
            return None
        return self._parser.end()

    def _is_rest(self, code: Code, held: "Code | None") -> bool:
        """Say whether a line is the rest of a code: of the one held, or of one that was refused."""
        if self._has_starts:
            return code.fault in _RESTS
        return self._is_torn or (held is not None and code.content != held.content)

    def _refuse(self, held: Code) -> Code:
        self._parser.refused_count += 1
        return Code(LINES, len(held.content))
