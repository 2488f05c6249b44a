"""Which days of a month are left out of an account's judgement, and why, for people. Pure."""

from collections.abc import Iterable
from functools import lru_cache

from schemas import accounts
from services.detector import calendars
from services.detector.facts.buckets import Line
from services.detector.ledger import Ledger
from services.detector.primitives.baseline import HISTORY_DAYS
from services.detector.subject import Account
from services.detector.window import (
    CLOSURE,
    CLOSURE_FOR_ALL,
    COUNTED,
    NO_DATA,
    RARE_OUTAGE_DAYS,
)

EVERY_METRIC = ""
"""Under which stands what is left out of all metrics; no metric has this name."""

Span = tuple[int, int]


class LeftOut:
    """The days that are left out, as one flush knows them.

    Args:
        ledger: The closures and outages of the partition.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._sources = frozenset(ledger.sightings)
        self._outages: dict[tuple[str, str], list[Span]] = {}

    def of(self, account: Account, first: int) -> accounts.LeftOut:
        """Return the days of a month that are left out.

        Args:
            account: The account.
            first: The first day of the month.

        Returns:
            By metric and reason; of outages only those up to the newest judged day.
        """
        days, profile = _month(first), account.facts.profile
        reasons = _calendar(profile.country, first)
        closures = self._ledger.record.closures, profile.closures
        for spans, why in zip(closures, (CLOSURE_FOR_ALL, CLOSURE), strict=True):
            closed = [day for begin, end in spans for day in _within(days, begin, end)]
            reasons = reasons | dict.fromkeys(closed, why) if closed else reasons
        found = {EVERY_METRIC: _by_reason(reasons, first)} if reasons else {}
        for name, line in account.facts.buckets.lines.items():
            dark = self._dark(account, name, line, days)
            if dark:
                found[name] = {NO_DATA: [day - first + 1 for day in dark]}
        return dict(sorted(found.items())) if len(found) > 1 else found

    def _dark(self, account: Account, name: str, line: Line, days: range) -> list[int]:
        """Return the days on which none of a line's sources sent anything for anybody."""
        if not line.sources:
            return []
        zone = account.facts.profile.zone
        newest = self._ledger.record.opened.get(zone, -1)
        first = max(days.start, line.start, newest - HISTORY_DAYS + 1)
        known = range(first, min(days.stop, newest + 1))
        least = RARE_OUTAGE_DAYS if name in COUNTED else 1
        dark: Iterable[int] = known
        for source in line.sources:
            long = [
                (begin, end)
                for begin, end in self._spans(source, zone, newest)
                if end >= first and end - begin >= least - 1
            ]
            if not long:
                return []
            mine = {day for begin, end in long for day in _within(known, begin, end)}
            dark = mine.intersection(dark)
        return [day for day in sorted(dark) if not line.at(day)]

    def _spans(self, source: str, zone: str, newest: int) -> list[Span]:
        """Return the outages of a source, in the days that are judged by."""
        if source not in self._sources:
            return []
        if (source, zone) not in self._outages:
            self._outages[source, zone] = self._ledger.sightings.dark_spans(
                source, zone, newest, HISTORY_DAYS
            )
        return self._outages[source, zone]


@lru_cache(4096)
def _calendar(country: str | None, first: int) -> dict[int, str]:
    """Return the days of a month that are no ordinary ones in a country; nobody changes it."""
    named = ((day, calendars.reason(country, day)) for day in _month(first))
    return {day: why for day, why in named if why is not None}


@lru_cache(1024)
def _month(first: int) -> range:
    on = calendars.to_date(first)
    following = on.replace(year=on.year + on.month // 12, month=on.month % 12 + 1)
    return range(first, calendars.to_day(following))


def _within(days: range, begin: int, end: int) -> range:
    return range(max(days.start, begin), min(days.stop, end + 1))


def _by_reason(reasons: dict[int, str], first: int) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for day, why in sorted(reasons.items()):
        found.setdefault(why, []).append(day - first + 1)
    return found
