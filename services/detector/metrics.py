"""The detector's metrics, read off the owned partitions when somebody asks (operations.md)."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from schemas.topics import EVENTS
from services.detector.partition import Partition
from services.process_metrics import Counted, counters

TOPIC: Final = {"topic": EVENTS.name}
STAGE: Final = {"stage": "detector"}

_COUNTERS: Final[Mapping[str, Counted]] = {
    "folded": Counted(
        "ebbwatch_detector_events", "Events folded, by outcome.", TOPIC, ("outcome",)
    ),
    "duplicate": Counted("ebbwatch_duplicates", "Entries dropped as repeated.", {}, ("reason",)),
    "rejected": Counted("ebbwatch_dead_letters", "Refusals, by reason.", STAGE, ("reason",)),
    "alert": Counted("ebbwatch_alerts_emitted", "Alert records.", {}, ("type", "rule", "severity")),
    "suppressed": Counted("ebbwatch_alerts_suppressed", "Conditions held back.", {}, ("reason",)),
    "rule_failed": Counted(
        "ebbwatch_rule_failures", "Rules that raised and are off.", {}, ("rule",)
    ),
    "quarantined": Counted("ebbwatch_quarantined", "Subjects set aside.", {}, ("reason",)),
    "held": Counted("ebbwatch_held_entries", "Entries that wait for a repair.", {}, ("reason",)),
    "repaired": Counted("ebbwatch_repairs", "Subjects repaired.", {}, ("reason",)),
    "replayed": Counted("ebbwatch_replayed", "Messages at or before the stamp.", {}, ("reason",)),
}
"""By what is counted: name, text, fixed labels, and the labels of the count."""

ALERT_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class PartitionCollector(Collector):
    """Turns owned partitions into metrics.

    Args:
        partitions: Returns the owned partitions.
        counted: Returns what partitions counted that are owned no longer.
        rebalances: Returns how often partitions were assigned.
        lag: Returns how many messages wait, by partition and stamp; None while unknown.
        clock: Returns the time, seconds since 1970-01-01 UTC.
        topic: Name of the events topic, a label.
        group: Name of the consumer group, a label.
    """

    def __init__(
        self,
        partitions: Callable[[], Iterable[Partition]],
        counted: Callable[[], Mapping[tuple[str, ...], int]],
        rebalances: Callable[[], int],
        lag: Callable[[int, int], int | None],
        clock: Callable[[], float],
        topic: str,
        group: str,
    ) -> None:
        self._partitions = partitions
        self._counted = counted
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
        total: Counter[tuple[str, ...]] = Counter(self._counted())
        for partition in self._partitions():
            total.update(partition.counts)
        yield from counters(_COUNTERS, [total])
        late = CounterMetricFamily("ebbwatch_late_events", "Late events.", labels=["topic"])
        late.add_metric([EVENTS.name], total["folded", "late"] + total["rejected", "too_late"])
        yield late

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
        ids = GaugeMetricFamily(
            "ebbwatch_duplicate_horizon_ids", "Ids remembered.", labels=["channel", *labels]
        )
        horizon = GaugeMetricFamily(
            "ebbwatch_duplicate_horizon_seconds",
            "How far back a repeated id is known for certain.",
            labels=["channel", *labels],
        )
        rules = GaugeMetricFamily(
            "ebbwatch_rules_info", "Number of the rule set in force.", labels=["n", *labels]
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
            rules.add_metric([str(record.rules), *at], 1)
            for channel, recent in partition.ledger.ids.items():
                ids.add_metric([channel, *at], len(recent))
                began = partition.ledger.horizon_began(channel)
                if began:
                    horizon.add_metric([channel, *at], self._clock() - began / 1e6)
        yield from (lag, watermark, stamp, accounts, held, ids, horizon, closings, rules)


def event_to_alert(registry: CollectorRegistry) -> Histogram:
    """Return the histogram from the append of an event, or of the tick, to its durable alert."""
    return Histogram(
        "ebbwatch_event_to_alert_seconds",
        "From the message that caused an alert to its record in alerts.v1.",
        registry=registry,
        buckets=ALERT_SECONDS,
    )
