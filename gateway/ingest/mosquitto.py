"""What mosquitto is told, and what its log says. Pure."""

import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gateway.ingest.unread import Unread
from gateway.settings import BrokerSettings, NodeListenerSettings
from protocol import limits, topics

# The broker's own bound is wider than the protocol's, so that the gateway sees, names and counts
# a message that is too long; beyond this one the broker drops the connection.
PACKET_BYTES_MAX: Final = 8 * limits.MESSAGE_BYTES_MAX
# What the broker has for the gateway at a new subscription: each node's birth and status, and as
# much again that comes meanwhile.
QUEUED_PER_NODE: Final = 4
QUEUED_MIN: Final = 1_000
QUEUED_BYTES_MAX: Final = 32 << 20  # per client: 10,000 readings of 3 kB, seconds of the gateway
MEMORY_BYTES_MIN: Final = 128 << 20  # a broker with 50 nodes takes 10 MB; beyond this it is ill
MEMORY_BYTES_PER_NODE: Final = 128 << 10  # a TLS connection takes 50 kB, a window of 8 takes 32 kB
# A node that starts anew connects before its old connection is noticed to be dead.
CONNECTIONS_PER_NODE: Final = 2
CONNECTIONS_OWN: Final = 16  # the gateway, its commands, somebody who looks on
# Connections that say nothing, for the 90 s that mosquitto waits for a first word: a device that is
# broken or hostile. A thousand idle ones cost it 16 MB.
CONNECTIONS_SPARE: Final = 1_000
LOG_CHARS_MAX: Final = 500  # of one line of the broker's log that is folded into ours
LINE_BYTES_MAX: Final = 4_096  # of a line that is looked at; mosquitto itself cuts them at 1,000
TOPIC_SHOWN_CHARS_MAX: Final = 240  # of a foreign topic, in our log

# Lines worth a look, found in whole pieces of the log: with `log_type debug`, the only one that
# names a foreign publish, there are some lines for each message, all others of no use.
_LINES: Final = re.compile(
    rb"^(?:Error|Warning|OpenSSL Error|Denied PUBLISH|Client |Unable to accept|New connection)"
    rb"[^\n]*",
    re.MULTILINE,
)
_OVERSIZE = re.compile(r"Client (?P<client>.*) disconnected due to oversize packet")
# A topic can be so long that mosquitto cuts the line within it, or look like a line's beginning.
_DENIED_BY: Final = re.compile(rb"Denied PUBLISH from (?P<client>.*?) \(d\d, q\d, r\d, m\d+, '")
_DENIED = re.compile(
    r"Denied PUBLISH from (?P<client>.*?) \(d\d, q\d, r\d, m\d+, '(?P<topic>.*?)(?:',|$)"
)
_UNAUTHORISED = re.compile(r"Client (?P<client>.*) disconnected, not authorised")
_TAKEN_OVER = re.compile(r"Client (?P<client>.*) already connected, closing old connection\.")
_FULL = re.compile(
    r"Client connection from (?P<client>.*) denied: max_connections exceeded"
    r"|Unable to accept new connection"
)
# One or the other of each connection; the second where TLS ended it before it was accepted.
_OPENED = re.compile(
    r"New connection from (?P<address>.*):\d+ on port (?P<port>\d+)\."
    r"|Client connection from (?P<failed>.*?) failed: error:"
)
_NO_DELAY: Final = "Warning: Unable to set TCP_NODELAY."  # of every connection by socket file
# Of a handshake; `x509` and `system library` are the broker's own trouble with its files. Which of
# the two it says depends on how the client's bytes came.
_CERTIFICATE = re.compile(
    r"(?:OpenSSL Error|Client connection from .* failed:).*SSL routines.*(?:certificate|alert)",
    re.IGNORECASE,
)


