"""Goal: what is read of one consignment carries one identity, and nothing of the next one.

Method: acts as officers have them, on a clock that the test turns; then whatever can come, in any
order, held against the tables of the module as plain models say them.
"""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from node.inspection import IDLE_MS, Inspection
from protocol.messages import EVENT_CODE, EVENT_DOCUMENT, EVENT_WEIGHT

ITEMS = (EVENT_CODE, EVENT_DOCUMENT, EVENT_WEIGHT)


def counted():
    """Return a source of names, none of which comes twice."""
    numbers = itertools.count(1)
    return lambda count: b"%0*d" % (count, next(numbers))


@pytest.fixture
def inspection():
    return Inspection(counted())


@pytest.fixture
def probe_first():
    return Inspection(counted(), papers_first=False)


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
    assert inspection.of_item(10 * IDLE_MS, EVENT_WEIGHT) == first
    inspection.ended(first, 20 * IDLE_MS)
    assert inspection.of_item(20 * IDLE_MS + 5, EVENT_CODE) == first
    inspection.ended(b"another", 40 * IDLE_MS)
    assert inspection.of_item(40 * IDLE_MS, EVENT_CODE) != first


def test_one_that_took_long_and_failed_is_repeated_in_its_act(inspection):
    first = inspection.of_item(1_000, EVENT_DOCUMENT)
    assert inspection.of_sample(2_000) == first
    inspection.missed(first)
    inspection.ended(first, 3 * IDLE_MS)
    assert inspection.of_sample(3 * IDLE_MS + 10_000) == first


def test_a_command_names_the_act_that_it_begins(inspection):
    first = inspection.of_item(1_000, EVENT_CODE)
    assert inspection.of_sample(1_000 + 2 * IDLE_MS, b"command1") == b"command1"
    inspection.ended(b"command1", 2_000 + 2 * IDLE_MS)
    assert inspection.of_item(2_000 + 2 * IDLE_MS, EVENT_CODE) == b"command1"
    assert inspection.of_sample(3_000 + 2 * IDLE_MS, b"command2") == b"command2"
    assert inspection.of_sample(4_000 + 2 * IDLE_MS) not in (first, b"command1", b"command2")


def test_a_command_to_measure_joins_the_papers_that_were_read(inspection):
    first = inspection.of_item(1_000, EVENT_DOCUMENT)
    assert inspection.of_sample(20_000, b"command1") == first
    inspection.missed(first)
    assert inspection.of_sample(30_000, b"command2") == first
    assert inspection.of_sample(40_000, b"command3") == b"command3"


def test_papers_that_come_after_a_sample_are_of_the_next_lorry(inspection):
    first = inspection.of_sample(1_000)
    inspection.ended(first, 2_000)
    second = inspection.of_item(3_000, EVENT_DOCUMENT)
    assert second != first
    assert inspection.of_item(4_000, EVENT_DOCUMENT) == second  # of the second driver
    assert inspection.of_sample(5_000) == second


def test_papers_read_between_an_empty_sample_and_the_next_belong_to_it(inspection):
    first = inspection.of_sample(1_000)
    inspection.missed(first)
    inspection.ended(first, 2_000)
    assert inspection.of_item(3_000, EVENT_DOCUMENT) == first
    assert inspection.of_sample(4_000) == first


def test_what_was_read_during_a_measurement_that_failed_was_before_the_next(inspection):
    first = inspection.of_item(1_000, EVENT_DOCUMENT)
    assert inspection.of_sample(2_000) == first
    assert inspection.of_item(3_000, EVENT_CODE) == first
    inspection.missed(first)
    inspection.ended(first, 4_000)
    assert inspection.of_sample(5_000) == first
    assert inspection.of_item(6_000, EVENT_CODE) != first


def test_a_standard_and_a_dark_frame_end_no_act(inspection):
    first = inspection.of_item(1_000, EVENT_CODE)
    assert inspection.alone() != first
    assert inspection.alone(b"command1") == b"command1"
    assert inspection.of_sample(2_000) == first


def test_who_scans_measures_and_scans_again_has_the_next_consignment(inspection):
    first = inspection.of_item(1_000, EVENT_CODE)
    assert inspection.of_item(2_000, EVENT_CODE) == first
    assert inspection.of_item(3_000, EVENT_DOCUMENT) == first
    assert inspection.of_sample(4_000) == first
    assert inspection.of_item(5_000, EVENT_WEIGHT) == first  # the scale stands behind the probe
    second = inspection.of_item(6_000, EVENT_CODE)
    assert second != first
    assert inspection.of_item(7_000, EVENT_DOCUMENT) == second
    assert inspection.of_sample(8_000) == second


def test_where_the_probe_comes_first_everything_is_read_afterwards(probe_first):
    first = probe_first.of_sample(1_000)
    for kind in (EVENT_CODE, EVENT_CODE, EVENT_DOCUMENT, EVENT_DOCUMENT, EVENT_WEIGHT):
        assert probe_first.of_item(2_000, kind) == first
    second = probe_first.of_sample(3_000)
    assert second != first
    assert probe_first.of_item(4_000, EVENT_DOCUMENT) == second


