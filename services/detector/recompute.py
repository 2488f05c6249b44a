"""An alert's numbers computed once more, from the evidence that is stored with it. Pure.

Whoever doubts an alert shall not have to trust it: the same rule, over the arrays that the record
keeps, must say the same again, number by number (detection.md §7, design.md §6).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

import numpy as np

from schemas.alerts import SEVERITIES, Alert, AlertCleared, AlertEased, AlertRaised
from schemas.envelope import account
from services.detector import featured, fleet, rebuilt
from services.detector.calendars import to_day
from services.detector.compared import Compared, Line, compared, same
from services.detector.episode import KEEP_DAYS, alert_id
from services.detector.primitives import DAY, EVENT, worst
from services.detector.primitives.day import SWING_WEEKS, DayPrimitive, Series
from services.detector.primitives.finding import Finding
from services.detector.retold import BESIDE, retold
from services.detector.rules import Rule, RuleSet, Variant, severity_index

ORDINALS: Final = 100
"""Alerts of one object that are raised on one day; more come from nobody."""

_PEERS: Final = "what all customers' summaries said: it can only be read"
_OLDER: Final = "of before the days of each feature were kept"
_READ: Final[Mapping[str, str]] = {
    "metrics": "which lines of the account were added up, as its flags were then",
    "history.last_alert": "which alert came before: record or alert log has forgotten it",
    "history.false_alarm_votes": "what people had said by then: it can only be read",
    "peer_ratio": _PEERS,
    "peer_accounts": _PEERS,
    "peer_scope": _PEERS,
    "usual_when_raised": "what was usual on the day on which it was raised: see that record",
    "incident": "the alert that tells the fall of many: see its own record",
    "features": f"which features fell most: {_OLDER}",
    "lost": f"which features are gone: {_OLDER}",
    "core_features": "how regularly each is used; when last, the events tell while the log lasts",
}
"""What stands in a record that nothing stored with it gives once more, and what it is."""


class Recomputed(NamedTuple):
    """What became of a record.

    Attributes:
        lines: What was computed again, in the record's order.
        notes: What was not, and why.
        read: Names of what was not: whoever reads it has to believe it.
    """

    lines: list[Line]
    notes: list[str]
    read: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether all that was computed agrees."""
        return all(line.agrees for line in self.lines)


def recompute(
    record: Alert, rules: RuleSet, raised_on: date | None, earlier: Sequence[date] | None = None
) -> Recomputed:
    """Compute what a record says once more.

    Args:
        record: Any record of an alert, with its evidence.
        rules: The rule set that judged it.
        raised_on: The day on which the alert was raised; None where that record is gone.
        earlier: On which days the rule raised other alerts of the account; None where nobody knows.

    Returns:
        Its numbers beside what comes out now; a record without evidence has none.
    """
    if record.kind == fleet.KIND:
        return _shared(record, raised_on)
    rule = rules.by_id.get(record.rule)
    if rule is None:
        return Recomputed([], [f"rule set {rules.n} has no rule {record.rule!r}: nothing to ask"])
    because = record.because
    variants, notes = _variants(rule, because.get("thresholds_in_force") or {})
    lines = [
        Line("kind", record.kind, rule.kind(variants[0])),
        *_identity(record, raised_on),
    ]
    if "primitive" in because:
        lines.append(Line("primitive", because["primitive"], rule.primitive.name))
    if rule.primitive in DAY:
        found, more = _judged(record, rule.primitive, variants[0])
    else:
        found, more = rebuilt.judged(record, rule.primitive, variants[0].params)
    computed = {} if found is None else found.because | _features(because, record.day)
    numbers = compared(because | _bare(because), computed)
    lines += numbers.lines
    if found is not None:
        lines += _verdict(record, variants, found)
    lines += _before(because, raised_on, earlier, woken=rule.primitive in EVENT)
    return _told(record, lines, [*notes, *more], numbers)


def _shared(record: Alert, raised_on: date | None) -> Recomputed:
    """Compute a fall that many accounts share once more, from how many they were."""
    if not record.because:
        return Recomputed([], ["the record keeps no evidence of its own"])
    found, numbers = rebuilt.shared_fall(record.because)
    beside = compared(record.because, numbers)
    lines = [*_identity(record, raised_on), *beside.lines]
    if isinstance(record, AlertRaised):
        lines.append(Line("fires", True, found.shared))
    elif isinstance(record, AlertCleared) and record.reason == "recovered":
        lines.append(Line("clears", True, found.common < fleet.CLEAR))
    return _told(record, lines, [], beside)


