"""Watches the snapshot as any reader would: when it covers all events, and what it holds then."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.detector.ledger import ROOT, LedgerRecord
from services.detector.subject import restore_all
from tests.bench.figure import BenchError
from tests.bench.filling import INPUT, Ends
from tests.bench.load import METRIC, PARTITIONS, Counts
from tests.bench.processes import Process

LOOK_SECONDS: Final = 0.5
POLL_MILLISECONDS: Final = 50

_ledger = msgspec.msgpack.Decoder(LedgerRecord).decode


class Snapshot:
    """The state topic, read committed while it is written.

    A ledger names the newest origin that it has folded, and is committed in one transaction with
    everything up to there: from then on these events are durable.

    Args:
        consumer: Reads all its partitions from the beginning.
        ends: The last event by partition of the input.
    """

    def __init__(self, consumer: Any, ends: Ends) -> None:
        self.records: dict[int, dict[str, bytes]] = {}
        self.written = 0
        self.written_bytes = 0
        self._consumer = consumer
        self._missing = dict(ends)
        self._durable_at = 0.0
        self._done = asyncio.Event()
        self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Read no further."""
        self._following.cancel()
        await asyncio.wait({self._following})

    async def _follow(self) -> None:
        while True:
            polled = await self._consumer.getmany(timeout_ms=POLL_MILLISECONDS)
            now = time.time()
            for where, records in polled.items():
                for record in records:
                    self._take(where.partition, record.key.decode(), record.value, now)

    async def durable(self, processes: Iterable[Process], within: float) -> float:
        """Wait until every event is durable; return when that was, seconds since 1970.

        Args:
            processes: What must run meanwhile.
            within: How long to wait, seconds.

        Raises:
            BenchError: A process ended, or it took too long.
        """
        end = time.monotonic() + within
        while not self._done.is_set():
            for process in processes:
                process.require_running()
            if time.monotonic() > end:
                raise BenchError(
                    f"after {within:g} s partitions {sorted(self._missing)} are not durable; "
                    "measure fewer events with --events"
                )
            if self._following.done():
                self._following.result()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._done.wait(), LOOK_SECONDS)
        return self._durable_at

    def counted(self) -> Counts:
        """Return every day bucket of the metric, from the records alone."""
        found: Counts = Counter()
        for records in self.records.values():
            kept = ((key, raw) for key, raw in records.items() if not key.startswith(ROOT))
            for account in restore_all(kept).values():
                line = account.facts.buckets.lines.get(METRIC)
                for place, amount in enumerate(line.values if line else ()):
                    if amount:
                        found[account.id, line.first + place] = amount  # type: ignore[union-attr]
        return found

    def _take(self, partition: int, key: str, value: bytes | None, now: float) -> None:
        self.written += 1
        self.written_bytes += len(value or b"")
        records = self.records.setdefault(partition, {})
        if value is None:
            records.pop(key, None)
            return
        records[key] = value
        if key == ROOT and partition in self._missing:
            offset, _ = _ledger(value).origins.get(INPUT, {}).get(partition, (-1, -1))
            if offset >= self._missing[partition]:
                del self._missing[partition]
                if not self._missing:
                    self._durable_at = now
                    self._done.set()


@contextlib.asynccontextmanager
async def watching(kafka: str, topic: str, ends: Ends) -> AsyncIterator[Snapshot]:
    """Follow a state topic as long as the block lasts.

    Args:
        kafka: Bootstrap servers.
        topic: Full name of `state.v1`.
        ends: The last event by partition of the input.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=8 * 1024 * 1024,
        fetch_max_wait_ms=POLL_MILLISECONDS,
    )
    await consumer.start()
    consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
    snapshot = Snapshot(consumer, ends)
    try:
        yield snapshot
    finally:
        await snapshot.stop()
        await consumer.stop()
