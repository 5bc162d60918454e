"""Goal: packages come from the system's own mirrors, verified, and the system stays as it is.

Method: entries of package sources in both formats, and the real apt on a small archive made here;
no network. The archive is unsigned on purpose: it shows that apt refuses what it cannot verify, and
then serves with that check switched off.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".ci"))

from provision import debian, files, terminal  # noqa: E402
from provision.debian import Source  # noqa: E402
from provision.terminal import SetupError  # noqa: E402

ONE_LINE = """\
# comment
deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] mirror://one/debian bookworm main contrib # x
deb-src mirror://one/debian bookworm main
deb cdrom:[disc]/ bookworm main
deb mirror://two/debian-security bookworm-security main
deb mirror://three/tools any stable
"""
DEB822 = """\
Types: deb deb-src
# comment
URIs: mirror://one/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQENBF
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: mirror://off/debian
Suites: bookworm
Components: main
Enabled: no
"""
needs_apt = pytest.mark.skipif(
    sys.platform == "darwin", reason="macOS has no apt; there brew is named instead"
)


# ---------------------------------------------------------------------------------- sources of apt


def test_one_line_entries_are_read() -> None:
    assert debian.parse_list(ONE_LINE) == [
        Source(
            "mirror://one/debian",
            ("bookworm",),
            ("main", "contrib"),
            "/usr/share/keyrings/a.gpg",
        ),
        Source("mirror://two/debian-security", ("bookworm-security",), ("main",)),
        Source("mirror://three/tools", ("any",), ("stable",)),
    ]


def test_deb822_entries_are_read_and_written_back_with_their_key() -> None:
    (source,) = debian.parse_deb822(DEB822)
    assert source.suites == ("bookworm", "bookworm-updates", "bookworm-backports")
    assert source.signed_by.startswith("-----BEGIN")
    assert debian.parse_deb822(source.written()) == [source]


def test_only_the_release_itself_is_kept() -> None:
    sources = debian.parse_list(ONE_LINE) + debian.parse_deb822(DEB822)
    kept = debian.of_release(sources, "bookworm")
    assert [source.suites for source in kept] == [
        ("bookworm",),
        ("bookworm-security",),
        ("bookworm", "bookworm-updates"),
    ]
    assert kept[0].components == ("main",)


def test_stable_counts_where_no_entry_names_the_release() -> None:
    sources = debian.parse_list(
        "deb mirror://one stable main\ndeb mirror://one stable-updates main"
    )
    assert len(debian.of_release(sources, "bookworm")) == 2
    mixed = sources + debian.parse_list("deb mirror://one bookworm main")
    assert [s.suites for s in debian.of_release(mixed, "bookworm")] == [("bookworm",)]


def test_another_suite_comes_from_the_same_mirrors() -> None:
    sources = debian.of_release(debian.parse_list(ONE_LINE), "bookworm")
    turned = debian.in_suite(sources, "bookworm", "trixie")
    assert [source.suites for source in turned] == [("trixie",), ("trixie-security",)]
    assert turned[0].signed_by == "/usr/share/keyrings/a.gpg"


# ------------------------------------------------------------------------------------- private apt


def build_package(folder: Path, name: str, depends: str = "") -> None:
    """Build a package with one file, /usr/lib/<name>."""
    tree = folder / f"tree-{name}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/lib").mkdir(parents=True)
    (tree / "usr/lib" / name).write_text(f"{name} is here\n")
    control = f"Package: {name}\nVersion: 2.5-1\nArchitecture: all\nMaintainer: test <a@b.c>\n"
    control += f"Description: test\nDepends: {depends}\n" if depends else "Description: test\n"
    (tree / "DEBIAN/control").write_text(control)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", tree, folder / f"{name}_2.5-1_all.deb"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    shutil.rmtree(tree)


@pytest.fixture
def archive(tmp_path: Path) -> Source:
    """A flat archive: a program, its libraries, and what only installation scripts would need."""
    folder = tmp_path / "archive/dists/bookworm/main/binary-all"
    folder.mkdir(parents=True)
    build_package(folder, "broker", "accounts, libone (>= 1), libc6")
    build_package(folder, "libone", "libtwo | libnone")
    build_package(folder, "libtwo", "libone, libc6")
    build_package(folder, "libc6")
    build_package(folder, "accounts", "libthree")
    build_package(folder, "libthree")
    paragraphs = []
    for deb in sorted(folder.glob("*.deb")):
        fields = subprocess.run(
            ["dpkg-deb", "--field", deb], check=True, capture_output=True, text=True, timeout=60
        ).stdout
        place = deb.relative_to(tmp_path / "archive")
        size, sha256 = deb.stat().st_size, files.digest(deb)
        paragraphs.append(f"{fields}Filename: {place}\nSize: {size}\nSHA256: {sha256}\n")
    packages = folder / "Packages"
    packages.write_text("\n".join(paragraphs))
    listed = f"{files.digest(packages)} {packages.stat().st_size} main/binary-all/Packages"
    (tmp_path / "archive/dists/bookworm/Release").write_text(
        f"Suite: bookworm\nArchitectures: all\nComponents: main\nSHA256:\n {listed}\n"
    )
    return Source(f"file://{tmp_path}/archive", ("bookworm",), ("main",))


def make_apt(folder: Path, source: Source, *, verified: bool) -> debian.PrivateApt:
    folder.mkdir()
    apt = debian.PrivateApt(folder, [source])
    if not verified:
        with (folder / "apt.conf").open("a") as conf:
            conf.write('Acquire::AllowInsecureRepositories "true";\n')
            conf.write('APT::Get::AllowUnauthenticated "true";\n')
    return apt


@needs_apt
def test_an_archive_nobody_signed_is_refused(tmp_path: Path, archive: Source) -> None:
    apt = make_apt(tmp_path / "apt", archive, verified=True)
    with pytest.raises(
        SetupError, match=r"apt-get .* update failed .* check the network"
    ) as caught:
        apt.update()
    assert "not signed" in caught.value.output


@needs_apt
def test_a_program_comes_with_its_libraries_and_nothing_else(
    tmp_path: Path, archive: Source
) -> None:
    apt = make_apt(tmp_path / "apt", archive, verified=False)
    apt.update()
    assert apt.candidate("broker") == "2.5-1"
    assert apt.candidate("micropython") is None  # whatever the system itself has
    assert apt.with_libraries("broker", system=False) == ["broker", "libone", "libtwo"]
    needed = apt.with_libraries("broker", system=True)
    assert sorted(needed) == ["broker", "libc6", "libone", "libtwo"]
    apt.unpack(needed, tmp_path / "root")
    unpacked = sorted(path.name for path in (tmp_path / "root/usr/lib").iterdir())
    assert unpacked == ["broker", "libc6", "libone", "libtwo"]


@needs_apt
def test_apt_keeps_to_its_own_folder_and_runs_no_hook_of_the_system(
    tmp_path: Path, archive: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooked = tmp_path / "hooked"
    (tmp_path / "system.conf").write_text(
        "".join(
            f'APT::Update::{when} {{"touch {hooked}";}};\n'
            for when in ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success")
        )
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "system.conf"))
    apt = make_apt(tmp_path / "apt", archive, verified=False)
    apt.update()
    assert not hooked.exists()
    shown = terminal.run(
        ["apt-config", "-c", apt.folder / "apt.conf", "dump"], remedy="", seconds_max=60
    )
    for place in (
        "Dir::State",
        "Dir::State::lists",
        "Dir::State::status",
        "Dir::Cache",
        "Dir::Log",
    ):
        assert f'{place} "{apt.folder}' in shown
