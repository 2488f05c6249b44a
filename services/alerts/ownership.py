"""The partitions that this replica owns: taken over, flushed, given up (design.md §5.8, §6)."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from schemas.envelope import encode_entry
from services import failpoints
from services.alerts.accounts import Accounts
from services.alerts.cases.partition import Partition
from services.alerts.projection import Projection
from services.alerts.settings import AlertsSettings
from services.alerts.store import Store, answering
from services.continuity import CannotOwn
from services.runtime import ExitCode, Health, die, get_logger
from services.snapshots import LoadTooSlow

LOADS_AT_ONCE: Final = 4
FULL_RECORDS: Final = 20_000
FULL_BYTES: Final = 32 * 1024 * 1024
"""So much is flushed at once, however short ago the last flush was. Source: design.md §5.7."""
AHEAD_RECORDS: Final = 10_000
AHEAD_SECONDS: Final = 3600.0
"""So far, or so long, the position goes on unwritten while no case changes. Once the log is deleted
up to there by its retention, only the position tells that nothing was missed."""
RETURN_SECONDS: Final = 2.0
"""So long a snapshot waits until what the detector is to learn is acknowledged; then it is left for
the next time, so that no rebalance and no stop waits longer."""
NEVER: Final = float("-inf")

Done = TypeVar("Done")
GiveBack = Callable[[Sequence[tuple[int, bytes]]], Awaitable[object]]

_log = get_logger("alerts.ownership")


@dataclass(slots=True, eq=False)
class Owned:
    """One owned partition.

    Attributes:
        partition: Its state in memory.
        store: Where it is written.
        accounts: The summaries of its accounts.
        projection: Keeps its part of the view written.
        durable: Offset up to which the snapshot is written.
        flushed_at: When the last flush began, monotonic seconds.
        current_at: When its log was last known to be read to its end, monotonic seconds.
        known: Whether its accounts have been read to their end once.
        revoked: It is being given up: nothing is folded, and nothing sent.
        lock: One flush at a time.
        returning: What the detector is to learn, on its way.
    """

    partition: Partition
    store: Store
    accounts: Accounts
    projection: Projection
    durable: int
    flushed_at: float = field(default_factory=lambda: time.monotonic())
    current_at: float = NEVER
    known: bool = False
    revoked: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    returning: asyncio.Task[int] | None = None

    @property
    def number(self) -> int:
        """The partition's number."""
        return self.partition.number


