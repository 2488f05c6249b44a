"""How much a partition of a compacted topic holds, and whether it is what was written.

Who reads a snapshot cannot see that a record is missing, or is another one: what retention or a
person took away leaves no trace. So each transaction's ledger bears a seal over all records that
the partition holds after it, and a snapshot whose seal does not fit is never run on.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

FRESH_LIMIT: Final = 4096
"""So many keys are kept apart before they are sorted in: by hash they take a tenth of a dict."""

FRESH_SHARE: Final = 16
"""Or a sixteenth of all: 800,000 keys take 16 MB sorted, and some 10 MB what is kept apart."""

BLANK: Final = "0" * 26
"""Where a ledger's seal will stand: ten digits of how many records there are, sixteen of a hash.

It stands before whatever people have named, so that its first occurrence is the seal."""

_COUNT: Final = 10
_MASK: Final = (1 << 64) - 1


_Held = tuple[int, int]
"""What the newest value of a key adds: bytes, and its hash. A plain tuple is made twice as fast."""

_NOTHING: Final = (0, 0)

_Column: TypeAlias = "array[int]"
_Places = NDArray[np.intp]


class Footprint:
    """Counts records and bytes, from a snapshot on and with each write.

    Args:
        snapshot: The newest value per key.
        ledger: Key of the record that bears the seal.

    Attributes:
        records: Keys that have a value.
        bytes: Of those keys and values, uncompressed and without frames.

    Example:
        >>> held = Footprint({"a": b"123", "b": b"1"})
        >>> held.note([("a", b"12"), ("b", None), ("c", b"")])
        >>> held.records, held.bytes
        (2, 4)
    """

    def __init__(self, snapshot: Mapping[str, bytes], ledger: str = "") -> None:
        self.records = 0
        self.bytes = 0
        self._ledger = ledger
        # A sum does not ask for an order, and takes back what it was given.
        self._sum = 0
        self._hashes = array("Q")
        self._sizes = array("I")
        self._digests = array("Q")
        self._fresh: dict[int, _Held] = {}
        self._begin(snapshot)

    def _begin(self, snapshot: Mapping[str, bytes]) -> None:
        """Take a whole snapshot over, in half the time that `note` takes."""
        held = []
        for key, value in snapshot.items():
            name = key.encode()
            hash = xxh3_64_intdigest(name)
            held.append((hash, len(name) + len(value), self._digest(key, hash, value)))
        held.sort()
        for hash, size, digest in held:
            self._hashes.append(hash)
            self._sizes.append(size)
            self._digests.append(digest)
        self.records, self.bytes = len(held), sum(self._sizes)
        self._sum = sum(self._digests) & _MASK

    def _digest(self, key: str, hash: int, value: bytes) -> int:
        # The ledger's own bytes go into the seal by themselves.
        return 0 if key == self._ledger else xxh3_64_intdigest(value, hash)

    def note(self, records: Iterable[tuple[str, bytes | None]]) -> None:
        """Count what was written.

        Args:
            records: Key and value of each; None deletes.
        """
        for key, value in records:
            name = key.encode()
            hash = xxh3_64_intdigest(name)
            size, digest = _NOTHING
            if value is not None:
                size, digest = len(name) + len(value), self._digest(key, hash, value)
            former, replaced = self._fresh.get(hash) or self._settled(hash)
            self.bytes += size - former
            self.records += (size > 0) - (former > 0)
            self._sum = (self._sum + digest - replaced) & _MASK
            self._fresh[hash] = size, digest
        if len(self._fresh) > max(FRESH_LIMIT, len(self._hashes) // FRESH_SHARE):
            self._settle()

    def seal(self, records: Sequence[tuple[str, bytes | None]]) -> list[tuple[str, bytes | None]]:
        """Note what is going to be written, and return it with the ledger's seal.

        Args:
            records: Of one transaction; the ledger has `BLANK` where the seal goes. If it fails,
                the footprint is wrong for good, as is the memory from which the records come.
        """
        self.note(records)
        return [
            (key, self._sealed(value) if key == self._ledger and value is not None else value)
            for key, value in records
        ]

    def fault(self, snapshot: Mapping[str, bytes], seal: str) -> str | None:
        """Return why a snapshot is not what was written, if it is not.

        Args:
            snapshot: What the footprint began with.
            seal: What its ledger says; empty of before there were seals: that is believed.
        """
        ledger = snapshot.get(self._ledger, b"")
        if not seal or seal == self._seal(ledger.replace(seal.encode(), BLANK.encode(), 1)):
            return None
        told = seal[:_COUNT]
        written = int(told) if told.isdecimal() else self.records
        if written != self.records:
            return f"{self.records} records are there, and {written} were written"
        return f"its {self.records} records are not those that were written with its ledger"

    def _sealed(self, ledger: bytes) -> bytes:
        return ledger.replace(BLANK.encode(), self._seal(ledger).encode(), 1)

    def _seal(self, blank: bytes) -> str:
        return f"{self.records:0{_COUNT}d}{xxh3_64_intdigest(blank, self._sum):016x}"

    def _settled(self, hash: int) -> _Held:
        at = bisect_left(self._hashes, hash)
        if at < len(self._hashes) and self._hashes[at] == hash:
            return self._sizes[at], self._digests[at]
        return _NOTHING

    def _settle(self) -> None:
        """Sort the fresh ones in; a flush waits for it, so that numpy does what is long."""
        count = len(self._fresh)
        hashes = np.fromiter(self._fresh, np.uint64, count)
        sizes = np.fromiter((size for size, _ in self._fresh.values()), np.uint32, count)
        digests = np.fromiter((digest for _, digest in self._fresh.values()), np.uint64, count)
        settled, order = np.asarray(self._hashes), np.argsort(hashes)
        places = np.searchsorted(settled, hashes[order])
        within = places < len(settled)
        known = places[within]
        gone = known[settled[known] == hashes[order[within]]]
        there = order[(sizes[order] > 0) | (digests[order] > 0)]
        places = np.searchsorted(np.delete(settled, gone), hashes[there])
        self._hashes = _merged(self._hashes, gone, places, hashes[there])
        self._sizes = _merged(self._sizes, gone, places, sizes[there])
        self._digests = _merged(self._digests, gone, places, digests[there])
        self._fresh = {}


def _merged(column: _Column, gone: _Places, places: _Places, fresh: NDArray[Any]) -> _Column:
    """Return a column without what is gone, and with what is fresh at its places in the rest."""
    merged = array(column.typecode)
    # An array is searched several times as fast as one of numpy.
    merged.frombytes(np.insert(np.delete(np.asarray(column), gone), places, fresh).tobytes())
    return merged
