"""Goal: every key of a TOML file is found on the line where it stands.

Method: drawn documents are written in every form that TOML has for tables, keys and values; tomllib
says which keys there are, and every value holds a number of its own, by which its line is known.
"""

import itertools
import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings_lines import find_lines, line_of

names = st.sampled_from(["a", "b", "nodes", "x-1", "_", "7", "é", "a.b", "#", '"', "]", ""])
gaps = st.sampled_from(["", " ", "\t", "  "])
breaks = st.sampled_from(["\n", "\r\n", "\n\n", " # a = 1 [x]\n", "\n# '''\n"])


class Writer:
    """Draws a document as text; `count` numbers the values."""

    def __init__(self, draw):
        self.draw = draw
        self.count = itertools.count(1000)

    def name(self, name):
        bare = re.fullmatch(r"[A-Za-z0-9_-]+", name)
        forms = ["plain"] * bool(bare) + ["basic", "escaped"] + ["literal"] * ("'" not in name)
        match self.draw(st.sampled_from(forms)):
            case "plain":
                return name
            case "basic":
                return '"' + name.replace('"', '\\"') + '"'
            case "escaped":
                return '"' + "".join(f"\\u{ord(sign):04x}" for sign in name) + '"'
            case _:
                return f"'{name}'"

    def gap(self):
        return self.draw(gaps)

    def key(self, parts):
        return (self.gap() + "." + self.gap()).join(self.name(part) for part in parts)

    def scalar(self):
        mark = f"v{next(self.count)}"
        return self.draw(
            st.sampled_from(
                [
                    f'"{mark}"',
                    f"'{mark} # ['",
                    f'"{mark} \\" ="',
                    f'"""{mark}\n# x = "" 1\n\\""" \n"""""',
                    f"'''{mark}\n[y]\n'''''",
                    f'"{mark}" # comment ] }}',
                ]
            )
        )

    def value(self, depth):
        match self.draw(
            st.sampled_from(["scalar", "scalar", "array", "inline"] if depth else ["s"])
        ):
            case "array":
                inner = [self.value(depth - 1) for _ in range(self.draw(st.integers(0, 3)))]
                end = self.draw(breaks | gaps)
                return "[" + end + "".join(f"{item}{self.draw(breaks)}," for item in inner) + "\n]"
            case "inline":
                keys = self.draw(st.lists(names, max_size=3, unique=True))
                pairs = [f"{self.name(key)} = {self.flat()}" for key in keys]
                return "{" + ", ".join(pairs) + "}"
            case _:
                return self.scalar()

    def flat(self):
        """A value that an inline table may hold: on one line."""
        mark = f"v{next(self.count)}"
        return self.draw(st.sampled_from([f'"{mark}"', f"['{mark}', 1979-05-27 07:32:00]"]))

    def table(self):
        keys = self.draw(st.lists(names, max_size=4, unique=True))
        parts = [[key] if self.draw(st.booleans()) else [key, self.draw(names)] for key in keys]
        return "".join(
            f"{self.gap()}{self.key(part)}{self.gap()}={self.gap()}{self.value(2)}{self.draw(breaks)}"
            for part in parts
        )


@st.composite
def documents(draw):
    writer = Writer(draw)
    text = draw(breaks) + writer.table()
    for _ in range(draw(st.integers(0, 4))):
        parts = draw(st.lists(names, min_size=1, max_size=3))
        one, two = draw(st.sampled_from([("[", "]"), ("[[", "]]")]))
        head = f"{writer.gap()}{one}{writer.gap()}{writer.key(parts)}{writer.gap()}{two}"
        text += head + draw(breaks) + writer.table()
    return text


def walk(found, path=()):
    """Give every path of a table, with its value."""
    if path:
        yield path, found
    if isinstance(found, dict):
        for key, value in found.items():
            yield from walk(value, (*path, key))
    elif isinstance(found, list):
        for index, value in enumerate(found):
            yield from walk(value, (*path, index))


@given(documents())
def test_every_key_is_found_where_it_stands(text):
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        find_lines(text)  # a table twice, or a key that is a table elsewhere; it must only end
        return
    lines = find_lines(text)
    paths = dict(walk(table))
    assert set(lines) == set(paths)
    rows = text.replace("\r\n", "\n").split("\n")
    for path, value in paths.items():
        assert 1 <= lines[path] <= len(rows)
        if isinstance(value, str):
            mark = re.search(r"v\d{4}", value)[0]
            assert mark in rows[lines[path] - 1], path


@given(st.text(max_size=60) | st.text("[]{}\"'=.,#\n ab", max_size=60))
def test_whatever_stands_there_it_ends(text):
    find_lines(text)


def test_headers_repeated_tables_and_dotted_keys():
    text = """post = "p"
[broker]
nodes.port = 8883
# [nodes]
[[nodes]]
id = "a"
[[nodes]]
id = "b"  # the second
tags = [
  1,
  { x = 2 },
]
[nodes.more]
y = 1
"""
    lines = find_lines(text)
    assert lines["broker", "nodes", "port"] == 3
    assert lines["nodes", 0, "id"] == 6
    assert lines["nodes", 1] == 7
    assert lines["nodes", 1, "tags", 1, "x"] == 11
    assert lines["nodes", 1, "more", "y"] == 14


@pytest.mark.parametrize(
    "path, line", [(("a", "x"), 3), (("a", "y"), 2), (("b",), 1), ((), 1), (("a", "x", 0), 3)]
)
def test_a_key_that_is_missing_is_looked_for_where_it_belongs(path, line):
    assert line_of("\n[a]\nx = 1\n", path) == line


def test_depth_is_bounded():
    assert find_lines("a = " + "[" * 100_000)["a",] == 1
