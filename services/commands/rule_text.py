"""A rule in words: its condition, its bounds, its policy, its cases."""

import inspect
import re
import textwrap
from collections.abc import Sequence
from typing import Any

from services.detector.cases import Case, Expected
from services.detector.episode import Policy
from services.detector.primitives.day import Params
from services.detector.rules import Rule
from services.wording import counted

WIDTH = 100
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
_SECTION = re.compile(r"^(Args|Attributes|Source|Returns|Raises):", re.MULTILINE)
_ITEM = re.compile(r"^    (\w+): (.*(?:\n(?: {5,}.*)?)*)", re.MULTILINE)


def summary(rule: Rule) -> dict[str, Any]:
    """Return what is to be known of a rule at a glance, plain JSON."""
    model, default = rule.model, rule.default
    return {
        "id": rule.id,
        "title": model.title,
        "primitive": model.primitive,
        "kind": rule.kind(default),
        "params": default.params.model_dump(mode="json"),
        "severity": default.severity,
        "off": default.off,
        "shadow": default.shadow,
        "rows": list(model.rows),
        "category": model.category,
        "leak_layer": model.leak_layer,
        "churn_kind": model.churn_kind,
        "timing": model.timing,
        "play": model.play,
        "yields_to": list(model.yields_to),
        "overrides": {
            segment: {
                "params": one.params.model_dump(mode="json"),
                "severity": one.severity,
                "off": one.off,
                "shadow": one.shadow,
            }
            for segment, one in sorted(rule.segments.items())
        },
    }


def describe(rule: Rule, cases: Sequence[Case]) -> str:
    """Return everything about a rule, for a person.

    Args:
        rule: The rule, as it is in force.
        cases: Its cases; none if they are not known here.
    """
    model = rule.model
    parts = [
        f"{rule.id}: {model.title}",
        _condition(rule),
        "Parameters\n" + "\n".join(_parameters(rule.default.params)),
        *_segments(rule),
        "Policy\n" + "\n".join(_policy(rule)),
        "Meaning\n" + "\n".join(_meaning(rule)),
    ]
    if cases:
        parts.append("Cases\n" + "\n".join(f"  - {_case(case)}" for case in cases))
    return "\n\n".join(parts)


def _condition(rule: Rule) -> str:
    """Return the primitive's own words: what it does, and when it is wrong."""
    text = inspect.getdoc(rule.primitive) or ""
    found = _SECTION.search(text)
    paragraphs = text[: found.start() if found else None].strip().split("\n\n")
    return "\n\n".join(textwrap.fill(" ".join(one.split()), WIDTH) for one in paragraphs)


def _parameters(params: Params) -> list[str]:
    schema = type(params).model_json_schema()["properties"]
    meanings = _meanings(type(params))
    lines = []
    for name, value in params.model_dump(mode="json").items():
        bounds = _bounds(schema[name])
        told = f"  {name} = {'none' if value is None else value}" + (
            f"  ({bounds})" if bounds else ""
        )
        lines.append(told)
        if meaning := meanings.get(name):
            indent = " " * 6
            lines.append(
                textwrap.fill(meaning, WIDTH, initial_indent=indent, subsequent_indent=indent)
            )
    return lines


def _bounds(field: dict[str, Any]) -> str:
    """Return the bounds of a field in words, from its JSON Schema."""
    if "enum" in field:
        return "one of " + ", ".join(map(str, field["enum"]))
    held = [field, *field.get("anyOf", ())]
    told = [f"{word} {one[key]:g}" for key, word in _BOUNDS.items() for one in held if key in one]
    optional = any(one.get("type") == "null" for one in field.get("anyOf", ()))
    return ", ".join(told) + (" or none" if optional and told else "")


def _meanings(params: type[Params]) -> dict[str, str]:
    """Return what the docstrings of a record and those it extends say of its fields."""
    found: dict[str, str] = {}
    for one in reversed(params.__mro__):
        for name, text in _ITEM.findall(inspect.cleandoc(one.__doc__ or "")):
            told = " ".join(text.split())
            if not (name in found and told.startswith("See ")):
                found[name] = told
    return found


def _segments(rule: Rule) -> list[str]:
    if not rule.segments:
        return []
    usual = rule.default.params.model_dump(mode="json")
    lines = []
    for segment, one in sorted(rule.segments.items()):
        held = one.params.model_dump(mode="json")
        differs = [f"{name} = {value}" for name, value in held.items() if value != usual[name]]
        differs += [f"severity {one.severity}"] if one.severity != rule.default.severity else []
        differs += ["off"] if one.off else ["in shadow"] if one.shadow else []
        lines.append(f"  {segment}: {', '.join(differs) or 'as everywhere'}")
    return ["By segment\n" + "\n".join(lines)]


def _policy(rule: Rule) -> list[str]:
    policy: Policy = rule.policy
    cooldown = counted(policy.cooldown_days, "day")
    expires = (
        f"after {counted(policy.expire_days, 'day')} it is the new normal"
        if policy.expire_days is not None
        else "it stays open as long as it holds"
    )
    return [
        f"  raised when it has held {_running(policy.dwell)}",
        f"  cleared when it has been over {_running(policy.clear_days)}; {expires}",
        f"  the next alert of the same object not within {cooldown}, and "
        f"only after it has not held {_running(policy.rearm_days)}",
    ]


def _running(evaluations: int) -> str:
    return "once" if evaluations == 1 else f"{evaluations} times running"


def _meaning(rule: Rule) -> list[str]:
    model, default = rule.model, rule.default
    state = "off" if default.off else "in shadow: judged and logged, notifies nobody"
    return [
        *([f"  {state}"] if default.off or default.shadow else []),
        f"  severity {default.severity.replace('_', ' ')}; kind {rule.kind(default)}",
        f"  category {model.category}, leak layer {model.leak_layer}, {model.churn_kind} churn, "
        f"{model.timing}",
        f"  next step: {model.play.replace('-', ' ')}",
        *([f"  rows {', '.join(model.rows)} of the catalogue"] if model.rows else []),
        *([f"  keeps quiet beside {', '.join(model.yields_to)}"] if model.yields_to else []),
    ]


def _case(case: Case) -> str:
    if not isinstance(case.expect, Expected):
        return f"{case.story}: nothing"
    expect = case.expect
    when = f"by day {expect.fires_by}"
    if expect.not_before == expect.fires_by:
        when = f"on day {expect.fires_by}"
    told = f"{case.story}: {expect.severity or 'an alert'} {when}"
    return told + (f", cleared by day {expect.clears_by}" if expect.clears_by else "")
