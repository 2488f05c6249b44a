import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from services import config_follower
from services.config_follower import ConfigFollower
from tests.platform import eventually

State = tuple[str, ...]


@dataclass
class Record:
    key: bytes | None
    value: bytes | None
    offset: int


@dataclass
class Topic:
    """A topic as a consumer of aiokafka sees it; `end` may lie behind transaction markers."""

    records: list[Record] = field(default_factory=list)
    end: int = 0
    broken: bool = False
    held: bool = False
    opened: int = 0
    closed: int = 0

    def append(self, *keys: str, markers: int = 0) -> None:
        for key in keys:
            self.records.append(Record(key.encode(), b"1", self.end))
            self.end += 1
        self.end += markers


class Consumer:
    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._position = 0

    async def start(self) -> None:
        self._topic.opened += 1
        if self._topic.broken:
            raise KafkaConnectionError("nobody there")

    async def stop(self) -> None:
        self._topic.closed += 1

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._partition = partitions[0]

    def assignment(self) -> set[TopicPartition]:
        return {self._partition}

    def last_poll_timestamp(self, partition: TopicPartition) -> int:
        return self._topic.end

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {partitions[0]: self._topic.end}

    async def position(self, partition: TopicPartition) -> int:
        return self._position

    async def getmany(
        self, partition: TopicPartition, timeout_ms: int
    ) -> dict[TopicPartition, list[Record]]:
        # As the real one does where there is nothing to read.
        await asyncio.sleep(0.001)
        if self._topic.broken:
            raise KafkaConnectionError("gone")
        if self._topic.held:
            return {}
        found = [one for one in self._topic.records if one.offset >= self._position][:2]
        self._position = found[-1].offset + 1 if found else self._topic.end
        return {partition: found} if found else {}


def fold(known: State, key: str, value: bytes | None) -> State:
    if key == "foreign":
        return known
    if key == "damaged":
        raise msgspec.ValidationError("not what its key promises")
    return (*known, key)


@contextlib.asynccontextmanager
async def following(topic: Topic) -> AsyncIterator[ConfigFollower[State]]:
    def consume(_: str) -> Any:
        return Consumer(topic)

    follower = ConfigFollower[State]("nowhere:1", "config.v1", (), fold, consume)
    running = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_an_empty_topic_is_ready_with_the_empty_state() -> None:
    async with following(Topic()) as follower:
        await asyncio.wait_for(follower.ready.wait(), 5)
        assert follower.state == ()


async def test_half_a_topic_is_never_shown() -> None:
    topic, seen = Topic(), list[State]()
    topic.append("a", "b", "c", "d", "e", markers=2)
    async with following(topic) as follower:
        follower.subscribe(seen.append)
        await eventually(lambda: seen)
        topic.append("f")
        await eventually(lambda: len(seen) == 2)
    assert seen == [("a", "b", "c", "d", "e"), ("a", "b", "c", "d", "e", "f")]


async def test_who_subscribes_later_is_told_at_once_and_of_changes_only() -> None:
    topic, seen = Topic(), list[State]()
    topic.append("a")
    async with following(topic) as follower:
        await follower.ready.wait()
        follower.subscribe(seen.append)
        assert seen == [("a",)]
        topic.append("foreign", "damaged", "b")
        await eventually(lambda: len(seen) > 1)
    assert seen == [("a",), ("a", "b")]


async def test_a_broken_connection_is_taken_up_again_and_the_old_state_holds_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(config_follower, "BACK_OFF_SECONDS", 0.01)
    topic, seen = Topic(), list[State]()
    topic.append("a", "b", "c")
    async with following(topic) as follower:
        follower.subscribe(seen.append)
        await eventually(lambda: seen)
        topic.broken = True
        await eventually(lambda: topic.opened > 3)
        topic.broken, topic.held = False, True
        topic.append("d")
        assert seen == [("a", "b", "c")]
        topic.held = False
        await eventually(lambda: follower.state == ("a", "b", "c", "d"))
    assert seen == [("a", "b", "c"), ("a", "b", "c", "d")]
    assert topic.closed == topic.opened
