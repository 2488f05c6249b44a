"""What Kafka deleted of an input before it was read: said and counted once.

Retention deletes what is old, or too much, whether it was read or not; the producer had Kafka's
acknowledgement. A loss counts once Kafka keeps an offset behind it as read: until then whoever
takes the partition over finds the same loss by the offset of before, and afterwards nobody does.

Offsets are counted, not records: some are a transaction's markers, or were compacted away.
"""

from typing import Final

from aiokafka import TopicPartition

from services.ingest.metrics import Metrics
from services.runtime import get_logger

REMEDY: Final = (
    "let the producer send the events of that time again, with their old ids; keep the topic for "
    "longer than ingest may be away (retention.ms, retention.bytes), or start another ingest if it "
    "is too slow"
)

_log = get_logger(__name__)


class Expiry:
    """The offsets that expired unread in the partitions of one process.

    Args:
        metrics: Counts them.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lost: dict[TopicPartition, list[range]] = {}

    def begin(self, name: str, partition: TopicPartition) -> None:
        """Show a partition that is taken over, and leave what was found in it to its next look.

        Args:
            name: Its input.
            partition: The partition.
        """
        # From 0 on: an increase from nothing to something is none to Prometheus.
        self._metrics.expired.labels(name, partition.partition)
        self._lost.pop(partition, None)

    def note(self, partition: TopicPartition, wanted: int, start: int) -> bool:
        """Note what is gone, and tell whether anything is.

        Args:
            partition: The partition.
            wanted: Offset that is to be read next.
            start: First offset that Kafka has. A gap behind it is none of ours: markers of
                transactions, and what compaction took away.
        """
        if start > wanted:
            self._lost.setdefault(partition, []).append(range(wanted, start))
        return start > wanted

    def tell(self, name: str, partition: TopicPartition, kept: int) -> None:
        """Log and count what is gone before an offset, once Kafka keeps that.

        Args:
            name: The input.
            partition: Its partition.
            kept: Offset up to which Kafka keeps the partition as read.
        """
        lost = self._lost.pop(partition, [])
        for gone in lost:
            if gone.stop <= kept:
                self._tell(name, partition, gone)
        if later := [gone for gone in lost if gone.stop > kept]:
            self._lost[partition] = later

    def _tell(self, name: str, partition: TopicPartition, gone: range) -> None:
        self._metrics.expired.labels(name, partition.partition).inc(len(gone))
        _log.error(
            "records expired unread",
            input=name,
            topic=partition.topic,
            partition=partition.partition,
            first_offset=gone.start,
            last_offset=gone.stop - 1,
            offsets=len(gone),
            remedy=REMEDY,
        )
