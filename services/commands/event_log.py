"""`events.v1`, read by whoever counts it once more: from one offset to another."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from schemas import topics
from services.settings import ServiceSettings

SILENT_SECONDS: Final = 30.0
"""Without a message for so long Kafka counts as away."""

Message = tuple[int, int, bytes | None]
"""Offset, append time in microseconds, value."""


async def read(
    known: ServiceSettings, number: int, first: int, last: int
) -> AsyncGenerator[Message, None]:
    """Yield the messages of a partition, as long as they come.

    Args:
        known: Which deployment.
        number: The partition.
        first: First offset.
        last: Last offset; below the first there is nothing to read.

    Raises:
        TimeoutError: Nothing has come for 30 seconds.
    """
    from services.snapshots import messages

    if first > last:
        return
    topic, loop = topics.full_name(topics.EVENTS, known.prefix), asyncio.get_running_loop()
    async with asyncio.timeout(SILENT_SECONDS) as patience:
        async with aclosing(messages(known.kafka, topic, number, first, last)) as found:  # type: ignore[type-var]
            async for one in found:
                patience.reschedule(loop.time() + SILENT_SECONDS)
                yield one
