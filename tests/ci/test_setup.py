"""Goal: setting up is repeatable, leaves the system alone, and says in a sentence what is wrong.

Method: the real programs (sh, python, venv, pip, make) on small projects made here; no network.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".ci"))

from provision import command, debian, environment, files, programs, terminal  # noqa: E402
from provision.terminal import SetupError  # noqa: E402

# ---------------------------------------------------------------------------- programs, versions


def write_program(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_the_real_programs_do(mosquitto_path: Path, micropython_path: Path) -> None:
    assert programs.mosquitto_version(mosquitto_path).startswith("2.")
    assert programs.micropython_version(micropython_path).startswith("1.")


@pytest.mark.parametrize("version,does", [("1.6.12", False), ("2.1.0", True), ("3.0.0", False)])
def test_the_version_of_mosquitto_decides(tmp_path: Path, version: str, does: bool) -> None:
    body = f"echo mosquitto version {version}; exit 3"
    path = write_program(tmp_path / "mosquitto", body)
    if does:
        assert programs.mosquitto_version(path) == version
    else:
        with pytest.raises(SetupError, match=f"mosquitto version {version}, wanted is 2.x"):
            programs.mosquitto_version(path)


@pytest.mark.parametrize(
    "printed,complaint",
    [
        ("micropython 1 24 1", "is MicroPython 1.24, wanted is 1.25"),
        ("cpython 3 13 1", "is not MicroPython"),
    ],
)
def test_another_interpreter_does_not_do(tmp_path: Path, printed: str, complaint: str) -> None:
    path = write_program(tmp_path / "micropython", f"echo {printed}")
    with pytest.raises(SetupError, match=complaint):
        programs.micropython_version(path)


def test_a_program_on_path_is_taken_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "system"
    write_program(folder / "mosquitto", "echo mosquitto version 2.0.18; exit 3")
    write_program(folder / "micropython", "echo micropython 1 25 0")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    programs.ensure_programs(tmp_path)
    for name in ("mosquitto", "micropython"):
        assert (tmp_path / ".tools/bin" / name).resolve() == folder / name
    assert all(there for there, _ in programs.describe(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # in place already: nothing is looked for again
    capsys.readouterr()
    programs.ensure_programs(tmp_path)
    assert capsys.readouterr().out == ""


def test_what_cannot_be_had_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without apt on PATH, as on another Linux; a sentence for each program, and no stamp."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "SYSTEM_FOLDERS", ())
    with pytest.raises(SetupError, match=r"without mosquitto 2\.x and MicroPython 1.25"):
        programs.ensure_programs(tmp_path)
    remedy = "brew install" if sys.platform == "darwin" else "put it on PATH"
    assert [remedy in line for line in capsys.readouterr().err.splitlines()] == [True, True]
    assert not (tmp_path / ".tools/ready").exists()


def test_an_architecture_without_packages_is_named() -> None:
    system = debian.System("debian", "bookworm", "riscv64", [])
    said = programs._how_to_get(programs.PROGRAMS[1], system)
    assert "amd64 and arm64, not riscv64" in said or sys.platform == "darwin"


# -------------------------------------------------------------------------------- running programs


def test_a_failure_shows_command_last_lines_and_remedy() -> None:
    with pytest.raises(SetupError) as caught:
        terminal.run(["sh", "-c", "seq 100; exit 7"], remedy="count again", seconds_max=30)
    assert str(caught.value) == "sh -c 'seq 100; exit 7' failed (status 7); count again"
    assert caught.value.output.splitlines() == [str(n) for n in range(89, 101)]


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(SetupError, match=r"cannot start nothing-here: .*; install it"):
        terminal.run(["nothing-here"], remedy="install it", seconds_max=30)


def test_a_deadline_ends_the_program_and_its_children() -> None:
    """The child holds the pipe: were it left alone, this would not return before it."""
    with pytest.raises(SetupError, match=r"did not end within 1 s; wait longer") as caught:
        terminal.run(
            ["sh", "-c", "sleep 600 & echo begun; wait"], remedy="wait longer", seconds_max=1
        )
    assert caught.value.output == "begun"


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "a/stamp"
    files.write_stamp(path, {"lock": "1"})
    assert files.read_stamp(path) == {"lock": "1"}
    path.write_text('{"lock": "1"')  # torn
    assert files.read_stamp(path) == {}
    assert files.read_stamp(tmp_path / "absent") == {}
    assert [p.name for p in path.parent.iterdir()] == ["stamp"]


def test_two_setups_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WAIT_S_MAX", 0.0)
    lock = tmp_path / ".tools/lock"
    with (
        files.only_one(lock),
        pytest.raises(SetupError, match="another setup"),
        files.only_one(lock),
    ):
        pytest.fail("both hold the lock")
    with files.only_one(lock):
        pass


# --------------------------------------------------------------------------- the environment itself

BACKEND = """
import pathlib, zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "harmattan-0.1.0-py3-none-any.whl"
    info = "harmattan-0.1.0.dist-info/"
    named = "Metadata-Version: 2.1\\nName: harmattan\\nVersion: 0.1.0\\n"
    made = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        wheel.writestr("harmattan.pth", str(pathlib.Path.cwd()))
        wheel.writestr(info + "METADATA", named)
        wheel.writestr(info + "WHEEL", made)
        wheel.writestr(info + "RECORD", "")
    return name
