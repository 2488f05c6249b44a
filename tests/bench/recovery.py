"""Figure: for how long nothing is judged when a worker joins, is asked to end, or is killed.

100,000 accounts have a state, and a steady load runs over HTTP. Meanwhile contacts leave their
company, each of another account; each raises one alert at once, and a reader of `alerts.v1` notes
when it is committed. Whatever stops the flow delays them: the slowest one says for how long. After
the kill -9 the worker is started again at once, and 32 contacts leave: the last of their alerts
says from when on every partition is judged again. Settings are the product's own. Nothing of plain
Faust judges, so the peer is the same as for the other figures.

How many messages are folded once more is told by how far a worker said that it was just before its
end, and where the one that came after it began. What the log held beyond the snapshots then, and so
had to be caught up with, is more: it has grown meanwhile.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final

import aiohttp
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from schemas import topics
from schemas.alerts import AlertRaised, decode
from tests.bench.deployment import Deployment, deployment
from tests.bench.desk import leaving
from tests.bench.durable import watching
from tests.bench.figure import BenchError, Figure, Setting, tell
from tests.bench.filling import fill_envelopes
from tests.bench.load import PARTITIONS, batches, events, one_each
from tests.bench.machine import spent
from tests.bench.processes import Process

NAME: Final = "recovery"
ACCOUNTS: Final = 100_000
RATE: Final = 2_000
BATCH: Final = 100
PROBES_PER_SECOND: Final = 20
BURST: Final = 4 * PARTITIONS
"""Accounts that leave after the kill: enough to meet every partition."""
CALM_SECONDS: Final = 5.0
"""Load and probes before and after each disturbance."""
LIMIT_SECONDS: Final = 120.0
FLUSH_SECONDS: Final = "30"
"""The product's own; other figures shorten it."""
SECOND: Final = "detector-1"


async def measure(setting: Setting) -> Figure:
    """Measure how long the flow stands still for each disturbance."""
    async with deployment(setting, NAME) as ours:
        await _fill(setting, ours)
        for name in ("ingest", "detector"):
            ours.launch(name, EBBWATCH_DETECTOR_FLUSH_SECONDS=FLUSH_SECONDS)
            await ours.ready(name)
        # Workers come and go: only of the others two looks can be compared.
        before, started = ours.cpu("ingest"), time.monotonic()
        async with _flow(ours) as flow:
            found = await _disturbed(ours, flow)
        seconds, cpu = time.monotonic() - started, spent(before, ours.cpu("ingest"))
        details = {"accounts": ACCOUNTS, "partitions": PARTITIONS, "rate": RATE, **found}
        return Figure(NAME, flow.posted, seconds, cpu, details)


async def _fill(setting: Setting, ours: Deployment) -> None:
    """Give every account a state, by a worker that has ended then."""
    tell(f"{NAME}: {ACCOUNTS} accounts")
    log, state = (topics.full_name(one, ours.prefix) for one in (topics.EVENTS, topics.STATE))
    ends = await fill_envelopes(setting.kafka, log, one_each(ACCOUNTS))
    async with watching(setting.kafka, state, ends) as snapshot:
        detector = ours.launch("detector")
        await snapshot.durable([detector], LIMIT_SECONDS)
    await detector.end()


async def _disturbed(ours: Deployment, flow: "Flow") -> dict[str, object]:
    tell(f"{NAME}: calm, then a worker joins, is stopped, and the other is killed")
    await asyncio.sleep(CALM_SECONDS)
    found: dict[str, object] = {"calm_ms": _milliseconds(flow.slowest())}
    second = ours.launch(SECOND, EBBWATCH_DETECTOR_FLUSH_SECONDS=FLUSH_SECONDS)
    await ours.ready(SECOND)
    await asyncio.sleep(CALM_SECONDS)
    found["join_stops_flow_ms"] = _milliseconds(flow.slowest())
    first = ours.processes["detector"]
    said, folded = first.output.stat().st_size, await _folded(ours, SECOND)
    asked = time.monotonic()
    await second.end()
    found["sigterm_drain_ms"] = _milliseconds(time.monotonic() - asked)
    found["sigterm_exit"] = second.child.returncode
    await asyncio.sleep(CALM_SECONDS)
    found["leave_stops_flow_ms"] = _milliseconds(flow.slowest())
    found["folded_again_after_sigterm"] = _again(folded, _loaded(first, said))
    return {**found, **await _killed(ours, flow)}


async def _killed(ours: Deployment, flow: "Flow") -> dict[str, object]:
    """Kill the only worker, start it again, and wait for an alert of every partition."""
    victim: Process = ours.processes["detector"]
    folded = await _folded(ours, "detector")
    at = time.monotonic()
    victim.child.kill()
    await asyncio.to_thread(victim.child.wait)
    heir = ours.launch("detector", EBBWATCH_DETECTOR_FLUSH_SECONDS=FLUSH_SECONDS)
    await asyncio.gather(*(flow.probe() for _ in range(BURST)))
    seconds, loaded = time.monotonic() - at, _loaded(heir)
    return {
        "kill_to_judging_ms": _milliseconds(seconds),
        "folded_again_after_kill": _again(folded, loaded),
        "caught_up_after_kill": sum(one.behind for one in loaded.values()),
    }


