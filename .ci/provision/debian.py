"""Packages of Debian and Ubuntu, without root and without touching the system.

apt gets a configuration of its own: its lists, cache and state lie in a folder of the project,
nothing counts as installed, and the hooks of the system's configuration are cleared. The addresses
of the mirrors, their keys and a proxy come from the system's own configuration at run time.

Reference: sources.list(5), apt.conf(5), deb822(5).
"""

from __future__ import annotations

import re
import shlex
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision.terminal import SetupError, run, say

if TYPE_CHECKING:
    from collections.abc import Iterator

FETCH_S_MAX = 600.0  # indexes of one release are about 10 MB
SHORT_S_MAX = 60.0
NETWORK = "check the network and that apt update works on this system, then run make again"
POCKETS = ("", "-updates", "-security", "/updates")
ALIASES = ("stable", "oldstable", "oldoldstable", "testing", "unstable", "sid")
SYSTEM_LIBRARIES = {
    "libc6",
    "libc-bin",
}  # those of the running system serve a program of its release

CONFIGURATION = """\
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "{folder}/sources.d";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "{folder}/state";
Dir::State::Lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Log "{folder}/log";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::PDiffs "false";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


@dataclass(frozen=True, slots=True)
class Source:
    """One entry of the system's package sources.

    Attributes:
        uris: addresses of mirrors.
        suites: releases, such as the running one and its security pocket.
        components: archive areas.
        signed_by: key file or key block; empty for the system's trusted keys.
    """

    uris: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""

    def written(self) -> str:
        """Give it in deb822 form, restricted to the package indexes."""
        lines = [
            "Types: deb",
            f"URIs: {self.uris}",
            f"Suites: {' '.join(self.suites)}",
            f"Components: {' '.join(self.components)}",
            "Targets: Packages",
        ]
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        return "\n".join(lines) + "\n"


def parse_list(text: str) -> list[Source]:
    """Read one-line entries: `deb [options] uri suite component...`."""
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)((?:\s+[^\s#]+)+)", line)
        if match is None or match[2].startswith("cdrom:"):
            continue
        options = dict(o.split("=", 1) for o in (match[1] or "").split() if "=" in o)
        signed_by = options.get("signed-by", "").replace(",", " ")
        found.append(Source(match[2], (match[3],), tuple(match[4].split()), signed_by))
    return found


def parse_deb822(text: str) -> list[Source]:
    """Read the paragraphs of a `.sources` file; disabled ones and source code are left out."""
    found = []
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for paragraph in re.split(r"\n[ \t]*\n", kept.strip()):
        fields = {
            match[1].lower(): match[2].strip()
            for match in re.finditer(r"(?m)^([A-Za-z-]+):[ \t]*((?:.*)(?:\n[ \t]+.*)*)", paragraph)
        }
        enabled = fields.get("enabled", "yes").lower() not in {"no", "false", "0", "off"}
        if not enabled or "deb" not in fields.get("types", "").split() or "uris" not in fields:
            continue
        suites, components = fields.get("suites", "").split(), fields.get("components", "").split()
        signed_by = fields.get("signed-by", "").replace("\n", "\n ").replace("\n  ", "\n ")
        found.append(
            Source(" ".join(fields["uris"].split()), tuple(suites), tuple(components), signed_by)
        )
    return found


def of_release(sources: list[Source], codename: str) -> list[Source]:
    """Keep what belongs to the running release: its suite, updates and security.

    Args:
        sources: all entries of the system.
        codename: such as `VERSION_CODENAME` of os-release; empty when unknown.

    Returns:
        Entries with those suites only, those that say `stable` and the like only where none names
        the release; entries without `main` are somebody else's archive.
    """
    named = _with_suites(sources, {codename + pocket for pocket in POCKETS} if codename else set())
    return named or _with_suites(sources, {a + pocket for a in ALIASES for pocket in POCKETS})


def _with_suites(sources: list[Source], wanted: set[str]) -> list[Source]:
    kept = []
    for source in sources:
        suites = tuple(suite for suite in source.suites if suite in wanted)
        components = tuple(c for c in source.components if c in {"main", "universe"})
        if suites and "main" in source.components:
            kept.append(Source(source.uris, suites, components, source.signed_by))
    return kept


def in_suite(sources: list[Source], codename: str, suite: str) -> list[Source]:
    """Turn entries of one release into those of another, on the same mirrors and keys."""
    turned = []
    for source in sources:
        pockets = [
            own.removeprefix(name)
            for own in source.suites
            for name in (codename, *ALIASES)
            if name and own.startswith(name) and own.removeprefix(name) in POCKETS
        ]
        # `/updates` was the security pocket up to Debian 10
        suites = dict.fromkeys(
            suite + pocket.replace("/updates", "-security") for pocket in pockets
        )
        if suites:
            turned.append(Source(source.uris, tuple(suites), source.components, source.signed_by))
    return turned


@dataclass(frozen=True, slots=True)
class System:
    """The running Debian or Ubuntu, or a system made from one of them.

    Attributes:
        family: `debian` or `ubuntu`.
        codename: of the release, as its archive calls it.
        architecture: such as `amd64`.
        sources: its own package sources of that release.
    """

    family: str
    codename: str
    architecture: str
    sources: list[Source]


def read_system(os_release: Path = Path("/etc/os-release")) -> System | None:
    """Look at the running system; None when it has no apt.

    Raises:
        SetupError: apt is there and tells nothing.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return None
    text = os_release.read_text(encoding="utf-8") if os_release.exists() else ""
    facts = dict(re.findall(r'(?m)^([A-Z_]+)="?([^"\n]*)"?$', text))
    kinship = [facts.get("ID", ""), *facts.get("ID_LIKE", "").split()]
    codename = facts.get("UBUNTU_CODENAME") or facts.get("VERSION_CODENAME", "")
    repair = "repair apt on this system"
    ask = ["dpkg", "--print-architecture"]
    architecture = run(ask, remedy=repair, seconds_max=SHORT_S_MAX).strip()
    ask = ["apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f"]
    ask += ["PARTS", "Dir::Etc::sourceparts/d"]
    places = run(ask, remedy=repair, seconds_max=SHORT_S_MAX)
    where = dict(word.split("=", 1) for word in shlex.split(places))
    return System(
        "ubuntu" if "ubuntu" in kinship else "debian",
        codename,
        architecture,
        of_release(read_sources(Path(where["LIST"]), Path(where["PARTS"])), codename),
    )


