"""A producer of Kafka records that goes on until each is acknowledged."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    InvalidRequiredAcksError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedForMessageFormatError,
    UnsupportedSaslMechanismError,
)
from aiokafka.structs import RecordMetadata

from schemas.envelope import BYTE_LIMIT
from services.kafka_clients import close, pace
from services.runtime import get_logger

PATIENCE_SECONDS: Final = 5.0
"""Without an acknowledgement for so long, Kafka counts as away."""
STUCK_SECONDS: Final = 30.0
"""Without one for so long, the producer itself is suspected (aiokafka 1154, 1017) and replaced."""
REQUEST_MILLISECONDS: Final = 10_000
BACK_OFF_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
DISCARD_SECONDS: Final = 5.0

FATAL: Final = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    InvalidRequiredAcksError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedForMessageFormatError,
    UnsupportedSaslMechanismError,
)
"""Errors that sending the same record again cannot mend."""

_log = get_logger(__name__)


class Producer:
    """Sends records, idempotent and with acks=all, and replaces its Kafka producer if that breaks.

    A send that failed or hangs is repeated with the same bytes under a new producer id, so a copy
    sent before may still be appended, even after later records. That is harmless: whoever reads
    the log drops an entry whose origin is not newer than the stored one, or whose id it has seen
    (design.md §5.1), and ticks and rule sets are kept by newest value. What would not be harmless
    is a later record in place of a missing one, and that cannot happen while a caller has at most
    one unacknowledged record for each partition: the later one is sent after the acknowledgement.

    Args:
        kafka: Bootstrap servers.
        client_id: How the broker's logs name this process.
        on_state: Told whether Kafka answers, and what is known about it.
    """

    def __init__(
        self,
        kafka: str,
        client_id: str = "ebbwatch-ingest",
        on_state: Callable[[bool, str], None] | None = None,
    ) -> None:
        self._kafka = kafka
        self._client_id = client_id
        self._on_state = on_state or (lambda _ok, _detail: None)
        self._current: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._discarding: set[asyncio.Task[None]] = set()
        self.away = False
        self.replaced = 0

    async def send(
        self, topic: str, value: bytes, *, key: bytes | None = None, partition: int | None = None
    ) -> RecordMetadata:
        """Send a record, as often as it takes, and return when it is acknowledged.

        Args:
            topic: Full name of the topic.
            value: At most about 1 MB.
            key: Chooses the partition where none is given.
            partition: The partition.

        Returns:
            Where and when it was appended.

        Raises:
            KafkaError: One of `FATAL`; sending it again would not help.
        """
        while True:
            producer = await self._ready()
            try:
                future = await producer.send(topic, value, key=key, partition=partition)
                metadata = await self._acknowledged(future)
            except FATAL:
                raise
            except (KafkaError, TimeoutError) as error:
                self._replace(producer, error)
            else:
                self._tell(False, "")
                return metadata

    async def stop(self) -> None:
        """Close all connections; what is not acknowledged by now is given up."""
        if self._current is not None:
            self._replace(self._current, None)
        if self._discarding:
            await asyncio.wait(self._discarding)

    async def _acknowledged(self, future: "asyncio.Future[Any]") -> RecordMetadata:
        done, _ = await asyncio.wait({future}, timeout=PATIENCE_SECONDS)
        if not done:
            self._tell(True, f"no acknowledgement for {PATIENCE_SECONDS:g} s")
            done, _ = await asyncio.wait({future}, timeout=STUCK_SECONDS - PATIENCE_SECONDS)
        if not done:
            raise TimeoutError(f"no acknowledgement for {STUCK_SECONDS:g} s")
        return future.result()

    async def _ready(self) -> AIOKafkaProducer:
        """Return the running producer; start one, for as long as it takes, if there is none."""
        async with self._starting:
            attempt = 0
            while self._current is None:
                try:
                    self._current = await self._start()
                except FATAL:
                    raise
                except (KafkaError, TimeoutError, OSError) as error:
                    self._tell(True, str(error) or type(error).__name__)
                    await asyncio.sleep(BACK_OFF_SECONDS[min(attempt, len(BACK_OFF_SECONDS) - 1)])
                    attempt += 1
            return self._current

    async def _start(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka,
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            # One envelope must fit one batch; the publisher lingers by itself.
            max_batch_size=2 * BYTE_LIMIT,
            max_request_size=2 * BYTE_LIMIT,
            linger_ms=0,
            request_timeout_ms=REQUEST_MILLISECONDS,
        )
        pace(producer.client)
        try:
            async with asyncio.timeout(REQUEST_MILLISECONDS / 1000):
                await producer.start()
        except BaseException:
            await _close(producer)
            raise
        return producer

    def _replace(self, broken: AIOKafkaProducer, error: BaseException | None) -> None:
        if self._current is not broken:
            return
        self._current = None
        if error is not None:
            self.replaced += 1
            self._tell(True, str(error))
            _log.warning("producer replaced", error=repr(error))
        task = asyncio.create_task(_close(broken))
        self._discarding.add(task)
        task.add_done_callback(self._discarding.discard)

    def _tell(self, away: bool, detail: str) -> None:
        if away or self.away:
            self.away = away
            self._on_state(not away, f"Kafka at {self._kafka}: {detail}" if away else "")


async def _close(producer: AIOKafkaProducer) -> None:
    """Close a producer, whose other records may be acknowledged meanwhile, within a bound."""
    if not await close(producer.stop, DISCARD_SECONDS):
        # `stop` waits for batches that an idempotent producer never gives up. What hangs here is
        # being sent again by its owner, so its first copy must not be waited for.
        if producer._sender.sender_task is not None:
            producer._sender.sender_task.cancel()
        await producer.client.close()
