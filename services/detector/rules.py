"""Rules are data: a primitive, its parameters, and what an alert of it means (design.md §5.6)."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.alerts import SEVERITIES, Category, ChurnKind, Severity
from schemas.config import FeatureFlags, MetricFlags, RuleSetContent
from schemas.events import Fields
from services.detector.episode import Policy
from services.detector.facts.buckets import CORRECTION_DAYS, FEATURE, PEOPLE, TICKETS, TICKETS_HIGH
from services.detector.fleet import RULE as COMMON_FALL
from services.detector.fleet import CommonFall
from services.detector.primitives import DATE, DAY, EVENT, PRIMITIVES, Primitive
from services.detector.primitives.day import DayPrimitive, Params
from services.detector.primitives.finding import DatePrimitive, EventPrimitive

FEATURES, CORE_FEATURES = "@features", "@core_features"
"""Selectors of the tracked features: all of them, and those that are core."""

URGENT_DAYS = 90
"""With `by_renewal`, days before the renewal within which an alert is high (signals.md A25)."""

M = TypeVar("M", bound=BaseModel)
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,60}$")]
SeverityOf = Severity | Literal["by_depth", "by_renewal"]


class RuleModel(BaseModel):
    """One rule as it stands in a pack or in the company's `rules.toml` (formats.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Slug
    title: Annotated[str, Field(min_length=3, max_length=80)]
    primitive: str
    params: dict[str, Any] = {}
    rows: tuple[Annotated[str, Field(pattern=r"^[ABC]\d\d$")], ...] = ()
    category: Category
    leak_layer: Literal["handoff", "behaviour", "contract", "none"] = "none"
    churn_kind: ChurnKind = "voluntary"
    timing: Literal["leading", "lagging"] = "leading"
    severity: SeverityOf
    play: Slug
    yields_to: tuple[Slug, ...] = ()
    dwell: Annotated[int, Field(ge=1, le=90)] | None = None
    clear_days: Annotated[int, Field(ge=1, le=90)] | None = None
    cooldown_days: Annotated[int, Field(ge=0, le=400)] | None = None
    off: bool = False
    shadow: bool = False


