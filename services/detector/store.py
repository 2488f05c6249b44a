"""Where a partition of the detector lives in Kafka: loaded, checked, written, parked."""

from dataclasses import dataclass

import msgspec

from schemas import alerts as alert_codec
from schemas import topics
from services.detector.partition import Partition
from services.detector.pending import Cut
from services.detector.settings import DetectorSettings
from services.snapshots import Bounds, Record, SnapshotWriter, bounds, load

_encode = msgspec.json.Encoder().encode


class CannotOwn(Exception):
    """A partition must not be run as it is: a hole in the log, or another partition count."""


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
    """

    def __init__(self, settings: DetectorSettings, number: int) -> None:
        self.names = Names.of(settings.prefix)
        self.number = number
        self._settings = settings
        self._writer = SnapshotWriter(
            settings.kafka, f"{settings.prefix}{topics.STATE.name}-{number}"
        )

    async def take_over(self) -> Partition:
        """Fence the former owner, and load what it wrote last.

        Raises:
            CannotOwn: If running the partition would skip or repeat something; exit 78.
        """
        await self._writer.start()
        settings, number = self._settings, self.number
        snapshot = await load(settings.kafka, self.names.state, number)
        partition = _restored(number, snapshot, settings)
        record = partition.ledger.record
        log = await bounds(settings.kafka, self.names.events, number, record.stamp)
        check_count(log.partitions, record.partitions, settings.partitions)
        check(number, record.stamp, record.appended, log)
        return partition

    async def write(self, cut: Cut) -> None:
        """Write a cut in one transaction.

        Raises:
            services.snapshots.Fenced: If somebody else owns the partition now.
        """
        names, number = self.names, self.number
        records = [Record(names.state, number, key, value) for key, value in cut.records]
        records += [Record(names.accounts, number, key, value) for key, value in cut.summaries]
        records += [
            Record(names.alerts, number, alert.account, alert_codec.encode(alert))
            for alert in cut.alerts
        ]
        records += [Record(names.rejects, None, one.source, _encode(one)) for one in cut.rejects]
        await self._writer.write(records)

    async def close(self) -> None:
        """Give the partition up."""
        await self._writer.stop()


def check_count(topic: int, snapshot: int, setting: int) -> None:
    """Refuse another partition count than the deployment was made with.

    Args:
        topic: Partitions that `events.v1` has.
        snapshot: Partitions that the snapshot was made with.
        setting: What EBBWATCH_PARTITIONS says.

    Raises:
        CannotOwn: If they are not all the same.
    """
    if not topic == snapshot == setting:
        raise CannotOwn(
            f"events.v1 has {topic} partitions, the snapshot was made with {snapshot}, "
            f"EBBWATCH_PARTITIONS says {setting}: an account stays on the partition where its "
            "history is. Set the count back, or import into a new deployment (another "
            "EBBWATCH_PREFIX)"
        )


def check(number: int, stamp: int, appended: int, log: Bounds) -> None:
    """Refuse a log that does not continue a snapshot.

    Args:
        number: The partition, for the message.
        stamp: Offset up to which the snapshot is folded; -1 for nothing.
        appended: Append time of the message at the stamp, microseconds.
        log: What the log holds.

    Raises:
        CannotOwn: If messages are missing, or the topic is another one than was folded.
    """
    where = f"events.v1 partition {number}"
    if log.start > stamp + 1:
        raise CannotOwn(
            f"{where} begins at offset {log.start}, but the snapshot ends at {stamp}: the messages "
            "between were deleted unread. Restore them, or start a new deployment (another "
            "EBBWATCH_PREFIX) and import the history"
        )
    if log.end < stamp + 1:
        raise CannotOwn(
            f"{where} ends at offset {log.end}, but the snapshot is at {stamp}: the topic was "
            "created anew. Delete state.v1 with it, or restore the topic"
        )
    if log.appended is not None and log.appended != appended:
        raise CannotOwn(
            f"{where}: the message at offset {stamp} was appended at {log.appended}, the snapshot "
            f"folded one appended at {appended}: this is another topic than the one that was folded"
        )


def _restored(number: int, snapshot: dict[str, bytes], settings: DetectorSettings) -> Partition:
    horizon, partitions = settings.detector_id_horizon, settings.partitions
    try:
        partition = Partition.restore(number, partitions, snapshot, horizon)
    except ValueError as error:
        raise CannotOwn(f"state.v1 partition {number} cannot be used: {error}") from error
    return partition
