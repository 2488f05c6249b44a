"""What a worker writes, and when: nothing before the forwards that it tells of are in the log."""

import asyncio
from collections.abc import Sequence
from typing import Any, NoReturn

import pytest

from services.detector import ownership as module
from services.detector.owned import Owned
from services.detector.ownership import Ownership
from services.detector.partition import Partition
from services.detector.pending import Cut
from services.detector.sending import WAITING_LIMIT, Outgoing
from services.detector.settings import DetectorSettings
from services.detector.store import Store
from services.runtime import ExitCode, Health
from tests.builders import joined, of_person, usage
from tests.platform import eventually
from tests.playing import Log

GENERATION = 4


class Kafka(Store):
    """Takes what is published and what is written, in one order, when it is let to."""

    partitions = 8

    def __init__(self) -> None:
        self.took: list[str] = []
        self.answers = asyncio.Event()

    async def publish(self, items: Sequence[tuple[int, bytes]]) -> object:
        self.took.append(f"forwards: {len(items)}")
        await self.answers.wait()
        self.took.append("acknowledged")
        return None

    async def write(self, cut: Cut) -> None:
        self.took.append(f"snapshot at {cut.stamp}")

    async def close(self) -> None:
        self.took.append("closed")


class Event:
    """A message of the log as Faust hands it over."""

    def __init__(self, value: bytes) -> None:
        self.message = self
        self.value = value
        self.acknowledged = False

    def ack(self) -> None:
        self.acknowledged = True


class Worker:
    """A worker that owns one partition, and was told of a person's event and account."""

    def __init__(self) -> None:
        settings = DetectorSettings()
        self.kafka = Kafka()
        self.ownership = Ownership(settings, Health(), lambda: GENERATION, lambda _: None)
        self.ownership.generation = GENERATION
        self.outgoing = Outgoing(self.kafka, lambda why: pytest.fail(str(why)))
        self.owned = Owned(Partition.begin(0, 8), self.kafka, self.outgoing, 0.0)
        self.ownership.owned[0] = self.owned
        log = Log().each(joined(), of_person(usage()))
        self.events = [self._fold(message) for message in log.messages]

    def _fold(self, message: Any) -> Event:
        event = Event(message.value)
        self.ownership.fold(0, GENERATION, message.offset, message.appended, event)
        return event


async def test_a_snapshot_is_written_once_the_forwards_that_it_tells_of_are_acknowledged() -> None:
    worker = Worker()
    flushing = asyncio.ensure_future(worker.ownership.flush(worker.owned))
    await eventually(lambda: bool(worker.kafka.took), what="the forwards")
    await asyncio.sleep(0)
    assert worker.kafka.took == ["forwards: 1"], "sent without waiting for the flush"
    assert not any(event.acknowledged for event in worker.events)
    worker.kafka.answers.set()
    await asyncio.wait_for(flushing, 5)
    assert worker.kafka.took == ["forwards: 1", "acknowledged", "snapshot at 1"]
    assert all(event.acknowledged for event in worker.events)


async def test_a_revoked_partition_waits_for_its_forwards_before_it_is_parked() -> None:
    worker = Worker()
    revoking = asyncio.ensure_future(worker.ownership.revoke())
    await eventually(lambda: bool(worker.kafka.took), what="the forwards")
    assert not revoking.done()
    worker.kafka.answers.set()
    await asyncio.wait_for(revoking, 5)
    assert worker.kafka.took[-1] == "snapshot at 1"
    assert worker.owned.parked


async def test_a_worker_that_ends_writes_everything_in_order() -> None:
    worker = Worker()
    worker.kafka.answers.set()
    await asyncio.wait_for(worker.ownership.close(), 5)
    assert worker.kafka.took == ["forwards: 1", "acknowledged", "snapshot at 1", "closed"]


async def test_a_worker_that_ends_without_an_answer_leaves_what_it_folded_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def leave(code: ExitCode) -> NoReturn:
        raise RuntimeError(f"left with {code:d}")

    monkeypatch.setattr(module, "leave", leave)
    monkeypatch.setattr(module, "LEAVE_SECONDS", 0.05)
    worker = Worker()
    with pytest.raises(RuntimeError, match="left with 0"):
        await worker.ownership.close()
    assert worker.kafka.took == ["forwards: 1"]
    worker.kafka.answers.set()
    await worker.outgoing.settle()


async def test_a_partition_folds_no_further_while_too_many_forwards_wait() -> None:
    worker = Worker()
    worker.outgoing.put([("account:a", bytes(WAITING_LIMIT))])
    waiting = asyncio.ensure_future(worker.ownership.room(0))
    await eventually(lambda: bool(worker.kafka.took), what="the forwards")
    assert not waiting.done()
    await worker.ownership.room(1)
    worker.kafka.answers.set()
    await asyncio.wait_for(waiting, 5)
