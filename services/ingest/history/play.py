"""Past events as entries of the log: numbered, with the ticks of their own time among them."""

from collections.abc import Iterator
from typing import Final

from schemas.cloudevents import Incoming, Refused
from schemas.config import RuleSetRecord
from schemas.envelope import Entry, Origin, encode_entry
from schemas.events import ClockTicked, RulesApplied
from services.ingest.entries import SYSTEM_SOURCE, admit, broadcast

Item = tuple[int, bytes]
"""A partition and the bytes of an entry, as a publisher takes them."""

INPUT: Final = "import"
"""The input that the origins of an import name."""

HOUR: Final = 3_600_000_000
DAY: Final = 24 * HOUR
QUARTER: Final = HOUR // 4
"""Between two ticks. Source: design.md §4."""

GAP: Final = 31 * DAY
"""After so long without any row one tick a day is enough: every day is an outage by then."""

LAST_DUE: Final = 38 * HOUR
"""From the beginning of a UTC date until it may be judged in every zone: UTC-12 ends it 12 hours
late, and the grace is 2 hours (design.md §5.3)."""


class Play:
    """Numbers the entries of one run; the same events give the same entries.

    Args:
        partitions: Partition count of `events.v1`.
        run: Number of the run, from 1.
        now: The wall clock, microseconds since 1970-01-01 UTC.
        ticking: True to play the history's clock; False where the live one runs.
    """

    def __init__(self, partitions: int, run: int, now: int, *, ticking: bool) -> None:
        self._partitions = partitions
        self._run = run
        self._now = now
        self._ticking = ticking
        self._number = 0
        self._last = 0
        self._tick_at: int | None = None
        self._seen: dict[str, set[int]] = {}

    def rules(self, record: RuleSetRecord) -> list[Item]:
        """Return the rule set for every partition; the newest holds, so it needs no number."""
        event = RulesApplied(n=record.n, content=record.content)
        return broadcast(event, f"import-{self._run}-rules", 0, self._partitions)

    def event(self, incoming: Incoming) -> list[Item] | Refused:
        """Return the entries of an event, or why it is refused after all.

        Args:
            incoming: With a time, for which `ticks` was called before.
        """
        outcome = admit(incoming, self._partitions, self._now, self._origin())
        if isinstance(outcome, Refused):
            return outcome
        self._number += 1
        self._last = incoming.time or 0
        self._seen.setdefault(incoming.source, set()).add(self._last // HOUR)
        return outcome

    def ticks(self, until: int) -> Iterator[Item]:
        """Yield the ticks up to an instant, included, that were not yet.

        Args:
            until: Microseconds since 1970-01-01 UTC, never earlier than in the call before.
        """
        if not self._ticking:
            return
        if self._tick_at is None:
            self._tick_at, self._last = until - until % QUARTER, until
        while self._tick_at <= until:
            yield from self._tick(self._tick_at)
            quiet = self._tick_at > self._last + GAP
            self._tick_at += DAY - self._tick_at % DAY if quiet else QUARTER

    def end(self, now: int) -> Iterator[Item]:
        """Yield the ticks until the last day is due in every zone, but none of the future.

        Args:
            now: Microseconds since 1970-01-01 UTC.
        """
        if self._tick_at is not None:
            yield from self.ticks(min(now, self._last - self._last % DAY + LAST_DUE))

    def _tick(self, at: int) -> Iterator[Item]:
        seen = {source: sorted(hours) for source, hours in sorted(self._seen.items())}
        self._seen = {}
        event = ClockTicked(at=at, mode="importing", seen=seen)
        identity = f"import-{self._run}-{self._number}"
        entry = encode_entry(Entry(identity, SYSTEM_SOURCE, at, (), event, self._origin()))
        self._number += 1
        return ((partition, entry) for partition in range(self._partitions))

    def _origin(self) -> Origin:
        return Origin(INPUT, 0, self._run, self._number)
