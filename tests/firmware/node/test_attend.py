"""Goal: what a reader says is stored, its troubles come and go, and each order has one answer.

Method: the task of a reader with a driver that plays a script, and the real signals and commands.
"""

import asyncio

import pytest

from node.actions import Actions
from node.attend import Attend
from node.clock import Clock
from node.commands import Commands
from node.errors import InstrumentSilent
from node.inspection import Inspection
from node.signals import Signals
from protocol.messages import (
    ACTION_TARE,
    ACTION_WEIGH,
    EVENT_WEIGHT,
    OUTCOME_DONE,
    OUTCOME_FAILED,
    OUTCOME_REFUSED,
    Command,
)

ITEM = (EVENT_WEIGHT, "", b"S S 12.500 kg", 12_500_000, True)


class Board:
    def __init__(self):
        self.lines = []
        self.logged = []

    def signal(self, _lamp, line, _word, _text):
        self.lines.append(line)

    def log(self, line):
        self.logged.append(line)


class Scanner:
    """Gives what it is told to, one by one; an exception is raised, a function called."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.trouble = ""
        self.is_open = False

    async def open(self):
        self.is_open = True

    async def identify(self):
        return "a reader"

    async def next(self, _wait_ms):
        step = self.steps.pop(0) if self.steps else InstrumentSilent("the script has ended")
        if callable(step):
            step = step()
        if isinstance(step, Exception):
            raise step
        return step

    async def close(self):
        self.is_open = False


class Scale(Scanner):
    """The same, and it does what it is asked."""

    answer = (True, "tared", None)

    async def obey(self, action):
        self.asked = action
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Node:
    """What a reader's task asks of a node."""

    def __init__(self, folder, driver):
        self.board = Board()
        self.signals = Signals(self.board, "en")
        self.clock = Clock(lambda: 0, lambda a, b: a - b, b"bootboot")
        self.inspection = Inspection(lambda count: b"i" * count)
        self.journal = self
        self.journal_id, self.boot_id, self.next_seq = b"journal1", b"bootboot", 1
        self.stored, self.results = [], []
        self.reader = Attend(self, "mt_sics", driver)
        self.readers = {"mt_sics": self.reader}
        self.commands = Commands(
            self.clock, self.results.append, str(folder / "commands"), self.board.log
        )
        self.commands.actions = Actions(self, None).known()

    def store(self, event):
        self.stored.append(event)
        self.next_seq += 1
        return self.next_seq - 1

    def take(self, number, action):
        self.commands.take(Command(b"command%d" % number, action, None, b""))

    def run(self):
        with pytest.raises(InstrumentSilent):
            asyncio.run(self.reader.run(lambda: None))


def test_what_it_says_is_stored_and_an_error_ends_the_task(tmp_path):
    driver = Scanner(None, ITEM, ITEM)
    node = Node(tmp_path, driver)
    node.run()
    assert [event.mass_mg for event in node.stored] == [12_500_000] * 2
    assert {event.inspection_id for event in node.stored} == {b"i" * 8}
    assert node.board.logged == ["mt_sics: a reader"]
    assert not driver.is_open


def test_a_trouble_stands_while_the_driver_says_so(tmp_path):
    seen = []

    def say(text):
        def step():
            driver.trouble = text
            seen.append(node.signals.standing("mt_sics"))

        return step

    driver = Scanner(say("too much on it"), say("too much on it"), say(""), say(""))
    node = Node(tmp_path, driver)
    node.run()
    assert seen == ["", "too much on it", "too much on it", ""]
    assert [line for line in node.board.lines if line.startswith("signal fault")] == [
        'signal fault what=mt_sics text="too much on it"'
    ]


def test_a_node_without_scale_refuses(tmp_path):
    """SPEC 8.10."""
    node = Node(tmp_path, Scanner())
    node.take(1, ACTION_WEIGH)
    (result,) = node.results
    assert result.outcome == OUTCOME_REFUSED
    assert result.detail.startswith("no scale hangs on this node")


def test_a_scale_that_is_not_there_refuses_and_says_why(tmp_path):
    """SPEC 8.10."""
    node = Node(tmp_path, Scale())
    node.take(1, ACTION_WEIGH)
    node.run()
    node.signals.fault("mt_sics", "serial port x does not exist")
    node.take(2, ACTION_WEIGH)
    assert [result.outcome for result in node.results] == [OUTCOME_REFUSED] * 2
    assert [result.detail for result in node.results] == [
        "mt_sics is not ready yet",
        "serial port x does not exist",
    ]


def test_orders_are_done_one_at_a_time_and_answered(tmp_path):
    """SPEC 8.10, SPEC 8.2, SPEC 8.1."""

    def order():
        node.take(1, ACTION_TARE)
        node.take(2, ACTION_WEIGH)

    def weigh():
        driver.answer = (False, "the weight does not settle", (*ITEM[:4], False))
        node.take(3, ACTION_WEIGH)

    driver = Scale(order, weigh, None)
    node = Node(tmp_path, driver)
    node.run()
    assert [(result.command_id, result.outcome, result.detail) for result in node.results] == [
        (b"command2", OUTCOME_REFUSED, "mt_sics is at another order; wait for its answer"),
        (b"command1", OUTCOME_DONE, "tared"),
        (b"command3", OUTCOME_FAILED, "the weight does not settle; record 1"),
    ]
    assert [event.stable for event in node.stored] == [False]
    node.take(1, ACTION_TARE)  # once more: the same answer, and nothing is done
    assert node.results[-1].detail == "tared"
    assert driver.asked == ACTION_WEIGH
    restarted = Node(tmp_path, Scale())
    restarted.take(1, ACTION_TARE)  # nor after a restart
    assert restarted.results[-1].detail == "tared"


def test_an_order_is_answered_however_the_task_ends(tmp_path):
    """SPEC 8.10, SPEC 8.2."""
    driver = Scale(lambda: node.take(1, ACTION_TARE))
    driver.answer = InstrumentSilent("scale on x does not answer")
    node = Node(tmp_path, driver)
    node.run()
    driver.steps = [lambda: node.take(2, ACTION_TARE), None]
    driver.answer = RuntimeError("a slip")
    with pytest.raises(RuntimeError):
        asyncio.run(node.reader.run(lambda: None))
    assert [(result.outcome, result.detail) for result in node.results] == [
        (OUTCOME_FAILED, "scale on x does not answer"),
        (OUTCOME_FAILED, "mt_sics was stopped before it had answered"),
    ]
