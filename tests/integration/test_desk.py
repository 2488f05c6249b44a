"""The desk against a real Kafka and a real Valkey: alert, case, webhook, people, and what fails."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from schemas import topics
from schemas.accounts import AccountDays, AccountSummary
from schemas.rejects import Reject
from services.snapshots import Record, load
from tests.integration.deployment import PARTITIONS, Deployment
from tests.integration.desk import (
    all_seen,
    append,
    append_accounts,
    configure,
    owned,
    person,
    place,
    raised,
    receiving,
    shared,
    write,
)
from tests.platform import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture
def deployment(kafka: str, valkey: str, tmp_path: Path) -> Iterator[Deployment]:
    settings = {"EBBWATCH_ALERTS_RETRY_SCALE": "0.001"}
    made = Deployment(kafka, tmp_path, settings=settings, redis_url=valkey)
    yield made
    made.stop()


async def test_an_alert_becomes_a_case_its_owner_is_told_and_acts_and_all_of_it_is_seen(
    deployment: Deployment,
) -> None:
    async with receiving() as receiver:
        configure(deployment, {"crm": receiver.url})
        await asyncio.to_thread(deployment.prepare)
        deployment.start("alerts")
        async with person(deployment) as kim:
            await kim.ready()
            await append_accounts(
                deployment,
                [
                    AccountSummary(account="acme", stamp=9, owner="kim", name="Acme Ltd"),
                    AccountDays(account="acme", month="2026-05", metrics={"api_calls": [1.0]}),
                ],
            )
            await append(deployment, [raised("acme")])
            (case,) = await eventually(kim.cases, what="the case")
            assert (case["account"], case["state"], case["version"]) == ("acme", "open", 1)
            assert (case["name"], case["owner"]) == ("Acme Ltd", "kim")
            await eventually(lambda: receiver.bodies, what="the webhook")
            assert list(receiver.told().values()) == ["acme"]
            status, acted = await kim.act("acme", "a1", {"type": "acknowledge"}, seen='"1"')
            assert (status, acted["answer"]["status"], acted["case"]["version"]) == (
                200,
                "applied",
                2,
            )
            # The same action once more is answered as it was; one on what was seen before is not.
            assert (await kim.act("acme", "a1", {"type": "acknowledge"}, seen='"1"'))[0] == 200
            resolve = {"type": "resolve", "outcome": "saved"}
            status, refused = await kim.act("acme", "a2", resolve, seen='"1"')
            assert (status, refused["case"]["version"]) == (409, 2)

            async def told() -> list[str]:
                types = [moment["type"] for moment in await kim.timeline("acme")]
                return types if "notice.delivered" in types else []

            types = await eventually(told, what="the delivery in the timeline")
            assert sorted(types) == ["alert.raised", "case.acknowledged", "notice.delivered"]
            _, page = await kim.get("/api/v1/accounts/acme")
            assert page["days"] == {"api_calls": {"2026-05-01": 1.0}}
            async with kim.client.get(f"{kim.url}/metrics") as answer:
                samples = await answer.text()
        assert 'ebbwatch_notifications_total{channel="crm",outcome="delivered"} 1.0' in samples
        assert 'ebbwatch_cases{state="acknowledged"} 1.0' in samples
        assert deployment.end("alerts-0") == 0


async def test_two_replicas_share_the_partitions_and_each_answers_for_all(
    deployment: Deployment,
) -> None:
    accounts = [f"acct_{number}" for number in range(80)]
    async with receiving() as receiver:
        configure(deployment, {"crm": receiver.url})
        await asyncio.to_thread(deployment.prepare)
        deployment.start("alerts", 0)
        async with person(deployment, 0) as kim:
            await kim.ready()
            await append(deployment, [raised(one) for one in accounts[:40]])
            deployment.start("alerts", 1)
            async with person(deployment, 1) as ana:
                await eventually(lambda: shared(kim, ana), within=40, what="four partitions each")
                await append(deployment, [raised(one) for one in accounts[40:]])
                for user in (kim, ana):
                    cases = await all_seen(user, 80)
                    assert Counter(case["account"] for case in cases) == Counter(accounts)
                # Whoever owns the case, both take an action on it, and tell its verdict.
                for number, account in enumerate(accounts[:10]):
                    user = (kim, ana)[number % 2]
                    body = {"type": "acknowledge"}
                    status, acted = await user.act(account, f"a{number}", body)
                    assert (status, acted["answer"]["status"]) == (200, "applied")
                await eventually(lambda: len(receiver.bodies) == 80, within=30)
                assert deployment.end("alerts-0") == 0
                await eventually(lambda: owned(ana, 8), within=30, what="one to own all")
                await append(deployment, [raised("one more")])
                await all_seen(ana, 81)
        assert Counter(receiver.told().values()) == Counter([*accounts, "one more"])
        assert {len(set(bodies)) for bodies in receiver.bodies.values()} == {1}


async def test_what_cannot_be_read_is_refused_with_its_reason_and_the_next_record_is_folded(
    deployment: Deployment,
) -> None:
    configure(deployment, {})
    await asyncio.to_thread(deployment.prepare)
    deployment.start("alerts")
    poison = b'{"type": "alert.raised", "account": 7}'
    async with person(deployment) as kim:
        await kim.ready()
        log = topics.full_name(topics.ALERTS, deployment.prefix)
        await write(deployment, [Record(log, place("acme"), "acme", poison)])
        await append(deployment, [raised("acme")])
        await eventually(kim.cases, what="the case")
    assert deployment.end("alerts-0") == 0
    refused = await rejected(deployment)
    assert [(one.stage, one.raw, one.topic, one.partition) for one in refused] == [
        ("alerts", poison, topics.ALERTS.name, place("acme"))
    ]


async def rejected(deployment: Deployment) -> list[Reject]:
    """Return what was refused."""
    topic = topics.full_name(topics.REJECTS, deployment.prefix)
    found = [await load(deployment.kafka, topic, number) for number in range(PARTITIONS)]
    return [msgspec.json.decode(raw, type=Reject) for part in found for raw in part.values()]


async def test_a_log_that_was_made_anew_under_the_snapshot_is_refused_with_the_remedy(
    deployment: Deployment,
) -> None:
    configure(deployment, {})
    await asyncio.to_thread(deployment.prepare)
    deployment.start("alerts")
    async with person(deployment) as kim:
        await kim.ready()
        await append(deployment, [raised("acme")])
        await eventually(kim.cases, what="the case")
    assert deployment.end("alerts-0") == 0
    await recreate(deployment, topics.full_name(topics.ALERTS, deployment.prefix))
    process = deployment.start("alerts")
    await eventually(lambda: process.poll() is not None, within=30, what="the refusal")
    assert process.returncode == 78
    assert "Delete cases.v1 with it" in deployment.log("alerts-0")


async def recreate(deployment: Deployment, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=deployment.kafka)
    await admin.start()
    await admin.delete_topics([topic])

    async def gone() -> bool:
        return topic not in await admin.list_topics()

    await eventually(gone, within=20, what="the topic to be gone")
    await admin.close()
    await asyncio.to_thread(deployment.ebbwatch, "topics", "apply")


async def test_without_a_token_no_other_address_than_loopback_is_served(
    deployment: Deployment,
) -> None:
    deployment.environ["EBBWATCH_HOST"] = "0.0.0.0"
    process = deployment.start("alerts")
    await eventually(lambda: process.poll() is not None, within=20, what="the refusal")
    assert process.returncode == 78
    assert "set EBBWATCH_TOKEN too" in deployment.log("alerts-0")
