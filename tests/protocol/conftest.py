"""What the protocol's tests share: the golden vectors, and tasks run on a real MicroPython."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RUN_S_MAX = 60
HEAP = "8m"  # the vectors alone are 200 kB of JSON; what the node itself needs is tested elsewhere


@pytest.fixture(scope="session")
def accepted(repository_path: Path) -> list[dict[str, Any]]:
    """The vectors of messages.json."""
    return json.loads((repository_path / "protocol/vectors/messages.json").read_text())


@pytest.fixture(scope="session")
def refused(repository_path: Path) -> list[dict[str, Any]]:
    """The vectors of refused.json."""
    return json.loads((repository_path / "protocol/vectors/refused.json").read_text())


@pytest.fixture(scope="session")
def on_micropython(repository_path: Path, micropython_path: Path) -> Callable[..., Any]:
    """A function that runs one task of `on_micropython.py` and returns its answer."""
    script = repository_path / "tests/protocol/on_micropython.py"
    command = [str(micropython_path), "-X", f"heapsize={HEAP}", str(script), str(repository_path)]

    def run(task: str, **request: object) -> Any:
        done = subprocess.run(
            command,
            input=json.dumps({"task": task, **request}),
            capture_output=True,
            text=True,
            timeout=RUN_S_MAX,
            check=False,
        )
        assert done.returncode == 0, f"micropython failed at {task}:\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    return run
