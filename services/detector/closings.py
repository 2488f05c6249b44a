"""When a day ends, where: closings are opened in order of due, each with what is masked in it."""

from collections.abc import Callable

from services.detector.calendars import due_at, local_day
from services.detector.facts.profile import Profile
from services.detector.ledger import Closing, Ledger

UNKNOWN = -1
"""The newest judged day of a zone that is used before the first tick."""


class Closings:
    """The ends of days in all time zones that a partition's accounts use.

    Args:
        ledger: Clock, open closings, closures and sightings of the partition.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._next_due = 0

    def ensure(self, zone: str) -> None:
        """Judge a zone's days from today on; a zone stays once it was used."""
        record = self._ledger.record
        if zone not in record.opened:
            record.opened[zone] = local_day(zone, record.clock) - 1 if record.clock else UNKNOWN
            self._next_due = 0

    def weight(self) -> int:
        """Return how much the open closings hold, in spans: they are written with the ledger."""
        return sum(
            10 + sum(map(len, closing.outages.values())) for closing in self._ledger.record.closings
        )

    def newest(self, profile: Profile) -> int:
        """Return the newest local day of an account whose closing was opened."""
        opened = self._ledger.record.opened
        newest = opened.get(profile.zone, UNKNOWN)
        if newest >= profile.zone_from:
            return newest
        return min(opened.get(profile.zone_before, UNKNOWN), profile.zone_from - 1)

    def advance(
        self,
        clock: int,
        offset: int,
        history_days: int,
        make_room: Callable[[], None] | None = None,
    ) -> None:
        """Set the clock, and open a closing for each day that has become due.

        Args:
            clock: Microseconds since 1970-01-01 UTC, later than before.
            offset: The message that brought it.
            history_days: Days that the rules look at.
            make_room: Called before each closing is opened.
        """
        record = self._ledger.record
        if record.clock == 0:
            record.opened.update({z: local_day(z, clock) - 1 for z in record.opened})
        record.clock = clock
        if clock < self._next_due:
            return
        due: list[tuple[int, str, int]] = []
        for zone, newest in record.opened.items():
            day = newest + 1
            while due_at(zone, day) <= clock:
                due.append((due_at(zone, day), zone, day))
                day += 1
            record.opened[zone] = day - 1
        for at, zone, day in sorted(due):
            if make_room is not None:
                make_room()
            record.closings.append(self._closing(at, zone, day, offset, history_days))
        self._next_due = min((due_at(z, d + 1) for z, d in record.opened.items()), default=0)

    def _closing(self, due: int, zone: str, day: int, offset: int, days: int) -> Closing:
        record, sightings = self._ledger.record, self._ledger.sightings
        dark = {source: sightings.dark_spans(source, zone, day, days) for source in sightings}
        return Closing(
            due=due,
            zone=zone,
            day=day,
            rules=record.rules,
            offset=offset,
            historic=record.mode == "importing",
            closures=self._ledger.closed_days(day - days + 1, day),
            outages={source: spans for source, spans in dark.items() if spans},
        )
