"""Writes refusals to `rejects.v1`, with their bytes, reason and place."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
from aiokafka.errors import KafkaError

from schemas.cloudevents import Refused
from schemas.rejects import RAW_LIMIT, Reject
from services.publishing.producer import Producer
from services.publishing.publisher import Unavailable

PENDING_LIMIT: Final = 20_000
"""Refusals that may wait for their acknowledgement."""
AT_ONCE: Final = 500
"""Refusals of one call that are on their way, each a task."""
DETAIL_LIMIT: Final = 2_000
"""Characters: a detail may quote what is wrong, which may be as long as the whole body."""

_encode = msgspec.json.Encoder().encode


def reject(
    refused: Refused,
    raw: bytes | msgspec.Raw,
    index: int,
    *,
    source: str = "",
    topic: str = "",
    partition: int | None = None,
    offset: int | None = None,
) -> Reject:
    """Return the record of one refusal.

    Args:
        refused: Why.
        raw: The refused bytes; cut at `RAW_LIMIT`.
        index: Its place in the body or record.
        source: Whose refusals it counts among; the event's own source unless told.
        topic: The input topic; empty over HTTP.
        partition: Likewise.
        offset: Likewise.
    """
    return Reject(
        stage="ingest",
        reason=refused.reason,
        detail=refused.detail[:DETAIL_LIMIT],
        raw=bytes(raw)[:RAW_LIMIT],
        field=refused.field,
        source=source or refused.source,
        topic=topic,
        partition=partition,
        offset=offset,
        index=index,
    )


class Rejects:
    """Writes refusals; their order does not matter.

    Args:
        producer: What sends; may be shared.
        topic: Full name of `rejects.v1`.
    """

    def __init__(self, producer: Producer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._sending: set[asyncio.Task[None]] = set()
        self._waiting = 0

    async def write(self, rejects: Sequence[Reject], within: float | None = None) -> None:
        """Write refusals and return when all of them are acknowledged.

        Args:
            rejects: The refusals.
            within: Deadline, seconds; None waits as long as it takes.

        Raises:
            Unavailable: The deadline has passed, too many are waiting, or Kafka lets nobody write
                them; some may be written.
        """
        pending = self._waiting + len(self._sending)
        if within is not None and pending + len(rejects) > PENDING_LIMIT:
            raise Unavailable(f"{pending} refusals wait for Kafka; that is the limit", 1)
        loop = asyncio.get_running_loop()
        until = None if within is None else loop.time() + within
        left = list(rejects)
        self._waiting += len(left)
        try:
            while left:
                some, left = left[:AT_ONCE], left[AT_ONCE:]
                self._waiting -= len(some)
                if await self._send_all(some, None if until is None else until - loop.time()):
                    raise Unavailable(f"Kafka did not acknowledge within {within:g} s")
        finally:
            self._waiting -= len(left)

    async def stop(self) -> None:
        """Give up what is not acknowledged."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send_all(self, some: Sequence[Reject], within: float | None) -> bool:
        """Send refusals side by side, and tell whether one is not acknowledged in time."""
        tasks = {asyncio.create_task(self._send(each)) for each in some}
        self._sending |= tasks
        for task in tasks:
            task.add_done_callback(self._sending.discard)
        done, late = await asyncio.wait(tasks, timeout=within)
        # All are looked at, or asyncio reports each that nobody has asked.
        errors = [error for task in done if (error := task.exception()) is not None]
        if errors:
            raise errors[0]
        return bool(late)

    async def _send(self, each: Reject) -> None:
        try:
            await self._producer.send(self._topic, _encode(each), key=each.source.encode())
        except KafkaError as error:
            detail = f"refusals cannot be written to {self._topic}: {error!r}; let ingest write it"
            raise Unavailable(detail) from error
