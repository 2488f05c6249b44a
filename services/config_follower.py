"""Follows `config.v1`: whatever a fold makes of its records, up to date, half of it never shown."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.kafka_clients import Pulse, close
from services.runtime import get_logger

BACK_OFF_SECONDS: Final = 1.0

State = TypeVar("State")
Fold = Callable[[State, str, bytes | None], State]
"""The state after one record: from the state before it, the record's key and its value.

None deletes the key. It raises `msgspec.MsgspecError` where a value is not what its key promises,
and returns the very same state where a record does not concern it.
"""

_log = get_logger(__name__)


class ConfigFollower(Generic[State]):
    """Keeps the fold of `config.v1` up to date; for one event loop.

    Args:
        kafka: Bootstrap servers.
        topic: Full name of `config.v1`.
        empty: The state before the first record.
        fold: What follows from one record.
        consume: Makes a consumer of aiokafka from bootstrap servers.
    """

    def __init__(
        self,
        kafka: str,
        topic: str,
        empty: State,
        fold: Fold[State],
        consume: Callable[[str], Any] | None = None,
    ) -> None:
        self.state = empty
        self.ready = asyncio.Event()
        self._kafka = kafka
        self._topic = topic
        self._empty = empty
        self._fold = fold
        self._consume = consume or _consumer
        self._callbacks: list[Callable[[State], None]] = []

    def subscribe(self, callback: Callable[[State], None]) -> None:
        """Call back now, if the topic has been read to its end, and after every change."""
        self._callbacks.append(callback)
        if self.ready.is_set():
            callback(self.state)

    async def run(self) -> None:
        """Follow until cancelled; a broken connection is taken up again from the beginning."""
        while True:
            try:
                await self._follow()
            except (KafkaError, OSError, TimeoutError) as error:
                _log.warning("configuration cannot be read", topic=self._topic, error=repr(error))
            await asyncio.sleep(BACK_OFF_SECONDS)

    async def _follow(self) -> None:
        consumer = self._consume(self._kafka)
        try:
            await consumer.start()
            await self._read(consumer, TopicPartition(self._topic, 0))
        finally:
            await close(consumer.stop)

    async def _read(self, consumer: Any, partition: TopicPartition) -> None:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        # Until the end is reached the old state holds: half a configuration must not show.
        state = self._empty
        pulse = Pulse(asyncio.get_running_loop().time)
        while True:
            for record in (await consumer.getmany(partition, timeout_ms=200)).get(partition, []):
                state = self._apply(state, record)
            pulse.check(consumer)
            # Compared with the position, because transaction markers are passed silently.
            if await consumer.position(partition) >= end:
                self._show(state)

    def _show(self, state: State) -> None:
        if self.ready.is_set() and (state is self.state or state == self.state):
            return
        self.state = state
        self.ready.set()
        for callback in self._callbacks:
            callback(state)

    def _apply(self, state: State, record: Any) -> State:
        key = (record.key or b"").decode(errors="replace")
        try:
            return self._fold(state, key, record.value)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            # The newest readable value stays in force.
            _log.error(
                "configuration record ignored", key=key, offset=record.offset, error=str(error)
            )
            return state


def _consumer(kafka: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=kafka,
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        # Not seek_to_beginning: aiokafka 0.14 loses it to the reset that runs meanwhile.
        auto_offset_reset="earliest",
    )
