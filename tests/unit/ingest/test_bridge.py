"""How polls become envelopes and commits, over a consumer that a test leads; the rest needs a
broker.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError

from schemas.config import Input
from services.ingest import bridge as module
from services.ingest.bridge import Bridge
from services.ingest.markers import Marks
from services.ingest.metrics import Metrics
from services.ingest.rejects import Rejects
from services.ingest.seen import Seen
from services.publishing.publisher import Publisher
from services.runtime import Health
from services.topic_ids import UNKNOWN
from tests.platform import eventually
from tests.unit.ingest.builders import NOW, FakeProducer, body, event, record

ZERO, ONE = TopicPartition("usage", 0), TopicPartition("usage", 1)
LIMIT = 3_000


class Consumer:
    """Answers as aiokafka's does; each poll returns the next of `polls`, and nothing after them."""

    def __init__(self, polls: list[dict[TopicPartition, list[Any]]]) -> None:
        self.polls = polls
        self.commits: list[Mapping[TopicPartition, int]] = []
        self.on_commit: Callable[[], object] = lambda: None
        self.asked = 0
        self.polled_ms = NOW // 1000
        self.listener: Any = None
        self.places = {ZERO: 0, ONE: 0}
        self.begins_at = 0
        self.errors: list[Exception] = []

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.listener = listener

    async def start(self) -> None:
        await self.listener.on_partitions_assigned(self.assignment())

    async def stop(self) -> None:
        pass

    async def getmany(self, **_: int) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0.01)
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        polled = self.polls.pop(0) if self.polls else {}
        for partition, records in polled.items():
            self.places[partition] = records[-1].offset + 1
        return polled

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.commits.append(offsets)
        self.on_commit()

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self.places)

    def highwater(self, partition: TopicPartition) -> int:
        return self.places[partition]

    def last_poll_timestamp(self, _: TopicPartition) -> int:
        return self.polled_ms

    async def position(self, partition: TopicPartition) -> int:
        return self.places[partition]

    async def beginning_offsets(self, partitions: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self.begins_at)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.places[partition] = offset

    async def end_offsets(self, partitions: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 9)

    async def committed(self, _: TopicPartition) -> int:
        return 0


Made = tuple[Bridge, Consumer, FakeProducer]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def made(monkeypatch: pytest.MonkeyPatch, metrics: Metrics) -> AsyncIterator[Made]:
    """A running bridge over a consumer and a producer that a test leads."""
    consumer, producer = Consumer([]), FakeProducer()

    async def ids(_: str, names: list[str]) -> dict[str, str]:
        return dict.fromkeys(names, UNKNOWN)

    monkeypatch.setattr(module, "AIOKafkaConsumer", lambda **_: consumer)
    monkeypatch.setattr(module, "topic_ids", ids)
    publisher = Publisher(producer, "events.v1", 1)
    await publisher.start()
    rejects = Rejects(producer, "rejects.v1")
    marks = Marks(producer, "config.v1", lambda error: pytest.fail(str(error)))
    found = Bridge(
        *("127.0.0.1:1", "group", publisher, rejects, Seen(), metrics, Health()),
        *(lambda: NOW, LIMIT, 10.0, lambda: {"usage": {0: UNKNOWN, 1: UNKNOWN}}, marks),
    )
    found.configure({"usage": Input(topic="usage", format="cloudevents", source="/a")})
    running = asyncio.create_task(found.run())
    await eventually(found.standing, what="a bridge that carries")
    yield found, consumer, producer
    if producer.gate is not None:
        producer.gate.set()
    found.stop()
    await running
    await publisher.stop()


def batch(partition: TopicPartition, offset: int, count: int = LIMIT) -> Any:
    """A record of many events, whose ids tell where it stood."""
    events = [event(id=f"{partition.partition}.{offset}.{n}") for n in range(count)]
    return record(body(*events), offset, topic="usage", partition=partition.partition)


def heads(producer: FakeProducer) -> list[str]:
    """Return the records whose events were sent, each once, in order."""
    return list(dict.fromkeys(each.id.rpartition(".")[0] for each in producer.entries()))


async def test_a_poll_of_many_events_is_sent_and_committed_a_slice_at_a_time(made: Made) -> None:
    """Two records of 3,000 fill a slice of 5,000 events."""
    _, consumer, producer = made
    sent: list[list[str]] = []
    consumer.on_commit = lambda: sent.append(heads(producer))

    consumer.polls.append(
        {ZERO: [batch(ZERO, 0), batch(ZERO, 1), batch(ZERO, 2)], ONE: [batch(ONE, 0, 7)]}
    )

    await eventually(lambda: len(consumer.commits) == 2, what="two commits")
    assert consumer.commits == [{ZERO: 2}, {ZERO: 3, ONE: 1}]
    assert sent == [["0.0", "0.1"], ["0.0", "0.1", "0.2", "1.0"]]


