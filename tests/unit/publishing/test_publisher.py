import asyncio
from collections.abc import AsyncIterator

import pytest

from schemas import envelope
from schemas.envelope import BYTE_LIMIT, ENTRY_LIMIT, Entry, encode_entry
from schemas.events import UsageRecorded
from services.publishing.lanes import ENTRY_BYTES
from services.publishing.publisher import Limits, Publisher, Unavailable
from tests.platform import eventually
from tests.unit.ingest.builders import FakeProducer


def entry(id: str, size: int = 0) -> bytes:
    return encode_entry(Entry(id, "s", 1, ("x" * size,), UsageRecorded(metric="m")))


@pytest.fixture
def producer() -> FakeProducer:
    return FakeProducer()


@pytest.fixture
async def publisher(producer: FakeProducer) -> AsyncIterator[Publisher]:
    made = Publisher(producer, "events.v1", 4, Limits(pending_bytes=1_000_000))
    await made.start()
    yield made
    if producer.gate is not None:
        producer.gate.set()
    await made.stop()


def ids(producer: FakeProducer, partition: int | None = None) -> list[str]:
    return [each.id for each in producer.entries(partition)]


async def test_it_returns_the_append_time_when_all_partitions_are_acknowledged(
    publisher: Publisher, producer: FakeProducer
) -> None:
    appended = await publisher.publish([(0, entry("a")), (3, entry("b")), (0, entry("c"))])

    assert (ids(producer, 0), ids(producer, 3)) == (["a", "c"], ["b"])
    assert (appended, publisher.pending_bytes) == (producer.appended_ms, 0)


async def test_an_envelope_holds_the_entries_of_several_callers(
    publisher: Publisher, producer: FakeProducer
) -> None:
    await asyncio.gather(*(publisher.publish([(1, entry(str(n)))]) for n in range(20)))

    assert (len(producer.sent), ids(producer)) == (1, [str(n) for n in range(20)])


async def test_an_envelope_stays_within_its_count(
    publisher: Publisher, producer: FakeProducer
) -> None:
    await publisher.publish([(0, entry(str(n))) for n in range(2 * ENTRY_LIMIT + 1)])

    sizes = [len(envelope.decode(value)[0]) for _, _, value in producer.sent]
    assert sizes == [ENTRY_LIMIT, ENTRY_LIMIT, 1]


async def test_an_envelope_stays_within_its_bytes(
    publisher: Publisher, producer: FakeProducer
) -> None:
    await publisher.publish([(0, entry(str(n), 200_000)) for n in range(4)])

    sizes = [len(value) for _, _, value in producer.sent]
    assert (len(sizes), max(sizes) <= BYTE_LIMIT) == (2, True)
    assert ids(producer) == ["0", "1", "2", "3"]


async def test_the_longest_entry_fits_an_envelope_and_a_longer_one_is_an_error(
    publisher: Publisher, producer: FakeProducer
) -> None:
    longest = b"\xc6" + b"x" * (ENTRY_BYTES - 1)
    await publisher.publish([(0, longest)])

    assert len(producer.sent[0][2]) <= BYTE_LIMIT
    with pytest.raises(ValueError, match="longer than"):
        await publisher.publish([(0, longest + b"x")])


async def test_a_partition_has_at_most_one_unacknowledged_envelope_and_keeps_its_order(
    publisher: Publisher, producer: FakeProducer
) -> None:
    producer.gate = asyncio.Event()
    calls = [asyncio.create_task(publisher.publish([(0, entry("first"))]))]
    await eventually(lambda: len(producer.sent) == 1)
    calls += [asyncio.create_task(publisher.publish([(0, entry(str(n)))])) for n in range(5)]
    other = asyncio.create_task(publisher.publish([(1, entry("other"))]))
    # A different partition is not held up, and shows that time has passed for partition 0 too.
    await eventually(lambda: len(producer.sent) == 2)
    assert [partition for _, partition, _ in producer.sent] == [0, 1]

    producer.gate.set()
    await asyncio.gather(*calls, other)

    assert ids(producer, 0) == ["first", "0", "1", "2", "3", "4"]


