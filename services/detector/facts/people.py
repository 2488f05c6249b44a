"""People: who was active on which of the last days, and how many distinct ones a day."""

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import xxhash

from schemas.envelope import Entry
from schemas.events import Fields, UsageRecorded
from services.detector.facts.buckets import PEOPLE
from services.detector.facts.moment import Moment, Step

SEEN_DAYS = 63
"""Days that one person's activity mask covers; a later correction counts nobody."""

KEEP_DAYS = 210
PAGE_SIZE = 2_000
ONE = 1_000
"""One person, in thousandths."""
_MASK = (1 << SEEN_DAYS) - 1


def mark(packed: int | None, day: int) -> tuple[int, bool]:
    """Mark a person active on a day.

    Args:
        packed: `last_day << 63 | mask`, bit k of the mask for the day k days before; None if new.
        day: Local day, >= 0.

    Returns:
        The new packed value, and whether the day is new for the person.

    >>> first, _ = mark(None, 10)
    >>> again, new = mark(first, 10)
    >>> new, mark(first, 9)[1]
    (False, True)
    """
    if packed is None:
        return day << SEEN_DAYS | 1, True
    last, mask = packed >> SEEN_DAYS, packed & _MASK
    if day > last:
        gap = day - last
        return day << SEEN_DAYS | ((mask << gap & _MASK if gap < SEEN_DAYS else 0) | 1), True
    bit = 1 << (last - day) if last - day < SEEN_DAYS else 0
    return packed | bit, bool(bit & ~mask)


def active_days(packed: int, day: int, days: int) -> int:
    """Return on how many of the `days` days up to `day` a person was active."""
    last, mask = packed >> SEEN_DAYS, packed & _MASK
    ahead = day - last
    if ahead < 0:
        return (mask >> -ahead & ((1 << days) - 1)).bit_count()
    return (mask & ((1 << max(0, days - ahead)) - 1)).bit_count()


def seen_from(packed: int, day: int) -> int:
    """Return a person's active days up to a day: bit k for the day k days before it, k < 63.

    >>> packed, _ = mark(mark(None, 10)[0], 13)
    >>> [bin(seen_from(packed, day)) for day in (13, 12, 15)]
    ['0b1001', '0b100', '0b100100']
    """
    last, mask = packed >> SEEN_DAYS, packed & _MASK
    ahead = day - last
    if ahead < 0:
        return mask >> -ahead
    return mask << ahead & _MASK if ahead < SEEN_DAYS else 0


class People:
    """Active people in pages, so that no record grows with the account.

    Attributes:
        pages: Per page person → packed activity; a person's page is its hash modulo their number.
        stale: Pages whose record must be written again.
    """

    HANDLES: ClassVar[tuple[type[Fields], ...]] = (UsageRecorded,)

    __slots__ = ("pages", "stale")

    def __init__(self, pages: list[dict[str, int]] | None = None) -> None:
        """Begin with nobody, or with the pages of a snapshot."""
        self.pages = pages or [{}]
        self.stale: set[int] = set()

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Yield each person with the packed activity."""
        for page in self.pages:
            yield from page.items()

    def get(self, person: str) -> int | None:
        """Return a person's packed activity, or None."""
        return self.pages[self._page(person)].get(person)

    def names(self, person: str) -> bool:
        """Tell whether a person is known."""
        return self.get(person) is not None

    def forget(self, person: str) -> None:
        """Forget a person; the days keep counting one who was active."""
        page = self._page(person)
        if self.pages[page].pop(person, None) is not None:
            self.stale.add(page)

    def fold(self, entry: Entry, at: Moment) -> Step | str | None:
        """Mark the event's person active."""
        event = entry.event
        assert isinstance(event, UsageRecorded)
        if event.person is None:
            return None
        page = self._page(event.person)
        packed, new = mark(self.pages[page].get(event.person), at.day)
        if not new:
            return at.feed(PEOPLE)
        return at.refusal(PEOPLE, ONE) or partial(self._add, page, event.person, packed, at)

    def _add(self, page: int, person: str, packed: int, at: Moment) -> None:
        at.add(PEOPLE, ONE)
        self._put(page, person, packed, at.judged - KEEP_DAYS)

    def _put(self, page: int, person: str, packed: int, oldest: int) -> None:
        people = self.pages[page]
        if person not in people and len(people) >= PAGE_SIZE:
            self._forget(page, oldest)
            if len(self.pages[page]) >= PAGE_SIZE:
                self._double()
                page = self._page(person)
        self.pages[page][person] = packed
        self.stale.add(page)

    def _forget(self, page: int, oldest: int) -> None:
        """Drop those whose last activity no rule can still ask for."""
        kept = {
            who: packed for who, packed in self.pages[page].items() if packed >> SEEN_DAYS >= oldest
        }
        self.pages[page] = kept

    def _double(self) -> None:
        """Spread the people over twice as many pages."""
        everybody = list(self)
        self.pages = [{} for _ in range(2 * len(self.pages))]
        for person, packed in everybody:
            self.pages[self._page(person)][person] = packed
        self.stale.update(range(len(self.pages)))

    def _page(self, person: str) -> int:
        if len(self.pages) == 1:
            return 0
        return int(xxhash.xxh3_64_intdigest(person.encode())) % len(self.pages)
