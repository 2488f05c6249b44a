import asyncio

import pytest
from aiokafka import TopicPartition

from services.kafka_clients import Pulse, close

PARTS = [TopicPartition("t", n) for n in range(2)]


class Consumer:
    """The two questions that a pulse asks of aiokafka's consumer."""

    def __init__(self, *polled: int | None) -> None:
        self.polled = list(polled)

    def assignment(self) -> set[TopicPartition]:
        return set(PARTS[: len(self.polled)])

    def last_poll_timestamp(self, partition: TopicPartition) -> int | None:
        polled: int | None = self.polled[partition.partition]
        return polled


def beats(*steps: tuple[float, tuple[int | None, ...]]) -> float | None:
    """Check at each moment what was polled; returns when the pulse is missed."""
    now = 0.0
    pulse = Pulse(lambda: now, 60)
    for now, polled in steps:
        try:
            pulse.check(Consumer(*polled))
        except TimeoutError:
            return now
    return None


@pytest.mark.parametrize(
    "steps, missed",
    [
        ([(t, (t, t)) for t in range(0, 200, 10)], None),
        ([(t, (t + 1, 0)) for t in range(0, 200, 10)], 70),  # one of two partitions stands still
        ([(t, (5, 5)) for t in range(0, 61, 10)], None),  # 60 s are allowed
        ([(t, (5, 5)) for t in range(0, 80, 10)], 70),
        ([(t, (None, 5)) for t in range(0, 80, 10)], 70),  # never heard of
        ([(t, ()) for t in range(0, 200, 10)], None),  # nothing assigned
        ([(t, (5, 5)) for t in (0, 10, 90, 100)], None),  # held up itself
    ],
)
def test_a_consumer_that_stands_still_is_noticed(
    steps: list[tuple[float, tuple[int | None, ...]]], missed: float | None
) -> None:
    assert beats(*steps) == missed


async def test_closing_says_whether_it_ended_in_time() -> None:
    async def ends() -> None:
        pass

    async def fails() -> None:
        raise RuntimeError

    async def hangs() -> None:
        await asyncio.Event().wait()

    assert [await close(each, 0.01) for each in (ends, fails, hangs)] == [True, True, False]


async def test_a_client_s_own_cancellation_is_not_taken_for_the_caller_s() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    assert await close(cancelled, 1) is True
