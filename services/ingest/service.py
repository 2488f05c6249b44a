"""The running parts of ingest, in the order in which they open and close."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from aiokafka.errors import KafkaError

from schemas import topics
from schemas.config import AWAITED
from schemas.events import RulesApplied
from services.ingest.body import Uploads
from services.ingest.bridge import Bridge
from services.ingest.clock import Clock
from services.ingest.config import Configuration, Follower
from services.ingest.entries import broadcast
from services.ingest.intake import Intake
from services.ingest.markers import Marks
from services.ingest.metrics import Metrics
from services.ingest.rejects import Rejects
from services.ingest.routes import create_app
from services.ingest.seen import Seen
from services.ingest.settings import IngestSettings
from services.kafka_clients import Reach, log_ends
from services.lifetime import end, lasting
from services.process_metrics import show_kafka
from services.publishing.producer import Producer
from services.publishing.publisher import Limits, Publisher
from services.runtime import Health, get_logger, serve
from services.topic_admin import require
from services.watchdog import Place, Watchdog

RETRY_SECONDS: Final = 1.0
FLUSH_SECONDS: Final = 1.0
LANDING_SECONDS: Final = 2.0
"""For what the bridge has in flight; with the open requests all of it must fit in 10 s."""

_log = get_logger(__name__)


class Service:
    """Everything that one ingest process runs.

    Args:
        settings: What it is told from outside.
        replica: Names this process in its ticks.
        now: The wall clock, microseconds since 1970-01-01 UTC.
        on_fatal: Told of an error after which nothing can be published.
    """

    def __init__(
        self,
        settings: IngestSettings,
        replica: str,
        now: Callable[[], int],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self.health = Health()
        self._settings = settings
        self._now = now
        kafka, prefix = settings.kafka, settings.prefix
        self._metrics, self._seen = Metrics(), Seen()
        self._reach = Reach(kafka, self.health, asyncio.get_running_loop().time)
        self._producer = Producer(kafka, f"{prefix}ingest", self._on_kafka)
        self._publisher = Publisher(
            self._producer,
            topics.full_name(topics.EVENTS, prefix),
            settings.partitions,
            Limits(settings.ingest_pending_bytes, settings.ingest_envelopes_per_second),
            on_fatal,
        )
        self._metrics.watch(self._publisher, self._seen)
        show_kafka(self._metrics.registry, self._reach)
        self._rejects = Rejects(self._producer, topics.full_name(topics.REJECTS, prefix))
        self._follower = Follower(kafka, topics.full_name(topics.CONFIG, prefix))
        self._bridge = self._make_bridge(on_fatal)
        self._clock = Clock(
            self._publisher,
            replica,
            self._seen,
            self._bridge.progress,
            now,
            settings.ingest_tick_seconds,
            self._on_tick,
        )
        self._replica = replica
        self._announced = 0
        self._changed = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._bridging: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._ends = asyncio.Event()
        self._app = create_app(self._intake(now), self._uploads(), self.health)
        self._watchdog = Watchdog(
            self._standing, partial(log_ends, kafka), settings.ingest_stuck_seconds
        )

    def _make_bridge(self, on_fatal: Callable[[BaseException], None]) -> Bridge:
        settings = self._settings
        return Bridge(
            settings.kafka,
            f"{settings.prefix}ingest",
            self._publisher,
            self._rejects,
            self._seen,
            self._metrics,
            self.health,
            lambda: self._clock.latest(),
            settings.ingest_batch_events,
            settings.ingest_session_seconds,
            lambda: self._follower.configuration.marked,
            Marks(self._producer, topics.full_name(topics.CONFIG, settings.prefix), on_fatal),
        )

    def _uploads(self) -> Uploads:
        settings = self._settings
        return Uploads(
            settings.ingest_body_bytes,
            settings.ingest_batch_bytes,
            settings.ingest_upload_bytes,
            settings.ingest_upload_seconds,
        )

    def _intake(self, now: Callable[[], int]) -> Intake:
        settings = self._settings
        return Intake(
            self._publisher,
            self._rejects,
            self._metrics,
            self._seen,
            now,
            (self._why_kafka, self._why_mode, self._clock.why_closed),
            lambda: self._follower.configuration.keys,
            settings.secret_key.get_secret_value(),
            settings.ingest_deadline_seconds,
            settings.ingest_batch_events,
        )

    async def run(self) -> None:
        """Open everything and run until cancelled.

        Raises:
            ConfigurationError: Topics are missing or partitioned otherwise.
            PortTaken: Somebody else listens on the port.
        """
        settings = self._settings
        self.health.set("mode", False, self._why_mode() or "")
        self.health.set("clock", False, self._clock.why_closed() or "")
        self._watchdog.start()
        await self._publisher.start()
        self._running = asyncio.current_task()
        async with asyncio.TaskGroup() as group:
            # HTTP comes first: whoever asks meanwhile is told what is awaited.
            self._serving = group.create_task(
                serve(self._app, settings.host, settings.ingest_port, "EBBWATCH_INGEST_PORT")
            )
            await self._require_topics()
            self._follower.subscribe(self._on_configuration)
            group.create_task(lasting("follower", self._follower.run(), self._ends.is_set))
            await self._live()
            group.create_task(lasting("clock", self._clock.run(), self._ends.is_set))
            await self._clock.ticking.wait()
            self._bridging = group.create_task(
                lasting("bridge", self._bridge.run(), self._ends.is_set)
            )
            await self._announce_changes()

    async def stop(self) -> None:
        """Close in order: no new requests, nothing in flight, everything acknowledged."""
        self._ends.set()
        self._bridge.stop()
        await end(self._serving)
        if self._bridging is not None:
            await asyncio.wait({self._bridging}, timeout=LANDING_SECONDS)
        await end(self._running)
        await self._publisher.stop(FLUSH_SECONDS)
        await self._rejects.stop()
        await self._producer.stop()
        self._watchdog.stop()

    async def _require_topics(self) -> None:
        settings = self._settings
        while True:
            try:
                await require(settings.kafka, settings.prefix, settings.partitions)
            except (KafkaError, OSError, TimeoutError) as error:
                self._reach.tell(False, str(error) or type(error).__name__)
            else:
                self._reach.tell(True)
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _live(self) -> None:
        """Return in mode live, when the newest rule set is in every partition."""
        await self._follower.ready.wait()
        while self._follower.configuration.mode != "live":
            self._changed.clear()
            await self._changed.wait()
        await self._announce()

    async def _announce_changes(self) -> None:
        while True:
            self._changed.clear()
            await self._announce()
            await self._changed.wait()

    async def _announce(self) -> None:
        """Write a new rule set into every partition; the newest number holds from there on."""
        rules = self._follower.configuration.rules
        if rules is None or rules.n <= self._announced:
            return
        event = RulesApplied(n=rules.n, content=rules.content)
        id = f"rules-{self._replica}-{rules.n}"
        await self._publisher.publish(broadcast(event, id, 0, self._publisher.partitions))
        self._announced = rules.n
        _log.info("rule set announced", n=rules.n)

    def _on_configuration(self, configuration: Configuration) -> None:
        self._metrics.sources = configuration.sources
        self._bridge.configure(configuration.inputs)
        self.health.set("mode", configuration.mode == "live", AWAITED.get(configuration.mode, ""))
        self._changed.set()

    def _on_kafka(self, ok: bool, detail: str) -> None:
        self._reach.tell(ok, detail.removeprefix(f"Kafka at {self._settings.kafka}: "))

    def _standing(self) -> dict[Place, object]:
        """Return how far the publisher is while something waits for it, and the bridge."""
        standing = self._bridge.standing()
        if self._publisher.pending_bytes:
            events = topics.full_name(topics.EVENTS, self._settings.prefix)
            standing[Place(events, 0)] = f"{self._publisher.published} entries published"
        return standing

    def _on_tick(self, skew: float) -> None:
        self._metrics.tick_skew.set(skew)
        self._metrics.last_tick.set(self._now() / 1e6)
        obstacle = self._clock.why_closed()
        self.health.set("clock", obstacle is None, obstacle or "")

    def _why_kafka(self) -> str | None:
        return "Kafka does not answer" if self._producer.away else None

    def _why_mode(self) -> str | None:
        if not self._follower.ready.is_set():
            return "the configuration is not read yet"
        return AWAITED.get(self._follower.configuration.mode)
