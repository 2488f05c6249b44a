"""When a day ends, where: closings are opened in order of due, each with what is masked in it."""

from collections import Counter
from collections.abc import Callable

from services.detector.calendars import due_at, local_day
from services.detector.completeness import Completeness
from services.detector.facts.profile import Profile
from services.detector.fleet import LATER_DAYS
from services.detector.incident import Incidents
from services.detector.ledger import Closing, Ledger

CLOSING_BYTES, DAY_BYTES, SPAN_BYTES = 240, 3, 7
"""Of a closing that masks nothing, of a closed day, and of a span of days, in MessagePack."""

UNKNOWN = -1
"""The newest judged day of a zone that is used before the first tick."""


class Closings:
    """The ends of days in all time zones that a partition's accounts use.

    Args:
        ledger: Clock, open closings, closures and sightings of the partition.
        completeness: Tells whether a day's data are there.
        incidents: Looks for falls that many accounts share.
    """

    def __init__(self, ledger: Ledger, completeness: Completeness, incidents: Incidents) -> None:
        self._ledger = ledger
        self._completeness = completeness
        self._incidents = incidents
        self._next_due = 0

    def ensure(self, zone: str) -> None:
        """Judge a zone's days from today on; a zone stays once it was used."""
        record = self._ledger.record
        if zone not in record.opened:
            record.opened[zone] = local_day(zone, record.clock) - 1 if record.clock else UNKNOWN
            self._next_due = 0

    def waiting(self) -> dict[str, int]:
        """Return, per input of the rule set in force, how many days are due and wait for it."""
        due = self._due()
        late = Counter(name for at, *_ in due for name in self._completeness.late_inputs(at))
        return {name: late[name] for name in self._completeness.inputs}

    def weight(self) -> int:
        """Return how much the open closings hold, about, in bytes of the ledger's record."""
        views = self._ledger.views.weight()
        return views + sum(map(_weight, self._ledger.record.closings))

    def newest(self, profile: Profile) -> int:
        """Return the newest local day of an account whose closing was opened."""
        opened = self._ledger.record.opened
        return profile.reached(lambda zone: opened.get(zone, UNKNOWN))

    def advance(
        self,
        clock: int,
        offset: int,
        history_days: int,
        make_room: Callable[[], None] | None = None,
    ) -> None:
        """Set the clock, and open a closing for each day that is due and complete.

        Args:
            clock: Microseconds since 1970-01-01 UTC, later than before.
            offset: The message that brought it.
            history_days: Days that the rules look at.
            make_room: Called before each closing is opened.
        """
        record = self._ledger.record
        if record.clock == 0:
            record.opened.update({z: local_day(z, clock) - 1 for z in record.opened})
        self._completeness.proceed(clock)
        record.clock = clock
        self._incidents.advance(self._completeness.opens, offset)
        if not self._completeness.opens(self._next_due):
            return
        for at, zone, day in self._due():
            if not self._completeness.opens(at):
                break
            if make_room is not None:
                make_room()
            record.closings.append(self._closing(at, zone, day, offset, history_days))
            record.opened[zone] = day
        self._next_due = min((due_at(z, d + 1) for z, d in record.opened.items()), default=0)

    def _due(self) -> list[tuple[int, str, int]]:
        """Return the days that are due and not opened, as (due, zone, day), in order."""
        record = self._ledger.record
        due: list[tuple[int, str, int]] = []
        for zone, newest in record.opened.items():
            day = newest + 1
            while (at := due_at(zone, day)) <= record.clock:
                due.append((at, zone, day))
                day += 1
        return sorted(due)

    def _closing(self, due: int, zone: str, day: int, offset: int, days: int) -> Closing:
        record = self._ledger.record
        return Closing(
            due=due,
            zone=zone,
            day=day,
            rules=record.rules,
            offset=offset,
            historic=record.mode == "importing",
            closures=self._ledger.closed_days(day - days + 1, day),
            outages=self._outages(due, zone, day, days),
            shared=record.fleet.on(day - LATER_DAYS),
            view=self._ledger.view(day, day - LATER_DAYS),
        )

    def _outages(
        self, due: int, zone: str, day: int, days: int
    ) -> dict[str, list[tuple[int, int]]]:
        """Return, per source, the days on which it sent nothing or its input is late."""
        sightings = self._ledger.sightings
        dark = {source: sightings.dark_spans(source, zone, day, days) for source in sightings}
        for source, first, last in self._completeness.late(due, zone, day, days):
            # Spans are only ever asked whether a day lies in one of them.
            dark.setdefault(source, []).append((first, last))
        return {source: spans for source, spans in dark.items() if spans}


def _weight(closing: Closing) -> int:
    sources = sum(len(name.encode()) + DAY_BYTES for name in closing.outages)
    spans = sum(map(len, closing.outages.values()))
    days = DAY_BYTES * len(closing.closures)
    return CLOSING_BYTES + sources + SPAN_BYTES * spans + days
