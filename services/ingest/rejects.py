"""Writes refusals to `rejects.v1`, with their bytes, reason and place."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from schemas.cloudevents import Refused
from schemas.rejects import RAW_LIMIT, Reject
from services.publishing.producer import Producer
from services.publishing.publisher import Unavailable

PENDING_LIMIT: Final = 20_000
"""Refusals that may wait for their acknowledgement."""

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
        detail=refused.detail,
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
        self._sending: set[asyncio.Task[object]] = set()

    async def write(self, rejects: Sequence[Reject], within: float | None = None) -> None:
        """Write refusals and return when all of them are acknowledged.

        Args:
            rejects: The refusals.
            within: Deadline, seconds; None waits as long as it takes.

        Raises:
            Unavailable: The deadline has passed, or too many are waiting; some may be written.
        """
        if within is not None and len(self._sending) + len(rejects) > PENDING_LIMIT:
            raise Unavailable(f"{len(self._sending)} refusals wait for Kafka; that is the limit", 1)
        tasks = {asyncio.create_task(self._send(each)) for each in rejects}
        self._sending |= tasks
        for task in tasks:
            task.add_done_callback(self._sending.discard)
        if tasks:
            done, late = await asyncio.wait(tasks, timeout=within)
            if late:
                raise Unavailable(f"Kafka did not acknowledge within {within:g} s")
            for task in done:
                task.result()

    async def stop(self) -> None:
        """Give up what is not acknowledged."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send(self, each: Reject) -> None:
        await self._producer.send(self._topic, _encode(each), key=each.source.encode())