async def test_a_passed_deadline_says_so_and_unsent_entries_are_forgotten(
    publisher: Publisher, producer: FakeProducer
) -> None:
    producer.gate = asyncio.Event()
    sent = asyncio.create_task(publisher.publish([(0, entry("sent"))], within=0.2))
    await eventually(lambda: len(producer.sent) == 1)

    with pytest.raises(Unavailable, match="did not acknowledge within"):
        await publisher.publish([(0, entry("late"))], within=0.05)
    with pytest.raises(Unavailable):
        await sent
    producer.gate.set()
    await publisher.publish([(0, entry("next"))])

    assert (ids(producer), publisher.pending_bytes) == (["sent", "next"], 0)


async def test_a_full_queue_refuses_at_once_whoever_has_a_deadline(
    publisher: Publisher, producer: FakeProducer
) -> None:
    producer.gate = asyncio.Event()
    big = [(0, entry(str(n), 300_000)) for n in range(3)]
    full = asyncio.create_task(publisher.publish(big))
    await eventually(lambda: publisher.pending_bytes > 900_000)

    with pytest.raises(Unavailable, match="wait for Kafka"):
        await publisher.publish([(1, entry("x", 300_000))], within=60)
    producer.gate.set()
    await full


async def test_who_has_no_deadline_waits_for_room_and_is_not_overtaken(
    publisher: Publisher, producer: FakeProducer
) -> None:
    producer.gate = asyncio.Event()
    first = asyncio.create_task(publisher.publish([(0, entry("first", 400_000))] * 2))
    await eventually(lambda: producer.sent)
    waiting = asyncio.create_task(publisher.publish([(0, entry("waiting", 400_000))]))
    behind = asyncio.create_task(publisher.publish([(0, entry("behind"))]))
    await eventually(lambda: publisher.pending_bytes > 800_000)
    assert publisher.pending_bytes < 1_000_000

    producer.gate.set()
    await asyncio.gather(first, waiting, behind)

    assert ids(producer) == ["first", "first", "waiting", "behind"]


async def test_an_error_that_nothing_can_mend_reaches_every_caller_and_the_owner() -> None:
    producer, told = FakeProducer(), list[Exception]()
    publisher = Publisher(producer, "events.v1", 2, on_fatal=told.append)
    await publisher.start()
    producer.error = ValueError("denied")

    outcomes = await asyncio.gather(
        publisher.publish([(0, entry("a")), (1, entry("b"))]), return_exceptions=True
    )
    with pytest.raises(ValueError, match="denied"):
        await publisher.publish([(1, entry("c"))])
    await publisher.stop()

    assert [type(each) for each in outcomes] == [ValueError]
    assert told[0] is outcomes[0]


async def test_stopping_sends_what_waits_or_tells_who_waits() -> None:
    producer = FakeProducer()
    publisher = Publisher(producer, "events.v1", 1)
    await publisher.start()
    producer.gate = asyncio.Event()
    quick = asyncio.create_task(publisher.publish([(0, entry("quick"))]))
    await eventually(lambda: producer.sent)
    stopping = asyncio.create_task(publisher.stop(within=5))
    producer.gate.set()
    assert (await stopping, await quick) == (True, producer.appended_ms)

    producer.gate = asyncio.Event()
    publisher = Publisher(producer, "events.v1", 1)
    await publisher.start()
    stuck = asyncio.create_task(publisher.publish([(0, entry("stuck"))]))
    await eventually(lambda: publisher.pending_bytes)
    assert not await publisher.stop(within=0.01)
    with pytest.raises(Unavailable, match="has ended"):
        await stuck


async def test_nothing_is_published_at_once(publisher: Publisher, producer: FakeProducer) -> None:
    assert (await publisher.publish([]), producer.sent) == (0, [])
