"""The lines of a TOML text, with `tomllib` as the judge of what there is in it."""

import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimse_proxy.config.toml_lines import Path, lines_of

DOCUMENT = '''# a comment with [a.table] and key = "value"
title = "text with # and [x] and \\\\" # and a comment
'quoted key' = 'C:\\path'
"esc\\u0041ped \\"key\\"" = 1
a.b.c = 1
a.b.d = """
[no.table]
no = "key"
\\""" still no end ""\\" and two quotes at the end"""""
literal = \'\'\'
[[nor.this]]
it''s "here"\'\'\'

numbers = [ 1, 2, # one, two
  3,
  [4, 5],
]
dates = [1979-05-27 07:32:00, 1979-05-27T07:32:00Z, 07:32:00]
inline = { x = 1, y.z = "}", deep = { list = ["]", { k = 2 }] } }

[table]
one = true
  [table."dotted.part".x]
  two = inf

[[hosts]]
name = "first"
[hosts.more]
port = 104
[[hosts.inner]]
n = 1
[[hosts.inner]]
n = 2

[[hosts]]
name = "second"
  [[hosts.inner]]
  n = 3
[after . all]
last = -1_000 # end'''

EXPECTED: dict[Path, int] = {
    ("title",): 2,
    ("quoted key",): 3,
    ('escAped "key"',): 4,
    ("a", "b", "c"): 5,
    ("a", "b", "d"): 6,
    ("literal",): 10,
    ("numbers",): 14,
    ("numbers", 0): 14,
    ("numbers", 2): 15,
    ("numbers", 3, 1): 16,
    ("dates", 2): 18,
    ("inline", "y", "z"): 19,
    ("inline", "deep", "list", 1, "k"): 19,
    ("table",): 21,
    ("table", "one"): 22,
    ("table", "dotted.part", "x"): 23,
    ("table", "dotted.part", "x", "two"): 24,
    ("hosts",): 26,
    ("hosts", 0): 26,
    ("hosts", 0, "name"): 27,
    ("hosts", 0, "more", "port"): 29,
    ("hosts", 0, "inner", 0): 30,
    ("hosts", 0, "inner", 1, "n"): 33,
    ("hosts", 1): 35,
    ("hosts", 1, "name"): 36,
    ("hosts", 1, "inner", 0, "n"): 38,
    ("after", "all"): 39,
    ("after", "all", "last"): 40,
}


def ways_of(value: object, way: Path = ()) -> Iterator[Path]:
    """Every way that `tomllib` finds."""
    if way:
        yield way
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from ways_of(inner, (*way, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from ways_of(inner, (*way, index))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_everything_has_its_line(line_end: str) -> None:
    text = DOCUMENT.replace("\n", line_end)
    lines = lines_of(text)
    assert set(lines) == set(ways_of(tomllib.loads(text)))
    assert {way: lines[way] for way in EXPECTED} == EXPECTED


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# nothing", "a = 1", "\ta=1\t# x\n", "[a]", "[[a]]\n[[a]]", "a = []\nb = {}"]
)
def test_short_texts(text: str) -> None:
    assert set(lines_of(text)) == set(ways_of(tomllib.loads(text)))


# Texts made of pieces that are right, so that `tomllib` takes most of them.
KEYS = st.sampled_from(["a", "b", "c-d", '"e f"', "'g.h'", "a.b", 'x . "y\\t"', "1"])
VALUES = st.recursive(
    st.sampled_from(
        ["1", "-1.5e3", "true", "1979-05-27 07:32:00.5-07:00", '"]#}"', "'\\'", '"""\n[x]\n"a" \\""""', "'''\n#'\n'''"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[ # [\n" + " ,\n".join(items) + "\n]")
        | st.dictionaries(st.sampled_from("pqr"), inner, max_size=3).map(
            lambda items: "{ " + ", ".join(f"{key} = {value}" for key, value in items.items()) + " }"
        )
    ),
    max_leaves=6,
)
LINES = st.lists(
    st.one_of(
        st.tuples(KEYS, VALUES).map(" = ".join),
        KEYS.map(lambda key: f"[ {key} ] # [x]"),
        KEYS.map(lambda key: f"[[{key}]]"),
        st.sampled_from(["", "# [a]", "   "]),
    ),
    max_size=12,
)


@given(LINES)
def test_whatever_is_right_is_found(pieces: list[str]) -> None:
    text = "\n".join(pieces)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(lines_of(text)) == set(ways_of(values))
