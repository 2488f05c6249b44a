"""What operators, retention and broken disks do to topics: records deleted, changed, made anew."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas import topics
from services import topic_admin
from tests.faults.logs import Message, read
from tests.platform import create_topics, eventually

KEEPS_TIMES = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
"""Settings of a log that is to be put back with the append times that it had."""


class Topics:
    """The topics of a deployment, in the hands of somebody who may do everything.

    Args:
        kafka: Bootstrap servers, past any proxy.
        prefix: The deployment's.
        partitions: Its partition count.
    """

    def __init__(self, kafka: str, prefix: str, partitions: int) -> None:
        self.kafka = kafka
        self._prefix = prefix
        self._partitions = partitions

    async def write(
        self,
        topic: str,
        partition: int,
        records: Iterable[tuple[bytes | None, bytes | None]],
        times: Iterable[int] = (),
    ) -> list[int]:
        """Append records as somebody would who is no service; return their offsets.

        Args:
            topic: Full name.
            partition: Where to.
            records: Keys and values.
            times: Timestamps, milliseconds, one for each record; none for now.
        """
        sent = []
        given = [*times]
        async with self._producer() as producer:
            for place, (key, value) in enumerate(records):
                time = given[place] if given else None
                sent.append(
                    await producer.send(
                        topic, value, key=key, partition=partition, timestamp_ms=time
                    )
                )
            return [(await one).offset for one in sent]

    async def write_transactions(
        self, topic: str, partition: int, messages: Sequence[Message]
    ) -> None:
        """Append records so that they get the offsets that they had: markers stand in the gaps.

        Args:
            topic: Full name; empty, and taking timestamps as they come.
            partition: Where to.
            messages: In order; between two runs of offsets one is missing.
        """
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, transactional_id=f"{topic}put")
        await producer.start()
        try:
            runs = itertools.groupby(enumerate(messages), lambda one: one[1].offset - one[0])
            for _, run in runs:
                async with producer.transaction():
                    for _, one in run:
                        time = one.appended // 1000
                        sent = await producer.send_and_wait(
                            topic, one.value, one.key, partition, timestamp_ms=time
                        )
                        assert sent.offset == one.offset, f"{one.offset} became {sent.offset}"
        finally:
            await producer.stop()

    async def put(self, topic: str, partition: int, records: Mapping[str, bytes | None]) -> None:
        """Write records of a compacted topic; None deletes."""
        await self.write(topic, partition, [(key.encode(), raw) for key, raw in records.items()])

    async def delete_before(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Delete all records before an offset, by partition; -1 for all there are."""
        async with self._admin() as admin:
            await admin.delete_records(
                {
                    TopicPartition(topic, number): RecordsToDelete(before_offset=offset)
                    for number, offset in offsets.items()
                }
            )

    async def truncate(self, topic: topics.Topic, offsets: Mapping[int, int]) -> None:
        """Delete records of a compacted topic, as a wrong cleanup policy lets retention do."""
        name = topics.full_name(topic, self._prefix)
        await self.configure(name, {**topic.config, "cleanup.policy": "compact,delete"})
        await self.delete_before(name, offsets)
        await self.configure(name, topic.config)

    async def configure(self, topic: str, configs: Mapping[str, str]) -> None:
        """Give a topic these settings, and no other of its own."""
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, dict(configs))
        async with self._admin() as admin:
            for answer in await admin.alter_configs([resource]):
                wrong = [entry for entry in answer.resources if entry[0] != 0]
                assert wrong == []

    async def grow(self, topic: str, count: int) -> None:
        """Give a topic more partitions."""
        async with self._admin() as admin:
            await admin.create_partitions({topic: NewPartitions(total_count=count)})

            async def grown() -> bool:
                (found,) = await admin.describe_topics([topic])
                led = [one for one in found["partitions"] if one["leader"] >= 0]
                return len(led) == count

            await eventually(grown, what=f"{topic} to have {count} partitions")

    async def delete(self, topic: str) -> None:
        """Delete a topic."""
        async with self._admin() as admin:
            await admin.delete_topics([topic])

            async def gone() -> bool:
                return topic not in await admin.list_topics()

            await eventually(gone, what=f"{topic} to be gone")

    async def recreate(
        self, topic: str, partitions: int, configs: Mapping[str, str] | None = None
    ) -> None:
        """Delete a topic and make it again, empty."""
        await self.delete(topic)
        await create_topics(self.kafka, topic, partitions=partitions, configs=configs)

    async def renew(self, topic: str) -> None:
        """Delete one of our topics and make it again as `ebbwatch topics apply` does."""
        await self.delete(topic)
        await topic_admin.apply(self.kafka, self._prefix, self._partitions)

    async def restore(self, topic: str, log: Mapping[int, Iterable[Message]]) -> None:
        """Put a log back as it was, with its append times, and with the settings it had.

        Args:
            topic: Full name of a log without transactions: its offsets have no gaps.
            log: What was read of it, from its first message on.
        """
        await self.recreate(topic, self._partitions, KEEPS_TIMES)
        for number, messages in log.items():
            kept = [*messages]
            times = [one.appended // 1000 for one in kept]
            await self.write(topic, number, [(one.key, one.value) for one in kept], times)
        await self.configure(topic, {})
        await topic_admin.apply(self.kafka, self._prefix, self._partitions)

    async def held(self, topic: str) -> dict[int, list[Message]]:
        """Return a log as it is now, to be put back later."""
        return await read(self.kafka, topic, self._partitions)

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    @contextlib.asynccontextmanager
    async def _producer(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, enable_idempotence=True)
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()
