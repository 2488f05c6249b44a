"""A recount of a log in plain Python: what was counted, from the entries alone.

It shares no code with the fold: days come from `zoneinfo`, sums from fractions, duplicates from
sets that forget nothing, people from sets of names.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import UNSET

from schemas.envelope import Entry
from schemas.events import (
    AccountErased,
    AccountMerged,
    AccountUpdated,
    ClockTicked,
    FeatureFailed,
    PersonErased,
    PersonJoined,
    RulesApplied,
    SpendRecorded,
    TouchRecorded,
    UsageRecorded,
)

Buckets = dict[str, dict[str, dict[date, Fraction]]]
"""Units by account, metric and day; `@people` counts distinct people."""

AHEAD = timedelta(minutes=10)
PATIENCE = timedelta(days=14)
SEEN = timedelta(days=63)
HOPS = 4


class Sent(NamedTuple):
    """An entry that must go on to another account: to which, and its whole origin."""

    account: str
    id: str
    input: str
    partition: int
    offset: int
    place: int


@dataclass
class _Zones:
    """An account's days: each zone holds from its own first day to the next one's, for good."""

    spans: list[tuple[date, str]] = field(default_factory=lambda: [(date.min, "UTC")])
    stamp: tuple[int, str] = (0, "")

    def day(self, at: datetime, ago: int = 0) -> date:
        """Return the day of an instant, or how far days had come so many days earlier."""
        end = date.max
        for begins, zone in reversed(self.spans):
            mine = at.astimezone(ZoneInfo(zone)).date() - timedelta(days=ago)
            if min(mine, end - timedelta(days=1)) >= begins:
                return min(mine, end - timedelta(days=1))
            end = begins
        raise AssertionError("the first zone holds since ever")

    def move(self, zone: str, stamp: tuple[int, str], clock: datetime) -> None:
        if stamp <= self.stamp:
            return
        self.stamp = stamp
        if zone == self.spans[-1][1]:
            return
        if self.day(clock) < self.spans[-1][0]:
            self.spans.pop()
        today = [clock.astimezone(ZoneInfo(one)).date() for one in (self.spans[-1][1], zone)]
        self.spans.append((max(today) + timedelta(days=1), zone))


@dataclass
class _Person:
    """A person, the stamp of their account, and what waits for it: offset, index, append time."""

    account: str | None = None
    stamp: tuple[int, str] = (0, "")
    waiting: list[tuple[datetime, Entry]] = field(default_factory=list)


@dataclass
class Recount:
    """Everything counted so far of one partition.

    Args:
        number: The partition.
        kept_days: Days that buckets keep, by number of the rule set in force, up to the newest
            whole one; older events are too late. 0 is none.
        waiting_limit: How many events of a person may wait.
    """

    number: int
    kept_days: Mapping[int, int]
    waiting_limit: int
    rules: int = 0
    clock: datetime | None = None
    zones: dict[str, _Zones] = field(default_factory=lambda: defaultdict(_Zones))
    people: dict[tuple[str, date], set[str]] = field(default_factory=lambda: defaultdict(set))
    sums: Buckets = field(default_factory=dict)
    persons: dict[str, _Person] = field(default_factory=dict)
    merged: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    erasures: set[tuple[str, int]] = field(default_factory=set)
    spend: Counter[str] = field(default_factory=Counter)
    touches: dict[str, Counter[date]] = field(default_factory=lambda: defaultdict(Counter))
    refused: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    _kept_from: dict[str, date] = field(default_factory=dict)
    _ids: set[tuple[bool, str, str]] = field(default_factory=set)
    _origins: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    _erased: dict[str, int] = field(default_factory=dict)
    _newest: dict[tuple[str, str], date] = field(default_factory=dict)

    def message(self, offset: int, appended: int, entries: Iterable[Entry]) -> None:
        """Count one message."""
        for index, one in enumerate(entries):
            event = one.event
            if isinstance(event, ClockTicked):
                at = _instant(event.at)
                self.clock = at if self.clock is None else max(self.clock, at)
                self._give_up(self.clock)
            elif isinstance(event, RulesApplied):
                self.rules = max(self.rules, event.n)
            elif isinstance(event, AccountErased):
                for subject in one.subjects:
                    self._erase_account(subject, one.time)
            elif isinstance(event, PersonErased):
                self._erase_person(event.person, one.time)
            elif one.subjects and not self._known(one):
                self._entry(offset, index, one, _instant(appended))
        for account in self.sums if self.clock is not None else ():
            self._kept_from[account] = self.kept_from(account)

    def kept_from(self, account: str) -> date:
        """Return the first day of which nothing was ever forgotten, by any rule set so far."""
        return max(self._kept_from.get(account, date.min), self.oldest(account))

    def oldest(self, account: str) -> date:
        """Return the first day that is taken of an account; no clock here ticks near midnight."""
        assert self.clock is not None
        judged = self.zones[account].day(self.clock, ago=1)
        return judged + timedelta(days=1 - self.kept_days[self.rules])

    def kept(self) -> Buckets:
        """Return the buckets that are still kept, without empty days."""
        for (account, day), who in self.people.items():
            self.sums[account].setdefault("@people", {})[day] = Fraction(len(who))
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

    def subjects(self) -> dict[str, Any]:
        """Return what is known of persons, and what was counted of our own side."""
        found: dict[str, Any] = {
            f"person:{who}": {"account": one.account, "waiting": len(one.waiting)}
            for who, one in self.persons.items()
        }
        if self.spend:
            found["company"] = dict(self.spend)
        for who, days in self.touches.items():
            found[f"colleague:{who}"] = {day.isoformat(): n for day, n in sorted(days.items())}
        return found

    def _known(self, one: Entry) -> bool:
        origin = one.origin
        if origin is not None:
            key, place = (origin.input, origin.partition), (origin.offset, origin.place)
            if place <= self._origins.get(key, (-1, -1)):
                self.repeated += 1
                return True
            self._origins[key] = place
            if origin.input.startswith("forward/"):
                return False
        identity = (origin is None, one.source, one.id)
        if identity in self._ids:
            self.repeated += 1
            return True
        self._ids.add(identity)
        return False

    def _entry(self, offset: int, index: int, one: Entry, appended: datetime) -> None:
        if _instant(one.time) > appended + AHEAD:
            self.refused["future"] += 1
            return
        person = getattr(one.event, "person", None)
        joins = one.event.account if isinstance(one.event, PersonJoined) else None
        forgotten = one.time <= self._erased.get(f"person:{person}", 0)
        if one.time <= self._erased.get(f"account:{joins}", 0):
            return
        if forgotten:
            if not isinstance(one.event, UsageRecorded | FeatureFailed | TouchRecorded):
                return
            person = None
        numbers = iter(range(1 << 20))
        for subject in one.subjects:
            kind, _, name = subject.partition(":")
            if kind == "account":
                for target, entry in self._account(name, one, person):
                    self._send(offset, index, next(numbers), target, entry)
            elif kind == "person" and not forgotten:
                for target, entry in self._person(name, one, appended):
                    self._send(offset, index, next(numbers), target, entry)
            elif kind == "company" and isinstance(one.event, SpendRecorded):
                self.spend[one.event.month] += one.event.amount
            elif kind == "colleague" and isinstance(one.event, TouchRecorded):
                self.touches[name][_instant(one.time).date()] += 1

    def _send(self, offset: int, index: int, number: int, target: str, one: Entry) -> None:
        hop = 1
        if one.origin is not None and one.origin.input.startswith("forward/"):
            hop = int(one.origin.input[-1]) + 1
        if hop > HOPS:
            self.refused["merged_in_a_circle"] += 1
            return
        place = index * 1_048_576 + number
        self.sent.append(Sent(target, one.id, f"forward/{hop}", self.number, offset, place))

    def _account(self, name: str, one: Entry, person: str | None) -> list[tuple[str, Entry]]:
        if one.time <= self._erased.get(f"account:{name}", 0):
            return []
        if isinstance(one.event, AccountMerged):
            if one.event.into == name:
                self.refused["invalid"] += 1
            else:
                told = (one.time, one.id, one.event.into)
                self.merged[name] = max(told, self.merged.get(name, told))
            return []
        if name in self.merged:
            return [(self.merged[name][2], one)]
        zone = self.zones[name]
        if isinstance(one.event, AccountUpdated) and one.event.timezone is not UNSET:
            assert self.clock is not None
            zone.move(one.event.timezone or "UTC", (one.time, one.id), self.clock)
        elif isinstance(one.event, UsageRecorded):
            self._use(one.event, name, zone.day(_instant(one.time)), person)
        return []

    def _use(self, event: UsageRecorded, account: str, day: date, person: str | None) -> None:
        if day < self.oldest(account):
            self.refused["too_late"] += 1
            return
        days = self.sums.setdefault(account, {}).setdefault(event.metric, {})
        days[day] = days.get(day, Fraction(0)) + Fraction(str(event.quantity))
        if person is None:
            return
        newest = self._newest.get((account, person), day)
        if newest - day < SEEN:
            self.people[account, day].add(person)
        self._newest[account, person] = max(day, newest)

    def _person(self, name: str, one: Entry, appended: datetime) -> list[tuple[str, Entry]]:
        person = self.persons.setdefault(name, _Person())
        if isinstance(one.event, PersonJoined):
            if (one.time, one.id) > person.stamp:
                person.account, person.stamp = one.event.account, (one.time, one.id)
            waited, person.waiting = person.waiting, []
            return [(one.event.account, entry) for _, entry in waited]
        if person.account is not None:
            return [(person.account, one)]
        if len(person.waiting) >= self.waiting_limit:
            self.refused["too_many_waiting"] += 1
        else:
            person.waiting.append((appended, one))
        return []

    def _give_up(self, clock: datetime) -> None:
        for who, person in list(self.persons.items()):
            left = [one for one in person.waiting if one[0] + PATIENCE > clock]
            self.refused["unattributed"] += len(person.waiting) - len(left)
            person.waiting = left
            if person.account is None and not left:
                del self.persons[who]

    def _erase_account(self, subject: str, until: int) -> None:
        if until <= self._erased.get(subject, 0):
            return
        self._erased[subject] = until
        name = subject.partition(":")[2]
        # Whoever lived on in it is the same customer: all partitions must be told.
        self.erasures |= {(who, until) for who, told in self.merged.items() if told[2] == name}
        for known in (self.sums, self.zones, self.merged):
            known.pop(name, None)
        self.people = defaultdict(set, {k: v for k, v in self.people.items() if k[0] != name})
        self._newest = {k: v for k, v in self._newest.items() if k[0] != name}
        self.persons = {k: v for k, v in self.persons.items() if v.account != name}

    def _erase_person(self, name: str, until: int) -> None:
        if until <= self._erased.get(f"person:{name}", 0):
            return
        self._erased[f"person:{name}"] = until
        self.persons.pop(name, None)
        for who in self.people.values():
            if name in who:
                who.remove(name)
                who.add(f"somebody {len(self._erased)} {until}")
        self._newest = {k: v for k, v in self._newest.items() if k[1] != name}


def _instant(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
