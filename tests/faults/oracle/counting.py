"""One partition of the log, counted from its first message to its last, entry by entry.

Judging happens at once when a day closes: that the detector spreads it over time must not show.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from schemas.envelope import Entry
from schemas.events import (
    SYSTEM,
    AccountErased,
    ClockTicked,
    ClosureDeclared,
    FeatureFailed,
    FeedbackGiven,
    PersonErased,
    PersonJoined,
    ProductChanged,
    RulesApplied,
    TouchRecorded,
    UsageRecorded,
)

from . import days
from .accounts import TOO_LATE
from .clocks import Clock
from .customers import Customers
from .duplicates import Duplicates
from .homes import ACCOUNT, COLLEAGUE, COMPANY, PERSON
from .ours import Ours
from .persons import Person, Persons
from .reading import Message, Place, places, stamp_of
from .rules import parse
from .sending import Sending
from .summaries import Summaries

AHEAD = 10 * days.MINUTE
TICK_AHEAD = 2 * days.MINUTE
PRODUCTS = 400
"""Features of which it is remembered how we changed them. Source: products.py."""

_SYSTEM = tuple(SYSTEM.values())
_ANYBODY = (UsageRecorded, FeatureFailed, TouchRecorded)
"""What an erased person did still counts for the account, without the person."""

_REPEATED = "repair:account:"
"""Entries that a repair sends again; here nothing was ever held back, so they count already. What
was refused and is sent again (`repair:rejects/`) does not."""


class Counting:
    """Everything counted of one partition.

    Args:
        number: The partition.
        horizon: Ids remembered per channel; None for all.
        kept_days: Days of buckets by rule set, where they are told; else they are reckoned.

    Attributes:
        stamp: The last offset; -1 for an empty log.
        refused: Why an entry was refused, by (offset, place; None for the whole message).
        erasures: (subject, time) of accounts that every partition must be told to erase, because
            they were merged into one that was.
        too_late: Entries of days that are forgotten.
        repeated: Entries that came before.
    """

    def __init__(self, number: int, horizon: int | None, kept_days: Mapping[int, int]) -> None:
        self.number = number
        self.stamp = -1
        self.clock = Clock()
        self.persons = Persons()
        self.ours = Ours()
        self.sending = Sending(number)
        self.summaries = Summaries(number)
        self.refused: dict[tuple[int, int | None], str] = {}
        self.too_late = self.repeated = 0
        self._dropped = 0
        self._duplicates = Duplicates(horizon)
        self._kept_days = kept_days
        self._products: set[str] = set()
        self._erased: dict[str, int] = {}
        self.erasures: set[tuple[str, int]] = set()
        self.customers = Customers(self.clock, self.sending, self.summaries, self._erased)

    @property
    def dropped(self) -> int:
        """How many entries were passed over because their account or person was erased."""
        return self._dropped + self.customers.dropped

    def count(self, messages: Sequence[Message]) -> None:
        """Count messages that follow those before."""
        for at, entry in places(messages):
            if entry is None:
                self.refused[at.offset, at.entry] = "unreadable"
            elif self._duplicates.repeats(at.offset, entry, isinstance(entry.event, _SYSTEM)):
                self.repeated += 1
            elif isinstance(entry.event, _SYSTEM):
                self._refuse(at, self._system(at, replace(entry, time=entry.time or at.appended)))
            elif entry.origin is None or not entry.origin.input.startswith(_REPEATED):
                self._entry(at, replace(entry, time=entry.time or at.appended))
        if messages:
            self.stamp = messages[-1].offset

    def _refuse(self, at: Place, reason: str | None) -> None:
        if reason == TOO_LATE:
            self.too_late += 1
        elif reason is not None:
            self.refused[at.offset, at.entry] = reason

    def _system(self, at: Place, entry: Entry) -> str | None:
        """Take one of the system's own events; return why not, if refused."""
        event = entry.event
        match event:
            case ClockTicked():
                return self._tick(at, event)
            case RulesApplied():
                rules = self.clock.rules
                newer = event.n > rules.n
                self.clock.apply(parse(event.n, event.content, self._kept_days) if newer else rules)
            case AccountErased() | PersonErased() if entry.time > at.appended + AHEAD:
                return "future"
            case AccountErased():
                for subject in entry.subjects:
                    self._erase_account(at, subject, entry.time)
            case FeedbackGiven():
                timed = replace(entry, time=min(entry.time, at.appended))
                for subject in entry.subjects:
                    # What is no account has no votes.
                    self._refuse(at, self.customers.vote(at, _account(subject), timed))
            case PersonErased():
                self._erase_person(at, event.person, entry.time)
        return None

    def _tick(self, at: Place, tick: ClockTicked) -> str | None:
        if tick.at > at.appended + TICK_AHEAD:
            return "tick_ahead"
        self.clock.hear(tick, (at.appended + AHEAD) // days.HOUR)
        if tick.at > self.clock.now:
            for closing in self.clock.advance(tick, at.offset):
                self.customers.close(closing)
            for place in self.persons.expire(tick.at):
                self.refused[place.offset, place.entry] = "unattributed"
        return None

    def _erase_account(self, at: Place, subject: str, time: int) -> None:
        if self._erases(subject, time):
            id = subject[len(ACCOUNT) :]
            self.persons.forget_account(id)
            self.erasures |= {
                (ACCOUNT + one.id, time)
                for one in self.customers.known.values()
                if one.merged is not None and one.merged[1] == id
            }
            self.customers.erase(at, id, time)

    def _erase_person(self, at: Place, who: str, time: int) -> None:
        if self._erases(PERSON + who, time):
            self.persons.known.pop(who, None)
            self.customers.forget(at, who, time)

    def _erases(self, subject: str, until: int) -> bool:
        if until <= self._erased.get(subject, 0):
            return False
        self._erased[subject] = until
        return True

    def _entry(self, at: Place, entry: Entry) -> None:
        wrong = _wrong(at, entry)
        if wrong is not None:
            self._refuse(at, wrong)
            return
        self.clock.seen[entry.source].add(entry.time // days.HOUR)
        if entry.origin is not None:
            self.clock.feed(entry.origin.input, entry.source)
        if not entry.subjects and isinstance(entry.event, ClosureDeclared):
            self.clock.close_for_all(entry.event)
        if not entry.subjects and isinstance(entry.event, ProductChanged):
            self._refuse(at, self._change(entry.event.feature))
        spared = self._spared(entry)
        if spared is None:
            self._dropped += 1
            return
        for subject in spared.subjects:
            self._refuse(at, self._subject(at, subject, spared))

    def _change(self, feature: str) -> str | None:
        if feature not in self._products and len(self._products) >= PRODUCTS:
            return "too_many_products"
        self._products.add(feature)
        return None

    def _spared(self, entry: Entry) -> Entry | None:
        """Return an entry without an erased person; None if nothing else is left of it."""
        event = entry.event
        joined = event.account if isinstance(event, PersonJoined) else ""
        if joined and entry.time <= self._erased.get(ACCOUNT + joined, 0):
            return None
        person = getattr(event, "person", None)
        if not isinstance(person, str) or entry.time > self._erased.get(PERSON + person, 0):
            return entry
        subjects = tuple(one for one in entry.subjects if not one.startswith(PERSON))
        if not subjects or not isinstance(event, _ANYBODY):
            return None
        return replace(entry, subjects=subjects, event=replace(event, person=None))

    def _subject(self, at: Place, subject: str, entry: Entry) -> str | None:
        """Count an entry for one subject; return why not, if refused."""
        if subject == COMPANY:
            self.ours.fold_company(entry)
        elif subject.startswith(COLLEAGUE):
            who = subject[len(COLLEAGUE) :]
            return self.ours.fold_colleague(who, entry, self.clock.now)
        elif subject.startswith(PERSON):
            return self._person(at, subject[len(PERSON) :], entry)
        elif subject.startswith(ACCOUNT):
            return self.customers.fold(at, subject[len(ACCOUNT) :], entry)
        return None

    def _person(self, at: Place, who: str, entry: Entry) -> str | None:
        known, event = self.persons.known.get(who), entry.event
        if not isinstance(event, PersonJoined):
            if known is None or known.account is None:
                return self.persons.keep(who, at, entry)
            return self.sending.send(at, entry, known.account)
        if not event.account.isprintable():
            return "invalid"
        known = self.persons.known.setdefault(who, Person())
        for waited in known.join(event.account, stamp_of(entry.time, entry.id)):
            self._refuse(at, self.sending.send(at, waited, event.account))
        return None


def _account(subject: str) -> str:
    return subject[len(ACCOUNT) :] if subject.startswith(ACCOUNT) else ""


def _wrong(at: Place, entry: Entry) -> str | None:
    """Return why an entry cannot be, whatever it says."""
    day = entry.day or 0
    if entry.time > at.appended + AHEAD or day > at.appended // days.DAY + 1:
        return "future"
    if entry.time < 0 or day < 0 or not all(map(str.isprintable, entry.subjects)):
        return "invalid"
    return None
