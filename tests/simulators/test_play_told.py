"""Goal: who plays a scenario learns why a step came to nothing.

Method: the real readers on their ports, and a node of which there are only the events.
"""

import asyncio
from types import SimpleNamespace

import pytest

from simulators.events import Event, Events
from simulators.play import TRIES_MAX, Play
from simulators.programs import ProgramError
from simulators.readers import Readers
from simulators.scenario import SCENARIOS, load_scenario
from simulators.world import load_substances

NODE = SimpleNamespace(name="lane-1", last="task document failed")


class Answered(Readers):
    """Readers of a node that says the same whatever they are shown."""

    said = Event(NODE.name, "reread")

    def show(self, thing):
        super().show(thing)
        self.saying = asyncio.create_task(self.events.add(self.said))


def play(folder, said):
    """Play the first step of a scenario at a node that says this to each try."""

    async def story():
        async with Answered(folder) as readers:
            readers.events, readers.said = Events(), said
            lane = SimpleNamespace(node=NODE, events=readers.events)
            scenario = load_scenario(SCENARIOS / "bad_morning.toml", load_substances())
            return await Play(lane, readers, lambda _: None).act(scenario.act("urea"))

    return asyncio.run(story())


def test_a_node_that_died_is_not_waited_for(tmp_path):
    died = Event(NODE.name, "killed", {"text": "lane-1 was ended by SIGSEGV"})
    with pytest.raises(ProgramError, match=r"ended by SIGSEGV(.|\n)*task document failed"):
        play(tmp_path, died)


def test_a_step_that_came_to_nothing_tells_what_the_node_said(tmp_path):
    done, told = play(tmp_path, Event(NODE.name, "reread"))
    assert done == []
    assert f"signals: {' '.join(['reread'] * TRIES_MAX)}; bytes to the node: 0" in told
