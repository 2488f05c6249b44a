"""What the desk survives: kill -9 between two steps of a delivery, a stop while one hangs."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import cases, topics
from schemas.cases import NoticeDelivered, NoticeIntended
from services.snapshots import messages
from tests.integration.deployment import PARTITIONS, Deployment
from tests.integration.desk import (
    answered,
    append,
    configure,
    person,
    raised,
    receiving,
    some,
)
from tests.platform import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture
def deployment(kafka: str, valkey: str, tmp_path: Path) -> Iterator[Deployment]:
    settings = {"EBBWATCH_ALERTS_RETRY_SCALE": "0.001"}
    made = Deployment(kafka, tmp_path, settings=settings, redis_url=valkey)
    yield made
    made.stop()


async def test_killed_between_intent_and_send_and_between_send_and_outcome_all_is_sent(
    deployment: Deployment,
) -> None:
    accounts = [f"acct_{number}" for number in range(6)]
    async with receiving() as receiver:
        # The first one is held, and all others wait for it: intended, and not sent.
        receiver.delay = 60.0
        configure(deployment, {"crm": receiver.url})
        deployment.environ["EBBWATCH_ALERTS_SENDS_PER_CHANNEL"] = "1"
        await asyncio.to_thread(deployment.prepare)
        deployment.start("alerts")
        async with person(deployment) as kim:
            await kim.ready()
            await append(deployment, [raised(one) for one in accounts])

            async def intended() -> bool:
                return len(await noted(deployment)) == len(accounts)

            await eventually(intended, within=20, what="every intent")
            await some(receiver, 1)
            deployment.kill("alerts-0")
            assert {*map(type, await noted(deployment))} == {NoticeIntended}
            assert len(receiver.bodies) == 1
            (held,) = receiver.bodies
            receiver.delay = 0.0
            deployment.start("alerts")
            await some(receiver, len(accounts))
            await kim.ready()
            await eventually(lambda: answered(kim), within=20, what="every answer")
        assert Counter(receiver.told().values()) == Counter(accounts)
        assert {id: len(bodies) for id, bodies in receiver.bodies.items() if id != held} == (
            dict.fromkeys(receiver.bodies.keys() - {held}, 1)
        )
        assert (len(receiver.bodies[held]), len(set(receiver.bodies[held]))) == (2, 1)
        # Nobody was intended, or answered for, twice.
        assert Counter((one.case, type(one)) for one in await noted(deployment)) == Counter(
            (one, type_) for one in accounts for type_ in (NoticeIntended, NoticeDelivered)
        )


async def noted(deployment: Deployment) -> list[cases.Notice]:
    """Return what the log says of deliveries."""
    topic = topics.full_name(topics.ALERTS, deployment.prefix)
    found = []
    for number in range(PARTITIONS):
        async for _, _, value in messages(deployment.kafka, topic, number, 0, 1 << 40):
            record = cases.decode(value or b"")
            if isinstance(record, cases.Notice):
                found.append(record)
    return found


async def test_a_stop_takes_less_than_ten_seconds_though_an_endpoint_hangs(
    deployment: Deployment,
) -> None:
    accounts = [f"acct_{number}" for number in range(100)]
    async with receiving() as receiver:
        receiver.delay = 14.0
        configure(deployment, {"crm": receiver.url})
        await asyncio.to_thread(deployment.prepare)
        deployment.start("alerts")
        async with person(deployment) as kim:
            await kim.ready()
            async with kim.client.get(f"{kim.url}/api/v1/stream") as stream:
                await append(deployment, [raised(one) for one in accounts])
                # Of one channel so many attempts are made at once.
                await some(receiver, 16)
                assert await asyncio.to_thread(deployment.end, "alerts-0") == 0
                assert await stream.content.read() != b""
            receiver.delay = 0.0
            deployment.start("alerts")
            await some(receiver, len(accounts))
            await eventually(lambda: answered(kim), within=20, what="every answer")
        assert Counter(receiver.told().values()) == Counter(accounts)
        # What was under way is repeated under its id.
        assert Counter(map(len, receiver.bodies.values())) == {1: len(accounts) - 16, 2: 16}
