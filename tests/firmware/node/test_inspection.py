"""Goal: what is read of one consignment carries one identity, and nothing of the next one.

Method: acts as officers have them, on a clock that the test turns.
"""

import itertools

import pytest

from node.inspection import IDLE_MS, Inspection
from protocol.messages import EVENT_CODE, EVENT_DOCUMENT, EVENT_WEIGHT


@pytest.fixture
def inspection():
    numbers = itertools.count(1)
    return Inspection(lambda count: b"%0*d" % (count, next(numbers)))


def test_code_weight_and_sample_are_one_act_in_any_order(inspection):
    first = inspection.of_item(1_000, EVENT_CODE)
    assert inspection.of_sample(20_000) == first
    assert inspection.of_item(60_000, EVENT_WEIGHT) == first


def test_a_second_sample_begins_another_act(inspection):
    first = inspection.of_sample(1_000)
    second = inspection.of_sample(2_000)
    assert second != first
    assert inspection.of_item(3_000, EVENT_CODE) == second


def test_an_act_ends_when_nothing_comes_for_long(inspection):
    first = inspection.of_item(1_000, EVENT_CODE)
    assert inspection.of_item(1_000 + IDLE_MS, EVENT_CODE) == first
    assert inspection.of_item(2_000 + 2 * IDLE_MS, EVENT_CODE) != first


def test_an_exposure_that_takes_long_does_not_end_its_act(inspection):
    first = inspection.of_sample(1_000)
    inspection.touch(first, 10 * IDLE_MS)
    assert inspection.of_item(10 * IDLE_MS + 5, EVENT_CODE) == first
    inspection.touch(b"another", 30 * IDLE_MS)
    assert inspection.of_item(30 * IDLE_MS, EVENT_CODE) != first


def test_a_command_names_the_act_that_it_begins(inspection):
    first = inspection.of_item(1_000, EVENT_CODE)
    assert inspection.of_sample(1_000 + 2 * IDLE_MS, b"command1") == b"command1"
    assert inspection.of_item(2_000 + 2 * IDLE_MS, EVENT_CODE) == b"command1"
    assert inspection.of_sample(3_000 + 2 * IDLE_MS) not in (first, b"command1")


def test_a_standard_and_a_dark_frame_end_no_act(inspection):
    first = inspection.of_item(1_000, EVENT_CODE)
    assert inspection.alone() != first
    assert inspection.alone(b"command1") == b"command1"
    assert inspection.of_sample(2_000) == first


def test_who_scans_measures_and_scans_again_has_the_next_consignment(inspection):
    first = inspection.of_item(1_000, EVENT_CODE)
    assert inspection.of_item(2_000, EVENT_CODE) == first
    assert inspection.of_item(3_000, EVENT_WEIGHT) == first
    assert inspection.of_sample(4_000) == first
    assert inspection.of_item(5_000, EVENT_DOCUMENT) == first  # fetched while it was measured
    second = inspection.of_item(6_000, EVENT_CODE)
    assert second != first
    assert inspection.of_item(7_000, EVENT_DOCUMENT) == second
    assert inspection.of_sample(8_000) == second


def test_who_measures_first_reads_everything_afterwards(inspection):
    first = inspection.of_sample(1_000)
    for kind in (EVENT_CODE, EVENT_CODE, EVENT_DOCUMENT, EVENT_WEIGHT):
        assert inspection.of_item(2_000, kind) == first
    assert inspection.of_sample(3_000) != first


def test_a_measurement_that_failed_is_repeated_in_the_same_act(inspection):
    first = inspection.of_item(1_000, EVENT_CODE)
    assert inspection.of_sample(2_000) == first
    inspection.missed(first)
    assert inspection.of_item(3_000, EVENT_CODE) == first
    assert inspection.of_sample(4_000) == first
    assert inspection.sample_count == 2
    second = inspection.of_sample(5_000)
    assert second != first
    inspection.missed(first)  # told late: it is another act by now
    assert inspection.of_sample(6_000) != second
