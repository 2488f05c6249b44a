"""Tickets of one account: on which day each counts, whatever the order in which it was told."""

from dataclasses import dataclass, field

from .reading import Unaccountable

URGENT = 2
"""Priorities up to this are counted apart (detection.md §5)."""

KNOWN_DAYS, KNOWN = 63, 1_500
"""A ticket is known again for so long, and so many are, one that is urgent counting twice. Source:
facts/tickets.py."""


@dataclass
class Ticket:
    """One ticket: the first day that it was told of, and the first on which it was urgent."""

    day: int
    urgent: int | None


@dataclass
class Tickets:
    """All tickets of an account, by id."""

    told: dict[str, Ticket] = field(default_factory=dict)

    def known(self, id: str, judged: int) -> Ticket | None:
        """Return a ticket that was told before, unless that is too long ago."""
        found = self.told.get(id)
        return None if found is None or found.day < judged - KNOWN_DAYS else found

    def keep(self, id: str, ticket: Ticket, judged: int) -> None:
        """Remember a ticket.

        Raises:
            Unaccountable: There are so many that the detector forgets some by their hash.
        """
        self.told[id] = ticket
        recent = self._recent(judged)
        if len(recent) + sum(one.urgent is not None for one in recent) > KNOWN:
            raise Unaccountable(f"more than {KNOWN} tickets of one account in {KNOWN_DAYS} days")

    def plain(self, judged: int) -> list[list[int | None]]:
        """Return the days of those that are known again, in order; ids are shown as hashes."""
        return sorted(([one.day, one.urgent] for one in self._recent(judged)), key=str)

    def _recent(self, judged: int) -> list[Ticket]:
        return [one for one in self.told.values() if one.day >= judged - KNOWN_DAYS]


def merged(known: Ticket | None, day: int, urgent: bool) -> Ticket:
    """Return a ticket that is told of on one more day."""
    if known is None:
        return Ticket(day, day if urgent else None)
    if not urgent:
        return Ticket(min(known.day, day), known.urgent)
    first = day if known.urgent is None else min(known.urgent, day)
    return Ticket(min(known.day, day), first)
