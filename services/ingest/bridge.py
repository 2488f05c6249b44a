"""Carries the records of the input topics into the log, exactly in their order."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from schemas.config import Input
from services import failpoints
from services.ingest.formats import find
from services.ingest.forwarding import Forwarded, Source, slices
from services.ingest.inputs import Inputs
from services.ingest.markers import Marked, Marks
from services.ingest.metrics import Metrics
from services.ingest.rejects import Rejects
from services.ingest.seen import Seen
from services.kafka_clients import Pulse, close
from services.publishing.publisher import Publisher, Unavailable
from services.runtime import Health, get_logger
from services.topic_ids import topic_ids
from services.watchdog import Place

POLL_MILLISECONDS: Final = 200
POLL_RECORDS: Final = 5_000
LOOK_SECONDS: Final = 2.0
"""Between two looks at which input topics exist, and whether they are those of before."""
FINE_SECONDS: Final = 10.0
"""Who has carried for so long is not hindered any more."""
METADATA_SECONDS: Final = 10.0
"""After so long a consumer knows of new partitions."""
BACK_OFF_SECONDS: Final = 1.0
REVOKE_SECONDS: Final = 5.0
REBALANCE_SECONDS: Final = 120.0

_log = get_logger(__name__)


class Bridge(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads all input topics in one consumer group and publishes what their records hold.

    Offsets are committed after the envelopes are acknowledged. What is read again after a crash
    or a rebalance carries the same origins in the same order, and the detector drops it.

    Args:
        kafka: Bootstrap servers.
        group: Consumer group.
        publisher: Takes the entries.
        rejects: Takes the refusals.
        seen: Learns when each source sent something.
        metrics: Counts, and shows the lag.
        health: Shows each input.
        now: What times are compared with, microseconds since 1970-01-01 UTC.
        limit: Events that one record may hold.
        session: Seconds after which the group gives up on a silent member.
        marked: Returns the input partitions that were ever read.
        marks: Takes the marks of those that are.
    """

    def __init__(
        self,
        kafka: str,
        group: str,
        publisher: Publisher,
        rejects: Rejects,
        seen: Seen,
        metrics: Metrics,
        health: Health,
        now: Callable[[], int],
        limit: int,
        session: float,
        marked: Callable[[], Marked],
        marks: Marks,
    ) -> None:
        self._kafka = kafka
        self._group = group
        self._publisher = publisher
        self._rejects = rejects
        self._seen = seen
        self._metrics = metrics
        self._now = now
        self._limit = limit
        self._session = session
        self._marks = marks
        self._inputs = Inputs(health, metrics, group, marked)
        self._configured: Mapping[str, Input] = {}
        self._changed = asyncio.Event()
        self._stopping = False
        self._consumer: Any = None
        self._flight: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._epoch = 0
        self._turns = 0
        self._failure = ""

    def configure(self, inputs: Mapping[str, Input]) -> None:
        """Take these inputs from now on; the consumer starts anew if they are others."""
        if dict(inputs) != dict(self._configured):
            self._configured = dict(inputs)
            self._changed.set()

    def progress(self) -> dict[str, int]:
        """Return up to when each owned `input/partition` is forwarded, microseconds."""
        return self._inputs.progress()

    def standing(self) -> dict[Place, object]:
        """Return each partition that is carried, with what changes as long as carrying goes on."""
        if self._consumer is None or not self._settled.is_set():
            return {}
        turn = f"turn {self._turns}"
        return {Place(at.topic, at.partition): turn for at in self._consumer.assignment()}

    def stop(self) -> None:
        """Let `run` return after what is in flight is acknowledged and committed."""
        self._stopping = True
        self._changed.set()

    async def run(self) -> None:
        """Carry records until `stop`; a broken connection is taken up again."""
        while not self._stopping:
            self._turns += 1
            self._changed.clear()
            topics: frozenset[str] = frozenset()
            try:
                topics = await self._existing()
                if topics:
                    await self._consume(topics)
                else:
                    self._fail("")
            except (KafkaError, OSError, TimeoutError, UnicodeDecodeError) as error:
                self._fail(f"input topics cannot be read: {error!r}")
                topics = frozenset()
            except Unavailable as error:
                self._fail(str(error))
                topics = frozenset()
            if not topics:
                await self._wait(BACK_OFF_SECONDS if self._configured else LOOK_SECONDS)

    def _fail(self, why: str) -> None:
        """Show why nothing is carried; empty: it is."""
        if why and why != self._failure:
            _log.warning("inputs are not carried", reason=why)
        self._failure = why
        self._inputs.hinder(why)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def _existing(self) -> frozenset[str]:
        """Return the input topics to read: configured, there, and in order."""
        if not self._configured:
            self._inputs.configure({}, {})
            return frozenset()
        sources = {
            each.topic: Source(name, found, each.source, self._publisher.partitions, self._limit)
            for name, each in self._configured.items()
            if (found := find(each.format)) is not None
        }
        self._inputs.configure(self._configured, sources)
        names = [each.topic for each in self._configured.values()]
        return self._inputs.readable(await topic_ids(self._kafka, names))

    async def _consume(self, topics: Iterable[str]) -> None:
        consumer = self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka,
            group_id=self._group,
            enable_auto_commit=False,
            # What expired unread must not be skipped without a word.
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=4 * 1024 * 1024,
            fetch_max_bytes=32 * 1024 * 1024,
            fetch_max_wait_ms=POLL_MILLISECONDS,
            session_timeout_ms=round(self._session * 1000),
            heartbeat_interval_ms=round(self._session * 200),
            max_poll_interval_ms=300_000,
            metadata_max_age_ms=round(METADATA_SECONDS * 1000),
        )
        try:
            consumer.subscribe(topics=sorted(topics), listener=self)
            async with asyncio.timeout(REBALANCE_SECONDS):
                await consumer.start()
            await self._carry(consumer, frozenset(topics))
        finally:
            try:
                await self._land()
            finally:
                await self._marks.finish(self._inputs.unmarked())
                await close(consumer.stop)
                self._settled.clear()
                self._inputs.release(())

    async def _carry(self, consumer: Any, topics: frozenset[str]) -> None:
        # Beside: a broker that takes its time must not hold up what is read.
        looking = asyncio.create_task(self._look(topics))
        looking.add_done_callback(_heeded)
        try:
            await self._carry_while(consumer, looking)
        finally:
            looking.cancel()

    async def _look(self, topics: frozenset[str]) -> None:
        """Return once other topics are to be read."""
        loop = asyncio.get_running_loop()
        fine_at = loop.time() + FINE_SECONDS
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if loop.time() > fine_at:
                self._fail("")
            if await self._existing() != topics:
                return

    async def _carry_while(self, consumer: Any, looking: "asyncio.Task[None]") -> None:
        pulse = Pulse(asyncio.get_running_loop().time)
        while not self._changed.is_set():
            polled = await self._poll(consumer)
            epoch = self._epoch
            self._turns += 1
            pulse.check(consumer)
            await self._settle()
            if self._changed.is_set():
                # Nothing of these is committed, so they are read again.
                return
            await self._forward(consumer, polled, epoch)
            self._marks.leave(self._inputs.unmarked())
            if looking.done():
                looking.result()
                return

    async def _poll(self, consumer: Any) -> Mapping[TopicPartition, list[Any]]:
        try:
            polled: Mapping[TopicPartition, list[Any]] = await consumer.getmany(
                timeout_ms=POLL_MILLISECONDS, max_records=POLL_RECORDS
            )
        except UnicodeDecodeError:
            # aiokafka passes on no record of a batch in which a header's name is no UTF-8, and has
            # dropped what it had polled beside: all is read again, without that input.
            if not await self._inputs.stop_unreadable(consumer):
                raise
            self._changed.set()
            return {}
        except NoOffsetForPartitionError:
            # Of a partition that is assigned and not taken yet; its position is set then.
            return {}
        except OffsetOutOfRangeError as error:
            # First what is in flight: what was read of a partition tells whether anything is lost.
            await self._land()
            if not await self._inputs.go_on(consumer, error.args[0]):
                self._changed.set()
            return {}
        return polled

    async def _settle(self) -> None:
        """Wait until the partitions are assigned and checked."""
        if not self._settled.is_set():
            waits = [asyncio.ensure_future(e.wait()) for e in (self._settled, self._changed)]
            done, _ = await asyncio.wait(
                waits, timeout=REBALANCE_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            for each in waits:
                each.cancel()
            if not done:
                raise TimeoutError(f"no partitions for {REBALANCE_SECONDS:g} s")

    async def _forward(
        self, consumer: Any, polled: Mapping[TopicPartition, list[Any]], epoch: int
    ) -> None:
        """Turn records into entries while those before them are on their way."""
        departed = False
        for forwarded, last in slices(self._checked(polled), self._now):
            departed = True
            self._turns += 1
            ahead = self._ahead(consumer, last)
            await self._land()
            if epoch != self._epoch or self._changed.is_set():
                # Nothing of these is committed, so whoever owns the partitions now reads them.
                return
            self._flight = asyncio.create_task(self._publish(consumer, forwarded, ahead, epoch))
        if not departed:
            await self._land()
        if passed := await self._inputs.measure(consumer, polled):
            await self._publish(consumer, Forwarded(), passed, epoch)

    def _ahead(
        self, consumer: Any, last: Mapping[TopicPartition, Any]
    ) -> dict[TopicPartition, tuple[int, int]]:
        """Return where partitions go on behind records, and up to when they are complete then."""
        now, ahead = self._now(), {}
        for partition, record in last.items():
            offset, time = record.offset + 1, record.timestamp * 1000
            ahead[partition] = offset, self._inputs.reached(consumer, partition, offset, time, now)
        return ahead

    def _checked(
        self, polled: Mapping[TopicPartition, list[Any]]
    ) -> Iterator[tuple[TopicPartition, Source, Sequence[Any]]]:
        for partition, records in polled.items():
            if self._inputs.check(partition, records[0].offset):
                yield partition, self._inputs.source(partition), records
            else:
                self._changed.set()

    async def _publish(
        self,
        consumer: Any,
        forwarded: Forwarded,
        ahead: Mapping[TopicPartition, tuple[int, int]],
        epoch: int,
    ) -> None:
        await self._publisher.publish(forwarded.items)
        failpoints.reach("bridge.published")
        await self._rejects.write(forwarded.rejects)
        self._seen.note(forwarded.seen)
        self._seen.fed.note(forwarded.fed)
        self._metrics.accepted(forwarded.accepted)
        self._metrics.refused((each.source, each.reason) for each in forwarded.rejects)
        if epoch != self._epoch:
            # The partitions moved on: their owner reads these records again, in the same order,
            # and the detector drops them by their origins.
            return
        self._inputs.forwarded(ahead)
        try:
            await consumer.commit({partition: each[0] for partition, each in ahead.items()})
            failpoints.reach("bridge.committed")
            self._inputs.committed(ahead)
        except KafkaError as error:
            # Likewise; or the next commit makes up for it.
            _log.warning("commit failed", error=repr(error))

    async def _land(self) -> None:
        """Wait for what is in flight."""
        if self._flight is not None:
            try:
                await self._flight
            finally:
                self._flight = None

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Finish what is in flight if Kafka is quick; else it is read again by the next owner."""
        self._settled.clear()
        if self._flight is not None:
            await asyncio.wait({self._flight}, timeout=REVOKE_SECONDS)
        self._epoch += 1
        self._inputs.release(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Check the new partitions before the first record of them is forwarded."""
        self._epoch += 1
        try:
            await self._inputs.take(self._consumer, frozenset(assigned))
        except KafkaError as error:
            _log.warning("partitions not checked", error=repr(error))
            self._changed.set()
        if self._inputs.faulty(assigned):
            self._changed.set()
        self._settled.set()


def _heeded(looking: "asyncio.Task[None]") -> None:
    """Ask how a task ended: asyncio reports an error that nobody has asked for."""
    if not looking.cancelled():
        looking.exception()
