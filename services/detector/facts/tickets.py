"""Tickets: how many a customer opened on each local day, all of them and the urgent ones."""

from functools import partial
from typing import ClassVar, NamedTuple

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
KNOWN_LIMIT = 100
"""Tickets that are known again, the newest; a ticket that is told twice counts once while it is."""
ONE = 1_000
"""One ticket, in thousandths."""


class Opened(NamedTuple):
    """On which days a ticket counts: the first it was told of, and the first it was urgent."""

    day: int
    high: int | None


class Tickets(msgspec.Struct, omit_defaults=True):
    """The counts stand in the buckets; here is what is known again.

    Attributes:
        opened: By hash of the ticket's id.
    """

    HANDLES: ClassVar[tuple[type[Fields], ...]] = (TicketOpened,)

    opened: dict[int, Opened] = msgspec.field(default_factory=dict)

    def fold(self, entry: Entry, at: Moment) -> Step | str | None:
        """Count a ticket on the first day it was told of; reopened or repeated it counts once."""
        event = entry.event
        assert isinstance(event, TicketOpened)
        ticket = xxhash.xxh3_64_intdigest(event.ticket.encode())
        known = self.opened.get(ticket)
        # It is forgotten already, even if no other ticket came meanwhile to let it go.
        if known is not None and known.day < at.judged - KNOWN_DAYS:
            known = None
        now = _merged(known, at.day, event.priority <= HIGH_PRIORITY)
        if now == known:
            return None
        refused = at.refusal(TICKETS, ONE)
        if refused is None and now.high is not None:
            refused = at.refusal(TICKETS_HIGH, ONE)
        return refused or partial(self._count, ticket, known, now, at)

    def _count(self, ticket: int, known: Opened | None, now: Opened, at: Moment) -> None:
        before = known or Opened(-1, None)
        _move(TICKETS, before.day if known else None, now.day, at)
        _move(TICKETS_HIGH, before.high, now.high, at)
        self.opened[ticket] = now
        oldest = at.judged - KNOWN_DAYS
        for gone in [one for one, told in self.opened.items() if told.day < oldest]:
            del self.opened[gone]
        if len(self.opened) > KNOWN_LIMIT:
            del self.opened[min(self.opened, key=lambda one: (self.opened[one].day, one))]


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
