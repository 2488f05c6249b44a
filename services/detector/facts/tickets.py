"""Tickets: how many a customer opened on each local day, all of them and the urgent ones."""

from bisect import insort
from functools import partial
from typing import ClassVar, Final, NamedTuple

import msgspec
import xxhash

from schemas.envelope import Entry
from schemas.events import Fields, TicketOpened
from services.detector.facts.buckets import TICKETS, TICKETS_HIGH
from services.detector.facts.moment import Moment, Step

HIGH_PRIORITY = 2
"""The lowest urgency that counts as high: priority 1 and 2 (detection.md §5)."""
KNOWN_DAYS = 63
"""Days for which a ticket is known again: those that `spike` reads (detection.md §5)."""
KNOWN_LIMIT = 1_500
"""Marks of tickets by which they are known again, an urgent one having two: of an account that has
more, the tickets of the oldest day are the first that count anew if they are told again. At five
bytes each, and some for the days, they take 8 kB at most of the 256 kB of a hot record
(design.md §5.7). At a hundred tickets a day, one in five urgent, that is the last twelve days."""
ONE = 1_000
"""One ticket, in thousandths."""

_MARK: Final = (1 << 32) - 1

Marks = dict[int, list[int]]
"""By local day, the marks of tickets, sorted."""


class Opened(NamedTuple):
    """On which days a ticket counts: the first it was told of, and the first it was urgent."""

    day: int
    high: int | None


class Tickets(msgspec.Struct, omit_defaults=True):
    """The counts stand in the buckets; here is what is known again, `KNOWN_LIMIT` marks at most.

    A mark is the low half of the xxh3-64 of the ticket's id. Of 1,500 one more has the mark of
    another by a chance of 1 in 3 million, and would not be counted.

    Attributes:
        opened: By hash of the ticket's id, as it was kept before there were marks; taken over.
        days: Marks by the first day that the ticket was told of.
        urgent: Marks by the first day on which the ticket was urgent.
    """

    HANDLES: ClassVar[tuple[type[Fields], ...]] = (TicketOpened,)

    opened: dict[int, Opened] = msgspec.field(default_factory=dict)
    days: Marks = msgspec.field(default_factory=dict)
    urgent: Marks = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take over what an earlier layout kept."""
        for hashed, told in self.opened.items():
            self._put(hashed & _MARK, told)
        self.opened = {}

    def fold(self, entry: Entry, at: Moment) -> Step | str | None:
        """Count a ticket on the first day it was told of; reopened or repeated it counts once."""
        event = entry.event
        assert isinstance(event, TicketOpened)
        mark, urgent = mark_of(event.ticket), event.priority <= HIGH_PRIORITY
        known = self._known(mark, at.judged - KNOWN_DAYS)
        now = _merged(known, at.day, urgent)
        if now == known:
            return partial(_feed, urgent, at)
        refused = at.refusal(TICKETS, ONE)
        if refused is None and urgent:
            refused = at.refusal(TICKETS_HIGH, ONE)
        return refused or partial(self._count, mark, known, now, at, urgent)

    def _known(self, mark: int, oldest: int) -> Opened | None:
        """Return what is known of a ticket, unless it was told of before a day."""
        day = _day_of(self.days, mark)
        # It is forgotten already, even if no other ticket came meanwhile to let it go.
        return None if day is None or day < oldest else Opened(day, _day_of(self.urgent, mark))

    def _count(self, mark: int, known: Opened | None, now: Opened, at: Moment, high: bool) -> None:
        for day in [day for day in self.days if day < at.judged - KNOWN_DAYS]:
            for gone in tuple(self.days[day]):
                self._drop(gone, day)
        if known is not None:
            self._drop(mark, known.day)
        self._put(mark, now)
        before = known or Opened(-1, None)
        _move(TICKETS, before.day if known else None, now.day, at)
        _move(TICKETS_HIGH, before.high, now.high, at)
        _feed(high, at)
        while _size(self.days) + _size(self.urgent) > KNOWN_LIMIT:
            oldest = min(self.days)
            self._drop(self.days[oldest][0], oldest)

    def _put(self, mark: int, told: Opened) -> None:
        insort(self.days.setdefault(told.day, []), mark)
        if told.high is not None:
            insort(self.urgent.setdefault(told.high, []), mark)

    def _drop(self, mark: int, day: int) -> None:
        _take(self.days, mark, day)
        high = _day_of(self.urgent, mark)
        if high is not None:
            _take(self.urgent, mark, high)


def mark_of(ticket: str) -> int:
    """Return the mark by which a ticket is known again."""
    return xxhash.xxh3_64_intdigest(ticket.encode()) & _MARK


def _day_of(marks: Marks, mark: int) -> int | None:
    return next((day for day, some in marks.items() if mark in some), None)


def _take(marks: Marks, mark: int, day: int) -> None:
    marks[day].remove(mark)
    if not marks[day]:
        del marks[day]


def _size(marks: Marks) -> int:
    return sum(map(len, marks.values()))


def _merged(known: Opened | None, day: int, high: bool) -> Opened:
    """Return the days on which a ticket counts, whatever the order in which they were told."""
    days = [day] if known is None else [known.day, day]
    urgent = [day] if high else []
    if known is not None and known.high is not None:
        urgent.append(known.high)
    return Opened(min(days), min(urgent, default=None))


def _move(line: str, before: int | None, now: int | None, at: Moment) -> None:
    """Count a ticket on a day, and no longer on the one on which it was counted."""
    if now == before or now is None:
        return
    if before is not None:
        at.buckets.add(line, before, -ONE, at.judged, at.source)
    at.add(line, ONE)


def _feed(high: bool, at: Moment) -> None:
    for line in (TICKETS, TICKETS_HIGH) if high else (TICKETS,):
        step = at.feed(line)
        if step is not None:
            step()
