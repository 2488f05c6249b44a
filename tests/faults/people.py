"""People who use the desk while it is broken: what they look at, and what they do to cases."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import aiohttp
import msgspec

from schemas import cases, topics
from tests.faults.dripping import beside
from tests.faults.logs import read
from tests.faults.scenario import NotExact
from tests.faults.world import World

HANDS = 3
"""So many people act at once."""

HANGS_SECONDS = 12.0
"""Appending takes five at most, looking for a verdict one, and each look into Redis two."""

TAKEN = frozenset({200, 202})
VERDICTS = frozenset({"applied", "unchanged", "unknown_case"})
PAUSE_SECONDS = 0.05
ANSWER_SECONDS = 15.0
"""Longer than any answer of the desk may take: what takes longer hangs."""


class Answer(NamedTuple):
    """What the desk answered; status 0 if nobody did."""

    status: int
    body: Any
    headers: dict[str, str]
    seconds: float


async def ask(world: World, path: str, name: str = "alerts-0") -> Answer:
    """Ask the desk for a resource."""
    async with _client() as client:
        return await _answer(client.get(f"{world.url(name)}{path}"))


async def try_to_comment(world: World, account: str) -> Answer:
    """Comment on a case, once, and return what came of it."""
    async with _client() as client:
        body = {"type": "comment", "text": "once"}
        return await _answer(_post(client, world, account, "once", body))


def _post(
    client: aiohttp.ClientSession, world: World, account: str, id: str, body: dict[str, Any]
) -> Any:
    headers = {"Idempotency-Key": id, "If-Match": "*", "X-Ebbwatch-Person": "kim"}
    url = f"{world.url('alerts-0')}/api/v1/cases/{account}/actions"
    return client.post(url, json=body, headers=headers)


def _client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS))


async def _answer(asking: Any) -> Answer:
    begun = time.monotonic()
    try:
        async with asking as answer:
            said = await answer.read()
            body = msgspec.json.decode(said) if "json" in answer.content_type else said.decode()
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, body, headers, time.monotonic() - begun)
    except (aiohttp.ClientError, TimeoutError):
        return Answer(0, None, {}, time.monotonic() - begun)


@dataclass
class People:
    """What people did.

    Attributes:
        taken: Account and body of each action that was taken, by its id.
        pending: How many of them got 202: taken, with the verdict still to come.
    """

    world: World
    rng: Random
    taken: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    pending: int = 0
    _number: int = 0

    async def work(self) -> None:
        """Act on one case after the other, each action under one id until it is answered."""
        async with _client() as client, asyncio.TaskGroup() as group:
            for _ in range(HANDS):
                group.create_task(self._work(client))

    async def _work(self, client: aiohttp.ClientSession) -> None:
        while True:
            if self.world.due:
                account = self.rng.choice(self.world.due[-200:])
                self._number += 1
                # Asking for a body takes a while, in which another hand counts on.
                id, text = f"a{self._number}", f"comment {self._number}"
                await self._act(client, account, id, await self._body(account, text))
            await asyncio.sleep(PAUSE_SECONDS)

    async def _act(
        self, client: aiohttp.ClientSession, account: str, id: str, body: dict[str, Any]
    ) -> None:
        while True:
            answer = await _answer(_post(client, self.world, account, id, body))
            if answer.seconds > HANGS_SECONDS:
                raise NotExact([f"{body} on {account} took {answer.seconds:.1f} s"])
            if answer.status in TAKEN:
                self.taken[id] = (account, body)
                self.pending += answer.status == 202
            elif answer.status not in {0, 404, 503}:
                raise NotExact([f"{body} on {account} was answered {answer.status}: {answer.body}"])
            if answer.status not in {0, 503}:
                return
            await asyncio.sleep(PAUSE_SECONDS)

    async def _body(self, account: str, text: str) -> dict[str, Any]:
        until = datetime.now(UTC) + timedelta(days=3)
        choices: list[dict[str, Any]] = [
            {"type": "comment", "text": text},
            {"type": "comment", "text": text},
            {"type": "acknowledge"},
            {"type": "assign", "to": self.rng.choice(["ana", "kim"])},
            {"type": "snooze", "until": until.isoformat()},
            {"type": "resolve", "outcome": "saved", "note": "stays"},
            {"type": "reopen"},
            {"type": "feedback", "verdict": self.rng.choice(["useful", "false_alarm"])},
        ]
        body = self.rng.choice(choices)
        if body["type"] == "feedback":
            case = await ask(self.world, f"/api/v1/cases/{account}")
            alerts = case.body["alerts"] if case.status == 200 else []
            return body | {"alert_id": alerts[0]["alert_id"]} if alerts else choices[0]
        return body

    async def prove(self) -> None:
        """Require that no action that was taken is lost, and none was done twice.

        Raises:
            NotExact: With what was.
        """
        world = self.world
        topic = world.topic(topics.ALERTS)
        log = await read(world.kafka, topic, world.partitions, committed=True)
        read_back = [cases.decode(one.value or b"") for some in log.values() for one in some]
        logged = {one.id for one in read_back if isinstance(one, cases.Act)}
        found = [
            f"action {id} was taken and is not in the log" for id in self.taken if id not in logged
        ]
        verdicts = {id: await self._verdict(id, account) for id, (account, _) in self.taken.items()}
        found += [
            f"action {id} has the verdict {verdict!r}"
            for id, verdict in verdicts.items()
            if verdict not in VERDICTS
        ]
        for account in {account for account, _ in self.taken.values()}:
            found += await self._said(account, verdicts)
        if found:
            raise NotExact(found)

    async def _verdict(self, id: str, account: str) -> str:
        answer = await ask(self.world, f"/api/v1/actions/{id}?account={account}")
        return answer.body["status"] if answer.status == 200 else f"{answer.status}"

    async def _said(self, account: str, verdicts: dict[str, str]) -> list[str]:
        """Return comments of an account that its page shows not once."""
        page = await ask(self.world, f"/api/v1/accounts/{account}")
        if page.status != 200:
            return [f"the page of {account} was answered {page.status}: {page.body}"]
        timeline = page.body["timeline"]
        shown = Counter(one["text"] for one in timeline if one["type"] == "case.commented")
        wanted = [
            body["text"]
            for id, (where, body) in self.taken.items()
            if where == account and body["type"] == "comment" and verdicts[id] == "applied"
        ]
        return [
            f"{text!r} on {account} is shown {shown[text]} times among {len(timeline)} lines"
            for text in wanted
            if shown[text] != 1
        ]


@contextlib.asynccontextmanager
async def working(world: World, rng: Random) -> AsyncIterator[People]:
    """Let people work as long as the block lasts."""
    people = People(world, rng)
    async with beside(people.work()) as task:
        yield people
        task.cancel()