def configuration(
    settings: BrokerSettings,
    access: Path | None = None,
    *,
    passwords: Path | None = None,
    nodes_count: int = 0,
    node_lines: tuple[str, ...] = (),
    own: Path | None = None,
) -> str:
    """Return mosquitto's configuration: loopback, and nodes with certificates; all bounded.

    Args:
        settings: where it listens.
        access: the file with what nodes may do; needed where nodes have a listener. Where they
            have none it is for loopback.
        passwords: the file with who may speak on loopback; needed there too.
        nodes_count: of the post.
        node_lines: what else the nodes' listener is told, such as its list of revoked certificates.
        own: the socket file of the gateway itself; None: it comes over loopback as others do.
    """
    # Started by root, it must not stay root.
    user = ("user nobody",) if os.geteuid() == 0 else ()
    count = CONNECTIONS_PER_NODE * nodes_count + CONNECTIONS_OWN + CONNECTIONS_SPARE
    connections = f"max_connections {count}"
    own_door: tuple[str, ...] = ("allow_anonymous true",)
    local = (*own_door, f"acl_file {access}") if access and not settings.nodes.host else own_door
    listener: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    if settings.nodes.host:
        if passwords is not None:
            local = own_door = ("allow_anonymous false", f"password_file {passwords}")
        listener = _listener(settings.nodes, connections, node_lines, access)
        foreign = ("log_type debug",)  # the only type that tells of a publish on a foreign topic
    return "\n".join(
        (
            "# Written by the gateway; change the post's settings instead.",
            "per_listener_settings true",
            *((f"listener 0 {own}", *own_door) if own else ()),
            f"listener {settings.port} {settings.host}",
            connections,  # each listener has as many of its own
            *local,
            *listener,
            *user,
            "persistence false",  # nodes and outbox keep what matters; the broker may forget
            f"max_packet_size {PACKET_BYTES_MAX}",
            f"max_inflight_messages {2 * limits.WINDOW_RECORDS_MAX}",
            f"max_queued_messages {max(QUEUED_MIN, QUEUED_PER_NODE * nodes_count)}",
            f"max_queued_bytes {QUEUED_BYTES_MAX}",
            f"memory_limit {MEMORY_BYTES_MIN + MEMORY_BYTES_PER_NODE * nodes_count}",
            "max_keepalive 300",
            "set_tcp_nodelay true",  # or each receipt waits up to 40 ms for the last one's ACK
            "log_dest stderr",
            "log_timestamp false",
            "log_type error",
            "log_type warning",
            "log_type notice",
            *foreign,
            "",
        )
    )


def _listener(
    nodes: NodeListenerSettings, connections: str, node_lines: tuple[str, ...], access: Path | None
) -> tuple[str, ...]:
    """Return what the nodes' listener is told."""
    return (
        f"listener {nodes.port} {nodes.host}",
        connections,
        f"cafile {nodes.ca_file}",
        f"certfile {nodes.certificate_file}",
        f"keyfile {nodes.key_file}",
        *node_lines,
        "tls_version tlsv1.2",  # at least
        "require_certificate true",
        "use_identity_as_username true",
        # Or a node could take over another's connection, or the gateway's, by its name.
        "use_username_as_clientid true",
        "allow_anonymous false",
        f"acl_file {access}",
    )


def access_list(
    post: str,
    nodes: Iterable[str],
    *,
    barred: Container[str] = frozenset(),
    revoked: Container[str] = frozenset(),
    is_local: bool = False,
) -> str:
    """Return mosquitto's access list for nodes: each its own topics, by its certificate's name.

    Who may write is named: a certificate of the post's authority alone gives nobody a voice.

    Args:
        post: whose topics they are.
        nodes: of the post.
        barred: those of which nothing is passed on now.
        revoked: those of which nothing is passed on, and to whom nothing is.
        is_local: for loopback, where nobody has a certificate: all topics but those of `barred`
            and `revoked`.
    """
    own = f"{topics.PREFIX}{post}"
    rules = ["# Written by the gateway."]
    if is_local:
        rules += ["topic readwrite #", "topic read $SYS/#"]
    else:
        rules += [f"pattern read {own}/%u/{channel}" for channel in topics.DOWN]
    for node in sorted(nodes):
        is_shut = node in barred or node in revoked
        if is_local:
            rules += [f"topic deny {own}/{node}/{channel}" for channel in topics.UP if is_shut]
        elif node in revoked:
            rules += [f"user {node}", f"topic deny {own}/{node}/#"]
        elif not is_shut:
            rules.append(f"user {node}")
            rules += [f"topic write {own}/{node}/{channel}" for channel in topics.UP]
    return "\n".join([*rules, ""])


# By `client`, an address, at the port `text`; empty: one with TLS. Nobody is told of one.
OPENED: Final = "connection_opened"
# `client` has connected while it was connected. Nobody is told, unless it was we to end it.
TAKEN_OVER: Final = "connection_taken_over"


@dataclass(frozen=True, slots=True)
class Word:
    """Something that the broker's log says and that somebody should know.

    Attributes:
        event: `broker_log`, a counter's name, OPENED or TAKEN_OVER.
        text: a sentence; for `broker_log` the broker's own.
        client: whom it is about, as far as the broker tells; empty when it does not.
        count: how often it was said.
    """

    event: str
    text: str
    client: str = ""
    count: int = 1


