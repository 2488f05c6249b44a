"""How good alerts were, held against what became of the customers. Pure.

A warning is right if its customer leaves within the horizon after it; a churn is caught if there
was a warning within the horizon before it. Which alerts are no warnings: those of rules for good
news, and those about the company as a whole.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

from services.backtest.churns import Churn, Truth
from services.backtest.horizon import HORIZON_DAYS
from services.backtest.judged import Catch, Judged, Score, Verdict
from services.backtest.outcome import Outcome, Row

__all__ = ["HORIZON_DAYS", "Catch", "Churn", "Judged", "Score", "Truth", "judge"]

GAP_DAYS: Final = 28
"""Alerts of an account less than this apart are one warning. Source: tests/quality/scoring.py,
episodes."""

GOOD_NEWS: Final = frozenset({"expansion", "seat_expansion"})
WHOLE_COMPANY: Final = frozenset({"incident"})


def judge(
    outcome: Outcome,
    truth: Truth,
    horizon_days: int = HORIZON_DAYS,
    known: Collection[str] | None = None,
) -> Judged:
    """Hold the alerts of a backtest against what became of the customers.

    A warning whose horizon reaches beyond what is known is judged by nobody, even if its customer
    left since: to count only those early enough to be right would make rules look better.

    Args:
        outcome: What was found.
        truth: Who left.
        horizon_days: A churn counts so many days after an alert, >= 1.
        known: Accounts that were played; None counts a churn of any other account as missed.

    Raises:
        ValueError: The horizon is none.
    """
    if horizon_days < 1:
        raise ValueError(f"a horizon of {horizon_days} days is none: at least 1")
    horizon = timedelta(days=horizon_days)
    until = _known_until(outcome, truth, horizon)
    churns, left_out = _catchable(outcome, truth.churns, known)
    warnings = [row for row in outcome.rows if _is_warning(row)]
    told = [row for row in warnings if not row.shadow]
    judging = _Judging(truth.churns, churns, horizon, until)
    overall = judging.score("", _first_of_each(told), told)
    missed = set(churns) - {one.churn for one in overall.caught}
    return Judged(
        horizon_days=horizon_days,
        until=until,
        overall=overall,
        rules=[
            judging.score(rule, mine, mine)
            for rule, now in outcome.rules.items()
            if now.kind not in GOOD_NEWS | WHOLE_COMPANY
            for mine in ([row for row in warnings if row.rule == rule],)
        ],
        missed=sorted(missed, key=lambda one: (-(one.amount or 0), one.on, one.account)),
        left_out=left_out,
        partly=sum(churn.on - horizon < outcome.first for churn in churns),
        chance=_chance(outcome, churns, horizon, until),
        currency=_only(row.currency for row in outcome.rows if row.currency is not None),
        refused=truth.refused,
        examples=truth.examples,
    )


class _Judging:
    """Holds alerts against churns.

    Args:
        all_churns: All that happened.
        churns: Those that could be caught.
        horizon: Between a warning and what it warns of, at most.
        until: Last day of which it is known who had left by then.
    """

    def __init__(
        self, all_churns: Sequence[Churn], churns: Sequence[Churn], horizon: timedelta, until: date
    ) -> None:
        self._days: Mapping[str, list[date]] = _by_account(all_churns)
        self._churns = churns
        self._horizon = horizon
        self._until = until

    def score(self, rule: str, warnings: Sequence[Row], alerts: Sequence[Row]) -> Score:
        """Return how good alerts were.

        Args:
            rule: Whose.
            warnings: Alerts to be judged, one by one.
            alerts: Alerts that may catch a churn.
        """
        caught = self._caught(alerts)
        amounts = [one.amount for one in self._churns if one.amount is not None]
        return Score(
            rule=rule,
            verdicts=Counter(self._verdict(row) for row in warnings),
            churns=len(self._churns),
            caught=caught,
            money=sum(amounts) if amounts else None,
            money_caught=sum(one.churn.amount or 0 for one in caught) if amounts else None,
        )

    def _verdict(self, row: Row) -> Verdict:
        days = self._days.get(row.account, [])
        place = bisect_right(days, row.day)
        if place == len(days) and days and row.day - days[-1] <= self._horizon:
            return "after"
        if row.day + self._horizon > self._until:
            return "too_recent"
        followed = place < len(days) and days[place] - row.day <= self._horizon
        return "right" if followed else "wrong"

    def _caught(self, alerts: Iterable[Row]) -> list[Catch]:
        first: defaultdict[str, list[Row]] = defaultdict(list)
        for row in sorted(alerts, key=lambda one: (one.day, one.fired_at, one.alert_id)):
            first[row.account].append(row)
        caught: list[Catch] = []
        for churn in self._churns:
            mine = first.get(churn.account, [])
            place = bisect_left(mine, churn.on - self._horizon, key=lambda row: row.day)
            if place < len(mine) and mine[place].day < churn.on:
                caught.append(Catch(churn, mine[place], (churn.on - mine[place].day).days))
        return caught


def _known_until(outcome: Outcome, truth: Truth, horizon: timedelta) -> date:
    """Return the last day of which it is known who had left by then.

    A churn after the last judged day says that the file was written later; one in the far future
    is a contract's end, or a slip of the pen, and says nothing.
    """
    days = (churn.on for churn in truth.churns)
    return max([outcome.last, *(on for on in days if on - horizon <= outcome.last)])


def _is_warning(row: Row) -> bool:
    return row.kind not in GOOD_NEWS | WHOLE_COMPANY


def _by_account(churns: Iterable[Churn]) -> dict[str, list[date]]:
    found: defaultdict[str, list[date]] = defaultdict(list)
    for churn in sorted(churns, key=lambda one: one.on):
        found[churn.account].append(churn.on)
    return dict(found)


def _first_of_each(rows: Iterable[Row]) -> list[Row]:
    """Return one alert for those of an account that lie less than four weeks apart."""
    last: dict[str, date] = {}
    found: list[Row] = []
    for row in sorted(rows, key=lambda one: (one.day, one.fired_at, one.alert_id)):
        before = last.get(row.account)
        if before is None or (row.day - before).days >= GAP_DAYS:
            found.append(row)
        last[row.account] = row.day
    return found


def _catchable(
    outcome: Outcome, churns: Iterable[Churn], known: Collection[str] | None
) -> tuple[list[Churn], Counter[str]]:
    """Return the churns up to which days were judged, and how many others there are, and why."""
    found: list[Churn] = []
    left_out: Counter[str] = Counter()
    # Whoever knows who left often knows it for longer than the usage goes: nothing could warn then.
    ended = outcome.last + timedelta(days=1)
    for churn in churns:
        if known is not None and churn.account not in known:
            left_out["unknown account"] += 1
        elif churn.on <= outcome.first:
            left_out["before the first judged day"] += 1
        elif churn.on > ended:
            left_out["after the last judged day"] += 1
        else:
            found.append(churn)
    return found, left_out


def _chance(
    outcome: Outcome, churns: Iterable[Churn], horizon: timedelta, until: date
) -> float | None:
    """Return which share of the judged account-days lies within the horizon before a churn.

    As if every account had been judged on the same share of the days.
    """
    one = timedelta(days=1)
    last = min(outcome.last, until - horizon)
    span, whole = (last - outcome.first).days + 1, (outcome.last - outcome.first).days + 1
    account_days = outcome.account_days * span / whole if span > 0 else 0.0
    if account_days <= 0:
        return None
    before = sum(
        max(0, (min(last, churn.on - one) - max(outcome.first, churn.on - horizon)).days + 1)
        for churn in churns
    )
    return min(1.0, before / account_days)


def _only(values: Iterable[str]) -> str | None:
    found = set(values)
    return found.pop() if len(found) == 1 else None
