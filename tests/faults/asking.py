"""What services answer while something is broken: they are asked over and over, from outside."""

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import msgspec

from tests.faults.load import Event
from tests.faults.scenario import NotExact
from tests.faults.world import SETTINGS, World
from tests.platform import eventually

EVENTS = "/v1/events"
LONG_ID = 180
"""Characters of an id that lets few events fill a buffer."""

PAUSE_SECONDS = 0.1
PATIENCE_SECONDS = 30.0
"""An answer that takes longer counts as none."""
LATE_SECONDS = 3.0
"""So much later than its deadline an answer may come on a machine that is busy otherwise."""
UNREADY_SECONDS = 40.0
"""Each service must find out within so long that Kafka is away: a minute of the fault is left."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered.

    Attributes:
        name: Such as `ingest-0`.
        path: What was asked.
        asked: When, monotonic seconds.
        took: Seconds until the answer.
        status: Of the answer; 0 for a connection that was refused or broke.
        retry_after: Its header, or None.
    """

    name: str
    path: str
    asked: float
    took: float
    status: int
    retry_after: str | None = None


def was_taken(one: Answer, since: float, until: float) -> bool:
    """Tell whether an event was sent and accepted within a span of time, monotonic seconds."""
    within = since <= one.asked and one.asked + one.took <= until
    return one.path == EVENTS and one.status == 200 and within


def is_wrong(one: Answer, deadline: float) -> bool:
    """Tell whether an answer must not be.

    An event: 200, or 503 with `Retry-After`, within the deadline. `/livez`: 200 whenever the
    process listens. `/readyz`: 200 or 503.

    Args:
        one: What was answered.
        deadline: Ingest's own, seconds.
    """
    if one.took > deadline + LATE_SECONDS:
        return True
    if one.status == 0:
        return False
    if one.path == "/livez":
        return one.status != 200
    if one.path == EVENTS and one.status == 503:
        return not (one.retry_after or "").isdigit()
    return one.status not in (200, 503)


class Asking:
    """Sends ingest one event after the other, and asks every service whether it is alive and ready.

    Args:
        world: Its events count like those of any producer.
        deadline: Ingest's own, seconds.
    """

    def __init__(self, world: World, deadline: float) -> None:
        self.answers: list[Answer] = []
        self._world = world
        self._deadline = deadline
        self._numbers = itertools.count()

    def of(self, path: str, name: str = "") -> list[Answer]:
        """Return the answers to what was asked of all services, or of one."""
        return [one for one in self.answers if one.path == path and name in (one.name, "")]

    async def closed(self, name: str = "ingest-0", within: float = 30.0) -> None:
        """Wait until ingest turns events away."""
        seen = len(self.answers)
        await eventually(
            lambda: any(
                one.path == EVENTS and one.status == 503 and one.name == name
                for one in self.answers[seen:]
            ),
            within=within,
            what=f"{name} to answer 503",
        )

    async def unready(self, *names: str) -> None:
        """Wait until services tell that they are not ready; none of them may be gone for good."""
        seen = len(self.answers)

        def told() -> bool:
            for name in names:
                self._world.require_alive(name)
            asked = [one for one in self.answers[seen:] if one.path == "/readyz"]
            newest = {one.name: one.status for one in asked}
            return all(newest.get(name) == 503 for name in names)

        await eventually(told, within=UNREADY_SECONDS, what=f"{', '.join(names)} to be unready")

    def require_shut(self, since: float, until: float) -> None:
        """Fail if an event that was sent and answered within a span of time was accepted."""
        wrong = [one for one in self.answers if was_taken(one, since, until)]
        if wrong:
            raise NotExact([f"{one.name} took an event without Kafka: {one}" for one in wrong[:10]])

    def require_good(self) -> None:
        """Fail if anything was answered that must not be, or too late."""
        wrong = [one for one in self.answers if is_wrong(one, self._deadline)]
        if wrong:
            raise NotExact([f"{one.name} answered badly: {one}" for one in wrong[:10]])

    async def crowd(self, name: str, bodies: int, each: int) -> list[Answer]:
        """Send ingest many large bodies at once; return its answers.

        Args:
            name: Which replica.
            bodies: How many.
            each: Events of each body.
        """
        batches = [[self._event(LONG_ID) for _ in range(each)] for _ in range(bodies)]
        async with self._client() as client:
            return await asyncio.gather(*(self._post(client, name, batch) for batch in batches))

    def _client(self) -> aiohttp.ClientSession:
        headers = {"Authorization": f"Bearer {self._world.key}"}
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        return aiohttp.ClientSession(headers=headers, timeout=timeout)

    async def run(self) -> None:
        """Ask until cancelled."""
        async with self._client() as client, asyncio.TaskGroup() as group:
            for name in self._world.keepers:
                if name.startswith("ingest-"):
                    group.create_task(self._send(client, name))
                for path in ("/livez", "/readyz"):
                    group.create_task(self._look(client, name, path))

    async def _send(self, client: aiohttp.ClientSession, name: str) -> None:
        while True:
            await self._post(client, name, [self._event()])
            await asyncio.sleep(PAUSE_SECONDS)

    async def _post(self, client: aiohttp.ClientSession, name: str, events: list[Event]) -> Answer:
        self._world.noted.sent += events
        answer = await self._answer(client, name, "POST", EVENTS, events)
        if answer.status == 200:
            self._world.noted.http += events
        return answer

    async def _look(self, client: aiohttp.ClientSession, name: str, path: str) -> None:
        while True:
            await self._answer(client, name, "GET", path)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _answer(
        self,
        client: aiohttp.ClientSession,
        name: str,
        method: str,
        path: str,
        events: list[Event] | None = None,
    ) -> Answer:
        asked = time.monotonic()
        body = None if events is None else msgspec.json.encode(events)
        headers = {} if body is None else {"Content-Type": "application/cloudevents-batch+json"}
        status, retry_after = 0, None
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with client.request(
                method, self._world.url(name) + path, data=body, headers=headers
            ) as told:
                await told.read()
                status, retry_after = told.status, told.headers.get("Retry-After")
        took = time.monotonic() - asked
        self.answers.append(Answer(name, path, asked, took, status, retry_after))
        return self.answers[-1]

    def _event(self, length: int = 0) -> Event:
        return {
            "specversion": "1.0",
            "id": f"asked-{next(self._numbers)}".ljust(length, "-"),
            "source": "/asking",
            "type": "usage.recorded",
            "subject": "acct_asking",
            "time": datetime.now(UTC).isoformat(),
            "data": {"metric": "api_calls", "quantity": 1},
        }


@contextlib.asynccontextmanager
async def asking(world: World) -> AsyncIterator[Asking]:
    """Ask all services of a world as long as the block lasts, and judge their answers at its end.

    Args:
        world: Whose services run.

    Raises:
        NotExact: With answers that must not be.
    """
    settings = {**SETTINGS, **world.needs.settings}
    asked = Asking(world, float(settings.get("EBBWATCH_INGEST_DEADLINE_SECONDS", "10")))
    task = asyncio.create_task(asked.run())
    try:
        yield asked
        if task.done():
            task.result()
        asked.require_good()
    finally:
        task.cancel()
        await asyncio.wait({task})


def cpu_seconds(pid: int) -> float:
    """Return how much processor time a process has used, its threads included.

    Args:
        pid: Of a process that runs.
    """
    # After the name, which may hold anything: the 14th and 15th fields. Source: proc(5).
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Return how much memory a process holds.

    Args:
        pid: Of a process that runs.
    """
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
