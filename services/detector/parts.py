"""Summaries of a day: what a partition says of its accounts, and what all partitions have said.

Each partition counts its own accounts while a day is judged, says the counts to every partition
when the closing has ended, and keeps what all of them said (design.md §5.4). So a rule can ask how
a segment did two days ago, when that day has ended everywhere.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from schemas.envelope import Entry
from schemas.events import PartClosed
from services.detector.calendars import to_date, to_day
from services.detector.peers import Scopes, Values, beyond

T = TypeVar("T")

KEEP_DAYS = 4
"""Days whose counts are kept: the newest ones that are known."""


class Part(NamedTuple):
    """What a partition says of a scope's day, after a closing of it has ended."""

    scope: str
    day: int
    revision: int
    values: Values

    def entry(self, partition: int, time: int) -> Entry:
        """Return the entry that says it to a partition.

        Args:
            partition: Whose accounts were counted.
            time: When the day was due, microseconds since 1970-01-01 UTC.
        """
        on = to_date(self.day)
        event = PartClosed(
            scope=self.scope,
            day=on,
            partition=partition,
            values=self.values.plain(),
            revision=self.revision,
        )
        id_ = f"part-{self.scope}-{on}-{partition}-{self.revision}"
        return Entry(id_, "ebbwatch", time, (), event)


class _Ended(msgspec.Struct):
    """A day of which closings have ended: how many, and the accounts of all of them."""

    closings: int
    scopes: dict[str, Values]


class Parts:
    """The counts of one partition, and those that it was told."""

    def __init__(self) -> None:
        """Begin with no day."""
        self._open: dict[tuple[int, str], Scopes] = {}
        self._ended: dict[int, tuple[int, Scopes]] = {}
        self._told: dict[int, dict[str, dict[int, tuple[int, Values]]]] = {}
        self._changed: set[tuple[str, int, str]] = set()

    def tally(self, day: int, zone: str) -> Scopes:
        """Return where accounts that a closing judges are to be counted."""
        self._changed.add(("sums", day, zone))
        return self._open.setdefault((day, zone), Scopes())

    def close(self, day: int, zone: str, due: int) -> list[Part]:
        """Take a closing as ended, and return what is to be said to every partition.

        Args:
            day: Its day.
            zone: Its time zone.
            due: When it was due, microseconds since 1970-01-01 UTC.

        Returns:
            The scopes of its accounts, with the accounts of all closings of the day until now. A
            closing that ends later has a larger revision, also where both were due at once.
        """
        tally = self._open.pop((day, zone), None)
        if tally is None:
            return []
        self._changed.add(("sums", day, zone))
        closings, scopes = self._ended.get(day, (0, Scopes()))
        for scope, values in sorted(tally.items()):
            known = scopes.of(scope)
            if known is not None:
                known.add(values)
        self._ended[day] = (closings + 1, scopes)
        self._changed.add(("sums", day, ""))
        for old in _old(self._ended):
            del self._ended[old]
            self._changed.add(("sums", old, ""))
        found = [scope for scope in sorted(tally) if scope in scopes]
        return [Part(scope, day, due + closings, scopes[scope]) for scope in found]

    def take(self, event: PartClosed) -> str | None:
        """Keep what a partition says of itself.

        Args:
            event: What it says.

        Returns:
            None if it is kept, else why not: `revision` if it is not newer than what is known,
            `old` for a day that is no longer kept, `scope` for a segment beyond the limit,
            `invalid` for values that are none.
        """
        try:
            values = msgspec.convert(event.values, Values, str_keys=True)
        except msgspec.ValidationError:
            return "invalid"
        day, scope = to_day(event.day), event.scope
        if day <= max(self._told, default=0) - KEEP_DAYS:
            return "old"
        scopes = self._told.setdefault(day, {})
        parts = scopes.setdefault(scope, {})
        if event.revision <= parts.get(event.partition, (-1, values))[0]:
            return "revision"
        parts[event.partition] = (event.revision, values)
        self._changed.add(("parts", day, scope))
        for old in _old(self._told):
            self._changed.update(("parts", old, one) for one in self._told.pop(old))
        last = beyond(scopes)
        if last is not None:
            del scopes[last]
            self._changed.add(("parts", day, last))
        return None if last != scope else "scope"

    def merged(self, scope: str, day: int) -> Values:
        """Return what all partitions together have said of a scope's day; 0 accounts if nothing.

        Args:
            scope: `company`, or `segment:<name>`.
            day: A local day, days since 1970-01-01; of the last two some zones may be missing.
        """
        found = Values()
        for _, values in self._told.get(day, {}).get(scope, {}).values():
            found.add(values)
        return found

    def medians(self, day: int) -> dict[str, tuple[int, int]]:
        """Return, per scope of a day, the median ratio in percent and of how many accounts.

        Args:
            day: See `merged`; a scope of which too few ratios are told is left out.
        """
        merged = {scope: self.merged(scope, day) for scope in sorted(self._told.get(day, {}))}
        found = {scope: (values.median(), values.told) for scope, values in merged.items()}
        return {scope: (ratio, told) for scope, (ratio, told) in found.items() if ratio is not None}

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield key and value of what changed since the last call; None deletes."""
        changed, self._changed = sorted(self._changed), set()
        for kind, day, name in changed:
            record = self._record(kind, day, name)
            yield f"{kind}/{day}/{name}", msgspec.msgpack.encode(record) if record else None

    def _record(self, kind: str, day: int, name: str) -> dict[Any, Any] | None:
        if kind == "parts":
            parts = self._told.get(day, {}).get(name, {})
            return {n: (parts[n][0], parts[n][1].plain()) for n in sorted(parts)}
        if name:
            tally = self._open.get((day, name))
            return None if tally is None else tally.plain()
        if day not in self._ended:
            return None
        closings, scopes = self._ended[day]
        return {"closings": closings, "scopes": scopes.plain()}

    def restore(self, kind: str, rest: str, raw: bytes) -> None:
        """Take a record of a snapshot over.

        Args:
            kind: `sums` or `parts`.
            rest: What follows in its key.
            raw: The record.
        """
        number, _, name = rest.partition("/")
        day = int(number)
        if kind == "parts":
            told = self._told.setdefault(day, {})
            told[name] = _decode(raw, dict[int, tuple[int, Values]])
        elif name:
            self._open[day, name] = Scopes(_decode(raw, dict[str, Values]))
        else:
            ended = _decode(raw, _Ended)
            self._ended[day] = (ended.closings, Scopes(ended.scopes))


def _decode(raw: bytes, type_: type[T]) -> T:
    return msgspec.convert(msgspec.msgpack.decode(raw), type_, str_keys=True)


def _old(days: Mapping[int, object]) -> list[int]:
    newest = max(days, default=0)
    return [day for day in days if day <= newest - KEEP_DAYS]
