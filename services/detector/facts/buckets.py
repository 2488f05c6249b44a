"""Day buckets: what an account did of each metric on each local day.

A line of buckets is dense and begins at a block boundary, so that a block of thirty days is one
cold record of the snapshot once it no longer changes (design.md §5.7).
"""

from array import array
from collections.abc import Iterator

BLOCK_DAYS = 30
HOT_DAYS = 16
"""Days before the judged one in which late data are common; the hot record holds 16 to 46."""

SOURCE_LIMIT = 10
"""Sources that are remembered of one line, the first by name: who came first must not decide."""

LINE_LIMIT = 100
"""Metrics per account; a producer that makes up names must not fill the memory."""

TOO_LATE = "too_late"
SUM_LIMIT = 1 << 62
SWING_WEEKS = 42
CORRECTION_DAYS = 28
"""How far back an open alert is judged again when late data correct its days."""
PEOPLE = "@people"
"""The line that counts distinct active people; no metric of a producer can have this name."""
FEATURE = "@feature:"
"""Prefix of the lines of tracked features; the feature's name follows."""
TICKETS, TICKETS_HIGH = "@tickets", "@tickets_high"
"""The lines that count tickets opened, and those of them of priority 1 and 2."""


def block_of(day: int) -> int:
    """Return the first day of the block in which a day lies.

    >>> block_of(31), block_of(60)
    (30, 60)
    """
    return day - day % BLOCK_DAYS


class Line:
    """One metric's day buckets in thousandths, and its weekly swings.

    Attributes:
        active: Days that have something in them, forgotten ones too.
        start: First day with data ever seen; the account's history of this metric begins there.
        fresh: Day since which it says what is usual, as a new normal began there; 0 for `start`.
        first: Day of `values[0]`, a block boundary.
        values: Thousandths per day.
        sources: Who feeds it, in order of name.
        revised: Earliest judged day that late data corrected, or None.
        revised_after: The day judged last when that happened.
        week: Week number, `(day + 3) // 7`, of the last swing.
        swings: Swing numbers of the weeks up to `week`, NaN where there is none.
    """

    __slots__ = (
        "active",
        "first",
        "fresh",
        "revised",
        "revised_after",
        "sources",
        "start",
        "swings",
        "values",
        "week",
    )

    def __init__(self, day: int) -> None:
        """Begin a line at a day."""
        self.active = 0
        self.start = day
        self.fresh = 0
        self.first = block_of(day)
        self.values = array("q", bytes(8 * BLOCK_DAYS))
        self.sources: tuple[str, ...] = ()
        self.revised: int | None = None
        self.revised_after = 0
        self.week = 0
        self.swings = array("d")

    def cover(self, day: int) -> range:
        """Make room for a day, in whole blocks; return their first days."""
        first, end = block_of(day), block_of(day) + BLOCK_DAYS
        if first < self.first:
            added = range(first, self.first, BLOCK_DAYS)
            self.values = array("q", bytes(8 * (self.first - first))) + self.values
            self.first = first
            return added
        added = range(self.end, end, BLOCK_DAYS)
        self.values.frombytes(bytes(8 * BLOCK_DAYS * len(added)))
        return added

    def at(self, day: int) -> int:
        """Return a day's sum in thousandths; 0 outside of what is kept."""
        place = day - self.first
        return self.values[place] if 0 <= place < len(self.values) else 0

    def span(self, first: int, end: int) -> list[int]:
        """Return the sums of the days from `first` to before `end`; 0 outside of what is kept."""
        inside = self.values[max(first - self.first, 0) : max(end - self.first, 0)].tolist()
        before = [0] * min(max(self.first - first, 0), end - first)
        return before + inside + [0] * (end - first - len(before) - len(inside))

    def window(self, first: int, end: int) -> "array[int]":
        """Return what `span` returns, as an array."""
        begin, stop = first - self.first, end - self.first
        inside = self.values[max(begin, 0) : max(stop, 0)]
        if len(inside) == end - first:
            return inside
        before = array("q", bytes(8 * min(max(-begin, 0), end - first)))
        before.extend(inside)
        before.frombytes(bytes(8 * (end - first - len(before))))
        return before

    def trim(self, oldest: int) -> list[int]:
        """Forget whole blocks before a day; return their first days."""
        gone = list(range(self.first, min(block_of(oldest), self.end), BLOCK_DAYS))
        if gone:
            del self.values[: BLOCK_DAYS * len(gone)]
            self.first += BLOCK_DAYS * len(gone)
        return gone

    @property
    def end(self) -> int:
        """The first day after the last block."""
        return self.first + len(self.values)

    def revise(self, day: int, judged: int) -> None:
        """Note that late data corrected a day that was judged already."""
        # No alert of an earlier day is judged again; without a bound the order of arrival told.
        day = max(day, judged - CORRECTION_DAYS)
        old = self.revised is None or judged - self.revised > CORRECTION_DAYS
        self.revised = day if self.revised is None or old else min(self.revised, day)
        self.revised_after = judged

    def block(self, first: int) -> list[int]:
        """Return the thirty values of a block."""
        place = first - self.first
        return self.values[place : place + BLOCK_DAYS].tolist()

    def swing(self, day: int, value: float) -> None:
        """Keep the swing number of the week that ends with a day."""
        week = (day + 3) // 7
        if self.swings:
            gap = min(week - self.week - 1, SWING_WEEKS)
            self.swings.extend([float("nan")] * gap)
        self.swings.append(value)
        del self.swings[:-SWING_WEEKS]
        self.week = week


