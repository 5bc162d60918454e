"""What a message from the broker is: checked topic, known node, decoded frame. Pure.

Every refusal has a name that is counted, and a sentence that names the node and the remedy.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass

from gateway import wire
from protocol import limits, topics
from protocol.errors import KindError, ProtocolError

# Commands go down; the gateway reads them too, for the standards they name (SPEC.md 8.5).
READ = (*topics.UP, "command")
NAME_CHARS_MAX = 40  # of a foreign topic or name that is repeated in a sentence


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that may be acted on.

    Attributes:
        node: who sent it.
        message: what it says.
        frame: its bytes.
        retained: the broker had it from before; it says nothing about now.
        received_ms: wall time of the gateway, Unix milliseconds; a label.
    """

    node: str
    message: wire.Message
    frame: bytes
    retained: bool
    received_ms: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that is not acted on.

    Attributes:
        count: the counter's name.
        node: the node of the post that sent it; empty when it is none.
        subject: what tells this sender from others: its node, or what it calls itself.
        text: one sentence: thing, value, remedy.
    """

    count: str
    node: str
    subject: str
    text: str


def _heard(_: str) -> bool:
    return False


def text_of_revoked(node: str) -> str:
    """Say what it means that a revoked node speaks, and what to do."""
    return (
        f"node {node!r} is revoked and not listened to; take it off the network, or give it a new"
        " certificate"
    )


def text_of_unknown(node: str) -> str:
    """Say what it means that a node speaks which is not in the settings, and what to do."""
    return f"node {node!r} is not in the settings; add [[nodes]] with id = {node!r}, or stop it"


def take(
    topic: str,
    payload: bytes,
    *,
    post: str,
    nodes: frozenset[str],
    revoked: Container[str] = frozenset(),
    is_barred: Callable[[str], bool] = _heard,
    retained: bool = False,
    received_ms: int = 0,
) -> Taken | Refused:
    """Check one message; never raises, whatever the bytes.

    Args:
        topic: it was published on.
        payload: its bytes.
        post: whose gateway this is.
        nodes: that may speak here.
        revoked: nodes whose certificates are revoked.
        is_barred: says of a node whether it is in quarantine.
        retained: the broker had it from before.
        received_ms: wall time of the gateway, Unix milliseconds.
    """
    who = _sender(topic, post=post, nodes=nodes, revoked=revoked, is_barred=is_barred)
    if isinstance(who, Refused):
        return who
    node, channel = who
    if not payload:  # it clears a topic and says nothing (SPEC.md 5.5)
        return Refused("message_empty", node, node, f"node {node!r}, {channel}: empty")
    where = f"node {node!r}, {channel}: {len(payload)} bytes refused"
    if len(payload) > limits.MESSAGE_BYTES_MAX:
        text = f"{where}: at most {limits.MESSAGE_BYTES_MAX} are allowed; check its firmware"
        return Refused("frame_overlong", node, node, text)
    try:
        message = wire.decode(payload, channel)
    except KindError as error:
        text = f"{where}: {error}; update its firmware, or this gateway's"
        return Refused("kind_refused", node, node, text)
    except ProtocolError as error:
        text = f"{where}: {error}; if this repeats, update its firmware"
        return Refused("frame_refused", node, node, text)
    return Taken(node, message, payload, retained, received_ms)


def _sender(
    topic: str,
    *,
    post: str,
    nodes: frozenset[str],
    revoked: Container[str],
    is_barred: Callable[[str], bool],
) -> tuple[str, str] | Refused:
    """Return which node speaks on which channel, if it may."""
    named = topic[:NAME_CHARS_MAX]
    try:
        named_post, node, channel = topics.parse(topic)
    except ProtocolError as error:
        return Refused("topic_refused", "", named, f"{error}; check the sender's post and node")
    if named_post != post or channel not in READ:
        text = f"topic {named!r} is not one this gateway reads; check the sender's post and channel"
        return Refused("topic_refused", "", named, text)
    if node in revoked:
        return Refused("node_revoked", node, node, text_of_revoked(node))
    if node not in nodes:
        return Refused("node_unknown", "", node, text_of_unknown(node))
    if is_barred(node):
        return Refused("message_barred", node, node, f"node {node!r} is in quarantine")
    return node, channel
