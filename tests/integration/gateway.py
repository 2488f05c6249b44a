"""A live deployment with one input topic: events in by every way, and what is counted of them."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from schemas import topics
from schemas.envelope import Entry, encode
from schemas.rejects import Reject
from services.commands.replaying import Replaying
from services.partitioning import partition_of
from services.runtime import load_settings
from services.settings import ServiceSettings
from tests.integration.deployment import Deployment
from tests.integration.ingesting import produce
from tests.platform import create_topics, eventually

PARTITIONS = 4
INPUTS = '[input.gateway]\ntopic = "{topic}"\nformat = "cloudevents"\nsource = "/gateway"\n'


def usage(id: str, subject: str | None, seconds: float = 0, **changes: Any) -> dict[str, Any]:
    """An event so many seconds ahead of the clock; refused from 600 on, until they have passed."""
    fields = {
        "specversion": "1.0",
        "id": id,
        "source": "/gateway",
        "type": "usage.recorded",
        "subject": subject,
        "time": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
        "data": {"metric": "api_calls", "quantity": 1},
    }
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


class Live:
    """A deployment with one input, its services running.

    Args:
        deployment: Its topics and processes.
        topic: The input topic.
    """

    def __init__(self, deployment: Deployment, topic: str) -> None:
        self.deployment = deployment
        self.topic = topic
        self.key = deployment.key()

    async def post(self, *events: Mapping[str, Any]) -> int:
        """Send events over HTTP; return how many are accepted."""
        url = f"http://127.0.0.1:{self.deployment.ingest_port}/v1/events"
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.post(url, data=msgspec.json.encode(events)) as answer,
        ):
            return int((await answer.json())["accepted"])

    async def produce(self, *values: object) -> None:
        """Write records into partition 0 of the input topic."""
        await produce(self.deployment.kafka, self.topic, [msgspec.json.encode(v) for v in values])

    async def write(self, entry: Entry) -> None:
        """Write an entry straight into the log, as no ingest would."""
        number = partition_of(entry.subjects[0].partition(":")[2], PARTITIONS)
        await self._send(topics.EVENTS, encode([entry]), number)

    async def refuse(self, reject: Reject) -> None:
        """Write a refusal as an earlier version did."""
        await self._send(topics.REJECTS, msgspec.json.encode(reject), 0)

    async def _send(self, topic: topics.Topic, value: bytes, partition: int) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.deployment.kafka)
        await producer.start()
        try:
            name = topics.full_name(topic, self.deployment.prefix)
            await producer.send_and_wait(name, value, partition=partition)
        finally:
            await producer.stop()

    def refused(self, *more: str) -> list[dict[str, Any]]:
        """Return what `rejects list` lists, the oldest first."""
        # What is refused may hold any character at which `splitlines` splits.
        lines = self.deployment.ebbwatch("rejects", "list", "--json", *more).split("\n")
        return [json.loads(line) for line in reversed(lines) if line]

    def replay(self, *more: str, code: int = 0) -> list[str]:
        """Replay; return the lines printed."""
        told = self.deployment.ebbwatch("rejects", "replay", "--yes", *more, code=code)
        return told.splitlines()

    def replaying(self) -> Replaying:
        """Return the work of a replay, to be cut off where a test wants."""
        settings = load_settings(
            ServiceSettings,
            {k: v for k, v in self.deployment.environ.items() if k.startswith("EBBWATCH_")},
        )
        return Replaying(settings, datetime.now(UTC))

    def counts(self) -> dict[str, float]:
        """Return how much usage each account has in all."""
        return {
            id: sum(line["buckets"].get("api_calls", {}).values())
            for id, line in self.deployment.accounts().items()
        }

    async def counted(self, **wanted: float) -> None:
        """Wait until accounts have so much usage, and all that is in the log is folded."""
        found: dict[str, float] = {}

        def there() -> bool:
            found.update(self.counts())
            return found == wanted

        with contextlib.suppress(pytest.fail.Exception):
            await eventually(there, within=40)
        assert found == wanted


@contextlib.asynccontextmanager
async def started(
    kafka: str, folder: Path, redis_url: str = "redis://127.0.0.1:1/0"
) -> AsyncIterator[Live]:
    """Start a deployment with ingest and a detector, as long as the block lasts."""
    deployment = Deployment(kafka, folder, PARTITIONS, redis_url=redis_url)
    topic = f"{deployment.prefix}gateway"
    await create_topics(kafka, topic, partitions=2)
    company = folder / "company"
    company.mkdir()
    (company / "inputs.toml").write_text(INPUTS.format(topic=topic))
    deployment.environ["EBBWATCH_CONFIG_DIR"] = str(company)
    deployment.environ["EBBWATCH_INGEST_TICK_SECONDS"] = "1"
    deployment.environ["EBBWATCH_INGEST_SESSION_SECONDS"] = "6"
    try:
        deployment.prepare()
        for service in ("ingest", "detector"):
            deployment.start(service)
        yield Live(deployment, topic)
    finally:
        deployment.stop()


async def recreate(kafka: str, topic: str, partitions: int = 2) -> None:
    """Delete a topic and make it again, empty."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await eventually(gone)
    finally:
        await admin.close()
    await create_topics(kafka, topic, partitions=partitions)
