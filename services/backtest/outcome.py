"""What a backtest found: the life of each alert, and how much was judged for it."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, NamedTuple

from schemas.alerts import Alert
from services.backtest.pasts import Past

EXAMPLES: Final = 20
"""So many refused rows are quoted."""


class Sent(NamedTuple):
    """An alert, and what the record does not say of its account."""

    alert: Alert
    segment: str | None


class Row(NamedTuple):
    """The life of one alert.

    Attributes:
        alert_id: Its id, the one that the live path gives it.
        account: The account.
        rule: The rule.
        rule_set: Number of the rule set that judged.
        kind: Kind of the alert, as `usage_drop`.
        object: What of the account it is about: a metric, a person, `activity`.
        severity: When it was raised.
        worst: The worst that it became.
        fired_at: When the judged day was due, or the event's time; aware UTC.
        day: The local day that was judged.
        cleared_at: When it was cleared, aware UTC; None while it is open.
        cleared_on: The local day on which it was cleared; None while it is open.
        reason: Why it was cleared; None while it is open.
        shadow: Whether the rule is measured only, and tells nobody.
        owner: Who owned the account then.
        segment: The account's segment at the end of the backtest.
        arr: The account's yearly revenue then, in minor units.
        currency: Of it.
        headline: One line for a person.
        text: One paragraph for a person.
        ratio: Observed / expected, where the rule compares; else None.
        probability: Of a true fall, where the rule has one.
        observed: What the window held.
        expected: What would have been usual.
    """

    alert_id: str
    account: str
    rule: str
    rule_set: int
    kind: str
    object: str
    severity: str
    worst: str
    fired_at: datetime
    day: date
    cleared_at: datetime | None
    cleared_on: date | None
    reason: str | None
    shadow: bool
    owner: str | None
    segment: str | None
    arr: int | None
    currency: str | None
    headline: str
    text: str
    ratio: float | None = None
    probability: float | None = None
    observed: float | None = None
    expected: float | None = None


class RuleNow(NamedTuple):
    """A rule as it was played.

    Attributes:
        title: For a person.
        kind: Kind of its alerts.
        primitive: What judges it.
        shadow: Whether it is measured only.
    """

    title: str
    kind: str
    primitive: str
    shadow: bool


class Outcome(NamedTuple):
    """What a backtest found.

    Attributes:
        rows: Alerts by (fired_at, account, rule).
        accounts: Accounts that were played.
        account_days: Days judged over all accounts, without warm-up.
        first: First judged day.
        last: Last judged day.
        rules: Rules that were played, by id.
        refused: Refused rows by reason.
        examples: The first of them, for a person.
        seconds: How long it took.
        interrupted: Whether it was ended before the files were.
        known: Ids of the accounts that were played.
        pasts: When they were active, where somebody asked.
    """

    rows: list[Row]
    accounts: int
    account_days: int
    first: date
    last: date
    rules: dict[str, RuleNow]
    refused: Counter[str]
    examples: list[str]
    seconds: float
    interrupted: bool
    known: frozenset[str] = frozenset()
    pasts: Sequence[Past] = ()
