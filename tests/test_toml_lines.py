from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchpost.toml_lines import Place, dotted, locate


@pytest.mark.parametrize(
    ("text", "place", "line"),
    [
        ("a = 1\nb = 2", ("b",), 2),
        ("# a = 0\n\na = 1", ("a",), 3),
        ("x = 1\na.b.c = 1", ("a", "b"), 2),
        ("x = 1\na . 'b c' . \"d.e\" = 1", ("a", "b c", "d.e"), 2),
        ('x = 1\n"q\\u00e9" = 1', ("qé",), 2),
        ("[t]\na = 1\n[u]\na = 2", ("u", "a"), 4),
        ("\n[t.u]", ("t",), 2),
        ("[t.u]\na = 1\n[t]\nb = 1", ("t",), 1),
        ("[ t . 'u v' ] # c\na = 1", ("t", "u v", "a"), 2),
        ("t = { a = 1, b = { c = 2 } }", ("t", "b", "c"), 1),
        ("[t]\nl = [\n 1, # ]\n 2,\n]\nx = 1", ("t", "l", 1), 4),
        ("[t]\nl = [\n 1, # ]\n 2,\n]\nx = 1", ("t", "x"), 6),
        ("l = [ [1], [\n[2]] ]", ("l", 1, 0), 2),
        ('l = [ { a = "}" }, { a = "]" } ]\nx = 1', ("x",), 2),
        ("[[t]]\na = 1\n[[t]]\na = 2", ("t", 1, "a"), 4),
        ("[[t]]\n[t.u]\na = 1\n[[t]]\n[t.u]\na = 2", ("t", 1, "u", "a"), 6),
        ("[[t]]\n[[t.u]]\n[[t.u]]\na = 1", ("t", 0, "u", 1, "a"), 4),
        ('s = """\n[no]\nb = 1\n"""\nb = 2', ("b",), 5),
        ("s = '''\n[no]\n'''\nb = 2", ("b",), 4),
        ('s = """a\\""" b"""\nb = 2', ("b",), 2),
        ('s = """two at the end"""""\nb = 2', ("b",), 2),
        ("s = '''two at the end'''''\nb = 2", ("b",), 2),
        ('s = ""\nt = \'\'\nb = "\\""', ("b",), 3),
        ("d = 1979-05-27 07:32:00 # x = 1\nb = 2", ("b",), 2),
        ("a = 1\r\nb = 2\r\n\r\n[t]\r\nc = true\r\n", ("t", "c"), 5),
        ("e = []\nf = {}\nb = 1", ("b",), 3),
    ],
)
def test_a_key_is_found_on_its_line(text: str, place: Place, line: int) -> None:
    assert _at(tomllib.loads(text), place) is not None
    assert locate(text)[place] == line


def _at(tree: Any, place: Place) -> Any:
    for part in place:
        tree = tree[part]
    return tree


def _places(tree: Any, place: Place = ()) -> set[Place]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found = {place} if place else set()
    return found.union(*(_places(value, (*place, key)) for key, value in items))


_words = st.text("ab\"'\\ .#=[]{},\n\té", max_size=6)
_scalars = st.one_of(_words, st.integers(-9, 9), st.booleans(), st.dates())
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_words, inner, max_size=3)),
    max_leaves=6,
)


def _quoted(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(escapes.get(char, char) for char in text) + '"'


def _inline(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _quoted(value)
        case list():
            return "[\n" + ",\n".join(map(_inline, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{_quoted(key)} = {_inline(item)}" for key, item in value.items()) + "}"
        case _:
            return str(value)


@given(st.dictionaries(_words, _values, max_size=5))
def test_exactly_the_places_of_the_tree_are_found(tree: dict[str, Any]) -> None:
    text = "\n".join(f"{_quoted(key)} = {_inline(value)}" for key, value in tree.items())
    assert tomllib.loads(text) == tree
    assert set(locate(text)) == _places(tree)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ((), ""),
        (("name",), "name"),
        (("fields", "revenue", "min"), "fields.revenue.min"),
        (("fields", "Lead ID", "map", "a.b"), 'fields."Lead ID".map."a.b"'),
        (("api", "server_dedupe", 0), "api.server_dedupe[1]"),
    ],
)
def test_a_place_is_written_as_in_the_file(place: Place, text: str) -> None:
    assert dotted(place) == text
