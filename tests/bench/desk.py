"""Figure: from ingest's 200 for an event until the API shows the alert that it raises.

While other events come in at a steady rate over HTTP, whether or not the services keep up, ten
contacts a second leave their company, each of another account; each raises one alert at once.
Measured is the time from the answer to that event, which is in Kafka then, until
`GET /api/v1/cases/{account}` has answered with the alert. The live stream tells when to ask. The
clients run in the bench's own process (`bench` in the CPU seconds), on the same cores as the
services, the broker and Valkey. Nothing of Faust shows alerts, so the peer is the same as for the
other figures.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

import aiohttp
import msgspec

from services import local
from services.alerts.shown import Change
from tests.bench.deployment import Deployment, deployment
from tests.bench.figure import BenchError, Figure, Setting, tell
from tests.bench.load import SOURCE, batches, events
from tests.bench.machine import spent
from tests.platform import JARS, free_ports

NAME: Final = "event_to_case"
RATE: Final = 5_000
"""Events a second. Source: design.md §9."""
BATCH: Final = 100
PROBES_PER_SECOND: Final = 10
LATE_SHARE: Final = 0.05
"""A load that took so much longer than it should was another load."""
LOST_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.05
WARM_PROBES: Final = 20
RULE: Final = "contact-left"


async def measure(setting: Setting) -> Figure:
    """Measure how long an alert takes to be seen."""
    bodies = [
        b"[" + b",".join(event.body for event in batch) + b"]"
        for batch in batches(events(setting.events), BATCH)
    ]
    with _valkey(setting.folder / f"{NAME}-valkey") as redis_url:
        async with deployment(setting, NAME, redis_url) as ours, _desk(ours) as desk:
            return await _measured(ours, desk, bodies, setting.events)


async def _measured(ours: Deployment, desk: "Desk", bodies: Sequence[bytes], number: int) -> Figure:
    for _ in range(WARM_PROBES):
        await desk.probe()
    tell(f"{NAME}: {RATE} events a second and {PROBES_PER_SECOND} alerts a second")
    before, started = ours.cpu(), time.monotonic()
    async with asyncio.TaskGroup() as group:
        loading = group.create_task(_load(desk, bodies, started))
        probing = group.create_task(_probe_until(desk, loading))
    seconds = loading.result()
    waits, cpu = probing.result(), spent(before, ours.cpu())
    if seconds > (1 + LATE_SHARE) * number / RATE:
        raise BenchError(f"{NAME}: {number} events took {seconds:.1f} s, so it was no {RATE}/s")
    details = {
        "rate": RATE,
        "probes": len(waits),
        "alerts_per_second": PROBES_PER_SECOND,
        **{f"p{share}_ms": _quantile(waits, share / 100) for share in (50, 90, 99)},
        "max_ms": _quantile(waits, 1.0),
    }
    return Figure(NAME, number, seconds, cpu, details)


class Desk:
    """Ingest's and the API's clients, and who waits for which account.

    Args:
        ours: The deployment, all of whose services are ready.
        session: Speaks HTTP.
        key: Opens ingest.
    """

    def __init__(self, ours: Deployment, session: aiohttp.ClientSession, key: str) -> None:
        self._ours = ours
        self._session = session
        self._key = key
        self._numbers = itertools.count()
        self._told: dict[str, asyncio.Event] = {}

    async def post(self, body: bytes, media: str = "cloudevents-batch") -> None:
        """Send events and wait for the answer."""
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": f"application/{media}+json",
        }
        url = self._ours.url("ingest", "/v1/events")
        async with self._session.post(url, data=body, headers=headers) as answer:
            if answer.status != 200:
                raise BenchError(f"{NAME}: {answer.status} {await answer.text()}")
            await answer.read()

    async def probe(self) -> float:
        """Let a contact leave; return after how long the API showed it, seconds."""
        account = f"probe_{next(self._numbers):06d}"
        told = self._told[account] = asyncio.Event()
        await self.post(leaving(account), "cloudevents")
        accepted = time.monotonic()
        end = accepted + LOST_SECONDS
        while not await self._shows(account, told):
            if time.monotonic() > end:
                raise BenchError(f"{NAME}: after {LOST_SECONDS:g} s no alert of {account}")
        del self._told[account]
        return time.monotonic() - accepted

    async def follow(self) -> None:
        """Read the live stream and wake who waits."""
        timeout = aiohttp.ClientTimeout(total=None)
        url = self._ours.url("alerts", "/api/v1/stream")
        async with self._session.get(url, timeout=timeout) as answer:
            async for line in answer.content:
                if line.startswith(b'data: {"id"'):
                    change = Change.model_validate_json(line.removeprefix(b"data: "))
                    if change.account in self._told:
                        self._told[change.account].set()

    async def _shows(self, account: str, told: asyncio.Event) -> bool:
        """Tell whether the API has the alert, once the stream says so or nothing for a while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await told.wait()
        url = self._ours.url("alerts", f"/api/v1/cases/{quote(account, safe='')}")
        async with self._session.get(url) as answer:
            if answer.status == 404:
                return False
            case = await answer.json()
        if answer.status != 200 or [one["rule"] for one in case["alerts"]] != [RULE]:
            raise BenchError(f"{NAME}: {answer.status} {case}")
        return True


@contextlib.contextmanager
def _valkey(folder: Path) -> Iterator[str]:
    """Run a Valkey as long as the block lasts; gives its URL."""
    folder.mkdir()
    elsewhere = {"EBBWATCH_KAFKA": "not-asked-for:1"}
    try:
        yield local.up(
            folder, ports=free_ports(), jars=JARS, environ=elsewhere, tell=tell
        ).redis_url
    finally:
        local.down(folder, tell=tell)


@contextlib.asynccontextmanager
async def _desk(ours: Deployment) -> AsyncIterator[Desk]:
    key = await ours.key()
    for name in ("ingest", "detector", "alerts"):
        ours.launch(name)
    for name in ours.processes:
        await ours.ready(name)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        desk = Desk(ours, session, key)
        following = asyncio.create_task(desk.follow())
        try:
            yield desk
        finally:
            following.cancel()
            await asyncio.wait({following})


async def _load(desk: Desk, bodies: Sequence[bytes], started: float) -> float:
    """Send every body when its time has come; return how long it took, seconds."""
    async with asyncio.TaskGroup() as group:
        for place, body in enumerate(bodies):
            await asyncio.sleep(started + place * BATCH / RATE - time.monotonic())
            group.create_task(desk.post(body))
    return time.monotonic() - started


async def _probe_until(desk: Desk, loading: "asyncio.Task[float]") -> list[float]:
    """Probe at a steady pace as long as the load lasts; return how long each took."""
    async with asyncio.TaskGroup() as group:
        probes = []
        while not loading.done():
            probes.append(group.create_task(desk.probe()))
            await asyncio.sleep(1 / PROBES_PER_SECOND)
    return [probe.result() for probe in probes]


def leaving(account: str) -> bytes:
    """Return the CloudEvent of a champion who leaves, which raises one alert at once."""
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": f"left-{account}",
            "source": SOURCE,
            "type": "contact.updated",
            "subject": account,
            "time": datetime.now(UTC).isoformat(),
            "data": {"person": "u1", "role": "champion", "status": "left"},
        }
    )


def _quantile(waits: Sequence[float], share: float) -> float:
    """Return a quantile in milliseconds."""
    return round(sorted(waits)[int(share * (len(waits) - 1))] * 1000, 1)
