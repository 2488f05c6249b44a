"""In which hours which source sent something, until a tick has carried it into the log."""

from collections.abc import Iterable
from typing import Final

HOUR_MICROS: Final = 3_600_000_000
TICK_BYTES: Final = 128 * 1024
"""Encoded size of what one tick carries, so that it stays far below the size of an entry."""
PAIR_BYTES: Final = 16
"""More than an hour takes beside the name of its source."""
TOTAL_LIMIT: Final = 200_000
"""Pairs that are kept; more come only from a sender that makes its sources up."""


class Seen:
    """A set of (source, hour since 1970-01-01 UTC)."""

    def __init__(self) -> None:
        self._pairs: set[tuple[str, int]] = set()
        self.dropped = 0

    def note(self, pairs: Iterable[tuple[str, int]]) -> None:
        """Add pairs, of events that are acknowledged; no hour before 1970.

        A tick that tells of such an hour could be read by nobody.
        """
        self._pairs.update(pair for pair in pairs if pair[1] >= 0)
        while len(self._pairs) > TOTAL_LIMIT:
            self._pairs.pop()
            self.dropped += 1

    def take(self) -> dict[str, list[int]]:
        """Remove and return what one tick carries: hours by source, in order."""
        hours: dict[str, list[int]] = {}
        room = TICK_BYTES
        for source, hour in sorted(self._pairs):
            room -= PAIR_BYTES + (0 if source in hours else len(source.encode()))
            if room < 0:
                break
            hours.setdefault(source, []).append(hour)
        self._pairs.difference_update((s, hour) for s, each in hours.items() for hour in each)
        return hours

    def give_back(self, hours: dict[str, list[int]]) -> None:
        """Keep for the next tick what an unacknowledged one carried."""
        self.note((source, hour) for source, each in hours.items() for hour in each)
