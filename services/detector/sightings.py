"""When each source was seen at all, so that an outage never looks like a drop (design.md §4)."""

from collections.abc import Iterable
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.detector.calendars import HOUR_US, starts_at

KEEP_HOURS = 24 * 300
SOURCE_LIMIT = 1_000


class Sighting(msgspec.Struct):
    """The hours in which a source sent something for anybody.

    Attributes:
        first: The first hour ever seen, since 1970-01-01 UTC.
        start: Hour of bit 0.
        bits: Bit k says that hour `start + k` was seen, little endian.
    """

    first: int
    start: int
    bits: bytes


class Sightings:
    """All sources that one partition has heard of, by ticks and by its own entries."""

    def __init__(self) -> None:
        """Begin with no source."""
        self._first: dict[str, int] = {}
        self._start: dict[str, int] = {}
        self._bits: dict[str, int] = {}
        self._changed: set[str] = set()
        self._last: tuple[str, int] = ("", -1)

    def see(self, source: str, hour: int) -> None:
        """Note that a source sent something in an hour."""
        if self._last == (source, hour):
            return
        self._last = (source, hour)
        if source not in self._bits:
            if len(self._bits) >= SOURCE_LIMIT:
                return
            self._first[source] = hour
            self._start[source] = hour - hour % 24
            self._bits[source] = 0
        self._set(source, hour)

    def dark_days(self, sources: Iterable[str], zone: str, day: int, days: int) -> list[int]:
        """Return the days on which none of some sources sent anything for anybody.

        Args:
            sources: Sources of one metric; unknown ones are passed over.
            zone: Time zone of the local days.
            day: The last day to look at.
            days: How many days up to it.

        Returns:
            Day numbers, rising; only days after the first sighting of any of the sources.
        """
        known = [source for source in sources if source in self._bits]
        if not known:
            return []
        start = min(self._start[source] for source in known)
        bits = 0
        for source in known:
            bits |= self._bits[source] << (self._start[source] - start)
        first = min(self._first[source] for source in known)
        begins, ends = _day_hours(zone, day, days)
        seen = _counted(bits)
        inside = np.clip(np.stack([begins, ends]) - start, 0, len(seen) - 1)
        dark = (seen[inside[1]] == seen[inside[0]]) & (begins >= max(first, start))
        return [day - days + 1 + int(place) for place in np.flatnonzero(dark)]

    def changes(self) -> list[tuple[str, bytes]]:
        """Return source and record of what changed since the last call."""
        changed = sorted(self._changed)
        self._changed.clear()
        return [(source, msgspec.msgpack.encode(self._record(source))) for source in changed]

    def restore(self, source: str, raw: bytes) -> None:
        """Take a record of a snapshot over."""
        record = msgspec.msgpack.decode(raw, type=Sighting)
        self._first[source] = record.first
        self._start[source] = record.start
        self._bits[source] = int.from_bytes(record.bits, "little")

    def _set(self, source: str, hour: int) -> None:
        gap = hour - self._start[source]
        if gap < 0:
            if gap < -KEEP_HOURS:
                return
            room = -(gap // 24) * 24
            self._start[source] -= room
            self._bits[source] <<= room
            self._first[source] = min(self._first[source], hour)
            gap += room
        bit = 1 << gap
        if self._bits[source] & bit:
            return
        self._bits[source] |= bit
        self._changed.add(source)
        self._trim(source)

    def _trim(self, source: str) -> None:
        extra = self._bits[source].bit_length() - KEEP_HOURS
        if extra >= 24:
            days = extra // 24 * 24
            self._bits[source] >>= days
            self._start[source] += days

    def _record(self, source: str) -> Sighting:
        bits = self._bits[source]
        raw = bits.to_bytes(-(-bits.bit_length() // 8), "little")
        return Sighting(self._first[source], self._start[source], raw)


def _counted(bits: int) -> NDArray[np.int64]:
    """Return how many of the first k hours were seen, for k from 0 on."""
    raw = np.frombuffer(bits.to_bytes(-(-bits.bit_length() // 8), "little"), dtype=np.uint8)
    counts = np.zeros(8 * len(raw) + 1, dtype=np.int64)
    np.cumsum(np.unpackbits(raw, bitorder="little"), out=counts[1:])
    return counts


@lru_cache(256)
def _day_hours(zone: str, day: int, days: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first hour of each local day, and the one after its last; parts count whole."""
    starts = np.array([starts_at(zone, one) for one in range(day - days + 1, day + 2)])
    return starts[:-1] // HOUR_US, -(-starts[1:] // HOUR_US)
