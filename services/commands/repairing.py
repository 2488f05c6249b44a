"""Repairing an account: what it has missed is sent again, and what cannot be is written off."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from schemas import topics
from schemas.envelope import Entry, Origin, decode, encode_entry
from schemas.events import SubjectRepaired
from schemas.rejects import Reject
from services.commands.state import load_partition
from services.commands.terminal import fail
from services.publishing.lanes import ENTRY_BYTES
from services.settings import ServiceSettings

if TYPE_CHECKING:
    from services.publishing.publisher import Publisher

POLL_SECONDS: Final = 1.0
REPAIR_SECONDS: Final = 120.0
"""Longer than a snapshot may wait."""
SILENT_SECONDS: Final = 30.0
"""Kafka counts as away when it has not acknowledged, or not sent, anything for so long."""
AT_ONCE: Final = 500
"""Entries that are published at once."""

Spot = tuple[int, int]
"""Offset and place of an entry in its partition."""


class Held(NamedTuple):
    """An entry as it stood in the log.

    Attributes:
        entry: The entry; its time is known.
        appended: Append time of its message, microseconds.
    """

    entry: Entry
    appended: int


class Resent(NamedTuple):
    """What is sent in the place of the entries that an account has missed.

    Attributes:
        entries: One encoded entry for each of them, in their order.
        sent: How many are the missed entries themselves.
        gone: How many are no longer in the log.
        rejects: Those that are too long to be sent again.
    """

    entries: list[bytes]
    sent: int
    gone: int
    rejects: list[Reject]


def resent(
    owed: Sequence[Spot], found: Mapping[Spot, Held], subject: str, partition: int
) -> Resent:
    """Return what is sent in the place of the entries that an account has missed.

    Each has the origin of a repair, so that a second repair repeats nothing; they rise. What cannot
    come again is written off by an event that says no more than that.

    Args:
        owed: Where they stood.
        found: Those that are still in the log.
        subject: The account, `account:<id>`.
        partition: Its partition.
    """
    from services.detector import refusals

    told = Resent([], 0, 0, [])
    for spot in sorted(owed):
        origin = Origin(f"repair:{subject}", partition, *spot)
        lost = encode_entry(_repaired(subject, origin))
        held = found.get(spot)
        if held is None:
            told.entries.append(lost)
            continue
        again = msgspec.structs.replace(held.entry, subjects=(subject,), origin=origin)
        raw = encode_entry(again)
        if len(raw) > ENTRY_BYTES:
            at = refusals.Place(*spot, held.appended)
            detail = f"sent again it takes {len(raw)} bytes, more than {ENTRY_BYTES}"
            reject = refusals.of_entry(partition, at, "too_large", detail, held.entry, subject)
            told.rejects.append(reject)
            raw = lost
        told.entries.append(raw)
    gone = len(owed) - len(found.keys() & set(owed))
    return told._replace(sent=len(owed) - gone - len(told.rejects), gone=gone)


async def repair(known: ServiceSettings, account_id: str, number: int, subject: str) -> Resent:
    """Let a quarantined account fold again, and send what it has missed.

    Args:
        known: Which deployment.
        account_id: The account's id, for messages.
        number: Its partition.
        subject: `account:<id>`.

    Raises:
        Unavailable: Kafka does not acknowledge; what was not sent is still owed.
        TimeoutError: Kafka does not send what was held; likewise.
    """
    from services.publishing.publisher import publishing

    held = (await load_partition(known, number)).accounts.get(subject)
    if held is None or (held.quarantine is None and not held.owed):
        fail(f"account {account_id!r} is not quarantined")
    if held.quarantine is not None and held.quarantine.overflow:
        fail(
            f"account {account_id!r} holds more entries than its record lists; import its history "
            "into a new deployment instead"
        )
    events = topics.full_name(topics.EVENTS, known.prefix)
    async with publishing(known.kafka, events, known.partitions) as publisher:
        if held.quarantine is not None:
            await _publish(publisher, number, [encode_entry(_repaired(subject))])
        # More may have been held meanwhile: only what is owed after the repair is complete.
        owed = await _owed(known, number, subject)
        again = resent(owed, await _found(known, events, number, owed), subject, number)
        # Nothing is written off before its refusal is in Kafka.
        for reject in again.rejects:
            await _refuse(publisher, known.prefix, reject)
        await _publish(publisher, number, again.entries)
    return again


def _repaired(subject: str, origin: Origin | None = None) -> Entry:
    return Entry("repair", "ebbwatch", 0, (), SubjectRepaired(subject=subject), origin)


async def _publish(publisher: "Publisher", number: int, entries: Sequence[bytes]) -> None:
    for first in range(0, len(entries), AT_ONCE):
        some = [(number, one) for one in entries[first : first + AT_ONCE]]
        await publisher.publish(some, within=SILENT_SECONDS)


async def _refuse(publisher: "Publisher", prefix: str, reject: Reject) -> None:
    topic, raw = topics.full_name(topics.REJECTS, prefix), msgspec.json.encode(reject)
    async with asyncio.timeout(SILENT_SECONDS):
        await publisher.producer.send(topic, raw, key=reject.source.encode())


async def _owed(known: ServiceSettings, number: int, subject: str) -> list[Spot]:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + REPAIR_SECONDS
    while True:
        held = (await load_partition(known, number)).accounts.get(subject)
        if held is None or held.quarantine is None:
            return [] if held is None else sorted(held.owed)
        if loop.time() > deadline:
            break
        await asyncio.sleep(POLL_SECONDS)
    return fail(
        f"no snapshot shows the repair within {REPAIR_SECONDS:.0f} s: is the detector running?"
    )


async def _found(
    known: ServiceSettings, topic: str, number: int, owed: Sequence[Spot]
) -> dict[Spot, Held]:
    """Return those of some entries that are still in the log."""
    from services.snapshots import messages

    found: dict[Spot, Held] = {}
    if not owed:
        return found
    wanted, loop = set(owed), asyncio.get_running_loop()
    async with asyncio.timeout(SILENT_SECONDS) as patience:
        async for offset, appended, value in messages(
            known.kafka, topic, number, owed[0][0], owed[-1][0]
        ):
            patience.reschedule(loop.time() + SILENT_SECONDS)
            for place, entry in decode(value)[0]:
                if (offset, place) in wanted:
                    timed = msgspec.structs.replace(entry, time=entry.time or appended)
                    found[offset, place] = Held(timed, appended)
    return found
