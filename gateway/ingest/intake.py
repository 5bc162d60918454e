"""What a message from the broker is: checked topic, known node, decoded frame. Pure.

Every refusal has a name that is counted, and a sentence that names the node and the remedy.
"""

from dataclasses import dataclass

from gateway import wire
from protocol import topics
from protocol.errors import ProtocolError

# Which kinds may stand on which channel; anything else is refused.
CHANNELS: dict[str, tuple[type[wire.Message], ...]] = {
    "birth": (wire.Birth,),
    "status": (wire.Status,),
    "reading": (wire.Reading,),
    "event": (wire.Event,),
    "health": (wire.Health,),
    "result": (wire.Result,),
}


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that may be acted on."""

    node: str
    message: wire.Message
    frame: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that is not acted on.

    Attributes:
        count: the counter's name.
        node: as far as it is known; empty otherwise.
        text: one sentence: thing, value, remedy.
    """

    count: str
    node: str
    text: str


def take(topic: str, payload: bytes, *, post: str, nodes: frozenset[str]) -> Taken | Refused:
    """Check one message; never raises, whatever the bytes."""
    try:
        named_post, node, channel = topics.parse(topic)
    except ProtocolError as error:
        return Refused("topic_refused", "", f"{error}; check the node's post and node names")
    if named_post != post or channel not in CHANNELS:
        return Refused("topic_refused", node, f"topic {topic!r} is not one this gateway reads")
    if node not in nodes:
        return Refused(
            "node_unknown",
            "",
            f"node {node!r} is not in the settings; add [[nodes]] id = {node!r} or stop it",
        )
    try:
        message = wire.decode(payload)
    except ProtocolError as error:
        return Refused(
            "frame_refused",
            node,
            f"node {node!r}, {channel}: {len(payload)} bytes refused: {error};"
            " update the node's firmware if this repeats",
        )
    if not isinstance(message, CHANNELS[channel]):
        return Refused(
            "frame_refused",
            node,
            f"node {node!r} sent a {type(message).__name__} on {channel}; update its firmware",
        )
    return Taken(node, message, payload)
