"""Which entries are repetitions: by origin for ever, by id within a horizon (design.md §5.1)."""

from schemas.envelope import Entry

ORIGIN_ONLY = ("import", "repair:", "forward/")
"""Inputs that play events which were sent before: their origin alone tells repetitions."""

GENERATIONS = 5


class _Ids:
    """Ids of one channel: sets that close by count, the oldest of which are forgotten."""

    def __init__(self, horizon: int | None) -> None:
        self._size = None if horizon is None else max(1, -(-horizon // GENERATIONS))
        self._closed: list[set[tuple[str, str]]] = []
        self._open: set[tuple[str, str]] = set()

    def turn(self) -> None:
        """Close a full set; it stays open until the message that filled it has ended."""
        if self._size is not None and len(self._open) >= self._size:
            self._closed = [*self._closed, self._open][-GENERATIONS:]
            self._open = set()

    def is_new(self, identity: tuple[str, str]) -> bool:
        if identity in self._open or any(identity in one for one in self._closed):
            return False
        self._open.add(identity)
        return True


class Duplicates:
    """What one partition remembers of entries.

    Args:
        horizon: Ids remembered per channel; None for all.
    """

    def __init__(self, horizon: int | None) -> None:
        self._origins: dict[tuple[str, int], tuple[int, int]] = {}
        self._http, self._inputs = _Ids(horizon), _Ids(horizon)
        self._message = -1

    def repeats(self, offset: int, entry: Entry, system: bool) -> bool:
        """Tell whether an entry came before, and remember it.

        Args:
            offset: Its message.
            entry: The entry.
            system: Whether it is one of our own, which have no ids of a producer's.
        """
        if offset != self._message:
            self._message = offset
            self._http.turn()
            self._inputs.turn()
        origin = entry.origin
        if origin is not None:
            place = (origin.offset, origin.place)
            if place <= self._origins.get((origin.input, origin.partition), (-1, -1)):
                return True
            self._origins[origin.input, origin.partition] = place
        if system or (origin is not None and origin.input.startswith(ORIGIN_ONLY)):
            return False
        ids = self._http if origin is None else self._inputs
        return not ids.is_new((entry.source, entry.id))
