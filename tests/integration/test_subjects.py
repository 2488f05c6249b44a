"""Persons, merged and erased accounts, the company and our own people, on a real broker."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from schemas import topics
from services.snapshots import load
from tests.integration.gateway import PARTITIONS, Live, started, usage
from tests.platform import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

PEOPLE = 60
STRANGERS = 10
ACCOUNTS = 7


@pytest_asyncio.fixture
async def live(kafka: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with started(kafka, tmp_path) as made:
        url = f"http://127.0.0.1:{made.deployment.ingest_port}/readyz"

        async def open_to_events() -> bool:
            try:
                async with aiohttp.ClientSession() as client, client.get(url) as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(open_to_events, within=60, what="ingest to be ready")
        yield made


def event(id: str, type: str, subject: str | None = None, **data: Any) -> dict[str, Any]:
    return usage(id, subject, type=type, data=data)


def of_person(number: int, person: int) -> dict[str, Any]:
    data = {"metric": "api_calls", "quantity": number % 5 + 0.5, "person": f"p{person}"}
    return usage(f"e-{number}", None, data=data)


def joined(person: int) -> dict[str, Any]:
    account = f"acct_{person % ACCOUNTS}"
    return event(f"j-{person}", "person.joined", person=f"p{person}", account=account)


def subjects(live: Live, *which: str) -> dict[str, dict[str, Any]]:
    """Return the facts of every subject beside accounts, or of those named."""
    asked = which or ("--all",)
    lines = live.deployment.ebbwatch("subjects", "show", *asked, "--json").splitlines()
    return {line["subject"]: line["facts"] for line in map(json.loads, lines)}


async def send(live: Live, rng: random.Random, events: list[dict[str, Any]]) -> None:
    """Send a batch over HTTP or the input topic, in its order; what has joined comes over both."""
    if rng.random() < 0.5:
        assert await live.post(*events) == len(events)
    else:
        await live.produce(*events)


class People:
    """Events of people, some of whom join an account only later and some never, and a recount."""

    def __init__(self, rng: random.Random) -> None:
        self.counted: Counter[str] = Counter()
        self._number = 0
        self._rng = rng
        self._joining = rng.sample(range(PEOPLE), PEOPLE)

    def events(self, size: int, joining: int = 0) -> list[dict[str, Any]]:
        """Return events of anybody; in their middle some people join."""
        made = []
        for _ in range(size):
            person = self._rng.randrange(PEOPLE + STRANGERS)
            self._number += 1
            made.append(of_person(self._number, person))
            thousandths = round(made[-1]["data"]["quantity"] * 1000)
            if person < PEOPLE:
                self.counted[f"acct_{person % ACCOUNTS}"] += thousandths
        some = min(joining, len(self._joining))
        made[size // 2 : size // 2] = [joined(self._joining.pop()) for _ in range(some)]
        return made


async def test_what_names_only_a_person_counts_once_for_the_account_whatever_is_killed(
    live: Live, seed: int
) -> None:
    rng, deployment = random.Random(seed), live.deployment
    people = People(rng)
    detector = deployment.processes["detector-0"]
    for round_ in range(20):
        await send(live, rng, people.events(100, joining=6 if round_ >= 8 else 0))
        if round_ in (6, 14):
            deployment.kill("detector-0")
            # The next one dies with forwards in the log that no snapshot tells of.
            at = rng.randrange(1, 4)
            deployment.environ["EBBWATCH_FAILPOINTS"] = f"detector.forwarded=kill@{at}"
            detector = deployment.start("detector")
    await eventually(lambda: detector.poll() is not None, within=60, what="the failpoint")
    del deployment.environ["EBBWATCH_FAILPOINTS"]
    deployment.start("detector")
    deployment.start("detector", 1)

    async def second_takes_some_over() -> bool:
        await send(live, rng, people.events(20))
        return "partitions owned" in deployment.log("detector-1")

    await eventually(second_takes_some_over, within=60, what="the second worker to own something")
    await send(live, rng, people.events(100))
    await live.counted(**{who: total / 1000 for who, total in people.counted.items()})
    found = subjects(live)
    assert {who: facts["account"] for who, facts in found.items()} == {
        f"person:p{person}": f"acct_{person % ACCOUNTS}" if person < PEOPLE else None
        for person in range(PEOPLE + STRANGERS)
    }
    waits = {who for who, facts in found.items() if facts["waiting"]}
    assert waits == {f"person:p{person}" for person in range(PEOPLE, PEOPLE + STRANGERS)}
    shown = await metric(live, "ebbwatch_waiting_events{")
    assert sum(shown) == sum(facts["waiting"] for facts in found.values())
    assert sum(await metric(live, "ebbwatch_forwards_waiting_bytes{")) == 0
    assert [deployment.end(f"detector-{number}") for number in (0, 1)] == [0, 0]


async def metric(live: Live, begins: str) -> list[float]:
    """Return the values of a metric of all detectors."""
    lines: list[str] = []
    for port in live.deployment.detector_ports.values():
        url = f"http://127.0.0.1:{port}/metrics"
        async with aiohttp.ClientSession() as client, client.get(url) as answer:
            lines += (await answer.text()).splitlines()
    return [float(line.split()[-1]) for line in lines if line.startswith(begins)]


async def test_a_merged_account_s_later_events_count_for_the_one_that_it_lives_on_in(
    live: Live,
) -> None:
    await live.post(
        usage("1", "old"),
        usage("2", "new"),
        event("j", "person.joined", person="p", account="old"),
    )
    await live.counted(old=1, new=1)
    await live.post(event("m", "account.merged", "old", into="new"))
    await live.post(usage("3", "old"))
    # Two steps: from the person to the account that they joined, and on to where it lives.
    await live.produce(usage("4", None, data={"metric": "api_calls", "person": "p"}))
    await live.counted(old=1, new=3)
    found = live.deployment.accounts()
    today = datetime.now(UTC).date()
    assert set(found["new"]["people"]) == {"p"}
    assert found["new"]["people"]["p"] in {today.isoformat(), str(today - timedelta(days=1))}
    assert await live.post(usage("3", "old")) == 1
    await live.post(usage("5", "new"))
    await live.counted(old=1, new=4)


async def test_the_company_and_our_people_have_facts_of_their_own(live: Live) -> None:
    day = datetime.now(UTC).date()
    await live.post(
        event("1", "arr.moved", kind="new", amount=120_00, effective_on="2026-05-04"),
        event("2", "arr.moved", "a", kind="churn", amount=7, effective_on="2026-05-30"),
        event("3", "target.set", period="2026-Q3", amount=5, currency="EUR"),
        event("4", "spend.recorded", month="2026-05", amount=9, currency="EUR"),
        event("5", "deal.closed", "a", list=2, net=1),
        event("6", "touch.recorded", "a", colleague="ana", two_way=True),
        event("7", "sentiment.set", "b", rating=4, author="ana"),
        event("8", "employee.left", colleague="ben"),
    )
    # The same touch again, by its person: told apart in the colleague's partition, too.
    await live.post(event("6", "touch.recorded", "a", colleague="ana", two_way=True))
    await live.post(usage("9", "a"), usage("10", "b"))
    await live.counted(a=1, b=1)
    await eventually(lambda: len(subjects(live)) == 3, within=30, what="three subjects")
    today = {str(day), str(datetime.now(UTC).date())}
    found = subjects(live)
    touched = found["colleague:ana"].pop("touches")
    assert set(touched) <= today
    assert found["colleague:ana"].pop("two_way") == touched
    assert list(touched.values()) == [1]
    assert found["company"].pop("left").keys() == {"ben"}
    assert found["company"].pop("deals")["deals"] == {f"{day:%Y-%m}": 1}
    assert found.pop("colleague:ben")["left"] in today
    assert found == {
        "company": {
            "arr": {"2026-05": {"new/": 12_000, "churn/": 7}},
            "spend": {"2026-05": {"EUR": 9}},
            "targets": {"2026-Q3/EUR": 5},
        },
        "colleague:ana": {"left": None, "sentiments": {"4": 1}},
    }
    assert subjects(live, "colleague:ana").keys() == {"colleague:ana"}


CANARY = "canary-7f3a"


async def test_erasing_leaves_nothing_of_an_account_or_a_person_in_what_is_kept(live: Live) -> None:
    account, person = f"acct-{CANARY}", f"person-{CANARY}"
    named = {"metric": "api_calls", "person": person}
    await live.post(
        event("0", "account.updated", account, name="Acme", owner="ana"),
        usage("1", account, data=named),
        usage("2", "other", data=named),
        event("3", "contact.updated", "other", person=person, role="champion"),
        event("4", "touch.recorded", "other", person=person, colleague="ana"),
        event("5", "person.joined", person="p1", account=account),
        usage("6", None, data={"metric": "api_calls", "person": f"nobody-{CANARY}"}),
        *(event(f"f{n}", "payment.failed", account, payment="in_1") for n in (1, 2)),
    )
    await live.counted(**{account: 1, "other": 1})
    await eventually(lambda: bool(live.deployment.alerts()), within=30, what="the alert")
    assert await kept(live, CANARY) != set()

    told = live.deployment.ebbwatch("erase", "account", account, "--yes")
    assert f"account '{account}' is erased" in told
    assert "alerts.v1" in told
    for who in (person, f"nobody-{CANARY}"):
        assert "is erased" in live.deployment.ebbwatch("erase", "person", who, "--yes")
    # What happened before, and is sent late, is dropped; other people's days stay counted.
    late = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    await live.post(usage("7", account, time=late, data=named), usage("8", "other"))
    await live.counted(other=2)
    assert await kept(live, CANARY) == set()
    assert live.deployment.accounts()["other"]["people"] == {}
    last = live.deployment.alerts()[-1]
    assert (last["type"], last["reason"]) == ("alert.cleared", "superseded")

    await live.post(usage("9", account, data=named))
    await live.counted(**{account: 1, "other": 2})


async def kept(live: Live, text: str) -> set[str]:
    """Return the keys of all records that name a text, read as whoever takes over reads them."""
    names = [
        topics.full_name(topic, live.deployment.prefix) for topic in (topics.STATE, topics.ACCOUNTS)
    ]
    found = await asyncio.gather(
        *(
            load(live.deployment.kafka, name, number)
            for name in names
            for number in range(PARTITIONS)
        )
    )
    return {
        key
        for records in found
        for key, value in records.items()
        if text in key or text.encode() in value
    }