def read_sources(one_file: Path, folder: Path) -> list[Source]:
    """Read package sources in both formats; files that may not be read are left out."""
    found = []
    for path in [one_file, *sorted(folder.glob("*"))]:
        parse = {".list": parse_list, ".sources": parse_deb822}.get(path.suffix)
        if parse is None:
            continue
        try:
            found += parse(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
    return found


class PrivateApt:
    """apt with a configuration of its own.

    Args:
        folder: an empty folder for its configuration, lists and downloads.
        sources: where packages come from.
    """

    def __init__(self, folder: Path, sources: list[Source]) -> None:
        self.folder = folder
        for name in (
            "sources.d",
            "lists/partial",
            "cache/archives/partial",
            "state",
            "log",
            "debs",
        ):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "apt.conf").write_text(CONFIGURATION.format(folder=folder), encoding="utf-8")
        for number, source in enumerate(sources):
            path = folder / f"sources.d/{number}.sources"
            path.write_text(source.written(), encoding="utf-8")

    def update(self) -> None:
        """Fetch and verify the package indexes."""
        self._run("apt-get", "update", remedy=NETWORK, seconds_max=FETCH_S_MAX)

    def candidate(self, package: str) -> str | None:
        """Give the version that would be fetched; None when there is no such package."""
        text = self._run("apt-cache", "policy", package, remedy=NETWORK)
        match = re.search(r"Candidate: (\S+)", text)
        return match[1] if match and match[1] != "(none)" else None

    def with_libraries(self, package: str, *, system: bool) -> list[str]:
        """List a package and the libraries it needs, and theirs.

        Installation scripts are not run, so what only they need (accounts, services) is left out.

        Args:
            package: its name.
            system: whether to include the C library.
        """
        text = self._run(
            "apt-cache", "depends", "--recurse", "--important", package, remedy=NETWORK
        )
        needs: dict[str, list[str]] = {}
        needed: list[str] = []
        for line in text.splitlines():
            if not line.startswith((" ", "|")):
                needed = needs.setdefault(line.strip(), [])
            elif match := re.match(r"[ |]*(?:Pre)?Depends: ([^<\s]+)$", line):
                needed.append(match[1])
        found = [package]
        for name in found:  # grows while it is read
            for other in needs.get(name, []):
                library = other.startswith("lib") and (system or other not in SYSTEM_LIBRARIES)
                if library and other not in found:
                    found.append(other)
        return found

    def unpack(self, packages: list[str], into: Path) -> None:
        """Download packages, verified, and unpack their files.

        Args:
            packages: names.
            into: folder that becomes their root.
        """
        debs = self.folder / "debs"
        fetch = ["apt-get", "download", "--quiet", *packages]
        self._run(*fetch, remedy=NETWORK, seconds_max=FETCH_S_MAX, cwd=debs)
        for deb in sorted(debs.glob("*.deb")):
            run(
                ["dpkg", "-x", deb, into],
                remedy="check the free disk space",
                seconds_max=SHORT_S_MAX,
            )

    def _run(
        self,
        program: str,
        *arguments: str,
        remedy: str,
        seconds_max: float = SHORT_S_MAX,
        cwd: Path | None = None,
    ) -> str:
        command = [program, "-c", str(self.folder / "apt.conf"), *arguments]
        env = {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        return run(command, remedy=remedy, seconds_max=seconds_max, cwd=cwd, env=env)


@contextmanager
def private_apt(root: Path, sources: list[Source]) -> Iterator[PrivateApt]:
    """Give an updated `PrivateApt` whose folder is gone afterwards."""
    tools = root / ".tools"
    tools.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".apt-", dir=tools))
    try:
        apt = PrivateApt(folder, sources)
        apt.update()
        yield apt
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fetch_pip(root: Path) -> Path:
    """Fetch the distribution's wheel of pip into `.tools/pip`, unless it lies there already.

    Raises:
        SetupError: it cannot be had this way.
    """
    final = root / ".tools/pip"
    place = "usr/share/python-wheels/pip-*.whl"
    if final.exists():
        return max(final.glob(place))
    remedy = "install it for the whole system (apt install python3-venv), or install uv"
    system = read_system()
    if system is None or not system.sources:
        raise SetupError(f"this Python has neither pip nor ensurepip; {remedy}")
    with private_apt(root, system.sources) as apt:
        version = apt.candidate("python3-pip-whl")
        if version is None:
            raise SetupError(f"the packages of {system.codename} have no pip wheel; {remedy}")
        say(f"  pip {version} from the packages of {system.codename}")
        unpacked = apt.folder / "root"
        apt.unpack(["python3-pip-whl"], unpacked)
        if not any(unpacked.glob(place)):
            raise SetupError(f"the package python3-pip-whl {version} holds no wheel; {remedy}")
        unpacked.rename(final)
    return max(final.glob(place))
