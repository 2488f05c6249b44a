"""Where a subject lives, and whom an event concerns: Kafka's partitioner and our own table."""

from schemas.cloudevents import Incoming
from schemas.events import (
    ArrMoved,
    DealClosed,
    EmployeeLeft,
    Event,
    OpportunityUpdated,
    PersonJoined,
    SentimentSet,
    SpendRecorded,
    TargetSet,
    TouchRecorded,
)

ACCOUNT, PERSON, COLLEAGUE, COMPANY = "account:", "person:", "colleague:", "company"
_ALL = 0xFFFFFFFF
_MIX = 0x5BD1E995
_SEED = 0x9747B28C


def murmur2(data: bytes) -> int:
    """Return the hash of Kafka's default partitioner.

    Source: org.apache.kafka.common.utils.Utils.murmur2.
    """
    h = _SEED ^ len(data)
    whole = len(data) - len(data) % 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _MIX & _ALL
        h = (h * _MIX & _ALL) ^ ((k ^ k >> 24) * _MIX & _ALL)
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * _MIX & _ALL
    h = (h ^ h >> 13) * _MIX & _ALL
    return h ^ h >> 15


def home(subject: str, partitions: int) -> int:
    """Return the partition of a subject; an account's is that of its bare id.

    >>> murmur2(b"21")
    3321034988
    """
    key = subject[len(ACCOUNT) :] if subject.startswith(ACCOUNT) else subject
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def concerned(incoming: Incoming) -> list[str]:
    """Return whom an event is folded into; nobody for one that concerns everybody.

    Source: issue 5's contract: its own subject, then the company, then a colleague or person.
    """
    event = incoming.event
    own = [] if incoming.account is None else [ACCOUNT + incoming.account]
    if not own and incoming.person is not None:
        own = [PERSON + incoming.person]
    match event:
        case PersonJoined():
            return [*own, PERSON + event.person]
        case EmployeeLeft():
            return [*own, COMPANY, COLLEAGUE + event.colleague]
        case ArrMoved() | SpendRecorded() | TargetSet() | OpportunityUpdated() | DealClosed():
            return [*own, COMPANY]
    colleague = _colleague(event)
    return own if colleague is None else [*own, COLLEAGUE + colleague]


def _colleague(event: Event) -> str | None:
    if isinstance(event, TouchRecorded):
        return event.colleague if isinstance(event.colleague, str) else None
    return event.author if isinstance(event, SentimentSet) else None
