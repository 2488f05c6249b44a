"""Partitions are shared out only when Kafka knows them."""

from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata

from services.detector.assignor import Assignor

EVENTS = "t.events.v1"


@pytest.fixture
def assignor() -> Assignor:
    app = faust.App("t.detector", topic_disable_leader=True, PartitionAssignor=Assignor)
    return Assignor(app)


def member(assignor: Assignor) -> dict[str, ConsumerProtocolMemberMetadata]:
    return {"one": assignor.metadata({EVENTS})}


def knowing(partitions: dict[str, set[int]]) -> Any:
    return SimpleNamespace(partitions_for_topic=partitions.get, topics=lambda: set(partitions))


def test_a_worker_gets_every_partition_that_kafka_knows(assignor: Assignor) -> None:
    given = assignor.assign(knowing({EVENTS: {0, 1, 2}}), member(assignor))
    assert given["one"].assignment == [(EVENTS, [0, 1, 2])]


def test_while_kafka_says_nothing_of_the_topic_nothing_is_shared_out(
    assignor: Assignor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr("services.runtime.leave", left)
    with pytest.raises(SystemExit) as ended:
        assignor.assign(knowing({}), member(assignor))
    assert ended.value.code == 75