class OverrideModel(BaseModel):
    """A change of a rule for one segment, or for all accounts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Slug
    segment: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    params: dict[str, Any] = {}
    severity: SeverityOf | None = None
    off: bool | None = None
    shadow: bool | None = None


class RuleError(ValueError):
    """A rule set is refused.

    Args:
        at: Where: `rules` or `overrides`, the place in the list, and the field.
        message: What is wrong, its value, its bound, the remedy.
    """

    def __init__(self, at: tuple[str | int, ...], message: str) -> None:
        """Refuse a rule set."""
        super().__init__(f"{'.'.join(str(part) for part in at)}: {message}")
        self.at = at
        self.message = message


@dataclass(frozen=True, slots=True)
class Variant:
    """A rule as it holds for one segment."""

    params: Params
    severity: SeverityOf
    off: bool
    shadow: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """A checked rule.

    Attributes:
        model: Its declaration.
        primitive: Its condition.
        policy: How the condition becomes alerts.
        default: As it holds for accounts of segments without an override.
        segments: As it holds for the others.
        risks: For a rule of expansion, the rules of all other categories: while a high alert of
            one is open, nobody speaks of growth (signals.md A24).
        firsts: The rules that this one yields to.
    """

    model: RuleModel
    primitive: Primitive
    policy: Policy
    default: Variant
    segments: dict[str, Variant] = field(default_factory=dict)
    risks: tuple["Rule", ...] = ()
    firsts: tuple["Rule", ...] = ()

    @property
    def id(self) -> str:
        """The rule's id, unique over all packs."""
        return self.model.id

    def variant(self, segment: str | None) -> Variant:
        """Return the rule as it holds for a segment."""
        return self.segments.get(segment, self.default) if segment else self.default

    def kind(self, variant: Variant) -> str:
        """Return the kind of its alerts."""
        return self.primitive.kind(variant.params)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A numbered rule set, ready to judge.

    Attributes:
        n: Its number; 0 before the first is applied.
        rules: In the order in which they are judged: a rule after those that it yields to.
        metrics: Flags of the metrics that the company has named.
        features: Flags of the features that it tracks; no other feature is kept day by day.
        history_days: Days of buckets that the rules ask for.
        day_rules: Those judged over arrays when a day has ended, with their primitive.
        date_rules: Those judged account by account when a day has ended.
        event_rules: Those judged after an event.
        woken_by: Event types after which some rule is judged.
        by_id: The rules by id.
        common_fall: What the company says of the rule that is built in.
    """

    n: int = 0
    rules: tuple[Rule, ...] = ()
    metrics: dict[str, MetricFlags] = field(default_factory=dict)
    features: dict[str, FeatureFlags] = field(default_factory=dict)
    history_days: int = 60
    day_rules: tuple[tuple[Rule, type[DayPrimitive]], ...] = ()
    date_rules: tuple[tuple[Rule, type[DatePrimitive]], ...] = ()
    event_rules: tuple[tuple[Rule, type[EventPrimitive]], ...] = ()
    woken_by: frozenset[type[Fields]] = frozenset()
    by_id: dict[str, Rule] = field(default_factory=dict)
    common_fall: CommonFall = field(default_factory=CommonFall)

    def selects(self, selector: str, metric: str) -> bool:
        """Tell whether a rule's metric selector takes a line of buckets.

        Args:
            selector: A metric's name, a reserved line such as `@people` or `@tickets`, one of
                `@meaningful`, `@core`, `@high_value`, which take no reserved line, or one of
                `@features`, `@core_features`, which take those of the tracked features.
            metric: The line's name.
        """
        if not selector.startswith("@") or selector in _RESERVED or selector.startswith(FEATURE):
            return metric == selector
        if selector in (FEATURES, CORE_FEATURES):
            tracked = self.features.get(metric.removeprefix(FEATURE))
            if tracked is None or not metric.startswith(FEATURE):
                return False
            return selector == FEATURES or tracked.core
        if metric.startswith("@"):
            return False
        flags = self.metrics.get(metric, _UNNAMED)
        return bool(getattr(flags, selector[1:], False))


_UNNAMED = MetricFlags()
_RESERVED = (PEOPLE, TICKETS, TICKETS_HIGH)
_EVENT_POLICY = Policy(clear_days=1, expire_days=None, cooldown_days=0, rearm_days=1)
_DATE_POLICY = Policy(clear_days=1, expire_days=None, cooldown_days=1, rearm_days=1)
_decode = msgspec.json.Decoder(RuleSetContent).decode


def compile_rules(n: int, content: str | RuleSetContent) -> RuleSet:
    """Check a rule set and make it ready to judge.

    Args:
        n: Its number.
        content: JSON of a `RuleSetContent`, or one.

    Raises:
        RuleError: If anything in it is wrong; it names where, the value and the bound.
    """
    parsed = _decode(content) if isinstance(content, str) else content
    models = [_model(RuleModel, raw, ("rules", i)) for i, raw in enumerate(parsed.rules)]
    known = _unique(models)
    overrides = [
        _model(OverrideModel, raw, ("overrides", i)) for i, raw in enumerate(parsed.overrides)
    ]
    common_fall = _common_fall(overrides)
    named = known.keys() | {COMMON_FALL}
    for i, override in enumerate(overrides):
        if override.rule not in named:
            raise RuleError(("overrides", i, "rule"), _unknown("rule", override.rule, named))
    rules = [_rule(i, model, overrides) for i, model in enumerate(models)]
    ordered = _related(_ordered(rules, known))
    event_rules = tuple((r, p) for r in ordered for p in EVENT if r.primitive is p)
    return RuleSet(
        n=n,
        rules=ordered,
        metrics=dict(parsed.metrics),
        features=dict(parsed.features),
        history_days=_history(ordered) + CORRECTION_DAYS,
        day_rules=tuple((r, p) for r in ordered for p in DAY if r.primitive is p),
        date_rules=tuple((r, p) for r in ordered for p in DATE if r.primitive is p),
        event_rules=event_rules,
        by_id={rule.id: rule for rule in ordered},
        common_fall=common_fall,
        woken_by=frozenset(
            event_type
            for rule, primitive in event_rules
            for variant in (rule.default, *rule.segments.values())
            for event_type in primitive.wakes(variant.params)
        ),
    )


def severity_index(
    variant: Variant, found: int, days_to_renewal: int | None, kind_urgent: int = URGENT_DAYS
) -> int:
    """Return how severe an alert is.

    Args:
        variant: The rule as it holds for the account.
        found: What the primitive says, an index into `SEVERITIES`.
        days_to_renewal: Days until the renewal, negative once it has passed, or None.
        kind_urgent: With `by_renewal`, the days within which it is high.
    """
    if variant.severity == "by_depth":
        return found
    if variant.severity == "by_renewal":
        soon = days_to_renewal is not None and 0 <= days_to_renewal <= kind_urgent
        return SEVERITIES.index("high" if soon else "medium")
    return SEVERITIES.index(variant.severity)


def _model(model: type[M], raw: dict[str, Any], at: tuple[str | int, ...]) -> M:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise _first(error, at) from None


def _first(error: ValidationError, at: tuple[str | int, ...]) -> RuleError:
    """Turn pydantic's first complaint into ours, with the value that it found."""
    found = error.errors()[0]
    value = f" (it is {found['input']!r})" if not isinstance(found["input"], dict) else ""
    return RuleError((*at, *found["loc"]), found["msg"] + value)


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    return f"{what} {name!r} is unknown; known are {', '.join(sorted(known))}"


