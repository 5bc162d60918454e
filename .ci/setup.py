#!/usr/bin/env python3
"""Set up what the make targets need: .venv and .tools, once, without root.

    python3 .ci/setup.py                both
    python3 .ci/setup.py environment    the virtual environment, from requirements-dev.txt
    python3 .ci/setup.py tools          a real mosquitto and a real micropython
    python3 .ci/setup.py --check        say what is in place, change nothing

The newest suitable interpreter on PATH is used; PYTHON=NAME in the environment chooses another.

Rules of this file: it needs nothing but the standard library, and Python 3.7 can read it, so that
an old one can say what is missing or hand over to a newer one on PATH. The work is in provision/.
"""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
NAMES = ["python3.14", "python3.13", "python3.12", "python3.11", "python3"]
OLDEST, NEWEST = (3, 11), (3, 14)  # what the lock file has wheels for
ASK = "import sys; print(sys.version_info[0], sys.version_info[1], sys.executable)"
ASK_SECONDS = 20  # a cold start from a slow card takes seconds, never this long


def outside_path() -> str:
    """PATH without the folders this project puts on it, lest .venv be built on itself."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(f for f in folders if f and not (f + os.sep).startswith(ROOT + os.sep))


def find_python() -> "str | None":
    """Find the newest suitable interpreter on PATH; None when there is none."""
    best = None
    asked = os.environ.get("PYTHON", "python3")
    for name in NAMES if asked == "python3" else [asked]:
        for folder in outside_path().split(os.pathsep):
            path = os.path.join(folder, name)  # noqa: PTH118  an absolute name stays itself
            if not os.access(path, os.X_OK):
                continue
            try:  # version shims on PATH may exist and still refuse to start
                answer = subprocess.check_output(
                    [path, "-c", ASK], stderr=subprocess.DEVNULL, timeout=ASK_SECONDS
                )
                major, minor, executable = answer.decode().strip().split(" ", 2)
            except (OSError, ValueError, subprocess.SubprocessError):
                continue
            version = (int(major), int(minor))
            if OLDEST <= version <= NEWEST and (best is None or version > best[0]):
                best = (version, executable)
            break
    return best[1] if best else None


def main() -> int:
    """Hand over to a suitable interpreter, or say in one sentence that there is none."""
    if os.environ.get("HARMATTAN_SETUP") != str(os.getpid()):  # exec keeps the number
        python = find_python()
        if python is None:
            sys.stderr.write(
                f"harmattan: no Python 3.{OLDEST[1]} to 3.{NEWEST[1]} on PATH "
                f"(this is {sys.version_info[0]}.{sys.version_info[1]}); install one "
                "(Debian, Ubuntu: apt install python3; macOS: brew install python@3.13)\n"
            )
            return 1
        os.environ["HARMATTAN_SETUP"] = str(os.getpid())
        sys.stdout.flush()
        os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])  # noqa: PTH100, S606
    os.environ["PATH"] = outside_path()
    from provision import command  # noqa: PLC0415  only a suitable interpreter can read it

    return command.main(ROOT, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
