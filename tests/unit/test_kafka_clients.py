import asyncio

import pytest
import structlog
from aiokafka import TopicPartition
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from services.kafka_clients import PAUSE_SECONDS, Pulse, Reach, close, log_ends, pace
from services.runtime import Health
from tests.platform import free_port

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


class Client:
    """What a producer's client is asked for while there is no broker: it fails at once."""

    def __init__(self) -> None:
        self.asked = 0

    async def _metadata_update(self, *_: object) -> bool:
        self.asked += 1
        return False


async def test_metadata_is_asked_for_at_once_and_then_ten_times_a_second() -> None:
    client, loop = Client(), asyncio.get_running_loop()
    pace(client)
    began = loop.time()
    assert not await client._metadata_update(1, 2)
    assert loop.time() - began < PAUSE_SECONDS / 2
    while client.asked < 4:
        await client._metadata_update(1, 2)
    assert loop.time() - began >= 3 * PAUSE_SECONDS - 0.01


def test_kafka_s_coming_and_going_is_logged_once_each_and_told_to_health() -> None:
    now, health = 0.0, Health()
    reach = Reach("k:1", health, lambda: now)
    with structlog.testing.capture_logs() as logged:
        for second, answers in enumerate((True, True, False, False, False, True, True)):
            now = second
            reach.tell(answers, "silent for 9 s")
            assert reach.up == answers
            assert health.as_json()["checks"]["kafka"] == {
                "ok": answers,
                "required": True,
                "detail": "" if answers else "Kafka at k:1: silent for 9 s",
            }
    assert logged == [
        {"event": "Kafka away", "log_level": "warning", "kafka": "k:1", "detail": "silent for 9 s"},
        {"event": "Kafka back", "log_level": "warning", "kafka": "k:1", "away_seconds": 3},
    ]


async def test_a_kafka_that_is_not_there_tells_no_ends() -> None:
    address = f"127.0.0.1:{free_port()}"
    assert await asyncio.to_thread(log_ends, address, [("t", 0)]) is None


class Gone:
    """A writer whose transport uvloop has closed because the other side reset the connection."""

    def write(self, data: bytes) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>")

    def close(self) -> None:
        pass


async def test_a_transport_that_is_closed_already_is_a_broken_connection() -> None:
    connection = AIOKafkaConnection("127.0.0.1", 9092)
    connection._writer = Gone()
    connection._versions = {MetadataRequest.API_KEY: (0, 0)}
    with pytest.raises(KafkaConnectionError, match=r"127.0.0.1:9092 broken: unable to perform"):
        connection.send(MetadataRequest([]))
    assert not connection.connected()
