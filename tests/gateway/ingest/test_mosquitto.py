"""Goal: the broker's configuration bounds everything; its log is read right in whatever pieces.

Method: pure; the lines are those of mosquitto 2.0 as a run with `log_type debug` writes them.
"""

import itertools
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest.mosquitto import (
    LINE_BYTES_MAX,
    LOG_CHARS_MAX,
    Words,
    access_list,
    configuration,
)
from gateway.settings import BrokerSettings, NodeListenerSettings
from protocol import topics

LOG = b"""mosquitto version 2.0.11 starting
New client connected from 10.0.0.9:41 as lane-2 (p2, c1, k60, u'lane-2').
Received PUBLISH from lane-2 (d0, q1, r0, m1, 'harmattan/v1/p/lane-1/reading', ... (6 bytes))
New connection from fd00::9:50412 on port 8883.
Denied PUBLISH from lane-2 (d0, q1, r0, m1, 'harmattan/v1/p/lane-1/reading', ... (6 bytes))
Sending PUBACK to lane-2 (m1, rc135)
Client <unknown> disconnected, not authorised.
Client connection from 10.0.0.9 denied: max_connections exceeded.
Unable to accept new connection, system socket count has been exceeded. Try it.
Client lane-3 disconnected due to oversize packet.
Client lane-2 disconnected.
OpenSSL Error[0]: error:1417C086:SSL routines::certificate verify failed
OpenSSL Error[0]: error:80000002:system library::No such file or directory
OpenSSL Error[1]: error:05880002:x509 certificate routines::system lib
Error: Unable to load certificate revocation file "/k/crl.pem". Check crlfile.
Error: Not a directory
OpenSSL Error[0]: error:0480006C:PEM routines::no start line
OpenSSL Error[1]: error:05880009:x509 certificate routines::PEM lib
Error: Unable to load server key file "/k/key.pem". Check keyfile.
OpenSSL Error[0]: error:05800074:x509 certificate routines::key values mismatch
Client connection from 10.0.0.9 failed: error:0A0000C7:SSL routines::no certificate returned.
Warning: Unable to set TCP_NODELAY.
Warning: something is odd
Error: Unable to open the file
"""
WORDS = [
    ("connection_opened", "fd00::9"),
    ("topic_foreign", "lane-2"),
    ("client_refused", "<unknown>"),
    ("connection_refused", "10.0.0.9"),
    ("connection_refused", ""),
    ("packet_oversize", "lane-3"),
    ("certificate_refused", ""),
    ("broker_log", ""),
    ("broker_log", ""),
    ("connection_opened", "10.0.0.9"),
    ("certificate_refused", ""),
    ("broker_log", ""),
    ("broker_log", ""),
]


@given(cuts=st.lists(st.integers(0, len(LOG)), max_size=30))
def test_words_are_found_however_the_log_is_cut(cuts):
    words, found = Words(), []
    edges = [0, *sorted(cuts), len(LOG)]
    for begin, end in itertools.pairwise(edges):
        found += words.take(LOG[begin:end])
    assert [(word.event, word.client) for word in found] == WORDS
    assert "'harmattan/v1/p/lane-1/reading'" in found[1].text
    assert "/k/crl.pem" in found[7].text
    assert "the pair that was made together" in found[8].text
    assert words.last == "Error: Unable to open the file"


@given(pieces=st.lists(st.binary(max_size=2_000), max_size=20))
def test_any_bytes_are_read_and_nothing_is_kept_for_ever(pieces):
    words = Words()
    for piece in pieces:
        for word in words.take(piece):
            assert len(word.text) <= LOG_CHARS_MAX + 200
        assert len(words._rest) <= LINE_BYTES_MAX


@given(cut=st.integers(0, 1_200))
def test_a_long_topic_hides_nobody(cut):
    """Mosquitto cuts the line within it; and one that looks like a line names nobody else."""
    for name in ("x" * 1_000, "Denied PUBLISH from lane-9 (d0, q1, r0, m1, 'a', " + "y" * 900):
        topic = f"harmattan/v1/p/lane-1/{name}"
        line = f"Denied PUBLISH from lane-2 (d0, q0, r0, m0, '{topic}', ... (1 bytes))"[:999]
        words = Words()
        pieces = (line[:cut].encode(), line[cut:].encode() + b"\n")
        (word,) = [word for piece in pieces for word in words.take(piece)]
        assert (word.event, word.client) == ("topic_foreign", "lane-2")
        assert len(word.text) <= LOG_CHARS_MAX


