"""One account, counted: day buckets, people, attributes, contacts, payments. Nothing is forgotten.

Days of buckets that the detector has dropped meanwhile stay here; `compare` knows from which day on
both must agree.
"""

from collections import defaultdict
from collections.abc import Container
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
    ContractEnded,
    ContractSigned,
    FeedbackGiven,
    PaymentFailed,
    PaymentMethodUpdated,
    PaymentSucceeded,
    TicketOpened,
    TouchRecorded,
    UsageRecorded,
)

from . import days, tickets
from .contacts import Contacts
from .episodes import Episode
from .payments import Payments
from .reading import NEVER, Stamp, stamp_of
from .rules import CORRECTION
from .seats import Seats
from .tickets import Tickets
from .votes import Votes
from .zones import Zones

PEOPLE, TICKETS, URGENT, FEATURE = "@people", "@tickets", "@tickets_high", "@feature:"
COUNTED = (TICKETS, URGENT)
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
        sources: Who feeds it, the first ten by name.
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
        self.feed(source)
        if day <= judged:
            day = max(day, judged - CORRECTION)
            if self.corrected is not None and judged - self.corrected[0] <= CORRECTION:
                day = min(day, self.corrected[0])
            self.corrected = (day, judged)

    def feed(self, source: str) -> None:
        """Note who feeds it, be it with what was told before."""
        if source not in self.sources:
            self.sources = sorted([*self.sources, source])[:SOURCES]


@dataclass
class Account:
    """Everything counted of one account.

    Attributes:
        since: Message that named it first.
        judged: The newest local day that is judged.
        kept_from: First day of which no rule set so far let anything be forgotten.
        merged: The newest (stamp, target) that merged it, or None.
        heard: Hour of its newest event; 0 for none.
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
    tickets: Tickets = field(default_factory=Tickets)
    seats: Seats = field(default_factory=Seats)
    votes: Votes = field(default_factory=Votes)
    episodes: dict[tuple[str, str], Episode] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    merged: tuple[Stamp, str] | None = None
    zones: Zones = field(default_factory=Zones)
    heard: int = 0

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
        used = (day for name, one in self.lines.items() if name[0] != "@" for day in one.sums)
        return max(used, default=None)

    def hear(self, entry: Entry) -> None:
        """Note when something was heard of it last; what our own people say is no sign of it."""
        if not isinstance(entry.event, ClosureDeclared | FeedbackGiven):
            self.heard = max(self.heard, entry.time // days.HOUR)

    def judge(self, day: int, history: int) -> None:
        """Take a day for judged; what is older than rules ask for may be forgotten from now on."""
        self.judged = day
        self.kept_from = max(self.kept_from, day + 1 - history)

    def fold(
        self, entry: Entry, day: int, clock: int, oldest: int, features: Container[str] = ()
    ) -> str | None:
        """Count an entry; return why not, if refused.

        Args:
            entry: The entry; its time is known.
            day: Its local day.
            clock: The partition's.
            oldest: The first day of which usage is still taken.
            features: Those that are counted day by day.
        """
        event = entry.event
        match event:
            case UsageRecorded():
                tracked = event.feature if event.feature in features else None
                return self._use(event, day, oldest, entry.source, tracked)
            case TicketOpened():
                return self._open(event, day, oldest, entry.source)
            case AccountUpdated():
                return self._update(event, stamp_of(entry.time, entry.id), clock, day)
            case ContractSigned() | ContractEnded():
                self.seats.fold(event, stamp_of(entry.time, entry.id))
            case FeedbackGiven():
                self.votes.fold(event, stamp_of(entry.time, entry.id))
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

    def _use(
        self, event: UsageRecorded, day: int, oldest: int, source: str, feature: str | None
    ) -> str | None:
        amount = int(Fraction(str(event.quantity)) * ONE)
        if day < oldest:
            return TOO_LATE
        named = sum(name[0] != "@" for name in self.lines)
        if event.metric not in self.lines and named >= METRICS:
            return "too_many_metrics"
        lines = [event.metric, *([FEATURE + feature] if feature is not None else [])]
        for name in lines:
            if name in self.lines and self.lines[name].sums.get(day, 0) + amount > SUM_LIMIT:
                return "sum_too_large"
        for name in lines:
            self._add(name, day, amount, source)
        if event.person is not None:
            mine = self.people.setdefault(event.person, set())
            if day not in mine and max(mine, default=day) - day < SEEN:
                mine.add(day)
                self._add(PEOPLE, day, ONE, source)
            self.lines[PEOPLE].feed(source)
        return None

    def _open(self, event: TicketOpened, day: int, oldest: int, source: str) -> str | None:
        known = self.tickets.known(event.ticket, self.judged)
        urgent = event.priority <= tickets.URGENT
        now = tickets.merged(known, day, urgent)
        if now != known and day < oldest:
            return TOO_LATE
        before = (known.day, known.urgent) if known is not None else (None, None)
        for name, was, on in zip(COUNTED, before, (now.day, now.urgent), strict=True):
            if was is not None and was != on:
                self._add(name, was, -ONE, source)
            if on is not None and was != on:
                self._add(name, on, ONE, source)
        for name in COUNTED if urgent else (TICKETS,):
            self.lines[name].feed(source)
        self.tickets.keep(event.ticket, now, self.judged)
        return None

    def _add(self, metric: str, day: int, amount: int, source: str) -> None:
        self.lines.setdefault(metric, Line(day)).add(day, amount, source, self.judged)

    def _update(self, event: AccountUpdated, stamp: Stamp, clock: int, day: int) -> str | None:
        if isinstance(event.timezone, str) and not days.is_zone(event.timezone):
            return "unknown_timezone"
        if event.seats is not UNSET:
            self.seats.tell(event.seats, day, stamp)
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
