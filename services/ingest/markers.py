"""Which input partitions were ever read: what a group's offsets cannot say.

Kafka forgets a group's offsets when a topic is deleted. A topic created anew would therefore look
like one never read: it would be read from its beginning, and the detector would drop its records,
whose origins are older than those of the former topic. So each partition that is read leaves a
mark in `config.v1`, under `inputs/<topic>/<partition>`. It holds the id of the topic: by that one
that was created anew is known also after a restart, whatever its offsets look like.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from services.config_log import ConfigLog
from services.publishing.producer import Producer

PREFIX: Final = "inputs/"
SETTLE_SECONDS: Final = 2.0
FINISH_SECONDS: Final = 2.0


Marked = Mapping[str, Mapping[int, str]]
"""The ids of topics as their partitions were read, by topic and partition; empty for an unknown."""


class Marker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An input partition that was ever read: key `inputs/<topic>/<partition>`.

    Attributes:
        topic: Full name of the input topic.
        partition: The partition.
        id: The topic's id when it was read, as `services.topic_ids` has it; empty where it was not
            known, and in marks of an earlier version.
    """

    topic: str
    partition: int
    id: str = ""


class Marks:
    """Leaves marks beside the stream.

    They are written without the transactional id by which commands take turns: a mark depends on
    nothing that others write, and must not make a command fail that runs at the same moment.

    Args:
        producer: What sends; may be shared.
        topic: Full name of `config.v1`.
        on_fatal: Told of an error that no repetition mends.
    """

    def __init__(
        self, producer: Producer, topic: str, on_fatal: Callable[[BaseException], None]
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._on_fatal = on_fatal
        self._writing: asyncio.Task[None] | None = None
        self._again_at = 0.0

    def leave(self, partitions: Marked) -> None:
        """Begin to mark partitions, unless marks were written just now."""
        now = asyncio.get_running_loop().time()
        if partitions and now >= self._again_at and (self._writing is None or self._writing.done()):
            # The follower shows marks a moment later; until then they would be written again.
            self._again_at = now + SETTLE_SECONDS
            self._writing = asyncio.create_task(self._write(partitions))
            self._writing.add_done_callback(self._look_at)

    async def finish(self, partitions: Marked) -> None:
        """Mark what is not marked yet, within a bound; what fails is marked the next time."""
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(partitions))
            self._writing.add_done_callback(self._look_at)
        _, late = await asyncio.wait({self._writing}, timeout=FINISH_SECONDS)
        for each in late:
            each.cancel()

    def _look_at(self, written: "asyncio.Task[None]") -> None:
        error = None if written.cancelled() else written.exception()
        if error is not None:
            self._on_fatal(error)

    async def _write(self, partitions: Marked) -> None:
        for topic, ids in partitions.items():
            for number, id in sorted(ids.items()):
                value = msgspec.json.encode(Marker(topic=topic, partition=number, id=id))
                key = f"{PREFIX}{topic}/{number}".encode()
                await self._producer.send(self._topic, value, key=key, partition=0)


async def forget(log: ConfigLog, topic: str) -> None:
    """Delete a topic's marks, so that it counts as never read.

    Args:
        log: The deployment's configuration.
        topic: Full name of the input topic.

    Raises:
        ConfigConflict: Another command wrote the configuration meanwhile.
        ConfigUnavailable: Kafka does not answer.
    """
    marked = [key for key in await log.read() if key.startswith(f"{PREFIX}{topic}/")]
    await log.write_all(dict.fromkeys(marked), {})
