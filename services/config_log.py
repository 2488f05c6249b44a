"""The records of `config.v1`: read to its end, and written so that of two writers one wins."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Final, NamedTuple, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    ProducerFenced,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import RecordMetadata

from schemas import topics

DEADLINE_SECONDS: Final = 20.0
"""How long a broker may take to answer before it counts as away."""

_TRANSACTION_MS: Final = 10_000
_STOP_SECONDS: Final = 2.0
_FENCED: Final = (ProducerFenced, InvalidProducerEpoch)
_RUN_AGAIN: Final = "another command wrote the configuration; run this one again"

Outcome = TypeVar("Outcome")


class _Found(NamedTuple):
    """The newest value of every key, and the offset of its newest record (also a deletion's)."""

    values: Mapping[str, bytes]
    offsets: Mapping[str, int]


class ConfigUnavailable(Exception):
    """`config.v1` cannot be read or written; the message says why and what to do."""


class ConfigConflict(Exception):
    """Somebody else wrote `config.v1` in between: nothing of ours was written."""


class Anything:
    """The expectation that every value meets."""


ANYTHING: Final = Anything()


class ConfigLog:
    """The configuration of one deployment, by key.

    Writers take turns by a transactional id: who starts later fences who started before, and
    reads to the end only then, so that nobody writes over a value unseen. Safe for several tasks
    and processes at once.

    Args:
        kafka: Bootstrap servers, `host:port[,host:port]`.
        prefix: The deployment's topic prefix.
        deadline: Seconds until a broker that does not answer counts as away, > 0.
    """

    def __init__(self, kafka: str, prefix: str, *, deadline: float = DEADLINE_SECONDS) -> None:
        self._kafka = kafka
        self._topic = topics.full_name(topics.CONFIG, prefix)
        self._transactional_id = f"{prefix}config"
        self._deadline = deadline

    async def read(self) -> dict[str, bytes]:
        """Return the newest value of every key; deleted keys are absent.

        Raises:
            ConfigUnavailable: Kafka does not answer, or the topic does not exist.
        """
        return dict((await self._bounded(self._read())).values)

    async def write(
        self, key: str, value: bytes | None, expect: bytes | Anything | None = ANYTHING
    ) -> None:
        """Write one key; as `write_all`.

        Args:
            key: Such as `mode`.
            value: None deletes the key.
            expect: What the key must hold at this moment; None for an absent key.
        """
        await self.write_all({key: value}, {} if isinstance(expect, Anything) else {key: expect})

    async def write_all(
        self, values: Mapping[str, bytes | None], expect: Mapping[str, bytes | None]
    ) -> None:
        """Write some keys at once: all of them, or none.

        Args:
            values: New value by key; None deletes the key.
            expect: What some keys must hold at this moment, as `read` returned it; None for an
                absent key.

        Raises:
            ConfigConflict: A key holds something else, or another writer came in between.
            ConfigUnavailable: Kafka does not answer, or the topic does not exist. Whether the
                values were written is then unknown: read before writing again.
        """
        await self._bounded(self._write(values, expect))

    async def _write(
        self, values: Mapping[str, bytes | None], expect: Mapping[str, bytes | None]
    ) -> None:
        sent: dict[str, asyncio.Future[RecordMetadata]] = {}
        try:
            async with self._turn() as producer:
                _compare(expect, await self._read())
                async with producer.transaction():
                    for key, value in values.items():
                        # The commit waits for each.
                        sent[key] = await producer.send(self._topic, value, key.encode(), 0)
                        _quieten(producer)
            # Kafka answers a commit before its markers are written, and begins no other turn until
            # they are: after this one, everybody reads what was written.
            async with self._turn():
                pass
        except KafkaError as error:
            # The answer may be lost while the transaction stands. Who fenced us has ended it;
            # otherwise our own next turn does.
            turn = contextlib.nullcontext() if isinstance(error, _FENCED) else self._turn()
            async with turn:
                found = await self._read()
            if not sent or any(found.offsets.get(key, -1) != _offset(sent[key]) for key in sent):
                raise ConfigConflict(_RUN_AGAIN) from error

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[AIOKafkaProducer]:
        """Fence the writers before us; their open transactions are over once this is entered."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka,
            transactional_id=self._transactional_id,
            transaction_timeout_ms=_TRANSACTION_MS,
        )
        try:
            await producer.start()
            yield producer
        finally:
            await _stop(producer)

    async def _read(self) -> _Found:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka,
            group_id=None,
            isolation_level="read_committed",
            # Not seek_to_beginning: aiokafka 0.14 loses it to the reset that runs meanwhile.
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
        )
        try:
            await consumer.start()
            if self._topic not in await consumer.topics():
                raise ConfigUnavailable(
                    f"topic {self._topic} does not exist; run `ebbwatch topics apply`"
                )
            return await _read_to_end(consumer, TopicPartition(self._topic, 0))
        finally:
            await _stop(consumer)

    async def _bounded(self, work: Coroutine[None, None, Outcome]) -> Outcome:
        """Give up at the deadline, and say what each failure means."""
        try:
            async with asyncio.timeout(self._deadline):
                return await work
        except TopicAuthorizationFailedError as error:
            raise ConfigUnavailable(f"access to topic {self._topic} is denied") from error
        except (KafkaError, TimeoutError, OSError) as error:
            raise ConfigUnavailable(
                f"Kafka at {self._kafka} does not answer within {self._deadline:g} s "
                f"({type(error).__name__}); is it running? `ebbwatch local up` starts a local one, "
                "EBBWATCH_KAFKA names another"
            ) from error


async def _read_to_end(consumer: AIOKafkaConsumer, partition: TopicPartition) -> _Found:
    """Return the newest record of each key; the position passes transaction markers by itself."""
    consumer.assign([partition])
    end = (await consumer.end_offsets([partition]))[partition]
    values: dict[str, bytes] = {}
    offsets: dict[str, int] = {}
    while await consumer.position(partition) < end:
        for record in (await consumer.getmany(partition, timeout_ms=200)).get(partition, []):
            key = (record.key or b"").decode(errors="replace")
            offsets[key] = record.offset
            if record.value is None:
                values.pop(key, None)
            else:
                values[key] = record.value
    return _Found(values, offsets)


def _compare(expect: Mapping[str, bytes | None], found: _Found) -> None:
    for key, value in expect.items():
        if found.values.get(key) != value:
            raise ConfigConflict(f"{key!r} in the configuration has changed: {_RUN_AGAIN}")


def _quieten(producer: AIOKafkaProducer) -> None:
    """Look at a future of aiokafka's own (0.14), or asyncio reports it when the write is fenced."""
    for batches in producer._message_accumulator._batches.values():
        for batch in batches:
            batch._drain_waiter.add_done_callback(_look)


def _look(future: asyncio.Future[object]) -> None:
    if not future.cancelled():
        future.exception()


def _offset(sent: asyncio.Future[RecordMetadata]) -> int | None:
    """Return where a record stands in the log, or None for one that never got there."""
    lost = not sent.done() or sent.cancelled() or sent.exception() is not None
    return None if lost else int(sent.result().offset)


async def _stop(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Close a client; one whose broker is away may wait for it for ever."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_STOP_SECONDS):
            await client.stop()
