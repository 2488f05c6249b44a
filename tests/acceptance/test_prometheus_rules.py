"""The shipped alerts: Prometheus's own tool takes them, and each is about a metric that exists."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric

from services.alerts.metrics import Metrics as AlertsMetrics
from services.alerts.metrics import PartitionCollector
from services.ingest.metrics import Metrics as IngestMetrics
from services.ingest.seen import Seen
from services.kafka_clients import Reach
from services.process_metrics import show_kafka
from services.publishing.producer import Producer
from services.publishing.publisher import Publisher
from services.runtime import Health
from tests.unit.detector.test_metrics import Worker

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES = FOLDER / "ebbwatch.rules.yml"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()

OTHERS = {"up", "process_start_time_seconds"}
"""What Prometheus itself and its client tell of every process."""


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "ebbwatch.rules.yml"),
        ("test", "rules", "ebbwatch.rules.test.yml"),
        ("check", "config", "prometheus.yml"),
    ],
)
def test_prometheus_takes_the_rules_and_their_stories_come_true(arguments: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it)")
    done = subprocess.run(
        [promtool, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def told() -> set[str]:
    """Return the names of all metrics that the three services show."""
    alerts, ingest = AlertsMetrics(Health()), IngestMetrics()
    alerts.registry.register(PartitionCollector(list, dict, lambda: 0, lambda *_: None, "g"))
    ingest.watch(Publisher(Producer("nowhere:1"), "t", 1), Seen())
    show_kafka(ingest.registry, Reach("nowhere:1", Health(), lambda: 0.0))
    registries = (alerts.registry, ingest.registry, Worker().registry)
    return {name for one in registries for metric in one.collect() for name in _names(metric)}


def _names(metric: Metric) -> set[str]:
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {metric.name + suffix for suffix in suffixes.get(metric.type, ("",))}


def alerts() -> dict[str, str]:
    """Return the expression of each alert."""
    found = re.findall(r"- alert: (\w+)\n(?:\s+#.*\n)*\s+expr: (.+)\n", RULES.read_text())
    assert len(found) == RULES.read_text().count("- alert:")
    return dict(found)


def test_every_alert_is_about_metrics_that_exist() -> None:
    asked = {
        name
        for expression in alerts().values()
        for name in re.findall(r"\b(?:ebbwatch|kafka|process)_\w+|\bup\b", expression)
    }
    assert asked - told() - OTHERS == set()
    assert len(asked) > 15


def test_every_alert_has_its_paragraph_in_the_runbook_and_no_paragraph_is_about_another() -> None:
    sections = re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE)
    assert sorted(sections) == sorted(alerts())
    links = re.findall(r"runbook_url: docs/runbook\.md#(\w+)", RULES.read_text())
    assert links == [name.lower() for name in alerts()]


def test_every_paragraph_says_what_is_seen_what_it_means_and_what_to_do() -> None:
    for section in re.split(r"^### ", RUNBOOK, flags=re.MULTILINE)[1:]:
        for part in ("You see: ", "It means: ", "Do: "):
            assert section.count(f"\n{part}") == 1, section


def test_the_runbook_names_only_metrics_that_exist() -> None:
    named = set(re.findall(r"\b(?:ebbwatch|kafka_consumergroup)_\w+", RUNBOOK))
    assert named - told() == set()
