"""Goal: any topic and any bytes give a message of a known node, or a refusal that is counted.

Method: pure; Hypothesis draws topics and frames, and breaks good ones.
"""

from hypothesis import example, given
from hypothesis import strategies as st

from gateway import wire
from gateway.ingest.intake import Refused, Taken, take
from gateway.observe.counters import NAMES
from protocol import limits, messages, topics

NODES = frozenset({"lane-1", "lane-2"})
STATUS = messages.Status(b"boot-one", True, 5).pack()  # noqa: FBT003 - fields by position
READING = messages.Reading(
    *(b"journal1", 1, b"boot-one", 5, None, 0, b"inspect1", 0, b"axis-one", 400_000, 1),
    *(100, None, 65_535, 0, None, b"\1\2" * 600),
).pack()

word = st.sampled_from(["post-1", "lane-1", "status", "reading", "receipt", "", "+", "#", "UP"])
topics_drawn = st.text(max_size=120) | st.lists(word, min_size=1, max_size=6).map(
    lambda words: topics.PREFIX + "/".join(words)
)
frames_drawn = st.binary(max_size=300) | st.tuples(
    st.sampled_from([STATUS, READING]), st.integers(0, 40), st.binary(max_size=4)
).map(lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + len(drawn[2]) :])


def taken(topic, payload):
    return take(topic, payload, post="post-1", nodes=NODES, retained=True, received_ms=7)


@given(topic=topics_drawn, payload=frames_drawn)
@example(topic="harmattan/v1/post-1/lane-1/status", payload=STATUS)
def test_anything_is_taken_or_refused_in_a_sentence(topic, payload):
    outcome = taken(topic, payload)
    if isinstance(outcome, Taken):
        assert outcome.node in NODES
        assert wire.decode(payload) == outcome.message
        assert (outcome.frame, outcome.retained, outcome.received_ms) == (payload, True, 7)
    else:
        assert outcome.count in NAMES
        assert outcome.node in NODES | {""}
        assert len(outcome.text) < 600
        assert len(outcome.subject) <= limits.TOPIC_CHARS_MAX


def refusal(channel, payload, node="lane-1", post="post-1"):
    outcome = taken(f"{topics.PREFIX}{post}/{node}/{channel}", payload)
    assert isinstance(outcome, Refused)
    return outcome.count, outcome.text


def test_each_refusal_has_its_name_and_says_what_to_do():
    name, text = refusal("status", STATUS, node="stranger")
    assert name == "node_unknown"
    assert "'stranger' is not in the settings; add [[nodes]]" in text
    name, text = refusal("status", STATUS, post="post-2")
    assert name == "topic_refused"
    name, text = refusal("receipt", STATUS)
    assert name == "topic_refused"
    name, text = refusal("reading", STATUS)
    assert name == "kind_refused"
    assert "lane-1" in text
    assert "update its firmware" in text
    name, text = refusal("status", STATUS[:-1])
    assert name == "frame_refused"
    name, text = refusal("reading", READING + bytes(limits.MESSAGE_BYTES_MAX))
    assert name == "frame_overlong"
    assert str(limits.MESSAGE_BYTES_MAX) in text


def test_a_refusal_names_who_sent_it_as_far_as_that_is_known():
    stranger = taken(f"{topics.PREFIX}post-1/stranger/status", STATUS)
    assert (stranger.node, stranger.subject) == ("", "stranger")
    nonsense = taken("x" * 500, STATUS)
    assert nonsense.node == ""
    assert len(nonsense.subject) == 40


def test_revoked_and_barred_nodes_are_refused_before_a_byte_is_decoded():
    def heard(payload, node="lane-1", **who):
        topic = f"{topics.PREFIX}post-1/{node}/status"
        return take(topic, payload, post="post-1", nodes=NODES, **who)

    empty = heard(b"")
    assert (empty.count, empty.node) == ("message_empty", "lane-1")
    assert heard(b"", is_barred=lambda _: True).count == "message_barred"
    nonsense = bytes(2 * limits.MESSAGE_BYTES_MAX)
    assert heard(nonsense).count == "frame_overlong"
    revoked = heard(nonsense, revoked=frozenset({"lane-1"}))
    assert (revoked.count, revoked.node) == ("node_revoked", "lane-1")
    assert "take it off the network" in revoked.text
    assert heard(nonsense, is_barred=lambda node: node == "lane-1").count == "message_barred"
    assert isinstance(heard(STATUS, "lane-2", revoked=frozenset({"lane-1"})), Taken)
    gone = heard(STATUS, "lane-9", revoked=frozenset({"lane-9"}))  # also out of the settings
    assert gone.count == "node_revoked"
