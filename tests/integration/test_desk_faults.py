"""What the desk survives: kill -9, a stop, a freeze, and a Redis that forgets or goes away."""

import asyncio
import random
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from schemas import cases, topics
from schemas.accounts import AccountSummary
from schemas.cases import NoticeDelivered, NoticeIntended
from services.snapshots import messages
from tests.integration.deployment import PARTITIONS, Deployment
from tests.integration.desk import (
    Person,
    all_of,
    all_seen,
    answered,
    append,
    append_accounts,
    configure,
    owned,
    person,
    raised,
    receiving,
    redis_on,
    shared,
    some,
)
from tests.platform import eventually, free_ports

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture
def deployment(kafka: str, valkey: str, tmp_path: Path) -> Iterator[Deployment]:
    settings = {"EBBWATCH_ALERTS_RETRY_SCALE": "0.001"}
    made = Deployment(kafka, tmp_path, settings=settings, redis_url=valkey)
    yield made
    made.stop()


ALERTS = 500


async def test_killed_at_random_every_alert_is_in_one_case_every_notice_sent_no_action_lost(
    deployment: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    accounts = [f"acct_{number}" for number in range(ALERTS)]
    async with receiving() as receiver:
        receiver.delay = 0.2
        configure(deployment, {"crm": receiver.url})
        deployment.environ["EBBWATCH_ALERTS_SENDS_PER_CHANNEL"] = "8"
        await asyncio.to_thread(deployment.prepare)
        process = deployment.start("alerts")
        async with person(deployment) as kim:
            await kim.ready()
            writing = asyncio.ensure_future(feed(deployment, accounts))
            acting = asyncio.ensure_future(comment(kim, rng.sample(accounts, 60), rng))
            for _ in range(4):
                await some(receiver, len(receiver.bodies) + rng.randrange(30, 80))
                deployment.kill("alerts-0")
                process = deployment.start("alerts")
            await writing
            wanted = await acting
            await some(receiver, ALERTS)
            await kim.ready()
            cases = await eventually(kim.cases, within=30, what="the view to be whole")
            assert Counter(case["account"] for case in cases) == Counter(accounts)
            assert {len(case["alerts"]) for case in cases} == {1}
            assert Counter(receiver.told().values()) == Counter(accounts)
            for account, text in wanted.items():
                timeline = await kim.timeline(account)
                said = [one["text"] for one in timeline if one["type"] == "case.commented"]
                assert said == [text]
            await eventually(lambda: answered(kim), what="every notice to be answered for")
        assert process.poll() is None
        # Whoever is sent something twice sees the same id and the same words.
        assert all(len(set(bodies)) == 1 for bodies in receiver.bodies.values())
    assert deployment.end("alerts-0") == 0


async def feed(deployment: Deployment, accounts: list[str]) -> None:
    """Raise an alert of each account, in transactions of 25."""
    for begin in range(0, len(accounts), 25):
        await append(deployment, [raised(one) for one in accounts[begin : begin + 25]])


async def comment(kim: Person, accounts: list[str], rng: random.Random) -> dict[str, str]:
    """Comment on cases until each comment is acknowledged; return what was said."""
    said = {account: f"called {rng.random()}" for account in accounts}
    for account, text in said.items():
        await say(kim, account, text)
    return said


async def say(kim: Person, account: str, text: str) -> None:
    """Send a comment until it is taken, under one id as long as it may have been."""
    number = 0

    async def taken() -> bool:
        nonlocal number
        status, _ = await kim.act(account, f"{account}-{number}", {"type": "comment", "text": text})
        # 404: its alert had not come by then, and that is this action's answer for ever.
        number += status == 404
        return status in {200, 202}

    await eventually(taken, within=60, what="a comment to be taken")


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


async def test_killed_again_and_again_no_action_of_any_type_is_lost_or_done_twice(
    deployment: Deployment, seed: int
) -> None:
    rng = random.Random(seed)
    accounts = [f"acct_{number}" for number in range(12)]
    configure(deployment, {})
    await asyncio.to_thread(deployment.prepare)
    deployment.start("alerts")
    done: list[str] = []
    async with person(deployment) as kim:
        await kim.ready()
        await append(deployment, [raised(one) for one in accounts])
        await all_seen(kim, len(accounts))
        acting = asyncio.gather(*(work_on(kim, one, done) for one in accounts))
        for _ in range(3):
            wanted = min(len(done) + rng.randrange(10, 20), 7 * len(accounts) - 1)
            await eventually(partial(reached, done, wanted), within=30, what=f"{wanted} actions")
            deployment.kill("alerts-0")
            deployment.start("alerts")
        await acting
        await kim.ready()
        for account in accounts:
            mine = [one["type"] for one in await kim.timeline(account) if one["by"] == "kim"]
            assert mine[::-1] == [DONE[one["type"]] for one in actions(account)]


def reached(done: list[str], count: int) -> bool:
    return len(done) >= count


DONE = {
    "acknowledge": "case.acknowledged",
    "assign": "case.assigned",
    "comment": "case.commented",
    "feedback": "feedback.given",
    "snooze": "case.snoozed",
    "reopen": "case.reopened",
    "resolve": "case.resolved",
}


def actions(account: str) -> list[dict[str, str]]:
    """One of every type, each of which changes the case after those before it."""
    alert = str(uuid.uuid5(uuid.NAMESPACE_OID, account))
    return [
        {"type": "acknowledge"},
        {"type": "assign", "to": "kim"},
        {"type": "comment", "text": "called"},
        {"type": "feedback", "alert_id": alert, "verdict": "useful"},
        {"type": "snooze", "until": (datetime.now(UTC) + timedelta(days=1)).isoformat()},
        {"type": "reopen"},
        {"type": "resolve", "outcome": "saved", "note": "stays"},
    ]


async def work_on(kim: Person, account: str, done: list[str]) -> None:
    """Do one thing after the other, each until it is taken, under one id."""
    for body in actions(account):
        id = f"{account}-{body['type']}"

        async def taken(id: str = id, body: dict[str, str] = body) -> bool:
            return (await kim.act(account, id, body))[0] in {200, 202}

        await eventually(taken, within=60, what=f"{id} to be taken")
        done.append(id)


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


async def test_a_frozen_replica_is_fenced_and_nothing_is_lost_or_told_under_two_ids(
    deployment: Deployment,
) -> None:
    accounts = [f"acct_{number}" for number in range(240)]
    async with receiving() as receiver:
        receiver.delay = 0.2
        configure(deployment, {"crm": receiver.url})
        await asyncio.to_thread(deployment.prepare)
        frozen = deployment.start("alerts", 0)
        deployment.start("alerts", 1)
        async with person(deployment, 0) as ana, person(deployment, 1) as kim:
            await eventually(lambda: shared(ana, kim), within=40, what="four partitions each")
            await append(deployment, [raised(one) for one in accounts[:120]])
            await some(receiver, 20)
            frozen.send_signal(signal.SIGSTOP)
            await append(deployment, [raised(one) for one in accounts[120:]])
            await eventually(lambda: owned(kim, 8), within=40, what="one to own all")
            await some(receiver, len(accounts))
            frozen.send_signal(signal.SIGCONT)
            await eventually(lambda: frozen.poll() is not None, within=30, what="its end")
            assert frozen.returncode == 70
            cases = await all_seen(kim, len(accounts))
            assert Counter(case["account"] for case in cases) == Counter(accounts)
            await eventually(lambda: answered(kim), within=20, what="every answer")
        assert Counter(receiver.told().values()) == Counter(accounts)


async def test_after_flushall_the_view_is_whole_again_within_seconds(
    deployment: Deployment, valkey: str
) -> None:
    configure(deployment, {})
    await asyncio.to_thread(deployment.prepare)
    deployment.start("alerts")
    accounts = [f"acct_{number}" for number in range(200)]
    async with person(deployment) as kim:
        await kim.ready()
        await append_accounts(
            deployment, [AccountSummary(account=one, stamp=1, name=one.upper()) for one in accounts]
        )
        await append(deployment, [raised(one) for one in accounts])
        before = await eventually(lambda: all_of(kim, len(accounts)), what="all cases")
        async with Redis.from_url(valkey) as redis:
            await redis.flushall()
        after = await eventually(
            lambda: all_of(kim, len(accounts)), within=8, what="all cases to be back"
        )
        assert after == before
        # What happens then is shown as before.
        await append(deployment, [raised("one more")])
        await eventually(lambda: all_of(kim, len(accounts) + 1), what="one more case")


async def test_while_redis_is_away_actions_are_taken_deliveries_go_on_and_reads_say_so(
    deployment: Deployment, tmp_path: Path
) -> None:
    ports = free_ports()
    async with receiving() as receiver:
        configure(deployment, {"crm": receiver.url})
        with redis_on(tmp_path / "redis", ports) as url:
            deployment.environ["EBBWATCH_REDIS_URL"] = url
            await asyncio.to_thread(deployment.prepare)
            deployment.start("alerts")
            async with person(deployment) as kim:
                await kim.ready()
                await append(deployment, [raised("acme")])
                await eventually(kim.cases, what="the case")
                await eventually(lambda: receiver.bodies, what="the webhook")
        async with person(deployment) as kim:
            status, state = await eventually(lambda: degraded(kim), what="the view to be missed")
            assert (status, state["ready"]) == (200, True)
            status, acted = await kim.act("acme", "a1", {"type": "acknowledge"})
            assert (status, acted["answer"]["status"]) == (202, "pending")
            assert (await kim.get("/api/v1/cases"))[0] == 503
            await append(deployment, [raised("beta")])
            await eventually(lambda: len(receiver.bodies) == 2, what="the next webhook")
            assert sorted(receiver.told().values()) == ["acme", "beta"]
            with redis_on(tmp_path / "redis", ports):
                cases = await eventually(lambda: all_of(kim, 2), within=15, what="the view")
                states = {case["account"]: case["state"] for case in cases}
                assert states == {"acme": "acknowledged", "beta": "open"}
                assert await kim.get("/api/v1/actions/a1") == (
                    200,
                    {**acted["answer"], "status": "applied", "version": 2, "state": "acknowledged"},
                )


async def degraded(kim: Person) -> tuple[int, Any] | None:
    status, state = await kim.get("/readyz")
    return (status, state) if state["degraded"] else None
