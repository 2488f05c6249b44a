"""When each source was seen at all, so that an outage never looks like a drop (design.md §4)."""

from collections.abc import Iterator
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.detector.calendars import HOUR_US, starts_at

KEEP_HOURS = 24 * 300
SOURCE_LIMIT = 200


class Sighting(msgspec.Struct):
    """The hours in which a source sent something for anybody.

    Attributes:
        start: Hour of bit 0.
        bits: Bit k says that hour `start + k` was seen, little endian.
    """

    start: int
    bits: bytes


class Sightings:
    """All sources that one partition has heard of, by ticks and by its own entries."""

    def __init__(self) -> None:
        """Begin with no source."""
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
            self._start[source] = hour - hour % 24
            self._bits[source] = 0
        self._set(source, hour)

    def __iter__(self) -> Iterator[str]:
        """Yield the known sources in order of name."""
        yield from sorted(self._bits)

    def dark_spans(self, source: str, zone: str, day: int, days: int) -> list[tuple[int, int]]:
        """Return the days on which a source sent nothing for anybody.

        Args:
            source: A known source.
            zone: Time zone of the local days.
            day: The last day to look at.
            days: How many days up to it.

        Returns:
            Spans (first day, last day), both included, rising; days before the source was first
            seen are among them.
        """
        begins, ends = _day_hours(zone, day, days)
        seen = _counted(self._bits[source])
        inside = np.clip(np.stack([begins, ends]) - self._start[source], 0, len(seen) - 1)
        dark = np.concatenate([[False], seen[inside[1]] == seen[inside[0]], [False]])
        edges = np.flatnonzero(dark[1:] != dark[:-1]).reshape(-1, 2)
        first = day - days + 1
        return [(first + int(begin), first + int(end) - 1) for begin, end in edges]

    def changes(self) -> list[tuple[str, bytes]]:
        """Return source and record of what changed since the last call."""
        changed = sorted(self._changed)
        self._changed.clear()
        return [(source, msgspec.msgpack.encode(self._record(source))) for source in changed]

    def restore(self, source: str, raw: bytes) -> None:
        """Take a record of a snapshot over."""
        record = msgspec.msgpack.decode(raw, type=Sighting)
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
        return Sighting(self._start[source], raw)


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