class Ownership:
    """All partitions of one replica.

    Args:
        settings: The service's settings.
        health: Told whether the snapshots are loaded.
        project: Makes what keeps a partition's view written: given the partition, its accounts,
            and an epoch that nobody else has.
        begin: Told of each partition that is loaded; reading it goes on from there.
        give_back: Sends encoded entries to partitions of `events.v1`, and returns when all are
            acknowledged, however long that takes.
    """

    def __init__(
        self,
        settings: AlertsSettings,
        health: Health,
        project: Callable[[Partition, Accounts, str], Projection],
        begin: Callable[[Owned], Coroutine[Any, Any, None]],
        give_back: GiveBack,
    ) -> None:
        self.owned: dict[int, Owned] = {}
        self.assigned: frozenset[int] = frozenset()
        self.rebalances = 0
        self.counted: Counter[tuple[str, ...]] = Counter()
        self._settings = settings
        self._health = health
        self._project = project
        self._begin = begin
        self._give_back = give_back
        self._generation = 0
        self._loading: set[asyncio.Task[None]] = set()
        self._running: set[asyncio.Task[Any]] = set()
        health.set("snapshots", False, "no partition is assigned yet")

    def __iter__(self) -> Iterator[Owned]:
        """Iterate over what is owned and not being given up."""
        return iter([owned for owned in self.owned.values() if not owned.revoked])

    def find(self, number: int) -> Owned | None:
        """Return a partition that is owned, loaded, and not being given up."""
        owned = self.owned.get(number)
        return None if owned is None or owned.revoked else owned

    @property
    def loaded(self) -> bool:
        """Whether everything that is assigned is loaded."""
        return self.assigned <= self.owned.keys()

    def assign(self, numbers: Iterable[int]) -> None:
        """Begin to take partitions over; returns at once, so that the group is not kept waiting.

        Args:
            numbers: Assigned partitions of `alerts.v1`; none of them is owned.
        """
        self.rebalances += 1
        self._generation += 1
        self.assigned = frozenset(numbers)
        gate = asyncio.Semaphore(LOADS_AT_ONCE)
        for number in sorted(self.assigned):
            self._loading.add(
                asyncio.ensure_future(self._take_over(number, self._generation, gate))
            )
        self._tell()

    async def _take_over(self, number: int, generation: int, gate: asyncio.Semaphore) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            async with gate:
                await self._own(number, generation)
        except asyncio.CancelledError:
            if generation == self._generation:
                die("take-over", f"partition {number} was cancelled by one of its own tasks")
            raise
        except CannotOwn as error:
            die("take-over", error, ExitCode.CONFIG)
        except LoadTooSlow as error:
            die("take-over", error, ExitCode.STUCK)
        except Exception as error:
            die(f"take-over of partition {number}", error)
        finally:
            self._loading.discard(task)

    async def _own(self, number: int, generation: int) -> None:
        if generation != self._generation:
            # Its producer would fence whoever owns the partition by now.
            return
        store = Store(self._settings, number)
        try:
            partition = await store.take_over()
        except BaseException:
            await store.close()
            raise
        accounts = Accounts()
        epoch = f"{generation}/{uuid.uuid4().hex}"
        projection = self._project(partition, accounts, epoch)
        owned = Owned(partition, store, accounts, projection, partition.stamp)
        self.owned[number] = owned
        async with answering(f"the position of partition {number}"):
            await self._begin(owned)
        _log.info("partition loaded", partition=number, stamp=partition.stamp)
        self._tell()

    def flush_due(self) -> None:
        """Begin to write what has waited long enough."""
        now = time.monotonic()
        for owned in self:
            waited = now - owned.flushed_at
            if _is_due(owned, waited, self._settings.alerts_flush_seconds):
                # Not awaited: folding goes on while the transaction is under way.
                self._in_background(self.flush(owned))

    async def flush(self, owned: Owned) -> None:
        """Make everything folded so far durable; anything unexpected ends the process.

        While the detector cannot be told what it is to learn, nothing is written: what is folded is
        folded again by whoever owns the partition next.

        Args:
            owned: The partition.
        """
        try:
            async with owned.lock:
                if _has_news(owned.partition) or owned.partition.ahead:
                    owned.flushed_at = time.monotonic()
                    if await self._returned(owned):
                        await self._write(owned)
        except asyncio.CancelledError:
            if not owned.revoked:
                die(f"flush of partition {owned.number}", "cancelled by one of its own tasks")
            raise
        except Exception as error:
            # After a cut the memory is ahead of the snapshot for good.
            die(f"flush of partition {owned.number}", error)

    async def _returned(self, owned: Owned) -> bool:
        """Tell whether the detector has all that it is to learn; what is on its way goes on.

        Before the snapshot, or a crash in between would lose it; what is sent twice is known by its
        origin.
        """
        waiting = owned.partition.returned
        while waiting:
            fresh = owned.returning is None
            sending = owned.returning = owned.returning or self._send_back(owned)
            # What is late already has been waited for; a rebalance does not wait for it again.
            within = RETURN_SECONDS if fresh or not owned.revoked else 0.0
            done, _ = await asyncio.wait({sending}, timeout=within)
            if not done:
                if fresh:
                    _log.warning("snapshot waits for events.v1", partition=owned.number)
                return False
            owned.returning = None
            del waiting[: sending.result()]
            failpoints.reach("alerts.returned")
        return True

    def _send_back(self, owned: Owned) -> "asyncio.Task[int]":
        """Begin to send what the detector is to learn; the task returns how many entries that is.

        Without a deadline: what was sent again and again might never be acknowledged in time.
        """
        items = [(owned.number, encode_entry(one)) for one in owned.partition.returned]

        async def send() -> int:
            await self._give_back(items)
            return len(items)

        task = self._in_background(send())
        task.add_done_callback(_heeded)
        return task

    async def _write(self, owned: Owned) -> None:
        partition = owned.partition
        # Nothing may be awaited between these: they are one moment.
        cut, stamp = partition.cut(), partition.stamp
        rejects, partition.rejects = partition.rejects, []
        await owned.store.write(cut, rejects)
        owned.durable = stamp

    def part(self) -> None:
        """Fold and send nothing more, and load nothing more: all of it is about to be given up."""
        self._generation += 1
        for task in list(self._loading):
            # One that ended while what is under way lands would begin to send again.
            task.cancel()
        for owned in self.owned.values():
            owned.revoked = True

    async def revoke(self) -> None:
        """Stop running loads, write what is folded, and give every partition up."""
        self.part()
        await asyncio.gather(*self._loading, return_exceptions=True)
        await asyncio.gather(*(self._give_up(owned) for owned in list(self.owned.values())))
        self.assigned = frozenset()
        self._health.set("snapshots", False, "partitions are being reassigned")

    async def _give_up(self, owned: Owned) -> None:
        await owned.projection.stop()
        await self.flush(owned)
        # A flush that began before it still needs the producer.
        async with owned.lock:
            await owned.store.close()
        # At once, or a scrape in between would count them twice.
        self.counted.update(owned.partition.counts)
        self.owned.pop(owned.partition.number, None)

    def _in_background(self, work: Coroutine[Any, Any, Done]) -> "asyncio.Task[Done]":
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _tell(self) -> None:
        missing = sorted(self.assigned - self.owned.keys())
        detail = f"partitions {missing} are being loaded" if missing else ""
        self._health.set(
            "snapshots", not missing, detail or f"{len(self.owned)} partitions are loaded"
        )


def _has_news(partition: Partition) -> bool:
    return bool(partition.dirty or partition.rejects)


def _is_due(owned: Owned, waited: float, every: float) -> bool:
    partition = owned.partition
    if owned.lock.locked():
        return False
    if _has_news(partition):
        full = partition.dirty >= FULL_RECORDS or partition.weight >= FULL_BYTES
        return full or waited >= every
    ahead = partition.ahead
    return ahead >= AHEAD_RECORDS or (ahead > 0 and waited >= AHEAD_SECONDS)


def _heeded(task: "asyncio.Task[int]") -> None:
    """Ask how a task ended that may be given up: asyncio reports an error nobody asked for."""
    if not task.cancelled():
        task.exception()