def test_also_there_papers_read_before_a_sample_and_after_it_are_of_two_lorries(probe_first):
    first = probe_first.of_item(1_000, EVENT_DOCUMENT)
    assert probe_first.of_sample(2_000) == first
    assert probe_first.of_item(3_000, EVENT_DOCUMENT) != first


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


@pytest.fixture
def readers_only():
    return Inspection(counted(), has_probe=False)


@pytest.fixture
def papers_last():
    return Inspection(counted(), papers_first=False, has_probe=False)


CODE, PAPERS, WEIGHT = EVENT_CODE, EVENT_DOCUMENT, EVENT_WEIGHT


def told(inspection, kinds):
    """Return how many items each act has, when such come a second apart."""
    names = [inspection.of_item(1_000 * at, kind) for at, kind in enumerate(kinds)]
    counts = [len(list(group)) for _, group in itertools.groupby(names)]
    assert len(set(names)) == len(counts)  # none comes back
    return counts


@pytest.mark.parametrize(
    "kinds, counts",
    [
        ((PAPERS, CODE, WEIGHT, PAPERS, CODE, WEIGHT), [3, 3]),
        ((PAPERS, PAPERS, CODE, CODE, PAPERS, WEIGHT), [4, 2]),  # two drivers
        ((PAPERS, CODE, PAPERS, PAPERS, CODE, PAPERS), [2, 3, 1]),
        ((CODE, PAPERS, CODE, PAPERS), [3, 1]),  # who scans before the papers is forgiven
        ((CODE, WEIGHT, CODE, WEIGHT), [4]),
    ],
)
def test_without_a_probe_papers_after_something_else_are_of_the_next_lorry(
    readers_only, kinds, counts
):
    assert told(readers_only, kinds) == counts


@pytest.mark.parametrize(
    "kinds, counts",
    [
        ((CODE, WEIGHT, PAPERS, CODE, WEIGHT, PAPERS), [3, 3]),
        ((WEIGHT, CODE, PAPERS, PAPERS, CODE, PAPERS), [4, 2]),
        ((PAPERS, CODE, PAPERS, CODE), [3, 1]),
        ((PAPERS, PAPERS, CODE, WEIGHT, PAPERS, WEIGHT), [5, 1]),
        ((CODE, WEIGHT, CODE, WEIGHT), [4]),
    ],
)
def test_without_a_probe_goods_after_papers_that_come_last_are_of_the_next_lorry(
    papers_last, kinds, counts
):
    assert told(papers_last, kinds) == counts


@pytest.mark.parametrize("papers_first", [True, False])
def test_without_a_probe_an_act_ends_when_nothing_comes_for_long(papers_first):
    inspection = Inspection(counted(), papers_first, has_probe=False)
    first = inspection.of_item(1_000, PAPERS)
    assert inspection.of_item(1_000 + IDLE_MS, PAPERS) == first
    second = inspection.of_item(2_000 + 2 * IDLE_MS, CODE)
    assert second != first
    assert inspection.of_item(3_000 + 2 * IDLE_MS, PAPERS) == second
    assert inspection.of_item(4_000 + 2 * IDLE_MS, PAPERS) == second


def test_a_period_over_an_empty_holder_keeps_no_act_open(inspection):
    """What is read of one lorry, minutes later, is not of the one before."""
    first = inspection.of_item(0, EVENT_DOCUMENT)
    for now_ms in range(30_000, IDLE_MS, 30_000):
        assert inspection.of_sample(now_ms) == first
        inspection.missed(first)
        inspection.ended(first, now_ms + 5_000)  # measuring does not count
    second = inspection.of_item(IDLE_MS + 10_001 + 5_000, EVENT_DOCUMENT)
    assert second != first


def test_who_measures_again_after_a_long_exposure_that_failed_is_still_in_the_act(inspection):
    first = inspection.of_item(0, EVENT_DOCUMENT)
    assert inspection.of_sample(10_000) == first
    inspection.missed(first)
    inspection.ended(first, 10_000 + 5 * IDLE_MS)
    assert inspection.of_sample(10_000 + 6 * IDLE_MS - 10_000) == first


class Act:
    """One act as the table sees it.

    Attributes:
        name: what its records carry; None: nothing has come yet.
        read: kinds of items, in the order they came.
        sample: "none", "asked" or "measured".
        before: kinds that were read before the sample.
    """

    def __init__(self):
        self.name = None
        self.read = []
        self.sample = "none"
        self.before = []


