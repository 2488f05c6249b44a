"""What every process shows to Prometheus, and how counts of the pure core become metrics."""

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, Metric

from services.kafka_clients import Reach
from services.runtime import version

Counts = Mapping[tuple[str, ...], int]


class Counted(NamedTuple):
    """How one kind of count is shown.

    Attributes:
        name: Of the metric, without `_total`.
        text: What it counts.
        fixed: Labels that are always the same.
        labels: Names of the labels that the count brings.
    """

    name: str
    text: str
    fixed: Mapping[str, str]
    labels: tuple[str, ...]


def process_registry(service: str) -> CollectorRegistry:
    """Return a registry with the process's and the build's metrics.

    Args:
        service: Which service this is, a label.
    """
    registry = CollectorRegistry()
    for register in (ProcessCollector, PlatformCollector, GCCollector):
        register(registry=registry)
    labels = ("service", "version", "python")
    build = Gauge("ebbwatch_build_info", "What runs.", labels, registry=registry)
    build.labels(service, version(), platform.python_version()).set(1)
    return registry


def show_kafka(registry: CollectorRegistry, reach: Reach) -> None:
    """Show whether Kafka answers this process.

    Args:
        registry: The process's metrics.
        reach: What knows it.
    """
    up = Gauge("ebbwatch_kafka_up", "Whether Kafka answers this process.", registry=registry)
    up.set_function(lambda: float(reach.up))


def counters(table: Mapping[str, Counted], counts: Iterable[Counts]) -> Iterator[Metric]:
    """Yield the counters of a service.

    Args:
        table: By the first part of a count's key, how it is shown; counts of other kinds are not.
        counts: Counts by kind and values of labels; they are added up.
    """
    total: Counter[tuple[str, ...]] = Counter()
    for one in counts:
        total.update(one)
    for what, (name, text, fixed, labels) in table.items():
        family = CounterMetricFamily(name, text, labels=[*fixed, *labels])
        for (kind, *values), count in sorted(total.items()):
            if kind == what:
                family.add_metric([*fixed.values(), *values], count)
        yield family
