"""Topics: `harmattan/v1/{post}/{node}/{channel}`. Build and parse; SPEC.md section 4."""

from protocol import limits
from protocol.errors import TopicError

PREFIX = "harmattan/v%d/" % limits.PROTOCOL_VERSION

UP = ("birth", "status", "reading", "event", "health", "result")
DOWN = ("receipt", "command", "config", "time")
RETAINED = ("birth", "status", "receipt", "config")

_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789-"


def check_name(name: str) -> str:
    """Return `name` if it may name a post or a node.

    Raises:
        TopicError: not 1..32 characters of `a-z 0-9 -`, or it begins with `-`.
    """
    if not 0 < len(name) <= limits.TOPIC_NAME_CHARS_MAX or name[0] == "-":
        raise TopicError(
            "name %r: use 1 to %d of a-z, 0-9 and -, not beginning with -"
            % (name, limits.TOPIC_NAME_CHARS_MAX)
        )
    for character in name:
        if character not in _NAME_CHARACTERS:
            raise TopicError("name %r: %r is not one of a-z, 0-9 and -" % (name, character))
    return name


def build(post: str, node: str, channel: str) -> str:
    """Return the topic of one node's channel.

    Raises:
        TopicError: a name breaks the grammar or the channel does not exist.
    """
    if channel not in UP and channel not in DOWN:
        raise TopicError("channel %r does not exist" % channel)
    return PREFIX + check_name(post) + "/" + check_name(node) + "/" + channel


def parse(topic: str) -> "tuple[str, str, str]":
    """Return `(post, node, channel)`.

    Raises:
        TopicError: anything but what `build` gives.
    """
    if len(topic) > limits.TOPIC_CHARS_MAX or not topic.startswith(PREFIX):
        raise TopicError("topic %r does not begin with %s" % (topic[:120], PREFIX))
    parts = topic[len(PREFIX) :].split("/")
    if len(parts) != 3:
        raise TopicError("topic %r needs a post, a node and a channel" % topic)
    post, node, channel = parts
    check_name(post)
    check_name(node)
    if channel not in UP and channel not in DOWN:
        raise TopicError("channel %r does not exist" % channel)
    return post, node, channel