"""


def make_wheel(folder: Path, name: str) -> Path:
    """Write a wheel with one empty module."""
    folder.mkdir(exist_ok=True)
    path, info = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info/"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(
            info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(
            info + "RECORD", f"{name}.py,,\n{info}METADATA,,\n{info}WHEEL,,\n{info}RECORD,,\n"
        )
    return path


def lock(
    project: Path, *wheels: Path, digest: str = "", name: str = "requirements-dev.txt"
) -> None:
    """Write a lock of a small project, with true hashes unless another is given."""
    lines = [
        f"{wheel.name.split('-')[0]}==1.0 --hash=sha256:{digest or files.digest(wheel)}\n"
        for wheel in wheels
    ]
    (project / name).write_text("".join(lines))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project of the same shape, and pip confined to wheels on this disk."""
    folder = tmp_path / "project"
    (folder / "backend").mkdir(parents=True)
    (folder / "backend/plain.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "plain"\nbackend-path = ["backend"]\n'
        '[project]\nname = "harmattan"\nversion = "0.1.0"\n'
    )
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # no uv: this is the way that always works
    if (ROOT / ".tools/pip").exists():  # this Python has no ensurepip; what setup fetched serves
        shutil.copytree(ROOT / ".tools/pip", folder / ".tools/pip")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_NO_COMPILE", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return folder


def list_installed(project: Path) -> set[str]:
    code = "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"
    python = project / ".venv/bin/python"
    return set(terminal.run([python, "-c", code], remedy="", seconds_max=60).split())


