"""Feeds a world as producers do that must not lose anything: each event until it is acknowledged.

What is acknowledged is noted; afterwards the log must hold all of it.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.kafka_clients import pace
from tests.faults.load import Event, Sent
from tests.faults.scenario import NotExact
from tests.platform import eventually

BATCH = 40
POSTERS = 2
TRY_AGAIN_SECONDS = 0.05
ANSWER_SECONDS = 12.0
"""Longer than ingest's own deadline: what takes longer hangs."""

_encode = msgspec.json.encode


@dataclass
class Noted:
    """What producers were told.

    Attributes:
        sent: Events that ingest was ever sent.
        http: Events that ingest has accepted.
        records: Events by partition and offset of the input topic.
        refused: Reason and event of what ingest has refused, one by one.
        closed: How often ingest was closed (503) or did not answer.
    """

    sent: list[Event] = field(default_factory=list)
    http: list[Event] = field(default_factory=list)
    records: dict[tuple[int, int], Event] = field(default_factory=dict)
    refused: list[tuple[str, Event]] = field(default_factory=list)
    closed: int = 0

    @property
    def count(self) -> int:
        """How many events were answered for."""
        return len(self.http) + len(self.records) + len(self.refused)


@dataclass(frozen=True)
class Doors:
    """Where a world takes events in.

    Attributes:
        urls: Returns where ingest listens.
        key: API key.
        kafka: Bootstrap servers, past any proxy.
        topic: The input topic.
    """

    urls: Callable[[], Sequence[str]]
    key: str
    kafka: str
    topic: str


class Feeder:
    """Sends a load by two ways at once.

    Args:
        doors: Where to.
        noted: Takes what is acknowledged.
        sent: The load, in its order.
        rate: Events a second, at most.
    """

    def __init__(self, doors: Doors, noted: Noted, sent: Sequence[Sent], rate: float) -> None:
        self._doors = doors
        self._noted = noted
        self._sent = sent
        self._rate = rate
        self._done = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def share(self) -> float:
        """How much of the load is acknowledged, 0..1."""
        return self._done / len(self._sent) if self._sent else 1.0

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._run())

    async def reached(self, share: float, within: float = 90.0) -> None:
        """Wait until so much is acknowledged."""

        def there() -> bool:
            if self._task is not None and self._task.done():
                self._task.result()
            return self.share >= share

        await eventually(there, within=within, what=f"{share:.0%} of the load acknowledged")

    async def further(self, share: float) -> None:
        """Wait until so much more is acknowledged, but no longer than until little is left."""
        # On a slow machine the load may be nearly over before what is waited for has begun.
        await self.reached(min(0.95, self.share + share))

    async def end(self, within: float = 90.0) -> None:
        """Wait until everything is acknowledged."""
        assert self._task is not None
        try:
            await asyncio.wait_for(self._task, within)
        except TimeoutError:
            raise NotExact(
                [f"only {self.share:.0%} of the load was acknowledged within {within:g} s"]
            ) from None

    async def cancel(self) -> None:
        """Send nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        http = [one.event for one in self._sent if one.way == "http"]
        records = [one.event for one in self._sent if one.way == "input"]
        batches = iter(_batches(http))
        async with asyncio.TaskGroup() as group:
            for _ in range(POSTERS):
                group.create_task(self._post(batches, self._rate * len(http) / len(self._sent)))
            group.create_task(self._produce(records, self._rate * len(records) / len(self._sent)))

    async def _post(self, batches: Iterator[list[Event]], rate: float) -> None:
        headers = {
            "Authorization": f"Bearer {self._doors.key}",
            "Content-Type": "application/cloudevents-batch+json",
        }
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as client:
            for batch in batches:
                self._noted.sent += batch
                paced = asyncio.ensure_future(asyncio.sleep(len(batch) * POSTERS / rate))
                while not await self._accepted(client, batch):
                    self._noted.closed += 1
                    await asyncio.sleep(TRY_AGAIN_SECONDS)
                self._done += len(batch)
                await paced

    async def _accepted(self, client: aiohttp.ClientSession, batch: list[Event]) -> bool:
        urls = self._doors.urls()
        if not urls:
            return False
        # Which replica is asked need not be repeatable: no producer decides that.
        url = f"{random.choice(urls)}/v1/events"
        try:
            async with client.post(url, data=_encode(batch)) as answer:
                told = await answer.json() if answer.status != 503 else {}
        except (aiohttp.ClientError, TimeoutError):
            return False
        if answer.status == 503:
            return False
        if answer.status not in {200, 202}:
            raise NotExact([f"ingest answered {answer.status} to a good batch: {told}"])
        refused = {one["index"]: one["reason"] for one in told["rejected"]}
        for index, event in enumerate(batch):
            if index in refused:
                self._noted.refused.append((refused[index], event))
            else:
                self._noted.http.append(event)
        return True

    async def _produce(self, events: list[Event], rate: float) -> None:
        producer: Any = None
        for batch in _batches(events):
            paced = asyncio.ensure_future(asyncio.sleep(len(batch) / rate))
            waiting = batch
            while waiting:
                producer = producer or await self._producer()
                if producer is not None:
                    waiting = await self._appended(producer, waiting)
                if waiting:
                    await _closed(producer)
                    producer = None
                    await asyncio.sleep(TRY_AGAIN_SECONDS)
            self._done += len(batch)
            await paced
        await _closed(producer)

    async def _producer(self) -> Any:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._doors.kafka, enable_idempotence=True, request_timeout_ms=5_000
        )
        pace(producer.client)
        try:
            await producer.start()
        except (KafkaError, OSError):
            await _closed(producer)
            return None
        return producer

    async def _appended(self, producer: Any, events: list[Event]) -> list[Event]:
        """Append events to the input topic; return those that are not acknowledged."""
        sent = []
        try:
            for event in events:
                key = (event.get("subject") or event["id"]).encode()
                sent.append(await producer.send(self._doors.topic, _encode(event), key=key))
        except KafkaError:
            pass
        told = await asyncio.gather(*sent, return_exceptions=True)
        left = events[len(sent) :]
        for event, one in zip(events, told, strict=False):
            if isinstance(one, BaseException):
                left.append(event)
            else:
                self._noted.records[one.partition, one.offset] = event
        return left


async def _closed(producer: Any) -> None:
    if producer is not None:
        stopping = asyncio.ensure_future(producer.stop())
        # One whose broker is away may wait for it for ever.
        await asyncio.wait({stopping}, timeout=2.0)
        stopping.cancel()
        await asyncio.wait({stopping})
        if not stopping.cancelled():
            stopping.exception()


def _batches(events: list[Event]) -> list[list[Event]]:
    return [events[begin : begin + BATCH] for begin in range(0, len(events), BATCH)]
