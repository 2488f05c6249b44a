"""What a worker's watchdog is told, and when Kafka counts as away."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from services.detector.store import Names
from services.detector.watch import ADRIFT_MARGIN_SECONDS, Position, Watch
from services.kafka_clients import Reach
from services.runtime import Health
from services.watchdog import Place, Watchdog

EVENTS = [Place("t.events.v1", number) for number in range(3)]
PATIENCE, REBALANCE_AND_LOAD = 60.0, 210.0
ADRIFT = REBALANCE_AND_LOAD + ADRIFT_MARGIN_SECONDS


class Worker:
    """A worker that owns two partitions, up to 17 and 5."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ends = {0: 18, 1: 6}
        self.heard: dict[int, int | None] = {0: 1_000, 1: 1_000}
        self.owned: dict[int, Any] = {number: self._held(at) for number, at in ((0, 17), (1, 5))}
        self.generation = 3
        self.health = Health()
        self.reach = Reach("k:1", self.health, lambda: self.now)
        ownership: Any = self
        self.watch = Watch(
            Names.of("t."),
            ownership,
            self.reach,
            lambda number, stamp: self.ends[number] - stamp - 1,
            lambda number: self.heard[number],
            lambda: self.now,
            PATIENCE,
            REBALANCE_AND_LOAD,
        )

    def adrift(self, now: float) -> object:
        """Return what is told of a rebalance at some time."""
        self.now, self.generation = now, -1
        (told,) = self.watch.probe().items()
        assert told[0] == EVENTS[0]
        return told[1]

    @staticmethod
    def _held(stamp: int) -> Any:
        partition = SimpleNamespace(stamp=stamp)
        return SimpleNamespace(
            partition=partition, lock=asyncio.Lock(), flushed_at=3.25, parked=False
        )


def test_where_nothing_waits_progress_is_that_kafka_says_so() -> None:
    worker = Worker()
    told = worker.watch.probe()
    assert told == {EVENTS[0]: Position(17, 1_000), EVENTS[1]: Position(5, 1_000)}
    worker.heard[1] = 2_500
    assert worker.watch.probe()[EVENTS[1]] != told[EVENTS[1]]


def test_where_something_waits_only_folding_is_progress() -> None:
    worker = Worker()
    worker.ends[0] = 30
    told = worker.watch.probe()
    worker.heard[0], worker.ends[0] = 2_500, 40
    assert worker.watch.probe()[EVENTS[0]] == told[EVENTS[0]] == Position(17, None)
    worker.owned[0].partition.stamp = 18
    assert worker.watch.probe()[EVENTS[0]] == Position(18, None)


async def test_a_flush_that_does_not_end_is_named() -> None:
    worker = Worker()
    async with worker.owned[1].lock:
        assert worker.watch.probe()[Place("t.state.v1", 1)] == "the flush after 3.2"
    assert Place("t.state.v1", 1) not in worker.watch.probe()


def test_a_rebalance_has_time_and_one_that_does_not_end_is_no_progress() -> None:
    worker = Worker()
    # The watchdog, of sixty seconds, ends nothing that changes every 45.
    assert [worker.adrift(at) for at in (0, 44, 45, ADRIFT - 1)] == [
        "a rebalance, look 0",
        "a rebalance, look 0",
        "a rebalance, look 1",
        "a rebalance, look 5",
    ]
    assert worker.adrift(ADRIFT) == "a rebalance that does not end"
    worker.generation = 4
    assert len(worker.watch.probe()) == 2
    assert worker.adrift(ADRIFT) == "a rebalance, look 0"


@pytest.mark.parametrize("away_until", [0.0, 100.0, 270.0, 400.0])
def test_a_rebalance_has_as_much_time_after_kafka_was_away(away_until: float) -> None:
    worker = Worker()
    worker.generation = -1
    ended: list[float] = []
    ends = worker.watch.noting(
        lambda places: dict.fromkeys(places, 5) if worker.now >= away_until else None
    )
    dog = Watchdog(worker.watch.probe, ends, 60.0, lambda *_: ended.append(worker.now))
    dog._loop = SimpleNamespace(call_soon_threadsafe=lambda call: call())  # type: ignore[assignment]
    while not ended:
        worker.now += 5.0
        dog.look(5.0)
    passed = ended[0] - away_until
    # 45 s until Kafka is asked again, and as long before its absence is noted
    assert ADRIFT + 60 - 45 <= passed <= ADRIFT + 60 + 45


def test_kafka_is_away_after_ten_seconds_of_silence_on_every_partition() -> None:
    worker = Worker()
    for _ in range(12):
        # One that answers is enough.
        worker.heard[1] = (worker.heard[1] or 0) + 500
        worker.watch.look(1.0)
    assert worker.reach.up
    silent = []
    for _ in range(12):
        worker.watch.look(1.0)
        silent.append(worker.reach.up)
    assert silent == [True] * 10 + [False] * 2
    assert "silent for 12 s" in worker.health.as_json()["checks"]["kafka"]["detail"]
    worker.heard[0] = 99_000
    worker.watch.look(1.0)
    assert worker.reach.up


def test_a_worker_that_owns_nothing_or_is_being_reassigned_tells_nothing() -> None:
    worker = Worker()
    worker.generation = -1
    worker.watch.look(60.0)
    worker.generation, worker.owned = 3, {}
    worker.watch.look(60.0)
    assert worker.health.as_json()["checks"]["kafka"]["detail"] == "not asked yet"
