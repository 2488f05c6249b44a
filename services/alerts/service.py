"""The running parts of the alerts service, in the order in which they open and close."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from aiokafka.errors import KafkaError
from fastapi import FastAPI

from schemas import topics
from services.alerts.access import install_access
from services.alerts.accounts import Accounts, read_all
from services.alerts.api.routes import create_api
from services.alerts.appender import Appender
from services.alerts.cases.partition import Partition
from services.alerts.channels import Sender
from services.alerts.console import create_console
from services.alerts.consumer import Consumer
from services.alerts.desk import Desk
from services.alerts.directory import DirectorySnapshot, following
from services.alerts.dispatch import Dispatch
from services.alerts.metrics import Metrics, PartitionCollector
from services.alerts.outbox import Outbox
from services.alerts.ownership import Owned, Ownership
from services.alerts.projection import Projection
from services.alerts.settings import AlertsSettings
from services.alerts.store import Names
from services.alerts.stream import Live
from services.alerts.view import View
from services.kafka_clients import log_ends
from services.lifetime import end, lasting
from services.process_metrics import show_kafka
from services.publishing.producer import Producer
from services.publishing.publisher import Publisher
from services.runtime import Health, get_logger, health_router, serve, version
from services.topic_admin import require
from services.watchdog import Watchdog

TOPICS: Final = (
    *(topics.EVENTS, topics.ALERTS, topics.ACCOUNTS, topics.CASES),
    *(topics.CONFIG, topics.REJECTS),
)
RETRY_SECONDS: Final = 1.0
LAND_SECONDS: Final = 2.0
"""For attempts under way when partitions are given up; with all of a stop it must fit in 10 s."""

_log = get_logger(__name__)


class Service:
    """Everything that one alerts process runs.

    Args:
        settings: What it is told from outside.
        replica: Names this process among those of the deployment.
        now: The wall clock, aware UTC.
        jitter: Chance, 0 <= jitter < 1.
    """

    def __init__(
        self,
        settings: AlertsSettings,
        replica: str,
        now: Callable[[], datetime],
        jitter: Callable[[], float],
    ) -> None:
        self.health = Health()
        self._now = now
        self._settings = settings
        self._names = names = Names.of(settings.prefix)
        kafka, prefix, partitions = settings.kafka, settings.prefix, settings.partitions
        self._metrics = Metrics(self.health)
        self._view = View(
            settings.redis_url, prefix, partitions, settings.alerts_stale_seconds, self._seconds
        )
        self._live = Live(self._view)
        self._appender = Appender(kafka, names.alerts, partitions, f"{prefix}alerts", self.health)
        self._sender = Sender(settings.alerts_send_seconds)
        self._directory = following(kafka, prefix, settings.secret_key.get_secret_value())
        self._desk = Desk(self._appender, self._view, settings.alerts_answer_seconds)
        self._producer = Producer(
            kafka,
            f"{prefix}alerts-returns",
            # All but the reports on rules goes on without.
            lambda ok, detail: self.health.set("feedback", ok, detail, required=False),
        )
        self._publisher = Publisher(self._producer, names.events, partitions)
        self._ownership = Ownership(
            settings, self.health, self._project, self._begin, self._publisher.publish
        )
        self._outbox = self._make_outbox(jitter)
        self._consumer = Consumer(
            settings, replica, self._ownership, self.health, self._outbox.folded, self._part
        )
        show_kafka(self._metrics.registry, self._consumer.reach)
        self._watchdog = Watchdog(
            self._consumer.standing, partial(log_ends, kafka), settings.alerts_stuck_seconds
        )
        self._watch_partitions()
        self._serving: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._ends = asyncio.Event()
        self._app = self._make_app()

    def _make_outbox(self, jitter: Callable[[], float]) -> Outbox:
        settings = self._settings
        dispatch = Dispatch(
            self._directory,
            self._appender,
            self._sender,
            self._metrics,
            _console(settings),
            settings.alerts_retry_scale,
            self._now,
            jitter,
        )
        return Outbox(
            self._ownership,
            self._directory,
            dispatch,
            self._appender,
            settings.alerts_sends_per_channel,
        )

    def _watch_partitions(self) -> None:
        ownership = self._ownership
        self._metrics.registry.register(
            PartitionCollector(
                lambda: [owned.partition for owned in ownership.owned.values()],
                lambda: ownership.counted,
                lambda: ownership.rebalances,
                self._consumer.lag,
                self._consumer.group,
            )
        )

    def _make_app(self) -> FastAPI:
        token = self._settings.token
        app = FastAPI(title="Ebbwatch", docs_url=None, redoc_url=None, openapi_url=None)
        app.include_router(health_router(self.health, self._metrics.registry))
        app.include_router(
            create_api(
                self._view,
                self._desk,
                self._directory,
                self._live,
                self._now,
                secured=token is not None,
            )
        )
        app.include_router(
            create_console(self._view, self._desk, self._directory, self._now, version())
        )
        install_access(app, token.get_secret_value() if token is not None else None)
        return app

    async def run(self) -> None:
        """Open everything and run until `stop`.

        Raises:
            ConfigurationError: Topics are missing or partitioned otherwise.
            PortTaken: Somebody else listens on the port.
        """
        settings = self._settings
        self._running = asyncio.current_task()
        self.health.set("directory", False, "config.v1 is not read yet")
        self._watchdog.start()
        await self._publisher.start()
        await self._view.start()
        async with asyncio.TaskGroup() as group:
            # HTTP comes first: whoever asks meanwhile is told what is awaited.
            self._serving = group.create_task(
                serve(self._app, settings.host, settings.alerts_port, "EBBWATCH_ALERTS_PORT")
            )
            group.create_task(lasting("stream", self._live.run(), self._ends.is_set))
            await self._require_topics()
            self._directory.subscribe(self._on_directory)
            group.create_task(lasting("directory", self._directory.run(), self._ends.is_set))
            group.create_task(lasting("outbox", self._outbox.run(), self._ends.is_set))
            group.create_task(lasting("consumer", self._consumer.run(), self._ends.is_set))

    async def stop(self) -> None:
        """Close in order: no new request, nothing new sent, all that is folded written."""
        self._ends.set()
        self._live.close()
        # While requests end, the fold goes on: some of them wait for a verdict.
        await asyncio.gather(end(self._serving), self._outbox.close(LAND_SECONDS))
        await end(self._running)
        await self._consumer.stop()
        await self._publisher.stop()
        await self._producer.stop()
        self._watchdog.stop()
        await asyncio.gather(self._appender.stop(), self._sender.close(), self._view.close())

    async def _require_topics(self) -> None:
        settings = self._settings
        while True:
            try:
                await require(settings.kafka, settings.prefix, settings.partitions, TOPICS)
            except (KafkaError, OSError, TimeoutError) as error:
                self._consumer.reach.tell(False, str(error) or type(error).__name__)
            else:
                self._consumer.reach.tell(True)
                return
            await asyncio.sleep(RETRY_SECONDS)

    def _project(self, partition: Partition, accounts: Accounts, epoch: str) -> Projection:
        read = partial(read_all, self._settings.kafka, self._names.accounts, partition.number)
        return Projection(
            self._view, partition, accounts, epoch, read, self._metrics, self._seconds
        )

    def _seconds(self) -> float:
        return self._now().timestamp()

    async def _begin(self, owned: Owned) -> None:
        await self._consumer.begin(owned)

    async def _part(self) -> None:
        await self._outbox.land(LAND_SECONDS)
        self._metrics.parted()

    def _on_directory(self, directory: DirectorySnapshot) -> None:
        self.health.set("directory", True)
        channels = directory.channels.values()
        self._metrics.channels({one.name: one.state for one in channels})
        bad = [f"{one.name} is {one.state}" for one in channels if one.state != "ok"]
        detail = f"{', '.join(bad)}; see `ebbwatch channels list`" if bad else ""
        self.health.set("channels", not bad, detail, required=False)


def _console(settings: AlertsSettings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return (settings.alerts_url or f"http://{host}:{settings.alerts_port}").rstrip("/")