def test_bounds_grow_with_the_number_of_nodes_and_hold_for_both_listeners():
    nodes = NodeListenerSettings("10.0.0.1", 8_883, "/k/ca", "/k/g", "/k/gk")
    lines = configuration(
        BrokerSettings(nodes=nodes),
        Path("/p/acl"),
        passwords=Path("/p/passwords"),
        nodes_count=1_000,
        node_lines=("crlfile /k/crl",),
    ).splitlines()
    local, beyond = lines.index("listener 18883 127.0.0.1"), lines.index("listener 8883 10.0.0.1")
    first, second = lines[local:beyond], lines[beyond:]
    assert "allow_anonymous false" in first
    assert "password_file /p/passwords" in first
    assert "use_username_as_clientid true" not in first
    for line in ("allow_anonymous false", "crlfile /k/crl", "use_username_as_clientid true"):
        assert line in second
    assert "max_connections 3016" in first
    assert "max_connections 3016" in second
    assert "max_queued_messages 4000" in lines
    assert any(line.startswith("max_queued_bytes ") for line in lines)
    assert any(line.startswith("memory_limit ") for line in lines)
    assert "log_type debug" in lines


def test_a_post_of_this_machine_alone_pays_for_no_debug_log():
    lines = configuration(BrokerSettings(port=4_711)).splitlines()
    assert "listener 4711 127.0.0.1" in lines
    assert "max_packet_size 98304" in lines
    assert "max_queued_messages 1000" in lines
    assert "persistence false" in lines
    assert "allow_anonymous true" in lines
    assert "log_type debug" not in lines


def test_a_node_may_write_and_read_its_own_topics_and_no_shared_ones():
    rules = access_list("p", ["lane-2", "lane-1"]).splitlines()[1:]
    begin = rules.index("user lane-1")
    assert rules[begin + 1 : rules.index("user lane-2")] == [
        f"topic write harmattan/v1/p/lane-1/{channel}" for channel in topics.UP
    ]
    assert rules[:begin] == [f"pattern read harmattan/v1/p/%u/{name}" for name in topics.DOWN]


def test_of_a_barred_node_nothing_is_passed_on_and_of_the_others_all():
    """The rules of one with certificates, and of a post of this machine alone."""
    nodes = ["lane-1", "lane-2", "lane-3"]
    told = access_list("p", nodes, barred={"lane-1"}, revoked={"lane-3", "lane-9"})
    assert (
        told == access_list("p", ["lane-2"]) + "user lane-3\ntopic deny harmattan/v1/p/lane-3/#\n"
    )
    local = access_list("p", nodes, barred={"lane-1"}, revoked={"lane-3"}, is_local=True)
    local = local.splitlines()
    assert "topic readwrite #" in local
    assert "topic deny harmattan/v1/p/lane-1/reading" in local
    assert "topic deny harmattan/v1/p/lane-3/reading" in local
    assert "topic deny harmattan/v1/p/lane-2/reading" not in local
    assert not [rule for rule in local if "%u" in rule or rule.startswith("user")]


@given(cuts=st.lists(st.integers(0, 400), max_size=5))
def test_what_the_broker_drops_of_a_barred_node_is_counted_and_nothing_foreign(cuts):
    line = "Denied PUBLISH from {} (d0, q0, r0, m0, 'harmattan/v1/p/{}/{}', ... (6 bytes))\n"
    log = (
        line.format("lane-1", "lane-1", "reading")
        + line.format("lane-1", "lane-1", "health")
        + line.format("lane-2", "lane-2", "status")
        + line.format("lane-1", "lane-2", "reading")  # another's
        + line.format("lane-1", "lane-1", "command")  # not a node's to publish
    ).encode()
    words, counted, foreign = Words("p"), Counter(), Counter()
    begin = 0
    for cut in [*sorted(cuts), len(log)]:
        for word in words.take(log[begin:cut]):
            if word.event == "message_barred":
                counted[word.client] += word.count
            else:
                foreign[word.event, word.client] += word.count
        begin = max(begin, cut)
    assert counted == {"lane-1": 2, "lane-2": 1}
    assert foreign == {("topic_foreign", "lane-1"): 2}
    flood = line.format("lane-1", "lane-2", "event") * 300 + line.format("x", "x", "event")
    told = [(word.event, word.client, word.count) for word in Words("p").take(flood.encode())]
    assert told == [("topic_foreign", "lane-1", 300), ("message_barred", "x", 1)]
