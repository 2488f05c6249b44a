"""The alerts service's metrics: counts as they happen, states read off when somebody asks."""

from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from schemas.alerts import SEVERITIES
from schemas.topics import ALERTS
from services.alerts.cases.partition import Partition
from services.process_metrics import Counted, counters, process_registry
from services.runtime import Health

ATTEMPT_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)
VIEW_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
DELIVERED_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400)

STATES: Final = ("open", "acknowledged", "snoozed", "resolved")
STAGE: Final = {"stage": "alerts"}

_COUNTERS: Final[Mapping[str, Counted]] = {
    "folded": Counted("ebbwatch_alerts_records", "Records folded.", {}, ("type",)),
    "repeated": Counted("ebbwatch_alerts_repeated", "Records that changed nothing.", {}, ("type",)),
    "replayed": Counted("ebbwatch_replayed", "Records at or before the stamp.", {}, ("reason",)),
    "action": Counted("ebbwatch_actions", "Actions of people and timers.", {}, ("type", "status")),
    "notice": Counted("ebbwatch_notices_begun", "Notices begun.", {}, ("step",)),
    "closed": Counted("ebbwatch_notices_closed", "Notices closed.", {}, ("outcome",)),
    "rejected": Counted("ebbwatch_dead_letters", "Refusals, by reason.", STAGE, ("reason",)),
    "unknown_type": Counted("ebbwatch_unknown_records", "Records of a newer version.", {}, ()),
    "failed": Counted("ebbwatch_fold_failures", "Records whose fold raised.", {}, ("type",)),
}
"""By what a partition counts: name, text, fixed labels, and the labels of the count."""


class Metrics:
    """The metrics of one process, in a registry of its own.

    Args:
        health: Told whether the view can be written; the service is ready without it.
    """

    def __init__(self, health: Health) -> None:
        self.registry = registry = process_registry("alerts")
        self._health = health
        self._away: dict[int, str] = {}
        self._notifications = Counter(
            "ebbwatch_notifications_total",
            "Attempts by outcome: delivered, failed (tried again), given_up, closed (not sent any "
            "more), no_channel (there is none).",
            ("channel", "outcome"),
            registry=registry,
        )
        self._duration = Histogram(
            "ebbwatch_notification_duration_seconds",
            "Until an endpoint answered.",
            ("channel",),
            registry=registry,
            buckets=ATTEMPT_SECONDS,
        )
        self._delivered = Histogram(
            "ebbwatch_alert_to_delivered_seconds",
            "From the record that caused a notice to its delivery.",
            registry=registry,
            buckets=DELIVERED_SECONDS,
        )
        self._shown = Histogram(
            "ebbwatch_alert_to_view_seconds",
            "From an alert's record to its place in the view.",
            registry=registry,
            buckets=VIEW_SECONDS,
        )
        self._channels = Gauge(
            "ebbwatch_channel_up",
            "Whether a channel delivers: 0 while it fails, is switched off or cannot be used.",
            ("channel",),
            registry=registry,
        )
        registry.register(_View(lambda: not self._away))
        health.set("view", False, "not written yet", required=False)

    def notified(self, channel: str, outcome: str) -> None:
        """Count what became of an attempt, or of a notice without a channel."""
        self._notifications.labels(channel, outcome).inc()

    def attempted(self, channel: str, seconds: float) -> None:
        """Note how long an endpoint took."""
        self._duration.labels(channel).observe(seconds)

    def delivered(self, seconds: float) -> None:
        """Note how long after its cause a notice was delivered."""
        self._delivered.observe(seconds)

    def channels(self, states: Mapping[str, str]) -> None:
        """Note how the channels do, by name: `ok`, or why it is not."""
        self._channels.clear()
        for channel, state in states.items():
            self._channels.labels(channel).set(state == "ok")

    def view_written(self, seconds: Sequence[float]) -> None:
        """Note how old the records of alerts are that can be read in the view now."""
        for one in seconds:
            self._shown.observe(max(0.0, one))

    def view_away(self, partition: int, reason: str) -> None:
        """Note why a partition of the view is not up to date; with an empty reason, that it is.

        Args:
            partition: The partition.
            reason: For a person, with the remedy.
        """
        if reason:
            self._away[partition] = reason
        else:
            self._away.pop(partition, None)
        detail = f"partitions {sorted(self._away)}: {reason or next(iter(self._away.values()), '')}"
        self._health.set("view", not self._away, detail if self._away else "", required=False)

    def parted(self) -> None:
        """Forget what is known of the view: its partitions are written by others now."""
        self._away.clear()
        self._health.set("view", True, "idle: no partition is assigned", required=False)


