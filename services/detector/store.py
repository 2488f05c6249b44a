"""Where a partition of the detector lives in Kafka: loaded, checked, written, parked."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from schemas import alerts as alert_codec
from schemas import topics
from services.continuity import CannotOwn, check, check_count, emptied, unusable
from services.detector.ledger import ROOT
from services.detector.partition import Partition
from services.detector.pending import Cut
from services.detector.settings import DetectorSettings
from services.footprint import Footprint
from services.snapshots import Record, SnapshotWriter, bounds, load

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Names:
    """Full topic names of a deployment."""

    events: str
    state: str
    accounts: str
    alerts: str
    rejects: str

    @classmethod
    def of(cls, prefix: str) -> "Names":
        """Return the names with a deployment's prefix."""
        return cls(
            *(
                topics.full_name(topic, prefix)
                for topic in (
                    topics.EVENTS,
                    topics.STATE,
                    topics.ACCOUNTS,
                    topics.ALERTS,
                    topics.REJECTS,
                )
            )
        )


class Store:
    """One partition's snapshot and what it writes beside it.

    Args:
        settings: Where Kafka is, and the deployment's prefix.
        number: The partition.

    Attributes:
        footprint: How much of `state.v1` the partition holds.
        behind: How many messages the log held beyond the snapshot when it was taken over: what a
            former owner had folded and not written, and what had come since.
    """

    def __init__(self, settings: DetectorSettings, number: int) -> None:
        self.footprint = Footprint({}, ROOT)
        self.behind = 0
        self.names = Names.of(settings.prefix)
        self.number = number
        self._settings = settings
        self._writer = SnapshotWriter(
            settings.kafka, f"{settings.prefix}{topics.STATE.name}-{number}"
        )

    async def take_over(self, remains: Callable[[int], None] = lambda _: None) -> Partition:
        """Fence the former owner, and load what it wrote last.

        Args:
            remains: Told again and again how many records are still to be read.

        Raises:
            services.continuity.CannotOwn: If running the partition would skip or repeat something;
                exit 78.
        """
        await self._writer.start()
        settings, number = self._settings, self.number
        within = settings.detector_load_seconds
        snapshot = await load(settings.kafka, self.names.state, number, remains, within)
        if not snapshot:
            fault = emptied(await bounds(settings.kafka, self.names.state, number, -1))
            if fault is not None:
                raise _unusable(number, fault)
        partition = self._restored(snapshot)
        record = partition.ledger.record
        log = await bounds(settings.kafka, self.names.events, number, record.stamp)
        topic = topics.EVENTS.name
        check_count(topic, log.partitions, record.partitions, settings.partitions)
        check(topic, topics.STATE.name, number, record.stamp, record.appended, log)
        self.behind = log.end - record.stamp - 1
        return partition

    async def write(self, cut: Cut) -> None:
        """Write a cut in one transaction.

        Raises:
            services.snapshots.Fenced: If somebody else owns the partition now.
        """
        names, number = self.names, self.number
        state = self.footprint.seal(cut.records)
        records = [Record(names.state, number, key, value) for key, value in state]
        records += [Record(names.accounts, number, key, value) for key, value in cut.summaries]
        records += [
            Record(names.alerts, number, alert.account, alert_codec.encode(alert))
            for alert in cut.alerts
        ]
        records += [Record(names.rejects, None, one.source, _encode(one)) for one in cut.rejects]
        await self._writer.write(records)

    def _restored(self, snapshot: dict[str, bytes]) -> Partition:
        horizon, partitions = self._settings.detector_id_horizon, self._settings.partitions
        try:
            partition = Partition.restore(self.number, partitions, snapshot, horizon)
        except ValueError as error:
            raise _unusable(self.number, str(error)) from error
        self.footprint = Footprint(snapshot, ROOT)
        fault = self.footprint.fault(snapshot, partition.ledger.record.seal)
        if fault is not None:
            raise _unusable(self.number, fault)
        return partition

    async def close(self) -> None:
        """Give the partition up."""
        await self._writer.stop()


def _unusable(number: int, fault: str) -> CannotOwn:
    remedy = "start a new deployment (another EBBWATCH_PREFIX) and import the history"
    return unusable(topics.STATE.name, number, fault, remedy)
