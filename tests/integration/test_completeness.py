"""What ticks say of the inputs, and days that wait for them, on a real broker (design.md §4)."""

import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from schemas.config import Input, RuleSetContent
from schemas.envelope import Entry, Origin, account, encode
from schemas.events import ClockTicked, Event, RulesApplied, UsageRecorded
from services.partitioning import partition_of
from tests.integration import ingesting
from tests.integration.deployment import Deployment
from tests.integration.ingesting import event, produce
from tests.platform import create_topics, eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
PARTITIONS = 2


@pytest.fixture
async def ours(kafka: str, tmp_path: Path) -> AsyncIterator[ingesting.Deployment]:
    async with ingesting.deployment(kafka, tmp_path) as made:
        yield made


def now_us() -> int:
    return round(time.time() * 1e6)


def text(id: str) -> bytes:
    return json.dumps(event(id)).encode()


async def ticks(ours: ingesting.Deployment) -> list[tuple[str, dict[str, int]]]:
    """Return what ticks say of inputs, in order, each with the replica that says it."""
    entries = (await ours.entries())[0]
    return [
        (one.id.removeprefix("tick-").rpartition("-")[0], one.event.complete_until)
        for one in entries
        if isinstance(one.event, ClockTicked)
    ]


async def newest(ours: ingesting.Deployment, key: str, since: int) -> dict[str, int] | None:
    """Return what the newest tick says, once a partition is complete since some time."""
    _, complete = (await ticks(ours))[-1]
    return complete if complete.get(key, 0) > since else None


async def test_what_waits_behind_an_open_transaction_is_not_complete(
    ours: ingesting.Deployment,
) -> None:
    topic = f"{ours.prefix}usage"
    await create_topics(ours.kafka, topic, partitions=2)
    await ours.set_rules(1, {"gateway": topic})
    await ours.live()
    await eventually(lambda: newest(ours, "gateway/1", 0), within=30)
    producer = AIOKafkaProducer(bootstrap_servers=ours.kafka, transactional_id=f"{topic}-held")
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait(topic, text("held"), partition=1)
            held = now_us()
            await produce(ours.kafka, topic, [text("behind")], partition=1)
            # three seconds of ticks, on each of which the other partition is complete until now
            late = await eventually(lambda: newest(ours, "gateway/0", held + 3_000_000), within=30)
            assert late is not None
            assert late["gateway/1"] < held
    finally:
        await producer.stop()
    committed = now_us()
    await eventually(lambda: newest(ours, "gateway/1", committed), within=30)
    kept = [one.id for part in await ours.entries() for one in part if one.origin is not None]
    assert kept == ["held", "behind"]


async def test_an_input_that_is_stopped_is_not_told_complete(ours: ingesting.Deployment) -> None:
    """Its topic was created anew: nobody can say what is missing."""
    topic, other = f"{ours.prefix}usage", f"{ours.prefix}other"
    await create_topics(ours.kafka, topic, other)
    await ours.set_rules(1, {"gateway": topic, "other": other})
    await produce(ours.kafka, topic, [text("1"), text("2")])
    first = await ours.live()
    await eventually(lambda: newest(ours, "gateway/0", 0), within=30)
    assert await first.end() == 0
    before = len(await ticks(ours))
    admin = AIOKafkaAdminClient(bootstrap_servers=ours.kafka)
    await admin.start()
    try:
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await eventually(gone)
    finally:
        await admin.close()
    await create_topics(ours.kafka, topic)
    begun = now_us()
    await ours.live()
    await eventually(lambda: newest(ours, "other/0", begun + 2_000_000), within=30)
    assert {key for _, said in (await ticks(ours))[before:] for key in said} == {"other/0"}


async def test_only_the_replica_that_owns_a_partition_speaks_of_it(
    ours: ingesting.Deployment,
) -> None:
    topic = f"{ours.prefix}usage"
    await create_topics(ours.kafka, topic)
    await ours.set_rules(1, {"gateway": topic})
    replicas = [await ours.live(), await ours.live()]

    async def settled() -> dict[str, set[str]] | None:
        """Return what each of two replicas said in its last two ticks."""
        said: dict[str, list[dict[str, int]]] = {}
        for replica, complete in (await ticks(ours))[-8:]:
            said.setdefault(replica, []).append(complete)
        keys = {
            replica: {key for one in every[-2:] for key in one} for replica, every in said.items()
        }
        return keys if sorted(keys.values(), key=len) == [set(), {"gateway/0"}] else None

    found = await eventually(settled, within=30, what="one owner of the partition")
    assert found is not None
    for replica in replicas:
        await replica.end(signal.SIGKILL)
    begun = now_us()
    await ours.live()
    assert await eventually(lambda: newest(ours, "gateway/0", begun), within=30)


