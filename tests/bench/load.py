"""The events that every figure counts: usage of 20,000 accounts, a few of them very busy."""

import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple, TypeVar

import msgspec
import numpy as np

from services.detector.calendars import DAY_US
from services.partitioning import partition_of

ACCOUNTS: Final = 20_000
PARTITIONS: Final = 8
ZIPF: Final = 1.2
"""Exponent, accounts and partitions: the peers' job of design.md §9."""
SPAN_US: Final = 3_600 * 1_000_000
"""Live traffic: the events of the hour that ends now."""
METRIC: Final = "api_calls"
SOURCE: Final = "/api-gateway/eu-1"
PEOPLE: Final = 97
SEED: Final = 7

Day = tuple[str, int]
Counts = Counter[Day]
"""Thousandths by account and UTC day: what an exact count must give."""

T = TypeVar("T")


class Event(NamedTuple):
    """One event and what is needed to send and to recount it.

    Attributes:
        account: Its account, the key of its record.
        partition: Where that account belongs, in the input topic as in `events.v1`.
        day: UTC day, since 1970-01-01.
        quantity: Units, 1..20.
        body: A CloudEvent in structured JSON, about 240 bytes.
    """

    account: str
    partition: int
    day: int
    quantity: int
    body: bytes


def events(number: int) -> Iterator[Event]:
    """Yield events in order of time; the same but for the time at every call.

    Args:
        number: How many, >= 1.
    """
    # Ids are random on purpose: numbered ones would compress better than real ones.
    ids = random.Random(SEED)
    who = np.random.default_rng(SEED).zipf(ZIPF, size=number) % ACCOUNTS
    start = time.time_ns() // 1000 - SPAN_US
    for place, account_number in enumerate(who.tolist()):
        account = f"acct_{account_number:06d}"
        at = start + SPAN_US * place // number
        quantity = 1 + place % 20
        body = _body(f"{ids.getrandbits(128):032x}", account, at, quantity, place % PEOPLE)
        yield Event(account, partition_of(account, PARTITIONS), at // DAY_US, quantity, body)


def one_each(accounts: int) -> Iterator[Event]:
    """Yield one event of each of many accounts, in order of time.

    Args:
        accounts: How many, >= 1.
    """
    ids = random.Random(SEED)
    start = time.time_ns() // 1000 - SPAN_US
    for place in range(accounts):
        account = f"acct_{place:06d}"
        at = start + SPAN_US * place // accounts
        body = _body(f"{ids.getrandbits(128):032x}", account, at, 1, place % PEOPLE)
        yield Event(account, partition_of(account, PARTITIONS), at // DAY_US, 1, body)


def recount(found: Iterable[Event]) -> Counts:
    """Count events in plain Python."""
    counts: Counts = Counter()
    for event in found:
        counts[event.account, event.day] += event.quantity * 1000
    return counts


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield items in lists of a size; the last one may be shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _body(event_id: str, account: str, at: int, quantity: int, person: int) -> bytes:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at // 1_000_000))
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": SOURCE,
            "type": "usage.recorded",
            "subject": account,
            "time": moment,
            "data": {
                "metric": METRIC,
                "quantity": quantity,
                "person": f"u{person}",
                "endpoint": "/v1/orders",
            },
        }
    )
