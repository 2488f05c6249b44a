"""What brokers tell of their logs, by a request that aiokafka does not bring."""

import asyncio
import uuid

import pytest
from aiokafka import AIOKafkaProducer

from services.kafka_clients import log_ends
from services.log_sizes import LogSizes
from tests.platform import create_topics, eventually, free_port

pytestmark = pytest.mark.integration


async def test_the_size_of_each_partition_and_of_a_segment_are_told(kafka: str) -> None:
    topic = f"t{uuid.uuid4().hex[:8]}.state.v1"
    await create_topics(kafka, topic, partitions=3, configs={"segment.bytes": "2097152"})
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
    await producer.start()
    await producer.send_and_wait(topic, b"x" * 5000, partition=1)
    await producer.stop()
    sizes = LogSizes(kafka, topic)

    async def all_told() -> bool:
        await sizes.look()
        return len(sizes.bytes) == 3

    # A broker leads a new partition a moment before it has a log of it.
    await eventually(all_told, within=20, what="a log of every partition")
    assert (sizes.segment, sizes.bytes[0], sizes.bytes[2]) == (2097152, 0, 0)
    assert 5000 < sizes.bytes[1] < 5200


async def test_of_a_topic_that_is_not_there_nothing_is_told(kafka: str) -> None:
    sizes = LogSizes(kafka, f"t{uuid.uuid4().hex[:8]}.nothing")
    await sizes.look()
    assert (sizes.segment, sizes.bytes) == (0, {})


async def test_without_kafka_the_sizes_are_unknown_and_nothing_fails() -> None:
    sizes = LogSizes(f"127.0.0.1:{free_port()}", "t.state.v1")
    sizes.bytes = {0: 1}
    asking = asyncio.create_task(sizes.run())
    await eventually(lambda: not sizes.bytes, within=30)
    asking.cancel()


async def test_where_logs_end_is_told_to_a_thread_of_its_own(kafka: str) -> None:
    topic = f"t{uuid.uuid4().hex[:8]}.ends"
    await create_topics(kafka, topic, partitions=2)
    places = [(topic, 0), (topic, 1)]
    assert await asyncio.to_thread(log_ends, kafka, places) == dict.fromkeys(places, 0)
