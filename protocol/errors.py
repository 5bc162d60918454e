"""What can be wrong with bytes, values and topics.

ProtocolError               the one type a decoder raises, whatever the bytes
+-- MalformedError          the bytes are not the canonical msgpack subset of SPEC.md section 2
+-- LimitError              well formed, but a size, count or value is outside its bound
+-- KindError               a well-formed array whose first element names no message kind, or one
|                           that does not belong on its channel
+-- TopicError              a topic that does not follow SPEC.md section 5
+-- PackingError            a value of ours that cannot be packed: a fault of the caller
"""


class ProtocolError(Exception):
    """Bytes, a value or a topic that the protocol does not allow."""


class MalformedError(ProtocolError):
    """The bytes are truncated, not canonical, or of a type outside the subset."""


class LimitError(ProtocolError):
    """A size, count or value is outside the bound that `limits.py` or the field states."""


class KindError(ProtocolError):
    """The first element names no message kind of this version, or not the one of the channel."""


class TopicError(ProtocolError):
    """The topic or one of its names does not follow the grammar."""


class PackingError(ProtocolError):
    """A value given to the encoder cannot be packed: wrong type, out of range, or no room."""
