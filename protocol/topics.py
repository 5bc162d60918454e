"""Topics: `harmattan/v1/{post}/{node}/{channel}`. Build and parse; SPEC.md section 5."""

from protocol import limits
from protocol.errors import TopicError

PREFIX = f"harmattan/v{limits.PROTOCOL_VERSION}/"
QOS = 1  # at least once, for every message; exactly once is made by the identity of the records

UP = ("birth", "status", "reading", "event", "health", "result")
DOWN = ("receipt", "command", "config", "time", "verdict")
RETAINED = ("birth", "status", "receipt", "config")

_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789-"


def check_name(name: str) -> str:
    """Return `name` if it may name a post or a node.

    Raises:
        TopicError: not 1..32 characters of `a-z 0-9 -`, or it begins with `-`.
    """
    if not 0 < len(name) <= limits.TOPIC_NAME_CHARS_MAX or name[0] == "-":
        raise TopicError(
            f"name {name[: limits.TOPIC_CHARS_MAX]!r}: use 1 to {limits.TOPIC_NAME_CHARS_MAX}"
            " of a-z, 0-9 and -, not beginning with -"
        )
    for character in name:
        if character not in _NAME_CHARACTERS:
            raise TopicError(f"name {name!r}: {character!r} is not one of a-z, 0-9 and -")
    return name


def _check_channel(channel: str) -> str:
    if channel not in UP and channel not in DOWN:
        raise TopicError(
            f"channel {channel[: limits.TOPIC_CHARS_MAX]!r} is none of {', '.join(UP + DOWN)}"
        )
    return channel


def build(post: str, node: str, channel: str) -> str:
    """Return the topic of one node's channel.

    Raises:
        TopicError: a name breaks the grammar or the channel does not exist.
    """
    return PREFIX + check_name(post) + "/" + check_name(node) + "/" + _check_channel(channel)


def parse(topic: str) -> tuple[str, str, str]:
    """Return `(post, node, channel)`.

    Raises:
        TopicError: anything but what `build` gives.
    """
    if len(topic) > limits.TOPIC_CHARS_MAX or not topic.startswith(PREFIX):
        raise TopicError(
            f"topic {topic[: limits.TOPIC_CHARS_MAX]!r}: at most {limits.TOPIC_CHARS_MAX}"
            f" characters beginning with {PREFIX} are needed"
        )
    parts = topic[len(PREFIX) :].split("/")
    if len(parts) != 3:
        raise TopicError(f"topic {topic!r} needs a post, a node and a channel")
    post, node, channel = parts
    return check_name(post), check_name(node), _check_channel(channel)
