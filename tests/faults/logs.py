"""Topics read back from the broker, by a reader that belongs to no service."""

import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient


class Message(NamedTuple):
    """One record of a topic.

    Attributes:
        offset: Its offset.
        appended: Its timestamp, microseconds since 1970-01-01 UTC.
        value: Its value; None for a deletion.
        key: Its key.
    """

    offset: int
    appended: int
    value: bytes | None
    key: bytes | None = None


Log = dict[int, list[Message]]


class Tail:
    """Follows a topic from its beginning, all of its partitions.

    Args:
        kafka: Bootstrap servers.
        topic: Full name.
        partitions: Its partition count.
        committed: Whether records of open and aborted transactions are left out.
    """

    def __init__(self, kafka: str, topic: str, partitions: int, *, committed: bool) -> None:
        self.log: Log = {number: [] for number in range(partitions)}
        self._parts = [TopicPartition(topic, number) for number in range(partitions)]
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka,
            group_id=None,
            isolation_level="read_committed" if committed else "read_uncommitted",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=8 * 1024 * 1024,
        )

    async def start(self) -> None:
        await self._consumer.start()
        self._consumer.assign(self._parts)

    async def catch_up(self) -> dict[int, int]:
        """Read on to the end as it is now; return that end, by partition."""
        ends = await self._consumer.end_offsets(self._parts)
        behind = set(self._parts)
        while behind:
            behind = {p for p in behind if await self._consumer.position(p) < ends[p]}
            if behind:
                self._take(await self._consumer.getmany(timeout_ms=50))
        return {part.partition: end for part, end in ends.items()}

    def _take(self, found: dict[TopicPartition, Iterable[Any]]) -> None:
        for part, records in found.items():
            self.log[part.partition] += [
                Message(one.offset, one.timestamp * 1000, one.value, one.key) for one in records
            ]

    def newest(self, number: int) -> dict[str, bytes]:
        """Return the newest value per key of a partition; deleted keys are absent."""
        found: dict[str, bytes] = {}
        for message in self.log[number]:
            key = (message.key or b"").decode()
            if message.value is None:
                found.pop(key, None)
            else:
                found[key] = message.value
        return found

    async def stop(self) -> None:
        await self._consumer.stop()


@contextlib.asynccontextmanager
async def tail(
    kafka: str, topic: str, partitions: int, *, committed: bool = False
) -> AsyncIterator[Tail]:
    """Follow a topic as long as the block lasts."""
    made = Tail(kafka, topic, partitions, committed=committed)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def read(kafka: str, topic: str, partitions: int, *, committed: bool = False) -> Log:
    """Return a whole topic as it is now."""
    async with tail(kafka, topic, partitions, committed=committed) as found:
        await found.catch_up()
        return found.log


class Group:
    """Asks what a consumer group has committed.

    Args:
        kafka: Bootstrap servers.
        name: Of the group.
    """

    def __init__(self, kafka: str, name: str) -> None:
        self._name = name
        self._admin = AIOKafkaAdminClient(bootstrap_servers=kafka)

    async def committed(self) -> dict[tuple[str, int], int]:
        """Return the committed offsets, by topic and partition."""
        found = await self._admin.list_consumer_group_offsets(self._name)
        return {(at.topic, at.partition): int(one.offset) for at, one in found.items()}

    async def __aenter__(self) -> "Group":
        await self._admin.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()
