"""A rule in words: its condition, its bounds, its policy, its cases."""

import inspect
import re
import textwrap
from collections.abc import Sequence
from typing import Any

from services.detector import fleet
from services.detector.cases import Case, Expected
from services.detector.episode import Policy
from services.detector.peers import FALLEN_RATIO
from services.detector.primitives.day import Params
from services.detector.rules import Rule, RuleSet
from services.wording import counted, percent

WIDTH = 100
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
_SECTION = re.compile(r"^(Args|Attributes|Source|Returns|Raises):", re.MULTILINE)
_ITEM = re.compile(r"^    (\w+): (.*(?:\n(?: {5,}.*)?)*)", re.MULTILINE)


def summaries(rules: RuleSet) -> list[dict[str, Any]]:
    """Return what is to be known at a glance of all rules, plain JSON; the built-in one is last."""
    return [*map(summary, rules.rules), _common_fall(rules.common_fall)]


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
        _words(rule.primitive),
        "Parameters\n" + "\n".join(_parameters(rule.default.params)),
        *_segments(rule),
        "Policy\n" + "\n".join(_policy(rule)),
        "Meaning\n" + "\n".join(_meaning(rule)),
    ]
    if cases:
        parts.append("Cases\n" + "\n".join(f"  - {_case(case)}" for case in cases))
    return "\n\n".join(parts)


def describe_common_fall(said: fleet.CommonFall) -> str:
    """Return everything about the rule on falls that many accounts share, for a person.

    Args:
        said: What the company says of it.
    """
    told, state = _common_fall(said), _state(off=said.off, shadow=said.shadow)
    meaning = [
        *([f"  {state}"] if state else []),
        f"  severity by depth; kind {told['kind']}; about the company",
        f"  category {told['category']}, {told['churn_kind']} churn, {told['timing']}",
        f"  next step: {fleet.PLAY.replace('-', ' ')}",
        "  built in: rules.toml can set off or shadow in an [[override]], without a segment",
    ]
    parts = [
        f"{fleet.RULE}: {fleet.TITLE}",
        _words(fleet.CommonFall),
        "Bounds\n" + "\n".join(_fall_bounds()),
        "Policy\n" + "\n".join(_fall_policy()),
        "Meaning\n" + "\n".join(meaning),
    ]
    return "\n\n".join(parts)


def _fall_bounds() -> list[str]:
    return [
        f"  share = {fleet.SHARE / 1000:g}  of the accounts that are not low anyway",
        f"  fallen_ratio = {FALLEN_RATIO:g}  of what is usual, in the last fortnight",
        f"  least = {fleet.TOLD_LEAST}  accounts of which it can be told, and "
        f"{fleet.SIGMAS} standard deviations beyond chance",
        f"  clear = {fleet.CLEAR / 1000:g}  of the same accounts",
        f"  critical = {fleet.CRITICAL / 1000:g}  of all accounts; high below it",
    ]


def _fall_policy() -> list[str]:
    policy = fleet.POLICY
    return [
        f"  raised when it has held {_running(policy.dwell)}",
        f"  cleared when it has been over {_running(policy.clear_days)}; after "
        f"{counted(fleet.EXPIRE_DAYS, 'day')} it is the new normal",
        "  meanwhile a fall of a single customer is told only at or below "
        f"{percent(fleet.DEEPER)} of what is left",
        f"  to the others, and {fleet.POINTS} points below it",
    ]


def _common_fall(said: fleet.CommonFall) -> dict[str, Any]:
    return {
        "id": fleet.RULE,
        "title": fleet.TITLE,
        "primitive": "built in",
        "kind": fleet.KIND,
        "params": {},
        "severity": "by_depth",
        "off": said.off,
        "shadow": said.shadow,
        "rows": ["C26"],
        "category": "early_signals",
        "leak_layer": "none",
        "churn_kind": "voluntary",
        "timing": "leading",
        "play": fleet.PLAY,
        "yields_to": [],
        "overrides": {},
    }


def _words(condition: type) -> str:
    """Return a condition's own words: what it does, and when it is wrong."""
    text = inspect.getdoc(condition) or ""
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


def _state(*, off: bool, shadow: bool) -> str:
    """Return why a rule tells people nothing; empty where it does."""
    if off:
        return "off"
    return "in shadow: judged and logged, notifies nobody" if shadow else ""


def _meaning(rule: Rule) -> list[str]:
    model, default = rule.model, rule.default
    state = _state(off=default.off, shadow=default.shadow)
    return [
        *([f"  {state}"] if state else []),
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
