"""In which hours which source sent something, and by which input, until a tick has carried it."""

from collections.abc import Iterable, Mapping
from typing import Final, Generic, TypeVar

HOUR_MICROS: Final = 3_600_000_000
TICK_BYTES: Final = 128 * 1024
"""Encoded size of what one tick carries of either, far below the size of an entry."""
PAIR_BYTES: Final = 16
"""More than an hour takes beside the name of its source, or the frame of a source beside it."""
TOTAL_LIMIT: Final = 200_000
"""Pairs that are kept; more come only from a sender that makes its sources up."""

Value = TypeVar("Value", int, str)


class Seen:
    """What ticks tell of who sent something.

    Attributes:
        hours: (source, hour since 1970-01-01 UTC).
        fed: (input, source of which it has carried something).
    """

    def __init__(self) -> None:
        self.hours = Untold[int]()
        self.fed = Untold[str]()

    @property
    def dropped(self) -> int:
        """How many pairs were too many."""
        return self.hours.dropped + self.fed.dropped

    def note(self, pairs: Iterable[tuple[str, int]]) -> None:
        """Add hours of sources, of events that are acknowledged; no hour before 1970.

        A tick that tells of such an hour could be read by nobody.
        """
        self.hours.note(pair for pair in pairs if pair[1] >= 0)


class Untold(Generic[Value]):
    """A set of pairs."""

    def __init__(self) -> None:
        self._pairs: set[tuple[str, Value]] = set()
        self.dropped = 0

    def note(self, pairs: Iterable[tuple[str, Value]]) -> None:
        """Add pairs."""
        self._pairs.update(pairs)
        while len(self._pairs) > TOTAL_LIMIT:
            self._pairs.pop()
            self.dropped += 1

    def take(self) -> dict[str, list[Value]]:
        """Remove and return what one tick carries: the second of each by the first, in order."""
        taken: dict[str, list[Value]] = {}
        room = TICK_BYTES
        for first, second in sorted(self._pairs):
            room -= PAIR_BYTES + _size(second) + (0 if first in taken else _size(first))
            if room < 0:
                break
            taken.setdefault(first, []).append(second)
        self._pairs.difference_update((name, one) for name, each in taken.items() for one in each)
        return taken

    def give_back(self, taken: Mapping[str, Iterable[Value]]) -> None:
        """Keep for the next tick what an unacknowledged one carried."""
        self.note((name, one) for name, each in taken.items() for one in each)


def _size(value: int | str) -> int:
    return len(value.encode()) if isinstance(value, str) else 0
