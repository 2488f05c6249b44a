"""The clock of one partition: which day of which zone closes at which tick, and what is dark in it.

Told anew from design.md §4 (Clock) and §5.3: a day closes two hours after its end, once every input
has passed that end, or six hours later with the sources of late inputs masked.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from schemas.config import Input
from schemas.events import ClockTicked, ClosureDeclared

from . import days
from .rules import RuleSet

LATE = 6 * days.HOUR
RESUMED = 10 * days.MINUTE
LATEST = 24 * days.HOUR
LONG = 12 * days.HOUR
TOLD_DAYS = 7
FED_LIMIT = 200

Hours = Mapping[str, set[int]]


@dataclass(frozen=True)
class Closing:
    """The end of a local day in one zone.

    Attributes:
        revision: Its number among the closings of this day, added to when it was due.
        offset: Message whose tick opened it.
        closed_for_all: Spans of days that are no ordinary ones for everybody.
        seen: Per source, the hours in which it sent anything for anybody.
        late: Per source of a late input, the first day that is not complete.
    """

    due: int
    zone: str
    day: int
    rules: RuleSet
    offset: int
    historic: bool
    closed_for_all: list[tuple[int, int]]
    seen: Hours
    late: Mapping[str, int]

    def is_dark(self, source: str, day: int) -> bool:
        """Tell whether a source is to be taken for silent on a day, whoever it was about."""
        if source in self.late and self.late[source] <= day <= self.day:
            return True
        hours = self.seen.get(source)
        return hours is not None and hours.isdisjoint(days.hours_of(self.zone, day))


@dataclass
class Clock:
    """What ticks and rule sets have said so far.

    Attributes:
        now: The newest tick, microseconds; 0 before the first.
        opened: Per zone, the newest day that has closed.
        closed_for_all: Closures declared for everybody.
    """

    now: int = 0
    mode: str = "new"
    rules: RuleSet = field(default_factory=RuleSet)
    opened: dict[str, int] = field(default_factory=dict)
    seen: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    closed_for_all: list[tuple[int, int]] = field(default_factory=list)
    _complete: dict[str, int] = field(default_factory=dict)
    _told: dict[str, int] = field(default_factory=dict)
    _fed: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _resumed: int = 0
    _returned: int = 0

    def use(self, zone: str) -> None:
        """Close a zone's days from today on."""
        if zone not in self.opened:
            self.opened[zone] = days.day_in(zone, self.now) - 1 if self.now else -1

    def apply(self, rules: RuleSet) -> None:
        """Put a rule set in force; what is known of inputs that it does not have is forgotten."""
        before, self.rules = self.rules.inputs, rules
        for key in list(self._complete):
            if not _same(_input(key), before, rules.inputs):
                self._forget(key)
        for name in list(self._fed):
            if not _same(name, before, rules.inputs):
                del self._fed[name]

    def close_for_all(self, closure: ClosureDeclared) -> None:
        """Declare days that are no ordinary ones for everybody."""
        span = (days.number(closure.from_), days.number(closure.to))
        if span not in self.closed_for_all:
            self.closed_for_all.append(span)

    def feed(self, name: str, source: str) -> None:
        """Note that an input has sent something of a source."""
        if name in self.rules.inputs and sum(map(len, self._fed.values())) < FED_LIMIT:
            self._fed[name].add(source)

    def hear(self, tick: ClockTicked, newest: int) -> None:
        """Take over what a tick says of sources and inputs, however old it is.

        Args:
            tick: The tick.
            newest: The last hour that can have been seen when it was appended.
        """
        for source, hours in tick.seen.items():
            possible = {hour for hour in hours if 0 <= hour <= newest}
            if possible:
                self.seen[source] |= possible
        for key, until in tick.complete_until.items():
            if _input(key) in self.rules.inputs:
                self._complete.pop(_input(key) + "/", None)
                self._complete[key] = max(min(until, tick.at), self._complete.get(key, 0))
                self._told[key] = max(tick.at // days.DAY, self._told.get(key, 0))
        for name, source in [(name, one) for name, each in tick.fed.items() for one in each]:
            self.feed(name, source)

    def advance(self, tick: ClockTicked, offset: int) -> Iterator[Closing]:
        """Move on with a tick that is newer than all before; yields what closes, in order of due.

        Args:
            tick: The tick.
            offset: Its message.
        """
        if self.now == 0:
            self.opened = {zone: days.day_in(zone, tick.at) - 1 for zone in self.opened}
        if tick.at > self.now + RESUMED:
            self._resumed = tick.at
        if tick.at > self.now + LONG:
            self._returned = tick.at
        before, self.mode, self.now = self.now, tick.mode, tick.at
        self._forget_untold()
        if self.mode != "importing":
            self._await(before or tick.at)
        for at, zone, day in self._due():
            if not self._may_close(at):
                return
            self.opened[zone] = day
            yield self._closing(at, zone, day, offset)

    def _due(self) -> list[tuple[int, str, int]]:
        found = []
        for zone, newest in self.opened.items():
            day = newest + 1
            while days.due(zone, day) <= self.now:
                found.append((days.due(zone, day), zone, day))
                day += 1
        return sorted(found)

    def _may_close(self, at: int) -> bool:
        ended = at - days.GRACE
        complete = all(until >= ended for until in self._complete.values())
        waited = self.now - LATE >= max(at, self._resumed)
        # However often the wait was broken off; one long outage alone excuses more.
        too_long = self.now - at >= LATEST and self.now - self._returned >= LATE
        return complete or waited or too_long or self.mode == "importing"

    def _closing(self, at: int, zone: str, day: int, offset: int) -> Closing:
        historic = self.mode == "importing"
        late = {} if historic else self._late(at - days.GRACE, zone)
        return Closing(
            due=at,
            zone=zone,
            day=day,
            rules=self.rules,
            offset=offset,
            historic=historic,
            closed_for_all=list(self.closed_for_all),
            seen=self.seen,
            late=late,
        )

    def _late(self, ended: int, zone: str) -> dict[str, int]:
        """Return per source of an input that has not passed an instant its first dark day."""
        late: dict[str, int] = {}
        for name, each in self.rules.inputs.items():
            reached = [until for key, until in self._complete.items() if _input(key) == name]
            if not reached or min(reached) >= ended:
                continue
            for source in {each.source, *self._fed.get(name, ())}:
                late[source] = min(days.day_in(zone, min(reached)), late.get(source, 1 << 40))
        return late

    def _await(self, since: int) -> None:
        """Let inputs that nobody has told of be complete up to an instant, and no further."""
        for name in self.rules.inputs:
            if all(_input(key) != name for key in self._complete):
                self._complete[name + "/"] = since

    def _forget_untold(self) -> None:
        """Forget partitions of which nobody tells any more, although somebody does of others."""
        oldest = self.now // days.DAY - TOLD_DAYS
        if self._resumed // days.DAY >= oldest:
            return
        told = {_input(key) for key, day in self._told.items() if day >= oldest}
        for key in [key for key, day in self._told.items() if day < oldest]:
            if _input(key) in told:
                self._forget(key)

    def _forget(self, key: str) -> None:
        del self._complete[key]
        self._told.pop(key, None)


def _input(key: str) -> str:
    return key.rpartition("/")[0]


def _same(name: str, before: Mapping[str, Input], now: Mapping[str, Input]) -> bool:
    """Tell whether an input is what it was: there, and of the same topic."""
    return name in now and (name not in before or before[name].topic == now[name].topic)
