"""Fields: the forms a value can have on the wire, and how one field is packed and unpacked.

Rules of the file
- A field is `(name, form, low, high, optional)`: for integers `low..high` is the range, for text and
  byte strings the length in characters or bytes, for ranges the number of elements; `optional` says
  that nil is allowed.
- Packing insists on the very bounds that unpacking insists on, so nothing leaves that a receiver
  refuses.
"""

from protocol.errors import LimitError, PackingError
from protocol.limits import ID_BYTES, INTEGER_MAX, U16_MAX, U32_MAX
from protocol.packing import Packer, Unpacker

INTEGER, BOOLEAN, TEXT, BINARY, RANGES = range(5)

_BYTES = (bytes, bytearray, memoryview)  # made once: a tuple written at the call is made per call
_LISTS = (tuple, list)


def identity(name: str, optional: int = 0) -> tuple[str, int, int, int, bool]:
    """Describe an identity: ID_BYTES random bytes."""
    return (name, BINARY, ID_BYTES, ID_BYTES, bool(optional))


def unsigned(
    name: str, high: int = INTEGER_MAX, low: int = 0, optional: int = 0
) -> tuple[str, int, int, int, bool]:
    """Describe an integer of `low..high`."""
    return (name, INTEGER, low, high, bool(optional))


def signed(name: str) -> tuple[str, int, int, int, bool]:
    """Describe a measured quantity that can be negative or unknown."""
    return (name, INTEGER, -INTEGER_MAX, INTEGER_MAX, True)


def boolean(name: str, optional: int = 0) -> tuple[str, int, int, int, bool]:
    """Describe a truth value."""
    return (name, BOOLEAN, 0, 1, bool(optional))


def text(name: str, high: int) -> tuple[str, int, int, int, bool]:
    """Describe printable ASCII of at most `high` characters."""
    return (name, TEXT, 0, high, False)


def binary(name: str, low: int, high: int) -> tuple[str, int, int, int, bool]:
    """Describe a byte string of `low..high` bytes."""
    return (name, BINARY, low, high, False)


def pack_field(packer: Packer, field: tuple[str, int, int, int, bool], value: object) -> None:
    """Write one field.

    Raises:
        PackingError: wrong type, out of range, or no room.
    """
    name, form, low, high, optional = field
    if value is None:
        if not optional:
            raise PackingError(f"{name} is missing")
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
    name, _, low, high, _ = field
    if not isinstance(value, _LISTS) or not low <= len(value) <= high:
        raise PackingError(f"{name} must be a list of {low}..{high} sequence numbers")
    packer.array(len(value))
    for element in value:
        if not isinstance(element, int) or isinstance(element, bool) or element < 0:
            raise PackingError(f"{name} has {element!r} where a sequence number must stand")
        packer.integer(element)


def unpack_field(
    unpacker: Unpacker, field: tuple[str, int, int, int, bool]
) -> int | str | bytes | tuple[int, ...] | None:
    """Read one field.

    Raises:
        ProtocolError: the bytes are not of this form or not within its bounds.
    """
    _, form, low, high, optional = field
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
    _, form, low, high, _ = field
    if form == INTEGER:
        return _integer_bytes_max(low, high)
    if form == BOOLEAN:
        return 1
    if form == TEXT:
        return high + (1 if high < 32 else 2)
    if form == BINARY:
        return high + (2 if high <= 0xFF else 3)
    return 3 + high * _integer_bytes_max(0, INTEGER_MAX)
