"""What producers were told is in, beside what stands in the log: nothing lost, nothing made up."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from schemas import cloudevents
from schemas.cloudevents import Incoming
from schemas.envelope import Entry, Origin
from schemas.events import ClosureDeclared, FxSet, ProductChanged

from .comparing import cut
from .homes import concerned, home
from .order import overtaken
from .reading import Logs, Message, places

_EVERYBODY = (ClosureDeclared, ProductChanged, FxSet)
_OURS = "ebbwatch"

AHEAD = 600_000_000
"""An event that is further ahead of the clock is refused (design.md §4)."""

CARRIED = 300_000_000
"""So long after its record's time one may be carried: what was ahead may not be so any more."""

Found = dict[tuple[str, str, int, Origin | None], Entry]
"""Entries by source, id, partition and origin."""


def supply_differences(
    logs: Logs,
    accepted: Iterable[bytes],
    inputs: Mapping[str, Mapping[int, Sequence[Message]]],
    sent: Iterable[bytes] | None = None,
) -> list[str]:
    """Return what the log lacks of what was accepted, and what it has that nobody sent.

    Args:
        logs: `events.v1`, every partition.
        accepted: CloudEvents in JSON that HTTP has acknowledged one by one.
        inputs: Records of the input topics in the format `cloudevents`, by input and partition, as
            far as they have been forwarded.
        sent: Everything that was ever sent over HTTP, acknowledged or not; None where nobody noted.
    """
    http, carried = _found(logs)
    partitions = len(logs)
    times = [each.appended for log in logs.values() for each in log]
    first, last = min(times, default=0), max(times, default=2**63)
    sure = list(_wanted(inputs, partitions, first, last, AHEAD))
    possible = _wanted(inputs, partitions, last, last, AHEAD + CARRIED)
    return cut(
        [
            *_lost(http, accepted, partitions),
            *_missing(carried, sure),
            *_made_up(carried, possible, inputs.keys()),
            *overtaken(logs, inputs.keys()),
            *(_unsent(http, sent) if sent is not None else ()),
        ]
    )


def _found(logs: Logs) -> tuple[Found, Found]:
    """Return the entries that came over HTTP, and those that an input carried."""
    http: Found = {}
    carried: Found = {}
    for number, log in logs.items():
        for _, one in places(log):
            if one is not None and one.source != _OURS:
                known = http if one.origin is None else carried
                known.setdefault((one.source, one.id, number, one.origin), one)
    return http, carried


def _lost(http: Found, accepted: Iterable[bytes], partitions: int) -> Iterator[str]:
    for raw in accepted:
        incoming = cloudevents.decode(raw)
        if not isinstance(incoming, Incoming):
            yield f"HTTP acknowledged what cannot be accepted: {raw[:200]!r}"
            continue
        for number, subjects in _targets(incoming, partitions):
            one = http.get((incoming.source, incoming.id, number, None))
            if one is None:
                yield f"acknowledged over HTTP, not in events {number}: {raw[:200]!r}"
            elif (one.event, one.subjects) != (incoming.event, subjects):
                yield f"acknowledged over HTTP as {raw[:200]!r}, in events {number} as {one}"


def _missing(carried: Found, wanted: Sequence[tuple[int, Entry]]) -> Iterator[str]:
    for number, one in wanted:
        found = carried.get((one.source, one.id, number, one.origin))
        if found != one:
            yield f"record {one.origin}: events {number} must hold {one}, and holds {found}"


def _made_up(
    carried: Found, wanted: Iterable[tuple[int, Entry]], inputs: Iterable[str]
) -> Iterator[str]:
    names = frozenset(inputs)
    known = {(one.source, one.id, number, one.origin) for number, one in wanted}
    for key, one in carried.items():
        if one.origin is not None and one.origin.input in names and key not in known:
            yield f"events {key[2]} holds {one}, and no record does"


def _unsent(http: Found, sent: Iterable[bytes]) -> Iterator[str]:
    known = {(one.source, one.id) for one in map(cloudevents.decode, sent)}
    for source, id, number, _ in http:
        if (source, id) not in known:
            yield f"events {number} holds {id!r} of {source}, which nobody sent"


def _wanted(
    inputs: Mapping[str, Mapping[int, Sequence[Message]]],
    partitions: int,
    otherwise: int,
    last: int,
    ahead: int,
) -> Iterator[tuple[int, Entry]]:
    """Yield what each record must have become, and where, unless it is too far ahead.

    When a record was carried, its own time tells, if it can be right: it is its producer's, who may
    be wrong by any amount; of others it is told (`otherwise`).
    """
    for name, topic in inputs.items():
        for part, records in topic.items():
            for record in records:
                origin = Origin(name, part, record.offset, 0)
                incoming = cloudevents.decode(record.value or b"")
                carried = record.appended if 0 < record.appended <= last else otherwise
                if not isinstance(incoming, Incoming):
                    continue
                time = record.appended if incoming.time is None else incoming.time
                if 0 < time <= carried + ahead:
                    yield from _entries(incoming, origin, record.appended, partitions)


def _entries(
    incoming: Incoming, origin: Origin, appended: int, partitions: int
) -> Iterator[tuple[int, Entry]]:
    time = appended if incoming.time is None else incoming.time
    for number, subjects in _targets(incoming, partitions):
        yield (
            number,
            Entry(incoming.id, incoming.source, time, subjects, incoming.event, origin),
        )


def _targets(incoming: Incoming, partitions: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield where an event must stand, and with which subjects."""
    subjects = concerned(incoming)
    everywhere = not subjects and isinstance(incoming.event, _EVERYBODY)
    for number in range(partitions):
        mine = tuple(one for one in subjects if home(one, partitions) == number)
        if mine or everywhere:
            yield number, mine


def encoded(events: Iterable[Mapping[str, object]]) -> Iterator[bytes]:
    """Yield events as they were sent."""
    return (msgspec.json.encode(one) for one in events)
