"""How good rules have been: what they raised, what people said of it, who left afterwards. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

from schemas.alerts import SEVERITIES
from schemas.cases import Verdict
from services.alerts.cases.case import Case
from services.alerts.cases.standing import Standing
from services.backtest.estimates import Interval, Quartiles, quartiles, wilson
from services.backtest.horizon import HORIZON_DAYS, LATE_DAYS

HIGH: Final = SEVERITIES.index("high")
WEEK: Final = timedelta(days=7)


class Raising(NamedTuple):
    """One alert, as far as figures ask.

    Attributes:
        account: Whose.
        rule: The rule that raised it.
        rule_set: Number of the rule set that judged then.
        day: The local day that was judged.
        severity: Index into `SEVERITIES`, the worst of its first and its newest record.
        open: Its condition still holds.
        shadow: Its rule is only measured.
        historic: Imported history raised it.
        verdict: What was said of it last; None if nobody did.
        renewal_on: When the account's renewal was to be, as known then.
    """

    account: str
    rule: str
    rule_set: int
    day: date
    severity: int
    open: bool
    shadow: bool
    historic: bool
    verdict: Verdict | None
    renewal_on: date | None


class Figures(NamedTuple):
    """One rule, in one rule set or in all.

    Attributes:
        rule: Its id.
        rule_set: Number of the rule set; None for all together.
        alerts: How many it raised.
        historic: Those of imported history among them.
        weeks: Weeks within the period in which the rule set was in force.
        open: Those that are open now.
        shadow: Those of a rule that is only measured, so that nobody was told.
        verdicts: What people said, one word an alert.
        leads: Days from the first alert of an account to its leaving; one for each that left.
        late: Alerts that were an account's first high one, too near to its renewal.
    """

    rule: str
    rule_set: int | None
    alerts: int
    historic: int
    weeks: float
    open: int
    shadow: int
    verdicts: Mapping[str, int]
    leads: Sequence[int]
    late: int

    @property
    def per_week(self) -> float | None:
        """Alerts a week, without those of imported history; None for less than a week."""
        return None if self.weeks < 1 else (self.alerts - self.historic) / self.weeks

    @property
    def judged(self) -> int:
        """Alerts of which somebody said what they were worth."""
        return sum(self.verdicts.values())

    @property
    def precision(self) -> float | None:
        """Useful ones among the judged, 0..1. Source: signals.md, vocabulary."""
        return self.verdicts.get("useful", 0) / self.judged if self.judged else None

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the precision."""
        return wilson(self.verdicts.get("useful", 0), self.judged)

    @property
    def lead(self) -> Quartiles | None:
        """Quartiles of the lead time in days."""
        return quartiles(self.leads)

    def plain(self) -> dict[str, Any]:
        """Return plain JSON."""
        interval, lead = self.interval, self.lead
        return {
            "rule": self.rule,
            "rule_set": self.rule_set,
            "alerts": self.alerts,
            "historic": self.historic,
            "weeks_in_force": round(self.weeks, 1),
            "alerts_per_week": None if self.per_week is None else round(self.per_week, 3),
            "open": self.open,
            "shadow": self.shadow,
            "verdicts": dict(self.verdicts),
            "judged": self.judged,
            "precision": None if self.precision is None else round(self.precision, 3),
            "precision_interval95": None if interval is None else [round(x, 3) for x in interval],
            "left": len(self.leads),
            "lead_days": None if lead is None else lead._asdict(),
            "late_catches": self.late,
        }


class Period(NamedTuple):
    """From which day up to which, both included, figures count."""

    first: date
    last: date


def raisings(case: Case) -> list[Raising]:
    """Return the alerts of a case."""
    return [_raising(one) for one in case.standings.values()]


def left(case: Case) -> list[tuple[str, date]]:
    """Return when people said that the account had left: a case resolved as `churned`."""
    return [
        (case.id, _day(line.at))
        for line in case.entries
        if line.type == "case.resolved" and line.outcome == "churned"
    ]