class Days:
    """A detector on a log of past days, written as ingest would have, and what came of them."""

    def __init__(self, kafka: str, folder: Path) -> None:
        self.deployment = Deployment(kafka, folder, PARTITIONS)
        self.partition = partition_of("acme", PARTITIONS)
        self.first = datetime.now(UTC).date() - timedelta(days=20)

    def at(self, day: int, hour: float) -> int:
        """Return an hour of a day of the story, microseconds."""
        begins = datetime.combine(self.day(day), datetime.min.time(), UTC)
        return round(begins.timestamp() * 1e6 + hour * HOUR_US)

    def day(self, number: int) -> date:
        return self.first + timedelta(days=number)

    async def append(self, *entries: Entry) -> int:
        """Append one message; return its offset."""
        producer = AIOKafkaProducer(bootstrap_servers=self.deployment.kafka)
        await producer.start()
        try:
            topic = f"{self.deployment.prefix}events.v1"
            sent = await producer.send_and_wait(topic, encode(entries), partition=self.partition)
            return int(sent.offset)
        finally:
            await producer.stop()

    async def tick(self, day: int, hours: tuple[float, float], until: int) -> None:
        """Append a tick every ten minutes, and wait until they are in the snapshot."""
        first, last = (round(hour * 6) for hour in hours)
        offset = await self.append(*self.steps(day, range(first, last + 1), until))
        await eventually(lambda: self.shown()["stamp"] >= offset, within=30, what="a flush")

    def steps(self, day: int, steps: range, until: int) -> Iterator[Entry]:
        seen = {"usage": [self.at(each, 12) // HOUR_US for each in range(day + 1)]}
        for step in steps:
            at = self.at(day, step / 6)
            event = ClockTicked(
                at=at, mode="live", complete_until={"usage/3": min(until, at)}, seen=seen
            )
            yield Entry(f"tick-a-{at}", "ebbwatch", at, (), event)

    def shown(self) -> dict[str, Any]:
        found = self.deployment.accounts().get("acme")
        return {"stamp": -1} if found is None else found


@pytest.fixture
def days(kafka: str, tmp_path: Path) -> Iterator[Days]:
    made = Days(kafka, tmp_path)
    made.deployment.prepare()
    made.deployment.start("detector")
    yield made
    made.deployment.stop()


def _rules() -> Event:
    inputs = {"usage": Input(topic="usage", format="cloudevents", source="usage")}
    content = msgspec.json.encode(RuleSetContent(rules=[], inputs=inputs)).decode()
    return RulesApplied(n=1, content=content)


def _judged(line: dict[str, Any]) -> tuple[str | None, dict[str, str]]:
    return line["judged"], line["states"]


async def test_a_day_waits_for_a_lagging_input_and_after_six_hours_is_masked(days: Days) -> None:
    usage = UsageRecorded(metric="api_calls", quantity=3)
    noon = days.at(0, 12)
    await days.append(
        Entry("rules", "ebbwatch", 0, (), _rules()),
        *days.steps(0, range(72, 73), noon),
        Entry("1", "usage", noon, (account("acme"),), usage, Origin("usage", 3, 1, 0)),
    )
    # the input lags from 20:00 on: its day, due at 02:00, is not judged at 05:00
    await days.tick(0, (12.2, 23.9), days.at(0, 20))
    await days.tick(1, (0, 5), days.at(0, 20))
    assert _judged(days.shown()) == (days.day(-1).isoformat(), {})

    days.deployment.kill("detector-0")
    days.deployment.start("detector")
    await days.append(
        Entry("2", "usage", days.at(0, 21), (account("acme"),), usage, Origin("usage", 3, 2, 0))
    )
    await days.tick(1, (5.2, 5.2), days.at(1, 5))
    assert _judged(days.shown()) == (days.day(0).isoformat(), {"api_calls": "warming_up"})
    assert days.shown()["buckets"] == {"api_calls": {days.day(0).isoformat(): 6}}

    # and stays behind: the next day is judged without it, six hours after it was due
    await days.tick(1, (5.3, 23.9), days.at(1, 5))
    await days.tick(2, (0, 7.9), days.at(1, 5))
    assert days.shown()["judged"] == days.day(0).isoformat()
    await days.tick(2, (8, 8), days.at(1, 5))
    assert _judged(days.shown()) == (days.day(1).isoformat(), {"api_calls": "no_data"})
