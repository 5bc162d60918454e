"""Goal: a topic is built from names and read back, and nothing else passes for one.

Method: Hypothesis draws names of the grammar and strings near it; MicroPython parses the same.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits, topics
from protocol.errors import TopicError

NAME = st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True)
CHANNEL = st.sampled_from(topics.UP + topics.DOWN)
GRAMMAR = re.compile(
    r"harmattan/v1/([a-z0-9][a-z0-9-]{0,31})/([a-z0-9][a-z0-9-]{0,31})/("
    + "|".join(topics.UP + topics.DOWN)
    + r")"
)
NEARLY = (
    "",
    "/",
    "harmattan/v1",
    "harmattan/v1///",
    "harmattan/v1/post/node",
    "harmattan/v1/post/node/",
    "harmattan/v1/post/node/readings",
    "harmattan/v1/post/node/reading/",
    "harmattan/v1/post/node/reading/extra",
    "harmattan/v1//node/reading",
    "harmattan/v1/post//reading",
    "harmattan/v2/post/node/reading",
    "/harmattan/v1/post/node/reading",
    "Harmattan/v1/post/node/reading",
    "harmattan/v1/Post/node/reading",
    "harmattan/v1/post/node_1/reading",
    "harmattan/v1/post/-node/reading",
    "harmattan/v1/post/+/reading",
    "harmattan/v1/post/#",
    "harmattan/v1/post/nöde/reading",
    "harmattan/v1/post/node\n/reading",
    "harmattan/v1/post/node/reading\n",
    "harmattan/v1/post/" + "n" * 33 + "/reading",
    "harmattan/v1/" + "p" * 200,
    "harmattan/v1/" + "/".join("abcdefgh") + "/reading",
)


@given(NAME, NAME, CHANNEL)
def test_what_is_built_is_parsed(post, node, channel):
    """SPEC 5.1, SPEC 5.2."""
    topic = topics.build(post, node, channel)
    assert topic == f"harmattan/v1/{post}/{node}/{channel}"
    assert len(topic) <= limits.TOPIC_CHARS_MAX
    assert topics.parse(topic) == (post, node, channel)


@given(
    st.one_of(
        st.text(max_size=120),
        st.from_regex(GRAMMAR),
        st.text("harmton/v12postnderi+#- ", max_size=100).map("harmattan/v1/".__add__),
        st.lists(st.sampled_from(["post", "node", "reading", "", "+", "-a", "a-"]), max_size=5).map(
            lambda parts: "harmattan/v1/" + "/".join(parts)
        ),
    )
)
def test_parse_takes_the_grammar_and_nothing_else(topic):
    """SPEC 5.1, SPEC 5.2, SPEC 5.3."""
    match = GRAMMAR.fullmatch(topic)
    if match and len(topic) <= limits.TOPIC_CHARS_MAX:
        assert topics.parse(topic) == match.groups()
    else:
        with pytest.raises(TopicError):
            topics.parse(topic)


@pytest.mark.parametrize("topic", NEARLY)
def test_what_is_nearly_a_topic_is_refused(topic):
    """SPEC 5.1, SPEC 5.2."""
    with pytest.raises(TopicError):
        topics.parse(topic)


@pytest.mark.parametrize("name", ["", "-a", "A", "a b", "a_b", "ä", "a/b", "+", "#", "a" * 33])
def test_names_outside_the_grammar_are_never_built(name):
    """SPEC 5.2."""
    with pytest.raises(TopicError, match="name "):
        topics.build(name, "node", "reading")
    with pytest.raises(TopicError, match="name "):
        topics.build("post", name, "reading")


@pytest.mark.parametrize("channel", ["", "readings", "update", "Birth", "reading/x"])
def test_channels_that_do_not_exist_are_never_built(channel):
    """SPEC 5.3: and the error says which do."""
    with pytest.raises(TopicError, match="none of birth, status, reading"):
        topics.build("post", "node", channel)


def test_every_message_has_one_direction_and_quality_1():
    """SPEC 5.3, SPEC 5.5: what is said once and forgotten is never retained."""
    assert not set(topics.UP) & set(topics.DOWN)
    assert not set(topics.RETAINED) & {"reading", "event", "command", "result", "time"}
    assert topics.QOS == 1


def test_an_error_does_not_repeat_a_whole_novel():
    """SPEC 5.1: what is quoted in a log is bounded."""
    with pytest.raises(TopicError) as caught:
        topics.parse("x" * 100_000)
    assert len(str(caught.value)) < 300


def test_micropython_parses_the_same(on_micropython):
    """SPEC 1.3."""
    good = [topics.build("post-1", "n" * 32, channel) for channel in topics.UP + topics.DOWN]
    expected = [["post-1", "n" * 32, channel] for channel in topics.UP + topics.DOWN]
    answers = on_micropython("parse_topics", topics=good + list(NEARLY))
    assert answers == expected + ["TopicError"] * len(NEARLY)
