"""One line per alert of a backtest, and whole outcomes, with sensible defaults."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from schemas.envelope import COMPANY
from services.backtest.outcome import Outcome, Row, RuleNow

FIRST = date(2025, 1, 6)
"""A Monday."""

RULES = {
    "usage-drop": RuleNow("Usage fell", "usage_drop", "drop", False),
    "account-silent": RuleNow("No activity", "silence", "silence", False),
    "usage-fast-drop": RuleNow("Usage fell within a week", "usage_drop", "fastdrop", True),
    "usage-expansion": RuleNow("Usage grew", "expansion", "expansion", False),
}


BUILT_IN = {"common-fall": RuleNow("Many customers fell at once", "incident", "built in", False)}
"""The rule that every set has, which few of these outcomes mention."""


def on(day: int) -> date:
    """The day of that number; day 0 is the first judged one."""
    return FIRST + timedelta(days=day)


def row(
    account: str,
    day: int,
    rule: str = "usage-drop",
    *,
    days: int | None = 20,
    reason: str = "recovered",
    severity: str = "medium",
    object: str = "usage",
    owner: str | None = "ana",
    segment: str | None = "enterprise",
    arr: int | None = 1_200_000,
    currency: str | None = "EUR",
    headline: str = "usage fell by 31 %",
    text: str = "Usage was 6,210 in the 28 days to 14 May; 8,940 would be usual.",
) -> Row:
    """An alert of that day, cleared so many days later; None leaves it open."""
    now = (RULES | BUILT_IN)[rule]
    cleared = None if days is None else on(day + days)
    return Row(
        alert_id=f"{account}/{rule}/{object}/{day}",
        account=account,
        rule=rule,
        rule_set=1,
        kind=now.kind,
        object=object,
        severity=severity,
        worst=severity,
        fired_at=due(on(day)),
        day=on(day),
        cleared_at=None if cleared is None else due(cleared),
        cleared_on=cleared,
        reason=None if cleared is None else reason,
        shadow=now.shadow,
        owner=owner,
        segment=segment,
        arr=arr,
        currency=currency,
        headline=headline,
        text=text,
    )


def incident(
    day: int, headline: str = "61 of 120 customers fell at once", days: int | None = 20
) -> Row:
    """A fall that many customers share: it is about the company, which nobody owns."""
    return row(
        COMPANY, day, "common-fall", days=days, object="activity", owner=None, segment=None,
        arr=None, currency=None, headline=headline,
    )  # fmt: skip


def due(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(2), UTC)


def outcome(
    rows: Sequence[Row] = (),
    *,
    accounts: int = 10,
    days: int = 364,
    account_days: int | None = None,
    rules: dict[str, RuleNow] | None = None,
    refused: dict[str, int] | None = None,
    examples: Sequence[str] = (),
    interrupted: bool = False,
) -> Outcome:
    """What a backtest of so many days found."""
    return Outcome(
        rows=sorted(rows, key=lambda one: (one.fired_at, one.account, one.rule)),
        accounts=accounts,
        account_days=accounts * days if account_days is None else account_days,
        first=FIRST,
        last=on(days - 1),
        rules=RULES if rules is None else rules,
        refused=Counter(refused or {}),
        examples=list(examples),
        seconds=12.4,
        interrupted=interrupted,
    )
