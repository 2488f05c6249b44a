"""Where a partition of the alerts service lives in Kafka: loaded, checked, written."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec

from schemas import topics
from schemas.rejects import Reject
from services.alerts.cases.ledger import KEY
from services.alerts.cases.partition import Partition
from services.alerts.settings import AlertsSettings
from services.continuity import CannotOwn, check, check_count, emptied, unusable
from services.footprint import Footprint
from services.snapshots import Bounds, LoadTooSlow, Record, SnapshotWriter, bounds, load

ANSWER_SECONDS: Final = 30.0
"""For Kafka to start a producer, or to say what a partition holds; a load has its own deadline."""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Names:
    """Full topic names of a deployment."""

    alerts: str
    accounts: str
    cases: str
    config: str
    rejects: str
    events: str

    @classmethod
    def of(cls, prefix: str) -> "Names":
        """Return the names with a deployment's prefix."""
        wanted = (
            *(topics.ALERTS, topics.ACCOUNTS, topics.CASES, topics.CONFIG),
            *(topics.REJECTS, topics.EVENTS),
        )
        return cls(*(topics.full_name(topic, prefix) for topic in wanted))


class Store:
    """One partition's snapshot, and the refusals that are written with it.

    Args:
        settings: Where Kafka is, and the deployment's prefix.
        number: The partition.
    """

    def __init__(self, settings: AlertsSettings, number: int) -> None:
        self.names = Names.of(settings.prefix)
        self.number = number
        self._footprint = Footprint({}, KEY)
        self._settings = settings
        self._writer = SnapshotWriter(
            settings.kafka, f"{settings.prefix}{topics.CASES.name}-{number}"
        )

    async def take_over(self) -> Partition:
        """Fence the former owner, and load what it wrote last.

        Raises:
            services.continuity.CannotOwn: If running the partition would skip or repeat something;
                exit 78.
            services.snapshots.LoadTooSlow: If it takes too long; exit 75.
        """
        settings, number = self._settings, self.number
        async with answering(f"the producer of {self.names.cases} partition {number}"):
            await self._writer.start()
        snapshot = await load(settings.kafka, self.names.cases, number)
        if not snapshot:
            async with answering(f"{self.names.cases} partition {number}"):
                fault = emptied(await bounds(settings.kafka, self.names.cases, number, -1))
            if fault is not None:
                raise _unusable(number, fault)
        # In a thread: heartbeats and requests do not wait for a second of decoding.
        partition = await asyncio.to_thread(self._restored, snapshot)
        async with answering(f"{self.names.alerts} partition {number}"):
            log = await bounds(settings.kafka, self.names.alerts, number, partition.stamp)
        _check(partition, log, settings.partitions)
        return partition

    async def write(
        self, records: Iterable[tuple[str, bytes | None]], rejects: Iterable[Reject]
    ) -> None:
        """Write a cut and the refusals of its records in one transaction.

        Args:
            records: What `Partition.cut` returned.
            rejects: Records of the log that could not be folded.

        Raises:
            services.snapshots.Fenced: If somebody else owns the partition now.
        """
        names, number = self.names, self.number
        cases = self._footprint.seal([*records])
        written = [Record(names.cases, number, key, value) for key, value in cases]
        written += [Record(names.rejects, None, one.source, _encode(one)) for one in rejects]
        await self._writer.write(written)

    def _restored(self, snapshot: dict[str, bytes]) -> Partition:
        try:
            partition = Partition.restore(self.number, self._settings.partitions, snapshot)
        except ValueError as error:
            raise _unusable(self.number, str(error)) from error
        self._footprint = Footprint(snapshot, KEY)
        fault = self._footprint.fault(snapshot, partition.seal)
        if fault is not None:
            raise _unusable(self.number, fault)
        return partition

    async def close(self) -> None:
        """Give the partition up."""
        await self._writer.stop()


@asynccontextmanager
async def answering(what: str) -> AsyncIterator[None]:
    """Bound how long Kafka is waited for.

    Args:
        what: What is asked for, for the message.

    Raises:
        services.snapshots.LoadTooSlow: If it takes more than `ANSWER_SECONDS`.
    """
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            yield
    except TimeoutError as error:
        raise LoadTooSlow(f"{what} did not answer within {ANSWER_SECONDS:.0f} s") from error


def _check(partition: Partition, log: Bounds, partitions: int) -> None:
    topic = topics.ALERTS.name
    check_count(topic, log.partitions, partition.partitions, partitions)
    check(
        topic,
        topics.CASES.name,
        partition.number,
        partition.stamp,
        partition.appended,
        log,
        reached=partition.position,
    )


def _unusable(number: int, fault: str) -> CannotOwn:
    remedy = (
        f"delete it and run `ebbwatch topics apply`: as long as {topics.ALERTS.name} begins at "
        "offset 0, all cases are folded anew from it"
    )
    return unusable(topics.CASES.name, number, fault, remedy)
