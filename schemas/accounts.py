"""The records of `accounts.v1`: the latest summary of each account, for people."""

from datetime import date, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

Instant = Annotated[datetime, Meta(tz=True)]


class Usual(msgspec.Struct, frozen=True):
    """What is usual of a metric, as its falls are judged; numbers of three digits.

    Attributes:
        week: Units of an ordinary Monday, Tuesday ... Sunday: seven numbers.
        dispersion: Variance of its weeks over their mean.
        swing: The natural swing of its four-week level, a share of 1.
    """

    week: list[float]
    dispersion: float
    swing: float


class AccountSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person sees of an account at a glance; at most 1 kB.

    Attributes:
        account: The account's id.
        stamp: Offset in `events.v1` up to which it was folded.
        arr: Annual recurring revenue, minor units.
        last_event_at: The newest event, to the hour.
        states: Per metric, whether its data can be judged.
        least: Per metric, the smallest drop of four weeks that would show, whole percent, as of
            last Sunday.
        usual: Per metric, what is usual, as of last Sunday; of as many as leave it at 1 kB.
        watch: Metrics that seem to fall, not yet so surely that it is told.
        open_alerts: How many alerts are open.
        quarantined: True while a bug holds the account back.
        health: Always None until a health score is measured.
    """

    account: str
    stamp: int
    name: str | None = None
    owner: str | None = None
    segment: str | None = None
    country: str | None = None
    timezone: str | None = None
    arr: int | None = None
    currency: str | None = None
    renewal_on: date | None = None
    seats: int | None = None
    health: float | None = None
    last_event_at: Instant | None = None
    states: dict[str, str] = msgspec.field(default_factory=dict)
    least: dict[str, int] = msgspec.field(default_factory=dict)
    usual: dict[str, Usual] = msgspec.field(default_factory=dict)
    watch: list[str] = msgspec.field(default_factory=list)
    open_alerts: int = 0
    quarantined: bool = False
    v: int = 1


LeftOut = dict[str, dict[str, list[int]]]
"""Per metric, an empty name for all of them, and per reason: days of a month, 1 to 31."""


class AccountDays(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One month of an account's daily series, all metrics.

    Attributes:
        account: The account's id.
        month: Such as `2026-05`.
        metrics: Per metric, units per day of the month, from the first on.
        left_out: Days that are no ordinary ones, and are not judged.
    """

    account: str
    month: str
    metrics: dict[str, list[float]]
    left_out: LeftOut = msgspec.field(default_factory=dict)
    v: int = 1


def days_key(account: str, month: str) -> str:
    """Return the record key of one month of an account.

    >>> days_key("acct_42", "2026-05")
    'acct_42/days/2026-05'
    """
    return f"{account}/days/{month}"
