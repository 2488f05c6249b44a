"""What ingest shows to Prometheus."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from aiokafka import TopicPartition
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.ingest.seen import Seen
from services.process_metrics import process_registry
from services.publishing.publisher import Publisher

OTHER: Final = "other"
"""Stands for every source that no key and no input names, so that a client cannot make labels."""
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The metrics of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = process_registry("ingest")
        self.sources: frozenset[str] = frozenset()
        self._events = self._counter(
            "ebbwatch_ingest_events_total", "Events by what became of them.", "source", "outcome"
        )
        self._unattributed = self._counter(
            "ebbwatch_ingest_unattributed_events_total", "Events without an account.", "source"
        )
        self._dead_letters = self._counter(
            "ebbwatch_dead_letters_total", "Refusals in rejects.v1.", "stage", "reason"
        )
        self.denied = self._counter(
            "ebbwatch_ingest_denied_total", "Requests without a valid key.", "reason"
        )
        self.request_duration = Histogram(
            "ebbwatch_ingest_request_duration_seconds",
            "From the request's head to the answer.",
            registry=self.registry,
            buckets=BUCKETS,
        )
        self.tick_skew = self._gauge(
            "ebbwatch_ingest_tick_skew_seconds", "This clock ahead of the broker's."
        )
        self.last_tick = self._gauge(
            "ebbwatch_ingest_last_tick_timestamp_seconds", "When a tick was acknowledged last."
        )
        self.lag = self._gauge(
            "kafka_consumergroup_lag",
            "Records not forwarded yet.",
            "consumergroup",
            "topic",
            "partition",
        )
        self.input_up = self._gauge(
            "ebbwatch_input_up", "1 while an input is carried, 0 while it is stopped.", "input"
        )
        self.input_lag = self._gauge(
            "ebbwatch_input_lag_seconds",
            "Age of what is forwarded up to; small where nothing waits.",
            "input",
            "partition",
        )
        self.expired = self._counter(
            "ebbwatch_expired_input_offsets_total",
            "Offsets that Kafka deleted before they were read.",
            "input",
            "partition",
        )

    def accepted(self, counts: Mapping[str, int]) -> None:
        """Count acknowledged events by source."""
        for source, count in counts.items():
            self._events.labels(self._known(source), "accepted").inc(count)

    def refused(self, refusals: Iterable[tuple[str, str]]) -> None:
        """Count refusals, given as source and reason."""
        for source, reason in refusals:
            self._events.labels(self._known(source), "refused").inc()
            self._dead_letters.labels("ingest", reason).inc()
            if reason == "unattributed":
                self._unattributed.labels(self._known(source)).inc()

    def watch(self, publisher: Publisher, seen: Seen) -> None:
        """Show what these two count by themselves."""
        self.registry.register(_State(publisher, seen))

    def _known(self, source: str) -> str:
        return source if source in self.sources else OTHER

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)


class Lags:
    """The lag of each input partition that this process owns.

    Args:
        metrics: Show it.
        group: Consumer group.
    """

    def __init__(self, metrics: Metrics, group: str) -> None:
        self._metrics = metrics
        self._group = group
        self._names: dict[TopicPartition, str] = {}

    def shown(self) -> frozenset[TopicPartition]:
        """Return the partitions whose lag is shown."""
        return frozenset(self._names)

    def show(self, name: str, partition: TopicPartition, records: int, age: float) -> None:
        """Show a lag.

        Args:
            name: The input.
            partition: Its partition.
            records: How many wait, >= 0.
            age: Seconds, >= 0, of what is forwarded up to.
        """
        if self._names.get(partition, name) != name:
            self.forget(partition)
        self._names[partition] = name
        topic, number = partition.topic, partition.partition
        self._metrics.lag.labels(self._group, topic, number).set(records)
        self._metrics.input_lag.labels(name, number).set(age)

    def forget(self, partition: TopicPartition) -> None:
        """Show a partition no more: a lag that nobody measures would stand for ever."""
        name = self._names.pop(partition, None)
        if name is not None:
            self._metrics.lag.remove(self._group, partition.topic, partition.partition)
            self._metrics.input_lag.remove(name, partition.partition)


class _State(Collector):
    """Reads counts when they are asked for."""

    def __init__(self, publisher: Publisher, seen: Seen) -> None:
        self._publisher = publisher
        self._seen = seen

    def collect(self) -> Iterator[Metric]:
        """Yield the state of this moment."""
        publisher, prefix = self._publisher, "ebbwatch_ingest_"
        yield GaugeMetricFamily(
            prefix + "pending_entries", "Entries to be sent.", value=publisher.pending_entries
        )
        yield GaugeMetricFamily(
            prefix + "pending_bytes", "Bytes unacknowledged.", value=publisher.pending_bytes
        )
        yield CounterMetricFamily(
            prefix + "envelopes", "Envelopes acknowledged.", value=publisher.envelopes
        )
        yield CounterMetricFamily(
            prefix + "entries", "Entries acknowledged.", value=publisher.published
        )
        yield CounterMetricFamily(
            prefix + "produce_errors",
            "Producers replaced after an error.",
            value=publisher.producer.replaced,
        )
        yield CounterMetricFamily(
            prefix + "unseen",
            "Hours of sources dropped because there were too many sources.",
            value=self._seen.dropped,
        )