def _told(record: Alert, lines: list[Line], notes: list[str], numbers: Compared) -> Recomputed:
    """Add the words, what could only be read, and what only this version computes."""
    words = retold(record)
    lines = [*lines, *words.lines]
    read = _read(record.because, {*numbers.names, *(line.name for line in lines)})
    notes = [*notes, *words.notes]
    for why in dict.fromkeys(read.values()):
        notes.append(f"{', '.join(name for name in read if read[name] == why)}: {why}")
    if record.because.get("masked_days"):
        notes.append("why days were left out is what the calendars said then: not computed again")
    if numbers.new:
        notes.append(f"{', '.join(numbers.new)}: this version computes it, the record has none")
    return Recomputed(lines, notes, tuple(read))


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
    whole, fresh = computed_from.get("whole"), computed_from.get("fresh")
    return Series(
        day=day,
        counts=counts,
        masked=masked,
        known=np.array([computed_from["known"]], dtype=np.int64),
        swings=swings,
        active=np.array([computed_from["active"]], dtype=np.int64),
        whole=None if whole is None else series_of(whole, day),
        fresh=None if fresh is None else np.array([fresh], dtype=np.int64),
    )


def _variants(rule: Rule, limits: Mapping[str, Any]) -> tuple[list[Variant], list[str]]:
    """Return the rule as it may have held: a segment is not kept, and only its limits tell it."""
    fits = [one for one in (rule.default, *rule.segments.values()) if _in_force(one, limits)]
    if not fits:
        return [rule.default], ["its limits are those of no segment of this rule set"]
    return fits, []


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
    then = record.because.get("usual_when_raised")
    if then is not None and verdicts.over is not None:
        # An open alert is over beside what was usual then, not beside what has become so.
        clears = verdicts.over(0, then) and not fires
    if not verdicts.told[0]:
        fires = clears = False
    severity = SEVERITIES[int(verdicts.severity[0])]
    return Finding(record.object, fires, clears, severity, verdicts.because(0)), []


def _features(because: Mapping[str, Any], day: date) -> dict[str, Any]:
    """Return what is said of single features, from the days that are stored with each."""
    told: dict[str, Any] = {}
    worst_ones = because.get("features", ())
    if worst_ones and all("computed_from" in one for one in worst_ones):
        told["features"] = [_fell(one, to_day(day)) for one in worst_ones]
    if "core_features" in because and "used_since" in because:
        told["lost"] = featured.lost(because["core_features"], because["used_since"])
    return told


def _fell(one: Mapping[str, Any], day: int) -> dict[str, Any]:
    """Return a feature with its numbers computed once more."""
    (numbers,) = worst.fallen(series_of(one["computed_from"], day))
    return {"feature": one["feature"]} | {name: numbers.get(name) for name in _NUMBERS}


def _bare(because: Mapping[str, Any]) -> dict[str, Any]:
    """Return the features of a record with their names and numbers alone, as they are compared."""
    if "features" not in because:
        return {}
    told = ("feature", *_NUMBERS)
    return {"features": [{name: one.get(name) for name in told} for one in because["features"]]}


_NUMBERS: Final = ("observed", "expected", "ratio")


def _verdict(record: Alert, variants: Sequence[Variant], found: Finding) -> Iterator[Line]:
    """Say whether the record follows from what was found, for any segment that it may be of."""
    if isinstance(record, AlertCleared):
        if record.reason == "recovered":
            yield Line("clears", True, found.clears)
        return
    if not isinstance(record, AlertEased):
        yield Line("fires", True, found.fires)
    renewal = record.account_now.renewal_on
    left = None if renewal is None else to_day(renewal) - to_day(record.day)
    if found.fires:
        depth = SEVERITIES.index(found.severity)
        may = [SEVERITIES[severity_index(one, depth, left)] for one in variants]
        yield Line(
            "severity", record.severity, record.severity if record.severity in may else may[0]
        )


def _before(
    because: Mapping[str, Any],
    raised_on: date | None,
    earlier: Sequence[date] | None,
    *,
    woken: bool,
) -> Iterator[Line]:
    """Say whether the alert before this one is the one that the alert log has."""
    stored = because.get("history", {}).get("last_alert")
    if earlier is None or raised_on is None or "history" not in because:
        return
    # As `former.history` has it: an event's alert tells nothing of the days just before it.
    until = raised_on - timedelta(days=KEEP_DAYS) if woken else raised_on
    known = max((day for day in earlier if day < until), default=None)
    # The log forgets after 400 days, and an account when it is erased: where only one of both knows
    # of an earlier alert, that says nothing against the record.
    if (known is None) == (stored is None):
        yield Line("history.last_alert", stored, None if known is None else known.isoformat())


def _read(stored: Mapping[str, Any], known: Collection[str]) -> dict[str, str]:
    """Return what stands in a record and was not computed, and what it is."""
    names = [key for key in stored if key not in BESIDE | {"computed_from", "history"}]
    names += [f"history.{key}" for key in stored.get("history", ())]
    other = "not computed from the stored evidence"
    return {name: _READ.get(name, other) for name in names if name not in known}
