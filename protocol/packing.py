"""Canonical msgpack subset: packing into a caller's buffer, bounded unpacking.

Rules of the file
- nil, bool, integers of at most 53 bits, printable ASCII, byte strings and arrays; nothing else.
- Every value has exactly one encoding, the shortest; the decoder refuses the others, so equal
  messages are equal bytes (SPEC.md 2.2).
- The encoder never grows a buffer; the decoder reads a size only after checking it against what is
  left and against the caller's bound, so no input makes it allocate more than the input's own size.
- MicroPython 1.25 runs this file unchanged.

Reference: the MessagePack specification, github.com/msgpack/msgpack/blob/master/spec.md.
"""

from protocol import limits
from protocol.errors import LimitError, MalformedError, PackingError

SHORT_BYTES = 16  # up to here copying byte by byte needs no slice object: identities cost no heap
_PLAIN = (bytes, bytearray)  # their elements are bytes for certain; a memoryview's may be longer


class Packer:
    """Writes values one after another into `buffer`, from `offset` on.

    A node keeps one packer for its one frame buffer and rewinds it: packing then takes nothing from
    the heap.

    Args:
        buffer: a bytearray of fixed size; it is never resized.
        offset: index of the first byte to write.

    Attributes:
        end: index after the last byte written.
    """

    def __init__(self, buffer: bytearray, offset: int = 0) -> None:
        self.buffer = buffer
        self.end = offset

    def rewind(self, offset: int = 0) -> None:
        """Begin a new message at `offset`."""
        self.end = offset

    def _claim(self, count: int) -> int:
        start = self.end
        if start + count > len(self.buffer):
            raise PackingError(
                f"message needs {start + count} bytes or more, its buffer has {len(self.buffer)}"
            )
        self.end = start + count
        return start

    def _number(self, lead: int, value: int, size: int) -> None:
        at = self._claim(size + 1)
        self.buffer[at] = lead
        while size:
            self.buffer[at + size] = value & 0xFF
            value >>= 8
            size -= 1

    def array(self, count: int) -> None:
        """Open an array of `count` elements (0..ARRAY_ELEMENTS_MAX); the elements follow."""
        if count > limits.ARRAY_ELEMENTS_MAX:
            raise PackingError(f"array of {count} elements; at most {limits.ARRAY_ELEMENTS_MAX}")
        if count < 16:
            self.buffer[self._claim(1)] = 0x90 | count
        else:
            self._number(0xDC, count, 2)

    def nil(self) -> None:
        """Write nil: a field that is not known."""
        self.buffer[self._claim(1)] = 0xC0

    def boolean(self, value: bool) -> None:
        """Write a truth value."""
        self.buffer[self._claim(1)] = 0xC3 if value else 0xC2

    def integer(self, value: int) -> None:
        """Write an integer, |value| <= INTEGER_MAX, in its shortest form."""
        if not -limits.INTEGER_MAX <= value <= limits.INTEGER_MAX:
            raise PackingError(f"integer {value} needs more than 53 bits")
        if -32 <= value < 0x80:
            self.buffer[self._claim(1)] = value & 0xFF
            return
        lead = 0xCC if value >= 0 else 0xD0
        reach = value if value >= 0 else ~value << 1  # a signed form needs one bit for the sign
        size = 1
        while reach >> (size * 8):
            size *= 2
            lead += 1
        self._number(lead, value, size)

    def text(self, value: str) -> None:
        """Write printable ASCII, at most 255 characters."""
        size = len(value)
        if size < 32:
            at = self._claim(size + 1) + 1
            self.buffer[at - 1] = 0xA0 | size
        elif size <= 0xFF:
            at = self._claim(size + 2) + 2
            self.buffer[at - 2] = 0xD9
            self.buffer[at - 1] = size
        else:
            raise PackingError(f"text of {size} characters; at most 255")
        for character in value:
            code = ord(character)
            if not 0x20 <= code <= 0x7E:
                raise PackingError(f"text {value!r} has a character outside printable ASCII")
            self.buffer[at] = code
            at += 1

    def reserve_binary(self, size: int) -> int:
        """Write the header of a byte string of `size` bytes and return where its bytes go.

        The caller fills `buffer[start:start + size]` itself: pixels travel from the driver into the
        frame without a second buffer.
        """
        if size <= 0xFF:
            self._number(0xC4, size, 1)
        elif size <= 0xFFFF:
            self._number(0xC5, size, 2)
        else:
            raise PackingError(f"byte string of {size} bytes; at most 65535")
        return self._claim(size)

    def binary(self, value: bytes | bytearray | memoryview) -> None:
        """Write a byte string, at most 65535 bytes; a memoryview must be one of bytes."""
        size = len(value)
        at = self.reserve_binary(size)
        if size <= SHORT_BYTES and isinstance(value, _PLAIN):
            for i in range(size):
                self.buffer[at + i] = value[i]
            return
        try:
            # Through a view, because a view of u16 would make the bytearray itself longer.
            memoryview(self.buffer)[at : at + size] = value
        except ValueError:
            raise PackingError("a memoryview of bytes is needed, not of longer elements")


