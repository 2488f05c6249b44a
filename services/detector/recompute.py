"""An alert's numbers computed once more, from the evidence that is stored with it. Pure.

Whoever doubts an alert shall not have to trust it: the same rule, over the arrays that the record
keeps, must say the same again, number by number (detection.md §7, design.md §6).
"""

from collections.abc import Iterator, Mapping
from datetime import date
from math import isclose
from typing import Any, Final, NamedTuple

import numpy as np

from schemas.alerts import SEVERITIES, Alert, AlertCleared, AlertEased, AlertRaised
from schemas.envelope import account
from services.detector import fleet, rebuilt
from services.detector.calendars import to_day
from services.detector.episode import alert_id
from services.detector.primitives import DAY
from services.detector.primitives.day import SWING_WEEKS, DayPrimitive, Series
from services.detector.primitives.finding import Finding
from services.detector.rules import Rule, RuleSet, Variant, severity_index

ABSENT: Final = "absent"
"""Stands where one side has no such number."""
ROUNDED: Final = 2e-6
"""Numbers of a record have six decimals; a last one that differs is another machine's."""
ORDINALS: Final = 100
"""Alerts of one object that are raised on one day; more come from nobody."""

_WORDS: Final = frozenset({"headline", "text", "title", "play"})
_BESIDE: Final = frozenset(
    {"computed_from", "metrics", "history", "peer_ratio", "peer_accounts", "incident"}
)


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


class Recomputed(NamedTuple):
    """What became of a record.

    Attributes:
        lines: What was computed again, in the record's order.
        notes: What was not, and why.
    """

    lines: list[Line]
    notes: list[str]

    @property
    def agrees(self) -> bool:
        """Whether all that was computed agrees."""
        return all(line.agrees for line in self.lines)


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


def recompute(record: Alert, rules: RuleSet, raised_on: date | None) -> Recomputed:
    """Compute what a record says once more.

    Args:
        record: Any record of an alert, with its evidence.
        rules: The rule set that judged it, or None's stand-in without that rule.
        raised_on: The day on which the alert was raised; None where that record is gone.

    Returns:
        Its numbers beside what comes out now; a record without evidence has none.
    """
    if record.kind == fleet.KIND:
        return _shared(record, raised_on)
    rule = rules.by_id.get(record.rule)
    if rule is None:
        return Recomputed([], [f"rule set {rules.n} has no rule {record.rule!r}: nothing to ask"])
    because = record.because
    variant, notes = _variant(rule, because.get("thresholds_in_force") or {})
    lines = [
        Line("kind", record.kind, rule.kind(variant)),
        *_identity(record, raised_on),
    ]
    if rule.primitive in DAY:
        found, more = _judged(record, rule.primitive, variant)
    else:
        found, more = rebuilt.judged(record, rule.primitive, variant.params)
    if found is not None:
        lines += _compared(because, found.because)
        lines += _verdict(record, variant, found)
        more += _left(because, found.because)
    return Recomputed(lines, [*notes, *more])


def _shared(record: Alert, raised_on: date | None) -> Recomputed:
    """Compute a fall that many accounts share once more, from how many they were."""
    if not record.because:
        return Recomputed([], ["the record keeps no evidence of its own"])
    found, numbers = rebuilt.shared_fall(record.because)
    lines = [*_identity(record, raised_on), *_compared(record.because, numbers)]
    if isinstance(record, AlertRaised):
        lines.append(Line("fires", True, found.shared))
    elif isinstance(record, AlertCleared) and record.reason == "recovered":
        lines.append(Line("clears", True, found.common < fleet.CLEAR))
    return Recomputed(lines, _left(record.because, numbers))


