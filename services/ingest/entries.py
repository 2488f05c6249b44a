"""Which partitions an event goes to, as encoded entries, or why it is refused after all."""

from collections.abc import Iterable
from typing import Final

from schemas.cloudevents import Incoming, Refused
from schemas.envelope import COLLEAGUE, COMPANY, PERSON, Entry, Origin, account, encode_entry
from schemas.events import EVERYBODY, NAMED, OF_COMPANY, Event
from services.partitioning import home_of, partition_of
from services.publishing.lanes import ENTRY_BYTES

SYSTEM_SOURCE = "ebbwatch"
AHEAD_MICROS = 600 * 1_000_000
"""How far an event may be ahead of the clock. Source: design.md §4."""
ROOM_BYTES: Final = 2048
"""Kept back in an envelope: a forward or a repair gives an entry another origin and subject, each
with an id of up to 200 characters, which take up to 4 bytes."""
EVENT_BYTES: Final = ENTRY_BYTES - ROOM_BYTES

_PREFIX: Final = {"person": PERSON, "colleague": COLLEAGUE}


def admit(
    incoming: Incoming,
    partitions: int,
    now: int,
    origin: Origin | None = None,
    missing_time: int | None = None,
) -> list[tuple[int, bytes]] | Refused:
    """Turn an event into one entry for each partition that it concerns.

    Args:
        incoming: The event.
        partitions: Partition count of `events.v1`.
        now: What its time is compared with, microseconds since 1970-01-01 UTC.
        origin: Where it came from; None over HTTP.
        missing_time: The time of an event that has none, microseconds, which may be any number;
            None for the append time.

    Returns:
        Partition and encoded entry, one for each partition of a subject that it is folded into; all
        partitions for an event that concerns everybody. A refusal if it lies in the future or
        before 1970, or is too long.
    """
    time = missing_time if incoming.time is None else incoming.time
    if time is not None and not 0 < time <= now + AHEAD_MICROS:
        return _untimely(incoming, time, now)
    items: list[tuple[int, bytes]] = []
    for homes, subjects in _targets(incoming, partitions):
        entry = encode_entry(
            Entry(
                incoming.id,
                incoming.source,
                time or 0,
                subjects,
                incoming.event,
                origin,
                incoming.day,
            )
        )
        if len(entry) > EVENT_BYTES:
            detail = f"the event takes {len(entry)} bytes, more than {EVENT_BYTES}; send less data"
            return _refuse(incoming, "too_large", "data", detail)
        items += [(home, entry) for home in homes]
    return items


def broadcast(event: Event, id: str, time: int, partitions: int) -> list[tuple[int, bytes]]:
    """Return one entry of ours for every partition, as for a tick or a rule set.

    Args:
        event: The event.
        id: Its id, unique among ours.
        time: Microseconds since 1970-01-01 UTC; 0 for the append time.
        partitions: Partition count of `events.v1`.
    """
    entry = encode_entry(Entry(id, SYSTEM_SOURCE, time, (), event))
    return [(partition, entry) for partition in range(partitions)]


def _targets(
    incoming: Incoming, partitions: int
) -> Iterable[tuple[Iterable[int], tuple[str, ...]]]:
    """Return partitions, and the subjects that one and the same entry has in each of them."""
    kind = type(incoming.event)
    if incoming.account is not None and kind not in NAMED and kind not in OF_COMPANY:
        return (((partition_of(incoming.account, partitions),), (account(incoming.account),)),)
    subjects = _subjects(incoming)
    if not subjects:
        assert isinstance(incoming.event, EVERYBODY), "the decoder refuses others without a subject"
        return ((range(partitions), ()),)
    homes: dict[int, tuple[str, ...]] = {}
    for subject in subjects:
        home = home_of(subject, partitions)
        homes[home] = (*homes.get(home, ()), subject)
    return [((home,), together) for home, together in homes.items()]


def _subjects(incoming: Incoming) -> list[str]:
    """Return whom an event is folded into, in the order in which an entry lists them."""
    event, subjects = incoming.event, []
    if incoming.account is not None:
        subjects.append(account(incoming.account))
    elif incoming.person is not None:
        subjects.append(PERSON + incoming.person)
    named = NAMED.get(type(event))
    whom = None if named is None else getattr(event, named.field)
    if type(event) in OF_COMPANY:
        subjects.append(COMPANY)
    if named is not None and isinstance(whom, str):
        subjects.append(_PREFIX[named.kind] + whom)
    return subjects


def _untimely(incoming: Incoming, time: int, now: int) -> Refused:
    what, remedy = "the time", "correct the sender's"
    if incoming.time is None:
        what = "the event has no time, and that of its record"
        remedy = "send `time`, or have the producer stamp its records in milliseconds since 1970"
    if time <= 0:
        detail = f"{what} must lie after 1970-01-01T00:00:00Z; {remedy}"
        return _refuse(incoming, "invalid", "time", detail)
    ahead = (time - now) // 1_000_000
    detail = f"{what} is {ahead} s ahead of the clock, more than 600 s; {remedy}"
    return _refuse(incoming, "future", "time", detail)


def _refuse(incoming: Incoming, reason: str, field: str, detail: str) -> Refused:
    return Refused(reason, field, detail, incoming.id, incoming.source)
