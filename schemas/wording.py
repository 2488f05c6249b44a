"""What a decoder found wrong, in words for the engineer who sent it."""

import re
from typing import Final

KINDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "int | float": "a number",
    "str": "text",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
    "datetime": "a time",
    "date": "a date",
}
"""By the names that msgspec has for JSON's types; others stay as they are."""

_EXPECTED = re.compile(r"Expected `([^`]+)`(?:, got `([^`]+)`| ([<>]=?) (\S+)| of length (.+))?")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")
_LENGTHS: Final = {">=": "at least", "<=": "at most"}


def plainly(detail: str) -> str:
    """Return a sentence in place of msgspec's, or its own where that says it as well.

    >>> plainly("Expected `int | null`, got `str`")
    'a whole number or null was expected, got text'
    >>> plainly("Expected `int` >= 0"), plainly("Expected `str` of length <= 256")
    ('a whole number >= 0 was expected', 'text of at most 256 characters was expected')
    >>> plainly("Object missing required field `metric`")
    'metric is missing'
    """
    missing = _MISSING.fullmatch(detail)
    if missing is not None:
        return f"{missing[1]} is missing"
    found = _EXPECTED.fullmatch(detail)
    if found is None:
        return detail
    wanted, got, sign, bound, length = found.groups()
    what = _kinds(wanted)
    if sign is not None:
        what = f"{what} {sign} {bound}"
    elif length is not None:
        how, _, number = length.partition(" ")
        units = "characters" if wanted == "str" else "elements"
        what = f"{what} of {_LENGTHS.get(how, how)} {number} {units}"
    return f"{what} was expected" + (f", got {_kinds(got)}" if got is not None else "")


def _kinds(names: str) -> str:
    """Return what a union of msgspec's admits."""
    if names in KINDS:
        return KINDS[names]
    head, between, last = names.rpartition(" | ")
    if between:
        return f"{_kinds(head)} or {_kinds(last)}"
    return KINDS.get(names, f"`{names}`")
