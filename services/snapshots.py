"""A partition's snapshot: loaded by whoever takes the partition over, written with its stamp.

One transactional producer per partition fences the former owner; a snapshot and all that came of
it are one transaction (design.md §5.7, §5.8). The detector and the alerts service share this.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced

from schemas.topics import MESSAGE_LIMIT
from services import failpoints
from services.kafka_clients import close, pace

FETCH_BYTES: Final = 8 * 1024 * 1024
REQUEST_TIMEOUT_MS: Final = 10_000
TRANSACTION_TIMEOUT_MS: Final = 20_000
BATCH_BYTES: Final = 512 * 1024
RECORD_BYTES: Final = MESSAGE_LIMIT - 4096
"""A record's key and value; the rest of a message is its frame."""
LOAD_SECONDS: Final = 90.0
"""A load must end before the group takes the worker for dead (`broker_max_poll_interval`)."""

_FENCED: Final = (ProducerFenced, InvalidProducerEpoch)
_POLL_MS: Final = 200


class Fenced(Exception):
    """Another process has taken the partition over: nothing was written."""


class RecordTooLarge(Exception):
    """A record is larger than its topic takes."""


class LoadTooSlow(Exception):
    """A snapshot could not be read within its deadline."""


class Record(NamedTuple):
    """One record of a transaction; a partition of None is chosen by Kafka from the key."""

    topic: str
    partition: int | None
    key: str
    value: bytes | None


class Bounds(NamedTuple):
    """What the log of a partition holds.

    Attributes:
        start: First offset that still exists.
        end: Offset of the next message.
        appended: Append time of the message at the asked offset, microseconds, or None.
        partitions: How many partitions the topic has.
    """

    start: int
    end: int
    appended: int | None
    partitions: int


class SnapshotWriter:
    """The only writer of one partition's snapshot.

    Args:
        kafka: Bootstrap servers.
        transactional_id: The same for everybody who may own the partition.
    """

    def __init__(self, kafka: str, transactional_id: str) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=kafka,
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            compression_type="lz4",
            max_batch_size=BATCH_BYTES,
            max_request_size=MESSAGE_LIMIT,
            linger_ms=2,
        )
        pace(self._producer.client)

    async def start(self) -> None:
        """Fence the former owner and end its open transaction."""
        await self._producer.start()

    async def write(self, records: Iterable[Record]) -> None:
        """Write records in one transaction: all of them, or none.

        Args:
            records: At least one; an empty transaction of a fenced producer raises nothing.

        Raises:
            Fenced: Somebody else owns the partition now.
            RecordTooLarge: A record does not fit; the caller must not go on.
            aiokafka.errors.KafkaError: The outcome is unknown; the caller must not go on.
        """
        failpoints.reach("snapshot.cut")
        try:
            async with self._producer.transaction():
                sent = [one async for one in self._sent(records)]
                for one in sent:
                    await one
                failpoints.reach("snapshot.in_transaction")
            failpoints.reach("snapshot.committed")
        except _FENCED as error:
            raise Fenced("another worker owns the partition") from error

    async def _sent(self, records: Iterable[Record]) -> AsyncIterator[asyncio.Future[Any]]:
        """Hand the records over: in whole batches, half as costly, where the partition is known."""
        placed: dict[tuple[str, int], list[Record]] = {}
        for record in records:
            if record.partition is None:
                key = record.key.encode()
                yield await self._producer.send(record.topic, key=key, value=record.value)
            else:
                placed.setdefault((record.topic, record.partition), []).append(record)
        for (topic, partition), batch in placed.items():
            async for one in self._batches(topic, partition, batch):
                yield one

    async def _batches(
        self, topic: str, partition: int, records: list[Record]
    ) -> AsyncIterator[asyncio.Future[Any]]:
        builder = self._producer.create_batch()
        for record in records:
            _require_small(record)
            content = {"key": record.key.encode(), "value": record.value, "timestamp": None}
            if builder.append(**content) is None:
                yield await self._producer.send_batch(builder, topic, partition=partition)
                builder = self._producer.create_batch()
                # The first record of a batch is taken at any size.
                builder.append(**content)
        yield await self._producer.send_batch(builder, topic, partition=partition)

    async def stop(self) -> None:
        """Close the producer; nothing of an open transaction is kept."""
        await close(self._producer.stop)