class PartitionCollector(Collector):
    """Turns owned partitions into metrics.

    Args:
        partitions: Returns the owned partitions.
        counted: Returns what partitions counted that are owned no longer.
        rebalances: Returns how often partitions were assigned.
        lag: Returns how many messages wait, by partition and stamp; None while unknown.
        group: Name of the consumer group, a label.
    """

    def __init__(
        self,
        partitions: Callable[[], Iterable[Partition]],
        counted: Callable[[], Mapping[tuple[str, ...], int]],
        rebalances: Callable[[], int],
        lag: Callable[[int, int], int | None],
        group: str,
    ) -> None:
        self._partitions = partitions
        self._counted = counted
        self._rebalances = rebalances
        self._lag = lag
        self._group = group

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        partitions = list(self._partitions())
        yield from self._counters(partitions)
        yield from self._per_partition(partitions)
        yield from _cases(partitions)
        yield _oldest(partitions)
        rebalances = CounterMetricFamily("ebbwatch_rebalances", "Assignments taken over.")
        rebalances.add_metric([], self._rebalances())
        yield rebalances

    def _counters(self, partitions: Iterable[Partition]) -> Iterator[Metric]:
        yield from counters(_COUNTERS, [self._counted(), *(one.counts for one in partitions)])

    def _per_partition(self, partitions: Iterable[Partition]) -> Iterator[Metric]:
        labels = ["topic", "partition"]
        lag = GaugeMetricFamily(
            "kafka_consumergroup_lag", "Messages that wait.", labels=["consumergroup", *labels]
        )
        stamp = GaugeMetricFamily("ebbwatch_stamp", "Offset folded last.", labels=labels)
        for partition in partitions:
            at = [ALERTS.name, str(partition.number)]
            waiting = self._lag(partition.number, partition.stamp)
            if waiting is not None:
                lag.add_metric([self._group, *at], waiting)
            stamp.add_metric(at, partition.stamp)
        yield from (lag, stamp)


def _cases(partitions: Iterable[Partition]) -> Iterator[Metric]:
    states: Counts[str] = Counts()
    severities: Counts[str] = Counts()
    for partition in partitions:
        for case in partition.cases.values():
            if case.listed:
                states[case.state] += 1
            severities.update(one.latest.severity for one in case.counted())
    by_state = GaugeMetricFamily("ebbwatch_cases", "Cases.", labels=["state"])
    for state in STATES:
        by_state.add_metric([state], states[state])
    by_severity = GaugeMetricFamily(
        "ebbwatch_open_alerts", "Open alerts that are not in shadow.", labels=["severity"]
    )
    for severity in SEVERITIES:
        by_severity.add_metric([severity], severities[severity])
    yield from (by_state, by_severity)


def _oldest(partitions: Iterable[Partition]) -> Metric:
    waiting = [
        notice.caused_at for partition in partitions for _, notice in partition.open_notices()
    ]
    return GaugeMetricFamily(
        "ebbwatch_oldest_undelivered_alert_timestamp_seconds",
        "When the oldest notice was caused whose delivery has no end yet; 0 if there is none.",
        value=min(waiting, default=0) / 1e6,
    )


class _View(Collector):
    def __init__(self, up: Callable[[], bool]) -> None:
        self._up = up

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "ebbwatch_view_up",
            "Whether our part of the view is up to date.",
            value=float(self._up()),
        )
