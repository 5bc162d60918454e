"""Goal: the audit notices a lock file that does not say what is installed.

Method: the real lock file and this environment, and lock files with one fault each. Advisories are
not asked for: that needs the package index.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".ci"))

import audit  # noqa: E402

DIGEST = "--hash=sha256:" + 64 * "0"


def run(*arguments):
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "audit.py", "--offline", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_what_is_installed_is_what_is_locked():
    status, said = run()
    assert status == 0, said
    assert ", 0 faults" in said


@pytest.mark.parametrize(
    "line, told",
    [
        (f"msgspec>=0.20 {DIGEST}", "msgspec: >=0.20 is not one version"),
        (f"msgspec==0.* {DIGEST}", "msgspec: ==0.* is not one version"),
        (f"msgspec {DIGEST}", "msgspec: no version is not one version"),
        ("msgspec==0.22.0", "msgspec: without sha256 digests"),
        ("msgspec==0.22.0 --hash=md5:00", "msgspec: without sha256 digests"),
        (f"../msgspec {DIGEST}", "is no requirement"),
    ],
)
def test_a_requirement_that_pins_nothing_is_told(line, told):
    _, wrong = audit.read_locked(line)
    assert any(told in sentence for sentence in wrong), wrong


def test_another_version_and_a_missing_requirement_are_told(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text(f"msgspec==0.0.1 \\\n    {DIGEST}\n    # via nobody\nnot-there==1.0 {DIGEST}\n")
    status, said = run(str(file))
    assert status == 1
    assert "msgspec: " in said
    assert "is installed, ==0.0.1 is locked" in said
    assert "not-there: locked as ==1.0 and not installed" in said
    assert "numpy: needed by the product and not locked" in said


def test_what_another_system_needs_is_not_missed_here():
    locked, wrong = audit.read_locked(f"not-there==1.0 ; sys_platform == 'beos' {DIGEST}")
    assert wrong == []
    assert audit.compare_installed(locked) == []