def series_of(computed_from: Mapping[str, Any], day: int) -> Series:
    """Return the arrays of one account as the evidence keeps them.

    Args:
        computed_from: `computed_from` of a record.
        day: The judged day, days since 1970-01-01.

    Raises:
        KeyError: Something is missing.
        ValueError: Something is no number.
    """
    counts = np.array([computed_from["counts"]], dtype=np.float64)
    masked = np.zeros(counts.shape, dtype=np.bool_)
    masked[0, list(computed_from["masked"])] = True
    swings = np.full((1, SWING_WEEKS), np.nan)
    kept = [np.nan if one is None else one for one in computed_from["swings"]]
    swings[0, : len(kept)] = kept
    whole = computed_from.get("whole")
    return Series(
        day=day,
        counts=counts,
        masked=masked,
        known=np.array([computed_from["known"]], dtype=np.int64),
        swings=swings,
        active=np.array([computed_from["active"]], dtype=np.int64),
        whole=None if whole is None else series_of(whole, day),
    )


def _variant(rule: Rule, limits: Mapping[str, Any]) -> tuple[Variant, list[str]]:
    """Return the rule as it held for the account, which its limits tell: a segment is not kept."""
    named = [(None, rule.default), *rule.segments.items()]
    fits = [(name, one) for name, one in named if _in_force(one, limits)]
    if not fits:
        return rule.default, ["its limits are those of no segment of this rule set"]
    return fits[0][1], []


def _in_force(variant: Variant, limits: Mapping[str, Any]) -> bool:
    asked = variant.params.model_dump(mode="json")
    return all(same(limits[name], value) for name, value in asked.items() if name in limits)


def _identity(record: Alert, raised_on: date | None) -> Iterator[Line]:
    """Say whether the id is that of who and what the alert is about."""
    if raised_on is None:
        return
    ids = (
        alert_id(subject, record.rule, record.object, to_day(raised_on), ordinal)
        for subject in (account(record.account), record.account)
        for ordinal in range(ORDINALS)
    )
    found = next((one for one in ids if one == record.alert_id), None)
    yield Line("alert_id", record.alert_id, found or "that of another account, rule or day")


def _judged(
    record: Alert, primitive: type[DayPrimitive], variant: Variant
) -> tuple[Finding | None, list[str]]:
    source = record.because.get("computed_from")
    if source is None:
        return None, ["the record keeps no evidence of its own"]
    try:
        series = series_of(source, to_day(record.day))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        return None, [f"its evidence cannot be read: {type(error).__name__}: {error}"]
    verdicts = primitive.judge(series, variant.params)
    fires, clears = bool(verdicts.fires[0]), bool(verdicts.clears[0])
    if not verdicts.told[0]:
        fires = clears = False
    severity = SEVERITIES[int(verdicts.severity[0])]
    return Finding(record.object, fires, clears, severity, verdicts.because(0)), []


def _verdict(record: Alert, variant: Variant, found: Finding) -> Iterator[Line]:
    """Say whether the record follows from what was found."""
    if isinstance(record, AlertCleared):
        if record.reason == "recovered":
            yield Line("clears", True, found.clears)
        return
    if not isinstance(record, AlertEased):
        yield Line("fires", True, found.fires)
    renewal = record.account_now.renewal_on
    left = None if renewal is None else to_day(renewal) - to_day(record.day)
    if found.fires:
        index = severity_index(variant, SEVERITIES.index(found.severity), left)
        yield Line("severity", record.severity, SEVERITIES[index])


def _compared(stored: Mapping[str, Any], computed: Mapping[str, Any]) -> Iterator[Line]:
    before = dict(_leaves({key: stored[key] for key in computed if key in stored}))
    after = dict(_leaves(computed))
    for name in dict.fromkeys([*before, *after]):
        yield Line(name, before.get(name, ABSENT), after.get(name, ABSENT))


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


def _left(stored: Mapping[str, Any], computed: Mapping[str, Any]) -> list[str]:
    """Name what the record says beside what its rule computes."""
    beside = [key for key in stored if key not in computed and key not in _WORDS | _BESIDE]
    told = [f"{', '.join(beside)}: not computed from the stored evidence"] if beside else []
    if stored.get("masked_days"):
        told.append("why days were left out is what the calendars said then: not computed again")
    if "peer_ratio" in stored:
        told.append("peer_ratio is what all customers' summaries said: it can only be read")
    return told


def is_raising(record: Alert) -> bool:
    """Tell whether a record is the one in which its alert was raised."""
    return isinstance(record, AlertRaised)
