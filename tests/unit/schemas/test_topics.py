"""The topics that Ebbwatch owns: settings on which its promises rest."""

import re
from datetime import timedelta
from types import MappingProxyType

import pytest

from schemas import topics
from schemas.envelope import BYTE_LIMIT
from schemas.topics import TOPICS, Topic

SERVICES = {"ingest", "detector", "alerts", "cli"}
BY_THE_BROKER = {
    # The detector tells a record that comes from the future by its append time; and Kafka refuses
    # what a writer's own clock puts an hour ahead.
    "message.timestamp.type": "LogAppendTime",
}
COMPACTED = {
    **BY_THE_BROKER,
    # A record of a snapshot may grow beyond Kafka's own default before its writer refuses it.
    "max.message.bytes": "2097152",
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": "0",
    "delete.retention.ms": "604800000",
    "max.compaction.lag.ms": "604800000",
}


def days(count: int) -> str:
    return str(int(timedelta(days=count).total_seconds() * 1000))


def test_each_topic_has_the_settings_that_the_design_asks_for() -> None:
    deleted = {**BY_THE_BROKER, "cleanup.policy": "delete"}
    assert {topic.name: dict(topic.config) for topic in TOPICS} == {
        "events.v1": {
            **deleted,
            "retention.ms": days(14),
            "max.message.bytes": "1048576",
        },
        "state.v1": COMPACTED,
        "accounts.v1": COMPACTED,
        "alerts.v1": {**deleted, "retention.ms": days(400)},
        "cases.v1": COMPACTED,
        "config.v1": COMPACTED,
        "rejects.v1": {**deleted, "retention.ms": days(14)},
    }


def test_a_full_envelope_fits_into_a_message_of_its_topic() -> None:
    assert int(topics.EVENTS.config["max.message.bytes"]) > BYTE_LIMIT


def test_only_the_configuration_has_a_partition_count_of_its_own() -> None:
    assert [topic.name for topic in TOPICS if not topic.partitioned] == ["config.v1"]


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_topic_says_what_it_holds_and_who_writes_and_reads_it(topic: Topic) -> None:
    assert re.fullmatch(r"[a-z]+\.v[1-9]", topic.name)
    assert topic.holds
    assert topic.key
    assert topic.producers
    assert topic.consumers
    assert {*topic.producers, *topic.consumers} <= SERVICES


def test_every_declared_topic_is_listed_once_under_a_name_of_its_own() -> None:
    declared = {id(value) for value in vars(topics).values() if isinstance(value, Topic)}
    assert {id(topic) for topic in TOPICS} == declared
    assert len({topic.name for topic in TOPICS}) == len(TOPICS) == len(declared)


def test_settings_cannot_be_changed_by_accident() -> None:
    assert {type(topic.config) for topic in TOPICS} == {MappingProxyType}


def test_a_prefix_tells_deployments_apart() -> None:
    assert topics.full_name(topics.STATE, "acme.") == "acme.state.v1"
    assert topics.full_name(topics.STATE) == "ebbwatch.state.v1"
