"""A deployment with a real ingest process, and the log read back by other means."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from schemas.config import Input, Mode, ModeRecord, RuleSetContent, RuleSetRecord
from schemas.envelope import Entry, decode
from services import topic_admin
from services.commands.keys import create_key
from services.config_log import ConfigLog
from tests.platform import eventually, free_port

ROOT = Path(__file__).parents[2]
PEPPER = "pepper-of-the-tests"
PARTITIONS = 4


def now_text() -> str:
    return datetime.now(UTC).isoformat()


def event(id: str, account: str = "acct_1", **changes: Any) -> dict[str, Any]:
    fields = {
        "specversion": "1.0",
        "id": id,
        "source": "/api",
        "type": "usage.recorded",
        "subject": account,
        "time": now_text(),
        "data": {"metric": "api_calls", "quantity": 1},
    }
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


@dataclass
class Process:
    """One running ingest."""

    child: asyncio.subprocess.Process
    url: str
    log: Path

    async def ask(self, path: str) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith("{") else text

    async def post(self, events: object, key: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/v1/events", json=events, headers=headers) as answer,
        ):
            return answer.status, await answer.json()

    async def ready(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            return (await self.ask("/readyz"))[0] == 200
        return False

    async def answers(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            return (await self.ask("/livez"))[0] == 200
        return False

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.child.returncode is None:
            self.child.send_signal(number)
        async with asyncio.timeout(15):
            return await self.child.wait()


@dataclass
class Deployment:
    """One deployment of a test, with topics of its own."""

    kafka: str
    folder: Path
    prefix: str = field(default_factory=lambda: f"t{uuid4().hex[:12]}.")
    processes: list[Process] = field(default_factory=list)

    @property
    def config(self) -> ConfigLog:
        return ConfigLog(self.kafka, self.prefix)

    async def create(self) -> "Deployment":
        await topic_admin.apply(self.kafka, self.prefix, PARTITIONS)
        return self

    async def key(self, source: str = "*") -> str:
        return await create_key(self.config, PEPPER, source, "test")

    async def set_mode(self, mode: Mode) -> None:
        record = ModeRecord(mode=mode, at=datetime.now(UTC))
        await self.config.write("mode", msgspec.json.encode(record))

    async def set_rules(self, n: int, inputs: Mapping[str, str] | None = None) -> None:
        """Write a rule set; `inputs` are topics by name."""
        named = {
            name: Input(topic=topic, format="cloudevents", source=name)
            for name, topic in (inputs or {}).items()
        }
        content = msgspec.json.encode(RuleSetContent(rules=[], inputs=named)).decode()
        record = RuleSetRecord(n=n, content=content, applied_at=datetime.now(UTC))
        await self.config.write(f"rules/{n}", msgspec.json.encode(record))

    async def start(self, **settings: str) -> Process:
        """Start one ingest and return when it answers HTTP or has ended."""
        port = free_port()
        environ = {
            "PATH": os.environ["PATH"],
            "EBBWATCH_KAFKA": self.kafka,
            "EBBWATCH_PREFIX": self.prefix,
            "EBBWATCH_PARTITIONS": str(PARTITIONS),
            "EBBWATCH_SECRET_KEY": PEPPER,
            "EBBWATCH_INGEST_PORT": str(port),
            "EBBWATCH_INGEST_TICK_SECONDS": "0.5",
            "EBBWATCH_INGEST_SESSION_SECONDS": "2",
            **{f"EBBWATCH_{name.upper()}": value for name, value in settings.items()},
        }
        log = self.folder / f"ingest-{len(self.processes)}.log"
        with log.open("wb") as sink:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "services.ingest"),
                env=environ,
                cwd=ROOT,
                stdout=sink,
                stderr=asyncio.subprocess.STDOUT,
            )
        process = Process(child, f"http://127.0.0.1:{port}", log)
        self.processes.append(process)
        await eventually(lambda: _up(process), within=30, what="an ingest that answers")
        return process

    async def live(self, **settings: str) -> Process:
        """Go live and start one ingest; returns when it is ready."""
        await self.set_mode("live")
        process = await self.start(**settings)
        await eventually(process.ready, within=30, what="an ingest that is ready")
        return process

    async def read(self, topic: str) -> list[list[ConsumerRecord]]:
        """Return all records of a topic of ours, a list per partition."""
        async with consumer(self.kafka) as reader:
            name = self.prefix + topic
            parts = [TopicPartition(name, n) for n in reader.partitions_for_topic(name) or ()]
            return await _read(reader, parts or [TopicPartition(name, n) for n in range(4)])

    async def entries(self) -> list[list[Entry]]:
        """Return all entries of `events.v1` in order, a list per partition."""
        return [
            [entry for record in records for _, entry in decode(record.value)[0]]
            for records in await self.read("events.v1")
        ]


async def _up(process: Process) -> bool:
    return process.child.returncode is not None or await process.answers()


@contextlib.asynccontextmanager
async def deployment(kafka: str, folder: Path) -> AsyncIterator[Deployment]:
    """Create a deployment; whatever still runs at the end is killed."""
    made = await Deployment(kafka, folder).create()
    try:
        yield made
    finally:
        for process in made.processes:
            await process.end(signal.SIGKILL)


@contextlib.asynccontextmanager
async def consumer(kafka: str) -> AsyncIterator[Any]:
    reader = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    await reader.start()
    try:
        await reader.topics()
        yield reader
    finally:
        await reader.stop()


async def _read(reader: Any, parts: list[TopicPartition]) -> list[list[ConsumerRecord]]:
    reader.assign(parts)
    ends = await reader.end_offsets(parts)
    found: dict[TopicPartition, list[ConsumerRecord]] = {part: [] for part in parts}
    for part in parts:
        while await reader.position(part) < ends[part]:
            for where, records in (await reader.getmany(timeout_ms=100)).items():
                found[where] += records
    return [found[part] for part in parts]


async def produce(
    kafka: str,
    topic: str,
    values: Iterable[bytes],
    headers: Sequence[tuple[str, bytes | None]] | None = None,
    partition: int | None = 0,
) -> None:
    """Write records as a company's own producer does."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        for value in values:
            await producer.send(topic, value, headers=list(headers or ()), partition=partition)
        await producer.flush()
    finally:
        await producer.stop()


def counted(partitions: Iterable[Iterable[Entry]]) -> dict[str, int]:
    """Count each event's id as the detector's duplicate check leaves it (design §5.1)."""
    counts: dict[str, int] = {}
    for entries in partitions:
        newest: dict[tuple[str, int], tuple[int, int]] = {}
        ids: set[str] = set()
        for entry in entries:
            if entry.source == "ebbwatch":
                continue
            if entry.origin is not None:
                place = (entry.origin.offset, entry.origin.place)
                lane = (entry.origin.input, entry.origin.partition)
                if place <= newest.get(lane, (-1, -1)):
                    continue
                newest[lane] = place
            elif entry.id in ids:
                continue
            ids.add(entry.id)
            counts[entry.id] = counts.get(entry.id, 0) + 1
    return counts
