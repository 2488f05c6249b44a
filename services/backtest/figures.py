"""What a backtest's alerts come to: by rule, owner, week and account. Pure.

The table and the report show the same figures because both take them from here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

from schemas.envelope import COMPANY
from services.backtest.estimates import median_life
from services.backtest.outcome import Outcome, Row

MONTH_DAYS: Final = 30.44
"""Days of a mean month. Source: tests/quality/scoring.py, account-months."""

NOBODY: Final = ""
"""Stands for the owner of accounts that have none."""

_WEEK: Final = timedelta(days=7)
_GRAVE: Final = frozenset({"high", "critical"})


class RuleFigures(NamedTuple):
    """What one rule, or all of them, raised.

    Attributes:
        rule: Its id; empty for all that notify.
        title: For a person.
        shadow: Whether it is measured only.
        alerts: How many.
        per_100: Alerts per 100 account-months; None where no day was judged.
        accounts: How many accounts it concerned; the company as a whole is none.
        open: Alerts still open at the end.
        days_open: After how many days half had been cleared; None where fewer than half were.
        reasons: Cleared alerts by reason.
    """

    rule: str
    title: str
    shadow: bool
    alerts: int
    per_100: float | None
    accounts: int
    open: int
    days_open: int | None
    reasons: Counter[str]


class OwnerFigures(NamedTuple):
    """What one owner would have been told; shadow rules tell nobody.

    Attributes:
        owner: Id; empty where an account had none.
        alerts: How many.
        accounts: About how many accounts; the company as a whole is none.
        mean: Alerts a week, over all weeks.
        most: Alerts in the busiest week.
        busiest: Monday of that week.
        weeks: Alerts in each week.
    """

    owner: str
    alerts: int
    accounts: int
    mean: float
    most: int
    busiest: date
    weeks: list[int]


class AccountFigures(NamedTuple):
    """What was said about one account.

    Attributes:
        account: Its id.
        owner: Who owned it at the newest alert.
        segment: Of it then.
        arr: Yearly revenue then, minor units.
        currency: Of it.
        rows: Its alerts, the newest first.
    """

    account: str
    owner: str | None
    segment: str | None
    arr: int | None
    currency: str | None
    rows: list[Row]


class Money(NamedTuple):
    """An amount in minor units of a currency, which may be unknown."""

    minor: int
    currency: str | None


def account_months(outcome: Outcome) -> float:
    """Return how much was judged, in months of one account."""
    return outcome.account_days / MONTH_DAYS


def notifying(outcome: Outcome) -> list[Row]:
    """Return the alerts that somebody would have been told about."""
    return [row for row in outcome.rows if not row.shadow]


def overall(outcome: Outcome) -> RuleFigures:
    """Return the figures of all rules together but those in shadow."""
    return _figures(outcome, "", "All rules that notify", False, notifying(outcome))


def per_rule(outcome: Outcome) -> list[RuleFigures]:
    """Return the figures of each rule that was played, also of those that never fired."""
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for row in outcome.rows:
        rows[row.rule].append(row)
    return [
        _figures(outcome, rule, now.title, now.shadow, rows[rule])
        for rule, now in outcome.rules.items()
    ]


def days_open(row: Row, last: date) -> int:
    """Return how many days an alert was open, up to the last judged day; the first one counts."""
    return max(1, ((row.cleared_on or last) - row.day).days)


def weeks(outcome: Outcome) -> list[date]:
    """Return the Monday of every week in which a day was judged, or something came to pass.

    What an event wakes can lie before the first day that day rules judged.
    """
    days = [outcome.first, outcome.last, *(row.day for row in outcome.rows)]
    first = monday(min(days))
    return [first + n * _WEEK for n in range((max(days) - first).days // 7 + 1)]


def monday(on: date) -> date:
    """Return the first day of a day's week.

    >>> monday(date(2026, 5, 14)).isoformat()
    '2026-05-11'
    """
    return on - timedelta(days=on.weekday())


def owners(outcome: Outcome) -> list[OwnerFigures]:
    """Return what each owner would have been told, who would have heard most first."""
    mondays = weeks(outcome)
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for row in notifying(outcome):
        rows[row.owner or NOBODY].append(row)
    found = [_owner(owner, mine, mondays) for owner, mine in rows.items()]
    return sorted(found, key=lambda one: (-one.alerts, one.owner))


def accounts(outcome: Outcome) -> list[AccountFigures]:
    """Return what was said about each account, the highest revenue first; no shadow alerts.

    Amounts in several currencies are compared as they stand: a backtest has no rates.
    """
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for row in notifying(outcome):
        if row.account != COMPANY:
            rows[row.account].append(row)
    found = [_account(account, mine) for account, mine in rows.items()]
    return sorted(found, key=lambda one: (-(one.arr or 0), -len(one.rows), one.account))


def incidents(outcome: Outcome) -> list[Row]:
    """Return what was said about all accounts together, the newest first; no shadow alerts."""
    return _newest([row for row in notifying(outcome) if row.account == COMPANY])


def at_risk(outcome: Outcome) -> list[Money]:
    """Return the yearly revenue of accounts with an open grave alert, each counted once.

    Returns:
        One amount a currency, the greatest first; grave is high or critical.

    Source: signals.md, ARR at risk.
    """
    latest = {
        row.account: Money(row.arr, row.currency)
        for row in notifying(outcome)
        if row.cleared_on is None and row.worst in _GRAVE and row.arr is not None
    }
    total: Counter[str | None] = Counter()
    for money in latest.values():
        total[money.currency] += money.minor
    found = [Money(minor, currency) for currency, minor in total.items()]
    return sorted(found, key=lambda one: (-one.minor, one.currency or ""))


def _figures(
    outcome: Outcome, rule: str, title: str, shadow: bool, rows: Sequence[Row]
) -> RuleFigures:
    months = account_months(outcome)
    ended = [days_open(row, outcome.last) for row in rows if row.cleared_on is not None]
    running = [days_open(row, outcome.last) for row in rows if row.cleared_on is None]
    return RuleFigures(
        rule=rule,
        title=title,
        shadow=shadow,
        alerts=len(rows),
        per_100=100 * len(rows) / months if months else None,
        accounts=_accounts(rows),
        open=len(running),
        days_open=median_life(ended, running),
        reasons=Counter(row.reason or "unknown" for row in rows if row.cleared_on is not None),
    )


def _owner(owner: str, rows: Sequence[Row], mondays: Sequence[date]) -> OwnerFigures:
    counts = _by_week(rows, mondays)
    most = max(counts)
    return OwnerFigures(
        owner=owner,
        alerts=len(rows),
        accounts=_accounts(rows),
        mean=len(rows) / len(mondays),
        most=most,
        busiest=mondays[counts.index(most)],
        weeks=counts,
    )


def _accounts(rows: Iterable[Row]) -> int:
    """Count the accounts of alerts; what is about the company is about none of them."""
    return len({row.account for row in rows} - {COMPANY})


def _by_week(rows: Iterable[Row], mondays: Sequence[date]) -> list[int]:
    found = Counter(monday(row.day) for row in rows)
    return [found[one] for one in mondays]


def _account(account: str, rows: Sequence[Row]) -> AccountFigures:
    newest = _newest(rows)
    top = newest[0]
    return AccountFigures(account, top.owner, top.segment, top.arr, top.currency, newest)


def _newest(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.fired_at, row.rule, row.object), reverse=True)
