"""Fields: the forms a value can have on the wire, and a message as a row of fields.

Rules of the file
- A field is `(name, form, low, high, optional)`: for integers `low..high` is the range, for text
  and byte strings the length in characters or bytes, for ranges the number of elements; `optional`
  says that nil is allowed.
- MicroPython keeps a field as one small number, which takes nothing from the heap: the place of its
  name in a list of names and of the rest in a list of bounds. `name_of` and `bounds_of` open both.
- Packing insists on the very bounds that unpacking insists on, so nothing leaves that a receiver
  refuses.
"""

import sys

from protocol.errors import LimitError, MalformedError, PackingError, ProtocolError
from protocol.limits import ID_BYTES, INTEGER_MAX, U16_MAX, U32_MAX
from protocol.packing import Packer, Unpacker

INTEGER, BOOLEAN, TEXT, BINARY, RANGES = range(5)

_BYTES = (bytes, bytearray, memoryview)  # made once: a tuple written at the call is made per call
_LISTS = (tuple, list)


_IS_SMALL = sys.implementation.name == "micropython"
_names: list[str] = []
_bounds: list[tuple[int, int, int, bool]] = []


def _field(
    name: str, form: int, low: int, high: int, optional: bool = False
) -> tuple[str, int, int, int, bool]:
    if not _IS_SMALL:
        return (name, form, low, high, optional)
    bounds = (form, low, high, optional)
    if name not in _names:
        _names.append(name)
    if bounds not in _bounds:
        _bounds.append(bounds)
    return _names.index(name) << 8 | _bounds.index(bounds)  # type: ignore[return-value]


def name_of(field: tuple[str, int, int, int, bool]) -> str:
    """Return the name of a field."""
    return _names[field >> 8] if _IS_SMALL else field[0]  # type: ignore[operator]


def bounds_of(field: tuple[str, int, int, int, bool]) -> tuple[int, int, int, bool]:
    """Return form, low, high and whether nil is allowed."""
    return _bounds[field & 0xFF] if _IS_SMALL else field[1:]  # type: ignore[operator]


def identity(name: str, optional: int = 0) -> tuple[str, int, int, int, bool]:
    """Describe an identity: ID_BYTES random bytes."""
    return _field(name, BINARY, ID_BYTES, ID_BYTES, bool(optional))


def unsigned(
    name: str, high: int = INTEGER_MAX, low: int = 0, optional: int = 0
) -> tuple[str, int, int, int, bool]:
    """Describe an integer of `low..high`."""
    return _field(name, INTEGER, low, high, bool(optional))


def signed(name: str) -> tuple[str, int, int, int, bool]:
    """Describe a measured quantity that can be negative or unknown."""
    return _field(name, INTEGER, -INTEGER_MAX, INTEGER_MAX, True)


def boolean(name: str, optional: int = 0) -> tuple[str, int, int, int, bool]:
    """Describe a truth value."""
    return _field(name, BOOLEAN, 0, 1, bool(optional))


def text(name: str, high: int) -> tuple[str, int, int, int, bool]:
    """Describe printable ASCII of at most `high` characters."""
    return _field(name, TEXT, 0, high)


def binary(name: str, low: int, high: int) -> tuple[str, int, int, int, bool]:
    """Describe a byte string of `low..high` bytes."""
    return _field(name, BINARY, low, high)


def ranges(name: str, high: int) -> tuple[str, int, int, int, bool]:
    """Describe at most `high` ranges of sequence numbers: first, last, first, last ..."""
    return _field(name, RANGES, 0, 2 * high)


def pack_field(packer: Packer, field: tuple[str, int, int, int, bool], value: object) -> None:
    """Write one field.

    Raises:
        PackingError: wrong type, out of range, or no room.
    """
    name = name_of(field)
    form, low, high, optional = bounds_of(field)
    if value is None and optional:
        packer.nil()
    elif form == INTEGER:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise PackingError(f"{name} is {value!r}; an integer in {low}..{high} is needed")
        packer.integer(value)
    elif form == BOOLEAN:
        if not isinstance(value, bool):
            raise PackingError(f"{name} is {value!r}; a truth value is needed")
        packer.boolean(value)
    elif form == TEXT:
        if not isinstance(value, str) or not low <= len(value) <= high:
            raise PackingError(f"{name} is {value!r}; text of at most {high} characters is needed")
        packer.text(value)
    elif form == BINARY:
        if not isinstance(value, _BYTES) or not low <= len(value) <= high:
            raise PackingError(f"{name} must be a byte string of {low}..{high} bytes")
        packer.binary(value)
    else:
        _pack_ranges(packer, field, value)


def _pack_ranges(packer: Packer, field: tuple[str, int, int, int, bool], value: object) -> None:
    name = name_of(field)
    _, low, high, _ = bounds_of(field)
    if not isinstance(value, _LISTS) or not low <= len(value) <= high:
        raise PackingError(f"{name} must be a list of {low}..{high} sequence numbers")
    packer.array(len(value))
    for element in value:
        if not isinstance(element, int) or element < 0:
            raise PackingError(f"{name} has {element!r} where a sequence number must stand")
        packer.integer(element)


