"""Goal: a command runs no code of the folder in which it is typed.

Method: every place in the source that starts a process is read; then the commands that start
themselves again are run in a folder full of modules that betray themselves.
"""

import ast
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import gateway
from gateway import interpreter
from gateway.journal.store import FILE_NAME, connect
from tests.gateway.running import write_settings

SOURCE = Path(gateway.__file__).parent
STARTS = {
    "Popen", "call", "check_call", "check_output", "create_subprocess_exec",
    "create_subprocess_shell", "execv", "execve", "execvp", "execl", "execlp", "getoutput",
    "getstatusoutput", "popen", "posix_spawn", "posix_spawnp", "spawnl", "spawnv", "system",
}  # fmt: skip
OTHERS = {
    "path",  # mosquitto, where the settings or PATH say it is
    "program",  # likewise
    "'ps'",
}
# Stands in for modules that every command loads: says that it was loaded, and goes no further.
TRAP = "import os, pathlib; pathlib.Path(os.environ['TRAPPED']).write_text(__name__)\n"
TRAPS = ("gateway", "typer", "json", "msgspec", "sitecustomize", "usercustomize", "apsw")


def calls():
    """Give (file, call) of every call that starts a process."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = ast.unparse(node.func.value)
            is_run = node.func.attr == "run" and owner == "subprocess"
            if is_run or (node.func.attr in STARTS and owner != "apsw"):
                yield path.relative_to(SOURCE.parent).as_posix(), node


def first(call):
    """Return what a call runs, as it is written."""
    found = call.args[0]
    if isinstance(found, ast.List | ast.Tuple):
        found = found.elts[0]
    return ast.unparse(found).removeprefix("*")


def test_only_one_module_starts_python():
    found = [(name, first(call)) for name, call in calls()]
    ours = [name for name, told in found if told.startswith("interpreter.command(")]
    assert ours == ["gateway/doctor/rehearsal/stage.py", "gateway/observe/bundle.py"]
    assert {told for name, told in found if name not in ours} == OTHERS
    for name, call in calls():
        assert "shell" not in {each.arg for each in call.keywords}, name
        if name in ours:
            environment = next(each.value for each in call.keywords if each.arg == "env")
            assert ast.unparse(environment).startswith("interpreter.environment(")


def test_nothing_else_names_the_interpreter_or_loads_code_by_name():
    places = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if "sys.executable" in path.read_text() or "multiprocessing" in path.read_text()
    }
    assert places == {"interpreter.py", "service.py"}  # that one names the folder it lies in


@pytest.fixture
def trapped(tmp_path, free_port):
    """A post, a folder of traps, and a function that runs a command there."""
    path = write_settings(tmp_path / "post", free_port)
    (tmp_path / "post" / "state").mkdir(mode=0o700)
    connect(tmp_path / "post" / "state" / FILE_NAME).close()
    folder = tmp_path / "traps"
    folder.mkdir()
    for name in TRAPS:
        (folder / f"{name}.py").write_text(TRAP)

    def run(*arguments):
        """Run a command as the installed script does, which has no current folder either."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "gateway", *map(str, arguments)],
            cwd=folder,
            env={
                **os.environ,
                "TRAPPED": str(tmp_path / "trapped"),
                "PYTHONPATH": str(SOURCE.parent),
            },
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert not (tmp_path / "trapped").exists(), (tmp_path / "trapped").read_text()
        return done

    return path, run


def test_the_bundle_asks_the_doctor_and_nobody_else(trapped, tmp_path):
    path, run = trapped
    done = run("bundle", tmp_path / "b.zip", "-s", path)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert json.loads(archive.read("doctor.json"))["post"] == "post-1"


def test_the_rehearsal_runs_our_gateway_and_no_other(trapped):
    path, run = trapped
    path.write_text(path.read_text().replace("[broker]", "[broker]\nprogram = 'no-such-broker'"))
    done = run("doctor", "--rehearse", "--json", "-s", path)
    assert "'no-such-broker' is not on PATH" in json.loads(done.stdout)["steps"][0]["text"]


def test_a_place_that_is_the_current_folder_is_left_out():
    found = interpreter.environment({"PYTHONPATH": ":/some/where::", "HOME": "/h"})
    assert "/some/where" in found["PYTHONPATH"].split(":")
    assert "" not in found["PYTHONPATH"].split(":")
    assert found["HOME"] == "/h"
