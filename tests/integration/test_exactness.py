"""A worker begins to read after its snapshot, whatever Kafka says. The rest: tests/faults."""

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import topics
from services.detector.calendars import to_day
from tests.integration.deployment import PARTITIONS, Deployment, recount
from tests.platform import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ACCOUNTS = 40
encode = msgspec.json.encode


@pytest.fixture
def deployment(kafka: str, tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(kafka, tmp_path)
    yield made
    made.stop()


def usage(rng: random.Random, number: int) -> dict[str, Any]:
    """One event; every tenth repeats the identity of an earlier one of the same account."""
    account = number % ACCOUNTS
    repeated = number > 10 * ACCOUNTS and rng.random() < 0.1
    identity = number - ACCOUNTS * rng.randrange(1, 5) if repeated else number
    return {
        "specversion": "1.0",
        "id": f"e-{identity}",
        "source": f"/gateway-{number % 2}",
        "type": "usage.recorded",
        "subject": f"acct_{account}",
        "time": NOW.isoformat(),
        "data": {"metric": "api_calls", "quantity": identity % 7 + 0.5, "person": f"p{number % 3}"},
    }


NOW = datetime.now(UTC)
TODAY = to_day(NOW.date())


async def post(client: aiohttp.ClientSession, url: str, batch: list[dict[str, Any]]) -> None:
    """Post until it is acknowledged, as every producer that must not lose anything does."""

    async def acknowledged() -> bool:
        try:
            async with client.post(url, data=encode(batch)) as answer:
                return answer.status in {200, 202}
        except aiohttp.ClientError:
            return False

    await eventually(acknowledged, within=60, what="a batch to be acknowledged")


async def feed(deployment: Deployment, key: str, events: list[dict[str, Any]]) -> None:
    url = f"http://127.0.0.1:{deployment.ingest_port}/v1/events"
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/cloudevents-batch+json",
    }
    timeout = aiohttp.ClientTimeout(total=15)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as client:
        for begin in range(0, len(events), 100):
            await post(client, url, events[begin : begin + 100])


async def test_a_committed_offset_moved_ahead_by_hand_changes_nothing(
    deployment: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    await asyncio.to_thread(deployment.prepare)
    key = await asyncio.to_thread(deployment.key)
    deployment.start("ingest")
    deployment.start("detector")
    events = [usage(rng, number) for number in range(1_500)]
    await feed(deployment, key, events[:1_000])
    early = recount(events[:1_000], TODAY)
    assert await deployment.counted(early) == early
    assert deployment.end("detector-0") == 0
    await feed(deployment, key, events[1_000:])
    await commit_ends(deployment)
    waiting = await behind(deployment)
    deployment.start("detector")
    wanted = recount(events, TODAY)
    assert await deployment.counted(wanted) == wanted
    # Ticks go on while it starts.
    assert 0 < waiting <= await caught_up(deployment)


async def behind(deployment: Deployment) -> int:
    """Return how many messages the log holds beyond the snapshots, of partitions with accounts."""
    events = topics.full_name(topics.EVENTS, deployment.prefix)
    told = await asyncio.to_thread(deployment.accounts)
    stamps = {TopicPartition(events, one["partition"]): one["stamp"] for one in told.values()}
    consumer = AIOKafkaConsumer(bootstrap_servers=deployment.kafka, group_id=None)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(list(stamps))
    finally:
        await consumer.stop()
    return sum(ends[part] - stamp - 1 for part, stamp in stamps.items())


async def caught_up(deployment: Deployment) -> int:
    """Return how many messages the detector says it had to catch up with."""
    url = f"http://127.0.0.1:{deployment.detector_ports[0]}/metrics"
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        lines = (await answer.text()).splitlines()
    name = "ebbwatch_caught_up_messages_total"
    return sum(round(float(line.split()[-1])) for line in lines if line.startswith(name))


async def commit_ends(deployment: Deployment) -> None:
    """Commit the log's end for the detector's group, as somebody's tool might."""
    events = topics.full_name(topics.EVENTS, deployment.prefix)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=deployment.kafka,
        group_id=f"{deployment.prefix}detector",
        enable_auto_commit=False,
    )
    await consumer.start()
    partitions = [TopicPartition(events, number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)

    async def committed() -> bool:
        # The ended worker is a static member until its session is over.
        try:
            await consumer.commit(ends)
        except Exception:
            return False
        return True

    await eventually(committed, within=30, what="the offsets to be committed")
    await consumer.stop()


async def test_another_partition_count_at_start_is_refused_with_the_remedy(
    deployment: Deployment,
) -> None:
    await asyncio.to_thread(deployment.prepare)
    deployment.start("ingest")
    deployment.start("detector")
    await eventually(
        lambda: "partitions owned" in deployment.log("detector-0"), within=30, what="a start"
    )
    assert deployment.end("detector-0") == 0
    deployment.environ["EBBWATCH_PARTITIONS"] = "4"
    process = deployment.start("detector")
    await eventually(lambda: process.poll() is not None, within=30, what="the refusal")
    assert process.returncode == 78
    assert "EBBWATCH_PARTITIONS" in deployment.log("detector-0")
