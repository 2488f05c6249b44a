"""A deployment of one figure: topics of its own, the shipped rules, mode live, real processes."""

import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from uuid import uuid4

import aiohttp
import msgspec

from schemas.config import MODE_KEY, RULES_PREFIX, Input, ModeRecord, RuleSetContent, RuleSetRecord
from services import topic_admin
from services.commands.keys import create_key
from services.company import shipped
from services.config_log import ConfigLog
from tests.bench.figure import Setting
from tests.bench.filling import INPUT
from tests.bench.load import PARTITIONS, SOURCE
from tests.bench.machine import Cpu, cpu_seconds
from tests.bench.processes import Process, plain_environment, start
from tests.bench.topics import removed
from tests.platform import eventually, free_port

PEPPER = "a pepper for figures, no secret"
READY_SECONDS = 60.0
FLUSH_SECONDS = 2.0
"""Shorter than the default 30, so that a figure need not wait for its last flush."""
TICK_SECONDS = 60.0


class Deployment:
    """One deployment, its topics created and its services not started.

    Args:
        setting: What is measured on.
        name: Which figure; names files.
        redis_url: Where the alerts service keeps its view; nowhere for figures without it.
    """

    def __init__(
        self, setting: Setting, name: str, redis_url: str = "redis://127.0.0.1:1/0"
    ) -> None:
        self.kafka = setting.kafka
        self.prefix = f"bench-{uuid4().hex[:8]}."
        self.input_topic = f"{self.prefix}input"
        self.processes: dict[str, Process] = {}
        self._kafka_pid = setting.kafka_pid
        self._folder = setting.folder / name
        self._folder.mkdir()
        self._ports: defaultdict[str, int] = defaultdict(free_port)
        self._redis_url = redis_url
        self._config = ConfigLog(self.kafka, self.prefix)

    def url(self, service: str, path: str) -> str:
        """Return where a service answers."""
        return f"http://127.0.0.1:{self._ports[service]}{path}"

    async def create(self) -> None:
        """Create the topics and go live with the shipped rules and no input."""
        await topic_admin.apply(self.kafka, self.prefix, PARTITIONS)
        record = ModeRecord(mode="live", at=datetime.now(UTC))
        await self._config.write(MODE_KEY, msgspec.json.encode(record))
        await self._apply(1, shipped().content)

    async def open_input(self) -> None:
        """Put a rule set in force by which the bridge reads the input topic."""
        bridged = Input(topic=self.input_topic, format="cloudevents", source=SOURCE)
        await self._apply(2, msgspec.structs.replace(shipped().content, inputs={INPUT: bridged}))

    async def key(self) -> str:
        """Return an API key for every source."""
        return await create_key(self._config, PEPPER, "*", "bench")

    def launch(self, name: str, **settings: str) -> Process:
        """Start a service and do not wait for it.

        Args:
            name: The service, or `detector-1` for a second one.
            settings: Variables beside those of every service.
        """
        service, _, _ = name.partition("-")
        environ = {
            **self._environment(),
            f"EBBWATCH_{service.upper()}_PORT": str(self._ports[name]),
            "EBBWATCH_DETECTOR_DATA_DIR": str(self._folder / name),
            **settings,
        }
        process = start(name, ["-m", f"services.{service}"], environ, self._folder)
        self.processes[name] = process
        return process

    async def ready(self, service: str) -> float:
        """Wait until a service is ready; fail if it ends.

        Returns:
            When it was seen not ready for the last time, seconds since 1970: before the moment in
            which it became ready, by the time of one look.
        """
        looked_at = time.time()

        async def is_ready() -> bool:
            nonlocal looked_at
            self.processes[service].require_running()
            at = time.time()
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(self.url(service, "/readyz")) as answer:
                    if answer.status == 200:
                        return True
            looked_at = at
            return False

        async with aiohttp.ClientSession() as session:
            await eventually(is_ready, within=READY_SECONDS, what=f"{service} to be ready")
        return looked_at

    def cpu(self, *names: str) -> Cpu:
        """Return the CPU that services and the broker have used so far.

        Args:
            names: The services; all of them unless some are named.
        """
        pids = {name: self.processes[name].pid for name in names or self.processes}
        return cpu_seconds(pids | ({} if self._kafka_pid is None else {"kafka": self._kafka_pid}))

    async def _apply(self, n: int, content: RuleSetContent) -> None:
        text = msgspec.json.encode(content).decode()
        record = RuleSetRecord(n=n, content=text, applied_at=datetime.now(UTC))
        await self._config.write(f"{RULES_PREFIX}{n}", msgspec.json.encode(record))

    async def stop(self) -> None:
        """End all services."""
        for process in self.processes.values():
            await process.end()

    def _environment(self) -> Mapping[str, str]:
        return plain_environment() | {
            "EBBWATCH_KAFKA": self.kafka,
            "EBBWATCH_PREFIX": self.prefix,
            "EBBWATCH_PARTITIONS": str(PARTITIONS),
            "EBBWATCH_SECRET_KEY": PEPPER,
            "EBBWATCH_LOG_LEVEL": "warning",
            "EBBWATCH_INGEST_TICK_SECONDS": str(TICK_SECONDS),
            "EBBWATCH_DETECTOR_FLUSH_SECONDS": str(FLUSH_SECONDS),
            "EBBWATCH_REDIS_URL": self._redis_url,
        }


@contextlib.asynccontextmanager
async def deployment(
    setting: Setting, name: str, redis_url: str = "redis://127.0.0.1:1/0"
) -> AsyncIterator[Deployment]:
    """Create a deployment; its services have ended after the block.

    Args:
        setting: What is measured on.
        name: Which figure.
        redis_url: Where the alerts service keeps its view.
    """
    made = Deployment(setting, name, redis_url)
    async with removed(setting, made.prefix):
        await made.create()
        try:
            yield made
        finally:
            await made.stop()
