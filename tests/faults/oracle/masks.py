"""An account's activity day by day, and the days that are no ordinary ones with their reason."""

from dataclasses import dataclass
from typing import Any

from . import days, portugal
from .accounts import Account, Line, is_closed
from .clocks import Closing
from .reading import Unaccountable


@dataclass
class Activity:
    """Some lines of an account added up, over the days that a closing looks at.

    Attributes:
        metrics: Their names, sorted.
        last: The last day.
    """

    account: Account
    closing: Closing
    metrics: list[str]
    lines: list[Line]
    last: int

    @classmethod
    def of(cls, account: Account, closing: Closing, selector: str, last: int) -> "Activity | None":
        """Return what a selector takes; None if the account has none of it."""
        names = sorted(name for name in account.lines if closing.rules.takes(selector, name))
        if not names:
            return None
        return cls(account, closing, names, [account.lines[name] for name in names], last)

    @property
    def first(self) -> int:
        """The first day that is looked at."""
        return self.last - self.closing.rules.history + 1

    def counts(self, day: int) -> int:
        """Return a day's thousandths."""
        return sum(one.sums.get(day, 0) for one in self.lines) if self.first <= day else 0

    def is_masked(self, day: int) -> bool:
        """Tell whether a day must not be used."""
        return self._reason(day) is not None

    def masked_among_last(self, count: int) -> list[dict[str, Any]]:
        """Return the masked days among the last known ones, the oldest first."""
        reach = range(self.last - min(count, self._known) + 1, self.last + 1)
        told = ((day, self._reason(day)) for day in reach)
        return [{"date": days.iso(day), "reason": why} for day, why in told if why is not None]

    def computed_from(self) -> dict[str, Any]:
        """Return the series as an alert's evidence holds it."""
        span = range(self.first, self.last + 1)
        return {
            "from": days.iso(self.first),
            "known": self._known,
            "active": max(sum(map(bool, one.sums.values())) for one in self.lines),
            "counts": [units(self.counts(day)) for day in span],
            "masked": [place for place, day in enumerate(span) if self.is_masked(day)],
        }

    @property
    def _known(self) -> int:
        began = min(one.start for one in self.lines)
        return min(max(self.last - began + 1, 0), self.closing.rules.history)

    def _reason(self, day: int) -> str | None:
        if is_closed(self.account.closures, day):
            return "closure"
        oldest = self.closing.day - self.closing.rules.history + 1
        if oldest <= day <= self.closing.day and is_closed(self.closing.closed_for_all, day):
            return "closure for everybody"
        public = self._public_holiday(day)
        if public is not None:
            return public
        sources = [source for one in self.lines for source in one.sources]
        dark = bool(sources) and all(self._is_dark(source, day, oldest) for source in sources)
        return "no data from its source" if dark else None

    def _public_holiday(self, day: int) -> str | None:
        country = self.account.facts.get("country")
        if country not in (None, portugal.COUNTRY):
            raise Unaccountable(f"account {self.account.id!r} is in {country}: not known here")
        named = portugal.holiday(days.on(day)) if country else None
        return named or ("year end" if is_year_end(day) else None)

    def _is_dark(self, source: str, day: int, oldest: int) -> bool:
        return oldest <= day and self.closing.is_dark(source, day)


def units(thousandths: int) -> int | float:
    """Return thousandths as a number of units."""
    return thousandths // 1000 if thousandths % 1000 == 0 else thousandths / 1000


def is_year_end(day: int) -> bool:
    """Tell whether a day lies between 20 December and 3 January."""
    on = days.on(day)
    return (on.month, on.day) >= (12, 20) or (on.month, on.day) <= (1, 3)