def figures(
    alerts: Iterable[Raising],
    churns: Iterable[tuple[str, date]],
    in_force: Mapping[int, Period],
    period: Period,
    rules: Sequence[str] = (),
) -> list[Figures]:
    """Return the figures of every rule, and below it of each rule set that judged it.

    Args:
        alerts: All that are known.
        churns: Accounts and the days on which they left.
        in_force: By number, from when to when a rule set held, in the period.
        period: Alerts of other days do not count.
        rules: Rules of which figures are wanted though they raised nothing.
    """
    counted = [one for one in alerts if period.first <= one.day <= period.last]
    late = _late(counted)
    days = _by_account(churns)
    by_rule: dict[str, list[Raising]] = {rule: [] for rule in rules}
    for one in counted:
        by_rule.setdefault(one.rule, []).append(one)
    found = []
    for rule, mine in sorted(by_rule.items()):
        sets = sorted({one.rule_set for one in mine})
        whole = _weeks(period)
        found.append(_figures(rule, None, mine, whole, days, late))
        for n in sets:
            some = [one for one in mine if one.rule_set == n]
            weeks = _weeks(in_force[n]) if n in in_force else 0.0
            found.append(_figures(rule, n, some, weeks, days, late))
    return found


def in_force(applied: Mapping[int, date], period: Period) -> dict[int, Period]:
    """Return from when to when each rule set held, in the period; one that did not is absent.

    Args:
        applied: By number, when it was applied.
        period: The days that are looked at.
    """
    found = {}
    numbers = sorted(applied)
    for n, after in zip(numbers, [*numbers[1:], None], strict=True):
        end = period.last if after is None else applied[after] - timedelta(days=1)
        held = Period(max(applied[n], period.first), min(end, period.last))
        if held.first <= held.last:
            found[n] = held
    return found


def _figures(
    rule: str,
    rule_set: int | None,
    mine: Sequence[Raising],
    weeks: float,
    churns: Mapping[str, Sequence[date]],
    late: Iterable[Raising],
) -> Figures:
    return Figures(
        rule=rule,
        rule_set=rule_set,
        alerts=len(mine),
        historic=sum(one.historic for one in mine),
        weeks=weeks,
        open=sum(one.open for one in mine),
        shadow=sum(one.shadow for one in mine),
        verdicts=dict(sorted(Counter(one.verdict for one in mine if one.verdict).items())),
        leads=_leads(mine, churns),
        late=sum(one in mine for one in late),
    )


def _raising(standing: Standing) -> Raising:
    first, latest = standing.first, standing.latest
    said = list(standing.feedback.values())
    return Raising(
        account=first.account,
        rule=first.rule,
        rule_set=first.rule_set,
        day=first.day,
        severity=max(SEVERITIES.index(one.severity) for one in (first, latest)),
        open=standing.open,
        shadow=latest.shadow,
        historic=first.historic,
        verdict=said[-1] if said else None,
        renewal_on=first.account_now.renewal_on,
    )


def _leads(mine: Sequence[Raising], churns: Mapping[str, Sequence[date]]) -> list[int]:
    """Return, for each leaving, how long before it the rule first warned of it."""
    horizon = timedelta(days=HORIZON_DAYS)
    firsts: dict[tuple[str, date], date] = {}
    for one in mine:
        for on in churns.get(one.account, ()):
            if one.day <= on <= one.day + horizon:
                key = (one.account, on)
                firsts[key] = min(one.day, firsts.get(key, one.day))
    return sorted((on - first).days for (_, on), first in firsts.items())


def _late(alerts: Iterable[Raising]) -> list[Raising]:
    """Return alerts that were the first high one before a renewal, and came too near to it."""
    firsts: dict[tuple[str, date], Raising] = {}
    for one in sorted(alerts, key=lambda one: (one.day, one.rule)):
        if one.renewal_on is not None and one.severity >= HIGH and one.day <= one.renewal_on:
            firsts.setdefault((one.account, one.renewal_on), one)
    near = timedelta(days=LATE_DAYS)
    return [one for (_, renewal), one in firsts.items() if renewal - one.day < near]


def _by_account(churns: Iterable[tuple[str, date]]) -> dict[str, list[date]]:
    found: defaultdict[str, list[date]] = defaultdict(list)
    for account, on in sorted(set(churns)):
        found[account].append(on)
    return found


def _weeks(period: Period) -> float:
    return (period.last - period.first + timedelta(days=1)) / WEEK


def _day(micros: int) -> date:
    return date(1970, 1, 1) + timedelta(microseconds=micros)
