"""Goal: an alert's identity and bytes never change, and only its own receipt is a receipt.

Method: pure values; Hypothesis draws answers of an authority.
"""

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from gateway import wire
from gateway.alerts.alert import RECEIPT_BYTES_MAX, alert_id, check_receipt

BODY = b'{"alert_id":"a"}'
DIGEST = hashlib.sha256(BODY).hexdigest()
GOOD = {"alert_id": "a", "sha256": DIGEST, "receipt_id": "R-1", "duplicate": False}

json_drawn = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*GOOD, "x"]), inner)
    ),
    max_leaves=8,
)


def test_the_identity_is_that_of_the_reading():
    reading = wire.Reading(
        *(bytes(range(8)), 7, b"boot-one", 5, None, 0, b"inspect1", 0, b"axis-one", 1, 1, 0),
        *(None, 0, 0, None, b"\0\0"),
    )
    assert alert_id("post-1", "lane-1", reading) == "post-1.lane-1.0001020304050607.7"


def test_the_right_receipt_is_taken_with_or_without_more():
    assert check_receipt(json.dumps(GOOD).encode(), "a", BODY) is None
    assert check_receipt(json.dumps({**GOOD, "more": [1, 2]}).encode(), "a", BODY) is None
    short = {key: value for key, value in GOOD.items() if key != "duplicate"}
    assert check_receipt(json.dumps(short).encode(), "a", BODY) is None


@given(changes=st.dictionaries(st.sampled_from(list(GOOD)), json_drawn, min_size=1))
def test_any_change_of_what_counts_is_refused(changes):
    told = {**GOOD, **changes}
    same = all(told[key] == GOOD[key] for key in ("alert_id", "sha256"))
    typed = (
        isinstance(told["receipt_id"], str)
        and 1 <= len(told["receipt_id"]) <= 256
        and isinstance(told["duplicate"], bool)
    )
    fault = check_receipt(json.dumps(told, allow_nan=False).encode(), "a", BODY)
    assert (fault is None) == (same and typed)


@given(answer=st.binary(max_size=200) | json_drawn.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_answered_is_a_receipt_or_a_reason(answer):
    assert isinstance(check_receipt(answer, "a", BODY), str)


def test_size_and_depth_are_bounded():
    assert "at most" in check_receipt(b" " * (RECEIPT_BYTES_MAX + 1), "a", BODY)
    assert "malformed" in check_receipt(b"[" * RECEIPT_BYTES_MAX, "a", BODY)
    assert "malformed" in check_receipt(b'{"x":' + b"[" * 4_000, "a", BODY)
    assert "malformed" in check_receipt(b'{"alert_id":"\xff"}', "a", BODY)
