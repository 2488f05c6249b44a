"""Which input partitions were ever read: what a group's offsets cannot say.

Kafka forgets a group's offsets when a topic is deleted. A topic created anew would therefore look
like one never read: it would be read from its beginning, and the detector would drop its records,
whose origins are older than those of the former topic. So each partition that is read leaves a
mark in `config.v1`, under `inputs/<topic>`.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from services.config_log import ConfigConflict, ConfigLog, ConfigUnavailable
from services.runtime import get_logger

PREFIX: Final = "inputs/"
ATTEMPTS: Final = 5
BACK_OFF_SECONDS: Final = 0.2
SETTLE_SECONDS: Final = 1.0

_log = get_logger(__name__)


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """The partitions of one input topic that were ever read: key `inputs/<topic>`."""

    partitions: list[int]


class Marks:
    """Leaves marks beside the stream, one attempt at a time.

    Args:
        log: The deployment's configuration.
    """

    def __init__(self, log: ConfigLog) -> None:
        self._log = log
        self._writing: asyncio.Task[None] | None = None

    def leave(self, partitions: Mapping[str, frozenset[int]]) -> None:
        """Begin to mark partitions by topic, unless marks are being written just now."""
        if partitions and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._write(partitions))

    def stop(self) -> None:
        """Give up what is not written; it is left the next time."""
        if self._writing is not None:
            self._writing.cancel()

    async def _write(self, partitions: Mapping[str, frozenset[int]]) -> None:
        try:
            for topic, numbers in partitions.items():
                await mark(self._log, topic, numbers)
        except (ConfigConflict, ConfigUnavailable) as error:
            _log.warning("input not marked", error=str(error))
        # The follower shows marks a moment later; until then they would be written again.
        await asyncio.sleep(SETTLE_SECONDS)


async def mark(log: ConfigLog, topic: str, partitions: Iterable[int]) -> None:
    """Add partitions to a topic's marker.

    Args:
        log: The deployment's configuration.
        topic: Full name of the input topic.
        partitions: Partitions that are being read.

    Raises:
        ConfigConflict: Others wrote the configuration again and again.
        ConfigUnavailable: Kafka does not answer.
    """
    key = PREFIX + topic
    for attempt in range(ATTEMPTS):
        before = (await log.read()).get(key)
        known = [] if before is None else msgspec.json.decode(before, type=Marker).partitions
        after = sorted({*known, *partitions})
        if after == known:
            return
        try:
            await log.write(key, msgspec.json.encode(Marker(partitions=after)), expect=before)
            return
        except ConfigConflict:
            # Two replicas share a topic's partitions, so both write its marker at the start.
            if attempt == ATTEMPTS - 1:
                raise
            await asyncio.sleep(BACK_OFF_SECONDS * (attempt + 1))


async def forget(log: ConfigLog, topic: str) -> None:
    """Delete a topic's marker, so that it counts as never read.

    Args:
        log: The deployment's configuration.
        topic: Full name of the input topic.

    Raises:
        ConfigConflict: Another command wrote the configuration meanwhile.
        ConfigUnavailable: Kafka does not answer.
    """
    await log.write(PREFIX + topic, None)
