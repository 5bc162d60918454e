"""What every suite shares: PATH, the real programs, a free port, measured spectra, hypothesis.

A program that is missing fails the tests that need it, in one sentence; nothing is skipped.
Two things are the exception: the measured spectra, because they lie outside the repository, and
the programs of systemd, because other systems have none. Where they are absent, the tests that need
them are deselected, counted and named in the summary; with ``CI`` set in the environment they fail
instead (those of systemd only on Linux).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import gateway  # noqa: F401 - before NumPy: it bounds the threads of BLAS
from gateway.doctor.rehearsal import stage

REPOSITORY = Path(__file__).resolve().parent.parent
RAMAN_VARIABLE = "HARMATTAN_RAMAN"
RAMAN_REMEDY = (
    f"set {RAMAN_VARIABLE} to a folder of two-column spectra with its INDEX.csv, "
    "or put one at ../shared/data/raman next to the repository"
)

SYSTEMD_PROGRAMS = ("systemd-analyze", "systemd-sysusers", "systemd-tmpfiles")
SYSTEMD_REMEDY = "install systemd (Debian: apt install systemd); it does not have to run"

# make does the same; this is for a bare pytest.
os.environ["PATH"] = os.pathsep.join(
    [str(REPOSITORY / ".venv/bin"), str(REPOSITORY / ".tools/bin"), os.environ.get("PATH", "")]
)

# Derandomised: a failure in the checks is a failure at every desk. `HYPOTHESIS_PROFILE=explore`
# draws new examples. No deadline: the machine is shared, and speed is measured in benchmarks/.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def find_program(name: str) -> Path:
    """Find a real program on PATH or in the folders of system daemons.

    Args:
        name: the program's file name.

    Returns:
        Its absolute path.

    Raises:
        pytest.fail.Exception: it is not there.
    """
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]))
    if found is None:
        pytest.fail(f"{name} is not on PATH; `make tools` puts it into .tools/bin", pytrace=False)
    return Path(found)


def find_raman() -> Path | None:
    """Find the folder of measured spectra; None when there is none."""
    stated = os.environ.get(RAMAN_VARIABLE)
    folder = Path(stated) if stated else REPOSITORY.parent / "shared/data/raman"
    return folder if (folder / "INDEX.csv").is_file() else None


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """Give back the umask: commands that a test runs in this process change it."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def repository_path() -> Path:
    """The root of the working tree."""
    if not (REPOSITORY / "pyproject.toml").is_file():
        pytest.fail(f"{REPOSITORY} is not a working tree of harmattan", pytrace=False)
    return REPOSITORY


@pytest.fixture(scope="session")
def mosquitto_path() -> Path:
    """The real mosquitto."""
    return find_program("mosquitto")


@pytest.fixture(scope="session")
def micropython_path() -> Path:
    """The real MicroPython."""
    return find_program("micropython")


@pytest.fixture(scope="session")
def raman_path() -> Path:
    """The folder of measured spectra, for the tests that read them (see the rule above)."""
    folder = find_raman()
    if folder is None:
        pytest.fail(f"the measured spectra are missing; {RAMAN_REMEDY}", pytrace=False)
    return folder


def has_systemd() -> bool:
    """Say whether the programs that judge the service's files are there."""
    return all(map(shutil.which, SYSTEMD_PROGRAMS))


@pytest.fixture(scope="session")
def systemd_present() -> None:
    """The programs of systemd, for the tests that run them (see the rule above)."""
    if not has_systemd():
        pytest.fail(f"systemd's programs are missing; {SYSTEMD_REMEDY}", pytrace=False)


@pytest.fixture
def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago."""
    return stage.free_port()


# What may be absent: the fixture that stands for it, and what to say of it.
_ABSENT = {
    "raman_path": ("measured spectra are missing", RAMAN_REMEDY),
    "systemd_present": ("systemd is missing", SYSTEMD_REMEDY),
}
_without: dict[str, list[str]] = {}


def _is_absent(fixture: str) -> bool:
    """Say whether the tests with this fixture are to be left out."""
    if fixture == "raman_path":
        return not os.environ.get("CI") and find_raman() is None
    return not (os.environ.get("CI") and sys.platform == "linux") and not has_systemd()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Say how many workers `make test` has: two more than cores.

    Nearly half of the tests' time is waiting: for real programs to start and end, for a link to be
    given up, for a disk.
    """
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None  # somebody has said
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (cores or 1) + 2


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what needs something that may be absent and is."""
    for fixture in filter(_is_absent, _ABSENT):
        kept: list[pytest.Item] = []
        left: list[pytest.Item] = []
        for item in items:
            needs = fixture in getattr(item, "fixturenames", ())
            (left if needs else kept).append(item)
        if left:
            _without[fixture] = [item.nodeid for item in left]
            config.hook.pytest_deselected(items=left)
            items[:] = kept


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a worker process tell what it deselected."""
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["without"] = _without


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Hear it from the worker; all of them collect the same tests."""
    _without.update(getattr(node, "workeroutput", {}).get("without", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests did not run for want of what, and where to get it."""
    for fixture, left in _without.items():
        title, remedy = _ABSENT[fixture]
        terminalreporter.section(title, yellow=True)
        terminalreporter.line(f"{len(left)} tests did not run; {remedy}:")
        for nodeid in left:
            terminalreporter.line(f"  {nodeid}")