async def test_a_partition_is_complete_only_once_what_was_polled_of_it_is_in_the_log(
    made: Made,
) -> None:
    bridge, consumer, producer = made
    await eventually(lambda: bridge.progress() == {"usage/0": NOW, "usage/1": NOW})
    producer.gate = asyncio.Event()
    consumer.polled_ms += 5_000
    consumer.polls.append({ZERO: [batch(ZERO, 0, 1)]})
    asked = consumer.asked
    await eventually(lambda: producer.sent and consumer.asked >= asked + 2, what="an empty poll")
    for _ in range(20):
        await asyncio.sleep(0)

    assert bridge.progress()["usage/0"] == NOW

    producer.gate.set()
    await eventually(lambda: bridge.progress()["usage/0"] == NOW + 5_000_000)


async def test_what_is_left_of_a_poll_is_not_sent_once_its_partitions_moved_on(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their owner reads it from the last commit on."""
    _, consumer, producer = made
    monkeypatch.setattr(module, "REVOKE_SECONDS", 0.01)
    producer.gate = asyncio.Event()
    consumer.polls.append({ZERO: [batch(ZERO, offset) for offset in range(3)]})
    await eventually(lambda: bool(producer.sent), what="a first slice on its way")

    await consumer.listener.on_partitions_revoked({ZERO, ONE})
    consumer.places = {ZERO: 0, ONE: 0}
    await consumer.listener.on_partitions_assigned({ZERO, ONE})
    producer.gate.set()
    consumer.polls.append({ONE: [batch(ONE, 0, 1)]})

    await eventually(lambda: bool(consumer.commits), what="a commit of the new assignment")
    assert (consumer.commits, heads(producer)) == ([{ONE: 1}], ["0.0", "0.1", "1.0"])


def expired(metrics: Metrics) -> float | None:
    labels = {"input": "usage", "partition": "0"}
    return metrics.registry.get_sample_value("ebbwatch_expired_input_offsets_total", labels)


async def test_what_expired_while_it_was_read_is_passed_over_committed_and_counted_once(
    made: Made, metrics: Metrics
) -> None:
    """What was in flight is committed before; the client repeats its error before it is heard."""
    _, consumer, producer = made
    producer.gate = asyncio.Event()
    consumer.polls.append({ZERO: [batch(ZERO, 0, 1), batch(ZERO, 1, 1)]})
    await eventually(lambda: bool(producer.sent), what="records on their way")
    consumer.begins_at = 7
    consumer.errors += [OffsetOutOfRangeError({ZERO: 2}), OffsetOutOfRangeError({ZERO: 2})]
    await eventually(lambda: len(consumer.errors) == 1, what="a first error")
    assert (consumer.places[ZERO], expired(metrics)) == (2, 0)

    producer.gate.set()
    await eventually(lambda: len(consumer.commits) == 2, what="two commits")
    await eventually(lambda: not consumer.errors, what="the same error once more")
    consumer.polls.append({ZERO: [batch(ZERO, 7, 1)]})
    await eventually(lambda: len(consumer.commits) == 3, what="a third commit")

    assert consumer.commits == [{ZERO: 2}, {ZERO: 7}, {ZERO: 8}]
    assert (heads(producer), expired(metrics)) == (["0.0", "0.1", "0.7"], 5)


async def test_a_partition_that_is_not_taken_yet_is_waited_for(made: Made) -> None:
    """aiokafka asks for a position as soon as a partition is assigned, and the listener after."""
    _, consumer, producer = made
    consumer.errors.append(NoOffsetForPartitionError(ZERO))
    consumer.polls.append({ZERO: [batch(ZERO, 0, 1)]})
    await eventually(lambda: bool(consumer.commits), what="a commit")
    assert (consumer.commits, heads(producer)) == ([{ZERO: 1}], ["0.0"])


async def test_where_nothing_but_a_marker_stood_is_committed_once_nothing_is_in_flight(
    made: Made, metrics: Metrics
) -> None:
    _, consumer, _ = made
    consumer.polls.append({ZERO: [batch(ZERO, 0, 1)]})
    await eventually(lambda: bool(consumer.commits), what="a commit of a record")
    consumer.places[ZERO] = 2
    await eventually(lambda: len(consumer.commits) == 2, what="a commit of the marker")
    asked = consumer.asked
    await eventually(lambda: consumer.asked > asked + 3, what="some more polls")

    assert (consumer.commits, expired(metrics)) == ([{ZERO: 1}, {ZERO: 2}], 0)


async def test_a_log_that_ends_before_what_is_wanted_is_taken_anew(made: Made) -> None:
    """Its id is asked for then, which tells whether it is another topic."""
    bridge, consumer, _ = made
    consumer.places[ZERO] = 12
    consumer.errors.append(OffsetOutOfRangeError({ZERO: 12}))
    first = consumer.listener
    consumer.listener = None
    await eventually(lambda: consumer.listener is first, what="a consumer that starts anew")
    await eventually(bridge.standing, what="a bridge that carries")
