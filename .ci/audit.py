"""Look whether what is installed is what is locked, and whether a known fault is in it.

    python .ci/audit.py [--offline] [FILE]     FILE: requirements.txt

Without a network: every requirement is one version with sha256 digests; what is installed has these
versions; and whatever the product needs, however indirectly, is locked. With one: pip-audit asks
the advisory service of the package index about each version. It is a program of its own, in
.tools/audit, so that nothing of it gets into the product or its development.

Ends with 0: all is well; 1: something is wrong, it is named; 2: the advisories could not be asked.
"""

import argparse
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
AUDITOR = ROOT / ".tools" / "audit"
AUDITOR_VERSION = "pip-audit==2.10.1"
ASK_S_MAX = 300.0
FOUND = 1  # pip-audit's exit status for a known fault; it has the same one when it cannot ask
# A mirror that has the packages and not their advisories says of each that it is not found.
UNREACHABLE = re.compile(
    r"ConnectionError|ServiceError|Max retries|Temporary failure|timed out|could not be audited"
)

Locked = dict[str, Requirement]


def read_locked(text: str) -> tuple[Locked, list[str]]:
    """Return the requirements of a lock file by name, and what is wrong with them."""
    locked: Locked = {}
    wrong = []
    for line in text.replace("\\\n", " ").splitlines():
        words = line.partition(" #")[0].strip()
        if not words or words.startswith("#"):
            continue
        said, *digests = words.split("--hash=")
        try:
            requirement = Requirement(said.strip())
        except InvalidRequirement as error:
            wrong.append(f"{said.strip()[:80]!r} is no requirement: {error}")
            continue
        name = canonicalize_name(requirement.name)
        if not re.fullmatch(r"==[^*,]+", str(requirement.specifier)):
            wrong.append(f"{name}: {requirement.specifier or 'no version'} is not one version")
        if not digests or not all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", d) for d in digests):
            wrong.append(f"{name}: without sha256 digests anything could be installed by its name")
        locked[name] = requirement
    return locked, wrong


def compare_installed(locked: Locked) -> list[str]:
    """Return what is installed in another version than locked, or not at all."""
    wrong = []
    for name, requirement in locked.items():
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name}: locked as {requirement.specifier} and not installed")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{name}: {version} is installed, {requirement.specifier} is locked")
    return wrong


def needed(name: str, seen: set[str]) -> Iterator[str]:
    """Yield what a distribution needs on this machine, however indirectly; each once."""
    for said in metadata.requires(name) or ():
        requirement = Requirement(said)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        below = canonicalize_name(requirement.name)
        if below not in seen:
            seen.add(below)
            yield below
            yield from needed(below, seen)


def ask_advisories(file: Path) -> int:
    """Ask about every locked version; return this program's exit status."""
    program = AUDITOR / "bin" / "pip-audit"
    if not program.exists():
        venv.create(AUDITOR, with_pip=True, clear=True)
        pip: list[str | Path] = [
            AUDITOR / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            AUDITOR_VERSION,
        ]
        if subprocess.run(pip, check=False).returncode:
            print(f"audit: {AUDITOR_VERSION} could not be installed; nothing was asked")
            return 2
    ask: list[str | Path] = [
        program,
        "--requirement",
        file,
        "--require-hashes",
        "--disable-pip",
        "--strict",
    ]
    try:
        done = subprocess.run(ask, capture_output=True, text=True, timeout=ASK_S_MAX, check=False)
    except subprocess.TimeoutExpired:
        print(f"audit: no answer about advisories within {ASK_S_MAX:g} s")
        return 2
    print(done.stdout.strip() or done.stderr.strip()[-2_000:])
    if done.returncode == FOUND and UNREACHABLE.search(done.stderr):
        print("audit: the advisory service was not reached, or does not know every version; ask")
        print("audit: again where the package index itself is reached, not a mirror of it")
        return 2
    return 1 if done.returncode else 0


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python .ci/audit.py", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=ROOT / "requirements.txt")
    parser.add_argument("--offline", action="store_true", help="ask nobody")
    options = parser.parse_args()
    locked, wrong = read_locked(options.file.read_text())
    wrong += compare_installed(locked)
    wrong += [
        f"{name}: needed by the product and not locked; run `make lock`"
        for name in needed("harmattan", set())
        if name not in locked
    ]
    for sentence in wrong:
        print(f"audit: {sentence}")
    print(f"audit: {len(locked)} requirements in {options.file.name}, {len(wrong)} faults")
    if wrong or options.offline:
        return 1 if wrong else 0
    return ask_advisories(options.file)


if __name__ == "__main__":
    sys.exit(main())