class AnyOrder(RuleBasedStateMachine):
    """Items, samples, commands, standards, darks, failures and pauses, in any order."""

    papers_first = True

    def __init__(self):
        super().__init__()
        self.inspection = Inspection(counted(), self.papers_first)
        self.now_ms = self.newest_ms = 0
        self.idle_ms = 0  # before the newest sample was asked for
        self.act = Act()
        self.names = set()  # of all acts so far
        self.ordered = 0
        self.asked = []  # names of the samples that are not measured yet, oldest first

    def expect(self, found, name=None):
        """Hold what was given out against the act that is meant."""
        if self.act.name is None:
            assert found not in self.names
            assert name is None or found == name
            self.act.name = found
            self.names.add(found)
        assert found == self.act.name
        self.newest_ms = self.now_ms

    def end_if_idle(self):
        if self.act.sample != "asked" and self.now_ms - self.newest_ms > IDLE_MS:
            self.act = Act()

    @rule(kind=st.sampled_from(ITEMS))
    def item(self, kind):
        self.end_if_idle()
        is_next = kind in self.act.before
        if kind == EVENT_DOCUMENT and self.papers_first:
            is_next = True
        if self.act.sample != "none" and is_next:
            self.act = Act()
        self.expect(self.inspection.of_item(self.now_ms, kind))
        self.act.read.append(kind)
        self.idle_ms = 0

    def ask(self, command_id):
        self.end_if_idle()
        if self.act.sample != "none":
            self.act = Act()
        self.idle_ms = 0 if self.act.name is None else self.now_ms - self.newest_ms
        self.expect(self.inspection.of_sample(self.now_ms, command_id), command_id)
        self.act.sample, self.act.before = "asked", list(self.act.read)
        self.asked.append(self.act.name)

    @rule()
    def press(self):
        """Button, foot, period or a look."""
        self.ask(None)

    @rule()
    def command(self):
        self.ordered += 1
        self.ask(b"cmd%05d" % self.ordered)

    @rule(is_ordered=st.booleans())
    def alone(self, is_ordered):
        """A standard, or the dark: whoever asks."""
        self.ordered += is_ordered
        command_id = b"cmd%05d" % self.ordered if is_ordered else None
        name = self.inspection.alone(command_id)
        assert name not in self.names
        assert not is_ordered or name == command_id
        self.names.add(name)
        self.inspection.ended(name, self.now_ms)

    @precondition(lambda self: self.asked)
    @rule(is_missed=st.booleans())
    def end(self, is_missed):
        """The oldest that was asked for is measured; or it failed, or was empty."""
        name = self.asked.pop(0)
        if is_missed:
            self.inspection.missed(name)
        self.inspection.ended(name, self.now_ms)
        if name == self.act.name:
            self.act.sample = "none" if is_missed else "measured"
            self.newest_ms = self.now_ms - (self.idle_ms if is_missed else 0)

    @rule(ms=st.sampled_from([1, 1_000, IDLE_MS // 2, IDLE_MS, IDLE_MS + 1, 3 * IDLE_MS]))
    def wait(self, ms):
        self.now_ms += ms


class ProbeFirst(AnyOrder):
    """The same where node.json says that the probe comes first."""

    papers_first = False


class ReadersOnly(RuleBasedStateMachine):
    """Items and pauses at a node without spectrometer, held against the words of the table."""

    papers_first = True

    def __init__(self):
        super().__init__()
        self.inspection = Inspection(counted(), self.papers_first, has_probe=False)
        self.now_ms = self.newest_ms = 0
        self.read, self.name = [], None  # of the act under way
        self.names = set()

    def is_next(self, kind):
        if self.now_ms - self.newest_ms > IDLE_MS:
            return True
        if self.papers_first:
            papers = [at for at, each in enumerate(self.read) if each == PAPERS]
            others = [at for at, each in enumerate(self.read) if each != PAPERS]
            return kind == PAPERS and bool(papers and others) and others[-1] > papers[-1]
        if kind == PAPERS or set(self.read) <= {PAPERS}:
            return False
        return self.read[-1] == PAPERS

    @rule(kind=st.sampled_from(ITEMS))
    def item(self, kind):
        if self.is_next(kind):
            self.read, self.name = [], None
        found = self.inspection.of_item(self.now_ms, kind)
        assert found == self.name or (self.name is None and found not in self.names)
        self.name = found
        self.names.add(found)
        self.read.append(kind)
        self.newest_ms = self.now_ms

    @rule(ms=st.sampled_from([1, 1_000, IDLE_MS // 2, IDLE_MS, IDLE_MS + 1, 3 * IDLE_MS]))
    def wait(self, ms):
        self.now_ms += ms


class PapersLast(ReadersOnly):
    """The same where node.json says that papers come last."""

    papers_first = False


TestAnyOrder = AnyOrder.TestCase
TestProbeFirst = ProbeFirst.TestCase
TestReadersOnly = ReadersOnly.TestCase
TestPapersLast = PapersLast.TestCase
for each in (TestAnyOrder, TestProbeFirst, TestReadersOnly, TestPapersLast):
    each.settings = settings(max_examples=200, deadline=None)
