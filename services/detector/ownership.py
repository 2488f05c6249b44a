"""The partitions that this worker owns: taken over, flushed, parked, given up (design.md §5.8)."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Final

from services import failpoints
from services.continuity import CannotOwn
from services.detector.owned import ALERT_FLUSH_SECONDS, Owned
from services.detector.partition import Gap
from services.detector.pending import Cut
from services.detector.sending import Outgoing
from services.detector.settings import DetectorSettings
from services.detector.store import Names, Store
from services.publishing.producer import Producer
from services.publishing.publisher import Publisher
from services.runtime import ExitCode, Health, die, get_logger, leave
from services.snapshots import Fenced, LoadTooSlow

LOADS_AT_ONCE: Final = 4
LEAVE_SECONDS: Final = 4.0
"""A worker that is told to end waits no longer for its forwards, so that it ends within ten."""

log = get_logger("detector.ownership")


class Ownership:
    """All partitions of one worker.

    Args:
        settings: The detector's settings.
        health: Told whether the snapshots are loaded.
        generation: Asks the consumer group's generation as it is now.
        alerted: Told how many seconds after its cause an alert was durable.
    """

    def __init__(
        self,
        settings: DetectorSettings,
        health: Health,
        generation: Callable[[], int],
        alerted: Callable[[float], None],
    ) -> None:
        self.owned: dict[int, Owned] = {}
        self.generation = -1
        self.rebalances = 0
        self.remaining: dict[int, int] = {}
        self._settings = settings
        self._health = health
        self._now = generation
        self._alerted = alerted
        self._loading: set[asyncio.Task[None]] = set()
        self._running: set[asyncio.Task[None]] = set()
        self.counted: Counter[tuple[str, ...]] = Counter()
        self._producer = Producer(
            settings.kafka,
            f"ebbwatch-{settings.detector_instance}",
            lambda ok, detail: health.set("forwards", ok, detail),
        )
        events = Names.of(settings.prefix).events
        self._publisher = Publisher(self._producer, events, settings.partitions)
        self._publishing = False
        health.set("snapshots", False, "no partition is assigned yet")

    def positions(self) -> dict[int, int]:
        """Return where reading goes on, per owned partition."""
        return {number: owned.partition.stamp + 1 for number, owned in self.owned.items()}

    async def room(self, number: int) -> None:
        """Return when a partition may fold: not while too many of its forwards wait for Kafka.

        The worker's other partitions wait with it: their forwards go to the same brokers.

        Args:
            number: The partition.
        """
        owned = self.owned.get(number)
        if owned is not None:
            await owned.outgoing.room()

    def fold(self, number: int, generation: int, offset: int, appended: int, event: Any) -> None:
        """Fold one message, unless it belongs to another generation of the group.

        Args:
            number: The partition.
            generation: The generation in which it was fetched.
            offset: Its offset.
            appended: Its append time, microseconds.
            event: The event, acknowledged once its fold is durable.
        """
        owned = self.owned.get(number)
        if owned is None or generation != self.generation or generation != self._now():
            return
        failpoints.reach("detector.fold")
        try:
            owned.partition.apply(offset, appended, event.message.value)
            owned.judge()
        except Gap as gap:
            die("fold", gap)
        owned.waiting.append(event)
        owned.pending += len(event.message.value or b"")

    async def work(self) -> None:
        """Judge open closings and flush what is due, until cancelled."""
        while True:
            busy = False
            for owned in list(self.owned.values()):
                if not owned.parked:
                    if not owned.outgoing.full:
                        busy |= owned.judge()
                    self._flush_if_due(owned)
                await asyncio.sleep(0)
            self._report()
            await asyncio.sleep(0 if busy else ALERT_FLUSH_SECONDS / 2)

    def _flush_if_due(self, owned: Owned) -> None:
        interval = self._settings.detector_flush_seconds
        if owned.due(time.monotonic(), interval) and not owned.lock.locked():
            # Not awaited: folding goes on while the transaction is under way.
            self._in_background(self.flush(owned))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def flush(self, owned: Owned) -> None:
        """Make everything folded so far durable, and acknowledge it; anything else ends all.

        Args:
            owned: The partition.
        """
        try:
            async with owned.lock:
                if owned.waiting or owned.partition.dirty or owned.partition.urgent:
                    await self._flush(owned)
        except Exception as error:
            # After a cut the memory is ahead of the snapshot for good.
            die(f"flush of partition {owned.partition.number}", error)

    async def _flush(self, owned: Owned) -> None:
        # Nothing may be awaited between the cut and the swap: they are one moment.
        owned.forward()
        cut = owned.partition.cut()
        done, owned.waiting, owned.pending = owned.waiting, [], 0
        await self._commit(owned, cut)
        for event in done:
            event.ack()
        now = time.time()
        for caused in cut.caused:
            self._alerted(now - caused / 1e6)
        owned.flushed_at = time.monotonic()

    async def _commit(self, owned: Owned, cut: Cut) -> None:
        # A snapshot must not say that a message is folded whose forwards are not in the log.
        await owned.outgoing.settle()
        await owned.store.write(cut)

    async def revoke(self) -> None:
        """Stop a running load; write what is folded and keep it parked."""
        self._health.set("snapshots", False, "partitions are being reassigned")
        self.generation = -1
        for task in list(self._loading):
            task.cancel()
        await asyncio.gather(*self._loading, return_exceptions=True)
        for owned in self.owned.values():
            owned.parked = True
        await asyncio.gather(*(self.flush(owned) for owned in self.owned.values()))

    async def assign(self, numbers: Iterable[int]) -> None:
        """Own exactly these partitions: go on with parked ones, load the others.

        Args:
            numbers: Assigned partitions of `events.v1`.
        """
        self.rebalances += 1
        await self._start_publishing()
        generation = self._now()
        wanted = set(numbers)
        for number in set(self.owned) - wanted:
            self._give_up(number)
        gate = asyncio.Semaphore(LOADS_AT_ONCE)
        self._loading = {
            asyncio.ensure_future(self._own(number, generation, gate)) for number in wanted
        }
        within = self._settings.detector_load_seconds
        try:
            async with asyncio.timeout(within):
                outcomes = await asyncio.gather(*self._loading, return_exceptions=True)
        except TimeoutError:
            die("take-over", f"not loaded within {within:g} s", ExitCode.STUCK)
        self._loading = set()
        for outcome in outcomes:
            _judge_outcome(outcome)
        # A revocation has cancelled the load, or another generation has begun.
        if self._now() == generation and not any(outcomes):
            self.generation = generation
            self._health.set("snapshots", True, f"{len(self.owned)} partitions are loaded")
            log.info("partitions owned", partitions=sorted(self.owned), generation=generation)

    async def _start_publishing(self) -> None:
        if not self._publishing:
            self._publishing = True
            await self._publisher.start()

    async def _own(self, number: int, generation: int, gate: asyncio.Semaphore) -> None:
        async with gate:
            parked = self.owned.get(number)
            if parked is not None:
                if await self._still_ours(parked):
                    parked.parked = False
                    return
                self._forget(number)
            # Whoever is assigned nothing any more must not fence the rightful owner.
            if self._now() != generation:
                return
            store = Store(self._settings, number)
            try:
                partition = await store.take_over(partial(self.remaining.__setitem__, number))
            except BaseException:
                await store.close()
                raise
            finally:
                self.remaining.pop(number, None)
            outgoing = self._outgoing(number)
            self.owned[number] = Owned(partition, store, outgoing, time.monotonic())
            self.counted["caught_up",] += store.behind
            log.info(
                "partition loaded", partition=number, stamp=partition.stamp, behind=store.behind
            )

    def _outgoing(self, number: int) -> Outgoing:
        return Outgoing(self._publisher, lambda why: die(f"forwards of partition {number}", why))

    async def _still_ours(self, parked: Owned) -> bool:
        """Ask Kafka, by one ledger record in the old producer's transaction."""
        async with parked.lock:
            try:
                await self._commit(parked, parked.partition.cut())
            except Fenced:
                await parked.store.close()
                return False
            except Exception as error:
                die(f"parked partition {parked.partition.number}", error)
        return True

    def _forget(self, number: int) -> Owned:
        """Take a partition out of memory; what was counted stays counted."""
        owned = self.owned.pop(number)
        self.counted.update(owned.partition.counts)
        return owned

    def _give_up(self, number: int) -> None:
        self._in_background(self._close(self._forget(number)))

    async def _close(self, owned: Owned) -> None:
        # A flush under way still needs the producer.
        async with owned.lock:
            await owned.store.close()

    async def close(self) -> None:
        """Write what is folded and give every partition up."""
        self.generation = -1
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await asyncio.gather(*(one.outgoing.settle() for one in self.owned.values()))
        except TimeoutError:
            # Nothing is lost: what caused them was not written, and is folded again.
            log.warning(
                "forwards were not acknowledged",
                seconds=LEAVE_SECONDS,
                bytes=sum(one.outgoing.waiting for one in self.owned.values()),
            )
            leave(ExitCode.OK)
        await asyncio.gather(*(self.flush(owned) for owned in self.owned.values()))
        await asyncio.gather(*(self._close(owned) for owned in self.owned.values()))
        self.owned.clear()
        await self._publisher.stop()
        await self._producer.stop()

    def _report(self) -> None:
        for owned in self.owned.values():
            for failure in owned.partition.failures:
                log.error(
                    "contained", account=failure.account, rule=failure.rule, error=failure.error
                )
            owned.partition.failures.clear()


def _judge_outcome(outcome: BaseException | None) -> None:
    if isinstance(outcome, CannotOwn):
        die("take-over", outcome, ExitCode.CONFIG)
    if isinstance(outcome, LoadTooSlow):
        die("take-over", outcome, ExitCode.STUCK)
    if isinstance(outcome, Exception):
        die("take-over", outcome)
