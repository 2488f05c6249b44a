"""Rule sets as the log holds them: what the suite's few rules ask, and how they become alerts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.alerts import SEVERITIES
from schemas.config import Input, MetricFlags

from .reading import Unaccountable

CORRECTION = 28
"""Days that buckets keep beyond what rules ask for. Source: design.md §5.3, a judged day."""

NEAR = 90
"""With `by_renewal`, days before the renewal within which an alert is high."""

_HISTORY = {"drop": 210, "stop": 210, "renewal_checklist": 210, "payment_method": 1}
"""Days that rules of other primitives ask for, which must be off here."""

_SILENCE = {
    "days": None,
    "pace": 20,
    "shortest": 5,
    "longest": 150,
    "active_days": 5,
    "unknown": None,
    "population": None,
    "alive": 0.5,
}
_CHANGES = ("payment_failed", "contact_left")
_CHANGE = {"count": 2, "renewal_days": 180}


@dataclass(frozen=True)
class Policy:
    """How a condition becomes alerts (detection.md §0)."""

    dwell: int = 1
    clear_days: int = 7
    expire_days: int | None = 84
    cooldown_days: int = 28
    rearm_days: int = 7


_OF_EVENTS = Policy(clear_days=1, expire_days=None, cooldown_days=0, rearm_days=1)


@dataclass(frozen=True)
class Rule:
    """A rule as it holds for one segment."""

    id: str
    title: str
    play: str
    primitive: str
    params: Mapping[str, Any]
    severity: str
    category: Any
    churn_kind: Any
    policy: Policy
    off: bool = False
    shadow: bool = False

    @property
    def kind(self) -> str:
        """The kind of its alerts."""
        return "policy_silence" if self.primitive == "silence" else self.primitive

    def rate(self, found: str, days_left: int | None) -> int:
        """Return how severe an alert is, as a place in `SEVERITIES`."""
        if self.severity == "by_renewal":
            near = days_left is not None and 0 <= days_left <= NEAR
            return SEVERITIES.index("high" if near else "medium")
        severity: Any = found if self.severity == "by_depth" else self.severity
        return SEVERITIES.index(severity)


@dataclass(frozen=True)
class RuleSet:
    """A numbered rule set; 0 is that of a log without any.

    Attributes:
        n: Its number.
        history: Days of buckets that its rules ask for.
        rules: Per segment, None for all others, its rules by id.
        metrics: Flags per metric.
        features: Those that are counted day by day.
        inputs: Inputs by name.
    """

    n: int = 0
    history: int = 60
    rules: Mapping[str | None, Mapping[str, Rule]] = field(default_factory=lambda: {None: {}})
    metrics: Mapping[str, MetricFlags] = field(default_factory=dict)
    features: frozenset[str] = frozenset()
    inputs: Mapping[str, Input] = field(default_factory=dict)

    def of(self, segment: str | None) -> Mapping[str, Rule]:
        """Return the rules that hold for a segment."""
        return self.rules.get(segment or None, self.rules[None])

    def takes(self, selector: str, metric: str) -> bool:
        """Tell whether a metric is among those that a selector stands for."""
        if not selector.startswith("@") or selector == "@people":
            return selector == metric
        flags = self.metrics.get(metric, MetricFlags())
        return metric[0] != "@" and bool(getattr(flags, selector[1:], False))


def parse(n: int, content: str, kept_days: Mapping[int, int]) -> RuleSet:
    """Return a rule set of the log.

    Args:
        n: Its number.
        content: JSON.
        kept_days: Days of buckets by number, where they are told; else they are reckoned.

    Raises:
        Unaccountable: A rule that is on is of a primitive that is not recounted here.
    """
    read = json.loads(content)
    declared = [_declared(one) for one in read["rules"]]
    overrides = read.get("overrides", [])
    segments = {one.get("segment") for one in overrides} | {None}
    rules = {segment: _of_segment(declared, overrides, segment) for segment in segments}
    asked = [_history(one) for known in rules.values() for one in known.values()]
    for known in rules.values():
        for one in known.values():
            _require_known(one)
    days = max((one for one in asked if one), default=60) + CORRECTION
    return RuleSet(
        n=n,
        history=kept_days.get(n, days),
        rules=rules,
        metrics={name: MetricFlags(**one) for name, one in read.get("metrics", {}).items()},
        features=frozenset(read.get("features", ())),
        inputs={name: Input(**one) for name, one in read.get("inputs", {}).items()},
    )


def _declared(raw: Mapping[str, Any]) -> Rule:
    policy = Policy() if raw["primitive"] != "change" else _OF_EVENTS
    told = {name: raw[name] for name in ("dwell", "clear_days", "cooldown_days") if raw.get(name)}
    if "cooldown_days" in raw and raw["cooldown_days"] == 0:
        told["cooldown_days"] = 0
    if raw.get("yields_to") and not raw.get("off"):
        raise Unaccountable(f"rule {raw['id']!r} yields to others")
    return Rule(
        id=raw["id"],
        title=raw["title"],
        play=raw["play"],
        primitive=raw["primitive"],
        params=dict(raw.get("params", {})),
        severity=raw["severity"],
        category=raw["category"],
        churn_kind=raw.get("churn_kind", "voluntary"),
        policy=replace(policy, **told),
        off=bool(raw.get("off", False)),
        shadow=bool(raw.get("shadow", False)),
    )


def _of_segment(
    declared: list[Rule], overrides: list[Mapping[str, Any]], segment: str | None
) -> dict[str, Rule]:
    """Return the rules with the overrides of all accounts, then those of a segment."""
    found = {one.id: one for one in declared}
    for scope in dict.fromkeys((None, segment)):
        for one in overrides:
            if one.get("segment") == scope:
                found[one["rule"]] = _overridden(found[one["rule"]], one)
    return found


def _overridden(rule: Rule, change: Mapping[str, Any]) -> Rule:
    told = {
        name: change[name] for name in ("severity", "off", "shadow") if change.get(name) is not None
    }
    return replace(rule, params={**rule.params, **change.get("params", {})}, **told)


def _history(rule: Rule) -> int:
    """Return how many days a rule asks for, whether it is on or not; 0 for none."""
    if rule.primitive == "silence":
        params = _SILENCE | dict(rule.params)
        return int(params["days"] or params["longest"]) + 56
    return _HISTORY.get(rule.params.get("what", rule.primitive), 0)


def _require_known(rule: Rule) -> None:
    silence = rule.primitive == "silence" and rule.params.get("days") is not None
    change = rule.primitive == "change" and rule.params["what"] in _CHANGES
    if not (silence or change or rule.off):
        raise Unaccountable(f"rule {rule.id!r} of primitive {rule.primitive!r} is on")


def silence_params(rule: Rule) -> dict[str, Any]:
    """Return all parameters of a silence, without its metric."""
    return _SILENCE | {name: told for name, told in rule.params.items() if name != "metric"}


def change_param(rule: Rule, name: str) -> Any:
    """Return a parameter of a change."""
    return rule.params.get(name, _CHANGE[name])
