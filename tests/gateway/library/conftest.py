"""`harmattan library` in this process, in a folder of its own."""

import json

import pytest

from gateway import cli


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["harmattan", "library", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        printed = capsys.readouterr()
        return caught.value.code or 0, printed.out, printed.err

    return run


@pytest.fixture
def call_json(call):
    def run(*arguments):
        code, printed, _ = call(*arguments, "--json")
        return code, json.loads(printed)

    return run