def unpack_field(
    unpacker: Unpacker, field: tuple[str, int, int, int, bool]
) -> int | str | bytes | tuple[int, ...] | None:
    """Read one field.

    Raises:
        ProtocolError: the bytes are not of this form or not within its bounds.
    """
    form, low, high, optional = bounds_of(field)
    if optional and unpacker.is_nil():
        return None
    if form == INTEGER:
        return unpacker.integer(low, high)
    if form == BOOLEAN:
        return unpacker.boolean()
    if form == TEXT:
        return unpacker.text(high)
    if form == BINARY:
        return unpacker.binary(low, high)
    count = unpacker.array()
    if count > high:
        raise LimitError(f"list of {count} elements; at most {high}")
    return tuple([unpacker.integer(0, INTEGER_MAX) for _ in range(count)])


def _integer_bytes_max(low: int, high: int) -> int:
    if low >= 0:
        for limit, size in ((0x7F, 1), (0xFF, 2), (U16_MAX, 3), (U32_MAX, 5)):
            if high <= limit:
                return size
    return 9


def field_bytes_max(field: tuple[str, int, int, int, bool]) -> int:
    """Return how many bytes a field can take at most, its own header included."""
    form, low, high, _ = bounds_of(field)
    if form == INTEGER:
        return _integer_bytes_max(low, high)
    if form == BOOLEAN:
        return 1
    if form == TEXT:
        return high + (1 if high < 32 else 2)
    if form == BINARY:
        return high + (2 if high <= 0xFF else 3)
    return 3 + high * _integer_bytes_max(0, INTEGER_MAX)


class Message:
    """One message; the attributes are the names in `FIELDS`.

    Args:
        values: the fields in order; trailing fields with a default may be left out.

    Raises:
        PackingError: wrong number of values.
    """

    KIND: int = 0
    CHANNEL: str = ""
    FIELDS: tuple[tuple[str, int, int, int, bool], ...] = ()
    DEFAULTS: tuple[object, ...] = ()  # of the last fields

    def __init__(self, *values: object) -> None:
        missing = len(self.FIELDS) - len(values)
        if not 0 <= missing <= len(self.DEFAULTS):
            raise PackingError(
                f"{self.__class__.__name__} has {len(self.FIELDS)} fields, {len(values)} given"
            )
        if missing:
            values = values + self.DEFAULTS[len(self.DEFAULTS) - missing :]
        for i in range(len(values)):
            setattr(self, name_of(self.FIELDS[i]), values[i])

    def values(self) -> list[object]:
        """Return the fields in order, without the kind."""
        return [getattr(self, name_of(field)) for field in self.FIELDS]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Message)
            and self.KIND == other.KIND
            and self.values() == other.values()
        )

    def __hash__(self) -> int:
        return hash((self.KIND, self.pack()))

    def __repr__(self) -> str:
        fields = [
            f"{name_of(field)}={_shown(getattr(self, name_of(field)))}" for field in self.FIELDS
        ]
        return f"{self.__class__.__name__}({', '.join(fields)})"

    def check(self) -> None:
        """Insist on rules that one field alone cannot state.

        Raises:
            LimitError: fields that contradict each other.
        """

    def pack_with(self, packer: Packer) -> int:
        """Write the frame where `packer` stands and return the index after its last byte.

        Raises:
            PackingError: a value of wrong type or range, or no room; the buffer is then undefined.
        """
        self._pack_first(packer, len(self.FIELDS))
        try:
            self.check()
        except LimitError as error:
            raise PackingError(str(error))
        return packer.end

    def _pack_first(self, packer: Packer, count: int) -> None:
        packer.array(len(self.FIELDS) + 1)
        packer.integer(self.KIND)
        for i in range(count):
            field = self.FIELDS[i]
            pack_field(packer, field, getattr(self, name_of(field)))

    def pack_into(self, buffer: bytearray, offset: int = 0) -> int:
        """Write the frame into `buffer` from `offset` on; return the index after its last byte.

        Raises:
            PackingError: as `pack_with`.
        """
        return self.pack_with(Packer(buffer, offset))

    def pack(self) -> bytes:
        """Return the frame as new bytes (the node's steady path uses `pack_with`)."""
        buffer = bytearray(frame_bytes_max(self.__class__))
        return bytes(buffer[: self.pack_into(buffer)])


def frame_bytes_max(kind: type[Message]) -> int:
    """Return how many bytes a frame of this kind can take at most."""
    size = 2 if len(kind.FIELDS) < 15 else 4  # the array's header and the kind
    for field in kind.FIELDS:
        size += field_bytes_max(field)
    return size


def unpack_values(unpacker: Unpacker, kind: type[Message], given: int) -> list[object]:
    """Read the `given` values of a message: those this version knows, passing over the others.

    Raises:
        ProtocolError: names the field; too few fields, or bytes after the last one.
    """
    if given < len(kind.FIELDS) - len(kind.DEFAULTS):
        raise MalformedError(f"{kind.__name__} with {given} of its {len(kind.FIELDS)} fields")
    values: list[object] = []
    name = ""
    try:
        for i in range(min(given, len(kind.FIELDS))):
            name = name_of(kind.FIELDS[i])
            values.append(unpack_field(unpacker, kind.FIELDS[i]))
        name = "an appended field"
        for _ in range(given - len(kind.FIELDS)):
            unpacker.skip()
    except ProtocolError as error:
        raise error.__class__(f"{kind.__name__}.{name}: {error}")
    unpacker.finish()
    return values


def _shown(value: object) -> str:
    """Return a value as `repr` does; of long bytes only how many: it may be a document."""
    if isinstance(value, bytes) and len(value) > ID_BYTES:
        return f"<{len(value)} bytes>"
    return repr(value)