class Unpacker:
    """Reads values one after another; every read states what is allowed.

    Args:
        frame: the whole message.

    Attributes:
        at: index of the next byte to read.
    """

    def __init__(self, frame: bytes | bytearray | memoryview) -> None:
        self.frame = frame
        self.at = 0

    def _take(self, count: int) -> int:
        start = self.at
        if start + count > len(self.frame):
            raise MalformedError(f"message ends at byte {len(self.frame)} inside a value")
        self.at = start + count
        return start

    def _unsigned(self, size: int) -> int:
        at = self._take(size)
        value = 0
        while size:
            value = value << 8 | self.frame[at]
            at += 1
            size -= 1
        return value

    def array(self) -> int:
        """Return the element count of the array that begins here (0..ARRAY_ELEMENTS_MAX)."""
        lead = self.frame[self._take(1)]
        if lead & 0xF0 == 0x90:
            return lead & 0x0F
        if lead != 0xDC:
            raise MalformedError(f"byte 0x{lead:02x} where an array must begin")
        count = self._unsigned(2)
        if count < 16:
            raise MalformedError(f"array of {count} elements is not in its shortest form")
        if count > limits.ARRAY_ELEMENTS_MAX:
            raise LimitError(f"array of {count} elements; at most {limits.ARRAY_ELEMENTS_MAX}")
        return count

    def is_nil(self) -> bool:
        """Consume a nil if one is next; say whether it was."""
        if self.at < len(self.frame) and self.frame[self.at] == 0xC0:
            self.at += 1
            return True
        return False

    def boolean(self) -> bool:
        """Read a truth value."""
        lead = self.frame[self._take(1)]
        if lead == 0xC2:
            return False
        if lead == 0xC3:
            return True
        raise MalformedError(f"byte 0x{lead:02x} where a truth value must stand")

    def integer(self, low: int, high: int) -> int:
        """Read an integer within `low..high`, in its shortest form."""
        lead = self.frame[self._take(1)]
        if lead < 0x80:
            value = lead
        elif lead >= 0xE0:
            value = lead - 0x100
        elif 0xCC <= lead <= 0xCF:
            size = 1 << (lead - 0xCC)
            value = self._unsigned(size)
            floor = 0x80 if size == 1 else 1 << (size * 4)
            if value < floor:
                raise MalformedError(f"integer {value} is not in its shortest form")
        elif 0xD0 <= lead <= 0xD3:
            size = 1 << (lead - 0xD0)
            value = self._unsigned(size)
            half = 1 << (size * 8 - 1)
            value -= (value & half) << 1
            floor = -32 if size == 1 else -(1 << (size * 4 - 1))
            if value >= floor:
                raise MalformedError(f"integer {value} is not in its shortest form")
        else:
            raise MalformedError(f"byte 0x{lead:02x} where an integer must stand")
        if not low <= value <= high:
            raise LimitError(f"integer {value} outside {low}..{high}")
        return value

    def text(self, size_max: int) -> str:
        """Read printable ASCII of at most `size_max` characters."""
        lead = self.frame[self._take(1)]
        if lead & 0xE0 == 0xA0:
            size = lead & 0x1F
        elif lead == 0xD9:
            size = self._unsigned(1)
            if size < 32:
                raise MalformedError(f"text of {size} characters is not in its shortest form")
        else:
            raise MalformedError(f"byte 0x{lead:02x} where text must stand")
        if size > size_max:
            raise LimitError(f"text of {size} characters; at most {size_max}")
        at = self._take(size)
        value = bytes(self.frame[at : at + size])
        for code in value:
            if not 0x20 <= code <= 0x7E:
                raise MalformedError(f"text has byte 0x{code:02x} outside printable ASCII")
        return value.decode()

    def binary(self, size_min: int, size_max: int) -> bytes:
        """Read a byte string of `size_min..size_max` bytes."""
        lead = self.frame[self._take(1)]
        if lead == 0xC4:
            size = self._unsigned(1)
        elif lead == 0xC5:
            size = self._unsigned(2)
            if size <= 0xFF:
                raise MalformedError(f"byte string of {size} bytes is not in its shortest form")
        else:
            raise MalformedError(f"byte 0x{lead:02x} where a byte string must stand")
        if not size_min <= size <= size_max:
            raise LimitError(f"byte string of {size} bytes outside {size_min}..{size_max}")
        at = self._take(size)
        return bytes(self.frame[at : at + size])

    def skip(self, depth: int = limits.DEPTH_MAX - 1) -> None:
        """Pass over one value of the subset: a field appended by a newer sender.

        Args:
            depth: levels of arrays still allowed; the message itself is one of DEPTH_MAX.
        """
        if self.at >= len(self.frame):
            raise MalformedError(f"message ends at byte {len(self.frame)} inside a value")
        lead = self.frame[self.at]
        if lead & 0xF0 == 0x90 or lead == 0xDC:
            if not depth:
                raise LimitError(f"arrays nested deeper than {limits.DEPTH_MAX}")
            for _ in range(self.array()):
                self.skip(depth - 1)
        elif lead in (0xC2, 0xC3):
            self.boolean()
        elif lead & 0xE0 == 0xA0 or lead == 0xD9:
            self.text(0xFF)
        elif lead in (0xC4, 0xC5):
            self.binary(0, 0xFFFF)
        elif not self.is_nil():
            self.integer(-limits.INTEGER_MAX, limits.INTEGER_MAX)

    def finish(self) -> None:
        """Insist that nothing follows."""
        if self.at != len(self.frame):
            raise MalformedError(f"{len(self.frame) - self.at} bytes follow the end of the message")
