"""What Kafka deletes of an input before the bridge has read it is seen, and counted once."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from schemas.config import Input
from services.commands.input_state import states
from services.commands.inputs import lines
from services.commands.kafka_facts import asking
from services.ingest import bridge as module
from services.ingest.bridge import Bridge
from services.ingest.expiry import REMEDY
from services.ingest.markers import Marks
from services.ingest.metrics import Metrics
from services.ingest.rejects import Rejects
from services.ingest.seen import Seen
from services.publishing.publisher import Publisher
from services.runtime import Health
from tests.integration.ingesting import Deployment, Process, counted, deployment, event, produce
from tests.platform import create_topics, eventually
from tests.unit.ingest.builders import FakeProducer

pytestmark = pytest.mark.integration

METRIC = "ebbwatch_expired_input_offsets_total"


@pytest.fixture
async def ours(kafka: str, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with deployment(kafka, tmp_path) as made:
        yield made


async def usage_topic(ours: Deployment) -> str:
    name = f"{ours.prefix}usage"
    await create_topics(ours.kafka, name)
    await ours.set_rules(1, {"gateway": name})
    return name


def text(*ids: str) -> list[bytes]:
    return [json.dumps(event(id)).encode() for id in ids]


async def arrived(ours: Deployment, *ids: str) -> bool:
    return counted(await ours.entries()) == dict.fromkeys(ids, 1)


async def delete_before(kafka: str, topic: str, offset: int) -> None:
    """Do what retention does; -1 for all there is."""
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(offset)})
    finally:
        await admin.close()


async def listed(ours: Deployment) -> list[str]:
    """Return what `ebbwatch inputs list` says of the one input, but for its first line."""
    async with asking(ours.kafka) as kafka:
        (state,) = await states(kafka, await ours.config.read(), ours.prefix)
    return lines(state)[1:]


async def kept(ours: Deployment, topic: str) -> int | None:
    """Return up to where Kafka keeps the input as read."""
    async with asking(ours.kafka) as kafka:
        return (await kafka.committed(f"{ours.prefix}ingest")).get(TopicPartition(topic, 0))


async def expired(ingest: Process) -> float | None:
    text = str((await ingest.ask("/metrics"))[1])
    found = [line for line in text.splitlines() if line.startswith(f"{METRIC}{{")]
    name = f'{METRIC}{{input="gateway",partition="0"}} '
    return float(found[0].removeprefix(name)) if found else None


def told(ingest: Process) -> list[dict[str, object]]:
    """Return what the log says of it, without time and the like."""
    said = [line for line in ingest.log.read_text().splitlines() if "expired unread" in line]
    names = ("event", "input", "topic", "partition", "first_offset", "last_offset", "offsets")
    found = [json.loads(line) for line in said]
    assert {line["remedy"] for line in found} <= {REMEDY}
    return [{name: line[name] for name in names} for line in found]


@pytest.mark.parametrize(
    "left, first, last",
    [
        (("5",), 2, 3),
        # nothing is left that could be forwarded, and nothing more is written
        ((), 2, 4),
    ],
)
async def test_what_expired_while_ingest_was_away_is_counted_by_the_next_one_only(
    ours: Deployment, left: tuple[str, ...], first: int, last: int
) -> None:
    topic = await usage_topic(ours)
    await produce(ours.kafka, topic, text("1", "2"))
    before = await ours.live()
    await eventually(lambda: arrived(ours, "1", "2"), within=30)
    assert (await expired(before), told(before)) == (0, [])
    assert await before.end() == 0
    await produce(ours.kafka, topic, text("3", "4", "5"))
    await delete_before(ours.kafka, topic, last + 1)
    gone = last + 1 - first
    assert await listed(ours) == [
        f"    {gone} records expired before they were read",
        f"    partition 0: holds {last + 1} to 5, read up to 2",
    ]

    ingest = await ours.live()
    await eventually(lambda: expired(ingest), within=30, what="a count of what expired")

    line = {"event": "records expired unread", "input": "gateway", "topic": topic, "partition": 0}
    line |= {"first_offset": first, "last_offset": last, "offsets": gone}
    assert (await expired(ingest), told(ingest)) == (gone, [line])
    await eventually(lambda: arrived(ours, "1", "2", *left), within=30)

    async def all_kept() -> bool:
        return await kept(ours, topic) == 5

    await eventually(all_kept, within=30, what="an offset behind what expired")
    assert await listed(ours) == []
    assert await ingest.end() == 0
    await produce(ours.kafka, topic, text("6"))
    after = await ours.live()
    await eventually(lambda: arrived(ours, "1", "2", *left, "6"), within=30)
    assert (await expired(after), told(after)) == (0, [])


async def test_a_new_source_that_has_lost_its_beginning_counts_nothing(ours: Deployment) -> None:
    topic = await usage_topic(ours)
    await produce(ours.kafka, topic, text("1", "2", "3"))
    await delete_before(ours.kafka, topic, 2)

    ingest = await ours.live()
    await eventually(lambda: arrived(ours, "3"), within=30)

    assert (await expired(ingest), told(ingest)) == (0, [])


async def test_the_marker_of_a_transaction_that_expires_behind_what_was_read_is_no_loss(
    ours: Deployment,
) -> None:
    topic = await usage_topic(ours)
    producer = AIOKafkaProducer(bootstrap_servers=ours.kafka, transactional_id=f"{ours.prefix}tx")
    await producer.start()
    try:
        async with producer.transaction():
            for value in text("1", "2"):
                await producer.send(topic, value, partition=0)
    finally:
        await producer.stop()
    before = await ours.live()

    async def passed() -> bool:
        return await kept(ours, topic) == 3

    await eventually(passed, within=30, what="an offset behind the marker")
    assert await arrived(ours, "1", "2")
    assert await before.end() == 0
    await delete_before(ours.kafka, topic, -1)
    assert await listed(ours) == []

    ingest = await ours.live()
    await produce(ours.kafka, topic, text("3"))
    await eventually(lambda: arrived(ours, "1", "2", "3"), within=30)

    assert (await expired(ingest), told(ingest)) == (0, [])


class Polling(AIOKafkaConsumer):  # type: ignore[misc]
    """Remembers what the last poll returned."""

    polled: Mapping[TopicPartition, list[Any]] = MappingProxyType({})

    async def getmany(self, *partitions: Any, **limits: Any) -> Mapping[TopicPartition, list[Any]]:
        self.polled = await super().getmany(*partitions, **limits)
        return self.polled


async def test_what_expires_while_the_bridge_is_held_up_is_counted_and_it_goes_on(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, producer, metrics = f"t{uuid4().hex[:12]}.usage", FakeProducer(), Metrics()
    part = TopicPartition(topic, 0)
    consumers: list[Polling] = []

    def consumer(**settings: Any) -> Polling:
        consumers.append(Polling(**settings))
        return consumers[-1]

    monkeypatch.setattr(module, "AIOKafkaConsumer", consumer)
    await create_topics(kafka, topic)
    producer.gate = asyncio.Event()
    async with bridging(kafka, topic, producer, metrics):
        await eventually(lambda: consumers and consumers[0].assignment(), within=30)
        await produce(kafka, topic, text("0"))

        def held_up() -> bool:
            return bool(producer.sent) and not consumers[0].polled

        await eventually(held_up, within=30, what="a bridge that waits for its first record")
        # What aiokafka has fetched beforehand is not lost; it fetches no more until it is taken.
        await produce(kafka, topic, text("1"))
        await eventually(lambda: consumers[0].highwater(part) == 2, what="a second one fetched")
        await produce(kafka, topic, text(*"23456789"))
        await delete_before(kafka, topic, 8)

        producer.gate.set()
        await eventually(lambda: ids(producer)[-1] == "9", within=30, what="the newest record")
        value = metrics.registry.get_sample_value
        labels = {"input": "gateway", "partition": "0"}
        await eventually(lambda: value(METRIC, labels), what="a count of what expired")

        assert (ids(producer), value(METRIC, labels)) == (["0", "1", "8", "9"], 6)

        async def all_kept() -> bool:
            return bool(await consumers[0].committed(part) == 10)

        await eventually(all_kept, what="an offset behind the newest record")
    assert len(consumers) == 1


def ids(producer: FakeProducer) -> list[str]:
    return [entry.id for entry in producer.entries()]


@contextlib.asynccontextmanager
async def bridging(
    kafka: str, topic: str, producer: FakeProducer, metrics: Metrics
) -> AsyncIterator[None]:
    """Run a bridge over a real input; what it publishes goes to a producer that a test leads."""
    publisher = Publisher(producer, "events.v1", 1)
    await publisher.start()
    marks = Marks(producer, "config.v1", lambda error: pytest.fail(str(error)))
    made = Bridge(
        *(kafka, f"{topic}-group", publisher, Rejects(producer, "rejects.v1"), Seen(), metrics),
        *(Health(), lambda: int(time.time() * 1e6), 100, 10.0, dict, marks),
    )
    made.configure({"gateway": Input(topic=topic, format="cloudevents", source="/api")})
    running = asyncio.create_task(made.run())
    try:
        yield
    finally:
        if producer.gate is not None:
            producer.gate.set()
        made.stop()
        await running
        await publisher.stop()