def test_the_environment_follows_the_lock(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One story, because each interpreter with pip takes seconds to make."""
    one, two = (make_wheel(tmp_path / "wheels", name) for name in ("one", "two"))
    lock(project, one)
    environment.ensure_environment(project)
    assert list_installed(project) == {"pip", "one", "harmattan"}
    assert environment.describe(project)[0]

    capsys.readouterr()
    environment.ensure_environment(project)
    assert capsys.readouterr().out == "", "the second time there is nothing to do"

    lock(project, two)
    environment.ensure_environment(project)
    assert list_installed(project) == {"pip", "two", "harmattan"}, "what the lock drops is removed"

    stubs = (make_wheel(tmp_path / "wheels", f"micropython_{name}_stubs") for name in "ab")
    lock(project, *stubs, name=environment.STUBS)
    environment.ensure_environment(project)
    assert list_installed(project) == {"pip", "two", "harmattan"}, "stubs lie apart"
    for name in "ab":
        assert (project / f".venv/stubs/{name}/micropython_{name}_stubs.py").exists()

    lock(project, one, digest="0" * 64)
    with pytest.raises(SetupError, match="check the network and the package index") as caught:
        environment.ensure_environment(project)
    assert "HASH" in caught.value.output.upper(), "another content than the locked one is refused"
    assert not environment.describe(project)[0]

    lock(project, one)
    moved = tmp_path / "moved"
    project.rename(moved)
    environment.ensure_environment(moved)
    assert "removing a .venv that is unfinished, was moved" in capsys.readouterr().out
    assert list_installed(moved) == {"pip", "one", "harmattan"}
    assert str(moved) in (moved / ".venv/bin/pip").read_text().splitlines()[0]


# --------------------------------------------------------------------- what the repository promises


@pytest.mark.parametrize(
    "name,count_min",
    [("requirements.txt", 20), ("requirements-dev.txt", 20), ("requirements-stubs.txt", 4)],
)
def test_locks_are_pinned_hashed_and_name_no_host(name: str, count_min: int) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted-host| @ ", text)
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", text)[1:]
    assert len(entries) >= count_min
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==[0-9][^\s]*( ;[^\\]*)? \\\n", entry), entry[:80]
        assert "--hash=sha256:" in entry


def test_the_runtime_lock_is_part_of_the_other_and_holds_no_tool() -> None:
    runtime, dev = (
        set(re.findall(r"(?m)^[A-Za-z0-9._-]+==\S+", (ROOT / name).read_text()))
        for name in ("requirements.txt", "requirements-dev.txt")
    )
    assert runtime < dev
    assert not {line.split("==")[0] for line in runtime} & {"pytest", "ruff", "mypy", "msgpack"}


def test_the_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    """Band tables, lists, catalogues, SQL and scenarios travel with the code."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=True,
    )
    (wheel,) = tmp_path.glob("harmattan-*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    wanted = {
        str(path.relative_to(ROOT))
        for package in ("protocol", "gateway", "simulators", "hardware")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name[0] != "."
    }
    shipped = {name for name in held if name.startswith("gateway/shipped/")}  # of packaging/
    assert shipped
    assert held - shipped == wanted
    assert any(name.endswith(".csv") for name in held)
    assert any(name.endswith(".sql") for name in held)


def test_no_mirror_is_written_down() -> None:
    for path in [*(ROOT / ".ci").rglob("*.py"), ROOT / "Makefile", ROOT / ".ci/run"]:
        assert "://" not in path.read_text(), f"{path} holds an address"


def test_an_old_python_can_read_the_entry() -> None:
    path = ROOT / ".ci/setup.py"
    ast.parse(path.read_text(), str(path), feature_version=(3, 7))


def test_check_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "requirements-dev.txt").touch()
    assert command.main(str(tmp_path), ["--check"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == [".venv", "mosquitto", "micropython"]
    assert all("run make" in line for line in said)


@pytest.mark.parametrize(
    "python,said", [("nothing-here", "there is no nothing-here"), ("old", "3.11")]
)
def test_make_without_a_suitable_python_ends_with_one_sentence(
    tmp_path: Path, python: str, said: str
) -> None:
    for name in ("Makefile", ".ci", "pyproject.toml", "requirements-dev.txt", environment.STUBS):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    old = write_program(
        tmp_path / "bin/old", f'[ "$1" = -c ] && echo 3 9 /x || exec {sys.executable} "$@"'
    )
    done = subprocess.run(
        ["make", "check", f"PYTHON={old if python == 'old' else python}"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("harmattan: ")]
    assert len(lines) == 1
    assert said in lines[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_help_lists_every_target_a_person_calls() -> None:
    said = subprocess.run(
        ["make", "-C", ROOT, "--no-print-directory"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "MAKEFLAGS": ""},
    ).stdout
    named = re.findall(r"(?m)^  make (\S+)", said)
    asked = {"help", "setup", "tools", "demo", "run", "test", "check", "bench", "clean"}
    assert asked <= set(named)


# ------------------------------------------------------------------------- the rules of conftest.py


@pytest.mark.parametrize("ci,passed", [("", True), ("true", False)])
def test_without_measured_spectra_tests_are_counted_or_fail(
    tmp_path: Path, ci: str, passed: bool
) -> None:
    folder = tmp_path / "clone/tests"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "tests/conftest.py", folder)
    (folder / "test_a.py").write_text(
        "def test_plain(): pass\ndef test_measured(raman_path): assert raman_path.is_dir()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder],
        cwd=tmp_path / "clone",
        env={"PATH": os.environ["PATH"], "CI": ci},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode == 0) is passed
    assert "set HARMATTAN_RAMAN to a folder" in done.stdout
    if passed:
        assert "1 tests did not run" in done.stdout
        assert "test_a.py::test_measured" in done.stdout
    else:
        assert "the measured spectra are missing" in done.stdout