def _unique(models: list[RuleModel]) -> dict[str, RuleModel]:
    known: dict[str, RuleModel] = {}
    for i, model in enumerate(models):
        if model.id == COMMON_FALL:
            message = f"{model.id!r} is built in; choose another id, or say off or shadow of it"
            raise RuleError(("rules", i, "id"), f"{message} in an [[override]]")
        if model.id in known:
            raise RuleError(("rules", i, "id"), f"{model.id!r} stands twice; ids are unique")
        known[model.id] = model
    return known


def _common_fall(overrides: list[OverrideModel]) -> CommonFall:
    """Return what the company says of the rule that is built in; what it says last holds."""
    found = CommonFall()
    for k, one in enumerate(overrides):
        if one.rule != COMMON_FALL:
            continue
        if one.segment is not None or one.params or one.severity is not None:
            message = f"{one.rule!r} is about all customers together; say only off or shadow of it"
            raise RuleError(("overrides", k, "rule"), message)
        found = CommonFall(
            found.off if one.off is None else one.off,
            found.shadow if one.shadow is None else one.shadow,
        )
    return found


def _rule(i: int, model: RuleModel, overrides: list[OverrideModel]) -> Rule:
    primitive = PRIMITIVES.get(model.primitive)
    if primitive is None:
        at = ("rules", i, "primitive")
        raise RuleError(at, _unknown("primitive", model.primitive, PRIMITIVES))
    mine = [(k, one) for k, one in enumerate(overrides) if one.rule == model.id]
    default = Variant(
        _params(primitive, model.params, ("rules", i)), model.severity, model.off, model.shadow
    )
    for k, override in mine:
        if override.segment is None:
            default = _overridden(primitive, default, override, k)
    segments: dict[str, Variant] = {}
    for k, override in mine:
        if override.segment is not None:
            before = segments.get(override.segment, default)
            segments[override.segment] = _overridden(primitive, before, override, k)
    return Rule(model, primitive, _policy(model, primitive, default.params), default, segments)


def _params(primitive: Primitive, raw: dict[str, Any], at: tuple[str | int, ...]) -> Params:
    return _model(primitive.Params, raw, (*at, "params"))


def _overridden(primitive: Primitive, before: Variant, change: OverrideModel, k: int) -> Variant:
    merged = before.params.model_dump() | change.params
    return Variant(
        _params(primitive, merged, ("overrides", k)),
        change.severity or before.severity,
        before.off if change.off is None else change.off,
        before.shadow if change.shadow is None else change.shadow,
    )


def _policy(model: RuleModel, primitive: Primitive, params: Params) -> Policy:
    policy = Policy()
    if primitive in EVENT:
        policy = _EVENT_POLICY
    elif primitive in DATE:
        policy = _DATE_POLICY
    else:
        daily = cast(type[DayPrimitive], primitive)
        memory = daily.history_days(params) if daily.adapts else None
        policy = policy._replace(rearms=daily.rearms, memory_days=memory)
    changes = {
        name: value
        for name in ("dwell", "clear_days", "cooldown_days")
        if (value := getattr(model, name)) is not None
    }
    return policy._replace(**changes)


def _ordered(rules: list[Rule], known: dict[str, RuleModel]) -> tuple[Rule, ...]:
    """Return the rules so that each stands after those it yields to."""
    ordered: list[Rule] = []
    # What threatens an account goes before what promises growth.
    waiting = sorted(enumerate(rules), key=lambda one: one[1].model.category == "expansion")
    while waiting:
        placed = {rule.id for rule in ordered}
        ready = [(i, r) for i, r in waiting if set(r.model.yields_to) <= placed]
        if not ready:
            i, rule = waiting[0]
            missing = [one for one in rule.model.yields_to if one not in known]
            message = (
                _unknown("rule", missing[0], known) if missing else "rules yield to each other"
            )
            raise RuleError(("rules", i, "yields_to"), message)
        ordered.extend(rule for _, rule in ready)
        waiting = [one for one in waiting if one not in ready]
    return tuple(ordered)


def _related(ordered: tuple[Rule, ...]) -> tuple[Rule, ...]:
    risks = tuple(rule for rule in ordered if rule.model.category != "expansion")
    related = []
    for rule in ordered:
        firsts = tuple(one for one in ordered if one.id in rule.model.yields_to)
        related.append(replace(rule, firsts=firsts, risks=() if rule in risks else risks))
    return tuple(related)


def _history(rules: tuple[Rule, ...]) -> int:
    asking: list[tuple[Rule, type[DayPrimitive] | type[DatePrimitive]]] = [
        *((rule, one) for rule in rules for one in DAY if rule.primitive is one),
        *((rule, one) for rule in rules for one in DATE if rule.primitive is one),
    ]
    asked = [
        primitive.history_days(variant.params)
        for rule, primitive in asking
        for variant in (rule.default, *rule.segments.values())
    ]
    return max(asked, default=60)
