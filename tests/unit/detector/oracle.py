"""A recount of a log in plain Python: what was counted, from the entries alone.

It shares no code with the fold: days come from `zoneinfo`, sums from fractions, duplicates from
sets that forget nothing, people from sets of names.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from schemas.envelope import Entry
from schemas.events import AccountUpdated, ClockTicked, RulesApplied, UsageRecorded

Buckets = dict[str, dict[str, dict[date, Fraction]]]
"""Units by account, metric and day; `@people` counts distinct people."""

AHEAD = timedelta(minutes=10)


@dataclass
class _Zone:
    """An account's days: filed in `before` until `since` begins in `now`."""

    now: str = "UTC"
    before: str = "UTC"
    since: date = date.min

    def day(self, at: datetime) -> date:
        mine = at.astimezone(ZoneInfo(self.now)).date()
        if mine >= self.since:
            return mine
        return min(at.astimezone(ZoneInfo(self.before)).date(), self.since - timedelta(days=1))


@dataclass
class Recount:
    """Everything counted so far.

    Args:
        kept_days: Days that buckets keep, by number of the rule set in force, up to the newest
            whole one; older events are too late. 0 is none.
    """

    kept_days: Mapping[int, int]
    rules: int = 0
    clock: datetime | None = None
    zones: dict[str, _Zone] = field(default_factory=lambda: defaultdict(_Zone))
    people: dict[tuple[str, date], set[str]] = field(default_factory=lambda: defaultdict(set))
    sums: Buckets = field(default_factory=dict)
    late: int = 0
    repeated: int = 0
    ahead: int = 0
    _kept_from: dict[str, date] = field(default_factory=dict)
    _ids: set[tuple[bool, str, str]] = field(default_factory=set)
    _origins: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)

    def message(self, appended: int, entries: Iterable[Entry]) -> None:
        """Count one message."""
        for one in entries:
            if isinstance(one.event, ClockTicked):
                at = _instant(one.event.at)
                self.clock = at if self.clock is None else max(self.clock, at)
            elif isinstance(one.event, RulesApplied):
                self.rules = max(self.rules, one.event.n)
            elif one.subjects and not self._known(one):
                self._count(one, _instant(one.time or appended), _instant(appended))
        for account in self.sums if self.clock is not None else ():
            self._kept_from[account] = self.kept_from(account)

    def kept_from(self, account: str) -> date:
        """Return the first day of which nothing was ever forgotten, by any rule set so far."""
        return max(self._kept_from.get(account, date.min), self.oldest(account))

    def oldest(self, account: str) -> date:
        """Return the first day that is taken of an account; no clock here ticks near midnight."""
        assert self.clock is not None
        judged = self.clock.astimezone(ZoneInfo(self.zones[account].now)).date()
        return judged - timedelta(days=self.kept_days[self.rules])

    def kept(self) -> Buckets:
        """Return the buckets that are still kept, without empty days."""
        self._count_people()
        return {
            account: {
                metric: {
                    day: units
                    for day, units in days.items()
                    if units and day >= self.kept_from(account)
                }
                for metric, days in metrics.items()
            }
            for account, metrics in self.sums.items()
        }

    def _known(self, one: Entry) -> bool:
        origin = one.origin
        if origin is not None:
            key, place = (origin.input, origin.partition), (origin.offset, origin.place)
            if place <= self._origins.get(key, (-1, -1)):
                self.repeated += 1
                return True
            self._origins[key] = place
        identity = (origin is None, one.source, one.id)
        if identity in self._ids:
            self.repeated += 1
            return True
        self._ids.add(identity)
        return False

    def _count(self, one: Entry, at: datetime, appended: datetime) -> None:
        if at > appended + AHEAD:
            self.ahead += 1
            return
        account = one.subjects[0].partition(":")[2]
        zone = self.zones[account]
        if isinstance(one.event, AccountUpdated) and isinstance(one.event.timezone, str):
            assert self.clock is not None
            today = self.clock.astimezone(ZoneInfo(one.event.timezone)).date()
            self.zones[account] = _Zone(one.event.timezone, zone.now, today + timedelta(days=1))
        elif isinstance(one.event, UsageRecorded):
            self._use(one.event, account, zone.day(at))

    def _use(self, event: UsageRecorded, account: str, day: date) -> None:
        if day < self.oldest(account):
            self.late += 1
            return
        days = self.sums.setdefault(account, {}).setdefault(event.metric, {})
        days[day] = days.get(day, Fraction(0)) + Fraction(str(event.quantity))
        if event.person is not None:
            self.people[account, day].add(event.person)

    def _count_people(self) -> None:
        for (account, day), who in self.people.items():
            self.sums[account].setdefault("@people", {})[day] = Fraction(len(who))


def _instant(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
