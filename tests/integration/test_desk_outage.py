"""What the desk survives of Kafka: a freeze, and a log that is deleted as it grows old."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from schemas import topics
from services import local
from services.snapshots import bounds
from tests.integration.deployment import Deployment
from tests.integration.desk import (
    Person,
    answered,
    append,
    configure,
    person,
    place,
    raised,
    receiving,
    some,
)
from tests.platform import eventually, free_ports, require_jars

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@dataclass
class Broker:
    """A Kafka that may be frozen."""

    folder: Path
    ports: local.Ports
    address: str = ""
    pid: int = 0

    def up(self) -> None:
        elsewhere = {"EBBWATCH_REDIS_URL": "redis://not-asked-for:1/0"}
        jars = require_jars()
        self.address = local.up(self.folder, ports=self.ports, jars=jars, environ=elsewhere).kafka
        self.pid = local.status(self.folder, ports=self.ports, environ=elsewhere)[0].pid or 0

    def down(self) -> None:
        local.down(self.folder)

    def tell(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        assert self.pid > 1
        os.kill(self.pid, number)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    made = Broker(tmp_path_factory.mktemp("broker"), free_ports())
    made.up()
    yield made
    made.down()


@pytest.fixture
def deployment(broker: Broker, valkey: str, tmp_path: Path) -> Iterator[Deployment]:
    settings = {"EBBWATCH_ALERTS_RETRY_SCALE": "0.001"}
    made = Deployment(broker.address, tmp_path, settings=settings, redis_url=valkey)
    yield made
    made.stop()


async def test_a_stop_takes_less_than_ten_seconds_though_kafka_is_frozen(
    deployment: Deployment, broker: Broker
) -> None:
    accounts = [f"acct_{number}" for number in range(100)]
    async with receiving() as receiver:
        receiver.delay = 2.0
        configure(deployment, {"crm": receiver.url})
        await asyncio.to_thread(deployment.prepare)
        key = await asyncio.to_thread(deployment.key)
        deployment.start("alerts")
        deployment.start("ingest")
        async with person(deployment) as kim:
            await kim.ready()
            await eventually(partial(takes, kim, deployment, key), within=30, what="ingest")
            await append(deployment, [raised(one) for one in accounts])
            await some(receiver, 16)
            broker.tell(signal.SIGSTOP)
            try:
                sending = asyncio.ensure_future(takes(kim, deployment, key))
                # Those that were under way have come to appending what became of them.
                await eventually(lambda: receiver.ended >= 16, what="their answers")
                ends = [
                    asyncio.to_thread(deployment.end, f"{one}-0") for one in ("alerts", "ingest")
                ]
                assert await asyncio.gather(*ends) == [0, 0]
                await asyncio.wait({sending})
            finally:
                broker.tell(signal.SIGCONT)
            receiver.delay = 0.0
            deployment.start("alerts")
            await some(receiver, len(accounts))
            await eventually(lambda: answered(kim), within=60, what="every answer")
        assert Counter(receiver.told().values()) == Counter(accounts)


async def takes(kim: Person, deployment: Deployment, key: str) -> bool:
    """Tell whether ingest takes an event."""
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "crm",
        "type": "usage.recorded",
        "subject": "acme",
        "data": {"metric": "api_calls", "quantity": 1},
    }
    url = f"http://127.0.0.1:{deployment.ingest_port}/v1/events"
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/cloudevents+json"}
    try:
        async with kim.client.post(url, json=event, headers=headers) as answer:
            return answer.status < 300
    except (OSError, TimeoutError):
        return False


async def test_a_log_that_is_deleted_to_its_end_because_it_is_old_is_gone_on_with(
    deployment: Deployment,
) -> None:
    configure(deployment, {})
    await asyncio.to_thread(deployment.prepare)
    deployment.start("alerts")
    async with person(deployment) as kim:
        await kim.ready()
        # The marker of the transaction comes last, behind all records.
        await append(deployment, [raised("acme"), raised("acme", alert_id="s", shadow=True)])
        await eventually(kim.cases, what="the case")
        await eventually(lambda: answered(kim), what="its notice to be closed")
        await append(deployment, [raised("acme", alert_id="t", shadow=True)])
        await eventually(partial(has_alerts, kim, 3), what="the last alert")
        assert deployment.end("alerts-0") == 0
        await retain_nothing(deployment, place("acme"))
        process = deployment.start("alerts")
        await kim.ready()
        await append(deployment, [raised("acme", alert_id="u")])
        await eventually(partial(has_alerts, kim, 4), what="what comes after it")
        assert process.poll() is None


async def has_alerts(kim: Person, count: int) -> bool:
    types = [one["type"] for one in await kim.timeline("acme")]
    return types.count("alert.raised") == count


async def retain_nothing(deployment: Deployment, number: int) -> None:
    """Delete all that a partition of the alert log holds."""
    log = topics.full_name(topics.ALERTS, deployment.prefix)
    end = (await bounds(deployment.kafka, log, number, -1)).end
    admin = AIOKafkaAdminClient(bootstrap_servers=deployment.kafka)
    await admin.start()
    await admin.delete_records({TopicPartition(log, number): RecordsToDelete(before_offset=end)})
    await admin.close()
    assert (await bounds(deployment.kafka, log, number, -1)).start == end
