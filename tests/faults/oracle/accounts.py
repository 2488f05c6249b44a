"""One account, counted: day buckets, people, attributes, contacts, payments. Nothing is forgotten.

Days of buckets that the detector has dropped meanwhile stay here; `compare` knows from which day on
both must agree.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

from msgspec import UNSET

from schemas.envelope import Entry
from schemas.events import (
    AccountUpdated,
    AdminGranted,
    AdminRevoked,
    ClosureDeclared,
    ContactUpdated,
    PaymentFailed,
    PaymentMethodUpdated,
    PaymentSucceeded,
    TouchRecorded,
    UsageRecorded,
)

from . import days
from .contacts import Contacts
from .episodes import Episode
from .payments import Payments
from .reading import NEVER, Stamp, stamp_of
from .rules import CORRECTION
from .zones import Zones

PEOPLE = "@people"
ONE = 1_000
SEEN = 63
"""Days before a person's newest one that are told apart. Source: facts/people.py, SEEN_DAYS."""

METRICS, SOURCES, CLOSURES = 100, 10, 400
SUM_LIMIT = 1 << 62
TOO_LATE = "too_late"


@dataclass
class Line:
    """One metric.

    Attributes:
        start: The first day with data.
        sums: Thousandths by day.
        sources: Who feeds it, the first ten.
        corrected: The earliest judged day that late data changed in the last four weeks, and the
            day that was judged last when late data came; the two may be of different data.
    """

    start: int
    sums: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    sources: list[str] = field(default_factory=list)
    corrected: tuple[int, int] | None = None

    def add(self, day: int, amount: int, source: str, judged: int) -> None:
        self.sums[day] += amount
        self.start = min(self.start, day)
        if source not in self.sources and len(self.sources) < SOURCES:
            self.sources.append(source)
        if day <= judged:
            day = max(day, judged - CORRECTION)
            if self.corrected is not None and judged - self.corrected[0] <= CORRECTION:
                day = min(day, self.corrected[0])
            self.corrected = (day, judged)


@dataclass
class Account:
    """Everything counted of one account.

    Attributes:
        since: Message that named it first.
        judged: The newest local day that is judged.
        kept_from: First day of which no rule set so far let anything be forgotten.
        merged: The newest (stamp, target) that merged it, or None.
    """

    id: str
    since: int
    judged: int = -1
    kept_from: int = -(1 << 40)
    lines: dict[str, Line] = field(default_factory=dict)
    people: dict[str, set[int]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    stamps: dict[str, Stamp] = field(default_factory=dict)
    closures: list[tuple[int, int]] = field(default_factory=list)
    contacts: Contacts = field(default_factory=Contacts)
    payments: Payments = field(default_factory=Payments)
    episodes: dict[tuple[str, str], Episode] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    merged: tuple[Stamp, str] | None = None
    zones: Zones = field(default_factory=Zones)

    @property
    def segment(self) -> str | None:
        segment: str | None = self.facts.get("segment")
        return segment

    @property
    def renewal(self) -> date | None:
        renewal: date | None = self.facts.get("renewal_on")
        return renewal

    @property
    def last_usage(self) -> int | None:
        """The newest day with usage, be its quantity 0."""
        used = (day for name, one in self.lines.items() if name != PEOPLE for day in one.sums)
        return max(used, default=None)

    def judge(self, day: int, history: int) -> None:
        """Take a day for judged; what is older than rules ask for may be forgotten from now on."""
        self.judged = day
        self.kept_from = max(self.kept_from, day + 1 - history)

    def fold(self, entry: Entry, day: int, clock: int, oldest: int) -> str | None:
        """Count an entry; return why not, if refused.

        Args:
            entry: The entry; its time is known.
            day: Its local day.
            clock: The partition's.
            oldest: The first day of which usage is still taken.
        """
        event = entry.event
        match event:
            case UsageRecorded():
                return self._use(event, day, oldest, entry.source)
            case AccountUpdated():
                return self._update(event, stamp_of(entry.time, entry.id), clock)
            case ClosureDeclared():
                return self._close(event)
            case ContactUpdated() | AdminGranted() | AdminRevoked() | TouchRecorded():
                self.contacts.fold(event, stamp_of(entry.time, entry.id), day)
            case PaymentFailed() | PaymentSucceeded() | PaymentMethodUpdated():
                return self.payments.fold(event, stamp_of(entry.time, entry.id))
        return None

    def names(self, person: str) -> bool:
        """Tell whether anything here is about a person."""
        about = any(object_ == person for _, object_ in self.episodes)
        return about or person in self.people or self.contacts.names(person)

    def active_days(self, person: str, day: int, span: int) -> int:
        """Return on how many of the `span` days up to a day a person was active."""
        mine = self.people.get(person, set())
        newest = max(mine, default=0)
        return sum(day - span < one <= day and newest - one < SEEN for one in mine)

    def _use(self, event: UsageRecorded, day: int, oldest: int, source: str) -> str | None:
        amount = int(Fraction(str(event.quantity)) * ONE)
        if day < oldest:
            return TOO_LATE
        known = self.lines.get(event.metric)
        if known is None and len(self.lines) >= METRICS:
            return "too_many_metrics"
        if known is not None and known.sums[day] + amount > SUM_LIMIT:
            return "sum_too_large"
        self._add(event.metric, day, amount, source)
        if event.person is not None:
            mine = self.people.setdefault(event.person, set())
            if day not in mine and max(mine, default=day) - day < SEEN:
                mine.add(day)
                self._add(PEOPLE, day, ONE, source)
        return None

    def _add(self, metric: str, day: int, amount: int, source: str) -> None:
        self.lines.setdefault(metric, Line(day)).add(day, amount, source, self.judged)

    def _update(self, event: AccountUpdated, stamp: Stamp, clock: int) -> str | None:
        if isinstance(event.timezone, str) and not days.is_zone(event.timezone):
            return "unknown_timezone"
        for name in event.__struct_fields__:
            value = getattr(event, name)
            if value is not UNSET and stamp > self.stamps.get(name, NEVER):
                self.facts[name], self.stamps[name] = value, stamp
                if name == "timezone":
                    self.zones.move(value or "UTC", clock)
        return None

    def _close(self, event: ClosureDeclared) -> str | None:
        span = (days.number(event.from_), days.number(event.to))
        if span not in self.closures:
            if len(self.closures) >= CLOSURES:
                return "too_many_closures"
            self.closures.append(span)
        return None


def is_closed(spans: list[tuple[int, int]], day: int) -> bool:
    """Tell whether a day lies in a declared closure."""
    return any(first <= day <= last for first, last in spans)
