"""Recent ids: the horizon in which a repeated event is recognised, counted and not timed.

Hashes stand in generations that close by count. Closed ones are sorted arrays; the open one is a
few sorted runs and a small set of the newest, so that an id takes 8 to 16 bytes however many are
remembered, and an envelope is looked up at once.
"""

from array import array
from collections.abc import Iterator, Mapping

import numpy as np
import xxhash
from numpy.typing import NDArray

HORIZON = 500_000
GENERATIONS = 5
ID_BYTES = 8
CHUNK = 4_096
"""Ids in one record of the snapshot: only the last chunk is written again and again."""

RUN = 8_192
"""Ids of the set, at which it becomes a sorted run: a Python set takes eight times as much."""

Hashes = NDArray[np.uint64]


def digest(source: str, event_id: str) -> int:
    """Return the xxh3-64 of an event's identity.

    >>> digest("a", "bc") != digest("ab", "c")
    True
    """
    return xxhash.xxh3_64_intdigest(f"{source}\x00{event_id}".encode())


class RecentIds:
    """At least the last `horizon` ids of one channel, in one partition.

    It takes at most 32 bytes per id of the horizon and 2 MB: 8 for each of the ids in its
    generations, as many once more for those of the open one in their order and for what waits to
    be written.

    Args:
        horizon: Ids to remember; `GENERATIONS` closed generations hold them.

    Attributes:
        size: Ids of a generation.
        generation: Number of the open one.
        order: Its ids in the order in which they came.
        closed: The others, sorted, by number.
    """

    def __init__(self, horizon: int = HORIZON) -> None:
        """Begin with no id."""
        self.size = max(1, -(-horizon // GENERATIONS))
        self.generation = 0
        self.order = array("Q")
        self.closed: dict[int, Hashes] = {}
        self._runs: list[Hashes] = []
        self._newest: set[int] = set()
        self._saved = 0
        self._changed: dict[tuple[int, int], bytes | None] = {}

    def known(self, hashes: list[int]) -> list[bool]:
        """Tell which hashes are remembered; the newest few are asked by `add`.

        A full generation closes here, and the set becomes a run, and not while hashes are added:
        so that a repetition among them stands in the same one.
        """
        if len(self.order) >= self.size:
            self._close()
        elif len(self._newest) >= RUN:
            self._run()
        if not self.closed and not self._runs:
            return [False] * len(hashes)
        asked = np.array(hashes, dtype=np.uint64)
        # Sorted questions are answered in half the time.
        order = np.argsort(asked)
        asked = asked[order]
        found = np.zeros(len(hashes), dtype=np.bool_)
        for ids in (*self.closed.values(), *self._runs):
            at = np.minimum(np.searchsorted(ids, asked), len(ids) - 1)
            found |= ids[at] == asked
        told = np.empty_like(found)
        told[order] = found
        return told.tolist()

    def add(self, hashed: int) -> bool:
        """Remember an id that `known` does not know; tell whether it is new since then too."""
        if hashed in self._newest:
            return False
        self._newest.add(hashed)
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
        if self.order:
            self._runs = [self._sorted()]
        self._saved = len(self.order)

    def _run(self) -> None:
        """Sort the newest into a run; runs of its length or less are merged with it."""
        run = np.sort(np.array(self.order[-len(self._newest) :], dtype=np.uint64))
        while self._runs and len(self._runs[-1]) <= len(run):
            # Timsort merges what is sorted in parts.
            run = np.sort(np.concatenate([self._runs.pop(), run]), kind="stable")
        self._runs.append(run)
        self._newest = set()

    def _sorted(self) -> Hashes:
        return np.sort(np.frombuffer(self.order.tobytes(), dtype=np.uint64))

    def _settle(self) -> None:
        self.closed[self.generation] = self._sorted()
        self.order = array("Q")

    def _close(self) -> None:
        self._mark()
        self._settle()
        self._runs, self._newest = [], set()
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
