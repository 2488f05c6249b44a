"""Accounts' day buckets as the arrays that primitives judge, with what is masked and why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.detector import calendars
from services.detector.facts.buckets import SWING_WEEKS, Line
from services.detector.ledger import Closing
from services.detector.primitives.day import Bools, Floats, Series
from services.detector.rules import RuleSet
from services.detector.subject import Account

COMBINED = "activity"
"""Object of a rule that judges several metrics as one."""


class Row(NamedTuple):
    """One series to judge: lines of one account, added up.

    Attributes:
        account: The account.
        object: The metric's name, or `activity` for several as one.
        names: The lines' names.
        lines: The lines.
    """

    account: Account
    object: str
    names: tuple[str, ...]
    lines: tuple[Line, ...]


def combined_rows(accounts: Iterable[Account], rules: RuleSet, selector: str) -> list[Row]:
    """Return one row per account, all lines that a metric selector takes added up.

    Args:
        accounts: Accounts to look at; one without such a line has no row.
        rules: They know the flags of the metrics.
        selector: A metric's name or a flag.
    """
    object_ = COMBINED if selector.startswith("@") else selector
    taken: dict[str, bool] = {}
    rows: list[Row] = []
    for account in accounts:
        lines = account.facts.buckets.lines
        for name in lines:
            if name not in taken:
                taken[name] = rules.selects(selector, name)
        # By name: the order in which metrics came to be known says nothing.
        names = tuple(sorted(name for name in lines if taken[name]))
        if names:
            rows.append(Row(account, object_, names, tuple(lines[name] for name in names)))
    return rows


@dataclass(slots=True)
class Window:
    """The days up to the one that a closing judges.

    Args:
        closing: Its closures and outages mask days.
        days: How many days, the judged one included.
    """

    closing: Closing
    days: int
    _masks: dict[tuple[str | None, tuple[tuple[str, ...], ...], int], Bools] = field(
        default_factory=dict
    )

    def series(self, rows: Sequence[Row], day: int | None = None) -> Series:
        """Return the arrays of some rows.

        Args:
            rows: Lines of some accounts.
            day: The last day; the closing's unless an earlier one is judged again.
        """
        last = self.closing.day if day is None else day
        first = last - self.days + 1
        counts = np.zeros((len(rows), self.days))
        masked = np.empty((len(rows), self.days), dtype=np.bool_)
        known = np.empty(len(rows), dtype=np.int64)
        swings = np.full((len(rows), SWING_WEEKS), np.nan)
        active = np.empty(len(rows), dtype=np.int64)
        for i, row in enumerate(rows):
            for line in row.lines:
                _fill(counts[i], line, first)
            masked[i] = self._mask(row, last)
            start = min(line.start for line in row.lines)
            active[i] = max(line.active for line in row.lines)
            known[i] = min(max(last - start + 1, 0), self.days)
            if len(row.lines) == 1:
                _fill_swings(swings[i], row.lines[0], last)
        counts /= 1000.0
        return Series(last, counts, masked, known, swings, active)

    def reason(self, row: Row, day: int) -> str:
        """Return why a day is masked for a row."""
        profile = row.account.facts.profile
        if any(first <= day <= last for first, last in profile.closures):
            return "closure"
        if day in self.closing.closures:
            return "closure for everybody"
        return calendars.reason(profile.country, day) or "no data from its source"

    def dark(self, line: Line, day: int) -> bool:
        """Tell whether none of a line's sources sent anything for anybody on a day."""
        outages = self.closing.outages
        return bool(line.sources) and all(
            any(first <= day <= last for first, last in outages.get(source, ()))
            for source in line.sources
        )

    def _mask(self, row: Row, last: int) -> Bools:
        profile = row.account.facts.profile
        sources = tuple(line.sources for line in row.lines)
        shared = self._shared_mask(profile.country, sources, last)
        if not profile.closures:
            return shared
        own = shared.copy()
        _set_spans(own, profile.closures, last)
        return own

    def _shared_mask(
        self, country: str | None, sources: tuple[tuple[str, ...], ...], last: int
    ) -> Bools:
        key = (country, sources, last)
        known = self._masks.get(key)
        if known is None:
            known = calendars.mask(country, last, self.days).copy()
            _set_spans(known, [(day, day) for day in self.closing.closures], last)
            # Several metrics as one are dark only on days on which all of them are, and each only
            # while all of its sources are.
            known |= self._dark_for_all([one for line in sources for one in line or ("",)], last)
            self._masks[key] = known
        return known

    def _dark_for_all(self, sources: Sequence[str], last: int) -> Bools:
        dark = np.ones(self.days, dtype=np.bool_)
        for source in sources:
            one = np.zeros(self.days, dtype=np.bool_)
            _set_spans(one, self.closing.outages.get(source, ()), last)
            dark &= one
        return dark


def _set_spans(masked: Bools, spans: Iterable[tuple[int, int]], last: int) -> None:
    first = last - len(masked) + 1
    for begin, end in spans:
        if end >= first and begin <= last:
            masked[max(begin - first, 0) : end - first + 1] = True


def _fill(counts: NDArray[np.float64], line: Line, first: int) -> None:
    """Add a line's thousandths to the days that begin with `first`."""
    begin = max(line.first, first)
    end = min(line.end, first + len(counts))
    if begin < end:
        values = np.frombuffer(line.values, dtype=np.int64)
        counts[begin - first : end - first] += values[begin - line.first : end - line.first]


def _fill_swings(swings: Floats, line: Line, last: int) -> None:
    """Put the swing taken k weeks before the judged day into column k."""
    if not line.swings:
        return
    newest = (last - (line.week * 7 + 3)) // 7
    for place, value in enumerate(reversed(line.swings)):
        column = newest + place
        if 0 <= column < SWING_WEEKS:
            swings[column] = value
