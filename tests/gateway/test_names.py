"""Goal: a folder's name that no JSON or database takes, and links in a circle, are one sentence.

Method: the real commands in processes of their own, in folders of such names.
"""

import os
import subprocess
import sys

import pytest

from tests.gateway.running import write_settings

ODD = b"odd-\xff"
TOLD = "odd-\\xff: this name is not UTF-8; rename the file or folder, or choose another\n"


def harmattan(*arguments, cwd=None):
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.getcwd()},  # noqa: PTH109 - given to a process
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def odd(tmp_path):
    folder = os.path.join(os.fsencode(tmp_path), ODD)  # noqa: PTH118 - bytes
    try:
        os.mkdir(folder)  # noqa: PTH102 - bytes
    except OSError:
        pytest.skip("this file system takes UTF-8 only, so there are no such folders")
    return os.fsdecode(folder)


def test_init_makes_no_post_in_such_a_folder(odd):
    for words in (["init", odd], ["init", odd, "--json"], ["init", "--check", odd, "--json"]):
        code, printed, said = harmattan(*words, "--post", "p")
        assert (code, printed) == (2, "")
        assert said.endswith(TOLD)
    assert not os.listdir(odd)  # noqa: PTH208


@pytest.mark.parametrize(
    "words",
    [
        "run",
        "status",
        "status --json",
        "doctor --json",
        "nodes list --json",
        "backup ../b.sq",
        "export ../x.zip",
        "calibrate --node lane-1",
    ],
)
def test_a_post_in_such_a_folder_is_refused(odd, tmp_path, free_port, words):
    settings = write_settings(tmp_path, free_port)
    os.rename(settings, f"{odd}/post.toml")  # noqa: PTH104
    code, printed, said = harmattan(*words.split(), "-s", "post.toml", cwd=odd)
    assert (code, printed) == (2, "")
    assert said.startswith("harmattan: ")
    assert said.endswith(TOLD)
    assert said.count("\n") == 1


def test_nothing_is_written_to_such_a_name(odd, tmp_path, free_port):
    settings = write_settings(tmp_path, free_port)
    (tmp_path / "state").mkdir(mode=0o700)
    for command in ("backup", "export"):
        code, printed, said = harmattan(command, f"{odd}/x", "--json", "-s", str(settings))
        assert (code, printed) == (2, "")
        assert "odd-\\xff/x: this name is not UTF-8" in said
    assert not os.listdir(odd)  # noqa: PTH208


def test_links_in_a_circle_are_named(tmp_path, free_port):
    (tmp_path / "loop").symlink_to("loop")
    code, _, said = harmattan("init", str(tmp_path / "loop"), "--post", "p")
    assert (code, said) == (
        2,
        f"harmattan: {tmp_path}/loop: links lead in a circle; choose another folder\n",
    )
    path = write_settings(tmp_path, free_port)
    text = path.read_text()
    for key, setting in (
        ("directory", 'directory = "loop"'),
        ("spectra.library_directory", '[spectra]\nlibrary_directory = "loop/library"'),
    ):
        lines = [line for line in text.splitlines() if not line.startswith("directory")]
        path.write_text("\n".join([setting, *lines] if key == "directory" else [text, setting]))
        code, _, said = harmattan("status", "-s", str(path))
        assert code == 2
        assert f"{key} = 'loop" in said
        assert "': links lead in a circle; name a real place" in said
        assert said.startswith(f"harmattan: settings {path}, line ")
