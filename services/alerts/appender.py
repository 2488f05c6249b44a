"""Appends records to the alert log: what people do, and what became of notices."""

import asyncio
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas import cases
from services.kafka_clients import close, pace
from services.partitioning import partition_of
from services.runtime import Health, get_logger

ATTEMPT_SECONDS: Final = 5.0
"""One attempt; a record that is not acknowledged by then may be appended all the same."""
BACK_OFF_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0)

_log = get_logger(__name__)


class LogAway(Exception):
    """The alert log did not take a record in time; try again in a few seconds."""


class Appender:
    """Appends with acks=all, and starts its producer anew when that fails.

    A record may be appended twice, when only its acknowledgement was lost: whoever folds the log
    ignores what it knows (design.md §6). Safe for several tasks at once.

    Args:
        kafka: Bootstrap servers.
        topic: Full name of `alerts.v1`.
        partitions: How many partitions it has.
        client_id: How the broker's logs name this process.
        health: Told while a record that must not be lost is not taken, check `log`.
    """

    def __init__(
        self, kafka: str, topic: str, partitions: int, client_id: str, health: Health
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._partitions = partitions
        self._client_id = client_id
        self._health = health
        self._repeating = 0
        self._current: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._closing: set[asyncio.Task[bool]] = set()

    async def append(self, record: cases.Action | cases.Notice, within: float) -> None:
        """Append a record, and return when it is acknowledged.

        Args:
            record: Its case is the key, which chooses the partition.
            within: Seconds, > 0.

        Raises:
            LogAway: If it was not acknowledged in time; it may be appended all the same.
        """
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(within):
                producer = await self._ready()
                sent = await producer.send(
                    self._topic,
                    cases.encode(record),
                    key=record.case.encode(),
                    partition=partition_of(record.case, self._partitions),
                )
                sent.add_done_callback(_look_at)
                # Not awaited itself: a producer that is closed cancels it, which is not about us.
                await asyncio.wait({sent})
            if sent.cancelled():
                raise KafkaError("the producer was replaced meanwhile")
            sent.result()
        except (KafkaError, OSError, TimeoutError) as error:
            if producer is not None:
                self._replace(producer)
            detail = str(error) or f"no acknowledgement within {within:g} s"
            raise LogAway(f"Kafka at {self._kafka} did not take the record: {detail}") from error

    async def insist(self, record: cases.Action | cases.Notice) -> None:
        """Append a record, as often as it takes; from the first failure on it is not ready.

        Not every error mends itself: without a right to write, or with a record that the broker
        finds too large, this goes on until somebody sees it.

        Args:
            record: As for `append`.
        """
        attempt = 0
        try:
            while True:
                try:
                    return await self.append(record, ATTEMPT_SECONDS)
                except LogAway as error:
                    attempt += 1
                    self._note_failure(attempt, str(error))
                await asyncio.sleep(BACK_OFF_SECONDS[min(attempt, len(BACK_OFF_SECONDS)) - 1])
        finally:
            if attempt:
                self._note_end()

    async def stop(self) -> None:
        """Close all connections; what is not acknowledged by now is given up."""
        if self._current is not None:
            self._replace(self._current)
        if self._closing:
            await asyncio.wait(self._closing)

    def _note_failure(self, attempt: int, error: str) -> None:
        _log.warning("alert log is away", error=error, attempt=attempt)
        self._repeating += attempt == 1
        detail = f"{self._repeating} record(s) wait, this one since {attempt} attempt(s): {error}"
        self._health.set("log", False, detail)

    def _note_end(self) -> None:
        self._repeating -= 1
        if not self._repeating:
            self._health.set("log", True)

    async def _ready(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._current is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._kafka,
                    client_id=self._client_id,
                    acks="all",
                    compression_type="lz4",
                    linger_ms=0,
                    request_timeout_ms=round(ATTEMPT_SECONDS * 1000),
                )
                pace(producer.client)
                try:
                    await producer.start()
                except BaseException:
                    self._discard(producer)
                    raise
                self._current = producer
            return self._current

    def _replace(self, broken: AIOKafkaProducer) -> None:
        if self._current is broken:
            self._current = None
            self._discard(broken)

    def _discard(self, producer: AIOKafkaProducer) -> None:
        task = asyncio.ensure_future(close(producer.stop))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _look_at(sent: "asyncio.Future[Any]") -> None:
    """Take note of an error that nobody waits for any more, or asyncio reports it."""
    if not sent.cancelled():
        sent.exception()
