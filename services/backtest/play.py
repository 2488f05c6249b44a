"""Plays files through partitions in lock-step: a day at a time, or an hour."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from services.backtest.crew import Crew
from services.backtest.orders import Key, Order, Report
from services.backtest.other_rows import Beside
from services.backtest.outcome import Sent
from services.backtest.staged import NEVER, Prepared
from services.ingest.history.play import DAY, GAP, HOUR, LAST_DUE
from services.partitioning import home_of


class _Step(NamedTuple):
    """What is played at once: from when to when, who was seen, entries of each partition."""

    start: int
    until: int
    quiet: bool
    seen: dict[str, list[int]]
    entries: list[list[tuple[Key, bytes]]]


class Player:
    """Plays all rows of a backtest, once.

    What goes from one partition to another arrives with the next step. So steps become hours once
    an event may do that: it is there before the next day ends anywhere, as through the log.

    Args:
        prepared: Plain rows.
        beside: All others.
        partitions: How many workers there are.
        now: Nothing of the future is played, microseconds since 1970-01-01 UTC.

    Attributes:
        first: Time of the first row.
        reached: Every day that was due before this instant is judged, none that was due later.
    """

    def __init__(self, prepared: Prepared, beside: Beside, partitions: int, now: int) -> None:
        self._prepared = prepared
        self._beside = beside
        self._partitions = partitions
        self._now = now
        self._items = beside.items()
        self._item = next(self._items, None)
        self._sights = deque(prepared.seen)
        self._forwards: list[list[bytes]] = [[] for _ in range(partitions)]
        self._last = 0
        self._hourly = self._quiet = False
        self._rows = 0
        self.first = min(prepared.first, NEVER if self._item is None else self._item.key[0])
        self.reached = 0

    def play(
        self,
        crew: Crew,
        take: Callable[[list[Sent]], None],
        show: Callable[[int, int], None],
        stopped: Callable[[], bool],
    ) -> bool:
        """Play everything; tell whether it was ended before the files were.

        Args:
            crew: The workers, which have begun.
            take: Takes what was found.
            show: Is told the rows played and the instant reached.
            stopped: Tells whether to end now.
        """
        step = self._gather(self.first - self.first % DAY)
        while step is not None:
            crew.begin(self._orders(step))
            # The next rows are read while the workers play these.
            following = self._gather(step.until)
            self._keep(crew.reports(), take)
            # In quiet times the clock ticks as a step begins, and not again.
            self.reached = step.start + 1 if step.quiet else step.until
            show(self._rows + self._beside.rows, min(step.until, self._now))
            if stopped():
                return True
            step = following
        return False

    def _gather(self, start: int) -> _Step | None:
        """Return the next step, None after the last day was due in every zone."""
        end = min(self._now, max(self._last, self._prepared.last), NEVER)
        if self._item is None and start > self._prepared.last:
            end = min(self._now, end - end % DAY + LAST_DUE) + 1
            if start < end:
                return self._step(start, min(end, start + DAY - start % DAY))
            return self._step(start, start) if any(self._forwards) else None
        return self._step(start, start + (HOUR if self._hourly else DAY - start % DAY))

    def _step(self, start: int, until: int) -> _Step:
        if start % DAY == 0:
            self._quiet = start > self._last + GAP and self._last > 0
        entries: list[list[tuple[Key, bytes]]] = [[] for _ in range(self._partitions)]
        seen: dict[str, list[int]] = {}
        while self._item is not None and self._item.key[0] < until:
            item, self._item = self._item, next(self._items, None)
            at = item.key[0]
            if item.roams and not self._hourly:
                self._hourly = True
                until = at - at % HOUR + HOUR
            self._last = max(self._last, at)
            _see(seen, item.source, at // HOUR)
            for partition, raw in item.entries:
                entries[partition].append((item.key, raw))
        while self._sights and self._sights[0][0] * HOUR < until:
            hour, source = self._sights.popleft()
            self._last = max(self._last, hour * HOUR)
            _see(seen, source, hour)
        return _Step(start, until, self._quiet, seen, entries)

    def _orders(self, step: _Step) -> list[Order]:
        forwards, self._forwards = self._forwards, [[] for _ in range(self._partitions)]
        return [
            Order(step.start, step.until, step.seen, entries, sent, step.quiet)
            for entries, sent in zip(step.entries, forwards, strict=True)
        ]

    def _keep(self, reports: list[Report], take: Callable[[list[Sent]], None]) -> None:
        for report in reports:
            take(report.alerts)
            self._rows += report.rows
            for subject, entry in report.forwards:
                homes = range(self._partitions) if not subject else [self._home(subject)]
                for home in homes:
                    self._forwards[home].append(entry)

    def _home(self, subject: str) -> int:
        return home_of(subject, self._partitions)


def _see(seen: dict[str, list[int]], source: str, hour: int) -> None:
    hours = seen.setdefault(source, [])
    if not hours or hours[-1] != hour:
        hours.append(hour)
