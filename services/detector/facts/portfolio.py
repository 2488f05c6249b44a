"""The company as a whole: how its revenue moved, what it spent, its targets, who left."""

from datetime import date
from typing import NamedTuple

import msgspec

from schemas.events import (
    ArrMoved,
    DealClosed,
    EmployeeLeft,
    Fields,
    OpportunityUpdated,
    SpendRecorded,
    TargetSet,
)
from services.detector.calendars import to_date
from services.detector.facts.buckets import SUM_LIMIT
from services.detector.facts.contacts import Stamp

SUMS_LIMIT = 3_000
"""Sums of money by month, and what they are of; their record must stay below 256 kB."""

MONTHS_LIMIT = 1_000
TARGETS_LIMIT = 500
LEFT_LIMIT = 1_000
"""Colleagues who left, the last ones."""

Sums = dict[str, dict[str, int]]
"""Minor units by month, such as `2026-05`, and by what they are of."""


class Target(NamedTuple):
    """A sales target, and the (event time, id) that set it."""

    amount: int
    time: int
    id: str


class Portfolio(msgspec.Struct, omit_defaults=True):
    """What events say of the company.

    Attributes:
        arr: Recurring revenue that moved, by month of its effect and `<kind>/<currency>`.
        spend: What was spent, by month and currency.
        targets: By `<period>/<currency>`; the newest by (event time, id).
        left: Colleague → the day on which they left, days since 1970-01-01.
        deals: How many `opportunities` moved and `deals` were closed, by month.
    """

    arr: Sums = msgspec.field(default_factory=dict)
    spend: Sums = msgspec.field(default_factory=dict)
    targets: dict[str, Target] = msgspec.field(default_factory=dict)
    left: dict[str, int] = msgspec.field(default_factory=dict)
    deals: Sums = msgspec.field(default_factory=dict)

    def fold(self, event: Fields, day: int, stamp: Stamp) -> str | None:
        """Take an event over; return why not, if refused.

        Args:
            event: One of `HANDLES`.
            day: Its day in UTC, since 1970-01-01.
            stamp: Its time and id.
        """
        match event:
            case ArrMoved():
                of = f"{event.kind}/{event.currency or ''}"
                return _add(self.arr, _month(event.effective_on), of, event.amount)
            case SpendRecorded():
                return _add(self.spend, event.month, event.currency or "", event.amount)
            case TargetSet():
                return self._target(event, stamp)
            case EmployeeLeft():
                return self._leave(event.colleague, day)
        what = "opportunities" if isinstance(event, OpportunityUpdated) else "deals"
        months = self.deals.setdefault(what, {})
        month = _month(to_date(day))
        if month not in months and len(months) >= MONTHS_LIMIT:
            return "too_many_months"
        months[month] = months.get(month, 0) + 1
        return None

    def _target(self, event: TargetSet, stamp: Stamp) -> str | None:
        key = f"{event.period}/{event.currency or ''}"
        known = self.targets.get(key)
        if known is None and len(self.targets) >= TARGETS_LIMIT:
            return "too_many_targets"
        if known is None or stamp > known[1:]:
            self.targets[key] = Target(event.amount, *stamp)
        return None

    def _leave(self, colleague: str, day: int) -> str | None:
        self.left[colleague] = max(day, self.left.get(colleague, day))
        if len(self.left) > LEFT_LIMIT:
            del self.left[min((on, who) for who, on in self.left.items())[1]]
        return None


HANDLES: frozenset[type[Fields]] = frozenset(
    (ArrMoved, SpendRecorded, TargetSet, EmployeeLeft, OpportunityUpdated, DealClosed)
)


def _add(sums: Sums, month: str, of: str, amount: int) -> str | None:
    known = sums.get(month, {})
    if of not in known and sum(map(len, sums.values())) >= SUMS_LIMIT:
        return "too_many_months"
    total = known.get(of, 0) + amount
    if abs(total) > SUM_LIMIT:
        return "sum_too_large"
    sums.setdefault(month, {})[of] = total
    return None


def _month(on: date) -> str:
    return on.isoformat()[:7]
