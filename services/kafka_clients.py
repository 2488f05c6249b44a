"""What aiokafka's clients need from outside: an end, a pulse, a pause, and a second opinion."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError

from services.runtime import Health, get_logger

CLOSE_SECONDS: Final = 3.0
PULSE_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 0.1
"""Between two updates of a client's metadata. Source: `retry_backoff_ms` of Kafka's clients."""
ANSWER_SECONDS: Final = 10.0
"""Without an answer for so long, Kafka counts as away."""

_log = get_logger(__name__)

_send = AIOKafkaConnection.send


def _send_or_close(
    connection: AIOKafkaConnection, request: object, expect_response: bool = True
) -> Any:
    """Send a request; a transport that is closed already is a broken connection, no bug.

    aiokafka 0.14 expects an OSError there, and uvloop raises a RuntimeError: the consumer's fetcher
    ended with it, for good and without a word to whoever polls.
    """
    try:
        return _send(connection, request, expect_response)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        where = f"{connection.host}:{connection.port}"
        raise KafkaConnectionError(f"Connection at {where} broken: {error}") from error


AIOKafkaConnection.send = _send_or_close


async def close(
    stop: Callable[[], Coroutine[Any, Any, Any]], within: float = CLOSE_SECONDS
) -> bool:
    """Stop a client of aiokafka.

    A task of its own is waited for, because `stop` of a client whose broker is away may hang, and
    may raise the cancellation of one of the client's own tasks: awaited directly, that would look
    like ours, and would end the caller without a word.

    Args:
        stop: Its `stop` or `close`.
        within: Seconds, > 0.

    Returns:
        False if it did not end in time; it is left as it is.
    """
    stopping = asyncio.ensure_future(stop())
    done, _ = await asyncio.wait({stopping}, timeout=within)
    if not done:
        stopping.cancel()
        await asyncio.wait({stopping}, timeout=within)
        return False
    if not stopping.cancelled() and (error := stopping.exception()) is not None:
        _log.info("client closed with an error", error=repr(error))
    return True


class Pulse:
    """Notices a consumer that fetches no more and says nothing (aiokafka 847, 1154).

    A consumer hears from the broker several times a second, also when there is nothing to read.

    Args:
        clock: Seconds that only go up, such as the loop's `time`.
        seconds: How long the pulse may stand still, > 0.
    """

    def __init__(self, clock: Callable[[], float], seconds: float = PULSE_SECONDS) -> None:
        self._clock = clock
        self._seconds = seconds
        self._beat: object = None
        self._beat_at = self._checked_at = clock()

    def check(self, consumer: Any) -> None:
        """Compare with the time before; to be called again and again.

        Args:
            consumer: A consumer of aiokafka.

        Raises:
            TimeoutError: Some partition has not been heard of for too long: start it anew.
        """
        polled = {part: consumer.last_poll_timestamp(part) for part in consumer.assignment()}
        beat = min(((time or 0, part) for part, time in polled.items()), default=None)
        now = self._clock()
        # Whoever was held up itself, as by Kafka being away, has heard nothing because of that.
        held_up = now - self._checked_at > self._seconds / 2
        self._checked_at = now
        if beat is None or beat != self._beat or held_up:
            self._beat, self._beat_at = beat, now
        elif now - self._beat_at > self._seconds:
            raise TimeoutError(f"{beat[1]} is silent for {self._seconds:g} s")


def pace(client: Any) -> None:
    """Let a client ask for metadata at most ten times a second.

    A producer of aiokafka 0.14 with a batch for a partition without a leader, as after a broker's
    orderly end, asks again the moment an answer fails: 87 % of a core were measured.

    Args:
        client: The `client` of a producer or `_client` of a consumer.
    """
    update, asked = client._metadata_update, float("-inf")

    async def paced(*arguments: Any) -> bool:
        nonlocal asked
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, asked + PAUSE_SECONDS - loop.time()))
        asked = loop.time()
        return bool(await update(*arguments))

    client._metadata_update = paced


def log_ends(kafka: str, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int] | None:
    """Ask Kafka, by a connection of its own, where logs end; for a thread without an event loop.

    Args:
        kafka: Bootstrap servers.
        places: Topic and partition of each.

    Returns:
        Offset of the next message of each; None if not all of them are told in time: Kafka is
        away, or a partition has no leader.
    """
    try:
        return asyncio.run(_log_ends(kafka, places))
    except (KafkaError, OSError, TimeoutError) as error:
        _log.info("Kafka was asked in vain", error=repr(error))
        return None


async def _log_ends(kafka: str, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=None)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await consumer.start()
            found = await consumer.end_offsets([TopicPartition(*place) for place in places])
        return {(at.topic, at.partition): end for at, end in found.items()}
    finally:
        await close(consumer.stop)


class Reach:
    """Whether Kafka answers, as /readyz tells it; the log has a line when it goes, and one after.

    Args:
        kafka: Bootstrap servers.
        health: Told as check `kafka`.
        clock: Seconds that only go up, such as the loop's `time`.
    """

    def __init__(self, kafka: str, health: Health, clock: Callable[[], float]) -> None:
        self._kafka = kafka
        self._health = health
        self._clock = clock
        self._away_since: float | None = None
        health.set("kafka", False, "not asked yet")

    @property
    def up(self) -> bool:
        """Whether it answered when it was asked last."""
        return self._away_since is None

    def tell(self, answers: bool, detail: str = "") -> None:
        """Note whether Kafka answers.

        Args:
            answers: Whether it does.
            detail: Why it is thought not to.
        """
        self._health.set("kafka", answers, "" if answers else f"Kafka at {self._kafka}: {detail}")
        if answers and self._away_since is not None:
            away = round(self._clock() - self._away_since, 1)
            self._away_since = None
            _log.warning("Kafka back", kafka=self._kafka, away_seconds=away)
        elif not answers and self._away_since is None:
            self._away_since = self._clock()
            _log.warning("Kafka away", kafka=self._kafka, detail=detail)
