"""Accounts' day buckets as the arrays that primitives judge, with what is masked and why."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from services.detector import calendars
from services.detector.facts.buckets import SWING_WEEKS, TICKETS, TICKETS_HIGH, Line
from services.detector.ledger import Closing
from services.detector.primitives.day import Bools, Ints, Series
from services.detector.rules import RuleSet
from services.detector.subject import Account

COMBINED = "activity"
"""Object of a rule that judges several metrics as one."""

MEANINGFUL = "@meaningful"
"""Selector of the metrics that are use of the product."""

COUNTED = (TICKETS, TICKETS_HIGH)
"""Lines of which a day without anything is an ordinary day, for one account and for everybody."""

CLOSURE, CLOSURE_FOR_ALL = "closure", "closure for everybody"
NO_DATA = "no data from its source"
"""Why a day is left out that is an ordinary one by the calendar."""

RARE_OUTAGE_DAYS = 7
"""Days running without a ticket of anybody that are an outage of their source: in a small company
a day without any says nothing."""


class Row(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One series to judge: lines of one account, added up.

    Millions are made; no other kind of class is made as quickly.

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
        if len(lines) == 1 and taken[name]:
            rows.append(Row(account, object_, (name,), (lines[name],)))
            continue
        # By name: the order in which metrics came to be known says nothing.
        names = tuple(sorted([name for name in lines if taken[name]]))
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

    def series(self, rows: Sequence[Row], day: int | None = None) -> Series:
        """Return the arrays of some rows.

        Args:
            rows: Lines of some accounts.
            day: The last day; the closing's unless an earlier one is judged again.
        """
        last = self.closing.day if day is None else day
        first, size = last - self.days + 1, (len(rows), self.days)
        # One buffer each, joined: an assignment to an array per row takes far longer.
        thousandths = b"".join([_counts(row, first, self.days) for row in rows])
        counts = np.frombuffer(thousandths, dtype=np.int64).reshape(size) / 1000.0
        weekly = b"".join([_swings(row, last) for row in rows])
        swings = np.frombuffer(weekly, dtype=np.float64).reshape(len(rows), SWING_WEEKS)
        known = [min(max(last - _began(row) + 1, 0), self.days) for row in rows]
        active = [
            row.lines[0].active if len(row.lines) == 1 else max(line.active for line in row.lines)
            for row in rows
        ]
        return Series(
            last,
            counts,
            self._masked(rows, last),
            np.array(known, dtype=np.int64),
            np.ascontiguousarray(swings[:, ::-1]),
            np.array(active, dtype=np.int64),
            fresh=_fresh(rows, known, last),
        )

    def reason(self, row: Row, day: int) -> str:
        """Return why a day is masked for a row."""
        profile = row.account.facts.profile
        if any(first <= day <= last for first, last in profile.closures):
            return CLOSURE
        if day in self.closing.closures:
            return CLOSURE_FOR_ALL
        return calendars.reason(profile.country, day) or NO_DATA

    def dark(self, line: Line, day: int, least: int = 1) -> bool:
        """Tell whether a day lies in outages of all of a line's sources.

        Args:
            line: The line.
            day: The day.
            least: Days running without anything for anybody that are an outage.
        """
        return bool(line.sources) and all(
            any(first <= day <= last for first, last in self._outages(source, least))
            for source in line.sources
        )

    def _masked(self, rows: Sequence[Row], last: int) -> Bools:
        """Return the masked days of rows: few masks, each that of many rows."""
        masks, places = [np.zeros(self.days, dtype=np.bool_)], []
        known: dict[tuple[object, ...], int] = {}
        for row in rows:
            profile, lines = row.account.facts.profile, row.lines
            # Most have one line, and a generator costs as much as all else here.
            fed = lines[0].sources if len(lines) == 1 else tuple(line.sources for line in lines)
            key = (profile.country, fed, row.object in COUNTED, len(lines), *profile.closures)
            place = known.get(key)
            if place is None:
                place = known[key] = len(masks)
                masks.append(self._mask(row, last))
            places.append(place)
        found: Bools = np.array(masks)[places]
        return found

    def _mask(self, row: Row, last: int) -> Bools:
        profile = row.account.facts.profile
        masked = calendars.mask(profile.country, last, self.days).copy()
        _set_spans(masked, [(day, day) for day in self.closing.closures], last)
        _set_spans(masked, profile.closures, last)
        # Several metrics as one are dark only on days on which all of them are, and each only while
        # all of its sources are.
        names = [source for line in row.lines for source in line.sources or ("",)]
        masked |= self._dark_for_all(names, last, outage_days(row))
        return masked

    def _dark_for_all(self, sources: Sequence[str], last: int, least: int) -> Bools:
        dark = np.ones(self.days, dtype=np.bool_)
        for source in sources:
            one = np.zeros(self.days, dtype=np.bool_)
            _set_spans(one, self._outages(source, least), last)
            dark &= one
        return dark

    def _outages(self, source: str, least: int) -> Iterable[tuple[int, int]]:
        """Return spans of at least so many days on which a source sent nothing for anybody."""
        spans = self.closing.outages.get(source, ())
        if least == 1:
            return spans
        # What reaches back to the first day may have begun before it, or before the source.
        first = self.closing.day - self.days + 1
        return [span for span in spans if span[1] - span[0] >= least - 1 or span[0] <= first]


def outage_days(row: Row) -> int:
    """Return how many days running without anything for anybody are an outage to a row."""
    return RARE_OUTAGE_DAYS if row.object in COUNTED else 1


def _began(row: Row) -> int:
    """Return the first day on which a row is known."""
    lines = row.lines
    first = lines[0].start if len(lines) == 1 else min(line.start for line in lines)
    if row.object not in COUNTED:
        return first
    # No ticket yet is none, not an unknown number.
    known = row.account.facts
    if known.profile.started_on is not None:
        first = min(first, calendars.to_day(known.profile.started_on))
    return min(first, *(line.start for line in known.buckets.lines.values()))


def _fresh(rows: Sequence[Row], known: Sequence[int], last: int) -> Ints | None:
    """Return how many days of rows say what is usual now; None where all that are known do."""
    if not any(row.lines[0].fresh for row in rows):
        return None
    # Several metrics as one have no level of their own.
    since = [row.lines[0].fresh if len(row.lines) == 1 else 0 for row in rows]
    days = [min(n, max(last - day + 1, 0)) for n, day in zip(known, since, strict=True)]
    return np.array(days, dtype=np.int64)


def _set_spans(masked: Bools, spans: Iterable[tuple[int, int]], last: int) -> None:
    first = last - len(masked) + 1
    for begin, end in spans:
        if end >= first and begin <= last:
            masked[max(begin - first, 0) : end - first + 1] = True


def _counts(row: Row, first: int, days: int) -> "array[int] | bytes":
    """Return the thousandths of the days that begin with `first`, all lines added up."""
    found = row.lines[0].window(first, first + days)
    if len(row.lines) == 1:
        return found
    sums = np.frombuffer(found, dtype=np.int64)
    for line in row.lines[1:]:
        sums = sums + np.frombuffer(line.window(first, first + days), dtype=np.int64)
    return sums.tobytes()


_UNKNOWN: Final = array("d", [float("nan")] * SWING_WEEKS).tobytes()
_WIDTH: Final = 8


def _swings(row: Row, last: int) -> bytes:
    """Return the swings, the newest last: that of k weeks before the judged day stands k before."""
    line = row.lines[0]
    if len(row.lines) > 1 or not line.swings:
        return _UNKNOWN
    newest, beyond = divmod(last - (line.week * 7 + 3), 7)
    known = line.swings.tobytes()
    if newest < 0 or (newest == 0 and not beyond):
        # That of the judged day is kept while it is judged: whether it is there yet says nothing.
        own = int(not beyond)
        known, newest = known[: _WIDTH * (newest - own)], own
    return (_UNKNOWN + known + _UNKNOWN[: _WIDTH * newest])[-len(_UNKNOWN) :]
