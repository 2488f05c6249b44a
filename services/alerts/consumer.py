"""The consumer group: what is read is folded, shown, and handed to the outbox."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError, NoOffsetForPartitionError

from services.alerts.accounts import UNREADABLE
from services.alerts.cases.case import Case
from services.alerts.ownership import Owned, Ownership
from services.alerts.settings import AlertsSettings
from services.alerts.store import Names
from services.kafka_clients import Reach, close
from services.runtime import Health, die, get_logger
from services.watchdog import Place

POLL_MILLISECONDS: Final = 100
POLL_RECORDS: Final = 500
FETCH_MILLISECONDS: Final = 100
"""A partition that is taken up while the broker waits for news of the others waits so long."""
SILENT_SECONDS: Final = 10.0
"""Without an answer of the broker for so long, Kafka counts as away."""
REBALANCE_SECONDS: Final = 60.0
COMMIT_SECONDS: Final = 5.0

_log = get_logger("alerts.consumer")

Folded = Callable[[Owned, Sequence[Case]], None]


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads `alerts.v1` and `accounts.v1` in one group: both of a partition have one owner.

    The position is the snapshot's stamp; what is committed is for dashboards, and says of
    `accounts.v1` how far the view is written.

    Args:
        settings: The service's settings.
        replica: Names this process in the group, the same after a crash: it is taken back at once.
        ownership: Takes partitions over and gives them up.
        health: Told of Kafka and the assignment.
        folded: Told which cases of a partition have changed.
        parting: Awaited before partitions are given up.
    """

    def __init__(
        self,
        settings: AlertsSettings,
        replica: str,
        ownership: Ownership,
        health: Health,
        folded: Folded,
        parting: Callable[[], Any],
    ) -> None:
        self._settings = settings
        self._ownership = ownership
        self.reach = Reach(settings.kafka, health, time.monotonic)
        self._health = health
        self._folded = folded
        self._parting = parting
        self._names = Names.of(settings.prefix)
        # How far in accounts.v1 the view was written when a partition was taken over.
        self._written: dict[int, int | None] = {}
        self._read: dict[int, int] = {}
        # When the broker said last what a partition holds, and when we saw that first, monotonic.
        self._polled: dict[TopicPartition, tuple[int, float]] = {}
        self._commit_at = 0.0
        self._committing: asyncio.Task[None] | None = None
        self._consumer = self._make(replica)

    @property
    def group(self) -> str:
        """Name of the consumer group."""
        return f"{self._settings.prefix}alerts"

    def _make(self, replica: str) -> AIOKafkaConsumer:
        session = self._settings.alerts_session_seconds
        return AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka,
            group_id=self.group,
            group_instance_id=replica,
            partition_assignment_strategy=(RangePartitionAssignor,),
            enable_auto_commit=False,
            # A hole in the log must not be skipped without a word.
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_MILLISECONDS,
            max_partition_fetch_bytes=2 * 1024 * 1024,
            session_timeout_ms=round(session * 1000),
            heartbeat_interval_ms=round(session * 200),
            rebalance_timeout_ms=round(REBALANCE_SECONDS * 1000),
            max_poll_interval_ms=round(2 * REBALANCE_SECONDS * 1000),
        )

    async def run(self) -> None:
        """Read until cancelled."""
        topics = (self._names.alerts, self._names.accounts)
        self._health.set("assignment", False, "the group has not met yet")
        self._consumer.subscribe(topics=topics, listener=self)
        await self._consumer.start()
        while True:
            self._fold(await self._poll())
            await self._look()
            self._ownership.flush_due()
            self._commit_sometimes()

    async def _poll(self) -> dict[TopicPartition, list[Any]]:
        try:
            polled: dict[TopicPartition, list[Any]] = await self._consumer.getmany(
                timeout_ms=POLL_MILLISECONDS, max_records=POLL_RECORDS
            )
        except NoOffsetForPartitionError:
            # Of a partition that is assigned and not taken over yet; its position is set then.
            return {}
        return polled

    def _fold(self, polled: dict[TopicPartition, list[Any]]) -> None:
        """Fold what was polled; nothing is awaited since, so its partitions are still owned."""
        for at, records in polled.items():
            owned = self._ownership.find(at.partition)
            if owned is None:
                continue
            if at.topic == self._names.alerts:
                self._fold_log(owned, records)
            else:
                self._fold_accounts(owned, records)

    def _fold_log(self, owned: Owned, records: Iterable[Any]) -> None:
        partition = owned.partition
        for record in records:
            key = (record.key or b"").decode(errors="replace")
            partition.apply(record.offset, record.timestamp * 1000, key, record.value)
        self._tell(owned)

    def _tell(self, owned: Owned) -> None:
        """Tell of what was folded: the log, the view, the outbox."""
        partition = owned.partition
        for failure in partition.failures:
            _log.error("contained", **failure._asdict())
        partition.failures.clear()
        changed, answers = partition.take_changed(), partition.take_answers()
        owned.projection.note_cases(changed, answers)
        self._folded(owned, [partition.cases[id] for id in changed])

    def _fold_accounts(self, owned: Owned, records: Iterable[Any]) -> None:
        written = self._written[owned.number]
        for record in records:
            key = (record.key or b"").decode(errors="replace")
            former = owned.accounts.summary(key)
            try:
                found = owned.accounts.take(key, record.value)
            except UNREADABLE as error:
                _log.error("account not read", offset=record.offset, error=str(error))
                continue
            # Of what nobody knows whether it is written, all is written anew once it is known.
            if owned.known if written is None else record.offset >= written:
                owned.projection.note_account(key, found, former, record.offset)

    async def _look(self) -> None:
        """Note which partitions are read to their end, and whether Kafka answers."""
        ages: list[float] = []
        for owned in self._ownership:
            log, accounts = self._places(owned.number)
            age = self._age(log)
            if age is None:
                continue
            ages.append(age)
            if not owned.known and await self._at_end(accounts):
                owned.known = True
                owned.projection.start(await self._consumer.position(accounts) - 1)
                self._folded(owned, list(owned.partition.cases.values()))
            read = await self._consumer.position(log)
            self._read[owned.number] = read
            owned.partition.reach(read)
            if await self._at_end(log):
                owned.current_at = time.monotonic() - age
                owned.projection.as_of = time.time() - age
                self._folded(owned, ())
        if ages:
            silent = min(ages)
            self.reach.tell(silent <= SILENT_SECONDS, f"silent for {silent:.0f} s")

    def _age(self, at: TopicPartition) -> float | None:
        """Return how long ago the broker said what a partition holds, or None if it never did."""
        polled = self._consumer.last_poll_timestamp(at)
        if polled is None:
            return None
        seen, first = self._polled.get(at, (None, 0.0))
        if polled != seen:
            first = time.monotonic()
            self._polled[at] = (polled, first)
        # The wall clock may be set back meanwhile; only it tells of a freeze before this look.
        return max(time.monotonic() - first, time.time() - int(polled) / 1000)

    async def _at_end(self, at: TopicPartition) -> bool:
        end = self._consumer.highwater(at)
        # It has a position since it was taken over, so nothing is waited for here.
        return end is not None and await self._consumer.position(at) >= end

    def _places(self, number: int) -> tuple[TopicPartition, TopicPartition]:
        names = self._names
        return TopicPartition(names.alerts, number), TopicPartition(names.accounts, number)

    def lag(self, number: int, stamp: int) -> int | None:
        """Return how many messages of a partition wait, or None while that is unknown.

        Args:
            number: The partition.
            stamp: Offset folded last.
        """
        if self._ownership.find(number) is None:
            return None
        log, _ = self._places(number)
        end: int | None = self._consumer.highwater(log)
        if end is None:
            return None
        return max(0, end - max(self._read.get(number, 0), stamp + 1))

    def standing(self) -> dict[Place, object]:
        """Return how far each owned partition is, and each of its flushes under way."""
        found: dict[Place, object] = {}
        if not self._ownership.loaded:
            return found
        for owned in self._ownership:
            for at in self._places(owned.number):
                if at in self._consumer.assignment():
                    found[Place(at.topic, at.partition)] = self._position(owned, at)
            if owned.lock.locked():
                place = Place(self._names.cases, owned.number)
                found[place] = f"the flush begun at {owned.flushed_at:.1f}"
        return found

    def _position(self, owned: Owned, at: TopicPartition) -> str:
        """Tell what changes with all that is folded, or, while nothing waits, said by Kafka."""
        if at.topic == self._names.alerts and self.lag(owned.number, owned.partition.stamp):
            return f"offset {owned.partition.stamp}, read up to {self._read.get(owned.number, 0)}"
        return f"what Kafka said at {self._consumer.last_poll_timestamp(at)}"

    async def begin(self, owned: Owned) -> None:
        """Read a partition that was taken over from where its snapshot ends."""
        self._try_held(owned)
        log, accounts = self._places(owned.number)
        written = await self._consumer.committed(accounts)
        first = (await self._consumer.beginning_offsets([accounts]))[accounts]
        self._written[owned.number] = written
        if written is None:
            owned.projection.renew()
        self._consumer.seek(log, owned.partition.position)
        self._consumer.seek(accounts, first)
        self._consumer.resume(log, accounts)

    def _try_held(self, owned: Owned) -> None:
        """Fold what raised before: the software may be another one now."""
        partition = owned.partition
        if held := partition.held:
            partition.fold_held()
            folded = held - partition.held
            _log.warning("held records", partition=owned.number, folded=folded, held=partition.held)
            self._tell(owned)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Begin to take over what is assigned; nothing is read before."""
        try:
            self._assigned(list(assigned))
        except Exception as error:
            # aiokafka would log it and go on.
            die("assignment", error)

    def _assigned(self, assigned: Sequence[TopicPartition]) -> None:
        self._consumer.pause(*assigned)
        for at in assigned:
            # Any valid position will do: without one aiokafka asks for the committed offset.
            self._consumer.seek(at, 0)
        numbers = {at.partition for at in assigned if at.topic == self._names.alerts}
        detail = f"partitions {sorted(numbers)}" if numbers else "no partition is left over"
        self._health.set("assignment", True, detail)
        self._ownership.assign(numbers)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002
        """Send and fold no more, and write what is folded."""
        self._health.set("assignment", False, "partitions are being reassigned")
        try:
            self._ownership.part()
            await self._parting()
            await self._ownership.revoke()
        except Exception as error:
            # aiokafka would log it and go on.
            die("revocation", error)

    def _commit_sometimes(self) -> None:
        now = time.monotonic()
        if now >= self._commit_at and (self._committing is None or self._committing.done()):
            self._commit_at = now + COMMIT_SECONDS
            self._committing = asyncio.ensure_future(self._commit())

    async def _commit(self) -> None:
        offsets: dict[TopicPartition, int] = {}
        for owned in self._ownership:
            log, accounts = self._places(owned.number)
            offsets[log] = owned.durable + 1
            if owned.projection.accounts_written >= 0:
                offsets[accounts] = owned.projection.accounts_written + 1
        try:
            if offsets:
                await self._consumer.commit(offsets)
        except KafkaError as error:
            # Nothing depends on it but dashboards, and how much of the view is written again.
            _log.info("offsets not committed", error=repr(error))

    async def stop(self) -> None:
        """Give everything up and leave the group; `run` must have ended."""
        await self._ownership.revoke()
        if self._committing is not None:
            await asyncio.wait({self._committing})
        if (coordinator := self._consumer._coordinator) is not None:
            # A member with a name of its own does not leave (aiokafka 0.14), and its partitions
            # would wait for it until its session is over.
            coordinator._group_instance_id = None
        await close(self._consumer.stop)
