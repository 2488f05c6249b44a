"""Whatever is killed, frozen or joins: every acknowledged event and every alert counts once."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas import topics
from services.detector.calendars import to_day
from tests.integration.deployment import PARTITIONS, Deployment, recount
from tests.platform import create_topics, eventually

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


def failed_payment(account: str, attempt: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"{account}-{attempt}",
        "source": "/billing",
        "type": "payment.failed",
        "subject": account,
        "time": datetime.now(UTC).isoformat(),
        "data": {"payment": "in_1"},
    }


async def post(client: aiohttp.ClientSession, url: str, batch: list[dict[str, Any]]) -> None:
    """Post until it is acknowledged, as every producer that must not lose anything does."""

    async def acknowledged() -> bool:
        try:
            async with client.post(url, data=encode(batch)) as answer:
                return answer.status in {200, 202}
        except aiohttp.ClientError:
            return False

    await eventually(acknowledged, within=60, what="a batch to be acknowledged")


async def feed(
    deployment: Deployment, key: str, events: list[dict[str, Any]], topic: str | None = None
) -> AsyncIterator[int]:
    """Send events, half of them over the input topic if there is one; yields progress."""
    url = f"http://127.0.0.1:{deployment.ingest_port}/v1/events"
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/cloudevents-batch+json",
    }
    producer = AIOKafkaProducer(bootstrap_servers=deployment.kafka, acks="all")
    await producer.start()
    timeout = aiohttp.ClientTimeout(total=15)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as client:
        for begin in range(0, len(events), 100):
            batch = events[begin : begin + 100]
            over_http = [e for e in batch if topic is None or e["source"] != "/gateway-1"]
            for event in batch:
                if event not in over_http and topic is not None:
                    await producer.send(topic, encode(event), key=event["subject"].encode())
            await post(client, url, over_http)
            yield begin
    await producer.stop()


def raised(deployment: Deployment) -> Counter[tuple[str, str]]:
    return Counter(
        (record["account"], record["rule"])
        for record in deployment.alerts()
        if record["type"] == "alert.raised"
    )


def with_failures(events: list[dict[str, Any]], every: int) -> Counter[tuple[str, str]]:
    """Put two failures of one payment into the stream here and there; return the alerts due."""
    due: Counter[tuple[str, str]] = Counter()
    for number, place in enumerate(range(every, len(events), every)):
        account = f"payer_{number}"
        events[place:place] = [failed_payment(account, attempt) for attempt in (1, 2)]
        due[account, "payment-failed"] = 1
    return due


async def test_killed_at_random_ingest_and_detector_count_every_event_once(
    deployment: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    topic = f"{deployment.prefix}usage"
    company = deployment.folder / "company"
    company.mkdir()
    (company / "inputs.toml").write_text(
        f'[input.usage]\ntopic = "{topic}"\nformat = "cloudevents"\nsource = "/gateway-1"\n'
    )
    deployment.environ["EBBWATCH_CONFIG_DIR"] = str(company)
    await create_topics(deployment.kafka, topic, partitions=4)
    await asyncio.to_thread(deployment.prepare)
    key = await asyncio.to_thread(deployment.key)
    for service in ("ingest", "detector"):
        deployment.start(service)
    events = [usage(rng, number) for number in range(12_000)]
    due = with_failures(events, every=600)
    strike = rng.randrange(800, 2000)
    async for sent in feed(deployment, key, events, topic):
        if sent >= strike:
            victim = rng.choice(["ingest", "detector"])
            deployment.kill(f"{victim}-0")
            deployment.start(victim)
            strike = sent + rng.randrange(2000, 3500)
            if "detector-1" not in deployment.processes and sent > 5000:
                deployment.start("detector", 1)
    wanted = recount(events, TODAY)
    assert await deployment.counted(wanted, within=90) == wanted
    await eventually(
        lambda: sum(raised(deployment).values()) >= sum(due.values()),
        within=30,
        what="every alert",
    )
    assert raised(deployment) == due


async def test_a_frozen_detector_is_fenced_and_its_successor_counts_on(
    deployment: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    await asyncio.to_thread(deployment.prepare)
    key = await asyncio.to_thread(deployment.key)
    deployment.start("ingest")
    first = deployment.start("detector", 0)
    events = [usage(rng, number) for number in range(6_000)]
    loaded = asyncio.get_running_loop().time() + 60
    async for sent in feed(deployment, key, events):
        if sent == 1000:
            await counting(deployment, loaded)
            deployment.start("detector", 1)
        if sent == 3000:
            first.send_signal(signal.SIGSTOP)
            thawing = asyncio.get_running_loop().call_later(15, thaw, first)
    wanted = recount(events, TODAY)
    assert await deployment.counted(wanted, within=90) == wanted
    await eventually(lambda: thawing.when() < asyncio.get_running_loop().time(), within=20)
    await eventually(lambda: first.poll() is not None, within=30, what="the woken one to end")
    assert first.returncode == 70
    assert await deployment.counted(wanted) == wanted


async def counting(deployment: Deployment, deadline: float) -> None:
    """Wait until the detector has written a snapshot."""
    within = deadline - asyncio.get_running_loop().time()
    await eventually(lambda: bool(deployment.accounts()), within=within, what="a snapshot")


def thaw(process: Any) -> None:
    process.send_signal(signal.SIGCONT)


async def test_a_committed_offset_moved_ahead_by_hand_changes_nothing(
    deployment: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    await asyncio.to_thread(deployment.prepare)
    key = await asyncio.to_thread(deployment.key)
    deployment.start("ingest")
    deployment.start("detector")
    events = [usage(rng, number) for number in range(1_500)]
    async for _ in feed(deployment, key, events[:1_000]):
        pass
    early = recount(events[:1_000], TODAY)
    assert await deployment.counted(early) == early
    assert deployment.end("detector-0") == 0
    async for _ in feed(deployment, key, events[1_000:]):
        pass
    await commit_ends(deployment)
    deployment.start("detector")
    wanted = recount(events, TODAY)
    assert await deployment.counted(wanted) == wanted


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
