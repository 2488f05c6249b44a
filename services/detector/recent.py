"""Recent ids: the horizon in which a repeated event is recognised, counted and not timed.

Hashes stand in generations that close by count. The open one is a set; closed ones are sorted
arrays, so that 500,000 ids take 4 MB and an envelope is looked up at once.
"""

from array import array
from collections.abc import Iterator, Mapping

import numpy as np
import xxhash
from numpy.typing import NDArray

HORIZON = 500_000
GENERATIONS = 5
CHUNK = 4_096
"""Ids in one record of the snapshot: only the last chunk is written again and again."""

Hashes = NDArray[np.uint64]


def digest(source: str, event_id: str) -> int:
    """Return the xxh3-64 of an event's identity.

    >>> digest("a", "bc") != digest("ab", "c")
    True
    """
    return xxhash.xxh3_64_intdigest(f"{source}\x00{event_id}".encode())


class RecentIds:
    """At least the last `horizon` ids of one channel, in one partition.

    Args:
        horizon: Ids to remember; `GENERATIONS` closed generations hold them.
    """

    def __init__(self, horizon: int = HORIZON) -> None:
        """Begin with no id."""
        self.size = max(1, -(-horizon // GENERATIONS))
        self.generation = 0
        self.order = array("Q")
        self.open: set[int] = set()
        self.closed: dict[int, Hashes] = {}
        self._saved = 0
        self._changed: dict[tuple[int, int], bytes | None] = {}

    def known(self, hashes: list[int]) -> list[bool]:
        """Tell which hashes stand in closed generations; the open one is asked by `add`.

        A full generation closes here and not while its hashes are added, so that a repetition
        among them stands in the same one.
        """
        if len(self.order) >= self.size:
            self._close()
        if not self.closed:
            return [False] * len(hashes)
        asked = np.array(hashes, dtype=np.uint64)
        found = np.zeros(len(hashes), dtype=np.bool_)
        for ids in self.closed.values():
            at = np.minimum(np.searchsorted(ids, asked), len(ids) - 1)
            found |= ids[at] == asked
        return found.tolist()

    def add(self, hashed: int) -> bool:
        """Remember an id; tell whether it is new in the open generation."""
        if hashed in self.open:
            return False
        self.open.add(hashed)
        self.order.append(hashed)
        return True

    def __len__(self) -> int:
        """Return how many ids are remembered."""
        return len(self.order) + sum(len(ids) for ids in self.closed.values())

    def changes(self) -> Iterator[tuple[int, int, bytes | None]]:
        """Yield (generation, chunk, value) of what changed since the last call; None deletes."""
        self._mark()
        changed, self._changed = self._changed, {}
        for (generation, chunk), value in changed.items():
            yield generation, chunk, value

    def restore(self, chunks: Mapping[tuple[int, int], bytes]) -> None:
        """Take the chunks of a snapshot over, by (generation, chunk)."""
        for (generation, _), value in sorted(chunks.items()):
            if generation != self.generation and self.order:
                self._settle()
            self.generation = generation
            self.order.frombytes(value)
        self.open = set(self.order)
        self._saved = len(self.order)

    def _settle(self) -> None:
        self.closed[self.generation] = np.sort(np.frombuffer(self.order.tobytes(), dtype=np.uint64))
        self.order = array("Q")

    def _close(self) -> None:
        self._mark()
        self._settle()
        self.open = set()
        self._saved = 0
        self.generation += 1
        if len(self.closed) > GENERATIONS:
            oldest = min(self.closed)
            chunks = -(-len(self.closed.pop(oldest)) // CHUNK)
            self._changed.update(dict.fromkeys(((oldest, chunk) for chunk in range(chunks)), None))

    def _mark(self) -> None:
        """Note the chunks of the open generation that grew."""
        if self._saved == len(self.order):
            return
        for chunk in range(self._saved // CHUNK, -(-len(self.order) // CHUNK)):
            part = self.order[chunk * CHUNK : (chunk + 1) * CHUNK]
            self._changed[self.generation, chunk] = part.tobytes()
        self._saved = len(self.order)
