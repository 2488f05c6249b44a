"""Fills topics before the clock of a figure starts: single events, or envelopes of 500."""

import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer

from schemas.cloudevents import Incoming, decode
from schemas.envelope import ENTRY_LIMIT, Origin, join
from schemas.events import ClockTicked, RulesApplied
from schemas.events import Event as AnyEvent
from services.company import shipped
from services.ingest.entries import admit, broadcast
from tests.bench.load import PARTITIONS, Event

INPUT: Final = "bench"
"""Name of the input: origins of it tell how far a ledger is."""
BATCH_BYTES: Final = 1024 * 1024
REQUEST_BYTES: Final = 2 * BATCH_BYTES
TICK_MARGIN_US: Final = 1_000_000

Ends = dict[int, int]
"""Offset of the last event by partition of the input; partitions without an event are absent."""


async def fill_input(kafka: str, topic: str, events: Iterable[Event]) -> Ends:
    """Write one record per event into a topic without records.

    Args:
        kafka: Bootstrap servers.
        topic: Full name; it has `PARTITIONS` partitions.
        events: The events.
    """
    ends: Ends = {}
    async with _producer(kafka) as producer:
        open_batches = {partition: producer.create_batch() for partition in range(PARTITIONS)}
        for event in events:
            where, record = event.partition, (event.account.encode(), event.body)
            ends[where] = ends.get(where, -1) + 1
            if not _append(open_batches[where], *record):
                await producer.send_batch(open_batches[where], topic, partition=where)
                open_batches[where] = producer.create_batch()
                _append(open_batches[where], *record)
        for where, batch in open_batches.items():
            if batch.record_count():
                await producer.send_batch(batch, topic, partition=where)
        await producer.flush()
    return ends


async def fill_envelopes(kafka: str, topic: str, events: Iterable[Event]) -> Ends:
    """Write `events.v1` as the bridge would, with the shipped rules and a tick in front.

    Args:
        kafka: Bootstrap servers.
        topic: Full name of `events.v1`, which has no records.
        events: The events.
    """
    ends: Ends = {}
    now = time.time_ns() // 1000
    waiting: dict[int, list[bytes]] = {partition: [] for partition in range(PARTITIONS)}
    async with _producer(kafka) as producer:
        for partition, first in _preamble(now).items():
            await producer.send_and_wait(topic, join(first), partition=partition)
        for event in events:
            where = event.partition
            ends[where] = ends.get(where, -1) + 1
            waiting[where].append(_entry(event, ends[where], now))
            if len(waiting[where]) == ENTRY_LIMIT:
                await producer.send(topic, join(waiting[where]), partition=where)
                waiting[where] = []
        for partition, rest in waiting.items():
            if rest:
                await producer.send(topic, join(rest), partition=partition)
        await producer.flush()
    return ends


def _append(batch: Any, key: bytes, value: bytes) -> bool:
    return batch.append(key=key, value=value, timestamp=None) is not None


def _preamble(now: int) -> dict[int, list[bytes]]:
    """Return the first entries of each partition, as a live deployment has them."""
    # A tick must not be ahead of its append time; events of this hour come after it all the same.
    tick = ClockTicked(at=now - TICK_MARGIN_US, mode="live", complete_until={}, seen={})
    found: dict[int, list[bytes]] = {}
    rules = msgspec.json.encode(shipped().content).decode()
    first: tuple[AnyEvent, ...] = (RulesApplied(n=1, content=rules), tick)
    for number, event in enumerate(first):
        for partition, entry in broadcast(event, f"bench-{number}", now, PARTITIONS):
            found.setdefault(partition, []).append(entry)
    return found


def _entry(event: Event, offset: int, now: int) -> bytes:
    incoming = decode(event.body)
    assert isinstance(incoming, Incoming), incoming
    origin = Origin(INPUT, event.partition, offset, 0)
    admitted = admit(incoming, PARTITIONS, now, origin)
    assert isinstance(admitted, list), admitted
    return admitted[0][1]


@contextlib.asynccontextmanager
async def _producer(kafka: str) -> AsyncIterator[Any]:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka,
        compression_type="lz4",
        max_batch_size=BATCH_BYTES,
        max_request_size=REQUEST_BYTES,
        linger_ms=20,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()
