"""Cuts envelopes per partition, across callers, and sends them one after the other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.envelope import join
from services.publishing.lanes import ENTRY_BYTES, Chunk, Lane, Ticket
from services.publishing.producer import Producer

LINGER_SECONDS: Final = (0.005, 0.1)
"""Source: design.md §4, the shortest and the longest wait for more entries."""


class Unavailable(Exception):
    """Kafka does not take events now; the same request may succeed later.

    Args:
        detail: Why, and what is awaited.
        retry_after: When to try again, seconds.
    """

    def __init__(self, detail: str, retry_after: int = 5) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a publisher holds and how often it sends.

    Args:
        pending_bytes: Entries waiting for their acknowledgement, over all partitions, bytes.
        envelopes_per_second: As many as one detector worker takes, all partitions together.
            Source: design.md §4; full envelopes are sent at once.
    """

    pending_bytes: int = 64 * 1024 * 1024
    envelopes_per_second: int = 1000


class Publisher:
    """Publishes encoded entries into the partitions of `events.v1`, in order, at least once.

    Each partition has one queue and at most one unacknowledged envelope, so entries of one
    partition are appended in the order of the calls.

    Args:
        producer: What sends; may be shared.
        topic: Full name of the topic of envelopes.
        partitions: Its partition count.
        limits: Bounds of memory and rate.
        on_fatal: Told of an error after which nothing can be published any more.
    """

    def __init__(
        self,
        producer: Producer,
        topic: str,
        partitions: int,
        limits: Limits | None = None,
        on_fatal: Callable[[Exception], None] | None = None,
    ) -> None:
        self.producer = producer
        self.partitions = partitions
        self.envelopes = 0
        self.published = 0
        self.pending_bytes = 0
        self._topic = topic
        self._limits = limits or Limits()
        self._on_fatal = on_fatal
        self._failure: Exception | None = None
        self._lanes = [Lane(partition) for partition in range(partitions)]
        self._tasks: list[asyncio.Task[None]] = []
        self._open: set[Ticket] = set()
        self._busy = 0
        self._door = asyncio.Lock()
        self._drained = asyncio.Event()

    @property
    def pending_entries(self) -> int:
        """Entries that wait to be sent."""
        return sum(lane.entries for lane in self._lanes)

    async def start(self) -> None:
        """Begin to send; to be called once, in the loop that publishes."""
        self._tasks = [asyncio.create_task(self._run(lane)) for lane in self._lanes]

    async def stop(self, within: float = 0.0) -> bool:
        """Send what waits, then end.

        Args:
            within: How long to wait for acknowledgements, seconds, >= 0.

        Returns:
            True if everything was acknowledged.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self.flush()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._fail(Unavailable("the publisher has ended"))
        return self.pending_bytes == 0

    async def flush(self) -> None:
        """Return when nothing waits any more."""
        while self.pending_bytes:
            self._drained.clear()
            await self._drained.wait()

    async def publish(self, items: Sequence[tuple[int, bytes]], within: float | None = None) -> int:
        """Publish entries and return when all of them are acknowledged.

        Calls that overlap are queued in the order in which they began.

        Args:
            items: Partition and bytes of `encode_entry`, each at most `ENTRY_BYTES` long.
            within: Deadline, seconds; None waits for room and for Kafka as long as it takes.

        Returns:
            The newest append time of the envelopes, milliseconds since 1970-01-01 UTC; 0 if the
            broker did not tell or there is nothing to publish.

        Raises:
            Unavailable: The queue is full, or the deadline has passed. Entries may have been
                appended all the same; publishing them again is what the log is made for.
            ValueError: An entry is too long.
        """
        if not items:
            return 0
        ticket = await self._admit(_grouped(items), within)
        try:
            async with asyncio.timeout(within):
                await ticket.future
        except TimeoutError:
            ticket.abandoned = True
            raise Unavailable(f"Kafka did not acknowledge within {within:g} s") from None
        return ticket.appended_ms

    async def _admit(self, groups: dict[int, list[bytes]], within: float | None) -> Ticket:
        if self._failure is not None:
            raise self._failure
        size = sum(len(entry) for entries in groups.values() for entry in entries)
        if within is not None and (self._door.locked() or not self._fits(size)):
            raise Unavailable(f"{self.pending_bytes} bytes wait for Kafka; that is the limit", 1)
        # The lock is fair, so whoever waits for room is not overtaken.
        async with self._door:
            while not self._fits(size):
                self._drained.clear()
                await self._drained.wait()
            return self._enqueue(groups, size)

    def _fits(self, size: int) -> bool:
        # What is larger than the whole queue gets through an empty one.
        return not self.pending_bytes or self.pending_bytes + size <= self._limits.pending_bytes

    def _enqueue(self, groups: dict[int, list[bytes]], size: int) -> Ticket:
        if self._failure is not None:
            raise self._failure
        ticket = Ticket(len(groups))
        self._open.add(ticket)
        ticket.future.add_done_callback(lambda _: self._open.discard(ticket))
        self.pending_bytes += size
        for partition, entries in groups.items():
            self._lanes[partition].put(Chunk(ticket, entries))
        return ticket

    async def _run(self, lane: Lane) -> None:
        try:
            while True:
                await lane.woken.wait()
                self._busy += 1
                await self._linger(lane)
                await self._send(lane)
                self._busy -= 1
        except Exception as error:
            self._fail(error)
            if self._on_fatal is not None:
                self._on_fatal(error)

    async def _linger(self, lane: Lane) -> None:
        shortest, longest = LINGER_SECONDS
        spacing = min(max(self._busy / self._limits.envelopes_per_second, shortest), longest)
        due = max(lane.cut_at + spacing, asyncio.get_running_loop().time() + shortest)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await lane.full.wait()

    async def _send(self, lane: Lane) -> None:
        lane.cut_at = asyncio.get_running_loop().time()
        entries, finished, size = lane.cut()
        appended_ms = 0
        if entries:
            metadata = await self.producer.send(
                self._topic, join(entries), partition=lane.partition
            )
            # Type 1 is the broker's own clock; otherwise the time is only our own, handed back.
            appended_ms = metadata.timestamp if metadata.timestamp_type == 1 else 0
            self.envelopes += 1
            self.published += len(entries)
        self.pending_bytes -= size
        self._drained.set()
        for ticket in finished:
            ticket.acknowledge(appended_ms)

    def _fail(self, error: Exception) -> None:
        self._failure = error
        for ticket in list(self._open):
            if not ticket.future.done():
                ticket.future.set_exception(error)


def _grouped(items: Sequence[tuple[int, bytes]]) -> dict[int, list[bytes]]:
    groups: dict[int, list[bytes]] = {}
    for partition, entry in items:
        if len(entry) > ENTRY_BYTES:
            raise ValueError(f"an entry of {len(entry)} bytes is longer than {ENTRY_BYTES}")
        groups.setdefault(partition, []).append(entry)
    return groups


@contextlib.asynccontextmanager
async def publishing(kafka: str, topic: str, partitions: int) -> AsyncIterator[Publisher]:
    """Open a publisher with a producer of its own, for a command.

    Args:
        kafka: Bootstrap servers.
        topic: Full name of the topic of envelopes.
        partitions: Its partition count.
    """
    producer = Producer(kafka)
    publisher = Publisher(producer, topic, partitions)
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.stop()
        await producer.stop()
