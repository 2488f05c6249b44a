"""What Kafka is asked of groups while there is none, and while it cannot tell."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.structs import OffsetAndMetadata

from services.commands import kafka_facts
from services.commands.kafka_facts import Asking

READ = {TopicPartition("u", 0): OffsetAndMetadata(7, "")}


class Broker:
    """Answers of groups only when it was asked some times."""

    def __init__(self, silent: int, *topics: str) -> None:
        """Take how many times it does not answer, and what topics it has."""
        self.silent = silent
        self.topics = topics

    async def list_consumer_group_offsets(self, group: str) -> dict[TopicPartition, Any]:
        """Answer, or say that nobody coordinates groups."""
        self.silent -= 1
        if self.silent >= 0:
            raise GroupCoordinatorNotAvailableError(group)
        return READ

    async def describe_topics(self) -> list[dict[str, Any]]:
        """Return the topics, without partitions."""
        return [{"topic": name, "partitions": [], "error_code": 0} for name in self.topics]


def asked(broker: Any, monkeypatch: pytest.MonkeyPatch) -> Asking:
    monkeypatch.setattr(kafka_facts, "COORDINATOR_SECONDS", 0.0)
    unused: Any = None
    return Asking(unused, broker)


async def test_a_new_kafka_is_asked_again_until_it_coordinates_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kafka = asked(Broker(kafka_facts.COORDINATOR_TRIES - 1), monkeypatch)
    assert await kafka.committed("ingest") == {TopicPartition("u", 0): 7}


async def test_nothing_is_committed_where_there_never_was_a_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await asked(Broker(99, "u"), monkeypatch).committed("ingest") == {}


async def test_offsets_that_cannot_be_asked_for_are_not_taken_for_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kafka = asked(Broker(99, "u", "__consumer_offsets"), monkeypatch)
    with pytest.raises(GroupCoordinatorNotAvailableError, match="is a broker down"):
        await kafka.committed("ingest")
