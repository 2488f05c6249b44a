"""Figure: batches of 100 events over HTTP until ingest has answered 200, after Kafka's answer.

All bodies are made before the clock starts. The clients run in the bench's own process (`bench`
in the CPU seconds), on the same cores as ingest and the broker. Nothing of Faust takes HTTP
batches, so the peer is the same as for the other figures: what plain Faust with a Table does with
an event.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import aiohttp

from schemas import topics
from schemas.envelope import ACCOUNT, decode
from schemas.events import UsageRecorded, thousandths
from services.detector.calendars import DAY_US
from services.snapshots import messages
from tests.bench.deployment import Deployment, deployment
from tests.bench.figure import BenchError, Figure, Setting, require_equal, tell
from tests.bench.load import PARTITIONS, SOURCE, Counts, batches, events, recount
from tests.bench.machine import spent

NAME: Final = "http_batches"
BATCH: Final = 100
CLIENTS: Final = 4
IN_FLIGHT: Final = 8
"""Requests that a client has open at once; an answer waits for Kafka, the client need not."""
WHOLE_LOG: Final = 1 << 60


async def measure(setting: Setting) -> Figure:
    """Measure how fast ingest takes batches over HTTP and has them acknowledged."""
    sent = list(events(setting.events))
    bodies = [
        b"[" + b",".join(event.body for event in batch) + b"]" for batch in batches(sent, BATCH)
    ]
    async with deployment(setting, NAME) as ours:
        key = await ours.key()
        ours.launch("ingest")
        await ours.ready("ingest")
        tell(f"{NAME}: {CLIENTS} clients post {len(bodies)} batches")
        before, started = ours.cpu(), time.monotonic()
        waits = await _post_all(ours.url("ingest", "/v1/events"), key, bodies)
        seconds = time.monotonic() - started
        cpu = spent(before, ours.cpu())
        await ours.stop()
        require_equal(NAME, await _in_log(ours), recount(sent))
    details = {
        "batch_events": BATCH,
        "clients": CLIENTS,
        "requests_in_flight": CLIENTS * IN_FLIGHT,
        "p50_ms": _quantile(waits, 0.50),
        "p99_ms": _quantile(waits, 0.99),
    }
    return Figure(NAME, len(sent), seconds, cpu, details)


async def _post_all(url: str, key: str, bodies: Sequence[bytes]) -> list[float]:
    """Post every body once; return how long each answer took, seconds."""
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/cloudevents-batch+json",
    }
    waiting = iter(bodies)
    async with asyncio.TaskGroup() as group:
        posting = [group.create_task(_client(url, headers, waiting)) for _ in range(CLIENTS)]
    return [wait for each in posting for wait in each.result()]


async def _client(url: str, headers: dict[str, str], waiting: Iterator[bytes]) -> list[float]:
    waits: list[float] = []

    async def post() -> None:
        for body in waiting:
            began = time.monotonic()
            async with session.post(url, data=body, headers=headers) as answer:
                if answer.status != 200:
                    raise BenchError(f"{NAME}: {answer.status} {await answer.text()}")
                await answer.read()
            waits.append(time.monotonic() - began)

    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(post())
    return waits


async def _in_log(ours: Deployment) -> Counts:
    """Recount what stands in `events.v1`."""
    found: Counts = Counter()
    name = topics.full_name(topics.EVENTS, ours.prefix)
    for number in range(PARTITIONS):
        async for _, _, value in messages(ours.kafka, name, number, 0, WHOLE_LOG):
            for _, entry in decode(value)[0]:
                if entry.source == SOURCE and isinstance(entry.event, UsageRecorded):
                    account = entry.subjects[0].removeprefix(ACCOUNT)
                    found[account, entry.time // DAY_US] += thousandths(entry.event.quantity)
    return found


def _quantile(waits: Sequence[float], share: float) -> float:
    """Return a quantile in milliseconds."""
    return round(sorted(waits)[int(share * (len(waits) - 1))] * 1000, 1)
