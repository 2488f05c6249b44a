"""What the detector refuses: each with its reason, its bytes, and where it stood."""

import msgspec

from schemas.envelope import Entry
from schemas.rejects import RAW_LIMIT, Reject
from schemas.topics import EVENTS

AHEAD_US = 600_000_000
"""An event may be this far ahead of its record's append time: ten minutes (design.md §5.2)."""

_encode = msgspec.json.Encoder().encode


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where an entry stands in the log.

    Attributes:
        offset: Message of `events.v1`.
        entry: Place in its envelope; None for the whole message.
        appended: Append time of the message, microseconds since 1970-01-01 UTC.
    """

    offset: int
    entry: int | None
    appended: int


def of_entry(
    partition: int, at: Place, reason: str, detail: str, entry: Entry, subject: str = ""
) -> Reject:
    """Return the reject of an entry.

    Args:
        partition: The partition of `events.v1`.
        at: Where it stands.
        reason: A code, the label of the metric.
        detail: What is wrong, for a person.
        entry: The entry.
        subject: The one of its subjects that refuses it, which alone is to fold it when it is sent
            again; empty where no subject folds it.
    """
    return of_bytes(partition, at, reason, detail, _encode(entry), entry.source, subject)


def of_bytes(
    partition: int,
    at: Place,
    reason: str,
    detail: str,
    raw: bytes,
    source: str = "",
    subject: str = "",
) -> Reject:
    """Return the reject of something that cannot be read.

    Args:
        partition: The partition of `events.v1`.
        at: Where it stands.
        reason: A code, the label of the metric.
        detail: What is wrong, for a person.
        raw: The refused bytes.
        source: The event's source, as far as it is known.
        subject: The subject that refuses it, if one does.
    """
    return Reject(
        stage="detector",
        reason=reason,
        detail=detail,
        raw=raw[:RAW_LIMIT],
        field=subject,
        source=source,
        topic=EVENTS.name,
        partition=partition,
        offset=at.offset,
        index=at.entry,
    )
