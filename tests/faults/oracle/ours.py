"""Our own side: the company and each colleague, counted from the events that concern them."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from schemas.envelope import Entry
from schemas.events import (
    ArrMoved,
    DealClosed,
    EmployeeLeft,
    OpportunityUpdated,
    SentimentSet,
    SpendRecorded,
    TargetSet,
    TouchRecorded,
)

from . import days
from .reading import Stamp, stamp_of

TOUCH_DAYS = 400

Sums = defaultdict[str, Counter[str]]


def _sums() -> Sums:
    return defaultdict(Counter)


@dataclass
class Company:
    """Money and deals by month, targets by period, who left when."""

    arr: Sums = field(default_factory=_sums)
    spend: Sums = field(default_factory=_sums)
    targets: dict[str, tuple[Stamp, int]] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    deals: Sums = field(default_factory=_sums)

    def fold(self, entry: Entry) -> bool:
        """Count an event; tells whether it says anything of the company."""
        event, day = entry.event, _day(entry)
        match event:
            case ArrMoved():
                kind = f"{event.kind}/{event.currency or ''}"
                self.arr[event.effective_on.isoformat()[:7]][kind] += event.amount
            case SpendRecorded():
                self.spend[event.month][event.currency or ""] += event.amount
            case TargetSet():
                key = f"{event.period}/{event.currency or ''}"
                told = (stamp_of(entry.time, entry.id), event.amount)
                if key not in self.targets or told[0] > self.targets[key][0]:
                    self.targets[key] = told
            case EmployeeLeft():
                self.left[event.colleague] = max(day, self.left.get(event.colleague, day))
            case OpportunityUpdated():
                self.deals["opportunities"][days.iso(day)[:7]] += 1
            case DealClosed():
                self.deals["deals"][days.iso(day)[:7]] += 1
            case _:
                return False
        return True

    def plain(self) -> dict[str, Any]:
        return {
            "arr": {month: dict(sums) for month, sums in self.arr.items()},
            "spend": {month: dict(sums) for month, sums in self.spend.items()},
            "targets": {key: amount for key, (_, amount) in self.targets.items()},
            "left": {who: days.iso(day) for who, day in self.left.items()},
            "deals": {what: dict(months) for what, months in self.deals.items()},
        }


@dataclass
class Colleague:
    """Touches by day, ratings by how often, and when they left."""

    touches: Counter[int] = field(default_factory=Counter)
    two_way: Counter[int] = field(default_factory=Counter)
    left: int | None = None
    sentiments: Counter[int] = field(default_factory=Counter)

    def fold(self, entry: Entry, clock: int) -> str | None:
        """Count an event; return why not, if refused."""
        event, day = entry.event, _day(entry)
        if isinstance(event, SentimentSet):
            self.sentiments[event.rating] += 1
        elif isinstance(event, EmployeeLeft):
            self.left = day if self.left is None else max(day, self.left)
        elif isinstance(event, TouchRecorded):
            return self._touch(event, day, clock // days.DAY - TOUCH_DAYS + 1)
        return None

    def plain(self) -> dict[str, Any]:
        return {
            "touches": {days.iso(day): n for day, n in self.touches.items()},
            "two_way": {days.iso(day): n for day, n in self.two_way.items()},
            "left": None if self.left is None else days.iso(self.left),
            "sentiments": {str(rating): n for rating, n in self.sentiments.items()},
        }

    def _touch(self, event: TouchRecorded, day: int, oldest: int) -> str | None:
        if day < oldest:
            return "too_late"
        self.touches[day] += 1
        if event.two_way:
            self.two_way[day] += 1
        self.touches = Counter({one: n for one, n in self.touches.items() if one >= oldest})
        self.two_way = Counter({one: n for one, n in self.two_way.items() if one >= oldest})
        return None


OF_COLLEAGUES = (TouchRecorded, SentimentSet, EmployeeLeft)


@dataclass
class Ours:
    """The company, where this partition is its home, and the colleagues who are at home here."""

    company: Company | None = None
    colleagues: dict[str, Colleague] = field(default_factory=dict)

    def fold_company(self, entry: Entry) -> None:
        company = self.company or Company()
        if company.fold(entry):
            self.company = company

    def fold_colleague(self, who: str, entry: Entry, clock: int) -> str | None:
        if not isinstance(entry.event, OF_COLLEAGUES):
            return None
        known = self.colleagues.get(who, Colleague())
        refused = known.fold(entry, clock)
        if refused is None:
            self.colleagues[who] = known
        return refused

    def plain(self) -> dict[str, Any]:
        """Return all subjects with their facts."""
        found = {f"colleague:{who}": one.plain() for who, one in self.colleagues.items()}
        return found if self.company is None else found | {"company": self.company.plain()}


def _day(entry: Entry) -> int:
    return entry.time // days.DAY if entry.day is None else entry.day
