"""Asks Kafka what commands want to know: offsets, ends of logs, groups. Reads only, joins none."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, for_code

from services.commands.kafka_version import version
from services.kafka_clients import close
from services.topic_ids import ids_of

POLL_MS: Final = 200
CLOSE_SECONDS: Final = 1.0
FETCH_BYTES: Final = 4 * 1024 * 1024
COORDINATOR_TRIES: Final = 5
COORDINATOR_SECONDS: Final = 0.4
"""Between two of them: a new Kafka makes its topic of offsets when it is first asked for a group,
within a second or two; together they must leave time of what the doctor gives to a check."""

_GROUPS: Final = "__consumer_offsets"

Answer = TypeVar("Answer")


class Range(NamedTuple):
    """The offsets of a partition.

    Attributes:
        start: First that is kept.
        end: Of the next record; records of open transactions lie behind it.
    """

    start: int
    end: int


class Copies(NamedTuple):
    """Where a partition is kept.

    Attributes:
        leader: Broker, or -1 for none.
        replicas: Brokers that keep it.
        in_sync: Those that are up to date.
    """

    leader: int
    replicas: int
    in_sync: int


class Group(NamedTuple):
    """A consumer group.

    Attributes:
        state: Such as `Stable`, `Empty`, `Dead`, `PreparingRebalance`.
        members: How many there are.
    """

    state: str
    members: int


class Asking:
    """A connection to Kafka; get one from `asking`."""

    def __init__(self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> None:
        self._consumer = consumer
        self._admin = admin

    async def brokers(self) -> int:
        """Return how many brokers there are."""
        return len((await self._admin.describe_cluster())["brokers"])

    async def version(self) -> str:
        """Return the release of the brokers, such as `4.1`, or what is known of it."""
        return await version(self._admin)

    async def topics(self) -> dict[str, dict[int, Copies]]:
        """Return where the partitions of all topics are kept, by topic and partition."""
        return {
            each["topic"]: {
                one["partition"]: Copies(one["leader"], len(one["replicas"]), len(one["isr"]))
                for one in each["partitions"]
            }
            for each in await self._admin.describe_topics()
            if not each["error_code"]
        }

    async def topic_ids(self, names: Iterable[str]) -> dict[str, str]:
        """Return the ids of those topics that exist, by name; see `services.topic_ids`."""
        return await ids_of(self._admin, names)

    async def offsets(self, parts: Iterable[TopicPartition]) -> dict[TopicPartition, Range]:
        """Return the offsets of partitions that exist."""
        wanted = sorted(set(parts))
        if not wanted:
            return {}
        starts, ends = await asyncio.gather(
            self._consumer.beginning_offsets(wanted), self._consumer.end_offsets(wanted)
        )
        return {part: Range(starts[part], ends[part]) for part in wanted}

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """Return the committed offsets of a group."""
        found: dict[TopicPartition, Any] = await self._of_groups(
            lambda: self._admin.list_consumer_group_offsets(group), {}
        )
        return {part: each.offset for part, each in found.items() if each.offset >= 0}

    async def groups(self, names: Iterable[str]) -> dict[str, Group]:
        """Return consumer groups by name; one that nobody knows is `Dead`."""
        found = {}
        wanted = list(names)
        answers: list[Any] = await self._of_groups(
            lambda: self._admin.describe_consumer_groups(wanted), []
        )
        for answer in answers:
            for code, name, state, _, _, members, *_ in answer.groups:
                if code:
                    raise for_code(code)(f"group {name}")
                found[name] = Group(state, len(members))
        return found

    async def _of_groups(self, ask: Callable[[], Awaitable[Answer]], none: Answer) -> Answer:
        """Ask about groups; return `none` where Kafka never had one."""
        for _ in range(COORDINATOR_TRIES):
            with contextlib.suppress(GroupCoordinatorNotAvailableError):
                return await ask()
            await asyncio.sleep(COORDINATOR_SECONDS)
        if _GROUPS in await self.topics():
            raise GroupCoordinatorNotAvailableError(f"{_GROUPS} has no leader; is a broker down?")
        return none

    async def read(
        self, begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> AsyncIterator[tuple[TopicPartition, Any]]:
        """Yield the committed records between offsets, per partition in order.

        Args:
            begins: First offset, by partition.
            ends: Offset before which to stop, by partition.
        """
        left = {part for part, begin in begins.items() if begin < ends[part]}
        if not left:
            return
        self._consumer.assign(sorted(left))
        for part in left:
            self._consumer.seek(part, begins[part])
        while left:
            polled = await self._consumer.getmany(*left, timeout_ms=POLL_MS)
            for part, records in polled.items():
                for record in records:
                    if record.offset < ends[part]:
                        yield part, record
            for part in list(left):
                if await self._consumer.position(part) >= ends[part]:
                    left.discard(part)


@contextlib.asynccontextmanager
async def asking(kafka: str) -> AsyncIterator[Asking]:
    """Connect to Kafka as long as the block lasts; whoever asks sets the deadline.

    Args:
        kafka: Bootstrap servers, `host:port[,host:port]`.

    Raises:
        KafkaError: Kafka does not answer.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        group_id=None,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=FETCH_BYTES,
        request_timeout_ms=10_000,
    )
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka, request_timeout_ms=10_000)
    try:
        await consumer.start()
        await admin.start()
        yield Asking(consumer, admin)
    finally:
        await close(admin.close, CLOSE_SECONDS)
        await close(consumer.stop, CLOSE_SECONDS)
