"""Goal: a page that a finding, the log or a command names can be read where there is no network.

Method: the command itself; every `harmattan docs ...` that stands in the sources is asked for. That
the pages are in the wheel stands in tests/packaging/test_wheel.py.
"""

import ast
import re

import pytest

from gateway import cli
from gateway.manual import run_docs
from tests.gateway.doctor.building import CHECKS

NAMED = re.compile(r"harmattan docs ([a-z]+(?:#[a-z0-9-]+)?)")
FOLDED = re.compile(r'"\s+f?"')  # a sentence goes on in the next line


def named(repository_path):
    """Return every page that the sources name, with the file that does."""
    for room in ("gateway", "packaging", "docs"):
        for path in (repository_path / room).rglob("*"):
            if path.suffix in {".py", ".md", ".toml", ".service"} and path.name != "manual.py":
                text = FOLDED.sub("", path.read_text())
                yield from ((path, page) for page in NAMED.findall(" ".join(text.split())))


def test_every_page_that_is_named_is_there(repository_path, capsys):
    pages = {page: path for path, page in named(repository_path)}
    assert {"install#certificates", "gateway#backup"} <= pages.keys()
    for page in pages:
        run_docs(page)
        assert len(capsys.readouterr().out) > 100


@pytest.mark.parametrize("name", CHECKS)
def test_a_findings_page_is_the_section_of_its_check_alone(name, capsys):
    run_docs(CHECKS[name].page.removeprefix("harmattan docs "))
    shown = capsys.readouterr().out
    assert shown.startswith(f"### {name}\n")
    assert shown.count("### ") == 1
    assert "*Do.*" in shown


def test_nothing_that_a_user_reads_names_a_file_that_is_not_installed(repository_path):
    for path in (repository_path / "gateway").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        for_developers = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                is_told = id(node) not in for_developers
                assert not (is_told and re.search(r"docs/[a-z-]+\.md", node.value)), node.value


def test_pages_are_listed_and_a_section_has_what_is_below_it(capsys):
    run_docs("")
    listed = capsys.readouterr().out
    assert "install         Installing a post\n" in listed
    assert "The files lie in /" in listed
    run_docs("docs/gateway.md#what-the-log-says-and-what-to-do")
    shown = capsys.readouterr().out
    assert "### Warnings and errors" in shown
    assert "## The interface of the authority" not in shown


@pytest.mark.parametrize(
    "page, said",
    [
        ("gatewai", "there is no page 'gatewai'; did you mean gateway?"),
        ("zzz", "there is no page 'zzz'; there are architecture, "),
        ("install#certificate", "install has no section 'certificate'; did you mean certificates?"),
    ],
)
def test_a_wrong_name_is_answered_with_near_ones(page, said, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["harmattan", "docs", page])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
