"""In which hours which source sent something, until a tick has carried it into the log."""

from collections.abc import Iterable
from typing import Final

HOUR_MICROS: Final = 3_600_000_000
TICK_LIMIT: Final = 20_000
"""Pairs in one tick, so that it stays far below the size of an entry."""
TOTAL_LIMIT: Final = 200_000
"""Pairs that are kept; more come only from a sender that makes its sources up."""


class Seen:
    """A set of (source, hour since 1970-01-01 UTC)."""

    def __init__(self) -> None:
        self._pairs: set[tuple[str, int]] = set()
        self.dropped = 0

    def note(self, pairs: Iterable[tuple[str, int]]) -> None:
        """Add pairs, of events that are acknowledged."""
        self._pairs.update(pairs)
        while len(self._pairs) > TOTAL_LIMIT:
            self._pairs.pop()
            self.dropped += 1

    def take(self) -> dict[str, list[int]]:
        """Remove and return what one tick carries: hours by source, in order."""
        taken = sorted(self._pairs)[:TICK_LIMIT]
        self._pairs.difference_update(taken)
        hours: dict[str, list[int]] = {}
        for source, hour in taken:
            hours.setdefault(source, []).append(hour)
        return hours

    def give_back(self, hours: dict[str, list[int]]) -> None:
        """Keep for the next tick what an unacknowledged one carried."""
        self.note((source, hour) for source, each in hours.items() for hour in each)
