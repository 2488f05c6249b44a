"""Reads single records of a log again, where they still exist: whole, with headers and time."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.ingest.formats import by_name
from services.kafka_clients import close
from services.topic_admin import partition_counts

NEAR: Final = 500
"""Offsets that are rather read over than leapt over."""
FETCH_BYTES: Final = 128 * 1024
"""A leap fetches so much, wanted or not."""
SILENT_SECONDS: Final = 20.0

_POLL_MS: Final = 200


class Place(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int


class Original(NamedTuple):
    """A record.

    Attributes:
        value: Its value; a deletion has none.
        headers: By lower-case name.
        at_ms: Its timestamp, milliseconds since 1970-01-01 UTC.
    """

    value: bytes
    headers: dict[str, str]
    at_ms: int


async def fetch(kafka: str, places: Iterable[Place]) -> dict[Place, Original]:
    """Return the records that stand at some places today; what has expired is absent.

    A topic that was created anew has others there: compare before relying on one.

    Args:
        kafka: Bootstrap servers.
        places: Where.

    Raises:
        KafkaError: Kafka does not answer.
        TimeoutError: Likewise.
    """
    wanted: dict[TopicPartition, list[int]] = {}
    for place in sorted(set(places)):
        wanted.setdefault(TopicPartition(place.topic, place.partition), []).append(place.offset)
    found: dict[Place, Original] = {}
    if not wanted:
        return found
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        group_id=None,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    try:
        async with asyncio.timeout(SILENT_SECONDS):
            existing = await partition_counts(kafka)
        async with asyncio.timeout(SILENT_SECONDS):
            await consumer.start()
        for part, offsets in wanted.items():
            if part.partition < existing.get(part.topic, 0):
                found |= await _fetch(consumer, part, offsets)
    finally:
        await close(consumer.stop)
    return found


async def _fetch(
    consumer: AIOKafkaConsumer, part: TopicPartition, offsets: Sequence[int]
) -> dict[Place, Original]:
    consumer.assign([part])
    start = (await consumer.beginning_offsets([part]))[part]
    end = (await consumer.end_offsets([part]))[part]
    left = deque(offset for offset in offsets if start <= offset < end)
    found: dict[Place, Original] = {}
    loop = asyncio.get_running_loop()
    silent_at, position = loop.time() + SILENT_SECONDS, -NEAR
    while left:
        if not position <= left[0] <= position + NEAR:
            consumer.seek(part, left[0])
        polled = (await consumer.getmany(part, timeout_ms=_POLL_MS)).get(part, [])
        for record in polled:
            if record.offset in left:
                found[Place(part.topic, part.partition, record.offset)] = _original(record)
        before, position = position, await consumer.position(part)
        # What lies behind is not there: a transaction's marker, or compacted away.
        while left and left[0] < position:
            left.popleft()
        if polled or position != before:
            silent_at = loop.time() + SILENT_SECONDS
        elif loop.time() > silent_at:
            raise TimeoutError(f"{part} was silent for {SILENT_SECONDS:g} s")
    return found


def _original(record: Any) -> Original:
    return Original(record.value or b"", by_name(record.headers), record.timestamp)
