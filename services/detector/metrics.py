"""The detector's metrics, read off the owned partitions when somebody asks (operations.md)."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from services.detector.partition import Partition
from services.runtime import version

_COUNTERS: Final = {
    "folded": ("ebbwatch_detector_events", "Events folded, by outcome.", "outcome"),
    "duplicate": ("ebbwatch_duplicates", "Entries dropped as repeated, by how.", "reason"),
    "rejected": ("ebbwatch_detector_rejects", "Entries refused, by reason.", "reason"),
    "alert": ("ebbwatch_alerts_emitted", "Alert records, by type.", "type"),
    "rule_failed": ("ebbwatch_rule_failures", "Rules that raised and are off.", "rule"),
    "quarantined": ("ebbwatch_quarantined", "Subjects set aside since the start.", "reason"),
    "held": ("ebbwatch_held_entries", "Entries that wait for a repair.", "reason"),
    "repaired": ("ebbwatch_repairs", "Subjects repaired.", "reason"),
    "replayed": ("ebbwatch_replayed", "Messages at or before the stamp.", "reason"),
}


class PartitionCollector:
    """Turns owned partitions into metrics.

    Args:
        partitions: Returns the owned partitions.
        rebalances: Returns how often partitions were assigned.
        lag: Returns how many messages wait, by partition and stamp; None while unknown.
        clock: Returns the time, seconds since 1970-01-01 UTC.
        topic: Name of the events topic, a label.
        group: Name of the consumer group, a label.
    """

    def __init__(
        self,
        partitions: Callable[[], Iterable[Partition]],
        rebalances: Callable[[], int],
        lag: Callable[[int, int], int | None],
        clock: Callable[[], float],
        topic: str,
        group: str,
    ) -> None:
        self._partitions = partitions
        self._rebalances = rebalances
        self._lag = lag
        self._clock = clock
        self._topic = topic
        self._group = group

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        yield from self._counters()
        yield from self._per_partition()
        rebalances = CounterMetricFamily("ebbwatch_rebalances", "Assignments taken over.")
        rebalances.add_metric([], self._rebalances())
        yield rebalances

    def _counters(self) -> Iterator[Metric]:
        total: Counter[tuple[str, str]] = Counter()
        for partition in self._partitions():
            total.update(partition.counts)
        for what, (name, text, label) in _COUNTERS.items():
            family = CounterMetricFamily(name, text, labels=[label])
            for (kind, why), count in sorted(total.items()):
                if kind == what:
                    family.add_metric([why], count)
            yield family

    def _per_partition(self) -> Iterator[Metric]:
        labels = ["topic", "partition"]
        lag = GaugeMetricFamily(
            "kafka_consumergroup_lag", "Messages that wait.", labels=["consumergroup", *labels]
        )
        watermark = GaugeMetricFamily(
            "ebbwatch_watermark_lag_seconds", "How old the partition's clock is.", labels=labels
        )
        stamp = GaugeMetricFamily("ebbwatch_stamp", "Offset folded last.", labels=labels)
        accounts = GaugeMetricFamily("ebbwatch_accounts_tracked", "Accounts.", labels=labels)
        held = GaugeMetricFamily(
            "ebbwatch_quarantined_subjects", "Subjects that wait for a repair.", labels=labels
        )
        horizon = GaugeMetricFamily(
            "ebbwatch_duplicate_horizon_ids", "Ids remembered.", labels=["channel", *labels]
        )
        closings = GaugeMetricFamily("ebbwatch_open_closings", "Days being judged.", labels=labels)
        for partition in self._partitions():
            at = [self._topic, str(partition.number)]
            record = partition.ledger.record
            waiting = self._lag(partition.number, partition.stamp)
            if waiting is not None:
                lag.add_metric([self._group, *at], waiting)
            if record.clock:
                watermark.add_metric(at, self._clock() - record.clock / 1e6)
            stamp.add_metric(at, partition.stamp)
            accounts.add_metric(at, len(partition.accounts))
            held.add_metric(at, sum(a.quarantine is not None for a in partition.accounts.values()))
            closings.add_metric(at, len(record.closings))
            for channel, ids in partition.ledger.ids.items():
                horizon.add_metric([channel, *at], len(ids))
        yield from (lag, watermark, stamp, accounts, held, horizon, closings)


def registry_of(collector: PartitionCollector) -> CollectorRegistry:
    """Return a registry with the process's, the build's and the partitions' metrics."""
    registry = CollectorRegistry()
    for register in (ProcessCollector, PlatformCollector, GCCollector):
        register(registry=registry)
    registry.register(_Build())
    registry.register(collector)
    return registry


class _Build:
    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("ebbwatch_build_info", "Version.", labels=["version"])
        info.add_metric([version()], 1)
        yield info
