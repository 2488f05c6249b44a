"""Other limits of statistical rules that are worth a try, and rule sets that have them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from schemas.config import RuleSetContent
from services.backtest.truth import GOOD_NEWS
from services.detector.rules import Rule, compile_rules

Params = Mapping[str, Any]


class Option(NamedTuple):
    """Other limits of a rule.

    Attributes:
        params: Limits by name, for accounts of every segment.
        segments: By segment, those that are its own.
    """

    params: Params
    segments: Mapping[str, Params] = {}

    def words(self) -> str:
        """Return them for a person, such as `ratio 0.8`; a segment's own by their names alone."""
        told = [f"{name} {_value(value)}" for name, value in self.params.items()]
        own = sorted({name for params in self.segments.values() for name in params})
        return ", ".join([*told, *(f"{name} by segment" for name in own)])


def _value(value: object) -> str:
    parts = value if isinstance(value, list | tuple) else [value]
    return "/".join("none" if one is None else f"{one:g}" for one in parts)


def _each(name: str, *values: float) -> tuple[Option, ...]:
    return tuple(Option({name: value}) for value in values)


GRID: Final[Mapping[str, Sequence[Option]]] = {
    "drop": (*_each("evidence", 2.33, 2.5, 3.0, 3.5), *_each("ratio", 0.80, 0.90)),
    "stop": _each("probability", 0.99, 0.995, 0.9995, 0.9999),
    "silence": _each("pace", 12.0, 15.0, 22.0, 27.0),
    "spike": _each("probability", 0.01, 0.001, 0.0002, 0.00005),
    "fastdrop": _each("fall", 0.2, 0.25, 0.4, 0.5),
    "slowdrift": _each("fall", 0.15, 0.25, 0.3),
    "abandonment": (*_each("ratio", 0.3, 0.4, 0.6), *_each("probability", 0.99, 0.9995)),
    "breadth": (*_each("fewer", 1, 3), *_each("days", 7, 21)),
    "ratio": tuple(
        Option({"enter": enter, "leave": round(enter + 0.06, 2)}) for enter in (0.4, 0.5, 0.7)
    ),
}
"""By primitive, what is tried in the place of a rule's own limits: one change at a time, around the
measured defaults of detection.md. `expansion` is not among them, nor are rules of good news on
seats: who left says nothing about who grew."""


class Group(NamedTuple):
    """Rules that ask the same with the same limits: one yields to the other, so they change alike.

    Attributes:
        rules: Their ids, the one that goes first in front.
        now: The limits that are tried, as they are.
        tried: What is tried in their place.
    """

    rules: tuple[str, ...]
    now: dict[str, Any]
    tried: list[Option]


def candidates(
    content: RuleSetContent,
    only: Sequence[str] = (),
    fitted: Mapping[str, Sequence[Option]] | None = None,
) -> list[Group]:
    """Return what is tried: nothing of a rule that is off, or has no limits of the grid.

    Args:
        content: The rule set in force.
        only: Rules to look at, with those of their group; all of them if none is named.
        fitted: By rule, what was learned from the accounts themselves and is tried as well.
    """
    found: dict[tuple[Any, ...], Group] = {}
    for rule in compile_rules(1, content).rules:
        if not _is_tuned(rule):
            continue
        tried = GRID[rule.model.primitive]
        params = rule.default.params.model_dump(mode="json")
        now = {
            name: params[name] for name in sorted({name for one in tried for name in one.params})
        }
        learned = (fitted or {}).get(rule.id, ())
        key = (rule.model.primitive, rule.default.shadow, *now.items(), repr(learned))
        others = [one for one in tried if now | dict(one.params) != now]
        before = found.get(key, Group((), now, [*others, *learned]))
        found[key] = before._replace(rules=(*before.rules, rule.id))
    return [one for one in found.values() if not only or set(only) & set(one.rules)]


def _is_tuned(rule: Rule) -> bool:
    """Tell whether there is something to try whose worth shows in who left."""
    if rule.default.off or rule.kind(rule.default) in GOOD_NEWS:
        return False
    # A policy of so many days has no rhythm that could be waited for longer.
    return rule.model.primitive in GRID and rule.kind(rule.default) != "policy_silence"


def rounds(groups: Sequence[Group]) -> list[dict[str, Option]]:
    """Return changes to play, by rule: the n-th of every group together, for these hardly meet.

    Args:
        groups: What is tried.
    """
    most = max((len(one.tried) for one in groups), default=0)
    return [
        {rule: one.tried[n] for one in groups if n < len(one.tried) for rule in one.rules}
        for n in range(most)
    ]


def changed(content: RuleSetContent, changes: Mapping[str, Option]) -> RuleSetContent:
    """Return a rule set with other limits.

    Args:
        content: A rule set.
        changes: By rule.
    """
    added = [one for rule, option in changes.items() for one in overrides(rule, option)]
    return replace(content, overrides=[*content.overrides, *added])


def overrides(rule: str, option: Option) -> list[dict[str, Any]]:
    """Return the overrides that put limits in force, as `rules.toml` has them.

    Args:
        rule: Whose.
        option: The limits.
    """
    found: list[dict[str, Any]] = []
    if option.params:
        found.append({"rule": rule, "params": dict(option.params)})
    for segment, params in option.segments.items():
        found.append({"rule": rule, "segment": segment, "params": dict(params)})
    return found
