"""What open closings judge by that many of them share: kept once, and not in every closing."""

from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from services.detector.products import Changed

WRITTEN_ONCE: Final = 10
"""A view is a record of its own, which is written once; the ledger's is written by every flush. So
of a view only one byte in so many counts."""


class View(msgspec.Struct, frozen=True, omit_defaults=True):
    """How things stood for everybody when a closing was opened.

    Attributes:
        products: What had been changed of which feature up to the judged day.
        peers: Per scope, the median ratio of two days before in percent, and of how many accounts.
    """

    products: dict[str, Changed] = msgspec.field(default_factory=dict)
    peers: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)


class Views:
    """The views that open closings ask for, by number."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[int, View] = {}
        self._bytes: dict[int, int] = {}
        self._changed: set[int] = set()

    def __len__(self) -> int:
        return len(self._known)

    def put(self, view: View) -> int:
        """Keep a view; return the number of the one that is equal to it."""
        for number, known in self._known.items():
            if known == view:
                return number
        number = max(self._known, default=-1) + 1
        self._take(number, view, msgspec.msgpack.encode(view))
        self._changed.add(number)
        return number

    def get(self, number: int) -> View:
        """Return a view that a closing asks for."""
        return self._known[number]

    def keep(self, numbers: Collection[int]) -> None:
        """Forget all but some."""
        for number in self._known.keys() - numbers:
            del self._known[number], self._bytes[number]
            self._changed.add(number)

    def weight(self) -> int:
        """Return what they weigh, in bytes of the ledger's own record."""
        return sum(self._bytes.values()) // WRITTEN_ONCE

    def changes(self) -> Iterator[tuple[int, bytes | None]]:
        """Yield number and record of what changed since the last call; None deletes."""
        changed, self._changed = sorted(self._changed), set()
        for number in changed:
            known = self._known.get(number)
            yield number, None if known is None else msgspec.msgpack.encode(known)

    def restore(self, number: int, raw: bytes) -> None:
        """Take a record of a snapshot over."""
        self._take(number, msgspec.msgpack.decode(raw, type=View), raw)

    def _take(self, number: int, view: View, raw: bytes) -> None:
        self._known[number] = view
        self._bytes[number] = len(raw)
