"""What /metrics says of the desk."""

from collections import Counter

from prometheus_client import CollectorRegistry, generate_latest

from services.alerts.cases.partition import Partition
from services.alerts.metrics import Metrics, PartitionCollector
from services.runtime import Health
from tests.unit.alerts.builders import (
    START_US,
    acknowledged,
    commented,
    delivered,
    folded,
    intended,
    raised,
    resolved,
)


def told(registry: CollectorRegistry, *names: str) -> dict[str, float]:
    """Return the samples of some metrics by name and labels."""
    lines = generate_latest(registry).decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
        if name.partition("{")[0] in names
    }


def collected(
    *partitions: Partition, counted: Counter[tuple[str, ...]] | None = None
) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(
        PartitionCollector(
            lambda: partitions,
            lambda: counted or Counter(),
            lambda: 3,
            lambda number, stamp: None if number else 10 + stamp,
            "t.alerts",
        )
    )
    return registry


def test_cases_are_counted_by_state_and_open_alerts_by_severity() -> None:
    partition = folded(
        raised("a", "high"),
        raised("b", "low"),
        raised("c", "low", account="beta"),
        raised("d", "high", account="beta", shadow=True),
        acknowledged(case="beta"),
        # Only measured: in no list.
        raised("e", "critical", account="gamma", shadow=True),
        raised("f", "medium", account="delta"),
        resolved(case="delta"),
    )
    assert told(collected(partition), "ebbwatch_cases", "ebbwatch_open_alerts") == {
        'ebbwatch_cases{state="open"}': 1,
        'ebbwatch_cases{state="acknowledged"}': 1,
        'ebbwatch_cases{state="snoozed"}': 0,
        'ebbwatch_cases{state="resolved"}': 1,
        'ebbwatch_open_alerts{severity="info"}': 0,
        'ebbwatch_open_alerts{severity="low"}': 2,
        'ebbwatch_open_alerts{severity="medium"}': 1,
        'ebbwatch_open_alerts{severity="high"}': 1,
        'ebbwatch_open_alerts{severity="critical"}': 0,
    }


def test_the_oldest_alert_that_nobody_was_told_of_is_shown_until_it_is_delivered() -> None:
    name = "ebbwatch_oldest_undelivered_alert_timestamp_seconds"
    partition = folded(raised(), raised("b", account="beta"))
    assert told(collected(partition), name) == {name: START_US / 1e6}
    (notice,) = partition.cases["acme"].notices
    records = (intended(notice, "crm"), delivered(notice))
    partition = folded(raised(), raised("b", account="beta"), *records)
    # The second one was appended a second later.
    assert told(collected(partition), name) == {name: START_US / 1e6 + 1}
    assert told(collected(folded()), name) == {name: 0}


def test_actions_are_counted_by_type_and_what_became_of_them_also_of_partitions_given_up() -> None:
    partition = folded(raised(), acknowledged(), acknowledged(), commented(case="nobody"))
    given_up: Counter[tuple[str, ...]] = Counter({("action", "case.acknowledged", "applied"): 5})
    assert told(collected(partition, counted=given_up), "ebbwatch_actions_total") == {
        'ebbwatch_actions_total{status="applied",type="case.acknowledged"}': 6,
        'ebbwatch_actions_total{status="unchanged",type="case.acknowledged"}': 1,
        'ebbwatch_actions_total{status="unknown_case",type="case.commented"}': 1,
    }


def test_what_cannot_be_read_counts_as_a_dead_letter_of_this_stage() -> None:
    partition = Partition.begin(0, 1)
    partition.apply(0, START_US, "acme", b"no json")
    samples = told(collected(partition), "ebbwatch_dead_letters_total")
    assert [name.partition("{")[2] for name in samples] == ['reason="unreadable",stage="alerts"}']


def test_stamp_lag_and_rebalances_are_shown_and_an_unknown_lag_is_not() -> None:
    first, second = folded(raised()), Partition.begin(1, 2)
    names = ("kafka_consumergroup_lag", "ebbwatch_stamp", "ebbwatch_rebalances_total")
    assert told(collected(first, second), *names) == {
        'kafka_consumergroup_lag{consumergroup="t.alerts",partition="0",topic="alerts.v1"}': 10,
        'ebbwatch_stamp{partition="0",topic="alerts.v1"}': 0,
        'ebbwatch_stamp{partition="1",topic="alerts.v1"}': -1,
        "ebbwatch_rebalances_total": 3,
    }


def test_deliveries_are_counted_by_channel_and_outcome_and_timed() -> None:
    metrics = Metrics(Health())
    metrics.notified("crm", "delivered")
    metrics.notified("none", "no_channel")
    metrics.attempted("crm", 0.2)
    metrics.delivered(1.5)
    metrics.view_written([0.05, -0.001])
    wanted = {
        'ebbwatch_notifications_total{channel="crm",outcome="delivered"}': 1,
        'ebbwatch_notifications_total{channel="none",outcome="no_channel"}': 1,
        'ebbwatch_notification_duration_seconds_sum{channel="crm"}': 0.2,
        "ebbwatch_alert_to_delivered_seconds_sum": 1.5,
        # A clock that is behind the broker's makes nothing younger than new.
        "ebbwatch_alert_to_view_seconds_sum": 0.05,
    }
    names = {name.partition("{")[0] for name in wanted}
    assert told(metrics.registry, *names) == wanted


def test_a_view_that_is_away_leaves_the_service_ready_and_degraded() -> None:
    health = Health()
    metrics = Metrics(health)
    health.set("kafka", True)
    metrics.view_away(0, "")
    assert told(metrics.registry, "ebbwatch_view_up") == {"ebbwatch_view_up": 1}
    metrics.view_away(0, "Redis does not answer")
    metrics.view_away(1, "")
    assert told(metrics.registry, "ebbwatch_view_up") == {"ebbwatch_view_up": 0}
    state = health.as_json()
    assert (state["ready"], state["degraded"]) == (True, True)
    assert state["checks"]["view"] == {
        "ok": False,
        "required": False,
        "detail": "partitions [0]: Redis does not answer",
    }
    metrics.view_away(0, "")
    assert (health.as_json()["degraded"], health.ready) == (False, True)


def test_the_build_is_told() -> None:
    samples = told(Metrics(Health()).registry, "ebbwatch_build_info")
    assert [name for name in samples if 'service="alerts"' in name] == list(samples)
    assert list(samples.values()) == [1]


def test_a_channel_that_does_not_deliver_is_down_and_one_that_is_gone_is_not_named() -> None:
    metrics = Metrics(Health())
    metrics.channels({"crm": "ok", "pager": "failing", "old": "disabled"})
    metrics.channels({"crm": "ok", "pager": "failing"})
    assert told(metrics.registry, "ebbwatch_channel_up") == {
        'ebbwatch_channel_up{channel="crm"}': 1,
        'ebbwatch_channel_up{channel="pager"}': 0,
    }


def test_a_replica_without_partitions_is_idle_and_not_degraded() -> None:
    health = Health()
    metrics = Metrics(health)
    metrics.view_away(3, "Redis does not answer")
    metrics.parted()
    check = health.as_json()["checks"]["view"]
    assert (check["ok"], check["detail"]) == (True, "idle: no partition is assigned")