class Buckets:
    """All lines of an account.

    Attributes:
        lines: By metric.
        hot_from: First day of the hot record; the blocks before it are cold records.
        stale: First days of the cold blocks whose record must be written again.
    """

    __slots__ = ("hot_from", "lines", "stale")

    def __init__(self) -> None:
        """Begin without a line."""
        self.lines: dict[str, Line] = {}
        self.hot_from = 0
        self.stale: set[int] = set()

    def refusal(self, metric: str, day: int, amount: int, oldest: int) -> str | None:
        """Return why an amount cannot be added to a day's bucket, or None; nothing changes.

        Args:
            metric: The line.
            day: Local day.
            amount: Thousandths, >= 0.
            oldest: The first day that is kept.
        """
        if day < oldest:
            return TOO_LATE
        line = self.lines.get(metric)
        if line is None:
            named = sum(not name.startswith("@") for name in self.lines)
            full = named >= LINE_LIMIT and not metric.startswith("@")
            return "too_many_metrics" if full else None
        return "sum_too_large" if line.at(day) + amount > SUM_LIMIT else None

    def add(self, metric: str, day: int, amount: int, judged: int, source: str) -> None:
        """Add to a day's bucket what `refusal` has allowed.

        Args:
            metric: The line.
            day: Local day.
            amount: Thousandths; below 0 to take back what was added to this day.
            judged: The day judged last: what is not newer is a correction.
            source: Who sent it; on days on which none of a line's sources was seen, it is masked.
        """
        line = self.lines.get(metric)
        if line is None:
            line = self.lines[metric] = Line(day)
        place = day - line.first
        if not 0 <= place < len(line.values):
            self.stale.update(first for first in line.cover(day) if first < self.hot_from)
            place = day - line.first
        before = line.values[place]
        total = before + amount
        if not before or not total:
            line.active += bool(total) - bool(before)
        line.values[place] = total
        if source not in line.sources:
            self.feed(metric, source)
        if day < self.hot_from:
            self.stale.add(block_of(day))
        if day < line.start:
            line.start = day
        if day <= judged:
            line.revise(day, judged)

    def relearn(self, metric: str, day: int) -> None:
        """Let what is usual of a line, and its swings, be learned from a day on.

        Args:
            metric: The line; nothing happens where there is none.
            day: Days since 1970-01-01.
        """
        line = self.lines.get(metric)
        if line is not None:
            line.fresh = day
            del line.swings[:]

    def feed(self, metric: str, source: str) -> None:
        """Note who feeds a line that there is."""
        line = self.lines[metric]
        if source not in line.sources:
            line.sources = tuple(sorted((*line.sources, source))[:SOURCE_LIMIT])

    def blocks(self) -> Iterator[int]:
        """Yield the first days of all blocks that some line keeps, in order."""
        firsts = {
            first
            for line in self.lines.values()
            for first in range(line.first, line.end, BLOCK_DAYS)
        }
        yield from sorted(firsts)

    def trim(self, oldest: int) -> None:
        """Forget whole blocks before the first day that a rule in force can still ask for."""
        kept = block_of(oldest)
        for line in self.lines.values():
            if line.first < kept:
                self.stale.update(line.trim(oldest))

    def settle(self, judged: int) -> None:
        """Move blocks that no longer change into cold records.

        Args:
            judged: The day judged last; the hot record keeps `HOT_DAYS` before it.
        """
        hot_from = block_of(judged - HOT_DAYS)
        if hot_from > self.hot_from:
            self.stale.update(first for first in self.blocks() if self.hot_from <= first < hot_from)
            self.hot_from = hot_from
