import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import MessageSizeTooLargeError

from services import local
from services.publishing import producer as module
from services.publishing.producer import Producer
from tests.integration.ingesting import consumer
from tests.platform import create_topics, eventually, free_port, free_ports, require_jars

pytestmark = pytest.mark.integration


async def values(kafka: str, topic: str) -> list[bytes]:
    async with consumer(kafka) as reader:
        part, found = TopicPartition(topic, 0), list[bytes]()
        reader.assign([part])
        end = (await reader.end_offsets([part]))[part]
        while await reader.position(part) < end:
            records = (await reader.getmany(timeout_ms=100)).get(part, [])
            found += [record.value for record in records]
        return found


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A broker of this test's own, and its pid."""
    ports, environ = free_ports(), {"EBBWATCH_REDIS_URL": "redis://not-asked-for:1/0"}
    kafka = local.up(tmp_path, ports=ports, jars=require_jars(), environ=environ).kafka
    (status, _) = local.status(tmp_path, ports=ports, environ=environ)
    assert status.pid is not None
    try:
        yield kafka, status.pid
    finally:
        os.kill(status.pid, signal.SIGCONT)
        local.down(tmp_path)


async def test_a_broken_producer_is_replaced_and_the_same_record_sent_again(kafka: str) -> None:
    topic, states = uuid4().hex, list[tuple[bool, str]]()
    await create_topics(kafka, topic)
    producer = Producer(kafka, on_state=lambda ok, detail: states.append((ok, detail)))
    try:
        await producer.send(topic, b"1", partition=0)
        # The broker refuses what does not follow on: OutOfOrderSequenceNumber.
        broken = producer._current
        assert broken is not None
        broken._txn_manager._sequence_numbers[TopicPartition(topic, 0)] = 99
        second = await producer.send(topic, b"2", partition=0)
        third = await producer.send(topic, b"3", partition=0)
    finally:
        await producer.stop()

    assert await values(kafka, topic) == [b"1", b"2", b"3"]
    assert (second.offset, third.offset, producer.replaced) == (1, 2, 1)
    assert [ok for ok, _ in states] == [False, True]


async def test_an_error_that_sending_again_cannot_mend_is_raised(kafka: str) -> None:
    topic = uuid4().hex
    await create_topics(kafka, topic)
    producer = Producer(kafka)
    try:
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send(topic, b"x" * 2_000_000, partition=0)
    finally:
        await producer.stop()


async def test_it_waits_for_a_broker_that_is_not_there_yet() -> None:
    states = list[tuple[bool, str]]()
    producer = Producer(
        f"127.0.0.1:{free_port()}", on_state=lambda ok, detail: states.append((ok, detail))
    )
    sending = asyncio.create_task(producer.send("t", b"1", partition=0))

    await eventually(lambda: states)
    sending.cancel()
    await asyncio.wait({sending})
    await producer.stop()

    assert (states[0][0], producer.away) == (False, True)


async def test_a_frozen_broker_costs_the_producer_and_not_the_record(
    frozen: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka, pid = frozen
    topic = uuid4().hex
    await create_topics(kafka, topic)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(module, "STUCK_SECONDS", 1.0)
    monkeypatch.setattr(module, "DISCARD_SECONDS", 0.5)
    producer = Producer(kafka)
    try:
        await producer.send(topic, b"1", partition=0)
        os.kill(pid, signal.SIGSTOP)
        sending = asyncio.create_task(until_it_was_away(producer, topic))
        await eventually(lambda: producer.away and producer.replaced)
        os.kill(pid, signal.SIGCONT)
        sent = await asyncio.wait_for(sending, 30)
        await producer.send(topic, b"last", partition=0)
    finally:
        await producer.stop()

    # The first copy of what waited may have been appended too, but nothing came in its place.
    found = await values(kafka, topic)
    first = [each for n, each in enumerate(found) if each not in found[:n]]
    assert first == [b"1", *sent, b"last"]
    assert not producer.away


async def until_it_was_away(producer: Producer, topic: str) -> list[bytes]:
    """Send and return records until one waited: a signal takes a moment to stop all threads."""
    sent = list[bytes]()
    while not producer.replaced:
        sent.append(b"%d" % (len(sent) + 2))
        await producer.send(topic, sent[-1], partition=0)
    return sent
