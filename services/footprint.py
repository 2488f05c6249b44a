"""How much a partition of a compacted topic holds: the newest record of each key."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

from xxhash import xxh3_64_intdigest

FRESH_LIMIT: Final = 4096
"""So many keys are kept apart before they are sorted in: by hash they take a tenth of a dict."""


class Footprint:
    """Counts records and bytes, from a snapshot on and with each write.

    Args:
        snapshot: The newest value per key.

    Attributes:
        records: Keys that have a value.
        bytes: Of those keys and values, uncompressed and without frames.

    Example:
        >>> held = Footprint({"a": b"123", "b": b"1"})
        >>> held.note([("a", b"12"), ("b", None), ("c", b"")])
        >>> held.records, held.bytes
        (2, 4)
    """

    def __init__(self, snapshot: Mapping[str, bytes]) -> None:
        self.records = 0
        self.bytes = 0
        self._hashes = array("Q")
        self._sizes = array("I")
        self._fresh: dict[int, int] = {}
        self.note(snapshot.items())

    def note(self, records: Iterable[tuple[str, bytes | None]]) -> None:
        """Count what was written.

        Args:
            records: Key and value of each; None deletes.
        """
        for key, value in records:
            name = key.encode()
            hash = xxh3_64_intdigest(name)
            size = 0 if value is None else len(name) + len(value)
            former = self._fresh.get(hash)
            if former is None:
                former = self._settled(hash)
            self.bytes += size - former
            self.records += (size > 0) - (former > 0)
            self._fresh[hash] = size
        if len(self._fresh) > max(FRESH_LIMIT, len(self._hashes) // 4):
            self._settle()

    def _settled(self, hash: int) -> int:
        at = bisect_left(self._hashes, hash)
        return self._sizes[at] if at < len(self._hashes) and self._hashes[at] == hash else 0

    def _settle(self) -> None:
        known = dict(zip(self._hashes, self._sizes, strict=True)) | self._fresh
        held = sorted((hash, size) for hash, size in known.items() if size)
        self._hashes = array("Q", (hash for hash, _ in held))
        self._sizes = array("I", (size for _, size in held))
        self._fresh = {}
