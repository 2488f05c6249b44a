"""The alert log `alerts.v1`, read by whoever shows it: committed records only, to its end or on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas import alerts, topics
from schemas.alerts import Alert

DEADLINE_SECONDS: Final = 20.0
"""How long a broker may take to answer before it counts as away."""

_POLL_MS: Final = 200
_ASSIGNMENT_SECONDS: Final = 0.02
_STOP_SECONDS: Final = 2.0


class AlertsUnavailable(Exception):
    """`alerts.v1` cannot be read; the message says why and what to do."""


class Logged(NamedTuple):
    """One record of the log.

    Attributes:
        account: Its key.
        raw: Its value, JSON.
        alert: What it says; None for a type that this version does not know.
    """

    account: str
    raw: bytes
    alert: Alert | None


class AlertLog:
    """A reader of the whole log; get one from `opened`."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        self._consumer = consumer
        self._partitions = partitions

    async def to_end(self) -> AsyncIterator[Logged]:
        """Yield everything up to the end that the log has now; per account in order.

        Raises:
            AlertsUnavailable: Kafka does not answer any more.
        """
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                ends = await self._consumer.end_offsets(self._partitions)
            silent_at = asyncio.get_running_loop().time() + DEADLINE_SECONDS
            while await self._behind(ends):
                batch = await self._poll()
                now = asyncio.get_running_loop().time()
                if batch:
                    silent_at = now + DEADLINE_SECONDS
                elif now > silent_at:
                    raise AlertsUnavailable("Kafka stopped answering before the log's end")
                for one in batch:
                    yield one
        except (KafkaError, TimeoutError) as error:
            raise AlertsUnavailable(f"Kafka stopped answering ({type(error).__name__})") from error

    async def onward(self) -> AsyncIterator[Logged]:
        """Yield what comes from here on, without end."""
        while True:
            for one in await self._poll():
                yield one

    async def _behind(self, ends: dict[TopicPartition, int]) -> bool:
        # The position passes transaction markers by itself, so that it does reach the end.
        return any([await self._consumer.position(one) < end for one, end in ends.items()])

    async def _poll(self) -> list[Logged]:
        found = await self._consumer.getmany(*self._partitions, timeout_ms=_POLL_MS)
        return [
            Logged((record.key or b"").decode(errors="replace"), record.value, _read(record.value))
            for records in found.values()
            for record in records
            if record.value is not None
        ]


@contextlib.asynccontextmanager
async def opened(kafka: str, prefix: str) -> AsyncIterator[AlertLog]:
    """Open the log of a deployment at its beginning.

    Args:
        kafka: Bootstrap servers, `host:port[,host:port]`.
        prefix: The deployment's topic prefix.

    Raises:
        AlertsUnavailable: Kafka does not answer, or the topic does not exist.
    """
    topic = topics.full_name(topics.ALERTS, prefix)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        group_id=None,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=100,
    )
    try:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                partitions = await _find(consumer, topic)
        except (KafkaError, TimeoutError, OSError) as error:
            raise AlertsUnavailable(
                f"Kafka at {kafka} does not answer within {DEADLINE_SECONDS:g} s "
                f"({type(error).__name__}); is it running? `ebbwatch local up` starts a local one, "
                "EBBWATCH_KAFKA names another"
            ) from error
        yield AlertLog(consumer, partitions)
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await consumer.stop()


async def _find(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    # Asked first: a consumer that begins with a topic which is not there waits for it.
    await consumer.start()
    if topic not in await consumer.topics():
        raise AlertsUnavailable(f"topic {topic} does not exist; run `ebbwatch topics apply`")
    # Without a group, a subscription assigns all partitions as soon as the broker names them.
    consumer.subscribe([topic])
    while not consumer.assignment():
        await asyncio.sleep(_ASSIGNMENT_SECONDS)
    return sorted(consumer.assignment())


def _read(raw: bytes) -> Alert | None:
    try:
        return alerts.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