async def load(
    kafka: str,
    topic: str,
    partition: int,
    remains: Callable[[int], None] = lambda _: None,
    within: float = LOAD_SECONDS,
) -> dict[str, bytes]:
    """Read a partition of a compacted topic, read committed, to its end.

    Args:
        kafka: Bootstrap servers.
        topic: Full name.
        partition: The partition.
        remains: Told again and again how many offsets are still to be read.
        within: Seconds, > 0.

    Returns:
        The newest value per key; deleted keys are absent.

    Raises:
        LoadTooSlow: If it takes more than `within`.
    """
    consumer = _reader(kafka, "read_committed")
    await consumer.start()
    failpoints.reach("snapshot.load")
    try:
        async with asyncio.timeout(within):
            return await _read(consumer, TopicPartition(topic, partition), remains)
    except TimeoutError as error:
        raise LoadTooSlow(
            f"{topic} partition {partition} was not read within {within:g} s"
        ) from error
    finally:
        await close(consumer.stop)


async def bounds(kafka: str, topic: str, partition: int, offset: int) -> Bounds:
    """Return what a partition of the log holds, and when the message at an offset was appended.

    Args:
        kafka: Bootstrap servers.
        topic: Full name.
        partition: The partition.
        offset: The message to look at; one that does not exist gives no append time.
    """
    return (await all_bounds(kafka, topic, {partition: offset}))[partition]


async def all_bounds(kafka: str, topic: str, offsets: Mapping[int, int]) -> dict[int, Bounds]:
    """Return what `bounds` does, of several partitions.

    Args:
        kafka: Bootstrap servers.
        topic: Full name.
        offsets: By partition, the message to look at.
    """
    consumer = _reader(kafka, "read_uncommitted", MESSAGE_LIMIT)
    await consumer.start()
    try:
        found: dict[int, Bounds] = {}
        for partition, offset in offsets.items():
            at = TopicPartition(topic, partition)
            # One after the other: what is fetched of others meanwhile would be read in vain.
            consumer.assign([at])
            start = (await consumer.beginning_offsets([at]))[at]
            end = (await consumer.end_offsets([at]))[at]
            appended = await _appended(consumer, at, offset) if start <= offset < end else None
            count = len(consumer.partitions_for_topic(topic) or ())
            found[partition] = Bounds(start, end, appended, count)
        return found
    finally:
        await close(consumer.stop)


def _require_small(record: Record) -> None:
    size = len(record.key.encode()) + len(record.value or b"")
    if size > RECORD_BYTES:
        raise RecordTooLarge(
            f"record {record.key!r} of {record.topic} takes {size} bytes, at most {RECORD_BYTES} "
            "may be written"
        )


def _reader(kafka: str, isolation: str, fetch_bytes: int = FETCH_BYTES) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=kafka,
        group_id=None,
        isolation_level=isolation,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=fetch_bytes,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
    )


async def _read(
    consumer: AIOKafkaConsumer, at: TopicPartition, remains: Callable[[int], None]
) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    consumer.assign([at])
    end = (await consumer.end_offsets([at]))[at]
    first = (await consumer.beginning_offsets([at]))[at]
    remains(end - first)
    while (position := await consumer.position(at)) < end:
        remains(end - max(first, position))
        for messages in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
            _take(found, messages)
    return found


def _take(found: dict[str, bytes], messages: Sequence[object]) -> None:
    for message in messages:
        # Whoever reads the snapshot refuses a key that is none of ours, by its name.
        key = (message.key or b"").decode(errors="backslashreplace")  # type: ignore[attr-defined]
        value = message.value  # type: ignore[attr-defined]
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value


async def _appended(consumer: AIOKafkaConsumer, at: TopicPartition, offset: int) -> int:
    consumer.seek(at, offset)
    async with asyncio.timeout(LOAD_SECONDS):
        message = await consumer.getone(at)
    return int(message.timestamp) * 1000


async def messages(
    kafka: str, topic: str, partition: int, first: int, last: int
) -> AsyncIterator[tuple[int, int, bytes | None]]:
    """Yield some messages of a log.

    Args:
        kafka: Bootstrap servers.
        topic: Full name.
        partition: The partition.
        first: First offset.
        last: Last offset; the log's end if that comes first.

    Yields:
        Offset, append time in microseconds, value.
    """
    consumer = _reader(kafka, "read_uncommitted")
    await consumer.start()
    try:
        at = TopicPartition(topic, partition)
        consumer.assign([at])
        end = min((await consumer.end_offsets([at]))[at], last + 1)
        consumer.seek(at, first)
        while await consumer.position(at) < end:
            for found in (await consumer.getmany(at, timeout_ms=_POLL_MS)).values():
                for message in found:
                    if message.offset < end:
                        yield message.offset, message.timestamp * 1000, message.value
    finally:
        await close(consumer.stop)
