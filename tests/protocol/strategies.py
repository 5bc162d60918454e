"""Hypothesis strategies for messages: any values that the layout allows."""

from hypothesis import strategies as st

from protocol import limits, messages
from protocol.fields import BINARY, BOOLEAN, INTEGER, TEXT

ascii_text = st.characters(min_codepoint=0x20, max_codepoint=0x7E)


def integers(low: int, high: int) -> st.SearchStrategy[int]:
    """Draw integers of `low..high`, the boundaries of the encoding as often as others."""
    edges = (
        0,
        -1,
        -32,
        -33,
        *(sign * 2**bits + by for sign in (1, -1) for bits in (7, 8, 15, 16) for by in (-1, 0)),
        2**31,
        2**32 - 1,
        2**32,
        -(2**31),
        -(2**31) - 1,
        low,
        high,
    )
    inside = sorted({edge for edge in edges if low <= edge <= high})
    return st.one_of(st.integers(low, high), st.sampled_from(inside))


@st.composite
def ranges(draw: st.DrawFn, seq: int) -> tuple[int, ...]:
    """Draw what a receipt may state beyond `seq`."""
    flat: list[int] = []
    floor = seq
    for _ in range(draw(st.integers(0, limits.RECEIPT_RANGES_MAX))):
        first = floor + draw(st.integers(2, 300))
        floor = first + draw(st.integers(0, 300))
        flat += [first, floor]
    return tuple(flat)


def values(field: tuple) -> st.SearchStrategy:
    """Draw values of one field."""
    _, form, low, high, optional = field
    if form == INTEGER:
        drawn = integers(low, high)
    elif form == BOOLEAN:
        drawn = st.booleans()
    elif form == TEXT:
        drawn = st.text(ascii_text, min_size=low, max_size=high)
    elif form == BINARY:
        drawn = st.binary(min_size=low, max_size=min(high, 300))
    else:
        drawn = st.just(())
    return st.one_of(st.none(), drawn) if optional else drawn


@st.composite
def of_kind(draw: st.DrawFn, kind: type[messages.Message]) -> messages.Message:
    """Draw a valid message of one kind."""
    message = kind(*(draw(values(field)) for field in kind.FIELDS))
    if isinstance(message, messages.Birth):
        message.next_seq = max(message.next_seq, message.oldest_seq)
        message.coefficients_f32le = message.coefficients_f32le[: draw(st.integers(0, 8)) * 4]
        message.coefficients_f32le += bytes(-len(message.coefficients_f32le) % 4)
    elif isinstance(message, messages.Reading):
        message.pixels_u16le += bytes(len(message.pixels_u16le) % 2)
    elif isinstance(message, messages.Receipt):
        message.seq = min(message.seq, limits.INTEGER_MAX - 20_000)
        message.beyond = draw(ranges(message.seq))
    return message


def any_message() -> st.SearchStrategy[messages.Message]:
    """Draw a valid message of any kind."""
    return st.sampled_from(sorted(messages.KINDS)).flatmap(
        lambda number: of_kind(messages.KINDS[number])
    )
