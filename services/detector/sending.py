"""Forwards on their way: what folding has found for other partitions (design.md §5.4)."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from services import failpoints
from services.partitioning import home_of

WAITING_LIMIT: Final = 8 * 1024 * 1024
"""With more bytes of forwards waiting than this a partition folds no further."""

BATCH_ENTRIES: Final = 4_000
"""Forwards handed to the publisher at once: eight full envelopes."""

PATIENCE_SECONDS: Final = 60.0
"""Without an acknowledgement for so long Kafka counts as lost: longer than a producer takes to
suspect itself and be replaced."""

Forward = tuple[str, bytes]
"""The subject whose home partition an encoded entry goes to; empty for every partition."""


class Publishes(Protocol):
    """What sending needs of the publisher."""

    partitions: int

    async def publish(self, items: Sequence[tuple[int, bytes]]) -> object:
        """Append entries, in order per partition, and return when all are acknowledged."""


class Lost(Exception):
    """Forwards cannot be sent; the process must end before it commits what caused them."""


class Outgoing:
    """The forwards of one partition, sent in the order in which they were folded.

    One batch is on its way at a time, so a forward is never appended before one that was folded
    earlier. Whoever takes the partition over folds the same messages and sends the same forwards
    again; their origins tell that they are known. To be used in one event loop.

    Args:
        publisher: Appends entries to `events.v1`.
        lost: Told why forwards cannot be sent; called once, and not expected to return.
    """

    def __init__(self, publisher: Publishes, lost: Callable[[Lost], object]) -> None:
        self.waiting = 0
        self._publisher = publisher
        self._lost = lost
        self._queue: deque[tuple[int, bytes]] = deque()
        self._put = 0
        self._acknowledged = 0
        self._settled = 0
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether so much waits that folding must, too."""
        return self.waiting > WAITING_LIMIT

    def put(self, forwards: Sequence[Forward]) -> None:
        """Send forwards after all that were put before; nothing is awaited.

        Args:
            forwards: In the order in which they were folded.
        """
        for subject, entry in forwards:
            homes = self._homes(subject)
            self._queue.extend((home, entry) for home in homes)
            self._put += len(homes)
            self.waiting += len(entry) * len(homes)
        if self._queue and self._task is None:
            self._task = asyncio.create_task(self._send())

    async def room(self) -> None:
        """Return when folding may go on."""
        while self.full:
            await self._progress()

    async def settle(self) -> None:
        """Return when everything that was put before this call is acknowledged."""
        mark = self._put
        while self._acknowledged < mark:
            await self._progress()
        if mark > self._settled:
            self._settled = mark
            failpoints.reach("detector.forwarded")

    def _homes(self, subject: str) -> Sequence[int]:
        partitions = self._publisher.partitions
        return range(partitions) if subject == "" else (home_of(subject, partitions),)

    async def _progress(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    async def _send(self) -> None:
        try:
            while self._queue:
                size = min(BATCH_ENTRIES, len(self._queue))
                batch = [self._queue.popleft() for _ in range(size)]
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._publisher.publish(batch)
                self._acknowledged += len(batch)
                self.waiting -= sum(len(entry) for _, entry in batch)
                self._moved.set()
        except TimeoutError:
            self._lost(Lost(f"no forward was acknowledged for {PATIENCE_SECONDS:g} s"))
        except Exception as error:
            self._lost(Lost(f"forwards cannot be sent: {error!r}"))
        finally:
            self._task = None
