"""Goal: a wheel is all that a post needs: code, schema, tables, languages, units, example settings.

Method: the real wheel, built by the build backend without network, compared with the working tree;
then its gateway is run from where nothing else of the working tree is.
"""

import subprocess
import sys
import zipfile

import pytest

from gateway.shipped import FILES

BUILD = "import hatchling.build as b, sys; print(b.build_wheel(sys.argv[1]))"
KINDS = {".py", ".sql", ".toml", ".csv", ".po", ".json", ".tsv", ".mo", ".xml"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, repository_path):
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)],
        cwd=repository_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_everything_that_is_not_code_is_in_it_too(wheel, repository_path):
    held = set(zipfile.ZipFile(wheel).namelist())
    for room in ("gateway", "protocol"):
        for path in (repository_path / room).rglob("*"):
            if path.suffix in KINDS and path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(repository_path).as_posix()
                assert name in held
    assert "gateway/journal/schema.sql" in held
    assert {name.split("/")[2] for name in held if name.startswith("gateway/locale/")} == {
        *("en", "fr", "ar", "es")
    }
    assert "gateway/starting/post.example.toml" in held  # of `harmattan init`
    for name, place in FILES.items():
        shipped = zipfile.ZipFile(wheel).read(f"gateway/shipped/{name}")
        assert shipped == (repository_path / place).read_bytes()
    for path in (repository_path / "docs").glob("*.md"):  # a post without a network reads them
        shipped = zipfile.ZipFile(wheel).read(f"gateway/shipped/docs/{path.name}")
        assert shipped == path.read_bytes()
    for path in (repository_path / "firmware/drivers").glob("*/about.toml"):
        name = f"gateway/shipped/drivers/{path.parent.name}/about.toml"
        shipped = zipfile.ZipFile(wheel).read(name)
        assert shipped == path.read_bytes()
    assert not [name for name in held if name.startswith(("tests/", "docs/", "packaging/"))]


def test_its_gateway_runs_from_it_alone(wheel, tmp_path):
    """The interpreter sees the wheel and what it needs, not the working tree."""
    folder = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(folder)
    code = (
        "import sys; sys.path[:0] = [sys.argv.pop(1)]; import gateway;"
        "assert gateway.__file__.startswith(sys.path[0]); from gateway.cli import main; main()"
    )
    for arguments, expected in (
        (("service", "show"), "Type=notify"),
        (("service", "show", "tmpfiles"), "d /var/lib/harmattan"),
        (("library", "show", "acetone"), "acetone"),
        (("docs",), "installed/gateway/shipped/docs"),
        (("docs", "doctor#disk-room"), "*Do.*"),
    ):
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, str(folder), *arguments],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
