"""What a broker that says no, or not what it should, means, and what to do about it."""

NO_CONNACK = "answered CONNECT with packet type %d; is that a broker? check broker.host and port"
SUBACK = "refuses the subscriptions; do its access list and node.json name the same post and node?"
UNACKNOWLEDGED = (
    "leaves %d messages unacknowledged; the link is too slow, or the gateway's computer too busy: "
    "have both looked at if it stays so"
)
_CONNACK = (
    "it does not speak MQTT 3.1.1; check broker.host and port",
    "it rejects the client identifier; correct post and node in node.json",
    "it is not available now; have the gateway looked at if it stays so",
    "user name or password are wrong; correct broker.user and broker.password",
    "this node is not authorised; is it in the post's settings, and user or keys/ its own?",
)


def connack(code: int) -> str:
    """Return why the broker refused the connection.

    Args:
        code: of CONNACK, 1..255.
    """
    if code <= len(_CONNACK):
        return _CONNACK[code - 1]
    return "it gives no reason (code %d); have the broker's log looked at" % code
