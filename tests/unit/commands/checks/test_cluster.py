"""What the doctor says of Kafka."""

from collections.abc import Mapping
from typing import Any

import pytest

from services.commands.checks import cluster
from services.commands.checks.cluster import Cluster
from services.commands.checks.finding import ok
from services.commands.kafka_facts import Copies
from services.topic_admin import Difference, Found
from tests.unit.commands.checks.builders import wrong


def kafka(**changes: Any) -> Cluster:
    settings = Found(4, {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}, {})
    fields = {
        "where": "kafka-1.example.com:9092",
        "version": "4.1",
        "brokers": 3,
        "differences": [],
        "found": {"ebbwatch.events.v1": settings},
        "copies": {"ebbwatch.events.v1": {0: Copies(1, 3, 3), 1: Copies(2, 3, 3)}},
    }
    return Cluster(**{**fields, **changes})


def copies(leader: int, replicas: int, in_sync: int) -> Mapping[str, Mapping[int, Copies]]:
    return {"ebbwatch.events.v1": {0: Copies(1, 3, 3), 1: Copies(leader, replicas, in_sync)}}


def test_a_cluster_that_is_as_it_should_be() -> None:
    assert cluster.judge(kafka()) == [
        ok("kafka", "Kafka 4.1 at kafka-1.example.com:9092, 3 brokers"),
        ok("topics", "all 7 are as declared"),
        ok("copies", "3 of each partition, all in sync"),
    ]


UNSAFE = Found(4, {"min.insync.replicas": "1", "unclean.leader.election.enable": "true"}, {})


@pytest.mark.parametrize(
    "changes, verdict, name, word",
    [
        ({"version": "older than 3.8"}, "warn", "kafka", "older than 3.8 at"),
        (
            {"differences": [Difference("x.v1", "missing", "", "", "")]},
            *("FAIL", "topics", "x.v1 is missing"),
        ),
        (
            {"differences": [Difference("x.v1", "partitions", "", "4", "8")]},
            *("FAIL", "topics", "x.v1 has 4 partitions, EBBWATCH_PARTITIONS is 8"),
        ),
        (
            {"differences": [Difference("x.v1", "setting", "retention.ms", "1", "2")]},
            *("warn", "topics", "retention.ms is '1', declared is '2'"),
        ),
        ({"copies": copies(-1, 3, 3)}, "FAIL", "copies", "without a leader"),
        ({"copies": copies(1, 3, 2)}, "warn", "copies", "fewer copies in sync"),
        ({"copies": copies(1, 1, 1)}, "warn", "copies", "only 1 of some partitions"),
        ({"found": {"x.v1": UNSAFE}}, "warn", "copies", "min.insync.replicas=1, x.v1: unclean"),
    ],
)
def test_a_cluster_that_is_not(changes: dict[str, Any], verdict: str, name: str, word: str) -> None:
    (found,) = wrong(cluster.judge(kafka(**changes)))
    assert found[:2] == (verdict, name)
    assert word in found[2]


def test_one_copy_on_ones_own_machine_is_no_fault() -> None:
    alone = kafka(where="127.0.0.1:19092", copies={"x.v1": {0: Copies(1, 1, 1)}}, found={})
    assert wrong(cluster.judge(alone)) == []
