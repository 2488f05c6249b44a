"""Numbers of a record beside those that come out now, each by its place. Pure."""

from collections.abc import Iterator, Mapping
from math import isclose
from typing import Any, Final, NamedTuple

ABSENT: Final = "absent"
"""Stands where one side has no such number."""
ROUNDED: Final = 2e-6
"""Numbers of a record have six decimals; a last one that differs is another machine's."""


class Line(NamedTuple):
    """One number of a record, or what follows from its numbers.

    Attributes:
        name: Where it stands, such as `window.days_used`.
        stored: What the record says.
        computed: What comes out now.
    """

    name: str
    stored: Any
    computed: Any

    @property
    def agrees(self) -> bool:
        """Whether both are the same, but for a last decimal."""
        return same(self.stored, self.computed)


def same(stored: Any, computed: Any) -> bool:
    """Tell whether two numbers, texts or dates are the same, but for a last decimal.

    >>> same(0.1234567, 0.123457), same(1, 1.0), same(None, 0), same("a", "a")
    (True, True, False, True)
    """
    if isinstance(stored, bool) or isinstance(computed, bool):
        return stored is computed
    if isinstance(stored, int | float) and isinstance(computed, int | float):
        return isclose(stored, computed, rel_tol=1e-9, abs_tol=ROUNDED)
    return bool(stored == computed)


class Compared(NamedTuple):
    """Two records, number by number.

    Attributes:
        lines: Each number of either, in the record's order.
        new: Names of what is computed now and the record does not have at all.
        names: Tables and numbers of the record that were compared, also empty ones.
    """

    lines: list[Line]
    new: list[str]
    names: frozenset[str]


def compared(stored: Mapping[str, Any], computed: Mapping[str, Any]) -> Compared:
    """Compare what a record says with what comes out now.

    A version of later may compute more than the one that wrote the record: what a table of the
    record has no row for is no difference. A list that is too short is one.

    Args:
        stored: The record; what it has beside the computed is left out.
        computed: What comes out now.
    """
    shared, new = _shared(stored, computed, "")
    before = dict(_leaves({key: stored[key] for key in shared}))
    after = dict(_leaves(shared))
    lines = [
        Line(name, before.get(name, ABSENT), after.get(name, ABSENT))
        for name in dict.fromkeys([*before, *after])
    ]
    return Compared(lines, new, frozenset(shared))


def _shared(
    stored: Mapping[str, Any], computed: Mapping[str, Any], name: str
) -> tuple[dict[str, Any], list[str]]:
    """Return of what is computed the rows that the record has too, and the names of the others."""
    shared: dict[str, Any] = {}
    new: list[str] = []
    for key, value in computed.items():
        place = f"{name}.{key}" if name else key
        if key not in stored:
            new.append(place)
        elif isinstance(value, Mapping) and isinstance(stored[key], Mapping):
            shared[key], more = _shared(stored[key], value, place)
            new += more
        else:
            shared[key] = value
    return shared, new


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the numbers of a record, each with its place; a masked day is its date alone."""
    if isinstance(value, Mapping):
        if set(value) == {"date", "reason"}:
            yield name, value["date"]
            return
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{name}[{place}]")
    else:
        yield name, value