class Words:
    """Finds what is worth telling in the broker's log, which comes in pieces.

    Args:
        post: whose topics the nodes use; empty: no topic is known to be anybody's own.

    Attributes:
        last: what it complained of last.
    """

    def __init__(self, post: str = "") -> None:
        self.last = ""
        own = f"{topics.PREFIX}{post}/".encode()
        # A node may always publish on its own topics, unless it is shut out.
        self._own = re.compile(
            rb"Denied PUBLISH from (?P<node>[a-z0-9-]+) \(d\d, q\d, r\d, m\d+, '"
            + re.escape(own)
            + rb"(?P=node)/(?:"
            + "|".join(topics.UP).encode()
            + rb")',"
        )
        self._rest = b""
        self._unread = Unread()

    def take(self, piece: bytes) -> list[Word]:
        """Return what another piece of the log says.

        What is denied is one word for each client and event, which says how often: there are as
        many of these lines as a flood has messages.
        """
        whole, newline, rest = piece.rpartition(b"\n")
        if not newline:
            self._rest = (self._rest + rest)[-LINE_BYTES_MAX:]
            return []
        lines = self._rest + whole
        self._rest = rest[-LINE_BYTES_MAX:]
        told: list[Word] = []
        denied: Counter[tuple[bytes, bool]] = Counter()
        places: dict[tuple[bytes, bool], int] = {}
        for found in _LINES.finditer(lines):
            if by := _DENIED_BY.match(found[0]):
                key = by["client"], self._own.match(found[0]) is None
                denied[key] += 1
                if key not in places:
                    places[key] = len(told)
                    told.append(_denied(found[0].decode(errors="replace"), is_foreign=key[1]))
                continue
            told += self._take_line(found[0].decode(errors="replace").strip())
        for key, place in places.items():
            told[place] = replace(told[place], count=denied[key])
        return told

    def _take_line(self, line: str) -> Iterator[Word]:
        if opened := _OPENED.match(line):
            yield Word(OPENED, opened["port"] or "", opened["address"] or opened["failed"])
        if taken := _TAKEN_OVER.match(line):
            yield Word(TAKEN_OVER, "", taken["client"])
        word = self._own_word(line[:LOG_CHARS_MAX])
        if word is None:
            word = _word(line[:LOG_CHARS_MAX])
            if word is not None and word.event == "broker_log":
                self.last = word.text
        if word is not None and word.text:
            yield word

    def _own_word(self, line: str) -> Word | None:
        """Return what a line says of the broker's own files; None where it is of something else."""
        told = self._unread.take(line)
        if told is None:
            return None
        self.last = told or line
        return Word("broker_log", told)


def _denied(line: str, *, is_foreign: bool) -> Word:
    """Return the word of one publish that the broker has denied."""
    found = _DENIED.match(line)
    client, topic = (found["client"][:LOG_CHARS_MAX], found["topic"]) if found else ("", "")
    if not is_foreign:
        return Word("message_barred", "", client)
    shown = topic[:TOPIC_SHOWN_CHARS_MAX] + "..." * (len(topic) > TOPIC_SHOWN_CHARS_MAX)
    return Word(
        "topic_foreign",
        f"client {client!r} published on {shown!r}, which is not its own; nobody got it. Look at"
        " that node: no firmware of ours does this",
        client,
    )


def _word(line: str) -> Word | None:
    """Return what a line says of a client, or what the broker complains of."""
    if oversize := _OVERSIZE.match(line):
        return Word(
            "packet_oversize",
            f"client {oversize['client']!r} sent more than {PACKET_BYTES_MAX} bytes in one"
            " message and was disconnected; check its firmware",
            oversize["client"],
        )
    if unauthorised := _UNAUTHORISED.match(line):
        return Word(
            "client_refused",
            f"client {unauthorised['client']!r} gave no password on loopback, or a wrong one,"
            " and was refused: only the gateway and its commands speak there",
            unauthorised["client"],
        )
    if full := _FULL.match(line):
        client = full["client"] or "an address that is not told"
        return Word(
            "connection_refused",
            f"the broker has no place for a connection from {client}: too many are open. Those"
            " that stand go on, and so does the gateway's own; find who opens them, with `ss"
            " -tn`, and take that device off the network",
            full["client"] or "",
        )
    if _CERTIFICATE.match(line):
        return Word(
            "certificate_refused",
            f"a client was refused for its certificate, or refused ours: {line}; if a node is"
            " silent, look at its certificate's dates, authority and revocation",
        )
    if line == _NO_DELAY:
        return None
    if line.startswith(("Error", "Warning")):
        return Word("broker_log", line)
    return None
