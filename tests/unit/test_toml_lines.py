import tomllib
from typing import Any

import pytest

from services.toml_lines import Lines

TEXT = '''# a comment with = and [brackets]
top = "x # [no] = 1"
"quoted key".inner = 1
text = """
fake = 2
[fake]
"""
literal = \'\'\'
also = [fake]\'\'\'

[table.sub]
inline = { one = 1, two = [
  1, # first
  { three = 'z' },
] }

[[rule]]
id = "a"
[[rule.case]]
story = "x"
usage = [
  { days = "1..2", each = 1 },

  { days = "3", each = 2 },
]
[[rule.case]]
story = "y"

[[rule]]
id = "b"
params.metric = "m"
params.ratio = 3
[rule.more]
n = -1.5e3
d = 2026-01-01T00:00:00Z
'''


@pytest.mark.parametrize(
    "path, line",
    [
        (("top",), 2),
        (("quoted key",), 3),
        (("quoted key", "inner"), 3),
        (("text",), 4),
        (("literal",), 8),
        (("table", "sub"), 11),
        (("table", "sub", "inline", "two", 0), 13),
        (("table", "sub", "inline", "two", 1, "three"), 14),
        (("rule", 0), 17),
        (("rule", 0, "id"), 18),
        (("rule", 0, "case", 0, "story"), 20),
        (("rule", 0, "case", 0, "usage", 1, "each"), 24),
        (("rule", 0, "case", 1, "story"), 27),
        (("rule", 1), 29),
        (("rule", 1, "params", "ratio"), 32),
        (("rule", 1, "more", "d"), 35),
    ],
)
def test_a_value_is_found_on_its_line(path: tuple[str | int, ...], line: int) -> None:
    assert Lines(TEXT).of(path) == line


@pytest.mark.parametrize(
    "path, line",
    [
        (("rule", 1, "title"), 29),
        (("rule", 0, "case", 1, "usage", 4), 26),
        (("rule", 7), 17),
        (("nothing",), 1),
        ((), 1),
    ],
)
def test_what_is_missing_is_told_where_it_would_be(path: tuple[str | int, ...], line: int) -> None:
    assert Lines(TEXT).of(path) == line


def test_line_breaks_of_windows_count_once() -> None:
    assert Lines("a = 1\r\nb = 2\r\n").of(("b",)) == 2


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    found = [path] if path else []
    for key, one in inside:
        here = (*path, key)
        found += paths(one, here) if isinstance(one, dict | list) else [here]
    return found


def test_every_value_that_the_parser_finds_has_a_line_that_names_its_key() -> None:
    lines, told = Lines(TEXT), TEXT.splitlines()
    for path in paths(tomllib.loads(TEXT)):
        if isinstance(path[-1], str):
            assert path[-1] in told[lines.of(path) - 1], path
