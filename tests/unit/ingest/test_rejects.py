import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.structs import RecordMetadata

from schemas.cloudevents import Refused
from schemas.rejects import Reject
from services.ingest.rejects import AT_ONCE, PENDING_LIMIT, Rejects, reject
from services.publishing.publisher import Unavailable
from tests.platform import eventually
from tests.unit.ingest.builders import FakeProducer

ONE = reject(Refused("invalid", "", "wrong", "e", "/a"), b"{}", 0)


class Slow(FakeProducer):
    """Notes how many sends there were at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0

    async def send(
        self, topic: str, value: bytes, *, key: bytes | None = None, partition: int | None = None
    ) -> RecordMetadata:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0)
            return await super().send(topic, value, key=key, partition=partition)
        finally:
            self.now -= 1


@pytest.fixture
def producer() -> Slow:
    return Slow()


@pytest.fixture
async def rejects(producer: Slow) -> AsyncIterator[Rejects]:
    made = Rejects(producer, "rejects.v1")
    yield made
    await made.stop()


def some(count: int) -> list[Reject]:
    return [ONE] * count


async def test_of_many_refusals_some_hundreds_are_on_their_way_at_once(
    rejects: Rejects, producer: Slow
) -> None:
    await rejects.write(some(3 * AT_ONCE + 1))

    assert (len(producer.sent), producer.most) == (3 * AT_ONCE + 1, AT_ONCE)


async def test_what_waits_behind_them_counts_against_the_limit(
    rejects: Rejects, producer: Slow
) -> None:
    producer.gate = asyncio.Event()
    first = asyncio.create_task(rejects.write(some(PENDING_LIMIT - 1)))
    await eventually(lambda: len(producer.sent) == AT_ONCE, what="the first refusals to be sent")

    with pytest.raises(Unavailable, match=f"{PENDING_LIMIT - 1} refusals wait"):
        await rejects.write(some(2), within=1.0)

    producer.gate.set()
    await first
    await rejects.write(some(2), within=5.0)
    assert len(producer.sent) == PENDING_LIMIT + 1


async def test_a_deadline_ends_all_of_it_and_frees_its_room(
    rejects: Rejects, producer: Slow
) -> None:
    producer.gate = asyncio.Event()

    with pytest.raises(Unavailable, match=r"did not acknowledge within 0\.05 s"):
        await rejects.write(some(PENDING_LIMIT), within=0.05)

    assert len(producer.sent) == AT_ONCE
    producer.gate.set()
    await eventually(lambda: producer.now == 0, what="what was on its way to end")
    await rejects.write(some(PENDING_LIMIT), within=30.0)


async def test_a_topic_that_nobody_may_write_is_named(rejects: Rejects, producer: Slow) -> None:
    producer.error = TopicAuthorizationFailedError("rejects.v1")

    with pytest.raises(Unavailable, match=r"cannot be written to rejects\.v1: TopicAuthorization"):
        await rejects.write(some(1))