class _Loaded(msgspec.Struct):
    """What a worker says of a partition that it has taken over."""

    event: str
    partition: int = -1
    stamp: int = -1
    behind: int = 0


async def _folded(ours: Deployment, name: str) -> dict[int, int]:
    """Return up to which offset a worker has folded each of its partitions."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(ours.url(name, "/metrics")) as answer,
    ):
        families = text_string_to_metric_families(await answer.text())
        samples = [one for family in families for one in family.samples]
    return {
        int(one.labels["partition"]): round(one.value)
        for one in samples
        if one.name == "ebbwatch_stamp"
    }


def _loaded(worker: Process, since: int = 0) -> dict[int, _Loaded]:
    """Return the partitions that a worker has taken over since its output had so many bytes."""
    lines = worker.output.read_bytes()[since:].splitlines()
    told = [msgspec.json.decode(one, type=_Loaded) for one in lines if b'"partition loaded"' in one]
    return {one.partition: one for one in told}


def _again(folded: Mapping[int, int], loaded: Mapping[int, _Loaded]) -> int:
    """Return how many messages one worker has folded and the one after it folds once more.

    Raises:
        BenchError: Not every partition went over.
    """
    if missing := sorted(folded.keys() - loaded.keys()):
        raise BenchError(f"{NAME}: nobody has taken over the partitions {missing}")
    return sum(max(0, offset - loaded[number].stamp) for number, offset in folded.items())


class Flow:
    """The load, the probes in it, and how long each waited for its alert.

    Args:
        ours: The deployment; its ingest is ready.
        session: Speaks HTTP.
        key: Opens ingest.

    Attributes:
        posted: Events of the load that ingest has acknowledged.
    """

    def __init__(self, ours: Deployment, session: aiohttp.ClientSession, key: str) -> None:
        self.posted = 0
        self._ours = ours
        self._session = session
        self._headers = {"Authorization": f"Bearer {key}"}
        self._numbers = itertools.count()
        self._told: dict[str, asyncio.Event] = {}
        self._under_way: dict[str, float] = {}
        self._waits: list[float] = []

    async def load(self) -> None:
        """Send events at a steady rate for ever."""
        async with asyncio.TaskGroup() as group:
            started = time.monotonic()
            for place, batch in enumerate(self._batches()):
                await asyncio.sleep(started + place * BATCH / RATE - time.monotonic())
                group.create_task(self._post(batch, "cloudevents-batch", BATCH))

    def _batches(self) -> Iterator[bytes]:
        many = round(LIMIT_SECONDS * RATE)
        for batch in batches(events(many), BATCH):
            yield b"[" + b",".join(event.body for event in batch) + b"]"

    async def probes(self) -> None:
        """Let contacts leave at a steady pace for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self.probe())
                await asyncio.sleep(1 / PROBES_PER_SECOND)

    async def probe(self) -> None:
        """Let a contact leave, and wait until its alert is committed."""
        account = f"probe_{next(self._numbers):06d}"
        told = self._told[account] = asyncio.Event()
        await self._post(leaving(account), "cloudevents", 0)
        self._under_way[account] = time.monotonic()
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                await told.wait()
        except TimeoutError:
            raise BenchError(f"{NAME}: no alert of {account} in {LIMIT_SECONDS:g} s") from None
        self._waits.append(time.monotonic() - self._under_way.pop(account))

    def slowest(self) -> float:
        """Return the longest wait since the last call, seconds; what still waits counts too."""
        now = time.monotonic()
        waits, self._waits = self._waits, []
        return max([*waits, *(now - since for since in self._under_way.values())], default=0.0)

    async def follow(self, consumer: Any) -> None:
        """Note every alert as it is committed."""
        async for record in consumer:
            alert = decode(record.value)
            if isinstance(alert, AlertRaised) and alert.account in self._told:
                self._told[alert.account].set()

    async def _post(self, body: bytes, media: str, count: int) -> None:
        headers = {**self._headers, "Content-Type": f"application/{media}+json"}
        url = self._ours.url("ingest", "/v1/events")
        async with self._session.post(url, data=body, headers=headers) as answer:
            if answer.status != 200:
                raise BenchError(f"{NAME}: {answer.status} {await answer.text()}")
            await answer.read()
        self.posted += count


@contextlib.asynccontextmanager
async def _flow(ours: Deployment) -> AsyncIterator[Flow]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=ours.kafka,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=20,
    )
    await consumer.start()
    alerts = topics.full_name(topics.ALERTS, ours.prefix)
    consumer.assign([TopicPartition(alerts, number) for number in range(PARTITIONS)])
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        flow = Flow(ours, session, await ours.key())
        tasks = [
            asyncio.ensure_future(work)
            for work in (flow.follow(consumer), flow.load(), flow.probes())
        ]
        try:
            yield flow
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await consumer.stop()


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
